//! Standard error, and what the terminal can show.

use std::io::{self, Write};

/// A line on standard error; where that is closed or full there is nobody to tell.
pub fn tell(text: &str) {
    let mut err = io::stderr().lock();
    _ = err.write_all(text.as_bytes()).and_then(|()| err.write_all(b"\n"));
}

/// Whether standard error shows colours: what `NO_COLOR`, `CLICOLOR_FORCE` and `TERM` say, then the terminal.
pub fn colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// The same of standard output.
pub fn colours_output() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// A stream of the process.
#[derive(Clone, Copy)]
pub enum To {
    Output,
    Error,
}

/// Columns of the terminal that a stream is, or what `COLUMNS` says; `None` for a file or a pipe.
pub fn columns(to: To) -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(|c| *c > 0);
    let size = match to {
        To::Output => terminal_size::terminal_size_of(io::stdout()),
        To::Error => terminal_size::terminal_size_of(io::stderr()),
    };
    said.or_else(|| size.map(|(width, _)| usize::from(width.0)))
}
