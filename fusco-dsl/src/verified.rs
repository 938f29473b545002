//! What has passed its verifier.

/// What must hold of a value before anything is made of it.
pub trait Verify {
    /// What does not hold.
    type Error;

    /// # Errors
    /// Everything that does not hold.
    fn verify(&self) -> Result<(), Self::Error>;
}

/// A value of which that was checked; there is no other way to make one.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T: Verify> Verified<T> {
    /// # Errors
    /// Those of [`Verify::verify`].
    pub fn new(value: T) -> Result<Verified<T>, T::Error> {
        value.verify().map(|()| Verified(value))
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
