//! The tree of one source file. Every node that a diagnostic can point at carries its span.

use crate::source::Span;

#[derive(Clone, Debug)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct File {
    pub programs: Vec<Program>,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub docs: Vec<String>,
    pub name: Ident,
    pub decls: Vec<Decl>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Decl {
    Mesh(Mesh),
    Const(Const),
    Param(Param),
    Dyn(Dyn),
    Tensor(Tensor),
    Route(Route),
    Assume(Claims),
    Prove(Claims),
    Entry(Entry),
}

#[derive(Clone, Debug)]
pub struct Mesh {
    pub name: Ident,
    pub at: Option<(Expr, Expr)>,
    pub axes: Vec<MeshAxis>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct MeshAxis {
    pub name: Ident,
    pub kind: MeshAxisKind,
}

#[derive(Clone, Debug)]
pub enum MeshAxisKind {
    Size(Expr),
    Alias(Vec<Ident>),
}

#[derive(Clone, Debug)]
pub struct Const {
    pub name: Ident,
    pub value: Expr,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub docs: Vec<String>,
    pub name: Ident,
    pub ty: Ident,
    /// `in (1, 2, 4)`
    pub choices: Option<Expr>,
    pub constraint: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Dyn {
    pub docs: Vec<String>,
    pub name: Ident,
    pub axes: Vec<Ident>,
    pub ty: Ident,
    pub bound: Expr,
    pub constraint: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    In,
    Out,
    InOut,
    Tmp,
}

/// `name` or `name(args)`: an element type, an attribute.
#[derive(Clone, Debug)]
pub struct Word {
    pub name: Ident,
    pub args: Option<Vec<Arg>>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Tensor {
    pub docs: Vec<String>,
    pub io: Io,
    pub io_span: Span,
    pub name: Ident,
    pub dtype: Word,
    pub dims: Vec<Dim>,
    pub placement: Option<Placement>,
    pub attrs: Vec<Word>,
}

#[derive(Clone, Debug)]
pub struct Dim {
    pub name: Ident,
    pub extent: Extent,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Extent {
    /// `None` for `ragged`.
    pub size: Option<Expr>,
    pub bound: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Placement {
    pub terms: Vec<Term>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Term {
    pub name: Ident,
    pub args: Option<Vec<Arg>>,
    pub shard: Option<Ident>,
    pub tile: Option<Expr>,
    pub mods: Vec<Word>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub docs: Vec<String>,
    pub name: Ident,
    pub sources: Vec<Ident>,
    pub dests: Vec<Ident>,
    pub steps: Vec<Step>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Step {
    Bind { name: Ident, value: Expr, order: Option<Order>, orelse: Option<Word>, span: Span },
    Cap { cond: Expr, orelse: Word, span: Span },
}

#[derive(Clone, Debug)]
pub struct Order {
    pub keys: Vec<Ident>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Claims {
    pub claims: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub docs: Vec<String>,
    pub name: Ident,
    pub stmts: Vec<Stmt>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Stmt {
    Plan(Ident),
    Assume(Claims),
    Prove(Claims),
    Schedule(Schedule),
    Assign(Assign),
}

#[derive(Clone, Debug)]
pub struct Schedule {
    pub when: Option<Expr>,
    pub directives: Vec<Directive>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Directive {
    pub name: Ident,
    pub args: Vec<Arg>,
    /// Any `by`, `through` or `at` part.
    pub has_clause: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Assign {
    pub targets: Vec<Ref>,
    pub value: Expr,
    pub via: Option<Ident>,
    pub filter: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Ref {
    pub name: Ident,
    pub index: Vec<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Arg {
    /// `k: value` or `(s, t): value`
    pub binder: Option<Vec<Ident>>,
    /// `name = value`
    pub named: Option<Ident>,
    pub value: Expr,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Int(i64),
    Float(f64),
    Name(String),
    Neg(Box<Expr>),
    Binary { op: Op, lhs: Box<Expr>, rhs: Box<Expr> },
    Index { base: Box<Expr>, args: Vec<Expr> },
    Call { base: Box<Expr>, args: Vec<Arg> },
    Field { base: Box<Expr>, name: Ident },
    Tuple(Vec<Arg>),
    Array(Vec<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Or,
    And,
    Lt,
    Le,
    Eq,
    Ne,
    Ge,
    Gt,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}
