//! Random programs that plan a route and move along it, over random placements.
//!
//! Most of what is drawn is lowered; some placements are of kinds that a route does not take (swizzles, sources on
//! other ranks than their route's, copies that rows are sent to ..), which the compiler must refuse, located, and never
//! take for another.

mod values;

use crate::placements::Movement;
use crate::{ELEMS, FLOATS, Named, Random};
use fusco_dsl::oracle::{Array, Inputs};
use fusco_dsl::sema::hir::Elem;
use std::collections::BTreeMap;
use values::{Number, Place};

/// A program with its inputs, and the entries to launch in order.
pub struct Case {
    pub text: String,
    pub ranks: usize,
    pub inputs: Inputs,
    pub entries: Vec<String>,
    /// What the entry `go` writes along the route.
    pub targets: Vec<String>,
    /// `in` tensors that an earlier entry writes: (to, from).
    pub feeds: Vec<(String, String)>,
}

/// Whether something is drawn that may be refused.
enum Odd {
    Never,
    /// Once, after so many questions.
    After(u64),
    /// One in so many.
    Often(u64),
}

impl Odd {
    fn next(&mut self, random: &mut Random) -> bool {
        match self {
            Odd::Never => false,
            Odd::Often(n) => rarely(random, *n),
            Odd::After(0) => {
                *self = Odd::Never;
                true
            }
            Odd::After(n) => {
                *n -= 1;
                false
            }
        }
    }
}

