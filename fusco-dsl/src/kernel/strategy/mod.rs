//! What carries a kernel out: one file a strategy, with when it may, what it takes, and at which rate it moves bytes.
//!
//! A strategy is a file that says what [`Offer`] it makes for a [`Work`], and a line in the list below. The first that
//! makes one is taken; why those before it made none is kept.

mod bulk;
mod mail;
mod moves;
mod offer;
mod once;
mod plan;
mod ring;
mod staged;
mod team;
mod warps;

pub use mail::{END, FIRST, Mail, PUSHERS};
pub use moves::Moves;
pub use offer::{Offer, Rate, Reason, Refusal};
pub use once::Once;
pub(super) use plan::threads as plan_threads;
pub use plan::{Plan, plan_ctas};
pub use ring::Ring;
pub use staged::Staged;
pub use team::Team;
pub use warps::Warps;

use super::work::Work;
use std::fmt;

/// Asks a strategy what it would take.
pub(super) type Consider = fn(&Work) -> Result<Offer<Strategy>, Refusal>;

macro_rules! strategies {
    ($($(#[$doc:meta])* $name:ident = $file:ident, $word:literal;)*) => {
        /// Which strategy, and the sizes that are its own.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Strategy {
            $($(#[$doc])* $name($file::$name),)*
        }

        /// A strategy without its sizes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Name {
            $($(#[$doc])* $name,)*
        }

        impl Strategy {
            pub fn name(&self) -> Name {
                match self {
                    $(Strategy::$name(_) => Name::$name,)*
                }
            }
        }

        impl Name {
            /// The part of what a copy of the same bytes reaches that its kernels do.
            pub(crate) fn of_copy(self) -> f64 {
                match self {
                    $(Name::$name => $file::OF_COPY,)*
                }
            }
        }

        impl fmt::Display for Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Name::$name => $word,)*
                })
            }
        }

        /// In the order in which they are asked.
        pub(super) const ALL: &[(Name, Consider)] = &[
            $((Name::$name, |work| $file::consider(work).map(|o| o.map(Strategy::$name))),)*
        ];
    };
}

/// What fetching rows once would take.
pub(super) fn once(work: &Work) -> Result<Offer<Strategy>, Refusal> {
    once::consider(work).map(|offer| offer.map(Strategy::Once))
}

strategies! {
    /// A part of the tuples to plan for each CTA.
    Plan = plan, "plan";
    /// A part of a flat grid, or some tiles.
    Moves = moves, "moves";
    /// Positions whose rows pass through shared memory, by the copy engine.
    Bulk = bulk, "bulk scatter";
    /// Positions of all ranks, whose rows are fetched once by the ranks that they go to, by the copy engine.
    Once = once, "fetch once";
    /// Positions whose tuples' rows pass through shared memory on their way into a sum.
    Ring = ring, "ring reduce";
    /// A CTA for each position, or a warp for each short one.
    Team = team, "team reduce";
    /// A position for each warp.
    Warps = warps, "warps";
}
