//! Waiting for counters: spin, then yield; a deadline and the failure of another rank end it.

use super::code::Target;
use super::plan::{Counters, tile_rows};
use super::run::Stop;
use crate::error::Error;
use fusco_dsl::schedule::ir::TILE_ROWS;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

/// What a rank of a launch needs to wait.
pub(crate) struct Watch<'a> {
    pub entry: &'a str,
    pub me: usize,
    pub timeout: Duration,
    /// Set when any rank of the stream fails.
    pub abort: &'a AtomicBool,
    /// More ranks than cores: one that waits long sleeps, so that the system sees which core is free.
    pub crowded: bool,
}

/// Yields before the first nap.
const YIELDS: u32 = 8;
/// As short as a system's timers go.
const NAP: Duration = Duration::from_micros(20);

/// Looks between two looks at the clock.
const SPINS: u32 = 64;

impl Watch<'_> {
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.abort.load(Relaxed) { Err(Stop::Aborted) } else { Ok(()) }
    }

    pub(crate) fn wait(
        &self,
        vars: &mut [i64],
        counters: &Counters,
        name: &str,
        until: &Target,
    ) -> Result<(), Stop> {
        match until {
            Target::Epoch => {
                let epoch = counters.epoch.load(Relaxed);
                (0..counters.slots.len()).try_for_each(|rank| {
                    self.slot(counters, name, rank as i64, rank as i64, i64::from(epoch), true)
                })
            }
            Target::Groups { base, live, var, groups } => {
                groups.list().iter().try_for_each(|group| {
                    vars[*var] = *group;
                    self.tiles(counters, name, base.get(vars) / TILE_ROWS, live.get(vars))
                })
            }
            Target::Rows { extent } => self.tiles(counters, name, 0, extent.get(vars)),
        }
    }

    fn tiles(&self, counters: &Counters, name: &str, first: i64, rows: i64) -> Result<(), Stop> {
        let tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
        (0..tiles)
            .try_for_each(|j| self.slot(counters, name, -1, first + j, tile_rows(rows, j), false))
    }

    /// Until the counter has reached `expected`; epochs wrap.
    fn slot(
        &self,
        counters: &Counters,
        name: &str,
        peer: i64,
        slot: i64,
        expected: i64,
        wraps: bool,
    ) -> Result<(), Stop> {
        let counter = usize::try_from(slot).ok().and_then(|s| counters.slots.get(s));
        let counter =
            counter.ok_or_else(|| Error::Internal(format!("{name} has no slot {slot}")))?;
        let reached = |seen: u32| {
            if wraps {
                seen.wrapping_sub(expected as u32) as i32 >= 0
            } else {
                i64::from(seen) >= expected
            }
        };
        spin(self.timeout, self.crowded, || reached(counter.load(Acquire)), || self.check())?
            .then_some(())
            .ok_or_else(|| {
                let (entry, signal, seconds) =
                    (self.entry.to_string(), name.to_string(), self.timeout.as_secs_f64());
                let seen = i64::from(counter.load(Acquire));
                Stop::Error(Error::Timeout {
                    entry,
                    rank: self.me,
                    peer,
                    signal,
                    slot,
                    expected,
                    seen,
                    seconds,
                })
            })
    }
}

/// Whether `done` held before the timeout; `check` may end it earlier. It `naps` where cores are scarce.
pub(crate) fn spin<E>(
    timeout: Duration,
    naps: bool,
    done: impl Fn() -> bool,
    check: impl Fn() -> Result<(), E>,
) -> Result<bool, E> {
    let (mut start, mut yields) = (None, 0u32);
    loop {
        for _ in 0..SPINS {
            if done() {
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        check()?;
        if start.get_or_insert_with(Instant::now).elapsed() > timeout {
            return Ok(done());
        }
        if naps && yields >= YIELDS {
            std::thread::sleep(NAP);
        } else {
            std::thread::yield_now();
        }
        yields = yields.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::index::Number;
    use crate::host::plan::counters;

    fn watch(abort: &AtomicBool) -> Watch<'_> {
        Watch {
            entry: "dispatch",
            me: 3,
            timeout: Duration::from_millis(50),
            abort,
            crowded: false,
        }
    }

    #[test]
    fn a_silent_peer_is_named() {
        let (abort, counters) = (AtomicBool::new(false), counters(4));
        counters.epoch.store(7, SeqCst);
        counters.slots.iter().for_each(|slot| slot.store(7, SeqCst));
        counters.slots[2].store(6, SeqCst);
        let Err(Stop::Error(error)) =
            watch(&abort).wait(&mut [], &counters, "exchange", &Target::Epoch)
        else {
            panic!("no error")
        };
        let text = "dispatch: rank 3 waited 0.05 s for rank 2, exchange slot 2: expected 7 arrivals, saw 6";
        assert_eq!((error.code(), error.to_string().as_str()), ("F0908", text));
    }

    #[test]
    fn a_failure_elsewhere_ends_the_wait() {
        let (abort, counters) = (AtomicBool::new(true), counters(4));
        let until = Target::Rows { extent: Number::Lit(130) };
        assert!(matches!(
            watch(&abort).wait(&mut [], &counters, "rows", &until),
            Err(Stop::Aborted)
        ));
        counters.slots[0].store(128, SeqCst);
        counters.slots[1].store(2, SeqCst);
        assert!(watch(&abort).wait(&mut [], &counters, "rows", &until).is_ok());
    }
}
