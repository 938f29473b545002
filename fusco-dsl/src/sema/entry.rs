//! Entries: statements over bound variables, joined with a route.

use super::checker::{Checked, Checker, Counted, Stop};
use super::extent::rename;
use super::facts::same;
use super::frame::Frame;
use super::hir::{
    self, Assign, Elem, Entry, Expr, ExprKind, Extent, Filter, OrElse, Reducer, Size, Step, Var,
    VarExtent, Via,
};
use super::scope::Symbol;
use super::static_index::size_of;
use super::text;
use crate::arena::{Arena, Handle};
use crate::diag::{Diagnostic, Fix};
use crate::source::Span;
use crate::syntax::ast::{self, Decl, ExprKind as Ast, Ident, Stmt};

impl Checker<'_> {
    pub fn entries(&mut self) {
        let entries = self.decls(|d| if let Decl::Entry(e) = d { Some(e) } else { None });
        for e in entries {
            self.entry(e);
        }
        let proves = self.decls(|d| if let Decl::Prove(c) = d { c.claims.first() } else { None });
        for claim in proves {
            self.push(super::checker::unsupported(claim.span, "`prove` outside an entry"));
        }
        self.resolve_proves();
        self.resolve_counts();
        self.unplanned_routes();
    }

    fn entry(&mut self, e: &ast::Entry) {
        let mut entry = Entry {
            name: e.name.name.clone(),
            docs: e.docs.clone(),
            span: e.name.span,
            plans: Vec::new(),
            takes: Vec::new(),
            stmts: Vec::new(),
            proves: Vec::new(),
            assumes: Vec::new(),
            schedules: Vec::new(),
        };
        let index = self.hir.entries.len();
        let outputs: Vec<String> = targets(e).map(|t| t.name.name.clone()).collect();
        for stmt in &e.stmts {
            match stmt {
                Stmt::Plan(name) => self.plan(&mut entry, name),
                Stmt::Assume(claims) => entry.assumes.extend(self.assume(claims)),
                Stmt::Prove(claims) => {
                    self.pending_proves.extend(claims.claims.iter().map(|c| (index, c.clone())))
                }
                Stmt::Assign(_) | Stmt::Schedule(_) => {}
            }
        }
        let whole = self.diagnostics.0.len();
        let mut above = 0;
        for a in e.stmts.iter().filter_map(|s| if let Stmt::Assign(a) = s { Some(a) } else { None })
        {
            // What is wrong with the value is said once.
            a.apart().all(|one| self.statement(&mut entry, index, &one, (&outputs, above)));
            above += a.targets.len();
        }
        let is_whole = self.diagnostics.0.len() == whole;
        for s in &e.stmts {
            let Stmt::Schedule(s) = s else { continue };
            let schedule = self.schedule(s, is_whole.then_some(&entry));
            if let Some(first) = entry.schedules.iter().find(|s| s.when.is_none()) {
                let diagnostic =
                    Diagnostic::error("F0705", s.span, "this schedule is never chosen")
                        .related(first.span, "this one always is")
                        .help("write `schedule when ..` before the one without a condition");
                self.push(diagnostic);
            }
            entry.schedules.extend(schedule.ok());
        }
        self.hir.entries.push(entry);
    }

    fn plan(&mut self, entry: &mut Entry, name: &Ident) {
        let Ok(route) = self.route_named(name) else { return };
        if entry.plans.contains(&route) {
            return self.push(
                Diagnostic::error("F0102", name.span, format!("`{}` is planned twice", name.name))
                    .help("remove one"),
            );
        }
        entry.plans.push(route);
    }

    fn statement(
        &mut self,
        entry: &mut Entry,
        index: usize,
        a: &ast::Assign,
        (outputs, above): (&[String], usize),
    ) -> bool {
        let assumed = entry.assumes.clone();
        let mut frame = Frame {
            vars: Arena::default(),
            via: None,
            left: Vec::new(),
            reduced: Vec::new(),
            number: None,
            target: a.targets.first().cloned(),
            is_static: false,
            deferred: Vec::new(),
            filtered: a.filter.is_some(),
            assumed: &assumed,
            outputs,
            above,
            bounds: Vec::new(),
            read: Vec::new(),
            needs: Vec::new(),
            counts: Vec::new(),
        };
        let Ok(assign) = self.assign(&mut frame, a) else { return false };
        // Whether statements without a route write one element both is known at bind, but where both write the first.
        let by_plan = |s: &Assign| s.via.is_some() || s.value.is_of_plan();
        let mut others = entry.stmts.iter().filter(|s| s.target == assign.target);
        let at_names = |s: &Assign| {
            s.filter.is_none() && s.index.iter().all(|e| matches!(e.kind, ExprKind::Var(_)))
        };
        let same = |s: &Assign| at_names(s) && at_names(&assign);
        if let Some(first) = others.find(|s| by_plan(s) || by_plan(&assign) || same(s)) {
            let name = self.hir.tensors[assign.target].name.clone();
            let diagnostic = Diagnostic::error(
                "F0504",
                a.targets[0].span,
                format!("`{name}` is written by two statements"),
            )
            .related(first.span, "first here")
            .note("statements of an entry are unordered: neither would be the last")
            .help("write two tensors, or two entries");
            self.push(diagnostic);
            return false;
        }
        for route in frame.needs.iter().copied().chain(assign.via.as_ref().map(|v| v.route)) {
            self.pending_takes.push((index, route));
        }
        self.pending_counts.extend(frame.counts.into_iter().map(|of| (index, of)));
        self.written.entry(assign.target).or_insert(assign.span);
        entry.stmts.push(assign);
        true
    }

    fn assign(&mut self, frame: &mut Frame, a: &ast::Assign) -> Checked<Assign> {
        let Some(target_ref) = a.targets.first() else { return Err(Stop) };
        // The sides are separate mistakes: look at the target even if the route is unknown.
        let via = a.via.as_ref().map(|name| self.route_named(name)).transpose();
        let target = self.tensor_named(&target_ref.name);
        let (via, target) = (via?, target?);
        if self.hir.tensors[target].io == hir::Io::In {
            if let Some(found) = self.turned(a) {
                return self.fail(found);
            }
            let name = &target_ref.name.name;
            let fix = self.fix_io(name, if via.is_some() { "out" } else { "inout" });
            return self.fail(
                Diagnostic::error("F0507", target_ref.name.span, format!("`{name}` is an input"))
                    .label("written here")
                    .help(format!("declare it `out {name}`, or `inout {name}`"))
                    .fixed(fix),
            );
        }
        let metadata = super::value::is_metadata(&a.value);
        if via.is_some() || metadata {
            self.behind_route(target, target_ref.name.span)?;
        }
        match via {
            Some(route) => join(frame, route, &self.hir.routes[route]),
            None if metadata => {}
            None => {
                self.forgot_via(a)?;
                frame.bounds = a.filter.as_ref().map_or(Vec::new(), |f| self.bounds(f));
                let (index, value) = self.static_sides(frame, a, target, target_ref)?;
                self.same_type(target, &value, &a.value)?;
                let filter = a.filter.as_ref().map(|f| self.filter(frame, f)).transpose()?;
                return Ok(assignment(frame, a, target, (index, value, filter)));
            }
        }
        let mut index = self.left_side(frame, target, target_ref)?;
        let value = match metadata {
            true => self.value(frame, &a.value, self.hir.tensors[target].dtype.elem)?,
            false => self.assigned(frame, target, &a.value)?,
        };
        self.rest_of_left(frame, target, target_ref, &mut index)?;
        let index: Vec<Expr> = index.into_iter().flatten().collect();
        self.at_tuple(frame, &index)?;
        self.no_conflict(frame, target, target_ref, &a.value)?;
        self.same_type(target, &value, &a.value)?;
        if let (Some(filter), true) = (&a.filter, metadata) {
            return self.unsupported(filter.span, "`where` on numbers of a plan");
        }
        let filter = a.filter.as_ref().map(|f| self.filter(frame, f)).transpose()?;
        self.covered(frame, target, target_ref, (&value, filter.is_some()))?;
        Ok(assignment(frame, a, target, (index, value, filter)))
    }

    pub fn no_diagonal(&mut self, frame: &Frame, target: &ast::Ref) -> Checked<()> {
        match (0..frame.left.len()).find(|i| frame.left[..*i].contains(&frame.left[*i])) {
            Some(i) => self.unsupported(
                target.index[i].span,
                format!("`{}` twice on the left", frame.vars[frame.left[i]].name),
            ),
            None => Ok(()),
        }
    }

    /// The indices of something read.
    pub fn index(
        &mut self,
        frame: &mut Frame,
        tensor: Handle<hir::Tensor>,
        args: &[ast::Expr],
        span: Span,
    ) -> Checked<Vec<Expr>> {
        self.arity(tensor, args.len(), span)?;
        let mut index = vec![None; args.len()];
        self.named_indices(frame, tensor, args, &mut index, false)?;
        self.other_indices(frame, tensor, args, &mut index)?;
        let index: Vec<Expr> = index.into_iter().flatten().collect();
        self.in_range(frame, tensor, &index)?;
        Ok(index)
    }

    /// Plain names. On the left they become variables; on the right only those whose extent is to be found there.
    pub fn named_indices(
        &mut self,
        frame: &mut Frame,
        tensor: Handle<hir::Tensor>,
        args: &[ast::Expr],
        out: &mut [Option<Expr>],
        left: bool,
    ) -> Checked<()> {
        for (axis, arg) in args.iter().enumerate() {
            let counted =
                matches!(self.hir.tensors[tensor].axes[axis].extent, Extent::Counted { .. });
            if counted && !frame.is_static {
                return self.unsupported(arg.span, "a counted axis in a statement with a route");
            }
            let Ast::Name(name) = &arg.kind else { continue };
            let name = Ident { name: name.clone(), span: arg.span };
            let known = frame.vars.iter().find(|(_, v)| v.name == name.name).map(|(h, _)| h);
            if known.is_none() && self.is_size(&name.name) {
                continue;
            }
            if known.is_none() && !left && frame.deferred.iter().all(|n| n.name != name.name) {
                return self.unbound(&name);
            }
            let at = (tensor, axis);
            let var = match frame.is_static {
                true => self.without_route(frame, (known, &name), at, (args, out, left))?,
                false => self.with_route(frame, (known, &name), at, out)?,
            };
            out[axis] = Some(Expr { kind: ExprKind::Var(var), ty: Elem::I64, span: arg.span });
        }
        Ok(())
    }

    /// The variable of that name, which has the extent of the axis.
    fn without_route(
        &mut self,
        frame: &mut Frame,
        (known, name): (Option<Handle<Var>>, &Ident),
        (tensor, axis): (Handle<hir::Tensor>, usize),
        (args, index, left): (&[ast::Expr], &[Option<Expr>], bool),
    ) -> Checked<Handle<Var>> {
        let extent = self.static_extent(tensor, axis, index, name.span)?;
        let Some(var) = known else {
            let extent = self.bounded(frame, name, extent);
            return Ok(frame.vars.append(Var { name: name.name.clone(), extent }));
        };
        if self.is_padded(frame, var, &extent) {
            frame.vars[var].extent = extent;
        } else {
            self.ranges_over(frame, (var, name), (tensor, axis), &extent, args)?;
        }
        if !left {
            frame.read.push(var);
        }
        Ok(var)
    }

    /// The extent of an axis, or what the statement's condition leaves of it.
    fn bounded(&self, frame: &Frame, name: &Ident, extent: VarExtent) -> VarExtent {
        let VarExtent::Fixed(size) = &extent else { return extent };
        match frame.bound(&name.name) {
            Some(bound) if self.facts.at_most(bound, size) => VarExtent::Fixed(bound.clone()),
            _ => extent,
        }
    }

    /// Whether what is read is known to be shorter than the target, the rest of which keeps its fill or its old
    /// value, or is for other statements.
    fn is_padded(&self, frame: &Frame, var: Handle<Var>, extent: &VarExtent) -> bool {
        let Some(target) = frame.target.as_ref().and_then(|t| self.hir.tensor(&t.name.name)) else {
            return false;
        };
        let info = &self.hir.tensors[target];
        let others = frame.outputs.iter().filter(|o| **o == info.name).count() > 1;
        let rest = info.attrs.fill.is_some() || info.io == hir::Io::InOut || others;
        let (VarExtent::Fixed(has), true) = (&frame.vars[var].extent, rest) else { return false };
        let most = match extent {
            VarExtent::Fixed(size) if same(size, has) => return false,
            VarExtent::Fixed(size) => self.at_bounds(size),
            VarExtent::Counted { bound, .. } => bound.clone(),
            VarExtent::Ragged(_) => return false,
        };
        frame.left.contains(&var) && !frame.read.contains(&var) && self.facts.at_most(&most, has)
    }

    /// The same behind a route, which has variables of its own.
    fn with_route(
        &mut self,
        frame: &mut Frame,
        (known, name): (Option<Handle<Var>>, &Ident),
        (tensor, axis): (Handle<hir::Tensor>, usize),
        index: &[Option<Expr>],
    ) -> Checked<Handle<Var>> {
        let extent = self.axis_extent(tensor, axis, index);
        let var = match (known, &extent) {
            (Some(var), _) => var,
            (None, Some(size)) => {
                let (name, extent) = (name.name.clone(), VarExtent::Fixed(size.clone()));
                frame.vars.append(Var { name, extent })
            }
            (None, None) => return self.wrong_axis(tensor, axis, name, "not the slot of a route"),
        };
        let parent = axis.checked_sub(1).and_then(|before| match index[before].as_ref()?.kind {
            ExprKind::Var(v) => Some(v),
            _ => None,
        });
        self.fits(frame, tensor, axis, (var, name.span), &extent, parent)?;
        Ok(var)
    }

    /// F0501 where the left would compute with a variable of the route: it names each tuple by its variables as they
    /// are.
    fn at_tuple(&mut self, frame: &Frame, index: &[Expr]) -> Checked<()> {
        let Some(via) = &frame.via else { return Ok(()) };
        let routed = |e: &&Expr| via.sources.iter().chain(&via.dests).any(|v| e.mentions(*v));
        let mut computed = index.iter().filter(|e| !matches!(e.kind, ExprKind::Var(_)));
        match computed.find(routed) {
            Some(e) => {
                let what = "a variable of the route in a computed index on the left";
                self.unsupported(e.span, what)
            }
            None => Ok(()),
        }
    }

    /// The extent in terms of the statement's variables; `None` if ragged.
    fn axis_extent(
        &self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        index: &[Option<Expr>],
    ) -> Option<Size> {
        match &self.hir.tensors[tensor].axes[axis].extent {
            Extent::Fixed(size) => {
                let index = Vec::from_iter(index.iter().map(|e| size_of(e.as_ref()?)));
                rename(size, &index)
            }
            Extent::Ragged { .. } | Extent::Counted { .. } => None,
        }
    }

    pub fn unbound<T>(&mut self, name: &Ident) -> Checked<T> {
        match self.scope.get(&name.name) {
            Some(Symbol::Poison) => Err(Stop),
            Some(
                Symbol::Const(_)
                | Symbol::Param(_)
                | Symbol::Mesh(_)
                | Symbol::Alias(_)
                | Symbol::Dyn(_),
            ) => self.unsupported(name.span, "an index that is not a variable"),
            _ => {
                let meant = self.variable_meant(name);
                let mut found = Diagnostic::error(
                    "F0502",
                    name.span,
                    format!("`{}` is neither on the left nor reduced", name.name),
                )
                .note(format!("no route, reducer or left side gives `{}` a value", name.name))
                .help(format!("put `{0}` on the left, or reduce it: `sum({0}: ..)`", name.name));
                if let Some(meant) = meant {
                    found = found.help(format!("write `{meant}`")).fix(name.span, meant);
                }
                self.fail(found)
            }
        }
    }

    /// F0201, F0202, F0207, F0406: the variable ranges over exactly this axis.
    fn fits(
        &mut self,
        frame: &Frame,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        (var, span): (Handle<Var>, Span),
        extent: &Option<Size>,
        parent: Option<Handle<Var>>,
    ) -> Checked<()> {
        let name = Ident { name: frame.vars[var].name.clone(), span };
        match (&frame.vars[var].extent, extent) {
            (VarExtent::Fixed(a), Some(b)) if same(a, b) => Ok(()),
            (VarExtent::Ragged(route), None) => {
                let group = frame.via.as_ref().and_then(|v| v.dests.first().copied());
                if parent.is_none() || parent != group {
                    return self.wrong_axis(
                        tensor,
                        axis,
                        &name,
                        "not behind the group that counts it",
                    );
                }
                self.count_by(tensor, axis, *route, span)
            }
            (VarExtent::Fixed(a), Some(b)) => self.unequal(frame, tensor, axis, &name, a, b),
            (VarExtent::Fixed(a), None) => {
                let got = self.show(frame, a);
                self.wrong_axis(tensor, axis, &name, &format!("extent {got}"))
            }
            (VarExtent::Counted { .. }, _) | (VarExtent::Ragged(_), Some(_)) => {
                self.wrong_axis(tensor, axis, &name, "a ragged slot")
            }
        }
    }

    fn unequal(
        &mut self,
        frame: &Frame,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        name: &Ident,
        a: &Size,
        b: &Size,
    ) -> Checked<()> {
        let info = &self.hir.tensors[tensor];
        let (a, b) = (self.show(frame, a), self.show(frame, b));
        if info.axes.iter().any(|x| x.name == name.name) && info.axes[axis].name != name.name {
            return self.wrong_axis(tensor, axis, name, &format!("extent {a}"));
        }
        let tensor_name = info.name.clone();
        let axis_name = info.axes[axis].name.clone();
        let group = frame
            .via
            .as_ref()
            .filter(|v| v.dests.first().is_some_and(|d| frame.vars[*d].name == name.name));
        let (code, claim) = match group {
            Some(via) => {
                let route = self.hir.routes[via.route].name.clone();
                (
                    "F0207",
                    format!(
                        "route `{route}` indexes an axis of extent {a}, used on `{tensor_name}` of extent {b}"
                    ),
                )
            }
            None => {
                ("F0202", format!("`{}` has extent {a} here, {b} in `{tensor_name}`", name.name))
            }
        };
        self.fail(
            Diagnostic::error(code, name.span, claim)
                .label(format!("axis `{axis_name}` of `{tensor_name}` has extent {b}"))
                .note(format!("{a} == {b} is not known"))
                .help("use one size for both, or another variable"),
        )
    }

    fn wrong_axis<T>(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        name: &Ident,
        got: &str,
    ) -> Checked<T> {
        let info = &self.hir.tensors[tensor];
        let axes = info.axes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ");
        let diagnostic = Diagnostic::error(
            "F0201",
            name.span,
            format!(
                "index {} of `{}` is axis `{}`, got `{}` ({got})",
                axis + 1,
                info.name,
                info.axes[axis].name,
                name.name
            ),
        )
        .note(format!("axes of `{}` are [{axes}]", info.name))
        .help(format!("write `{}[{axes}]`", info.name))
        .fixed(self.reorder(name.span, &axes.split(", ").collect::<Vec<_>>()));
        self.fail(diagnostic)
    }

    /// A ragged axis has one route that counts it (F0406).
    fn count_by(
        &mut self,
        tensor: Handle<hir::Tensor>,
        axis: usize,
        route: Handle<hir::Route>,
        span: Span,
    ) -> Checked<()> {
        let Some(counted) = self.counted.get(&tensor) else {
            self.counted.insert(tensor, Counted { route, span });
            return Ok(());
        };
        if counted.route == route {
            return Ok(());
        }
        let (r, q) = (&self.hir.routes[counted.route].name, &self.hir.routes[route].name);
        let info = &self.hir.tensors[tensor];
        let diagnostic = Diagnostic::error(
            "F0406",
            span,
            format!(
                "ragged axis `{}` of `{}` is counted by route `{r}`; `{q}` may give other counts",
                info.axes[axis].name, info.name
            ),
        )
        .related(counted.span, format!("counted by `{r}` here"))
        .note("the length of a ragged axis is the number of tuples that one route sends to it")
        .help(format!("use `via {r}`, or another tensor"));
        self.fail(diagnostic)
    }

    pub fn show(&self, frame: &Frame, size: &Size) -> String {
        let names: Vec<&str> = frame.vars.iter().map(|(_, v)| v.name.as_str()).collect();
        text::size(&self.hir, size, &names)
    }

    /// F0501: the left side or a reducer determines every variable of the route.
    fn no_conflict(
        &mut self,
        frame: &Frame,
        written: Handle<hir::Tensor>,
        target: &ast::Ref,
        value: &ast::Expr,
    ) -> Checked<()> {
        let Some(via) = &frame.via else { return Ok(()) };
        let bound = |v: &Handle<Var>| frame.left.contains(v) || frame.reduced.contains(v);
        if via.dests.iter().all(|v| frame.left.contains(v)) || via.sources.iter().all(bound) {
            return Ok(());
        }
        let by_dest = via.dests.iter().any(|v| frame.left.contains(v));
        let side = if by_dest { &via.dests } else { &via.sources };
        let name = |v: &Handle<Var>| frame.vars[*v].name.clone();
        let missing: Vec<String> = side.iter().filter(|v| !bound(v)).map(name).collect();
        let fix = match &missing[..] {
            [k] if !by_dest => self.summed(written, k, value),
            _ => None,
        };
        let (missing, tensor) = (missing.join("`, `"), &target.name.name);
        let route = &self.hir.routes[via.route].name;
        let left =
            frame.left.iter().map(name).map(|n| format!("{n}=0")).collect::<Vec<_>>().join(", ");
        let many = match side.iter().find(|v| !bound(v)).map(|v| &frame.vars[*v].extent) {
            Some(VarExtent::Fixed(size)) => {
                format!("up to {} = {}", missing, self.show(frame, size))
            }
            _ => "several".to_string(),
        };
        let help = if by_dest {
            format!("add `{missing}` to the left")
        } else {
            format!("reduce it: `sum({missing}: ..)`")
        };
        let diagnostic = Diagnostic::error(
            "F0501",
            target.span,
            format!("two sources write one element of `{tensor}`"),
        )
        .label(format!("`{missing}` is bound by route `{route}` but does not appear here"))
        .note(format!("{many} values reach {tensor}[{left}]"))
        .help(help)
        .fixed(fix);
        self.fail(diagnostic)
    }

    /// A value summed over a source, in the type of the target.
    fn summed(&self, target: Handle<hir::Tensor>, k: &str, value: &ast::Expr) -> Option<Fix> {
        let to = self.hir.tensors[target].dtype.elem;
        let inner = match &value.kind {
            Ast::Call { base, args } if base.as_name() == Some("cast") => &args.get(1)?.value,
            _ => value,
        };
        let sum = format!("sum({k}: {})", text::expr(inner));
        let replacement = match to {
            to if to.is_integer() => return None,
            Elem::F32 | Elem::F64 => sum,
            to => format!("cast({}, {sum})", to.name()),
        };
        Some(Fix { span: value.span, replacement })
    }

    /// F0503: an `out` without `fill` has no live element that nothing writes.
    fn covered(
        &mut self,
        frame: &Frame,
        target: Handle<hir::Tensor>,
        written: &ast::Ref,
        (value, filtered): (&Expr, bool),
    ) -> Checked<()> {
        let (Some(via), None) = (&frame.via, self.hir.tensors[target].attrs.fill) else {
            return Ok(());
        };
        if self.hir.tensors[target].io == hir::Io::InOut {
            return Ok(());
        }
        let reduces = value.reduced_by(&|v| via.sources.contains(v));
        let reduces = reduces.is_some_and(|by| by != Reducer::First);
        let has = |vars: &[Handle<Var>]| vars.iter().any(|v| frame.left.contains(v));
        let route = &self.hir.routes[via.route];
        let drops = route.steps.iter().any(|s| {
            matches!(
                s,
                Step::Bind { orelse: Some(OrElse::Drop), .. }
                    | Step::Cap { orelse: OrElse::Drop, .. }
            )
        });
        let (by_source, by_dest) = (has(&via.sources), has(&via.dests));
        let all =
            (by_source && reduces) || (by_source && !by_dest && !drops) || (by_dest && !by_source);
        if all && !filtered {
            return Ok(());
        }
        let name = &written.name.name;
        let note = if filtered {
            "where the condition is false nothing is written"
        } else if by_dest {
            "a slot is written for its own source tuple only"
        } else {
            "a dropped tuple writes nothing"
        };
        let diagnostic = Diagnostic::error(
            "F0503",
            written.span,
            format!("some elements of `{name}` are never written"),
        )
        .note(note)
        .fixed(self.hir.tensors[target].fix_with("fill(0)"));
        let diagnostic = match diagnostic.fix {
            Some(_) => diagnostic.help(format!("add `with fill(0)` to `{name}`")),
            // A gradient that `adjoint` has declared: nobody can write its attributes.
            None => diagnostic.help(
                "this tensor is derived: write the entry by hand, with an `out .. with fill(0)` of your own",
            ),
        };
        self.fail(diagnostic)
    }

    /// Counts belong to the route of their tensor; whatever is used and not planned is taken.
    fn resolve_counts(&mut self) {
        for (entry, of) in std::mem::take(&mut self.pending_counts) {
            let Some(route) = self.counted.get(&of.tensor).map(|c| c.route) else { continue };
            self.pending_takes.push((entry, route));
            if let Some((source, extent)) = &of.from {
                _ = self.is_first_source(route, source, extent);
            }
        }
        for (entry, route) in std::mem::take(&mut self.pending_takes) {
            let entry = &mut self.hir.entries[entry];
            if !entry.plans.contains(&route) && !entry.takes.contains(&route) {
                entry.takes.push(route);
            }
        }
    }
}

