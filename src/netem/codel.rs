//! CoDel (RFC 8289): drops from the head of a queue whose packets have waited too long for too long.

/// Waiting time that is fine, ms.
const TARGET_MS: u64 = 5;
/// Time that waiting may be too long, ms.
const INTERVAL_MS: f64 = 100.0;

/// What CoDel remembers between packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Codel {
    /// When waiting will have been too long for an interval.
    first_above_ms: Option<f64>,
    /// When the next packet is dropped, while dropping.
    drop_next_ms: f64,
    count: u32,
    last_count: u32,
    is_dropping: bool,
}

impl Codel {
    /// Whether a packet that leaves the queue after `waited_ms` is dropped instead; `is_short` where hardly anything is
    /// queued behind it. Asked for one packet after another until one goes.
    pub(super) fn drops(&mut self, waited_ms: u64, is_short: bool, now_ms: u64) -> bool {
        let now = now_ms as f64;
        let may_drop = self.is_late(waited_ms, is_short, now);
        if !may_drop {
            self.is_dropping = false;
            return false;
        }
        if self.is_dropping {
            if now < self.drop_next_ms {
                return false;
            }
            self.count += 1;
            self.drop_next_ms = self.after(self.drop_next_ms);
            return true;
        }
        self.is_dropping = true;
        // A queue that was dropped from a moment ago takes up where it was.
        let delta = self.count - self.last_count;
        let is_recent = now - self.drop_next_ms < 16.0 * INTERVAL_MS;
        self.count = if delta > 1 && is_recent { delta } else { 1 };
        self.drop_next_ms = self.after(now);
        self.last_count = self.count;
        true
    }

    fn is_late(&mut self, waited_ms: u64, is_short: bool, now: f64) -> bool {
        if waited_ms < TARGET_MS || is_short {
            self.first_above_ms = None;
            return false;
        }
        let first_above_ms = *self.first_above_ms.get_or_insert(now + INTERVAL_MS);
        now >= first_above_ms
    }

    fn after(&self, ms: f64) -> f64 {
        ms + INTERVAL_MS / f64::from(self.count.max(1)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_queue_is_dropped_from_faster_and_faster() {
        let mut codel = Codel::default();
        let dropped: Vec<u64> = (0..1000).filter(|&ms| codel.drops(20, false, ms)).collect();
        assert_eq!(dropped.first(), Some(&100));
        let gaps: Vec<u64> = dropped.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() > 10 && gaps.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{gaps:?}");
    }

    #[test]
    fn short_waits_and_short_queues_are_left_alone() {
        let mut codel = Codel::default();
        assert!((0..1000).all(|ms| !codel.drops(4, false, ms)));
        assert!((1000..2000).all(|ms| !codel.drops(400, true, ms)));
        // Long waits that end before an interval is over count from anew.
        assert!((2000..3000).all(|ms| !codel.drops(if ms % 90 == 0 { 0 } else { 50 }, false, ms)));
    }
}
