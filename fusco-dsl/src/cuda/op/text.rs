//! What the parts of a ring's text are about.

use super::dealt::Dealt;
use super::reduce::Nest;
use crate::cuda::staged::Ring;
use crate::schedule::ir::Kernel;

pub(super) struct Text<'a> {
    pub nest: &'a Nest<'a>,
    pub ring: &'a Ring,
    pub dealt: Dealt<'a>,
    pub kernel: &'a Kernel,
}