/// All of the route's variables, at the same numbers as in the route.
fn join(frame: &mut Frame, handle: Handle<hir::Route>, route: &hir::Route) {
    frame.vars = route.vars.clone();
    // Names of the body are its own.
    let inner = frame.vars.len() - route.sources.len() - route.dests.len();
    let own: Vec<_> = frame.vars.iter().map(|(v, _)| v).skip(frame.vars.len() - inner).collect();
    own.into_iter().for_each(|v| frame.vars[v].name.clear());
    frame.via =
        Some(Via { route: handle, sources: route.sources.clone(), dests: route.dests.clone() });
}

/// The statement as read, and as text.
fn assignment(
    frame: &mut Frame,
    a: &ast::Assign,
    target: Handle<hir::Tensor>,
    (index, value, filter): (Vec<Expr>, Expr, Option<Filter>),
) -> Assign {
    let left = a.targets.first();
    let text = format!(
        "{}[{}] <- {}",
        left.map_or("", |t| t.name.name.as_str()),
        left.iter().flat_map(|t| &t.index).map(text::expr).collect::<Vec<_>>().join(", "),
        text::expr(&a.value)
    );
    let text = a.via.as_ref().map_or(text.clone(), |v| format!("{text} via {}", v.name));
    let text = match &a.filter {
        Some(filter) => format!("{text} where {}", text::expr(filter)),
        None => text,
    };
    Assign {
        target,
        index,
        value,
        via: frame.via.clone(),
        filter,
        vars: std::mem::take(&mut frame.vars),
        span: a.span,
        text,
    }
}

fn targets(e: &ast::Entry) -> impl Iterator<Item = &ast::Ref> {
    e.stmts.iter().flat_map(|s| if let Stmt::Assign(a) = s { a.targets.as_slice() } else { &[] })
}
