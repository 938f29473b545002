//! Tables of the home workspace, and fills of whole buffers.

use super::points::{condition, decode};
use super::{Emit, vector_literal};
use crate::arena::Handle;
use crate::cuda::index::{Width, bare, in_width};
use crate::cuda::namer::{name, table_name, var_name};
use crate::kernel::shape::{Prefix, count};
use crate::schedule::ir::{Claims, Ix, Table, Tensor, Var};

impl Emit<'_> {
    /// One CTA scans the groups of one rank.
    pub(super) fn prefix(&mut self, prefix: &Prefix) {
        let Prefix { table, rank, groups, guards, count: rows, align } = *prefix;
        let (schedule, total, each) = (self.schedule, count(groups), self.threads());
        let word = var_name(schedule, rank.0);
        let table = table_name(schedule, table);
        self.out.block(
            &format!("for (i32 {word} = cta; {word} < {}; {word} += CTAS)", rank.1),
            |out| {
                out.line("u32 sum = 0;");
                out.block(
                    &format!("for (i32 first = 0; first < {total}; first += {each})"),
                    |out| {
                        out.line("const i32 point = first + threadIdx.x;");
                        decode(out, schedule, groups, "point", 1);
                        out.line("u32 rows = 0;");
                        let all = condition(schedule, guards)
                            .map_or(String::new(), |c| format!(" && {c}"));
                        let rows = bare(schedule, rows);
                        let rounded = match align {
                            1 => rows,
                            n => format!("(({rows}) + {}) / {n} * {n}", n - 1),
                        };
                        out.line(&format!("if (point < {total}{all}) rows = {rounded};"));
                        out.line("u32 all;");
                        out.line("const u32 before = scan_block(rows, all);");
                        out.line(&format!(
                            "if (point < {total}) plan->{table}[{word} * {total} + point] = sum + before;"
                        ));
                        out.line("sum += all;");
                    },
                );
            },
        );
    }

    pub(super) fn positions(
        &mut self,
        table: Handle<Table>,
        var: Handle<Var>,
        extent: i64,
        owner: &Ix,
    ) {
        let (schedule, each) = (self.schedule, self.threads());
        let (x, table) = (var_name(schedule, var), table_name(schedule, table));
        let owner = bare(schedule, owner);
        let head = format!(
            "for (i32 point = cta * {each} + threadIdx.x; point < {extent}; point += CTAS * {each})"
        );
        self.out.block(&head, |out| {
            out.line(&format!("auto owner = [&](i32 {x}) {{ return {owner}; }};"));
            out.line("const i32 mine = owner(point);");
            out.line("u32 before = 0;");
            out.line(&format!(
                "for (i32 {x} = 0; {x} < point; ++{x}) before += owner({x}) == mine;"
            ));
            out.line(&format!("plan->{table}[point] = before;"));
        });
    }

    /// Of equal elements one keeps the entry: whichever came last.
    pub(super) fn claim(&mut self, claims: &Claims) {
        let table = table_name(self.schedule, claims.table);
        self.named(claims, &format!("plan->{table}[named] = u32(element);"));
    }

    /// An element whose entry another has taken is reported.
    pub(super) fn distinct(&mut self, claims: &Claims) {
        let table = table_name(self.schedule, claims.table);
        let tensor = claims.tensor.index();
        self.named(
            claims,
            &format!(
                "if (plan->{table}[named] != u32(element)) fail(launch, 907, me, -2, {tensor}, element, named);"
            ),
        );
    }

    /// Each element and the value that it names, if it may have it.
    fn named(&mut self, claims: &Claims, act: &str) {
        let (schedule, each) = (self.schedule, self.threads());
        let (var, extent) = claims.var;
        let x = var_name(schedule, var);
        let len = schedule.tables[claims.table].len;
        let value = in_width(schedule, &claims.value, Width::Wide);
        let head = format!(
            "for (i32 element = cta * {each} + threadIdx.x; element < {extent}; element += CTAS * {each})"
        );
        self.out.block(&head, |out| {
            if extent > 1 {
                out.line(&format!("const i32 {x} = element;"));
            }
            if let Some(all) = condition(schedule, &claims.guards) {
                out.line(&format!("if (!({all})) continue;"));
            }
            out.line(&format!("const i64 named = {value};"));
            out.line(&format!("if (named < 0 || named >= {len}) continue;"));
            out.line(act);
        });
    }

    /// This rank's whole buffer, 16 bytes a thread, then what is left.
    pub(super) fn fill_all(&mut self, tensor: Handle<Tensor>, bits: u64) {
        let info = &self.schedule.tensors[tensor];
        let (word, elem) = (name(&info.name), info.elem);
        let bytes = info.elems * elem.bytes();
        let (vectors, left) = (bytes / 16, bytes % 16 / elem.bytes());
        let (ty, each) = (super::points::flat_type(vectors), self.threads());
        if vectors > 0 {
            let literal = vector_literal(bits, elem.bytes(), 16);
            self.out.line(&format!("for ({ty} i = cta * {each} + threadIdx.x; i < {vectors}; i += CTAS * {each}) store(reinterpret_cast<Vec<16>*>({word}.at[me]) + i, Vec<16>{literal});"));
        }
        if left > 0 {
            let (width, first) = (elem.bytes(), vectors * 16 / elem.bytes());
            let literal = vector_literal(bits, width, width);
            self.out.line(&format!("if (cta == 0 && threadIdx.x < {left}) store(reinterpret_cast<Vec<{width}>*>({word}.at[me]) + {first} + threadIdx.x, Vec<{width}>{literal});"));
        }
    }
}
