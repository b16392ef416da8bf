//! How much may be in the house at once, in bytes: every frame holds its share until it is answered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::service::refusal::Refusal;

/// Bytes are counted in steps of this many, rounded up.
const STEP_BYTES: usize = 1024;

/// The bytes of frames in flight, of all callers together.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    steps: Arc<Semaphore>,
    total: usize,
}

impl Admission {
    /// Room for `mib` mebibytes.
    pub(crate) fn new(mib: u32) -> Self {
        let total = mib as usize * (1 << 20) / STEP_BYTES;
        Self { steps: Arc::new(Semaphore::new(total)), total }
    }

    /// Takes room for `bytes`, given back when the permit is dropped.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is none.
    pub(crate) fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let steps = u32::try_from(bytes.div_ceil(STEP_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.steps).try_acquire_many_owned(steps).map_err(|_| {
            let total = self.total * STEP_BYTES;
            Refusal::busy(format!(
                "{bytes} bytes more would exceed the {total} bytes of frames the server keeps in flight"
            ))
        })
    }

    /// Bytes in flight.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        (self.total - self.steps.available_permits()) * STEP_BYTES
    }

    /// Whether less than a tenth is left.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.steps.available_permits() < self.total / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let admission = Admission::new(1);
        let first = admission.admit(1_000_000).unwrap();
        let refusal = admission.admit(100_000).unwrap_err();
        assert_eq!(refusal.code, tonic::Code::ResourceExhausted);
        assert!(refusal.retry_after.is_some() && refusal.message.contains("1048576"));
        assert!(admission.is_nearly_full());
        drop(first);
        assert_eq!(admission.bytes_in_flight(), 0);
        assert!(admission.admit(1 << 20).is_ok());
        assert!(admission.admit(usize::MAX).is_err());
    }
}
