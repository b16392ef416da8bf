//! Sliding windows in memory, exact to the call: the times of the calls of each key, for as long as any window holds them.
//!
//! Keys and times are bounded. They are kept in two generations: what is used moves to the young one, and when that has
//! taken half of the room, it becomes the old one and what was left in that is forgotten. So a key in use is never
//! forgotten before keys that weren't used for longer; a forgotten key begins anew.

use std::collections::{HashMap, VecDeque};

use super::config::Windows;
use super::verdict::{Standing, Verdict, judge};

/// Times kept for each key that may be: together 16 MB for every 100,000 keys, and twice the calls of the busiest key.
const TIMES_PER_KEY: usize = 40;

/// A key's calls, oldest first.
#[derive(Debug, Default)]
struct Log {
    /// Milliseconds, modulo 2^32: what is older than any window is dropped long before they come round again.
    times: VecDeque<u32>,
    last_ms: u64,
}

impl Log {
    /// Forgets what no window holds any more.
    fn prune(&mut self, now_ms: u64, longest_ms: u64) {
        if now_ms.saturating_sub(self.last_ms) >= longest_ms {
            self.times.clear();
        }
        while self.times.front().is_some_and(|&time| age(now_ms, time) >= longest_ms) {
            self.times.pop_front();
        }
        if self.times.capacity() > 64 && self.times.len() < self.times.capacity() / 4 {
            self.times.shrink_to_fit();
        }
    }

    fn standing(&self, key: usize, window_ms: u64, limit: u32, now_ms: u64) -> Standing {
        let outside = self.times.partition_point(|&time| age(now_ms, time) >= window_ms);
        let within = self.times.len() - outside;
        // Where a limit was lowered there may be more calls than it allows: those that count are the newest.
        let oldest = self.times.len() - within.min(limit as usize);
        let reset_ms = self.times.get(oldest).map_or(0, |&time| window_ms.saturating_sub(age(now_ms, time)));
        Standing { key, limit, count: u32::try_from(within).unwrap_or(u32::MAX), reset_ms }
    }
}

/// Milliseconds since `time`.
fn age(now_ms: u64, time: u32) -> u64 {
    u64::from((now_ms as u32).wrapping_sub(time))
}

/// The calls of all keys.
#[derive(Debug)]
pub(crate) struct Logs {
    young: HashMap<u64, Log>,
    old: HashMap<u64, Log>,
    /// Times in the young generation.
    young_times: usize,
    max_keys: usize,
}

