//! Pull by the copy engine: a CTA's rows pass through a ring in shared memory. Two warps find the rows of the
//! tuples of its positions, a thread has them fetched in order, most warps add them up, in ascending order in
//! f32, and one warp tells of the sums. A load waits behind all rows that are on their way to the
//! multiprocessor, so what finds a row must not be what fetches it; and memory is never without rows to fetch,
//! as it is where CTAs that add up begin and end. Rows of peers on other devices come by mail.

use super::bulk;
use super::mail::{self, Mail, PUSHERS};
use super::offer::{Offer, Rate, Reason, Refusal};
use crate::kernel::form::Form;
use crate::kernel::pipeline::{Act, Barrier, By, Channel, Group, Pipeline, Step};
use crate::kernel::region::{LINE, Memory, Region, Regions, lines};
use crate::kernel::shape::{Nest, row_bytes};
use crate::kernel::work::Work;
use crate::schedule::ir::{Access, Factor, Op, Peer};

/// `docs/performance.md`: rows of 14 KiB, 98.7 %; asked for and pushed over links, 87.1 % of the copy engines.
pub(super) const OF_COPY: f64 = 0.987;
/// Bytes of rows on their way to a multiprocessor; more do not make memory faster.
const IN_FLIGHT: i64 = 112 * 1024;
/// Rows on their way, at least and at most.
const SLOTS: (i64, i64) = (4, 32);
/// Shorter rows stay with a CTA for each position: a ring was not quicker at 4 KB.
const SHORT: i64 = 8192;
/// Sums that may wait to be told of.
const SUMS: i64 = 8;
/// Threads that add up, at most, and vectors of a row that each has then, at most.
const ADDERS: (i64, i64) = (256, 8);
/// Tuples that a warp finds.
const LANES: i64 = 32;
/// Positions of a CTA from which on its rows pass through a ring: with 8 an earlier ring was slower than a CTA for each
/// position, with 124 and more it is quicker; between them nothing was measured.
const POSITIONS: i64 = 16;
/// The same where peers are on other devices: with 15 it was 3 %, with 31 7 % quicker; fewer were not measured.
const POSITIONS_APART: i64 = 15;

/// Rows in shared memory and the threads that add them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Bytes of a row, and of a sum.
    pub row: i64,
    pub slots: i64,
    /// Threads that add up, and vectors of a row that each has.
    pub adders: (i64, i64),
    /// Arrivals are told.
    pub tells: bool,
    /// Ranks are on several devices.
    pub mail: Option<Mail>,
}

impl Ring {
    /// Two warps more find, one fetches, one tells, and some push what peers ask for.
    fn threads(&self) -> u32 {
        (self.told() + self.mail.map_or(0, |_| PUSHERS * LANES)) as u32
    }

    /// Threads before those that push.
    pub fn told(&self) -> i64 {
        self.adders.0 + if self.tells { 128 } else { 96 }
    }

    /// Dynamic shared memory.
    fn bytes(&self) -> i64 {
        (self.slots + self.mail.map_or(0, |_| PUSHERS)) * lines(self.row)
    }

    /// Vectors from one row to the next.
    pub fn pitch(&self) -> i64 {
        lines(self.row) / 16
    }
}

/// The kernel only adds up rows, one for each tuple, that are multiples of 16 bytes and long, as the sums are.
pub(in crate::kernel) fn consider(work: &Work) -> Result<Offer<Ring>, Refusal> {
    let route = work.route().ok_or(Refusal::Route(false))?;
    let (ring, nest) = ring(work)?;
    let (target, tuning) = (work.target, &work.kernel.tuning);
    if tuning.blocks.is_some() {
        return Err(Refusal::Blocks);
    }
    let positions = route.positions_bound.saturating_mul(i64::from(target.ranks_per_device));
    let each = positions / i64::from(target.sms.max(1));
    let least = if work.alone { POSITIONS } else { POSITIONS_APART };
    if each < least && tuning.stages.is_none() {
        return Err(Refusal::Positions { each, least });
    }
    let form = Form::new(work, (ring.threads(), 1));
    // Its rows take all shared memory.
    let form = Form { resident: 1, shared_bytes: ring.bytes() as u32, ..form };
    Ok(Offer {
        reason: if each < least { Reason::Stages } else { Reason::ManyPositions { each } },
        form: form.flat(target.sms.max(target.ranks_per_device)),
        shared: regions(&ring, &nest),
        pipeline: pipeline(&ring, nest.fan),
        parts: ring,
        rate: Rate { of_copy: OF_COPY, measured: true },
    })
}

