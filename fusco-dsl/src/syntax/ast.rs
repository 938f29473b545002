//! The tree of a source, as written: names unresolved, spans everywhere, one tree for both front ends.

use crate::source::Span;

#[derive(Clone, Debug, Default)]
pub struct File {
    pub programs: Vec<Program>,
}

#[derive(Clone, Debug)]
pub struct Ident {
    pub name: String,
    pub span: Span,
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
    pub docs: Vec<String>,
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
    /// `rank = (node, gpu)`
    Alias(Vec<Ident>),
}

#[derive(Clone, Debug)]
pub struct Const {
    pub docs: Vec<String>,
    pub name: Ident,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub docs: Vec<String>,
    pub name: Ident,
    pub ty: Ident,
    /// `in (a, b)`
    pub choices: Option<Expr>,
    pub constraint: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Dyn {
    pub docs: Vec<String>,
    pub name: Ident,
    pub axes: Vec<Ident>,
    pub ty: Ident,
    pub bound: Expr,
    pub constraint: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    In,
    Out,
    InOut,
    Tmp,
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
    pub span: Span,
}

/// `name` or `name(args)`.
#[derive(Clone, Debug)]
pub struct Word {
    pub name: Ident,
    pub args: Option<Vec<Arg>>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Dim {
    pub name: Ident,
    pub extent: Extent,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Extent {
    /// `None` is `ragged`.
    pub size: Option<Expr>,
    pub bound: Option<Expr>,
    pub span: Span,
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
    /// `/m`
    pub shard: Option<Ident>,
    /// `:k`
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

/// `by (s, t)` or `by any`.
#[derive(Clone, Debug)]
pub struct Order {
    pub keys: Vec<Ident>,
    pub tuple: bool,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Claims {
    pub docs: Vec<String>,
    pub claims: Vec<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub docs: Vec<String>,
    pub name: Ident,
    /// `= adjoint(A)`: its statements follow from another entry's.
    pub derived: Option<Word>,
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
pub struct Assign {
    pub targets: Vec<Ref>,
    /// Written `(a, b) <- ..`.
    pub tuple: bool,
    pub value: Expr,
    pub via: Option<Ident>,
    pub filter: Option<Expr>,
    pub span: Span,
}

impl Assign {
    /// The same value for each of the targets alone.
    pub fn apart(&self) -> impl Iterator<Item = Assign> {
        let alone =
            |target: &Ref| Assign { targets: vec![target.clone()], tuple: false, ..self.clone() };
        self.targets.iter().map(alone)
    }
}

#[derive(Clone, Debug)]
pub struct Ref {
    pub name: Ident,
    pub index: Vec<Expr>,
    pub span: Span,
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
    pub clauses: Vec<(String, Expr)>,
    pub span: Span,
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
    Tuple(Vec<Arg>),
    Array(Vec<Expr>),
    Binary { op: Op, lhs: Box<Expr>, rhs: Box<Expr> },
    Neg(Box<Expr>),
    Index { base: Box<Expr>, args: Vec<Expr> },
    Call { base: Box<Expr>, args: Vec<Arg> },
    Field { base: Box<Expr>, name: Ident },
}

/// `value`, `k: value`, `(a, b): value` or `within = value`.
#[derive(Clone, Debug)]
pub struct Arg {
    pub binder: Option<Vec<Ident>>,
    pub named: Option<Ident>,
    pub value: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Or,
    And,
    Le,
    Ge,
    Eq,
    Ne,
    Lt,
    Gt,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Op {
    pub const ALL: [(&'static str, Op); 13] = [
        ("||", Op::Or),
        ("&&", Op::And),
        ("<=", Op::Le),
        (">=", Op::Ge),
        ("==", Op::Eq),
        ("!=", Op::Ne),
        ("<", Op::Lt),
        (">", Op::Gt),
        ("+", Op::Add),
        ("-", Op::Sub),
        ("*", Op::Mul),
        ("/", Op::Div),
        ("%", Op::Rem),
    ];

    pub fn symbol(self) -> &'static str {
        Op::ALL.iter().find(|(_, op)| *op == self).map_or("?", |(text, _)| text)
    }
}

impl Expr {
    /// The name, if the expression is one.
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Name(name) => Some(name),
            _ => None,
        }
    }
}
