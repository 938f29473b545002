//! A checked program as a typed module.

use fusco_dsl::arena::Handle;
use fusco_dsl::rust::Names;
use fusco_dsl::sema::hir::{
    self, Elem, Expr, ExprKind, Extent, Owners, ParamKind, Program, Size, Step, TermKind, VarExtent,
};
use fusco_dsl::source::Span;
use proc_macro2::{Ident, Literal, Span as Token, TokenStream};
use quote::quote;
use std::collections::BTreeSet;

/// One program with the names of what it declares.
struct Module<'a> {
    program: &'a Program,
    names: &'a Names,
    /// The token of a place in the source.
    at: &'a dyn Fn(Span) -> Token,
}

/// The module of a program; `at` gives the token of a place in its source. Paths are absolute: nothing around the
/// module is meant by accident.
pub fn expand(
    program: &Program,
    names: &Names,
    source: &str,
    at: &dyn Fn(Span) -> Token,
) -> TokenStream {
    let own = Module { program, names, at };
    let (module, docs) = (own.ident(&names.module, program.name_span), &program.docs);
    let name = &program.name;
    let hash = Literal::u128_suffixed(fnv(source));
    let params = own.params();
    let values = program.params.iter().map(|(h, p)| own.value(h, p));
    let routes = program.routes.iter().map(|(h, r)| own.route(h, r));
    let untyped = own.ident(&names.untyped, program.name_span);
    let given = program.tensors.iter().filter(|(_, t)| t.io != hir::Io::Tmp);
    let tensors = given.map(|(h, t)| own.alloc(h, t));
    let entries = program.entries.iter().enumerate();
    let args = entries.clone().map(|(i, e)| own.args(i, e));
    let launches = entries.map(|(i, e)| own.launch(i, e));
    let plans = program.routes.iter().map(|(h, r)| own.plan(h, r));
    quote! {
        #(#[doc = #docs])*
        #[allow(
            dead_code, missing_copy_implementations, missing_debug_implementations, missing_docs,
            non_camel_case_types, non_snake_case, unreachable_pub, unused_qualifications,
            clippy::all, clippy::pedantic
        )]
        pub mod #module {
            /// The text a `.fusco` file would hold.
            pub const SOURCE: &str = #source;
            /// Of the source: FNV-1a.
            pub const HASH: u128 = #hash;

            #params

            #(#routes)*

            /// The program on one world.
            #[derive(::core::clone::Clone, ::core::fmt::Debug)]
            pub struct Bound(::fusco_runtime::Bound);

            /// Proofs that need numbers, and the kernels.
            ///
            /// # Errors
            /// Params that do not fit, or a machine that lacks something.
            pub fn bind(
                world: &::fusco_runtime::World,
                params: Params,
            ) -> ::core::result::Result<Bound, ::fusco_runtime::Error> {
                let mut values = ::std::collections::BTreeMap::new();
                #(#values)*
                world.bind(SOURCE, ::core::option::Option::Some(#name), &values).map(Bound)
            }

            #(#args)*

            impl Bound {
                /// Without types, for what this module does not say.
                pub fn #untyped(&self) -> &::fusco_runtime::Bound { &self.0 }
                #(#tensors)*
                #(#plans)*
                #(#launches)*
            }
        }
    }
}