fn ring<'a>(work: &Work<'a>) -> Result<(Ring, Nest<'a>), Refusal> {
    let (schedule, alone) = (work.schedule, work.alone);
    let shared = bulk::room(work.target)?;
    let nest = work.gather().ok_or(Refusal::NoSum)?;
    if !nest.tuples.is_plain() || nest.summed {
        return Err(Refusal::Chosen);
    }
    if nest.parts.is_some() {
        return Err(Refusal::Parts);
    }
    let [(_, from)] = nest.rows[..] else { return Err(Refusal::Rows { number: nest.rows.len() }) };
    let own = nest.own().into_iter().filter(|(_, _, is_row)| *is_row).map(|(_, access, _)| access);
    if let Some(narrow) = [from, nest.to].into_iter().chain(own).find(|a| a.vector != 16) {
        return Err(Refusal::Narrow { bytes: narrow.vector });
    }
    if nest.fan > LANES {
        return Err(Refusal::Tuples { number: nest.fan, most: LANES });
    }
    let row = row_bytes(schedule, nest.to);
    if row < SHORT {
        return Err(Refusal::Short { bytes: row, least: SHORT });
    }
    let pushed = if alone { 0 } else { PUSHERS };
    let line = lines(row);
    let fit = (IN_FLIGHT / line).min(shared / line - pushed).clamp(SLOTS.0, SLOTS.1);
    let slots = work.kernel.tuning.stages.map_or(fit, |asked| asked.number);
    if slots < SLOTS.0 || slots > SLOTS.1 {
        return Err(Refusal::Stages { asked: slots, least: SLOTS.0, most: SLOTS.1 });
    }
    let (most, long) = ADDERS;
    let vectors = row / 16;
    let most = if vectors > most * long { 2 * most } else { most };
    let each = (vectors + most - 1) / most;
    let threads = ((vectors + each - 1) / each + 31) / 32 * 32;
    let tells = matches!(nest.signal, Some(Op::Signal { to: Peer::Rank(_), .. }));
    let mail = (!alone).then(|| Mail::new(slots));
    let ring = Ring { row, slots, adders: (threads, each), tells, mail };
    if ring.bytes() > shared {
        return Err(Refusal::Room { bytes: ring.bytes(), most: shared });
    }
    let tensor = &schedule.tensors[from.tensor];
    let bytes = tensor.elems * tensor.elem.bytes();
    if !alone && bytes / 16 >= mail::MOST {
        return Err(Refusal::Named { bytes, most: mail::MOST * 16 });
    }
    Ok((ring, nest))
}

fn regions(ring: &Ring, nest: &Nest) -> Vec<Region> {
    let mut shared = Regions::default();
    shared.add(Memory::Dynamic, ("rows", ring.slots * lines(ring.row)), LINE);
    if ring.mail.is_some() {
        shared.add(Memory::Dynamic, ("pushed rows", PUSHERS * lines(ring.row)), LINE);
    }
    let tuple = tuple_bytes(nest, ring);
    let mut word = |name, bytes| shared.add(Memory::Static, (name, bytes), 8);
    word("found", 2 * LANES * tuple);
    word("tuples", ring.slots * tuple);
    ["known", "taken"].iter().for_each(|name| word(name, 2 * 8));
    if ring.tells {
        ["summed", "told"].iter().for_each(|name| word(name, SUMS * 8));
    }
    ["full", "empty"].iter().for_each(|name| word(name, ring.slots * 8));
    if ring.mail.is_some() {
        word("pushed", PUSHERS * 8);
    }
    shared.0
}

/// What is known of a tuple: pointers to its row and sum, then what the arithmetic reads, factors and the owner.
fn tuple_bytes(nest: &Nest, ring: &Ring) -> i64 {
    let own = nest.own().into_iter().map(|(_, _, is_row): (usize, &Access, bool)| match is_row {
        true => 8,
        false => 4,
    });
    let factors = nest.factors.iter().filter(|f| matches!(f, Factor::Scalar(_))).map(|_| 4);
    let members = [8, 8].into_iter().chain(own).chain(factors).chain(ring.mail.map(|_| 4));
    let end = members.fold(0i64, |at, bytes| (at + bytes - 1) / bytes * bytes + bytes);
    (end + 7) / 8 * 8
}

fn pipeline(ring: &Ring, fan: i64) -> Pipeline {
    use Act::{Await, Fill, Free, Reserve};
    let adders = ring.adders.0 as u32;
    let group = |name, (first, threads, teams), steps: Vec<Step>| Group {
        name,
        first,
        threads,
        teams,
        before: Vec::new(),
        steps,
    };
    let step = Step::new;
    let mut add = vec![step(Await, "rows"), step(Free, "rows")];
    let mut tell = Vec::new();
    let mut channels = vec![
        Channel {
            name: "found",
            slots: 2,
            items: LANES / fan * fan,
            full: Barrier::Mbarrier { name: "known", arrivals: 32, by: By::Thread },
            empty: Barrier::Mbarrier { name: "taken", arrivals: 1, by: By::One },
        },
        Channel {
            name: "rows",
            slots: ring.slots,
            items: 1,
            full: Barrier::Mbarrier { name: "full", arrivals: 1, by: By::One },
            empty: Barrier::Mbarrier { name: "empty", arrivals: adders, by: By::Thread },
        },
    ];
    if ring.tells {
        add.extend([step(Reserve, "sums"), step(Fill, "sums")]);
        tell.push(group(
            "tell",
            (adders + 96, 32, 1),
            vec![step(Await, "sums"), step(Free, "sums")],
        ));
        channels.push(Channel {
            name: "sums",
            slots: SUMS,
            items: fan,
            full: Barrier::Mbarrier { name: "summed", arrivals: adders / 32, by: By::Warp },
            empty: Barrier::Mbarrier { name: "told", arrivals: 1, by: By::One },
        });
    }
    let find = group("find", (adders, 64, 2), vec![step(Reserve, "found"), step(Fill, "found")]);
    let mut fetch =
        vec![step(Await, "found"), step(Reserve, "rows"), step(Fill, "rows"), step(Free, "found")];
    let mut push = Vec::new();
    if let Some(mail) = &ring.mail {
        fetch = mail.fetch(ring.slots);
        channels.extend(mail.channels());
        push.push(group(
            "push",
            (ring.told() as u32, (PUSHERS * LANES) as u32, PUSHERS as u32),
            mail::push(),
        ));
    }
    let mut groups = vec![group("add", (0, adders, 1), add), find];
    groups.push(group("fetch", (adders + 64, 1, 1), fetch));
    groups.extend(tell.into_iter().chain(push));
    Pipeline { groups, channels }
}
