//! The grammar as pest has it: `Grammar` parses, `Rule` names what it found.

#[derive(pest_derive::Parser)]
#[grammar = "syntax/fusco.pest"]
pub(super) struct Grammar;
