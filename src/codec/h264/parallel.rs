//! The parts of a frame on the caller's threads.

use rayon::ThreadPool;

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
    pool.in_place_scope(|scope| {
        jobs.for_each(|job| scope.spawn(move |_| run(job)));
        run(first);
    });
}