impl Module<'_> {
    fn ident(&self, name: &str, declared: Span) -> Ident {
        let at = (self.at)(declared);
        match name.strip_prefix("r#") {
            Some(name) => Ident::new_raw(name, at),
            None => Ident::new(name, at),
        }
    }

    fn params(&self) -> TokenStream {
        let fields = self.program.params.iter().map(|(h, p)| {
            let (name, docs) = (self.ident(&self.names.params[&h], p.span), &p.docs);
            let conditions = p.constraints.iter().map(|c| format!(" where `{}`", c.text));
            let ty = match p.kind {
                ParamKind::Int => quote!(i64),
                ParamKind::Ints => quote!(::std::vec::Vec<i64>),
            };
            quote! { #(#[doc = #docs])* #(#[doc = #conditions])* pub #name: #ty, }
        });
        let arrays = self.program.params.iter().any(|(_, p)| p.kind == ParamKind::Ints);
        let copy = (!arrays).then(|| quote!(::core::marker::Copy,));
        quote! {
            #[derive(::core::clone::Clone, #copy ::core::fmt::Debug)]
            pub struct Params { #(#fields)* }
        }
    }

    /// Binds a param; an array element by element.
    fn value(&self, handle: Handle<hir::Param>, param: &hir::Param) -> TokenStream {
        let name = &param.name;
        let field = self.ident(&self.names.params[&handle], param.span);
        match param.kind {
            ParamKind::Int => {
                quote! { values.insert(::std::string::String::from(#name), params.#field); }
            }
            ParamKind::Ints => quote! {
                for (i, v) in ::core::iter::Iterator::enumerate(params.#field.iter()) {
                    values.insert(::std::format!("{}[{}]", #name, i), *v);
                }
            },
        }
    }

    fn marker(&self, handle: Handle<hir::Route>) -> Ident {
        self.ident(&self.names.routes[&handle], self.program.routes[handle].span)
    }

    fn route(&self, handle: Handle<hir::Route>, route: &hir::Route) -> TokenStream {
        let marker = self.marker(handle);
        let doc = format!("Types the plans of route `{}`.", route.name);
        quote! { #[doc = #doc] pub enum #marker {} }
    }

    fn plan(&self, handle: Handle<hir::Route>, route: &hir::Route) -> TokenStream {
        let (marker, name) = (self.marker(handle), &route.name);
        let make = self.ident(&self.names.plans[&handle], route.span);
        quote! {
            /// An empty plan; micro-batches in flight at once need one each.
            ///
            /// # Errors
            /// Memory that is not there.
            pub fn #make(
                &self,
            ) -> ::core::result::Result<::fusco_runtime::typed::Plan<#marker>, ::fusco_runtime::Error> {
                self.0.plan(#name).map(::fusco_runtime::typed::Plan::new)
            }
        }
    }

    fn alloc(&self, handle: Handle<hir::Tensor>, tensor: &hir::Tensor) -> TokenStream {
        let (name, docs) = (&tensor.name, &tensor.docs);
        let make = self.ident(&self.names.allocs[&handle], tensor.span);
        let (elem, axes) = (elem(tensor.dtype.elem), tensor.axes.len());
        quote! {
            #(#[doc = #docs])*
            /// Zeroed, on every rank, as large as the worst case.
            ///
            /// # Errors
            /// Memory that is not there.
            pub fn #make(
                &self,
            ) -> ::core::result::Result<::fusco_runtime::typed::Tensor<#elem, #axes>, ::fusco_runtime::Error> {
                let buffer = self.0.alloc(#name)?;
                ::core::result::Result::Ok(::fusco_runtime::typed::Tensor::new(&self.0, buffer))
            }
        }
    }

    /// The arguments: each `dyn` by rank, each tensor that a statement touches.
    fn args(&self, at: usize, entry: &hir::Entry) -> TokenStream {
        let (name, docs) = (self.ident(&self.names.args[at], entry.span), &entry.docs);
        let dyns = self.program.dyns.iter().map(|(h, d)| {
            let (name, docs) = (self.ident(&self.names.dyns[&h], d.span), &d.docs);
            quote! { #(#[doc = #docs])* pub #name: &'a [i64], }
        });
        let tensors = used(self.program, entry).into_iter().map(|h| {
            let t = &self.program.tensors[h];
            let (name, docs) = (self.ident(&self.names.tensors[&h], t.span), &t.docs);
            let (elem, axes) = (elem(t.dtype.elem), t.axes.len());
            let access = if t.io == hir::Io::In { quote!(In) } else { quote!(Out) };
            quote! { #(#[doc = #docs])* pub #name: ::fusco_runtime::typed::#access<'a, #elem, #axes>, }
        });
        let fields: Vec<_> = dyns.chain(tensors).collect();
        let lifetime = (!fields.is_empty()).then(|| quote!(<'a>));
        quote! {
            #(#[doc = #docs])*
            #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
            pub struct #name #lifetime { #(#fields)* }
        }
    }

    fn launch(&self, at: usize, entry: &hir::Entry) -> TokenStream {
        let args = self.ident(&self.names.args[at], entry.span);
        let (method, name) = (self.ident(&self.names.entries[at], entry.span), &entry.name);
        let dyns = self.program.dyns.iter().map(|(h, d)| {
            let (field, name) = (self.ident(&self.names.dyns[&h], d.span), &d.name);
            quote! { (#name, args.#field) }
        });
        let tensors = used(self.program, entry);
        let any = !self.program.dyns.is_empty() || !tensors.is_empty();
        let lifetime = any.then(|| quote!(<'_>));
        let buffers = tensors.into_iter().map(|h| {
            let t = &self.program.tensors[h];
            let (field, name) = (self.ident(&self.names.tensors[&h], t.span), &t.name);
            quote! { (#name, args.#field.buffer()) }
        });
        let made = entry.plans.iter().map(|r| (*r, quote!(&mut)));
        let taken = entry.takes.iter().map(|r| (*r, quote!(&)));
        let plans = made.chain(taken).map(|(r, by)| {
            let route = &self.program.routes[r];
            (self.ident(&format!("plan_{}", route.name), route.span), self.marker(r), by)
        });
        let (mut plan_params, mut plan_args) = (Vec::new(), Vec::new());
        for (name, marker, by) in plans {
            plan_params.push(quote! { #name: #by ::fusco_runtime::typed::Plan<#marker> });
            plan_args.push(quote! { #name.untyped() });
        }
        let docs = &entry.docs;
        quote! {
            #(#[doc = #docs])*
            /// Queued on every rank; returns at once.
            ///
            /// # Errors
            /// Arguments that do not fit the program or each other.
            pub fn #method(
                &self,
                stream: &::fusco_runtime::Stream,
                args: #args #lifetime,
                #(#plan_params),*
            ) -> ::core::result::Result<(), ::fusco_runtime::Error> {
                let launch = ::fusco_runtime::LaunchArgs {
                    dyns: &[#(#dyns),*],
                    buffers: &[#(#buffers),*],
                    plans: &[#(#plan_args),*],
                };
                self.0.launch(#name, stream, &launch)
            }
        }
    }
}

/// Tensors whose data an entry is given to read or write, in declaration order.
fn used(program: &Program, entry: &hir::Entry) -> BTreeSet<Handle<hir::Tensor>> {
    let mut out = BTreeSet::new();
    for stmt in &entry.stmts {
        let mut own = BTreeSet::new();
        touched(stmt, &mut own);
        // The plan of a route knows where its groups lie.
        if route_of(program, stmt).is_none() {
            for tensor in own.clone() {
                placed_by(&program.tensors[tensor], &mut own);
            }
        }
        out.append(&mut own);
    }
    let planned = |stmt: &&hir::Assign| {
        route_of(program, stmt).is_some_and(|route| entry.plans.contains(&route))
    };
    for stmt in program.entries.iter().flat_map(|e| &e.stmts).filter(planned) {
        let mut along = BTreeSet::new();
        touched(stmt, &mut along);
        if let ExprKind::Offset { tensor, .. } = &stmt.value.kind {
            along.insert(*tensor);
        }
        for tensor in along {
            placed_by(&program.tensors[tensor], &mut out);
        }
    }
    for step in entry.plans.iter().flat_map(|r| &program.routes[*r].steps) {
        if let Step::Bind { value, .. } = step {
            reads(value, &mut out);
        }
    }
    out.retain(|t| program.tensors[*t].io != hir::Io::Tmp);
    out
}

/// What a statement names, and what its variables are counted by.
fn touched(stmt: &hir::Assign, out: &mut BTreeSet<Handle<hir::Tensor>>) {
    out.insert(stmt.target);
    reads(&stmt.value, out);
    stmt.index.iter().for_each(|i| reads(i, out));
    for (_, var) in stmt.vars.iter() {
        if let VarExtent::Counted { rows, .. } | VarExtent::Fixed(rows) = &var.extent {
            counted_by(rows, out);
        }
    }
}

/// The route that a statement moves along or asks for numbers.
fn route_of(program: &Program, stmt: &hir::Assign) -> Option<Handle<hir::Route>> {
    match &stmt.value.kind {
        _ if stmt.via.is_some() => stmt.via.as_ref().map(|via| via.route),
        ExprKind::Dropped { route, .. } => Some(*route),
        ExprKind::Count { tensor, .. } | ExprKind::Offset { tensor, .. } => {
            program.tensors[*tensor].axes.iter().find_map(|a| match a.extent {
                Extent::Ragged { route, .. } => Some(route),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Tensors that decide where the elements of another one lie.
fn placed_by(tensor: &hir::Tensor, out: &mut BTreeSet<Handle<hir::Tensor>>) {
    for axis in &tensor.axes {
        if let Extent::Counted { rows, .. } = &axis.extent {
            counted_by(rows, out);
        }
    }
    for term in &tensor.placement {
        if let TermKind::Mapped { owners: Owners::Tensor(owners), .. } = &term.kind {
            out.insert(*owners);
        }
    }
}

fn counted_by(size: &Size, out: &mut BTreeSet<Handle<hir::Tensor>>) {
    match size {
        Size::Read { tensor, index } => {
            out.insert(*tensor);
            index.iter().for_each(|i| counted_by(i, out));
        }
        Size::Binary { lhs, rhs, .. } => {
            counted_by(lhs, out);
            counted_by(rhs, out);
        }
        _ => {}
    }
}

fn reads(expr: &Expr, out: &mut BTreeSet<Handle<hir::Tensor>>) {
    match &expr.kind {
        ExprKind::Read { tensor, index } => {
            out.insert(*tensor);
            index.iter().for_each(|i| reads(i, out));
        }
        ExprKind::Binary { lhs, rhs, .. } => {
            reads(lhs, out);
            reads(rhs, out);
        }
        ExprKind::Cast(inner) | ExprKind::Reduce { body: inner, .. } => reads(inner, out),
        _ => {}
    }
}

fn elem(elem: Elem) -> TokenStream {
    match elem {
        Elem::F64 => quote!(f64),
        Elem::F32 => quote!(f32),
        Elem::F16 => quote!(::fusco_runtime::f16),
        Elem::Bf16 => quote!(::fusco_runtime::bf16),
        // Any byte may lie in memory, which is no `bool`.
        Elem::E4m3 | Elem::E5m2 | Elem::U8 | Elem::Bool => quote!(u8),
        Elem::I8 => quote!(i8),
        Elem::I16 => quote!(i16),
        Elem::U16 => quote!(u16),
        Elem::I32 => quote!(i32),
        Elem::I64 => quote!(i64),
        Elem::U32 => quote!(u32),
        Elem::U64 => quote!(u64),
    }
}

/// FNV-1a, 128 bits.
fn fnv(text: &str) -> u128 {
    let step = |h: u128, b: u8| {
        (h ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}

#[cfg(test)]
mod tests;
