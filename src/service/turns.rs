//! Whose job is next: that of the stream which has had least of the threads' time.
//!
//! Start-time fair queueing (P. Goyal, H. Vin and H. Cheng, 1996): a job starts in virtual time where its stream's last one ended,
//! but not before what has started already; the one that starts first is next. So a stream that asks for little waits for what
//! runs, and never behind those that would take all there is, however many they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a stream has had of a lane's threads. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    /// Virtual nanoseconds at which its last job ended.
    end: Arc<AtomicU64>,
}

impl Share {
    /// Virtual time at which its last job ended.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// A job that started at `start` in virtual time has taken so long.
    pub(super) fn charge(&self, start: u64, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.end.fetch_max(start.saturating_add(took), Ordering::Relaxed);
    }
}

/// A job that waits for its turn.
pub(super) struct Waiting<J> {
    pub(super) job: J,
    pub(super) since: Instant,
}

/// The jobs of a lane that wait.
pub(super) struct Turns<J> {
    /// By when they start, in virtual time; of those that start together, in the order in which they came.
    waiting: BTreeMap<(u64, u64), Waiting<J>>,
    /// Virtual time: the start of what started last.
    now: u64,
    number: u64,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), now: 0, number: 0 }
    }
}

impl<J> fmt::Debug for Turns<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("waiting", &self.len()).field("now", &self.now).finish()
    }
}

impl<J> Turns<J> {
    /// Adds a job whose stream's last one ended at `end` in virtual time.
    pub(super) fn add(&mut self, end: u64, job: J) {
        self.number += 1;
        self.waiting.insert((end.max(self.now), self.number), Waiting { job, since: Instant::now() });
    }

    /// Takes the job whose turn it is, which starts at that virtual time.
    pub(super) fn next(&mut self) -> Option<(u64, Waiting<J>)> {
        let ((start, _), next) = self.waiting.pop_first()?;
        self.now = self.now.max(start);
        Some((start, next))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How long the one that has waited longest has, if any waits.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.waiting.values().map(|waiting| waiting.since).min().map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves one job after the other; gives whose they were.
    fn serve(turns: &mut Turns<usize>, shares: &[Share], costs: &[u64], count: usize) -> Vec<usize> {
        (0..count)
            .map(|_| {
                let (start, Waiting { job, .. }) = turns.next().unwrap();
                shares[job].charge(start, Duration::from_nanos(costs[job]));
                job
            })
            .collect()
    }

    #[test]
    fn who_asks_for_little_is_next_whoever_waits() {
        let shares: Vec<_> = (0..65).map(|_| Share::default()).collect();
        let costs: Vec<_> = (0..64).map(|greedy| 1_000_003 + 7_919 * greedy).chain([10_007]).collect();
        let mut turns = Turns::default();
        (0..64).for_each(|greedy| turns.add(shares[greedy].end(), greedy));
        for served in 0..5_000 {
            // Until all have had something they are alike, and served in their order.
            if served >= 64 && served % 20 == 0 {
                turns.add(shares[64].end(), 64);
                assert_eq!(serve(&mut turns, &shares, &costs, 1), [64], "after {served}");
            }
            let [greedy] = serve(&mut turns, &shares, &costs, 1)[..] else { unreachable!() };
            turns.add(shares[greedy].end(), greedy);
        }
        assert!(turns.len() == 64 && turns.longest().is_some());
    }

    #[test]
    fn time_is_shared_out_evenly() {
        let (shares, costs) = ([Share::default(), Share::default(), Share::default()], [100, 400, 200]);
        let mut turns = Turns::default();
        let mut had = [0; 3];
        (0..3).for_each(|stream| turns.add(shares[stream].end(), stream));
        for _ in 0..700 {
            let [served] = serve(&mut turns, &shares, &costs, 1)[..] else { unreachable!() };
            had[served] += costs[served];
            turns.add(shares[served].end(), served);
        }
        assert!(had.iter().all(|had| (39_000..41_000).contains(had)), "{had:?}");
        // One that comes late isn't owed what it never asked for.
        let late = Share::default();
        turns.add(late.end(), 3);
        assert!(turns.waiting.iter().any(|(&(start, _), waiting)| waiting.job == 3 && start >= turns.now));
    }

    #[test]
    fn those_without_a_past_come_in_their_order() {
        let mut turns = Turns::default();
        (0..100).for_each(|job| turns.add(Share::default().end(), job));
        assert_eq!((0..100).map(|_| turns.next().unwrap().1.job).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert!(turns.next().is_none() && turns.longest().is_none());
    }
}
