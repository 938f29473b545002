//! The points of a grid or of a tile's loop: a flat number to the values of its variables, and the guards.

use super::Emit;
use crate::arena::Handle;
use crate::cuda::index::{Width, bare, in_width};
use crate::cuda::namer::{name, var_name};
use crate::cuda::out::Out;
use crate::kernel::Form;
use crate::schedule::ir::{Access, Guard, Ix, Schedule, Share, Var};
use crate::sema::hir::Filter;

/// `const i32 n = i / 8 % 64;`, one line a variable, from flat number `flat` with `inner` steps below the
/// last variable.
pub(super) fn decode(
    out: &mut Out,
    schedule: &Schedule,
    vars: &[(Handle<Var>, i64)],
    flat: &str,
    inner: i64,
) {
    let mut below = inner;
    let mut lines = Vec::new();
    for (i, (var, radix)) in vars.iter().enumerate().rev() {
        let word = var_name(schedule, *var);
        let quotient = if below == 1 { flat.to_string() } else { format!("{flat} / {below}") };
        let value = if i == 0 { quotient } else { format!("{quotient} % {radix}") };
        lines.push(format!("const i32 {word} = {value};"));
        below = below.saturating_mul(*radix);
    }
    lines.iter().rev().for_each(|l| out.line(l));
}

/// `i32`, or `i64` where a flat number needs it.
pub(super) fn flat_type(points: i64) -> &'static str {
    if points < i64::from(i32::MAX) - (1 << 24) { "i32" } else { "i64" }
}

/// Leaves a point where a guard does not hold.
pub(super) fn leave(out: &mut Out, schedule: &Schedule, guards: &[Guard]) {
    let (before, kept) = first_kept(schedule, guards);
    if let Some(all) = condition(schedule, before) {
        out.line(&format!("if (!({all})) continue;"));
    }
    if let Some((kept, after)) = kept {
        out.line(&pair(schedule, kept.tuple));
        out.line(&format!("if (!({})) continue;", kept.condition(schedule)));
        leave(out, schedule, after);
    }
}

/// `body` where all guards hold.
pub(super) fn within(
    out: &mut Out,
    schedule: &Schedule,
    guards: &[Guard],
    body: &mut dyn FnMut(&mut Out),
) {
    let (before, kept) = first_kept(schedule, guards);
    let inner = &mut |out: &mut Out| match &kept {
        Some((kept, after)) => {
            out.line(&pair(schedule, kept.tuple));
            let all = kept.condition(schedule);
            out.block(&format!("if ({all})"), |out| within(out, schedule, after, body));
        }
        None => body(out),
    };
    match condition(schedule, before) {
        Some(all) => out.block(&format!("if ({all})"), inner),
        None => inner(out),
    }
}

/// What the plan says of a tuple.
fn pair(schedule: &Schedule, tuple: &Ix) -> String {
    format!("const Pair pair = plan->pairs[{}];", bare(schedule, tuple))
}

/// A guard that keeps a tuple, whose pair is at hand.
struct Keeps<'g> {
    tuple: &'g Ix,
    /// Of its position, it is the first that is kept: so many tuples that has.
    first: Option<i64>,
}

impl Keeps<'_> {
    fn condition(&self, schedule: &Schedule) -> String {
        let first = self
            .first
            .map(|fan| format!(" && is_first(plan->pairs, {}, {fan})", bare(schedule, self.tuple)));
        format!("pair.group >= 0{}", first.unwrap_or_default())
    }
}

/// The guards before the first that keeps a tuple, and that one with the guards after it.
fn first_kept<'g>(
    schedule: &Schedule,
    guards: &'g [Guard],
) -> (&'g [Guard], Option<(Keeps<'g>, &'g [Guard])>) {
    let kept = guards.iter().enumerate().find_map(|(i, g)| match g {
        Guard::Kept { route, tuple, first } => {
            let fan = schedule.routes[*route].fan;
            Some((i, Keeps { tuple, first: (*first && fan > 1).then_some(fan) }))
        }
        _ => None,
    });
    match kept {
        Some((i, keeps)) => (&guards[..i], Some((keeps, &guards[i + 1..]))),
        None => (guards, None),
    }
}

