//! Working memory of the threads that code bands.

use std::sync::{Mutex, PoisonError};

use rayon::ThreadPool;

use crate::error::Result;

/// One value for each thread of the caller's pool.
#[derive(Debug)]
pub(super) struct Workers<T>(Vec<Mutex<T>>);

impl<T> Workers<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes sure that each thread of `pool` has its value.
    pub(super) fn fit(&mut self, pool: &ThreadPool, make: impl Fn() -> Result<T>) -> Result<()> {
        while self.0.len() < pool.current_num_threads().max(1) {
            self.0.push(Mutex::new(make()?));
        }
        Ok(())
    }

    /// Runs `f` with the value of the current thread of the pool, or the first one's outside it. Nobody else wants it
    /// meanwhile, so the lock is never waited for.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let index = rayon::current_thread_index().unwrap_or(0) % self.0.len().max(1);
        let worker = self.0.get(index)?;
        Some(f(&mut worker.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
