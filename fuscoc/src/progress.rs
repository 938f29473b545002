//! A bar for long work: on a terminal only, gone when the work is.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

pub struct Progress(ProgressBar);

impl Progress {
    /// For so many stages.
    pub fn new(stages: usize) -> Progress {
        let bar = ProgressBar::new(stages as u64);
        let style =
            ProgressStyle::with_template("{spinner} [{bar:24}] {pos}/{len} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }

    /// The stage before is over; `what` begins.
    pub fn next(&self, what: &str) {
        if !self.0.message().is_empty() {
            self.0.inc(1);
        }
        self.0.set_message(what.to_string());
    }

    /// A line of its own on standard error, on a terminal or not: what is done so far.
    pub fn say(&self, line: &str) {
        self.0.suspend(|| crate::file::tell(line));
    }

    /// Clears the line, so that others may print.
    pub fn pause(&self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.pause();
    }
}