impl Logs {
    /// Logs of at most `max_keys` keys.
    pub(crate) fn new(max_keys: u32) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_times: 0, max_keys: max_keys as usize }
    }

    /// Counts a call where every window of every key has room for it; a refused call isn't counted. `now_ms` never goes back.
    pub(crate) fn check(&mut self, keys: &[(u64, Windows)], now_ms: u64) -> Option<Verdict> {
        let mut standings = Vec::with_capacity(3 * keys.len());
        for (index, (key, windows)) in keys.iter().enumerate() {
            let log = self.log(*key, *windows, now_ms);
            standings.extend(windows.rules().map(|(window, limit)| log.standing(index, window, limit, now_ms)));
        }
        let verdict = judge(standings.into_iter())?;
        if verdict.allowed {
            self.count(keys, now_ms);
        }
        Some(verdict)
    }

    /// Counts a call that another limiter has allowed.
    pub(crate) fn count(&mut self, keys: &[(u64, Windows)], now_ms: u64) {
        for (key, windows) in keys {
            let most = windows.rules().map(|(_, limit)| limit).max().unwrap_or(0) as usize;
            let log = self.log(*key, *windows, now_ms);
            log.times.push_back(now_ms as u32);
            log.last_ms = now_ms;
            let over = log.times.len() > most.max(1);
            if over {
                log.times.pop_front();
            }
            self.young_times += usize::from(!over);
        }
    }

    /// Remembers at most so many keys from now on.
    pub(crate) fn limit_to(&mut self, max_keys: u32) {
        self.max_keys = max_keys as usize;
        if self.young.len() > self.max_keys / 2 {
            self.turn();
        }
        if self.old.len() > self.max_keys / 2 {
            self.old = HashMap::new();
        }
    }

    /// Keys remembered.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// A key's log in the young generation, pruned.
    fn log(&mut self, key: u64, windows: Windows, now_ms: u64) -> &mut Log {
        let longest_ms = windows.rules().map(|(window, _)| window).last().unwrap_or(0);
        if self.young.len() >= self.max_keys / 2 || self.young_times >= self.max_keys * TIMES_PER_KEY / 2 {
            self.turn();
        }
        let Self { young, old, young_times, .. } = self;
        let log = young.entry(key).or_insert_with(|| {
            let log = old.remove(&key).unwrap_or_default();
            *young_times += log.times.len();
            log
        });
        let before = log.times.len();
        log.prune(now_ms, longest_ms);
        *young_times = young_times.saturating_sub(before - log.times.len());
        log
    }

    /// The young become the old, and what was old is forgotten.
    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
        self.young_times = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn minute(calls: u32) -> Windows {
        Windows { per_minute: calls, ..Windows::NONE }
    }

    /// Numbers without a pattern.
    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn any_window_holds_exactly_its_limit() {
        let windows = Windows { per_minute: 20, per_hour: 300, per_day: 2_000 };
        let mut logs = Logs::new(1_000);
        let (mut now, mut seed) = (5, 7_u64);
        // Every call that was allowed, kept for good: what the windows must say is counted from it.
        let mut allowed: Vec<u64> = Vec::new();
        let mut refused = [0_u32; 3];
        while now < 3 * DAY_MS {
            now += random(&mut seed) % if random(&mut seed).is_multiple_of(50) { 600_000 } else { 5_000 };
            let counts: Vec<_> = windows
                .rules()
                .map(|(window, limit)| {
                    let within = allowed.iter().rev().take_while(|&&time| now - time < window).count();
                    (within as u32, limit)
                })
                .collect();
            let may = counts.iter().all(|(within, limit)| within < limit);
            let verdict = logs.check(&[(1, windows)], now).unwrap();
            assert_eq!(verdict.allowed, may, "at {now} ms with {counts:?}");
            if may {
                let room = counts.iter().map(|(within, limit)| limit - within - 1).min().unwrap();
                assert_eq!(verdict.remaining, room);
                allowed.push(now);
            } else {
                counts.iter().zip(&mut refused).for_each(|((within, limit), n)| *n += u32::from(within >= limit));
                // One millisecond before the time that was told it is still refused, and then it is allowed.
                let again = now + verdict.retry_after.as_millis() as u64;
                let mut probe = |at| logs.check(&[(1, windows)], at).unwrap().allowed;
                assert!(!probe(again - 1) && probe(again), "at {now} ms: {verdict:?}");
                allowed.push(again);
                now = again;
            }
        }
        assert!(refused.iter().all(|&n| n > 10), "each window must have refused: {refused:?}");
    }

    #[test]
    fn a_call_counts_for_all_its_keys_or_for_none() {
        let mut logs = Logs::new(1_000);
        for _ in 0..3 {
            assert!(logs.check(&[(1, minute(3)), (2, minute(10))], 1_000).unwrap().allowed);
        }
        for _ in 0..20 {
            let verdict = logs.check(&[(1, minute(3)), (2, minute(10))], 2_000).unwrap();
            assert_eq!((verdict.allowed, verdict.key, verdict.limit), (false, 0, 3));
        }
        let verdict = logs.check(&[(2, minute(10))], 2_000).unwrap();
        assert_eq!((verdict.allowed, verdict.remaining), (true, 6), "refused calls cost the other key nothing");
        assert_eq!(logs.check(&[(3, Windows::NONE)], 2_000), None);
    }

    #[test]
    fn a_million_strangers_neither_grow_it_nor_push_a_regular_out() {
        let mut logs = Logs::new(10_000);
        let regular = [(u64::MAX, minute(60))];
        for _ in 0..60 {
            assert!(logs.check(&regular, 0).unwrap().allowed);
        }
        for stranger in 0..1_000_000_u64 {
            logs.check(&[(stranger, Windows::default())], stranger / 100);
            if stranger % 4_000 == 0 {
                assert!(!logs.check(&regular, stranger / 100).unwrap().allowed, "after {stranger}");
            }
            assert!(logs.len() <= 10_000);
        }
    }

    #[test]
    fn times_are_bounded_however_few_keys_have_them() {
        let mut logs = Logs::new(1_000);
        let busy = Windows { per_day: 1_000_000, ..Windows::NONE };
        for call in 0..500_000_u64 {
            logs.check(&[(call % 70, busy)], call);
            let times: usize = logs.young.values().chain(logs.old.values()).map(|log| log.times.len()).sum();
            // The key that fills a generation is there whole.
            let largest = call as usize / 70 + 1;
            assert!(call % 1_000 != 0 || times <= 1_000 * TIMES_PER_KEY + 2 * largest, "{times} times after {call}");
        }
    }

    #[test]
    fn a_key_that_slept_for_longer_than_the_clock_goes_round_begins_anew() {
        let mut logs = Logs::new(1_000);
        assert!(logs.check(&[(1, minute(1))], 100).unwrap().allowed);
        assert!(!logs.check(&[(1, minute(1))], 200).unwrap().allowed);
        assert!(logs.check(&[(1, minute(1))], (1 << 32) + 150).unwrap().allowed);
    }
}
