//! Pest pairs to the tree (stand-in). `expect`s here hold because the grammar guarantees the shape.

use super::ast::*;
use crate::diag::Diagnostic;
use crate::source::Span;
use pest::Parser;
use pest::iterators::{Pair, Pairs};

#[derive(pest_derive::Parser)]
#[grammar = "syntax/fusco.pest"]
struct Grammar;

type P<'i> = Pair<'i, Rule>;

/// Parses one file.
///
/// # Errors
/// The first syntax error, as F0001.
pub fn parse(source: &str) -> Result<File, Diagnostic> {
    let mut pairs = Grammar::parse(Rule::file, source).map_err(|e| {
        let at = match e.location {
            pest::error::InputLocation::Pos(p) => Span::new(p as u32, p as u32 + 1),
            pest::error::InputLocation::Span((a, b)) => Span::new(a as u32, b as u32),
        };
        Diagnostic::error("F0001", at, format!("syntax error: {}", e.variant.message()))
    })?;
    let file = pairs.next().expect("the grammar yields one file");
    let programs =
        file.into_inner().filter(|p| p.as_rule() == Rule::program).map(program).collect();
    Ok(File { programs })
}

fn span(p: &P) -> Span {
    let s = p.as_span();
    let trimmed = s.as_str().trim_end().len();
    Span::new(s.start() as u32, (s.start() + trimmed) as u32)
}

fn ident(p: P) -> Ident {
    Ident { name: p.as_str().to_string(), span: span(&p) }
}

fn next<'i>(it: &mut Pairs<'i, Rule>) -> P<'i> {
    it.next().expect("the grammar guarantees this child")
}

fn docs(it: &mut Pairs<Rule>) -> Vec<String> {
    let mut out = Vec::new();
    while it.peek().is_some_and(|p| p.as_rule() == Rule::doc) {
        out.push(next(it).as_str().trim_start_matches('/').trim().to_string());
    }
    out
}

fn take<'i>(it: &mut Pairs<'i, Rule>, rule: Rule) -> Option<P<'i>> {
    if it.peek().is_some_and(|p| p.as_rule() == rule) { it.next() } else { None }
}

fn program(p: P) -> Program {
    let at = span(&p);
    let mut it = p.into_inner();
    let docs = docs(&mut it);
    let _kw = take(&mut it, Rule::kw);
    let name = ident(next(&mut it));
    Program { docs, name, decls: it.map(decl).collect(), span: at }
}

fn decl(p: P) -> Decl {
    let at = span(&p);
    let rule = p.as_rule();
    let mut it = p.into_inner();
    let docs = docs(&mut it);
    match rule {
        Rule::mesh => Decl::Mesh(mesh(it, at)),
        Rule::konst => {
            Decl::Const(Const { name: ident(next(&mut it)), value: expr(next(&mut it)) })
        }
        Rule::param => {
            let (name, ty) = (ident(next(&mut it)), ident(next(&mut it)));
            let choices = take(&mut it, Rule::tuple).map(expr);
            Decl::Param(Param { docs, name, ty, choices, constraint: it.next().map(expr) })
        }
        Rule::dynp => {
            let mut names: Vec<Ident> = Vec::new();
            while let Some(p) = take(&mut it, Rule::ident) {
                names.push(ident(p));
            }
            let ty = names.pop().expect("a dyn has a type");
            let name = names.remove(0);
            Decl::Dyn(Dyn {
                docs,
                name,
                axes: names,
                ty,
                bound: expr(next(&mut it)),
                constraint: it.next().map(expr),
            })
        }
        Rule::tensor => Decl::Tensor(tensor(it, docs)),
        Rule::route => Decl::Route(route(it, docs, at)),
        Rule::assume => Decl::Assume(Claims { claims: it.map(expr).collect() }),
        Rule::prove => Decl::Prove(Claims { claims: it.map(expr).collect() }),
        _ => {
            let name = ident(next(&mut it));
            Decl::Entry(Entry { docs, name, stmts: it.map(stmt).collect(), span: at })
        }
    }
}

fn mesh(mut it: Pairs<Rule>, at: Span) -> Mesh {
    let name = ident(next(&mut it));
    let range = take(&mut it, Rule::range).map(|r| {
        let mut it = r.into_inner();
        (expr(next(&mut it)), expr(next(&mut it)))
    });
    let axes = it
        .map(|a| {
            let mut it = a.into_inner();
            let name = ident(next(&mut it));
            let size = next(&mut it);
            let kind = if size.as_rule() == Rule::idents {
                MeshAxisKind::Alias(idents(size))
            } else {
                MeshAxisKind::Size(expr(size))
            };
            MeshAxis { name, kind }
        })
        .collect();
    Mesh { name, at: range, axes, span: at }
}

