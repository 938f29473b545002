//! A bar for long work: on a terminal only, gone when the work is.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::time::{Duration, Instant};

pub struct Progress {
    bar: ProgressBar,
    /// Nobody sees it; asking the bar takes a lock.
    hidden: bool,
    /// When the part of a stage was last written.
    written: Cell<Option<Instant>>,
}

/// Between two times that the part of a stage is written.
const PAUSE: Duration = Duration::from_millis(120);

impl Progress {
    /// For so many stages.
    pub fn new(stages: usize) -> Progress {
        let bar = ProgressBar::new(stages as u64);
        let style =
            ProgressStyle::with_template("{spinner} [{bar:24}] {pos}/{len} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(PAUSE);
        Progress { hidden: bar.is_hidden(), bar, written: Cell::new(None) }
    }

    /// The stage before is over; `what` begins.
    pub fn next(&self, what: &str) {
        if !self.bar.message().is_empty() {
            self.bar.inc(1);
        }
        self.bar.set_message(what.to_string());
        self.written.set(Some(Instant::now()));
    }

    /// How far a stage is in `what`: so many parts are done, of how many. Cheap to call for each of them.
    pub fn part(&self, stage: &str, what: &str, (done, all): (usize, usize)) {
        if self.hidden || self.written.get().is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        self.bar.set_message(so_far(stage, what, (done, all)));
        self.written.set(Some(Instant::now()));
    }

    /// A line of its own on standard error, on a terminal or not: what is done so far.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| crate::terminal::tell(line));
    }

    /// Clears the line, so that others may print.
    pub fn pause(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.pause();
    }
}

/// `combine by the reference interpreter: o 43 %`
fn so_far(stage: &str, what: &str, (done, all): (usize, usize)) -> String {
    let percent = done as f64 / all.max(1) as f64 * 100.0;
    format!("{stage}: {what} {percent:.0} %")
}

#[cfg(test)]
mod tests {
    use super::so_far;

    #[test]
    fn parts_are_per_cents() {
        assert_eq!(so_far("a by b", "y", (0, 0)), "a by b: y 0 %");
        assert_eq!(so_far("a by b", "y", (3, 8)), "a by b: y 38 %");
    }
}
