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
pub enum MeshAxis {
    Sized { name: Ident, size: Expr },
    Alias { name: Ident, of: Vec<Ident> },
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
    pub name: Ident,
    pub dtype: Called,
    pub dims: Vec<Dim>,
    pub placement: Option<Placement>,
    pub attrs: Vec<Called>,
    pub span: Span,
}

/// `name` or `name(args)`.
#[derive(Clone, Debug)]
pub struct Called {
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
    pub axis: Ident,
    pub args: Option<Vec<Arg>>,
    pub split: Option<Split>,
    pub mods: Vec<Called>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Split {
    /// `/m`
    Shard(Ident),
    /// `:k`
    Tile(Expr),
}

#[derive(Clone, Debug)]
pub struct Route {
    pub docs: Vec<String>,
    pub name: Ident,
    pub sources: Vec<Ident>,
    pub dests: Vec<Ident>,
    pub steps: Vec<RouteStep>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum RouteStep {
    Bind { name: Ident, value: Expr, order: Option<Order>, orelse: Option<Called>, span: Span },
    Cap { cond: Expr, orelse: Called, span: Span },
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
    pub stmts: Vec<EntryStmt>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum EntryStmt {
    Plan { route: Ident, span: Span },
    Assume(Claims),
    Prove(Claims),
    Schedule(Schedule),
    Assign(Assign),
}

#[derive(Clone, Debug)]
pub struct Assign {
    pub targets: Vec<TensorRef>,
    /// Written `(a, b) <- ..`.
    pub tuple: bool,
    pub value: Expr,
    pub via: Option<Ident>,
    pub cond: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct TensorRef {
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
    pub words: Vec<(String, Expr)>,
    pub args: Vec<DirectiveArg>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct DirectiveArg {
    pub arg: Arg,
    pub words: Vec<(String, Expr)>,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Int(i64),
    Float(String),
    Name(String),
    Tuple(Vec<Arg>),
    Array(Vec<Expr>),
    Binary { op: BinaryOp, lhs: Box<Expr>, rhs: Box<Expr> },
    Neg(Box<Expr>),
    Index { base: Box<Expr>, index: Vec<Expr> },
    Call { base: Box<Expr>, args: Vec<Arg> },
    Field { base: Box<Expr>, name: Ident },
}

#[derive(Clone, Debug)]
pub enum Arg {
    /// `k: body`, `(a, b): body`
    Binder { names: Vec<Ident>, tuple: bool, value: Expr },
    /// `within = node`
    Named { name: Ident, value: Expr },
    Positional(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
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

impl BinaryOp {
    pub const ALL: [(&'static str, BinaryOp); 13] = [
        ("||", BinaryOp::Or),
        ("&&", BinaryOp::And),
        ("<=", BinaryOp::Le),
        (">=", BinaryOp::Ge),
        ("==", BinaryOp::Eq),
        ("!=", BinaryOp::Ne),
        ("<", BinaryOp::Lt),
        (">", BinaryOp::Gt),
        ("+", BinaryOp::Add),
        ("-", BinaryOp::Sub),
        ("*", BinaryOp::Mul),
        ("/", BinaryOp::Div),
        ("%", BinaryOp::Rem),
    ];

    pub fn symbol(self) -> &'static str {
        BinaryOp::ALL.iter().find(|(_, op)| *op == self).map_or("?", |(text, _)| text)
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
