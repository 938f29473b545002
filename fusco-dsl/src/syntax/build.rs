//! Pest pairs to tree. With `grammar` and `expect`, the only file that knows pest.
//!
//! A mistake blanks the smallest item around it and the parse goes on, so one run reports several.

use super::ast::*;
use super::grammar::{Grammar, Rule};
use super::{expect, limits};
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::Span;
use pest::Parser;
use pest::iterators::{Pair, Pairs};

/// Most mistakes reported in one run.
const MOST_ERRORS: usize = 20;

/// What a text says, and what is wrong with it.
#[derive(Default)]
pub struct Parsed {
    pub file: File,
    pub diagnostics: Diagnostics,
    /// Whether the tree has every item: each mistake was mended in place, none left an item out.
    pub whole: bool,
}

/// Parses a file. The tree lacks the items that have errors.
pub fn parse(text: &str) -> (File, Diagnostics) {
    let parsed = read(text);
    (parsed.file, parsed.diagnostics)
}

/// As [`parse`], and whether something was left out.
pub fn read(text: &str) -> Parsed {
    let mut out = Parsed::default();
    if let Some(diagnostic) = limits::beyond(text) {
        out.diagnostics.push(diagnostic);
        return out;
    }
    let (mut source, mut whole) = expect::blank_lexical_errors(text, &mut out.diagnostics);
    let lexical = out.diagnostics.0.iter();
    let lexical: Vec<Span> =
        lexical.flat_map(|d| [d.span, d.fix.as_ref().map_or(d.span, |f| f.span)]).collect();
    for _ in 0..MOST_ERRORS {
        if out.diagnostics.0.len() >= MOST_ERRORS {
            break;
        }
        match Grammar::parse(Rule::file, &source) {
            Ok(mut pairs) => {
                let mut builder = Builder { diagnostics: &mut out.diagnostics };
                out.file = pairs.next().map(|p| builder.file(p)).unwrap_or_default();
                out.whole = whole;
                break;
            }
            Err(error) => {
                let (mut diagnostic, rest) = expect::explain(&source, &error);
                // What stands where a token was no token says nothing new.
                let meets =
                    |s: &Span| s.start < diagnostic.span.end && diagnostic.span.start < s.end;
                if !lexical.iter().any(meets) {
                    settle(&mut diagnostic, &mut out.diagnostics, &source);
                    out.diagnostics.push(diagnostic);
                }
                match rest {
                    Some((rest, mended)) => (source, whole) = (rest, whole && mended),
                    None => break,
                }
            }
        }
    }
    out.diagnostics.0.iter_mut().for_each(|d| d.snap(text));
    out
}

/// A mistake that an edit leaves out is not said again; an edit that would write what was blanked is none.
fn settle(diagnostic: &mut Diagnostic, earlier: &mut Diagnostics, source: &str) {
    let Some(fix) = diagnostic.fix.clone() else { return };
    let inside = |s: Span| fix.span.start <= s.start && s.end <= fix.span.end;
    let lexical = |d: &Diagnostic| matches!(d.code, "F0002" | "F0003" | "F0004") && inside(d.span);
    let blanked = earlier.0.iter().filter(|d| lexical(d) && d.fix.is_none());
    let mut texts = blanked.filter_map(|d| source.get(d.span.start as usize..d.span.end as usize));
    if texts.any(|t| fix.replacement.contains(t.trim())) {
        diagnostic.fix = None;
    } else {
        earlier.0.retain(|d| !lexical(d));
    }
}

struct Builder<'d> {
    diagnostics: &'d mut Diagnostics,
}

type P<'i> = Pair<'i, Rule>;

fn span(pair: &P) -> Span {
    let s = pair.as_span();
    let text = s.as_str().trim_end();
    Span::new(s.start() as u32, (s.start() + text.len()) as u32)
}

fn ident(pair: P) -> Ident {
    Ident { name: pair.as_str().to_string(), span: span(&pair) }
}