/// A condition for all guards, none of which keeps a tuple; `None` if there are none.
pub(super) fn condition(schedule: &Schedule, guards: &[Guard]) -> Option<String> {
    // An element has any value of its type until it is compared.
    let sides = |a: &Ix, b: &Ix| {
        let width = if reads_element(a) || reads_element(b) { Width::Wide } else { Width::Narrow };
        [a, b].map(|side| in_width(schedule, side, width))
    };
    let one = |g: &Guard| match g {
        Guard::Below { value, limit } => sides(value, limit).join(" < "),
        Guard::Equal { value, to } => sides(value, to).join(" == "),
        Guard::Valid { tensor, value, limit } => format!(
            "valid({}, {limit}, launch, me, {})",
            in_width(schedule, value, Width::Wide),
            tensor.index()
        ),
        // Read where it is asked for: see [`leave`] and [`within`].
        Guard::Kept { tuple, .. } => format!("plan->pairs[{}].group >= 0", bare(schedule, tuple)),
        Guard::NonZero { value } => {
            format!("divides({}, launch, me)", in_width(schedule, value, Width::Wide))
        }
        Guard::Holds(filter) => holds(schedule, filter),
    };
    let all: Vec<String> = guards.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(" && "))
}

/// The condition of a statement.
pub(super) fn holds(schedule: &Schedule, filter: &Filter<Ix>) -> String {
    let inner = |f: &Filter<Ix>| match f {
        Filter::Compare { .. } => holds(schedule, f),
        Filter::And(..) | Filter::Or(..) => format!("({})", holds(schedule, f)),
    };
    match filter {
        Filter::Compare { op, lhs, rhs } => {
            let wide = |n: &Ix| in_width(schedule, n, Width::Wide);
            format!("{} {} {}", wide(lhs), op.symbol(), wide(rhs))
        }
        Filter::And(a, b) => format!("{} && {}", inner(a), inner(b)),
        Filter::Or(a, b) => format!("({} || {})", inner(a), inner(b)),
    }
}

fn reads_element(ix: &Ix) -> bool {
    let mut found = false;
    ix.walk(&mut |part| found |= matches!(part, Ix::Element { .. }));
    found
}

impl Emit<'_> {
    /// Guards that read only the rank: false for a rank that has no part in the movement.
    pub(super) fn split_guards<'g>(&self, guards: &'g [Guard]) -> (Vec<Guard>, Vec<Guard>) {
        let by_rank = |g: &&'g Guard| {
            let mut all = true;
            let mut see = |ix: &Ix| {
                all &= matches!(ix, Ix::Lit(_) | Ix::Me | Ix::Binary { .. });
            };
            match g {
                Guard::Below { value, limit: other } | Guard::Equal { value, to: other } => {
                    value.walk(&mut see);
                    other.walk(&mut see);
                }
                Guard::Valid { .. }
                | Guard::NonZero { .. }
                | Guard::Kept { .. }
                | Guard::Holds(_) => return false,
            }
            all
        };
        let (rank, point): (Vec<&Guard>, Vec<&Guard>) = guards.iter().partition(by_rank);
        (rank.into_iter().cloned().collect(), point.into_iter().cloned().collect())
    }
}

/// The flat numbers of this rank's part, dealt to its CTAs: `each` consecutive ones in a turn.
pub(super) struct Turns {
    pub ty: &'static str,
    begin: String,
    pub end: String,
    each: i64,
    /// Several devices share the work: CTAs begin in different turns, so that no link waits while others are
    /// busy, as it would if all CTAs went through the ranks together.
    spread: bool,
}

impl Turns {
    pub fn of(
        (schedule, share): (&Schedule, &Option<Share>),
        points: i64,
        each: i64,
        form: &Form,
    ) -> Turns {
        let ty = flat_type(points);
        let (begin, end) = bounds(schedule, share, points);
        let begin = if begin == "0" { String::new() } else { format!("{begin} + ") };
        Turns { ty, begin, end, each, spread: !form.alone }
    }

    /// `CTAS * 1024`
    fn step(&self) -> String {
        if self.each == 1 { "CTAS".to_string() } else { format!("CTAS * {}", self.each) }
    }

    /// The first number of this CTA.
    fn first(&self) -> String {
        let own = if self.each == 1 { "cta".to_string() } else { format!("cta * {}", self.each) };
        format!("{}{own}", self.begin)
    }

