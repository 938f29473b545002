//! The only way to make a `Verified<Schedule>`.

/// A value that has passed its verifier; back ends take nothing else.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
