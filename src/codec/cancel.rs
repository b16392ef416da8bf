//! Frames that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A flag that ends the coding of a frame in its middle. Any thread may raise it; encoders that [heed] it look at it after every
/// band or row of macroblocks, so a millisecond later nothing is coded any more. Clones are the same flag, which stays raised.
///
/// [heed]: crate::Coder::heed
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody waits any more.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has raised it.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Abandoned`] where it is raised.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_raised() { Err(Error::Abandoned) } else { Ok(()) }
    }
}
