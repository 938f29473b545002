//! What can be wrong with the inputs of a run.

use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// A tensor, param or dyn that was not given.
    Missing(String),
    /// An index value outside its range: tensor, coordinates, value, range.
    Index {
        tensor: String,
        at: Vec<i64>,
        value: i64,
        bound: i64,
    },
    /// A count outside its bound: tensor, coordinates, the rows that it gives, the most.
    Count {
        tensor: String,
        at: Vec<i64>,
        rows: i64,
        bound: i64,
    },
    /// `else trap` was taken: route, source tuple.
    Trap {
        route: String,
        at: Vec<i64>,
    },
    /// `assume distinct` is false: tensor, coordinates, the other coordinate along the axis, value.
    NotDistinct {
        tensor: String,
        at: Vec<i64>,
        other: Vec<i64>,
        value: i64,
    },
    /// A launch-time size outside its bound.
    Dyn {
        name: String,
        value: i64,
        bound: i64,
    },
    Shape(String),
    Unsupported(String),
}

impl Error {
    /// The number in the catalogue, where one entry is certain to be about it.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Error::Index { .. } | Error::Count { .. } => Some("F0906"),
            Error::Trap { .. } => Some("F0910"),
            Error::NotDistinct { .. } => Some("F0907"),
            Error::Dyn { .. } => Some("F0904"),
            Error::Unsupported(_) => Some("F0999"),
            Error::Missing(_) | Error::Shape(_) => None,
        }
    }

    pub(super) fn outside(tensor: &str, at: &[i64], shape: &[usize]) -> Error {
        Error::Shape(format!("{tensor}{at:?} is outside an array of {shape:?}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing(what) => write!(f, "{what} is not given"),
            Error::Index { tensor, at, value, bound } => {
                write!(f, "{tensor}{at:?} = {value}, outside 0..{}", bound - 1)
            }
            Error::Count { tensor, at, rows, bound } => {
                write!(f, "{tensor}{at:?} gives {rows} rows, outside 0..{bound}")
            }
            Error::Trap { route, at } => write!(f, "route {route} traps at {at:?}"),
            Error::NotDistinct { tensor, at, other, value } => {
                write!(
                    f,
                    "assume distinct is false: {tensor}{at:?} and {tensor}{other:?} both name {value}"
                )
            }
            Error::Dyn { name, value, .. } if *value < 0 => {
                write!(f, "dyn {name} = {value} < 0")
            }
            Error::Dyn { name, value, bound } => write!(f, "dyn {name} = {value} > {bound}"),
            Error::Shape(what) => write!(f, "{what}"),
            Error::Unsupported(what) => write!(f, "not supported yet: {what}"),
        }
    }
}

impl std::error::Error for Error {}
