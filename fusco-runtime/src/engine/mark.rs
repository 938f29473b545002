//! Points in time on a stream, to measure what is queued between two of them.

use super::Error;
use super::device::driver::Mark;
use std::time::{Duration, Instant};

/// When everything queued before it on its stream had ended.
pub struct TimeMark(Kind);

enum Kind {
    Host(Instant),
    /// One for each device, in the order of the world's.
    Device(Vec<Mark>),
}

impl TimeMark {
    pub(crate) fn host(at: Instant) -> TimeMark {
        TimeMark(Kind::Host(at))
    }

    pub(crate) fn device(marks: Vec<Mark>) -> TimeMark {
        TimeMark(Kind::Device(marks))
    }

    /// Time from `earlier` to this mark: of several devices the longest. Waits until it is reached.
    ///
    /// # Errors
    /// F0909 for marks of different worlds; F0911 if the device has failed.
    pub fn since(&self, earlier: &TimeMark) -> Result<Duration, Error> {
        match (&self.0, &earlier.0) {
            (Kind::Host(now), Kind::Host(then)) => Ok(now.saturating_duration_since(*then)),
            (Kind::Device(now), Kind::Device(then)) if same_devices(now, then) => {
                let mut longest = Duration::ZERO;
                for (now, then) in now.iter().zip(then) {
                    longest = longest.max(now.since(then)?);
                }
                Ok(longest)
            }
            _ => Err(Error::plan("two marks of different worlds".to_string())),
        }
    }
}

fn same_devices(a: &[Mark], b: &[Mark]) -> bool {
    a.iter().map(Mark::ordinal).eq(b.iter().map(Mark::ordinal))
}
