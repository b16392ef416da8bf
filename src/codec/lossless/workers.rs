//! The bands of a picture on the caller's threads.

use std::sync::{Mutex, PoisonError};

use rayon::ThreadPool;

use crate::codec::parallel::each_with;
use crate::error::Result;

/// Makes sure that there is a worker for each thread of `pool`.
pub(super) fn fit<W>(workers: &mut Vec<W>, pool: &ThreadPool, make: impl Fn() -> Result<W>) -> Result<()> {
    while workers.len() < pool.current_num_threads().max(1) {
        workers.push(make()?);
    }
    Ok(())
}

/// Does `work` on every one of `count` bands, side by side, each with the worker of its thread.
///
/// # Errors
/// That of a band that failed; the others are worked on all the same.
pub(super) fn each_band<W: Send, B: Send>(
    pool: &ThreadPool,
    workers: &mut [W],
    count: usize,
    bands: impl Iterator<Item = B> + Send,
    work: impl Fn(&mut W, B) -> Result<()> + Sync,
) -> Result<()> {
    let failed = Mutex::new(Ok(()));
    let threads = workers.len().min(count);
    each_with(pool, &mut workers[..threads], bands, |worker, band| {
        if let Err(error) = work(worker, band) {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Err(error);
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}
