//! The parts of a frame on the caller's threads.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::ThreadPool;

/// Turns, of some tens of nanoseconds each, in which the calling thread looks out for the others' end before it sleeps: to be woken
/// takes longer than what parts of even work differ by.
const TURNS: usize = 20_000;
/// Turns from the end of the others' work until the pool has taken note of it.
const NOTICE: usize = 200;

/// Runs every job, at the same time as far as the pool has threads, and returns once all are done.
pub(super) fn each_on<J: Send>(pool: &ThreadPool, jobs: &mut [Option<J>], run: impl Fn(J) + Sync) {
    // What has no size takes no memory.
    let mut workers = vec![(); jobs.len()];
    each_with(pool, &mut workers, jobs.iter_mut().filter_map(Option::take), |(), job| run(job));
}

/// The same, on as many threads at most as there are workers, each of which is its thread's alone meanwhile.
///
/// Threads take the jobs one by one, in their order. The calling thread is one of them: to wake another takes as long as a good
/// part of a small frame, and one that comes late finds less to do. The pool allocates a few words for each of the others.
pub(super) fn each_with<W: Send, J: Send>(
    pool: &ThreadPool,
    workers: &mut [W],
    jobs: impl Iterator<Item = J> + Send,
    run: impl Fn(&mut W, J) + Sync,
) {
    let threads = workers.len().min(pool.current_num_threads());
    let Some((own, others)) = workers[..threads].split_first_mut() else { return };
    if others.is_empty() {
        return jobs.for_each(|job| run(own, job));
    }
    let (jobs, at_work) = (&Mutex::new(jobs), &AtomicUsize::new(0));
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = &|worker: &mut W| {
        while let Some(job) = next() {
            run(worker, job);
        }
    };
    pool.in_place_scope(|scope| {
        for other in others {
            scope.spawn(move |_| {
                at_work.fetch_add(1, Ordering::Relaxed);
                work(other);
                at_work.fetch_sub(1, Ordering::Release);
            });
        }
        work(own);
        let is_done = || at_work.load(Ordering::Acquire) == 0;
        let mut turns = 0..TURNS;
        while !is_done() && turns.next().is_some() {
            spin_loop();
        }
        if is_done() {
            (0..NOTICE).for_each(|_| spin_loop());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_none_waits_for_a_long_one() {
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for count in [0, 1, 2, 50] {
                let mut jobs: Vec<_> = (0..count).map(|_| 0).collect();
                let mut workers = vec![0; threads];
                let others = AtomicUsize::new(0);
                each_with(&pool, &mut workers, jobs.iter_mut().enumerate(), |worker, (at, job)| {
                    (*worker, *job) = (*worker + 1, *job + 1);
                    if at > 0 {
                        others.fetch_add(1, Ordering::Relaxed);
                    }
                    // The first job lasts until all others are done: with two threads, by the other one.
                    while threads > 1 && at == 0 && others.load(Ordering::Relaxed) + 1 < count {
                        std::thread::yield_now();
                    }
                });
                assert_eq!(jobs, vec![1; count]);
                assert_eq!(workers.iter().sum::<usize>(), count);
            }
        }
    }

    #[test]
    fn jobs_are_taken_within_the_pool_too() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let mut jobs = [Some(1), Some(2), None, Some(3)];
        let sum = AtomicUsize::new(0);
        pool.install(|| each_on(&pool, &mut jobs, |job| _ = sum.fetch_add(job, Ordering::Relaxed)));
        assert_eq!((sum.into_inner(), jobs), (6, [None; 4]));
    }
}
