//! The parts of a frame on the caller's threads.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::ThreadPool;

/// Turns, of some ten nanoseconds each, in which the calling thread looks out for the others' end before it sleeps: to be woken takes
/// longer than what slices of even work differ by.
const TURNS: usize = 20_000;
/// Turns from the end of a job until the pool has taken note of it.
const NOTICE: usize = 200;

/// Runs every job, at the same time as far as the pool has threads, and returns once all are done. The calling thread takes the
/// first itself: to wake a thread takes as long as a good part of a small frame. The pool allocates a few words for each of the
/// others, and nothing for one.
pub(super) fn each_on<J: Send>(pool: &ThreadPool, jobs: &mut [Option<J>], run: impl Fn(J) + Sync) {
    let (run, count) = (&run, jobs.len());
    let mut jobs = jobs.iter_mut().filter_map(Option::take);
    if count < 2 || pool.current_num_threads() < 2 {
        return jobs.for_each(run);
    }
    let Some(first) = jobs.next() else { return };
    let left = &AtomicUsize::new(count - 1);
    pool.in_place_scope(|scope| {
        for job in jobs {
            scope.spawn(move |_| {
                run(job);
                left.fetch_sub(1, Ordering::Release);
            });
        }
        run(first);
        let is_done = || left.load(Ordering::Acquire) == 0;
        let mut turns = 0..TURNS;
        while !is_done() && turns.next().is_some() {
            spin_loop();
        }
        if is_done() {
            (0..NOTICE).for_each(|_| spin_loop());
        }
    });
}