fn idents(p: P) -> Vec<Ident> {
    p.into_inner().map(ident).collect()
}

fn word(p: P) -> Word {
    let at = span(&p);
    let mut it = p.into_inner();
    Word { name: ident(next(&mut it)), args: it.next().map(call), span: at }
}

fn call(p: P) -> Vec<Arg> {
    p.into_inner().map(arg).collect()
}

fn arg(p: P) -> Arg {
    let mut it = p.into_inner();
    let first = next(&mut it);
    match first.as_rule() {
        Rule::binder => {
            let inner = next(&mut first.into_inner());
            let names =
                if inner.as_rule() == Rule::idents { idents(inner) } else { vec![ident(inner)] };
            Arg { binder: Some(names), named: None, value: expr(next(&mut it)) }
        }
        Rule::ident => Arg { binder: None, named: Some(ident(first)), value: expr(next(&mut it)) },
        _ => Arg { binder: None, named: None, value: expr(first) },
    }
}

fn tensor(mut it: Pairs<Rule>, docs: Vec<String>) -> Tensor {
    let io = next(&mut it);
    let io_span = span(&io);
    let io = match io.as_str() {
        "in" => Io::In,
        "out" => Io::Out,
        "inout" => Io::InOut,
        _ => Io::Tmp,
    };
    let name = ident(next(&mut it));
    let dtype = word(next(&mut it));
    let mut out = Tensor {
        docs,
        io,
        io_span,
        name,
        dtype,
        dims: Vec::new(),
        placement: None,
        attrs: Vec::new(),
    };
    for p in it {
        match p.as_rule() {
            Rule::dim => out.dims.push(dim(p)),
            Rule::placement => {
                out.placement =
                    Some(Placement { span: span(&p), terms: p.into_inner().map(term).collect() })
            }
            _ => out.attrs = p.into_inner().map(word).collect(),
        }
    }
    out
}

fn dim(p: P) -> Dim {
    let at = span(&p);
    let mut it = p.into_inner();
    let name = ident(next(&mut it));
    let mut extent = next(&mut it).into_inner();
    let first = next(&mut extent);
    let size = (first.as_rule() != Rule::ragged).then(|| expr(first));
    Dim { name, extent: Extent { size, bound: extent.next().map(expr) }, span: at }
}

fn term(p: P) -> Term {
    let at = span(&p);
    let mut it = p.into_inner();
    let name = ident(next(&mut it));
    let mut out = Term { name, args: None, shard: None, tile: None, mods: Vec::new(), span: at };
    for p in it {
        match p.as_rule() {
            Rule::call => out.args = Some(call(p)),
            Rule::pshard => out.shard = Some(ident(next(&mut p.into_inner()))),
            Rule::ptile => out.tile = Some(expr(next(&mut p.into_inner()))),
            _ => out.mods.push(word(p)),
        }
    }
    out
}

fn route(mut it: Pairs<Rule>, docs: Vec<String>, at: Span) -> Route {
    let name = ident(next(&mut it));
    let sources = idents(next(&mut it));
    let dests = idents(next(&mut it));
    Route { docs, name, sources, dests, steps: it.map(step).collect(), span: at }
}

fn step(p: P) -> Step {
    let at = span(&p);
    let rule = p.as_rule();
    let mut it = p.into_inner();
    if rule == Rule::rcap {
        return Step::Cap { cond: expr(next(&mut it)), orelse: word(next(&mut it)), span: at };
    }
    let (name, value) = (ident(next(&mut it)), expr(next(&mut it)));
    let order = take(&mut it, Rule::order).map(|o| {
        let at = span(&o);
        let inner = next(&mut o.into_inner());
        Order {
            keys: if inner.as_rule() == Rule::idents { idents(inner) } else { vec![ident(inner)] },
            span: at,
        }
    });
    Step::Bind { name, value, order, orelse: it.next().map(word), span: at }
}

