//! How fast a link delivers, from the times at which a receiver got its bytes.
//!
//! A link's rate shows only while it has something to send. So each receipt brings bytes *and* the time for which the link was busy
//! with them: since the receipt before, or since they reached it, whichever is later. Their sums are kept by slots of the
//! receiver's clock, and the rate over any recent time is the difference of two sums.

/// Length of a slot, ms.
const SLOT_MS: f64 = 10.0;
/// Slots remembered: five seconds.
const SLOTS: usize = 512;
/// Longest time that is looked back over for want of busy time, ms.
const LONGEST_MS: f64 = 5_000.0;
/// Busy time that a rate needs, ms: clocks tell milliseconds, and packets come in bursts.
const LEAST_BUSY_MS: f64 = 4.0;
/// Parts of the recent past, ms, in each of which a link must have kept a rate for it to count as kept.
const PART_MS: f64 = 50.0;
const LEAST_PARTS: u32 = 4;

/// Bytes, and the time in which the link was busy with them, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    bytes: f64,
    busy_ms: f64,
}

/// What was delivered of late. Rates are bytes a millisecond.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Everything so far.
    total: Sums,
    /// The total at the end of each slot, by the slot's number modulo [`SLOTS`].
    ends: [Sums; SLOTS],
    /// Number of the first slot and of the newest; `None` before the first receipt.
    slots: Option<(i64, i64)>,
}

impl Delivery {
    pub(crate) fn new() -> Self {
        Self { total: Sums::default(), ends: [Sums::default(); SLOTS], slots: None }
    }

    /// Takes bytes received at `at_ms` of the receiver's clock, with which the link was busy for `busy_ms`.
    pub(crate) fn add(&mut self, at_ms: f64, bytes: f64, busy_ms: f64) {
        let slot = (at_ms / SLOT_MS).floor() as i64;
        let (first, newest) = self.slots.unwrap_or((slot, slot));
        for ended in newest.max(slot - SLOTS as i64)..slot {
            self.ends[index(ended)] = self.total;
        }
        self.slots = Some((first, newest.max(slot)));
        self.total.bytes += bytes;
        self.total.busy_ms += busy_ms;
    }

    /// Rate over the last `ms`, or over longer where the link had too little to do; `None` where it had too little for long.
    pub(crate) fn rate(&self, ms: f64) -> Option<f64> {
        let mut ms = ms;
        loop {
            let sums = self.over(ms)?;
            if sums.busy_ms >= LEAST_BUSY_MS {
                return Some(sums.bytes / sums.busy_ms);
            }
            if ms >= LONGEST_MS {
                return None;
            }
            ms = (2.0 * ms).min(LONGEST_MS);
        }
    }

    /// The rate that each part of the last `ms` reached in which the link was busy at all; `None` where those are few.
    pub(crate) fn kept(&self, ms: f64) -> Option<f64> {
        let (mut newer, mut kept, mut parts) = (Sums::default(), f64::INFINITY, 0);
        for part in 1..=(ms / PART_MS) as u32 {
            let sums = self.over(f64::from(part) * PART_MS)?;
            let (bytes, busy_ms) = (sums.bytes - newer.bytes, sums.busy_ms - newer.busy_ms);
            newer = sums;
            if busy_ms > 1.0 {
                kept = kept.min(bytes / busy_ms);
                parts += 1;
            }
        }
        (parts >= LEAST_PARTS).then_some(kept)
    }

    /// What came in the last `ms`, at most [`LONGEST_MS`].
    fn over(&self, ms: f64) -> Option<Sums> {
        let (first, newest) = self.slots?;
        let since = newest - ((ms / SLOT_MS) as i64).clamp(1, SLOTS as i64 - 1);
        let before = if since < first { Sums::default() } else { self.ends[index(since)] };
        Some(Sums { bytes: self.total.bytes - before.bytes, busy_ms: self.total.busy_ms - before.busy_ms })
    }
}

fn index(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_busy_time_in_the_window() {
        let mut delivery = Delivery::new();
        assert_eq!((delivery.rate(100.0), delivery.kept(100.0)), (None, None));
        for step in 0..100 {
            // Busy for 2 ms of every 10, at 500 bytes a millisecond; for the last 200 ms at 50.
            let rate = if step < 80 { 500.0 } else { 50.0 };
            delivery.add(f64::from(step) * 10.0, 2.0 * rate, 2.0);
        }
        assert_eq!(delivery.rate(100.0), Some(50.0));
        assert_eq!(delivery.rate(400.0), Some(275.0));
        assert_eq!(delivery.kept(400.0), Some(50.0));
        assert_eq!(delivery.rate(5_000.0), Some((80.0 * 500.0 + 20.0 * 50.0) / 100.0));
    }

    #[test]
    fn too_little_busy_time_makes_a_window_longer() {
        let mut delivery = Delivery::new();
        (0..50).for_each(|step| delivery.add(f64::from(step) * 100.0, 600.0, 1.0));
        assert_eq!(delivery.rate(100.0), Some(600.0));
        delivery.add(1e7, 600.0, 1.0);
        assert_eq!(delivery.rate(100.0), None, "alone after a long silence");
    }

    #[test]
    fn old_slots_and_time_that_runs_back_do_no_harm() {
        let mut delivery = Delivery::new();
        for at_ms in [0.0, 1e9, 5.0, -1e12, 1e9 + 30.0] {
            delivery.add(at_ms, 1_000.0, 10.0);
            assert_eq!(delivery.rate(50.0), Some(100.0));
        }
    }
}