/// One in `n`.
fn rarely(random: &mut Random, n: u64) -> bool {
    random.below(n) == 0
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

fn shuffle<T>(random: &mut Random, list: &mut [T]) {
    for i in (1..list.len()).rev() {
        list.swap(i, random.below(i as u64 + 1) as usize);
    }
}

/// What the statements of a case share.
struct Draw<'r> {
    random: &'r mut Random,
    ranks: i64,
    /// The mesh digits of a sharded axis, major first, with their sizes: `gpu`, an alias, or the axes apart.
    mesh: Vec<(&'static str, i64)>,
    /// Every axis of the mesh.
    axes: Vec<(&'static str, i64)>,
    /// The extent of the source rank as a size.
    all: String,
    /// A mesh axis that no source is on, over which rows are split.
    split: Option<(&'static str, i64)>,
    /// Sources of the route: `s`, `b` and `k` may be missing.
    has_rank: bool,
    has_choice: bool,
    /// A token axis that every rank has whole, and whether it stands before `s`.
    batch: Option<i64>,
    batch_first: bool,
    /// Values of `s`, and its digits: one a rank, blocks, cyclic, block-cyclic, with or without a rest.
    rank_extent: i64,
    rank_digits: Vec<String>,
    rank_uneven: bool,
    odd: Odd,
    positions: Vec<i64>,
    positions_text: String,
    choices: i64,
    groups: i64,
    dealt: Dealt,
    rows: i64,
    /// Storage of the slots, and the digits to their left if they are packed.
    cap: Option<i64>,
    drops: bool,
    declarations: Vec<String>,
    /// Each `tmp` of the sources, and the statement that writes it.
    steps: BTreeMap<String, String>,
    /// Of the latest placement, if it says `sum`.
    parts: i64,
    /// Mesh axes, or aliases, over which the groups are split whose rows come back.
    rows_over: Vec<String>,
    inputs: Inputs,
}

pub fn case(random: &mut Random) -> Case {
    let mut odd = match random.below(5) {
        0 | 1 => Odd::Never,
        2 | 3 => Odd::After(random.below(30)),
        _ => Odd::Often(5),
    };
    let (declaration, axes, mesh, all) = mesh(random, &mut odd);
    let whole = all == "gpu" || all == "all";
    let ranks: i64 = if whole { &axes } else { &mesh }.iter().map(|(_, n)| n).product();
    let has_rank = ranks > 1 || !mesh.is_empty() && rarely(random, 2);
    // Along the other axes rows are split, or everything is copied.
    let beside = axes.iter().find(|(m, _)| !whole && mesh.iter().all(|(used, _)| used != m));
    let split = beside.copied().filter(|_| !rarely(random, 3));
    let each = pick(random, &[1, 1, 2, 3, 4]);
    let dealt = match random.below(8) {
        0 | 1 => Dealt::Cyclic,
        2 if mesh.len() == 1 => pick(random, &[Dealt::Owners, Dealt::Read]),
        3 => Dealt::Uneven,
        _ => Dealt::Blocks,
    };
    let any = odd.next(random) || !matches!(dealt, Dealt::Blocks | Dealt::Cyclic);
    let groups = if any { 1 + random.below(9) as i64 } else { ranks * each };
    let longest = pick(random, &[1, 2, 3, 5, 8, 17]);
    let (rank_extent, rank_digits, rank_uneven) = rank_source(random, ranks, &mesh);
    let mut draw = Draw {
        batch: rarely(random, 4).then(|| pick(random, &[1, 2, 3])),
        batch_first: rarely(random, 2),
        rank_extent,
        rank_digits,
        rank_uneven,
        ranks,
        mesh,
        axes,
        all,
        has_rank,
        has_choice: !rarely(random, 5),
        odd,
        positions: Vec::new(),
        positions_text: String::new(),
        choices: pick(random, &[1, 2, 2, 3, 4]),
        groups,
        dealt,
        rows: pick(random, &[1, 2, 3, 4, 8, 10, 16]) * split.map_or(1, |(_, n)| n),
        split,
        cap: rarely(random, 3).then(|| pick(random, &[1, 2, 3, 8])),
        drops: rarely(random, 2),
        declarations: vec![declaration],
        steps: BTreeMap::new(),
        parts: 0,
        rows_over: Vec::new(),
        inputs: Inputs::default(),
        random,
    };
    if !draw.has_choice {
        draw.choices = 1;
    }
    if draw.by_table() {
        draw.owners("OWNERS");
        draw.owners("OTHERS");
    }
    draw.positions(longest);
    draw.case()
}

/// The values of the source that is sharded, and how.
fn rank_source(
    random: &mut Random,
    ranks: i64,
    mesh: &[(&'static str, i64)],
) -> (i64, Vec<String>, bool) {
    let mesh = mesh.iter().map(|(m, _)| format!("s/{m}"));
    let one = || [mesh.clone().collect(), vec!["s".to_string()]].concat();
    let each = pick(random, &[1, 2, 3]);
    match random.below(12) {
        0 => (each * ranks, one(), false),
        1 => (each * ranks, [vec!["s".into()], mesh.collect()].concat(), false),
        2 => {
            let tail = vec!["s:2".to_string()];
            (2 * each * ranks, [vec!["s".into()], mesh.collect(), tail].concat(), false)
        }
        3 => (1 + random.below(3 * ranks as u64) as i64, one(), true),
        4 => {
            let digits = [vec!["s".into()], mesh.collect(), vec!["s:2".to_string()]].concat();
            (1 + random.below(5 * ranks as u64) as i64, digits, true)
        }
        _ => (ranks, one(), false),
    }
}

type Mesh = (String, Vec<(&'static str, i64)>, Vec<(&'static str, i64)>, String);

/// Instead of a fill: what is not written keeps the value that it had.
const KEEP: &str = "keep";

/// How the groups of most tensors lie over the ranks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dealt {
    Blocks,
    Cyclic,
    /// By a constant table.
    Owners,
    /// By a tensor that the planning entry reads.
    Read,
    /// Blocks, the last of which may hold fewer groups or none.
    Uneven,
}

/// Its declaration, axes, the digits by which tensors are sharded, and the size of them all.
fn mesh(random: &mut Random, odd: &mut Odd) -> Mesh {
    if rarely(random, 2) {
        let n = 1 + random.below(5) as i64;
        if rarely(random, 6) {
            // Each rank plans for itself.
            let declaration = format!("mesh m {{ gpu: {n} }}");
            return (declaration, vec![("gpu", n)], Vec::new(), String::new());
        }
        return (
            format!("mesh m {{ gpu: {n} }}"),
            vec![("gpu", n)],
            vec![("gpu", n)],
            "gpu".into(),
        );
    }
    let axes = vec![("dp", 1 + random.below(3) as i64), ("ep", 1 + random.below(3) as i64)];
    let alias = if odd.next(random) { "(ep, dp)" } else { "(dp, ep)" };
    let declaration = format!("mesh m {{ dp: {}, ep: {}, all = {alias} }}", axes[0].1, axes[1].1);
    let all = axes[0].1 * axes[1].1;
    if rarely(random, 2) {
        // Each coordinate of the other axis plans for itself.
        let axis = pick(random, &axes);
        return (declaration, axes, vec![axis], axis.0.into());
    }
    let mesh = match (odd.next(random), random.below(2)) {
        (false, 0) => vec![("all", all)],
        (false, _) => axes.clone(),
        (true, 0) => vec![axes[1], axes[0]],
        (true, _) => vec![axes[1]],
    };
    (declaration, axes, mesh, "all".into())
}

/// What the entries do with a tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Routes read it: each rank has its part, or all.
    Index,
    Read {
        /// Its elements can be partial sums.
        sums: bool,
    },
    Written,
    /// Written by an entry, read by another.
    Kept,
}

/// An axis as a placement sees it.
#[derive(Clone)]
struct Axis {
    name: &'static str,
    /// Known at bind.
    fixed: Option<i64>,
    sharded: bool,
}

impl Draw<'_> {
    fn odd(&mut self) -> bool {
        self.odd.next(self.random)
    }

    fn by_table(&self) -> bool {
        matches!(self.dealt, Dealt::Owners | Dealt::Read)
    }

    /// A table with an owner for each group: any, or one rank for all.
    fn owners(&mut self, name: &str) {
        let (mesh, ranks) = self.mesh[0];
        let one = rarely(self.random, 4).then(|| self.random.below(ranks as u64) as i64);
        let mut owner = |_| one.unwrap_or_else(|| self.random.below(ranks as u64) as i64);
        let owners = Vec::from_iter((0..self.groups).map(&mut owner));
        if self.dealt == Dealt::Owners {
            self.declarations.push(format!("const {name} = {owners:?};"));
            return;
        }
        let copies = Vec::from_iter(self.axes.iter().map(|(m, _)| format!("copy/{m}"))).join(", ");
        let wide = rarely(self.random, 3);
        let (ix, elem) = if wide { ("ix64", Elem::I64) } else { ("ix32", Elem::I32) };
        let place = match rarely(self.random, 3) {
            true => format!("[e, {copies}]"),
            false => format!("[{copies}, e]"),
        };
        let groups = self.groups;
        self.declarations.push(format!("in {name}: {ix}({mesh})[e: {groups}] @ {place};"));
        let array = Array::from_i64(elem, vec![groups as usize], &owners);
        self.inputs.tensors.insert(name.into(), array);
    }

    /// How many positions each rank has, as a number, one `dyn` or one a rank.
    fn positions(&mut self, longest: i64) {
        let kind = self.random.below(4);
        let ranks = self.ranks as usize;
        match kind {
            0 => {
                self.positions = vec![longest; ranks];
                self.positions_text = longest.to_string();
            }
            1 => {
                let live = self.random.below(longest as u64 + 1) as i64;
                self.positions = vec![live; ranks];
                self.positions_text = "T".into();
                self.declarations.push(format!("dyn T: int <= {longest};"));
                self.inputs.dyns.insert("T".into(), vec![live]);
            }
            _ if !self.has_rank || self.rank_extent != self.ranks => self.positions(longest),
            _ => {
                let mut live = |_| match self.random.below(4) {
                    0 => 0,
                    1 => longest,
                    _ => self.random.below(longest as u64 + 1) as i64,
                };
                self.positions = (0..ranks).map(&mut live).collect();
                self.positions_text = "T[s]".into();
                self.declarations.push(format!("dyn T[{}]: int <= {longest};", self.all));
                self.inputs.dyns.insert("T".into(), self.positions.clone());
            }
        }
    }

    fn longest(&self) -> usize {
        self.positions.iter().copied().max().unwrap_or(0) as usize
    }

    fn rank_axis(&self) -> Axis {
        Axis { name: "s", fixed: Some(self.rank_extent), sharded: true }
    }

    fn rank_size(&self) -> String {
        if self.rank_extent == self.ranks { self.all.clone() } else { self.rank_extent.to_string() }
    }

    fn sources(&self) -> Vec<Axis> {
        let whole = |name, size| Axis { name, fixed: Some(size), sharded: false };
        let positions = self.positions_text.parse().ok();
        let mut out = vec![Axis { name: "t", fixed: positions, sharded: false }];
        out.extend(self.has_choice.then(|| whole("k", self.choices)));
        let mut front = Vec::from_iter(self.has_rank.then(|| self.rank_axis()));
        let batch = self.batch.map(|n| whole("b", n));
        let at = if self.batch_first { 0 } else { front.len() };
        front.splice(at..at, batch);
        front.extend(out);
        front
    }

    /// Digits of an axis, major to minor.
    fn digits(&mut self, axis: &Axis) -> Vec<String> {
        let name = axis.name;
        let mut out = vec![name.to_string()];
        if let Some(size) = axis.fixed
            && rarely(self.random, 4)
        {
            let inner = pick(self.random, &[2, 3, 4]);
            if size % inner == 0 && !axis.sharded || self.odd() {
                out.push(format!("{name}:{inner}"));
            }
        }
        if !axis.sharded {
            return out;
        }
        if name == "s" && !self.odd() {
            return self.rank_digits.clone();
        }
        let mesh: Vec<String> = match axis.fixed {
            _ if name == "e" && self.by_table() && !self.odd() => {
                // Rows of one entry may go to the owners of several tables.
                let table = if rarely(self.random, 5) { "OTHERS" } else { "OWNERS" };
                vec![format!("e/{}.map({table})", self.mesh[0].0)]
            }
            Some(size) if self.odd() => {
                let mut owner = || self.random.below(self.ranks as u64).to_string();
                let owners = (0..size).map(|_| owner()).collect::<Vec<_>>().join(", ");
                let table = format!("W{}", self.declarations.len());
                self.declarations.push(format!("const {table} = [{owners}];"));
                let all = if self.axes.len() > 1 { "all" } else { "gpu" };
                vec![format!("{name}/{all}.map({table})")]
            }
            _ => self.mesh.iter().map(|(m, _)| format!("{name}/{m}")).collect(),
        };
        // Cyclic, or dealt out in the middle.
        let at = match name {
            _ if self.odd() => self.random.below(out.len() as u64 + 1) as usize,
            "e" if self.dealt == Dealt::Cyclic => 1,
            _ => 0,
        };
        out.splice(at..at, mesh);
        out
    }

    /// A placement of the axes, each of which may be cut; `row` axes stay last, whole and in order.
    fn placement(
        &mut self,
        axes: &[Axis],
        ragged: Option<(&str, &str)>,
        row: &[&str],
        used_as: Use,
    ) -> String {
        self.parts = 0;
        let mut axes = axes.to_vec();
        let by_group = axes.iter().any(|a| a.name == "e");
        if self.odd() {
            // Another axis over the mesh, or none.
            axes.iter_mut().for_each(|a| a.sharded = false);
            let at = self.random.below(axes.len() as u64 + 1) as usize;
            axes.iter_mut().skip(at).take(1).for_each(|a| a.sharded = true);
        }
        // What must stay together.
        let mut groups: Vec<Vec<String>> = Vec::new();
        for axis in &axes {
            let mut digits = self.digits(axis);
            if let Some((_, storage)) = ragged.filter(|(parent, _)| *parent == axis.name) {
                // Rows lie behind all digits of their group in memory.
                let first = digits.iter().position(|d| !d.contains('/')).unwrap_or(0);
                let last = digits.iter().rposition(|d| !d.contains('/')).unwrap_or(0);
                let mut together = Vec::from_iter(digits.drain(first..=last));
                together.push(storage.to_string());
                let after = digits.split_off(first);
                groups.extend(digits.drain(..).map(|d| vec![d]));
                groups.push(together);
                groups.extend(after.into_iter().map(|d| vec![d]));
                continue;
            }
            groups.extend(digits.into_iter().map(|d| vec![d]));
        }
        let used: String = groups.iter().flatten().map(String::as_str).collect();
        for (m, _) in self
            .axes
            .clone()
            .iter()
            .filter(|(m, _)| !used.contains("/all") && !used.contains(&format!("/{m}")))
        {
            groups.push(match (row.first(), self.split) {
                (Some(h), Some((split, _))) if split == *m && !self.odd.next(self.random) => {
                    vec![format!("{h}/{m}")]
                }
                _ => vec![self.spread(m, used_as)],
            });
        }
        if rarely(self.random, 3) || self.odd() {
            self.reorder(&mut groups);
        }
        for axis in row {
            groups.push(vec![axis.to_string()]);
        }
        if self.odd() {
            shuffle(self.random, &mut groups);
        }
        let terms: Vec<String> = groups.into_iter().flatten().collect();
        let with = match self.random.below(8) {
            0 if self.odd() => " with uneven",
            1 if self.odd() => " with swizzle(b32), align(256)",
            2 | 3 if !row.is_empty() && used_as != Use::Index => {
                let (axis, least) = match axes.first() {
                    Some(axis) if ragged.is_none() => (axis.name, 1 << 14),
                    _ => (row[0], 64),
                };
                return self.strided(terms, (axis, least), by_group);
            }
            _ if by_group && self.dealt == Dealt::Uneven => " with uneven",
            _ if self.rank_uneven && axes.iter().any(|a| a.name == "s") => " with uneven",
            _ => "",
        };
        format!("[{}]{with}", terms.join(", "))
    }

    /// The mesh axis splits nothing.
    fn spread(&mut self, mesh: &str, used_as: Use) -> String {
        let size = self.axes.iter().find(|(m, _)| *m == mesh).map_or(1, |(_, n)| *n);
        match (used_as, self.random.below(6)) {
            (Use::Read { .. } | Use::Written, 0) => {
                format!("only({})/{mesh}", self.random.below(size as u64))
            }
            (Use::Read { sums: true }, 1) => {
                self.parts = self.parts.max(1) * size;
                format!("sum/{mesh}")
            }
            _ => format!("copy/{mesh}"),
        }
    }

    /// With rows that lie further apart than they are long.
    fn strided(
        &mut self,
        terms: Vec<String>,
        (axis, least): (&str, i64),
        by_group: bool,
    ) -> String {
        let uneven = by_group && self.dealt == Dealt::Uneven
            || self.rank_uneven && terms.iter().any(|t| t == "s" || t.starts_with("s/"));
        let uneven = if uneven { ", uneven" } else { "" };
        let stride = least + pick(self.random, &[0, 1, 2, 8]);
        match terms.iter().any(|t| t == axis) {
            true => format!("[{}] with stride({axis}: {stride}){uneven}", terms.join(", ")),
            false => format!("[{}]{}", terms.join(", "), uneven.replace(',', " with")),
        }
    }

    /// Axes of a tensor that holds a row, and how a statement names them: as they are, or longer ones of which it
    /// names a part; behind them an axis of which it names one place. A variable of `named` has its extent elsewhere.
    fn part_of(
        &mut self,
        row: &[(&'static str, i64)],
        named: &str,
    ) -> (Vec<(&'static str, i64)>, String) {
        let (mut axes, mut index) = (Vec::new(), String::new());
        for (name, size) in row {
            let mut others = named.split(", ");
            let alone = others.any(|index| index == *name);
            if self.split.is_some() || !alone || !rarely(self.random, 5) {
                axes.push((*name, *size));
                index += &format!(", {name}");
                continue;
            }
            let (factor, first) = (pick(self.random, &[1, 1, 2, 3]), self.random.below(9) as i64);
            let rest = pick(self.random, &[0, 1, 3]);
            axes.push((*name, factor * (size - 1) + first + 1 + rest));
            index += &match factor {
                1 => format!(", {name} + {first}"),
                _ => format!(", {factor} * {name} + {first}"),
            };
        }
        if rarely(self.random, 8) {
            axes.push(("p", 3));
            index += &format!(", {}", self.random.below(3));
        }
        (axes, index)
    }

    /// Another order that keeps what belongs together, and the digits of each axis major to minor.
    fn reorder(&mut self, groups: &mut [Vec<String>]) {
        let axis =
            |g: &Vec<String>| g[0].split(['/', ':', '.']).next().unwrap_or_default().to_string();
        let names: Vec<String> = groups.iter().map(axis).collect();
        let mut order: Vec<usize> = (0..groups.len()).collect();
        shuffle(self.random, &mut order);
        // The places of an axis get its digits in their order.
        let mut next: Vec<Option<Vec<String>>> =
            groups.iter_mut().map(|g| Some(std::mem::take(g))).collect();
        for (place, from) in order.into_iter().enumerate() {
            let name = &names[from];
            let first = (0..names.len()).find(|i| names[*i] == *name && next[*i].is_some());
            if let Some(taken) = first.and_then(|i| next[i].take()) {
                groups[place] = taken;
            }
        }
    }

    /// `s: gpu, t: T[s]`, with more behind.
    fn source_dims(&self, choice: bool, more: &str) -> String {
        let size = |axis: &Axis| match axis.name {
            "s" => self.rank_size(),
            "t" => self.positions_text.clone(),
            _ => axis.fixed.unwrap_or(1).to_string(),
        };
        let axes = self.source_axes(choice).into_iter();
        Vec::from_iter(axes.map(|a| format!("{}: {}", a.name, size(&a)))).join(", ") + more
    }

    fn source_index(&self, choice: bool, more: &str) -> String {
        let axes = self.source_axes(choice);
        Vec::from_iter(axes.iter().map(|a| a.name)).join(", ") + more
    }

    fn source_axes(&self, choice: bool) -> Vec<Axis> {
        self.sources().into_iter().filter(|a| choice || a.name != "k").collect()
    }

    fn source_shape(&self, choice: bool, more: &[i64]) -> Vec<usize> {
        let size = |a: &Axis| match a.name {
            "t" => self.longest(),
            _ => a.fixed.unwrap_or(1) as usize,
        };
        let mut shape = Vec::from_iter(self.source_axes(choice).iter().map(size));
        shape.extend(more.iter().map(|n| *n as usize));
        shape
    }

    fn random_input(&mut self, name: &str, elem: Elem, shape: Vec<usize>) {
        let mut array = Array::zeros(elem, shape);
        self.random.fill(&mut array);
        self.inputs.tensors.insert(name.to_string(), array);
    }

    /// An input at the sources, with its row behind: (its name).
    fn source_tensor(
        &mut self,
        name: &str,
        elem: Named,
        choice: bool,
        row: &[(&'static str, i64)],
    ) {
        let names: Vec<&str> = row.iter().map(|(n, _)| *n).collect();
        let more: String = row.iter().map(|(n, size)| format!(", {n}: {size}")).collect();
        let axes = self.source_axes(choice);
        let sums = FLOATS.iter().any(|e| e.0 == elem.0);
        let placement = self.placement(&axes, None, &names, Use::Read { sums });
        let parts = Vec::from_iter((self.parts > 0).then_some(self.parts as usize));
        let dims = self.source_dims(choice, &more);
        let mut given = name.to_string();
        if rarely(self.random, 8) {
            // In two steps.
            given += "_given";
            let place = self.placement(&axes, None, &names, Use::Read { sums: false });
            self.declarations.push(format!("tmp {name}: {}[{dims}] @ {place};", elem.0));
            let named: String = names.iter().map(|n| format!(", {n}")).collect();
            let index = self.source_index(choice, &named);
            let statement = format!("{name}[{index}] <- {given}[{index}];");
            self.steps.insert(name.to_string(), statement);
        }
        self.declarations.push(format!("in {given}: {}[{dims}] @ {placement};", elem.0));
        let sizes: Vec<i64> = row.iter().map(|(_, n)| *n).collect();
        let shape = [parts, self.source_shape(choice, &sizes)].concat();
        self.random_input(&given, elem.1, shape);
    }

    /// The statements, after those that write what they read.
    fn stepped(&self, statements: &str) -> String {
        let declared =
            |name: &str| self.declarations.iter().any(|d| d.starts_with(&format!("tmp {name}:")));
        let read = |name: &str| declared(name) && statements.contains(&format!("{name}["));
        let read = self.steps.iter().filter(|(name, _)| read(name));
        let before: String = read.map(|(_, statement)| format!("{statement} ")).collect();
        before + statements
    }

    /// An output at the sources.
    fn source_target(
        &mut self,
        name: &str,
        elem: &str,
        choice: bool,
        row: &[(&'static str, i64)],
        with: &str,
    ) {
        let names: Vec<&str> = row.iter().map(|(n, _)| *n).collect();
        let more: String = row.iter().map(|(n, size)| format!(", {n}: {size}")).collect();
        let axes = self.source_axes(choice);
        let placement = self.placement(&axes, None, &names, Use::Written);
        let placement = join(&placement, if with == KEEP { "" } else { with });
        let dims = self.source_dims(choice, &more);
        // What is not written keeps its value.
        let keeps = with == KEEP || with.is_empty() && rarely(self.random, 2);
        let kept = ELEMS.iter().find(|e| e.0 == elem && keeps);
        let io = if kept.is_some() { "inout" } else { "out" };
        self.declarations.push(format!("{io} {name}: {elem}[{dims}] @ {placement};"));
        if let Some((_, elem)) = kept {
            let sizes: Vec<i64> = row.iter().map(|(_, n)| *n).collect();
            let shape = self.source_shape(choice, &sizes);
            self.random_input(name, *elem, shape);
        }
    }

    /// `c.pack(4)`, or a slab where the cap bounds the rows.
    fn storage(&mut self) -> String {
        match self.cap {
            Some(cap) if rarely(self.random, 2) => format!("c.slab({cap})"),
            _ => format!("c.pack({})", pick(self.random, &[1, 1, 2, 4, 8, 128])),
        }
    }

    fn group_axis(&self) -> Axis {
        Axis { name: "e", fixed: Some(self.groups), sharded: true }
    }

    /// The type and placement of a tensor of slots with a row.
    fn slots(
        &mut self,
        elem: &str,
        row: &[(&'static str, i64)],
        between: &[Axis],
        with: &str,
        used_as: Use,
    ) -> String {
        let names: Vec<&str> = row.iter().map(|(n, _)| *n).collect();
        let storage = self.storage();
        let packed = storage.contains("pack");
        let mut axes = vec![self.group_axis()];
        if packed && self.by_table() {
            axes[0].fixed = axes[0].fixed.filter(|_| self.odd());
        }
        axes.extend_from_slice(between);
        let placement = self.placement(&axes, Some(("e", &storage)), &names, used_as);
        let placement = join(&placement, with);
        let more: String = row.iter().map(|(n, size)| format!(", {n}: {size}")).collect();
        let between: String =
            between.iter().map(|a| format!(", {}: {}", a.name, a.fixed.unwrap_or(1))).collect();
        let ragged = self.cap.map_or("c: ragged".to_string(), |cap| format!("c: ragged <= {cap}"));
        format!("{elem}[e: {}, {ragged}{between}{more}] @ {placement}", self.groups)
    }

    fn fill(&mut self, elem: Elem) -> &'static str {
        match self.random.below(4) {
            0 => "",
            1 if !matches!(elem, Elem::E4m3 | Elem::U8) => "fill(3)",
            _ => "fill(0)",
        }
    }

    fn row(&mut self) -> Vec<(&'static str, i64)> {
        let second = pick(self.random, &[1, 2, 3]);
        match self.random.below(4) {
            0 => vec![("h", self.rows), ("d", second)],
            _ => vec![("h", self.rows)],
        }
    }

    /// An index tensor.
    fn index(&mut self, name: &str) {
        let wide = rarely(self.random, 2);
        let none = if self.drops { ", none = -1" } else { "" };
        let axes = self.source_axes(true);
        let placement = self.placement(&axes, None, &[], Use::Index);
        let dims = self.source_dims(true, "");
        let ix = if wide { "ix64" } else { "ix32" };
        self.declarations
            .push(format!("in {name}: {ix}({}{none})[{dims}] @ {placement};", self.groups));
        let shape = self.source_shape(true, &[]);
        let hot = rarely(self.random, 5).then(|| self.random.below(self.groups as u64) as i64);
        let values: Vec<i64> = (0..shape.iter().product::<usize>())
            .map(|_| match self.random.below(4) {
                0 if self.drops => -1,
                _ => hot.unwrap_or_else(|| self.random.below(self.groups as u64) as i64),
            })
            .collect();
        let mut values = values;
        if self.has_choice && self.choices <= self.groups && rarely(self.random, 4) {
            // Neighbours of the first choice, so that none is named twice.
            for tuple in values.chunks_mut(self.choices as usize) {
                let first = tuple[0].max(0);
                for (k, v) in tuple.iter_mut().enumerate().filter(|(_, v)| **v >= 0) {
                    *v = (first + k as i64) % self.groups;
                }
            }
            let tuple = self.source_index(true, "");
            self.declarations.push(format!("assume distinct(k: {name}[{tuple}]);"));
        }
        let elem = if wide { Elem::I64 } else { Elem::I32 };
        self.inputs.tensors.insert(name.into(), Array::from_i64(elem, shape, &values));
    }

    fn route(&mut self, name: &str, index: &str) -> String {
        let mut keys: Vec<&str> = self.sources().iter().map(|a| a.name).collect();
        if rarely(self.random, 3) {
            shuffle(self.random, &mut keys);
        }
        let sources = self.source_index(true, "");
        let cap = self.cap.map_or(String::new(), |cap| format!(" cap c < {cap} else drop;"));
        let group = self.group(&format!("{index}[{sources}]"));
        format!(
            "route {name}: ({sources}) -> (e, c) {{ {group} c = slot(e) by ({});{cap} }}",
            keys.join(", ")
        )
    }

    /// The group of a tuple: what it reads, or what it computes of that.
    fn group(&mut self, read: &str) -> String {
        let orelse = if self.drops { " else drop" } else { "" };
        let (groups, tuple) = (self.groups, self.source_index(true, ""));
        let of = |random: &mut Random| {
            let names: Vec<&str> = tuple.split(", ").collect();
            format!("{} * {}", pick(random, &names), 1 + random.below(4))
        };
        match self.random.below(10) {
            0 => {
                let (plus, minus) = (of(self.random), of(self.random));
                let size = if rarely(self.random, 2) { " / 2" } else { "" };
                format!("e = ({read} + {plus} - {minus}{size}) % {groups}{orelse};")
            }
            1 if !self.inputs.tensors.contains_key("place") => {
                let copies = self.axes.iter().map(|(m, _)| format!("copy/{m}, "));
                let copies = copies.collect::<String>();
                let swapped = if rarely(self.random, 2) { "v, l" } else { "l, v" };
                self.declarations.push(format!("in several: i32[l: {groups}] @ [{copies}l];"));
                self.declarations.push(format!(
                    "in place: ix32({groups}, none = -1)[l: {groups}, v: 3] @ [{copies}{swapped}];"
                ));
                let several = Vec::from_iter((0..groups).map(|_| 1 + self.random.below(3) as i64));
                let place =
                    (0..3 * groups).map(|_| self.random.below(groups as u64 + 1) as i64 - 1);
                let place =
                    Array::from_i64(Elem::I32, vec![groups as usize, 3], &Vec::from_iter(place));
                let several = Array::from_i64(Elem::I32, vec![groups as usize], &several);
                self.inputs.tensors.extend([("several".into(), several), ("place".into(), place)]);
                self.drops = true;
                let which = of(self.random);
                format!("l = {read}{orelse}; e = place[l, ({which}) % several[l]] else drop;")
            }
            _ => format!("e = {read}{orelse};"),
        }
    }

    /// The statements of the planning entry.
    fn statements(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        // One that counts `y.c` comes first.
        let kinds: Vec<u64> = (0..self.random.below(5)).map(|_| self.random.below(14)).collect();
        for (i, kind) in std::iter::once(0).chain(kinds).enumerate() {
            let statement = self.statement(i, kind);
            out.push(statement);
        }
        out
    }

    fn statement(&mut self, i: usize, kind: u64) -> String {
        let row = self.row();
        let names: String = row.iter().map(|(n, _)| format!(", {n}")).collect();
        let bare = self.source_index(false, "");
        let tuple = self.source_index(true, "");
        match kind {
            // Rows of a position, or of a tuple.
            0..=2 => {
                let (elem, choice) = (pick(self.random, &ELEMS), kind == 2);
                let (part, named) = self.part_of(&row, &names);
                self.source_tensor(&format!("x{i}"), elem, choice, &part);
                let (part, written) = self.part_of(&row, &named);
                let whole = written == names;
                let fill = if whole { self.fill(elem.1) } else { "fill(0)" };
                let slots = self.slots(elem.0, &part, &[], fill, Use::Written);
                self.declarations.push(format!("out y{i}: {slots};"));
                let from = if choice { tuple } else { bare };
                format!("y{i}[e, c{written}] <- x{i}[{from}{named}] via r;")
            }
            3 => {
                self.source_tensor(&format!("w{i}"), ELEMS[0], true, &[]);
                let slots = self.slots("f32", &[], &[], "fill(0)", Use::Written);
                self.declarations.push(format!("out p{i}: {slots};"));
                format!("p{i}[e, c] <- w{i}[{tuple}] via r;")
            }
            4 => {
                let (from, to) = (pick(self.random, &FLOATS), pick(self.random, &FLOATS));
                let weight = pick(self.random, &FLOATS);
                self.source_tensor(&format!("w{i}"), weight, true, &[]);
                self.source_tensor(&format!("x{i}"), from, false, &row);
                let fill = self.fill(to.1);
                let slots = self.slots(to.0, &row, &[], fill, Use::Written);
                self.declarations.push(format!("out q{i}: {slots};"));
                let weight = match rarely(self.random, 3) {
                    true => String::new(),
                    false => format!("w{i}[{tuple}] * "),
                };
                format!("q{i}[e, c{names}] <- cast({}, {weight}x{i}[{bare}{names}]) via r;", to.0)
            }
            5 => {
                let elem = pick(self.random, &["i32", "i64"]);
                let slots = self.slots(elem, &[], &[], "fill(-1)", Use::Written);
                self.declarations.push(format!("out g{i}: {slots};"));
                let rank = if self.has_rank { "s * 100 + " } else { "" };
                let rank =
                    if self.batch.is_some() { format!("{rank}b * 1000 + ") } else { rank.into() };
                let choice = if self.has_choice { " + k" } else { "" };
                let value = pick(self.random, &["", " + e * 3", " + c"]);
                format!("g{i}[e, c] <- {rank}t * 4{choice}{value} via r;")
            }
            // Numbers back at their tuple.
            6 | 7 => {
                let lossless = !self.drops && self.cap.is_none();
                let with = if lossless && rarely(self.random, 2) { "" } else { "fill(-1)" };
                self.source_target(&format!("b{i}"), "i32", true, &[], with);
                let value = pick(self.random, &["c", "e", "e * 7 + c"]);
                format!("b{i}[{tuple}] <- {value} via r;")
            }
            // Rows of the kept tuples, where they were.
            8 => {
                let elem = pick(self.random, &ELEMS);
                let (part, named) = self.part_of(&row, &names);
                self.source_tensor(&format!("x{i}"), elem, false, &part);
                let with = if rarely(self.random, 2) { KEEP } else { "fill(0)" };
                let (part, written) = self.part_of(&row, &named);
                self.source_target(&format!("u{i}"), elem.0, true, &part, with);
                format!("u{i}[{tuple}{written}] <- x{i}[{bare}{named}] via r;")
            }
            9 => {
                let (word, with) =
                    pick(self.random, &[("count", ""), ("offset", ""), ("count", "fill(7)")]);
                let axis = self.group_axis();
                let placement = self.placement(&[axis], None, &[], Use::Written);
                let placement = join(&placement, with);
                let elem = pick(self.random, &["i32", "i32", "u32", "i64"]);
                let groups = self.groups;
                self.declarations.push(format!("out n{i}: {elem}[e: {groups}] @ {placement};"));
                format!("n{i}[e] <- {word}(y0.c);")
            }
            10 if self.has_rank
                && self.rank_extent == self.ranks
                && self.sources()[0].name == "s" =>
            {
                let elem = pick(self.random, &["i32", "u32", "i64"]);
                let axis = self.rank_axis();
                let placement = self.placement(&[axis], None, &[], Use::Written);
                let size = self.rank_size();
                self.declarations.push(format!("out l{i}: {elem}[s: {size}] @ {placement};"));
                format!("l{i}[s] <- dropped(r, s);")
            }
            // A slot has one choice: the others of its row keep the fill.
            10 => {
                let between = [Axis { name: "k", fixed: Some(self.choices), sharded: false }];
                if !self.has_choice {
                    return self.statement(i, 0);
                }
                let elem = pick(self.random, &ELEMS);
                self.source_tensor(&format!("x{i}"), elem, false, &row);
                let slots = self.slots(elem.0, &row, &between, "fill(0)", Use::Written);
                self.declarations.push(format!("out m{i}: {slots};"));
                format!("m{i}[e, c, k{names}] <- x{i}[{bare}{names}] via r;")
            }
            // Computed of what the tuple has.
            12 | 13 => {
                let number = self.number();
                let (of_tuple, row) = (true, &row[..]);
                let place = Place { number, of_tuple, fetched: None, row, reduced: None };
                let value = self.arithmetic(place, 2);
                let (to, value) = self.stored(number, value);
                let filter = self.filter(true);
                let fill = if filter.is_empty() { self.fill(to.1) } else { "fill(0)" };
                let slots = self.slots(to.0, row, &[], fill, Use::Written);
                self.declarations.push(format!("out v{i}: {slots};"));
                let mut target = format!("v{i}[e, c{names}]");
                if rarely(self.random, 4) {
                    // The same to another place, too.
                    let slots = self.slots(to.0, row, &[], fill, Use::Written);
                    self.declarations.push(format!("out also{i}: {slots};"));
                    target = format!("({target}, also{i}[e, c{names}])");
                }
                format!("{target} <- {value} via r{filter};")
            }
            // Without a route, beside the others.
            _ => {
                let movement = Movement::new(self.random, &self.axes, 100 + i);
                self.declarations.push(movement.declarations);
                for (name, array) in movement.inputs {
                    self.inputs.tensors.insert(name, array);
                }
                movement.statement
            }
        }
    }

    /// Rows to their slots, and back, added up.
    fn combine(&mut self) -> (String, String) {
        let (elem, to) = (pick(self.random, &FLOATS), pick(self.random, &FLOATS));
        let row = self.row();
        let names: String = row.iter().map(|(n, _)| format!(", {n}")).collect();
        let (bare, tuple) = (self.source_index(false, ""), self.source_index(true, ""));
        let (part, read) = self.part_of(&row, &names);
        let all: String = part.iter().map(|(n, _)| format!(", {n}")).collect();
        self.source_tensor("zx", elem, false, &part);
        let slots = self.slots(elem.0, &part, &[], "", Use::Kept);
        // In two entries, or in one by a `tmp`.
        let sent = if rarely(self.random, 4) { "z" } else { "zy" };
        match sent {
            "z" => self.declarations.push(format!("tmp z: {slots};")),
            _ => {
                self.declarations.push(format!("out zy: {slots};"));
                self.declarations.push(format!("in z: {slots};"));
            }
        }
        let word = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
            text[..end].to_string()
        };
        self.rows_over = slots.split("e/").skip(1).map(word).collect();
        let fetched = format!("z[e, c{read}]");
        let push = format!("{sent}[e, c{all}] <- zx[{bare}{all}] via r;");
        if rarely(self.random, 2) {
            return (push, self.fetch(elem, &fetched, &row));
        }
        let mut factors = vec![fetched];
        if !rarely(self.random, 4) {
            let weight = pick(self.random, &FLOATS);
            self.source_tensor("w", weight, true, &[]);
            factors.push(format!("w[{tuple}]"));
        }
        if rarely(self.random, 4) {
            let axis = self.group_axis();
            let placement = self.placement(&[axis], None, &[], Use::Read { sums: true });
            self.declarations.push(format!("in scale: f32[e: {}] @ {placement};", self.groups));
            let parts = (self.parts > 0).then_some(self.parts as usize);
            let shape = parts.into_iter().chain([self.groups as usize]).collect();
            self.random_input("scale", Elem::F32, shape);
            factors.push("scale[e]".into());
        }
        shuffle(self.random, &mut factors);
        let fill = pick(self.random, &["", "", "fill(0)", "fill(2)"]);
        self.source_target("o", to.0, false, &row, fill);
        let mut sum = self.summed(&factors.join(" * "));
        while rarely(self.random, 3) {
            sum = self.around(sum, &bare, &row);
        }
        let value = if to.1 == Elem::F32 { sum } else { format!("cast({}, {sum})", to.0) };
        let mut pull = format!("o[{bare}{names}] <- {value} via r;");
        if rarely(self.random, 4) {
            // Each tuple gets the row of its slot as it is.
            self.source_target("rows", elem.0, true, &row, "fill(1)");
            pull += &format!(" rows[{tuple}{names}] <- z[e, c{read}] via r;");
        }
        (push, pull)
    }

    /// A condition, or none; on what is a position's, and of a tuple.
    fn filter(&mut self, of_tuple: bool) -> String {
        if !rarely(self.random, 3) {
            return String::new();
        }
        let mut all = vec!["t < 2", "t % 2 == 0", "t != 1"];
        all.extend(["s > 0", "s == 0"].iter().filter(|_| self.has_rank));
        if of_tuple {
            all.extend(["c < 2", "e % 2 == 1", "c != t"]);
            all.extend(["k == 0", "k != 1"].iter().filter(|_| self.has_choice));
        }
        let (a, b) = (pick(self.random, &all), pick(self.random, &all));
        match self.random.below(3) {
            0 => format!(" where {a}"),
            1 => format!(" where {a} && {b}"),
            _ => format!(" where {a} || {b}"),
        }
    }

    /// Rows of slots where their tuples are, reduced over the choice or one for each tuple.
    fn fetch(&mut self, elem: Named, fetched: &str, row: &[(&'static str, i64)]) -> String {
        let drawn = (self.declarations.len(), self.inputs.clone());
        let statement = self.fetched(elem, fetched, row);
        if statement.contains(fetched) {
            return statement;
        }
        // Something has to read what was sent.
        (_, self.inputs) = (self.declarations.truncate(drawn.0), drawn.1);
        self.fetch(elem, fetched, row)
    }

    fn fetched(&mut self, elem: Named, fetched: &str, row: &[(&'static str, i64)]) -> String {
        let names: String = row.iter().map(|(n, _)| format!(", {n}")).collect();
        let (bare, tuple) = (self.source_index(false, ""), self.source_index(true, ""));
        let with = pick(self.random, &[KEEP, "fill(0)", "fill(2)"]);
        let number = self.number();
        let wide = format!("cast(f64, {fetched})");
        let text = match number {
            Number::F32 => Some(fetched),
            Number::F64 => Some(wide.as_str()),
            Number::Integer => None,
        };
        let place = Place { number, of_tuple: false, fetched: text, row, reduced: None };
        let each = Place { of_tuple: true, ..place };
        match self.random.below(6) {
            // As they are.
            0 => {
                self.source_target("o", elem.0, true, row, with);
                let filter = self.filter(true);
                format!("o[{tuple}{names}] <- {fetched} via r{filter};")
            }
            1 => {
                self.source_target("o", elem.0, false, row, with);
                let filter = self.filter(false);
                format!("o[{bare}{names}] <- first(k: {fetched}) via r{filter};")
            }
            2 => {
                let value = self.arithmetic(each, 1);
                let (to, value) = self.stored(number, value);
                self.source_target("o", to.0, true, row, with);
                format!("o[{tuple}{names}] <- {value} via r;")
            }
            3 => {
                let inner = self.arithmetic(each, 1);
                let value = format!("first(k: {inner}) + {}", self.arithmetic(place, 1));
                let (to, value) = self.stored(number, value);
                self.source_target("o", to.0, false, row, with);
                format!("o[{bare}{names}] <- {value} via r;")
            }
            _ => {
                let mut value = self.gathered(place);
                while rarely(self.random, 2) {
                    let other = match rarely(self.random, 3) {
                        true => self.gathered(place),
                        false => self.arithmetic(place, 1),
                    };
                    value = format!("({value} {} {other})", pick(self.random, &["+", "-", "*"]));
                }
                let (to, value) = self.stored(number, value);
                let with = pick(self.random, &["", "", "fill(0)", KEEP]);
                let filter = if with.is_empty() { String::new() } else { self.filter(false) };
                self.source_target("o", to.0, false, row, with);
                format!("o[{bare}{names}] <- {value} via r{filter};")
            }
        }
    }

    /// Arithmetic on a sum.
    fn around(&mut self, sum: String, bare: &str, row: &[(&'static str, i64)]) -> String {
        let names: String = row.iter().map(|(n, _)| format!(", {n}")).collect();
        let name = format!("own{}", self.declarations.len());
        let elem = pick(self.random, &FLOATS);
        let other = match self.random.below(4) {
            0 => {
                self.source_tensor(&name, elem, false, row);
                format!("{name}[{bare}{names}]")
            }
            1 => {
                self.source_tensor(&name, elem, false, &[]);
                format!("{name}[{bare}]")
            }
            2 => {
                // One row for all.
                let dims = Vec::from_iter(row.iter().map(|(n, size)| format!("{n}: {size}")));
                let row_names: Vec<&str> = row.iter().map(|(n, _)| *n).collect();
                let placement = self.placement(&[], None, &row_names, Use::Read { sums: true });
                let parts = (self.parts > 0).then_some(self.parts as usize);
                let dims = dims.join(", ");
                self.declarations.push(format!("in {name}: {}[{dims}] @ {placement};", elem.0));
                let sizes = row.iter().map(|(_, size)| *size as usize);
                self.random_input(&name, elem.1, parts.into_iter().chain(sizes).collect());
                format!("{name}[{}]", row_names.join(", "))
            }
            _ => pick(self.random, &["2.0", "0.3", "3", "-1.5"]).to_string(),
        };
        match self.random.below(6) {
            0 => format!("({sum}) + {other}"),
            1 => format!("{other} + ({sum})"),
            2 => format!("({sum}) - {other}"),
            3 => format!("{other} * ({sum})"),
            4 => format!("-({sum})"),
            _ => format!("({sum}) / {}", pick(self.random, &["2.0", "-0.7", "3"])),
        }
    }

    fn case(mut self) -> Case {
        self.index("ids");
        let mut route = self.route("r", "ids");
        let mut statements = self.statements();
        let mut entries = vec!["go".to_string()];
        let mut back = String::new();
        let mut feeds = Vec::new();
        if self.has_choice && !rarely(self.random, 3) {
            let (push, pull) = self.combine();
            statements.push(push);
            match self.declarations.iter().any(|d| d.starts_with("tmp z:")) {
                true => statements.push(pull),
                false => {
                    let pull = self.stepped(&pull);
                    back = format!("    entry back {{ {pull} {} }}\n", self.schedule("pull"));
                    entries.push("back".into());
                    feeds.push(("z".to_string(), "zy".to_string()));
                }
            }
        }
        if rarely(self.random, 6) {
            // A second route, in an entry of its own.
            self.index("jds");
            route += &format!("\n    {}", self.route("q", "jds"));
            let statement = self.statement(9, 2).replace("via r", "via q");
            match rarely(self.random, 2) {
                true => statements.push(format!("plan q; {statement}")),
                false => {
                    let statement = self.stepped(&statement);
                    back += &format!("    entry other {{ plan q; {statement} }}\n");
                    entries.push("other".into());
                }
            }
        }
        let carrier = if rarely(self.random, 2) { "push" } else { "pull" };
        let schedule = self.schedule(carrier);
        let declarations = self.declarations.join("\n    ");
        let routed = statements.iter().filter(|s| s.contains("via r") || s.contains("(y0.c)"));
        let first = |s: &String| Some(s.trim_start_matches('(').split_once('[')?.0.to_string());
        // A `tmp` has no buffer to look at.
        let targets = routed.filter_map(first).filter(|t| t != "z").collect();
        let text = format!(
            "program routed {{\n    {declarations}\n    {route}\n    entry go {{\n        plan r;\n        {}\n        {schedule}\n    }}\n{back}}}\n",
            self.stepped(&statements.join("\n        "))
        );
        let ranks = self.axes.iter().map(|(_, n)| n).product::<i64>() as usize;
        Case { text, ranks, inputs: self.inputs, entries, targets, feeds }
    }

    fn schedule(&mut self, carrier: &str) -> String {
        match self.random.below(16) {
            0 => format!("schedule {{ {carrier}; chunk t: {}; }}", 1 + self.random.below(8)),
            1 => format!("schedule {{ {carrier}; stages {}; }}", 1 + self.random.below(4)),
            2 if self.positions_text != "T" => String::new(),
            2 => format!("schedule when T <= 2 {{ {carrier}; }} schedule {{ {carrier}; }}"),
            3 if self.positions_text == "T" && carrier == "pull" => {
                "schedule when T <= 2 { stages 2; } schedule { pull; }".to_string()
            }
            3 => format!("schedule {{ {carrier}; }}"),
            _ => String::new(),
        }
    }
}

/// A placement with one more word behind `with`.
fn join(placement: &str, with: &str) -> String {
    match (with.is_empty(), placement.contains(" with ")) {
        (true, _) => placement.to_string(),
        (false, true) => format!("{placement}, {with}"),
        (false, false) => format!("{placement} with {with}"),
    }
}