    /// A loop over the first number of each turn, plus `inside`, as `word`. It may reach `end`, where numbers
    /// are not a multiple of `each`.
    pub fn each(&self, out: &mut Out, word: &str, inside: &str, body: impl FnOnce(&mut Out)) {
        let Turns { ty, end, .. } = self;
        let (first, step) = (self.first(), self.step());
        if !self.spread {
            let head =
                format!("for ({ty} {word} = {first}{inside}; {word} < {end}; {word} += {step})");
            return out.block(&head, body);
        }
        self.spread(out);
        out.block("for (i32 turn = 0; turn < turns; ++turn)", |out| {
            out.line(&format!("const {ty} {word} = turn_at(turn){inside};"));
            body(out);
        });
    }

    /// The same with `ahead` of the first turn and, given the text of the turn, inside each.
    pub fn each_ahead(
        &self,
        out: &mut Out,
        word: &str,
        ahead: &str,
        body: impl FnOnce(&mut Out, &str),
    ) {
        let Turns { ty, end, .. } = self;
        let (first, step) = (self.first(), self.step());
        if !self.spread {
            out.line(&format!("{ty} {word} = {first};"));
            out.line(&format!("if ({word} < {end}) {ahead}({word});"));
            return out.block(&format!("for (; {word} < {end}; {word} += {step})"), |out| {
                body(out, &format!("if ({word} + {step} < {end}) {ahead}({word} + {step});"));
            });
        }
        self.spread(out);
        out.line(&format!("if (turns > 0) {ahead}(turn_at(0));"));
        out.block("for (i32 turn = 0; turn < turns; ++turn)", |out| {
            out.line(&format!("const {ty} {word} = turn_at(turn);"));
            body(out, &format!("if (turn + 1 < turns) {ahead}(turn_at(turn + 1));"));
        });
    }

    /// `turns` of this CTA, and where each begins.
    fn spread(&self, out: &mut Out) {
        let (first, step) = (self.first(), self.step());
        let parts = |text: &str| match text.contains(' ') {
            true => format!("({text})"),
            false => text.to_string(),
        };
        let (from, by) = (parts(&first), parts(&step));
        out.line("// CTAs begin in different turns: each link has its share of them at any time.");
        out.line(&format!(
            "const i32 turns = ({} - {from} + {step} - 1) / {by};  // of this CTA",
            self.end
        ));
        let turn = "(turn + cta * turns / CTAS) % turns";
        let turn = if self.ty == "i32" { turn.to_string() } else { format!("i64({turn})") };
        out.line(&format!("auto turn_at = [&](i32 turn) {{ return {first} + {turn} * {by}; }};"));
    }
}

/// First and last flat number of this rank's part.
fn bounds(schedule: &Schedule, share: &Option<Share>, points: i64) -> (String, String) {
    match share {
        None => ("0".to_string(), points.to_string()),
        Some(share) => {
            let part = (points + share.count - 1) / share.count;
            let index = bare(schedule, &share.index);
            let ty = flat_type(points);
            (
                format!("{ty}({index}) * {part}"),
                format!("min(({index}) * {ty}({part}) + {part}, {ty}({points}))"),
            )
        }
    }
}

/// A pointer to vector `v` of the access.
pub(super) fn place(schedule: &Schedule, access: &Access, v: &str) -> String {
    let tensor = &schedule.tensors[access.tensor];
    let (word, bytes) = (name(&tensor.name), access.vector);
    let width = if tensor.elems / access.unit.max(1) < i64::from(i32::MAX) {
        Width::Narrow
    } else {
        Width::Wide
    };
    let row = in_width(schedule, &access.row, width);
    let rank = bare(schedule, &access.rank);
    let offset = match access.unit {
        _ if access.row == Ix::Lit(0) => "0".to_string(),
        1 => format!("i64({row})"),
        unit => format!("i64({row}) * {unit}"),
    };
    let constness = if tensor.io == crate::sema::hir::Io::In { "const " } else { "" };
    let after = if v == "0" { String::new() } else { format!(" + {v}") };
    match tensor.swizzle {
        None => format!(
            "reinterpret_cast<{constness}Vec<{bytes}>*>({word}.at[{rank}] + {offset}){after}"
        ),
        Some(swizzle) => {
            let elements = bytes / tensor.elem.bytes();
            let at = if v == "0" { offset } else { format!("{offset} + i64({v}) * {elements}") };
            format!(
                "swizzled<{}, {constness}Vec<{bytes}>>({word}.at[{rank}], {at})",
                swizzle.row_bytes()
            )
        }
    }
}
