//! What a row has to reach.

/// A bar and the value that is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// Share of the rate of a copy of the same bytes.
    Copy(f64),
    /// The same where the padding that the program fills counts as written.
    Filled(f64),
    /// Microseconds of one run.
    Time(f64),
    /// Times faster than that peer.
    Peer(&'static str, f64),
}

/// How a row stands to a bar; `ok` is open where the peer is missing.
pub struct Verdict {
    pub text: String,
    pub ok: Option<bool>,
}

impl Verdict {
    pub fn word(&self) -> &'static str {
        match self.ok {
            Some(true) => "ok",
            Some(false) => "below",
            None => "not measured",
        }
    }
}
