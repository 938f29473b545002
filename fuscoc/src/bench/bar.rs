//! What a row has to reach.

use super::row::Row;

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

impl Bar {
    pub fn judge(&self, row: &Row) -> Verdict {
        let (text, ok) = match self {
            Bar::Copy(share) => {
                let ok = row.ratio().map(|r| r >= *share);
                (format!(">= {:.0} % of a copy", share * 100.0), ok)
            }
            Bar::Filled(share) => {
                let ok = row.with_fill().map(|r| r >= *share);
                (format!(">= {:.0} % of a copy, with padding", share * 100.0), ok)
            }
            Bar::Time(most) => (format!("<= {most:.0} us"), Some(row.ours.median * 1e6 <= *most)),
            Bar::Peer(name, factor) => {
                let peer = row.peers.iter().find(|p| p.peer == *name).and_then(|p| p.ms);
                let ok = peer.map(|ms| ms / 1e3 >= factor * row.ours.median);
                (format!(">= {factor} x {name}"), ok)
            }
        };
        Verdict { text, ok }
    }
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