/// The missing word of a tree that the grammar does not produce.
fn nobody(at: Span) -> Ident {
    Ident { name: String::new(), span: at }
}

fn docs(pairs: &mut Pairs<Rule>) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(doc) = pairs.peek().filter(|p| p.as_rule() == Rule::doc) {
        out.push(doc.as_str()[3..].trim().to_string());
        pairs.next();
    }
    out
}

fn take<'i>(pairs: &mut Pairs<'i, Rule>, rule: Rule) -> Option<P<'i>> {
    let found = pairs.peek().filter(|p| p.as_rule() == rule);
    if found.is_some() { pairs.next() } else { None }
}

fn next_ident(pairs: &mut Pairs<Rule>, at: Span) -> Ident {
    take(pairs, Rule::ident).map_or_else(|| nobody(at), ident)
}

fn idents(pair: P) -> Vec<Ident> {
    pair.into_inner().map(ident).collect()
}

impl Builder<'_> {
    fn file(&mut self, pair: P) -> File {
        File {
            programs: pair
                .into_inner()
                .filter(|p| p.as_rule() == Rule::program)
                .map(|p| self.program(p))
                .collect(),
        }
    }

    fn program(&mut self, pair: P) -> Program {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        Program { docs, name, decls: inner.filter_map(|p| self.decl(p)).collect(), span: at }
    }

    fn decl(&mut self, pair: P) -> Option<Decl> {
        Some(match pair.as_rule() {
            Rule::mesh => Decl::Mesh(self.mesh(pair)),
            Rule::konst => Decl::Const(self.konst(pair)),
            Rule::param => Decl::Param(self.param(pair)),
            Rule::dynp => Decl::Dyn(self.dynp(pair)),
            Rule::tensor => Decl::Tensor(self.tensor(pair)),
            Rule::route => Decl::Route(self.route(pair)),
            Rule::assume => Decl::Assume(self.claims(pair)),
            Rule::prove => Decl::Prove(self.claims(pair)),
            Rule::entry => Decl::Entry(self.entry(pair)),
            _ => return None,
        })
    }

    fn mesh(&mut self, pair: P) -> Mesh {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        let range = take(&mut inner, Rule::range).and_then(|r| {
            let mut ends = r.into_inner();
            Some((self.expr(ends.next()?), self.expr(ends.next()?)))
        });
        let axes = inner.map(|axis| self.mesh_axis(axis)).collect();
        Mesh { docs, name, at: range, axes, span: at }
    }

    fn mesh_axis(&mut self, pair: P) -> MeshAxis {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let name = next_ident(&mut inner, at);
        let kind = match inner.next() {
            Some(of) if of.as_rule() == Rule::idents => MeshAxisKind::Alias(idents(of)),
            size => MeshAxisKind::Size(self.expr_or(size, at)),
        };
        MeshAxis { name, kind }
    }

    fn konst(&mut self, pair: P) -> Const {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        Const { docs, name, value: self.expr_or(inner.next(), at), span: at }
    }

    fn param(&mut self, pair: P) -> Param {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        let ty = next_ident(&mut inner, at);
        let choices = take(&mut inner, Rule::tuple).map(|t| self.expr(t));
        Param { docs, name, ty, choices, constraint: inner.next().map(|c| self.expr(c)), span: at }
    }

    fn dynp(&mut self, pair: P) -> Dyn {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        let mut words = Vec::new();
        while let Some(word) = take(&mut inner, Rule::ident) {
            words.push(ident(word));
        }
        let ty = words.pop().unwrap_or_else(|| nobody(at));
        let bound = self.expr_or(inner.next(), at);
        Dyn {
            docs,
            name,
            axes: words,
            ty,
            bound,
            constraint: inner.next().map(|c| self.expr(c)),
            span: at,
        }
    }

    fn tensor(&mut self, pair: P) -> Tensor {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let word = take(&mut inner, Rule::io);
        let io_span = word.as_ref().map_or(at, span);
        let io = match word.map(|p| p.as_str()) {
            Some("out") => Io::Out,
            Some("inout") => Io::InOut,
            Some("tmp") => Io::Tmp,
            _ => Io::In,
        };
        let name = next_ident(&mut inner, at);
        let dtype = take(&mut inner, Rule::dtype).map(|d| self.called(d));
        let dtype = dtype.unwrap_or_else(|| Word { name: nobody(at), args: None, span: at });
        let mut tensor = Tensor {
            docs,
            io,
            io_span,
            name,
            dtype,
            dims: Vec::new(),
            placement: None,
            attrs: Vec::new(),
            span: at,
        };
        for part in inner {
            match part.as_rule() {
                Rule::dim => tensor.dims.push(self.dim(part)),
                Rule::placement => tensor.placement = Some(self.placement(part)),
                Rule::attrs => tensor.attrs = part.into_inner().map(|a| self.called(a)).collect(),
                _ => {}
            }
        }
        tensor
    }

    /// `ident call?`, also behind a `.` or `else`.
    fn called(&mut self, pair: P) -> Word {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let name = next_ident(&mut inner, at);
        Word { name, args: take(&mut inner, Rule::call).map(|c| self.args(c)), span: at }
    }

    fn dim(&mut self, pair: P) -> Dim {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let name = next_ident(&mut inner, at);
        let extent = match inner.next() {
            Some(extent) => self.extent(extent),
            None => Extent { size: None, bound: None, span: at },
        };
        Dim { name, extent, span: at }
    }

    fn extent(&mut self, pair: P) -> Extent {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let ragged = take(&mut inner, Rule::ragged).is_some();
        let size = if ragged { None } else { inner.next().map(|e| self.expr(e)) };
        Extent { size, bound: inner.next().map(|e| self.expr(e)), span: at }
    }

    fn placement(&mut self, pair: P) -> Placement {
        Placement { span: span(&pair), terms: pair.into_inner().map(|t| self.term(t)).collect() }
    }

    fn term(&mut self, pair: P) -> Term {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let name = next_ident(&mut inner, at);
        let mut term =
            Term { name, args: None, shard: None, tile: None, mods: Vec::new(), span: at };
        for part in inner {
            match part.as_rule() {
                Rule::call => term.args = Some(self.args(part)),
                Rule::pshard => term.shard = part.into_inner().next().map(ident),
                Rule::ptile => term.tile = part.into_inner().next().map(|k| self.expr(k)),
                Rule::pmod => term.mods.push(self.called(part)),
                _ => {}
            }
        }
        term
    }

    fn route(&mut self, pair: P) -> Route {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        let sources = take(&mut inner, Rule::idents).map(idents).unwrap_or_default();
        let dests = take(&mut inner, Rule::idents).map(idents).unwrap_or_default();
        Route {
            docs,
            name,
            sources,
            dests,
            steps: inner.map(|s| self.route_step(s)).collect(),
            span: at,
        }
    }

    fn route_step(&mut self, pair: P) -> Step {
        let at = span(&pair);
        let cap = pair.as_rule() == Rule::rcap;
        let mut inner = pair.into_inner();
        if cap {
            let cond = self.expr_or(inner.next(), at);
            let orelse = inner.next().map(|o| self.called(o));
            return Step::Cap {
                cond,
                orelse: orelse.unwrap_or_else(|| Word { name: nobody(at), args: None, span: at }),
                span: at,
            };
        }
        let name = next_ident(&mut inner, at);
        let value = self.expr_or(inner.next(), at);
        let order = take(&mut inner, Rule::order).map(order);
        Step::Bind { name, value, order, orelse: inner.next().map(|o| self.called(o)), span: at }
    }

    fn claims(&mut self, pair: P) -> Claims {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        Claims { docs, claims: inner.map(|c| self.expr(c)).collect(), span: at }
    }

    fn entry(&mut self, pair: P) -> Entry {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let docs = docs(&mut inner);
        let name = next_ident(&mut inner, at);
        let derived = take(&mut inner, Rule::derived).map(|d| self.called(d));
        Entry { docs, name, derived, stmts: inner.map(|s| self.stmt(s)).collect(), span: at }
    }

    fn stmt(&mut self, pair: P) -> Stmt {
        let at = span(&pair);
        match pair.as_rule() {
            Rule::plan => Stmt::Plan(next_ident(&mut pair.into_inner(), at)),
            Rule::assume => Stmt::Assume(self.claims(pair)),
            Rule::prove => Stmt::Prove(self.claims(pair)),
            Rule::schedule => Stmt::Schedule(self.schedule(pair)),
            _ => Stmt::Assign(self.assign(pair)),
        }
    }

    fn assign(&mut self, pair: P) -> Assign {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let lhs = inner.next();
        let tuple = lhs.as_ref().is_some_and(|l| l.as_str().starts_with('('));
        let targets =
            lhs.map(|l| l.into_inner().map(|t| self.tensor_ref(t)).collect()).unwrap_or_default();
        let value = self.expr_or(inner.next(), at);
        let via = take(&mut inner, Rule::ident).map(ident);
        Assign { targets, tuple, value, via, filter: inner.next().map(|c| self.expr(c)), span: at }
    }

    fn tensor_ref(&mut self, pair: P) -> Ref {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let name = next_ident(&mut inner, at);
        let index = inner.next().map(|i| i.into_inner().map(|e| self.expr(e)).collect());
        Ref { name, index: index.unwrap_or_default(), span: at }
    }

    fn schedule(&mut self, pair: P) -> Schedule {
        let at = span(&pair);
        let mut schedule = Schedule { when: None, directives: Vec::new(), span: at };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::directive => schedule.directives.push(self.directive(part)),
                _ => schedule.when = Some(self.expr(part)),
            }
        }
        schedule
    }

    fn directive(&mut self, pair: P) -> Directive {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let name = next_ident(&mut inner, at);
        let mut clauses = self.clauses(&mut inner);
        let mut args = Vec::new();
        for arg in inner {
            let mut parts = arg.into_inner();
            if let Some(arg) = parts.next() {
                args.push(self.arg(arg));
                clauses.extend(self.clauses(&mut parts));
            }
        }
        Directive { name, args, clauses, span: at }
    }

    fn clauses(&mut self, inner: &mut Pairs<Rule>) -> Vec<(String, Expr)> {
        let mut out = Vec::new();
        while let Some(word) = take(inner, Rule::dkw) {
            let at = span(&word);
            out.push((word.as_str().to_string(), self.expr_or(inner.next(), at)));
        }
        out
    }

    fn args(&mut self, pair: P) -> Vec<Arg> {
        pair.into_inner().map(|a| self.arg(a)).collect()
    }

    fn arg(&mut self, pair: P) -> Arg {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let (mut binder, mut named) = (None, None);
        let mut first = inner.next();
        match first.as_ref().map(|p| p.as_rule()) {
            Some(Rule::binder) => {
                let names = first.take().map(|b| b.into_inner());
                let names = names.into_iter().flatten().flat_map(|n| {
                    if n.as_rule() == Rule::idents { idents(n) } else { vec![ident(n)] }
                });
                binder = Some(names.collect());
            }
            Some(Rule::ident) => named = first.take().map(ident),
            _ => {}
        }
        Arg { binder, named, value: self.expr_or(first.or_else(|| inner.next()), at) }
    }

    fn expr_or(&mut self, pair: Option<P>, at: Span) -> Expr {
        match pair {
            Some(pair) => self.expr(pair),
            None => Expr { kind: ExprKind::Name(String::new()), span: at },
        }
    }

    fn expr(&mut self, pair: P) -> Expr {
        let at = span(&pair);
        let kind = match pair.as_rule() {
            Rule::expr => return self.chain(pair, Some(Op::Or)),
            Rule::and_ => return self.chain(pair, Some(Op::And)),
            Rule::cmp | Rule::add | Rule::mul => return self.chain(pair, None),
            Rule::unary => return self.unary(pair),
            Rule::postfix | Rule::rounded => return self.postfix(pair),
            Rule::atom => return self.expr_or(pair.into_inner().next(), at),
            Rule::int => ExprKind::Int(self.int(&pair)),
            Rule::float => {
                ExprKind::Float(pair.as_str().replace('_', "").parse().unwrap_or(f64::INFINITY))
            }
            Rule::tuple => return self.tuple(pair),
            Rule::array => ExprKind::Array(pair.into_inner().map(|e| self.expr(e)).collect()),
            _ => ExprKind::Name(pair.as_str().to_string()),
        };
        Expr { kind, span: at }
    }

    /// `(a)` is `a` in parentheses; `(a,)` and `(a, b)` are tuples.
    fn tuple(&mut self, pair: P) -> Expr {
        let at = span(&pair);
        let comma =
            pair.as_str().trim_end_matches(|c: char| c == ')' || c.is_whitespace()).ends_with(',');
        let mut args = self.args(pair);
        match args.pop() {
            Some(Arg { binder: None, named: None, value }) if args.is_empty() && !comma => {
                Expr { span: at, ..value }
            }
            last => {
                args.extend(last);
                Expr { kind: ExprKind::Tuple(args), span: at }
            }
        }
    }

    /// Left-associative; `op` if the grammar has no token for it.
    fn chain(&mut self, pair: P, op: Option<Op>) -> Expr {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let mut lhs = self.expr_or(inner.next(), at);
        while let Some(next) = inner.next() {
            let (op, rhs) = match op {
                Some(op) => (op, Some(next)),
                None => (operator(next.as_str().trim()), inner.next()),
            };
            let rhs = self.expr_or(rhs, at);
            let span = lhs.span.to(rhs.span);
            lhs = Expr {
                kind: ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) },
                span,
            };
        }
        lhs
    }

    fn unary(&mut self, pair: P) -> Expr {
        let at = span(&pair);
        let negative = pair.as_str().starts_with('-');
        let inner = self.expr_or(pair.into_inner().next(), at);
        if negative { Expr { kind: ExprKind::Neg(Box::new(inner)), span: at } } else { inner }
    }

    fn postfix(&mut self, pair: P) -> Expr {
        let at = span(&pair);
        let mut inner = pair.into_inner();
        let mut base = self.expr_or(inner.next(), at);
        for part in inner {
            let end = span(&part);
            let whole = base.span.to(end);
            let boxed = Box::new(base);
            let kind = match part.as_rule() {
                Rule::index => ExprKind::Index {
                    base: boxed,
                    args: part.into_inner().map(|e| self.expr(e)).collect(),
                },
                Rule::call => {
                    let args = self.args(part);
                    super::rounded::written_out(&boxed, &args, whole)
                        .unwrap_or(ExprKind::Call { base: boxed, args })
                }
                _ => ExprKind::Field { base: boxed, name: next_ident(&mut part.into_inner(), end) },
            };
            base = Expr { kind, span: whole };
        }
        base
    }

    fn int(&mut self, pair: &P) -> i64 {
        let text = pair.as_str().replace('_', "");
        let value = match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        value.unwrap_or_else(|_| {
            let message = format!("`{}` is not a 64-bit integer", pair.as_str());
            self.diagnostics.push(
                Diagnostic::error("F0002", span(pair), message)
                    .help("the largest is 9223372036854775807"),
            );
            0
        })
    }
}

fn order(pair: P) -> Order {
    let at = span(&pair);
    let inner = pair.into_inner().next();
    let tuple = inner.as_ref().is_some_and(|i| i.as_rule() == Rule::idents);
    let keys = inner.map(|i| if tuple { idents(i) } else { vec![ident(i)] }).unwrap_or_default();
    Order { keys, tuple, span: at }
}

fn operator(text: &str) -> Op {
    Op::ALL.iter().find(|(symbol, _)| *symbol == text).map_or(Op::Add, |(_, op)| *op)
}
