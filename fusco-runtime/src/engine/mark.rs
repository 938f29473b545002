//! Points in time on a stream, to measure what is queued between two of them.

use super::Error;
use crate::driver::Mark;
use crate::lease::Ledger;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When everything queued before it on its stream had ended.
pub struct TimeMark {
    kind: Kind,
    world: Arc<Ledger>,
}

enum Kind {
    Host(Instant),
    /// One for each device, in the order of the world's.
    Device(Vec<Mark>),
}

impl TimeMark {
    pub(crate) fn host(world: Arc<Ledger>, at: Instant) -> TimeMark {
        TimeMark { kind: Kind::Host(at), world }
    }

    pub(crate) fn device(world: Arc<Ledger>, marks: Vec<Mark>) -> TimeMark {
        TimeMark { kind: Kind::Device(marks), world }
    }

    /// Time from `earlier` to this mark: of several devices the longest. Waits until it is reached.
    ///
    /// # Errors
    /// F0909 for marks of different worlds; F0911 if the device has failed.
    pub fn since(&self, earlier: &TimeMark) -> Result<Duration, Error> {
        if !Arc::ptr_eq(&self.world, &earlier.world) {
            return Err(Error::OtherWorld("two marks of different worlds"));
        }
        match (&self.kind, &earlier.kind) {
            (Kind::Host(now), Kind::Host(then)) => Ok(now.saturating_duration_since(*then)),
            (Kind::Device(now), Kind::Device(then)) => {
                let mut longest = Duration::ZERO;
                for (now, then) in now.iter().zip(then) {
                    longest = longest.max(now.since(then)?);
                }
                Ok(longest)
            }
            _ => Err(Error::OtherWorld("two marks of different worlds")),
        }
    }
}

impl std::fmt::Debug for TimeMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeMark").finish_non_exhaustive()
    }
}