fn stmt(p: P) -> Stmt {
    let at = span(&p);
    let rule = p.as_rule();
    let mut it = p.into_inner();
    _ = docs(&mut it);
    match rule {
        Rule::plan => Stmt::Plan(ident(next(&mut it))),
        Rule::assume => Stmt::Assume(Claims { claims: it.map(expr).collect() }),
        Rule::prove => Stmt::Prove(Claims { claims: it.map(expr).collect() }),
        Rule::schedule => {
            let when = take(&mut it, Rule::expr).map(expr);
            Stmt::Schedule(Schedule { when, directives: it.map(directive).collect(), span: at })
        }
        _ => {
            let targets = next(&mut it).into_inner().map(tref).collect();
            let value = expr(next(&mut it));
            let via = take(&mut it, Rule::ident).map(ident);
            Stmt::Assign(Assign { targets, value, via, filter: it.next().map(expr), span: at })
        }
    }
}

fn tref(p: P) -> Ref {
    let at = span(&p);
    let mut it = p.into_inner();
    Ref {
        name: ident(next(&mut it)),
        index: next(&mut it).into_inner().map(expr).collect(),
        span: at,
    }
}

fn directive(p: P) -> Directive {
    let at = span(&p);
    let mut it = p.into_inner();
    let mut out =
        Directive { name: ident(next(&mut it)), args: Vec::new(), has_clause: false, span: at };
    for p in it {
        match p.as_rule() {
            Rule::darg => {
                let mut inner = p.into_inner();
                out.args.push(arg(next(&mut inner)));
                out.has_clause |= inner.next().is_some();
            }
            _ => out.has_clause = true,
        }
    }
    out
}

fn expr(p: P) -> Expr {
    let at = span(&p);
    let text = p.as_str();
    match p.as_rule() {
        Rule::expr | Rule::and_ => {
            let op = if p.as_rule() == Rule::expr { Op::Or } else { Op::And };
            let mut parts = p.into_inner().map(expr);
            let first = parts.next().expect("at least one operand");
            parts.fold(first, |l, r| binary(op, l, r))
        }
        Rule::cmp | Rule::add | Rule::mul => {
            let mut it = p.into_inner();
            let mut out = expr(next(&mut it));
            while let Some(op) = it.next() {
                out = binary(operator(op.as_str().trim()), out, expr(next(&mut it)));
            }
            out
        }
        Rule::unary => {
            let inner = expr(next(&mut p.into_inner()));
            if text.starts_with('-') {
                Expr { kind: ExprKind::Neg(Box::new(inner)), span: at }
            } else {
                inner
            }
        }
        Rule::postfix => postfix(p),
        Rule::atom => expr(next(&mut p.into_inner())),
        Rule::int => Expr { kind: int(text), span: at },
        Rule::float => Expr {
            kind: ExprKind::Float(text.replace('_', "").parse().unwrap_or(f64::NAN)),
            span: at,
        },
        Rule::tuple => {
            let mut args = call(p);
            if args.len() == 1
                && args[0].binder.is_none()
                && args[0].named.is_none()
                && !text.trim_end_matches(')').trim_end().ends_with(',')
            {
                return args.remove(0).value;
            }
            Expr { kind: ExprKind::Tuple(args), span: at }
        }
        Rule::array => Expr { kind: ExprKind::Array(p.into_inner().map(expr).collect()), span: at },
        _ => Expr { kind: ExprKind::Name(text.to_string()), span: at },
    }
}

/// A number too large for `i64` becomes a float, which no size accepts.
fn int(text: &str) -> ExprKind {
    let digits = text.replace('_', "");
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    value.map_or(ExprKind::Float(f64::INFINITY), ExprKind::Int)
}

fn postfix(p: P) -> Expr {
    let start = span(&p);
    let mut it = p.into_inner();
    let mut out = expr(next(&mut it));
    for p in it {
        let at = start_to(start, span(&p));
        let base = Box::new(out);
        let kind = match p.as_rule() {
            Rule::index => ExprKind::Index { base, args: p.into_inner().map(expr).collect() },
            Rule::call => ExprKind::Call { base, args: call(p) },
            _ => ExprKind::Field { base, name: ident(next(&mut p.into_inner())) },
        };
        out = Expr { kind, span: at };
    }
    out
}

fn start_to(start: Span, end: Span) -> Span {
    Span::new(start.start, end.end)
}

fn binary(op: Op, lhs: Expr, rhs: Expr) -> Expr {
    let span = lhs.span.to(rhs.span);
    Expr { kind: ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span }
}

fn operator(text: &str) -> Op {
    match text {
        "<=" => Op::Le,
        ">=" => Op::Ge,
        "==" => Op::Eq,
        "!=" => Op::Ne,
        "<" => Op::Lt,
        ">" => Op::Gt,
        "+" => Op::Add,
        "-" => Op::Sub,
        "*" => Op::Mul,
        "/" => Op::Div,
        _ => Op::Rem,
    }
}
