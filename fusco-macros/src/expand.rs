//! A checked program as a typed module.

use fusco_dsl::arena::Handle;
use fusco_dsl::sema::hir::{
    self, Elem, Expr, ExprKind, Extent, Owners, ParamKind, Program, Size, Step, TermKind, VarExtent,
};
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote};
use std::collections::BTreeSet;

pub fn expand(program: &Program, source: &str) -> TokenStream {
    let (module, docs) = (word(&program.name), &program.docs);
    let name = &program.name;
    let hash = Literal::u128_suffixed(fnv(source));
    let params: Vec<Ident> =
        program.params.iter().map(|(_, p)| word(&p.name.to_lowercase())).collect();
    let param_docs = program.params.iter().map(|(_, p)| {
        let docs = &p.docs;
        let where_ = p.constraints.iter().map(|c| format!(" where `{}`", c.text));
        quote! { #(#[doc = #docs])* #(#[doc = #where_])* }
    });
    let types = program.params.iter().map(|(_, p)| match p.kind {
        ParamKind::Int => quote!(i64),
        ParamKind::Ints => quote!(Vec<i64>),
    });
    let arrays = program.params.iter().any(|(_, p)| p.kind == ParamKind::Ints);
    let derives = if arrays { quote!(Clone, Debug) } else { quote!(Clone, Copy, Debug) };
    let values = program.params.iter().map(|(_, p)| value(p));
    let routes = program.routes.iter().map(|(_, r)| route(r));
    let tensors = program.tensors.iter().map(|(_, t)| alloc(t));
    let entries: Vec<TokenStream> = program.entries.iter().map(|e| entry(program, e)).collect();
    let launches = program.entries.iter().map(|e| launch(program, e));
    let plans = program.routes.iter().map(|(_, r)| plan(r));
    quote! {
        #(#[doc = #docs])*
        #[allow(dead_code)]
        pub mod #module {
            use ::fusco_runtime::typed::{Elem, In, Out, Plan, Tensor};
            use ::fusco_runtime::{Error, Stream, World};

            /// The text a `.fusco` file would hold.
            pub const SOURCE: &str = #source;
            /// Of the source: FNV-1a.
            pub const HASH: u128 = #hash;

            #[derive(#derives)]
            pub struct Params { #(#param_docs pub #params: #types,)* }

            #(#routes)*

            /// The program on one world.
            #[derive(Clone, Debug)]
            pub struct Bound(::fusco_runtime::Bound);

            /// Proofs that need numbers, and the kernels.
            ///
            /// # Errors
            /// Params that do not fit, or a machine that lacks something.
            pub fn bind(world: &World, params: Params) -> Result<Bound, Error> {
                let mut values = ::std::collections::BTreeMap::new();
                #(#values)*
                world.bind(SOURCE, Some(#name), &values).map(Bound)
            }

            #(#entries)*

            impl Bound {
                /// Without types, for what this module does not say.
                pub fn untyped(&self) -> &::fusco_runtime::Bound { &self.0 }
                #(#tensors)*
                #(#plans)*
                #(#launches)*
            }
        }
    }
}

/// Binds a param; an array element by element.
fn value(param: &hir::Param) -> TokenStream {
    let (name, field) = (&param.name, word(&param.name.to_lowercase()));
    match param.kind {
        ParamKind::Int => quote! { values.insert(#name.to_string(), params.#field); },
        ParamKind::Ints => quote! {
            for (i, v) in params.#field.iter().enumerate() {
                values.insert(format!("{}[{i}]", #name), *v);
            }
        },
    }
}

fn route(route: &hir::Route) -> TokenStream {
    let marker = marker(route);
    let doc = format!("Types the plans of route `{}`.", route.name);
    quote! { #[doc = #doc] pub enum #marker {} }
}

fn plan(route: &hir::Route) -> TokenStream {
    let (marker, name) = (marker(route), &route.name);
    let make = format_ident!("plan_{}", route.name);
    quote! {
        /// An empty plan; micro-batches in flight at once need one each.
        pub fn #make(&self) -> Result<Plan<#marker>, Error> { self.0.plan(#name).map(Plan::new) }
    }
}

fn alloc(tensor: &hir::Tensor) -> TokenStream {
    let (name, docs) = (&tensor.name, &tensor.docs);
    let make = format_ident!("alloc_{}", tensor.name);
    let (elem, axes) = (elem(tensor.dtype.elem), tensor.axes.len());
    quote! {
        #(#[doc = #docs])*
        /// Zeroed, on every rank, as large as the worst case.
        pub fn #make(&self) -> Result<Tensor<#elem, #axes>, Error> { self.0.alloc(#name).map(Tensor::new) }
    }
}

fn args_type(entry: &hir::Entry) -> Ident {
    format_ident!("{}Args", camel(&entry.name))
}

/// The arguments: each `dyn` by rank, each tensor that a statement touches.
fn entry(program: &Program, entry: &hir::Entry) -> TokenStream {
    let (name, docs) = (args_type(entry), &entry.docs);
    let dyns = program.dyns.iter().map(|(_, d)| (word(&d.name.to_lowercase()), &d.docs));
    let dyns = dyns.map(|(name, docs)| quote! { #(#[doc = #docs])* pub #name: &'a [i64], });
    let tensors = used(program, entry).into_iter().map(|t| {
        let t = &program.tensors[t];
        let (name, docs, elem, axes) = (word(&t.name), &t.docs, elem(t.dtype.elem), t.axes.len());
        let access = if t.io == hir::Io::In { quote!(In) } else { quote!(Out) };
        quote! { #(#[doc = #docs])* pub #name: #access<'a, #elem, #axes>, }
    });
    quote! {
        #(#[doc = #docs])*
        #[derive(Clone, Copy, Debug)]
        pub struct #name<'a> { #(#dyns)* #(#tensors)* }
    }
}

fn launch(program: &Program, entry: &hir::Entry) -> TokenStream {
    let (args, fun, name) = (args_type(entry), word(&entry.name), &entry.name);
    let dyns = program.dyns.iter().map(|(_, d)| {
        let (field, name) = (word(&d.name.to_lowercase()), &d.name);
        quote! { (#name, args.#field) }
    });
    let buffers = used(program, entry).into_iter().map(|t| {
        let name = &program.tensors[t].name;
        let field = word(name);
        quote! { (#name, args.#field.buffer()) }
    });
    let made = entry.plans.iter().map(|r| (&program.routes[*r], quote!(&mut)));
    let taken = entry.takes.iter().map(|r| (&program.routes[*r], quote!(&)));
    let plans: Vec<_> = made
        .chain(taken)
        .map(|(r, by)| (format_ident!("plan_{}", r.name), marker(r), by))
        .collect();
    let plan_params = plans.iter().map(|(name, marker, by)| quote! { #name: #by Plan<#marker> });
    let plan_args = plans.iter().map(|(name, ..)| quote! { #name.untyped() });
    let docs = &entry.docs;
    quote! {
        #(#[doc = #docs])*
        /// Queued on every rank; returns at once.
        pub fn #fun(&self, stream: &Stream, args: #args<'_>, #(#plan_params),*) -> Result<(), Error> {
            let launch = ::fusco_runtime::LaunchArgs { dyns: &[#(#dyns),*], buffers: &[#(#buffers),*], plans: &[#(#plan_args),*] };
            self.0.launch(#name, stream, &launch)
        }
    }
}

/// Tensors whose data an entry reads or writes, in declaration order.
fn used(program: &Program, entry: &hir::Entry) -> BTreeSet<Handle<hir::Tensor>> {
    let mut out = BTreeSet::new();
    for stmt in &entry.stmts {
        out.insert(stmt.target);
        reads(&stmt.value, &mut out);
        stmt.index.iter().for_each(|i| reads(i, &mut out));
        for (_, var) in stmt.vars.iter() {
            if let VarExtent::Counted { rows, .. } | VarExtent::Fixed(rows) = &var.extent {
                counted_by(rows, &mut out);
            }
        }
    }
    for tensor in out.clone() {
        placed_by(&program.tensors[tensor], &mut out);
    }
    for step in entry.plans.iter().flat_map(|r| &program.routes[*r].steps) {
        if let Step::Bind { value, .. } = step {
            reads(value, &mut out);
        }
    }
    out
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
        ExprKind::Cast(inner) | ExprKind::Sum { body: inner, .. } => reads(inner, out),
        _ => {}
    }
}

fn elem(elem: Elem) -> TokenStream {
    match elem {
        Elem::F32 => quote!(f32),
        Elem::F16 => quote!(::fusco_runtime::f16),
        Elem::Bf16 => quote!(::fusco_runtime::bf16),
        Elem::E4m3 | Elem::E5m2 | Elem::U8 => quote!(u8),
        Elem::I8 => quote!(i8),
        Elem::I32 => quote!(i32),
        Elem::I64 => quote!(i64),
        Elem::U32 => quote!(u32),
    }
}

fn marker(route: &hir::Route) -> Ident {
    format_ident!("Route{}", camel(&route.name))
}

/// A word of the program as a Rust name; Rust's own words become raw.
fn word(name: &str) -> Ident {
    match name {
        "self" | "Self" | "super" | "crate" | "_" => format_ident!("{name}_"),
        _ if RUST.contains(&name) => Ident::new_raw(name, Span::call_site()),
        _ => Ident::new(name, Span::call_site()),
    }
}

const RUST: [&str; 48] = [
    "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false",
    "fn", "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "static", "struct", "trait", "true", "type", "unsafe", "use", "where",
    "while", "abstract", "become", "box", "do", "final", "macro", "override", "priv", "try",
    "typeof", "unsized", "virtual", "yield",
];

fn camel(name: &str) -> String {
    let upper = |part: &str| {
        part.chars()
            .take(1)
            .flat_map(char::to_uppercase)
            .chain(part.chars().skip(1))
            .collect::<String>()
    };
    name.split('_').map(upper).collect()
}

/// FNV-1a, 128 bits.
fn fnv(text: &str) -> u128 {
    let step = |h: u128, b: u8| {
        (h ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    };
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}
