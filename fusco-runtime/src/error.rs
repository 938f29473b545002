//! What can go wrong between a program text and its moved bytes, as data.

use fusco_dsl::diag::Diagnostics;

/// An error of the engine. `code()` is the catalogue number that `fuscoc explain` knows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program was refused at compile or bind time.
    #[error("{}", first_message(.0))]
    Program(Diagnostics),
    /// A launch, an allocation or a name that the program does not allow; nothing was started, unless it
    /// is F0906: an index that was read from a tensor led out of another's range, F0907: data breaks an `assume`,
    /// or `synchronize` tells it: a plan whose making failed on another stream.
    #[error("{message}")]
    Invalid { code: &'static str, message: String },
    /// F0906: an index tensor holds a value outside its type.
    #[error("{tensor}[s={rank}, t={position}, k={k}] = {value}, outside 0..{}", bound - 1)]
    Index { tensor: String, rank: usize, position: i64, k: i64, value: i64, bound: i64 },
    /// F0910: an `else trap` of the route was reached.
    #[error("{entry}: rank {rank} trapped: {message}")]
    Trap { entry: String, rank: usize, message: String },
    /// F0908: a wait was not answered in time.
    #[error("{entry}: rank {rank} waited {seconds} s for {peer_name}, {signal} slot {slot}: expected {expected} arrivals, saw {seen}", peer_name = peer_name(*peer))]
    Timeout {
        entry: String,
        rank: usize,
        peer: i64,
        signal: String,
        slot: i64,
        expected: i64,
        seen: i64,
        seconds: f64,
    },
    /// The environment or the machine: a missing library, a driver call, memory.
    #[error("{0}")]
    Machine(String),
}

impl Error {
    pub fn code(&self) -> &'static str {
        match self {
            Error::Program(d) => d.0.first().map_or("F0999", |d| d.code),
            Error::Invalid { code, .. } => code,
            Error::Index { .. } => "F0906",
            Error::Timeout { .. } => "F0908",
            Error::Trap { .. } => "F0910",
            Error::Machine(_) => "F0911",
        }
    }

    /// Whether the machine lacks something, rather than the input being wrong.
    pub fn is_environment(&self) -> bool {
        matches!(self, Error::Machine(_))
    }

    /// F0902: a buffer is missing, unknown or has the wrong size.
    pub(crate) fn buffer(message: String) -> Error {
        Error::Invalid { code: "F0902", message }
    }

    /// F0904: a dyn is missing, unknown or over its bound.
    pub(crate) fn dynamic(message: String) -> Error {
        Error::Invalid { code: "F0904", message }
    }

    /// F0906: data led an index out of its range.
    pub(crate) fn index(message: String) -> Error {
        Error::Invalid { code: "F0906", message }
    }

    /// F0906: an element of an index tensor is outside its range.
    pub(crate) fn outside(tensor: &str, value: i64, limit: i64) -> Error {
        Error::index(format!("an index read from `{tensor}` is {value}, outside 0..{limit}"))
    }

    /// F0907: data breaks what the program assumes.
    pub(crate) fn assumption(message: String) -> Error {
        Error::Invalid { code: "F0907", message }
    }

    /// F0907: two elements of an index tensor that is assumed distinct name one place.
    pub(crate) fn equal_elements(tensor: &str, at: i64, value: i64) -> Error {
        Error::assumption(format!(
            "{tensor}[{at}] = {value}, as another element: `assume distinct` of `{tensor}` is false"
        ))
    }

    /// F0909: an entry, route or plan does not belong to this program.
    pub(crate) fn plan(message: String) -> Error {
        Error::Invalid { code: "F0909", message }
    }
}

/// Rows of a tile come from any rank.
fn peer_name(peer: i64) -> String {
    if peer < 0 { "its peers".to_string() } else { format!("rank {peer}") }
}

fn first_message(diagnostics: &Diagnostics) -> String {
    match diagnostics.0.first() {
        Some(d) if diagnostics.0.len() > 1 => {
            format!("{}: {} (and {} more)", d.code, d.message, diagnostics.0.len() - 1)
        }
        Some(d) => format!("{}: {}", d.code, d.message),
        None => "the program was refused".to_string(),
    }
}
