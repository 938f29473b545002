//! Rows of peers on other devices, on their way into a ring: a CTA asks the peer's CTA of the same number for a row
//! by a word, ahead of its turn; warps there push the row into one of a few places that the asking CTA has for mail,
//! and count it. Links carry stores at 90 % of what their copy engines do, loads at 84 %: requests of loads take room
//! on the way back. Places are given back as the ring takes rows from them, so their number does not grow with the
//! tokens, and no one waits for anyone who waits: pushing warps only answer.

use crate::kernel::pipeline::{Act, Barrier, By, Channel, Step, Word};

/// What a word says besides the vector of a row, which is counted from here: that no more will be asked for.
pub const END: i64 = 1;
pub const FIRST: i64 = 2;
/// Vectors that words can name.
pub(super) const MOST: i64 = u32::MAX as i64 - FIRST;

/// Warps that push, each with a row of shared memory.
pub const PUSHERS: i64 = 4;
/// Rows that are asked for ahead of the ring, at least. At most as many as a warp has found at once, 17 or more.
const AHEAD: i64 = 8;

/// Places for rows of peers on other devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Rows that a CTA has place for: those asked for and those that the ring may still be reading.
    pub places: i64,
    /// Rows that are asked for ahead of the ring.
    pub ahead: i64,
}

impl Mail {
    pub(super) fn new(slots: i64) -> Mail {
        let places = (slots + AHEAD + PUSHERS - 1) / PUSHERS * PUSHERS;
        Mail { places, ahead: places - slots }
    }

    /// A row is asked for ahead of its turn, into a place whose row has left the ring, and waited for in its turn.
    pub(super) fn fetch(self, slots: i64) -> Vec<Step> {
        let step = Step::new;
        vec![
            step(Act::Reserve, "rows"),
            step(Act::Free, "mail").ahead(-slots),
            step(Act::Await, "found").ahead(self.ahead),
            step(Act::Claim, "mail").ahead(self.ahead),
            step(Act::Claim, "asked").ahead(self.ahead),
            step(Act::Fill, "asked").ahead(self.ahead),
            step(Act::Await, "mail"),
            step(Act::Fill, "rows"),
            step(Act::Free, "found"),
        ]
    }

    pub(super) fn channels(self) -> [Channel; 3] {
        let word = |name, publishes| {
            Barrier::Peer(Word {
                name,
                publishes,
                release: publishes,
                acquire: true,
                timeout: true,
            })
        };
        let channel = |name, slots, (full, empty)| Channel { name, slots, items: 1, full, empty };
        let pushed = Barrier::Mbarrier { name: "pushed", arrivals: 1, by: By::One };
        [
            channel("asked", self.places, (word("asked", false), Barrier::Order)),
            channel("mail", self.places, (word("came", true), Barrier::Order)),
            channel("pushed rows", PUSHERS, (pushed, Barrier::Order)),
        ]
    }
}

/// What a peer's warps do about each row that is asked for.
pub(super) fn push() -> Vec<Step> {
    let step = Step::new;
    vec![
        step(Act::Await, "asked"),
        step(Act::Free, "asked"),
        step(Act::Claim, "pushed rows"),
        step(Act::Fill, "pushed rows"),
        step(Act::Await, "pushed rows"),
        step(Act::Free, "pushed rows"),
        step(Act::Fill, "mail"),
    ]
}
