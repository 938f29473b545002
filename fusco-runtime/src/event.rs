//! Points in time on a stream, to measure what is queued between two of them.

use crate::backend::Mark;
use crate::error::Error;
use crate::lease::Ledger;
use std::sync::Arc;
use std::time::Duration;

/// When everything queued before it on its stream had ended.
pub struct TimeMark {
    mark: Box<dyn Mark>,
    world: Arc<Ledger>,
}

impl TimeMark {
    pub(crate) fn new(world: Arc<Ledger>, mark: Box<dyn Mark>) -> TimeMark {
        TimeMark { mark, world }
    }

    /// Time from `earlier` to this mark: of several devices the longest. Waits until it is reached.
    ///
    /// # Errors
    /// F0909 for marks of different worlds; F0911 if the device has failed.
    pub fn since(&self, earlier: &TimeMark) -> Result<Duration, Error> {
        if !Arc::ptr_eq(&self.world, &earlier.world) {
            return Err(Error::OtherWorld("two marks of different worlds"));
        }
        self.mark.since(&*earlier.mark)
    }
}

impl std::fmt::Debug for TimeMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeMark").finish_non_exhaustive()
    }
}
