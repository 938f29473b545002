//! A source: where it is from, and what it says.

pub struct Source {
    pub name: String,
    pub text: String,
}
