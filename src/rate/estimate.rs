//! The rates of a link: what it is expected to carry next, what it carried in the last second, and what it can be counted on for.
//!
//! What is expected is the least of three: the rate of the last moments, of a little longer, and a little over that of the last
//! second, so that one good moment of a wireless link isn't taken for its rate. Rates are bytes a millisecond.

use super::PACKET_BYTES;
use super::delivery::Delivery;
use super::variation::Variation;

/// Lowest rate that is believed, bytes a millisecond: 1.6 kbit/s.
const LEAST_RATE: f64 = 0.2;
/// Windows of the three rates, ms, and the factors on the longer two.
const SHORT_MS: f64 = 90.0;
const MIDDLE_MS: f64 = 150.0;
const LONG_MS: f64 = 1_250.0;
const OVER_MIDDLE: f64 = 1.04;
const OVER_LONG: f64 = 1.17;
/// A rate kept through so long is the link's, whatever it was before, ms.
const KEPT_MS: f64 = 250.0;
/// Factor by which a packet that met no queue speaks for a higher rate.
const PROBE: f64 = 1.4;
/// Longest time between packets that is taken for a link's beat, ms.
const LONGEST_BEAT_MS: f64 = 200.0;
/// Longest time that a packet may have taken for what was missing in it, ms, and the part of it that is left out.
const LONGEST_UNFILLED_MS: f64 = 25.0;
const BELIEVED: f64 = 0.5;
/// Beat up to which a frame is so many packets that it makes no odds, ms.
const SHORT_BEAT_MS: f64 = 16.0;
/// Part of a packet's bytes from which on one is full: packets have headers, and not all paths take the largest.
const FULL: f64 = 0.75;
/// How many times what was carried the rate may grow to without being seen; over how long that is taken, and how long it counts, ms.
const MOST_UNSEEN: f64 = 10.0;
const CARRIED_MS: f64 = 300.0;
const REMEMBERED_MS: f64 = 10_000.0;
/// Factor by which the rate grows at most within a round trip, or from one receipt to the next, beyond that of the last second.
const GROWTH: f64 = 2.0;
/// Receipts after which that of the last second is one to go by.
const WARM: u64 = 30;
/// Over how long a rate is taken for steady, ms: one that falls, and one that rises.
const FALLING_MS: f64 = 1_500.0;
const RISING_MS: f64 = 5_000.0;
/// Seconds for which lowest rates are kept.
const LOWEST: usize = 10;

/// What a receipt brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    pub(crate) bytes: f64,
    /// Whether the link might have brought far more.
    pub(crate) is_light: bool,
    /// When they came, by the receiver's clock, and how long after those before, ms.
    pub(crate) received_ms: f64,
    pub(crate) since_before_ms: f64,
    /// How long they waited on their way, ms.
    pub(crate) queued_ms: f64,
}

/// What receipts tell of a link's rate.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    delivery: Delivery,
    variation: Variation,
    lowest: Lowest,
    receipts: u64,
    /// When the first receipt came, ms.
    heard_ms: f64,
    /// Whether the last receipt brought a full packet.
    was_full: bool,
    /// What was carried of late, whether the link was busy with it or not, and at most.
    carried: f64,
    carried_most: f64,
    expected: f64,
    long: f64,
    steady: f64,
}

/// Lowest short rate in each of the last seconds, by the second modulo their number.
#[derive(Clone, Copy, Debug)]
struct Lowest {
    rates: [f64; LOWEST],
    second: u64,
}

impl Estimate {
    /// A guess, and the most of it to rely on.
    pub(crate) fn new(rate: f64, least: f64) -> Self {
        let mut rates = [f64::INFINITY; LOWEST];
        rates[0] = rate.min(least);
        Self {
            delivery: Delivery::new(),
            variation: Variation::default(),
            lowest: Lowest { rates, second: 0 },
            receipts: 0,
            heard_ms: 0.0,
            was_full: false,
            carried: 0.0,
            carried_most: 0.0,
            expected: rate,
            long: rate,
            steady: rate,
        }
    }

    /// Takes another guess; the next receipts know better.
    pub(crate) fn guess(&mut self, rate: f64) {
        self.expected = rate;
        if self.receipts == 0 {
            (self.long, self.steady) = (rate, rate);
        }
    }

    /// Receipts that brought something.
    pub(crate) fn receipts(&self) -> u64 {
        self.receipts
    }

    /// What is expected.
    pub(crate) fn expected(&self) -> f64 {
        self.expected
    }

    /// What the link carried in the last second while it was busy.
    pub(crate) fn long(&self) -> f64 {
        self.long
    }

    /// What is to be counted on for seconds.
    pub(crate) fn steady(&self) -> f64 {
        self.steady
    }

    /// The least that was carried for a moment in the last ten seconds, or is expected.
    pub(crate) fn lowest(&self) -> f64 {
        self.lowest.rates.iter().copied().fold(self.expected, f64::min)
    }

    /// How the rate varies.
    pub(crate) fn variation(&self) -> &Variation {
        &self.variation
    }

    /// Forgets what was received when: the receiver's clock was set.
    pub(crate) fn forget(&mut self) {
        self.delivery = Delivery::new();
    }

    /// Takes what a receipt brought, `since_receipt_ms` after the one before.
    pub(crate) fn take(&mut self, brought: &Brought, now_ms: f64, since_receipt_ms: f64, round_trip_ms: f64) {
        self.carry(brought.bytes, since_receipt_ms.max(0.0));
        let busy_ms = self.busy_ms(brought);
        self.was_full = (FULL * PACKET_BYTES..=PACKET_BYTES).contains(&brought.bytes);
        self.delivery.add(brought.received_ms, brought.bytes, busy_ms);
        self.variation.note(brought.bytes, busy_ms);
        if self.receipts == 0 {
            self.heard_ms = now_ms;
        }
        self.receipts += 1;
        self.reckon(now_ms, since_receipt_ms, round_trip_ms);
    }

    /// For how long the link was busy with what came: since it reached the link, or since the link was done with what was before.
    fn busy_ms(&self, brought: &Brought) -> f64 {
        let Brought { bytes, is_light, since_before_ms, queued_ms, .. } = *brought;
        if self.receipts == 0 {
            return bytes / self.expected;
        }
        let busy_ms = queued_ms.min(since_before_ms).max(0.0);
        let beat_ms = (PACKET_BYTES / self.long.max(LEAST_RATE)).min(LONGEST_BEAT_MS);
        // The rest of a frame that came after a full packet may have taken as long as if it were one. Not all links carry whole packets at
        // a time, so half of that is believed.
        let unfilled = if self.was_full { (1.0 - bytes / PACKET_BYTES).max(0.0) } else { 0.0 };
        let unfilled_ms = BELIEVED * (unfilled * (beat_ms - SHORT_BEAT_MS).max(0.0)).min(LONGEST_UNFILLED_MS);
        if queued_ms >= since_before_ms {
            return (busy_ms - unfilled_ms).max(busy_ms.min(bytes / self.expected));
        }
        // They met no queue, so how long they took tells of the link's beat and not of its rate, unless it is very long; and where they
        // are few, not even then: whatever they waited for may have passed a thousand times as many.
        let most_ms = if is_light { bytes / self.expected } else { f64::INFINITY };
        // Nor does a link that has little to carry tell how much it could.
        let is_known = self.expected > MOST_UNSEEN * self.carried_most;
        let probe = if is_known { 1.0 } else { PROBE };
        (busy_ms - beat_ms).min(most_ms).max(bytes / (probe * self.expected))
    }

    fn carry(&mut self, bytes: f64, since_receipt_ms: f64) {
        let left = |over_ms: f64| (-since_receipt_ms / over_ms).exp();
        self.carried = left(CARRIED_MS) * self.carried + bytes / CARRIED_MS;
        self.carried_most = (left(REMEMBERED_MS) * self.carried_most).max(self.carried);
    }

    fn reckon(&mut self, now_ms: f64, since_receipt_ms: f64, round_trip_ms: f64) {
        let over = |ms: f64| self.delivery.rate(ms).unwrap_or(self.expected);
        let short = over(SHORT_MS);
        let long = over(LONG_MS).max(self.delivery.kept(KEPT_MS).unwrap_or(0.0));
        let expected = short.min(OVER_MIDDLE * over(MIDDLE_MS)).min(OVER_LONG * long);
        let round_trips = since_receipt_ms.max(0.0) / round_trip_ms.max(1.0);
        let grown = self.expected * GROWTH.powf(round_trips.min(1.0));
        let most = if self.receipts > WARM { grown.max(long) } else { grown };
        self.expected = expected.min(most).max(LEAST_RATE);
        self.long = long;
        // No longer than there has been anything to remember.
        let memory_ms = if long < self.steady { FALLING_MS } else { RISING_MS }.min(now_ms - self.heard_ms);
        let speed = if memory_ms > since_receipt_ms { since_receipt_ms.max(0.0) / memory_ms } else { 1.0 };
        self.steady += speed * (long - self.steady);
        self.lowest.note(short, now_ms);
    }
}

impl Lowest {
    fn note(&mut self, rate: f64, now_ms: f64) {
        let second = (now_ms / 1_000.0) as u64;
        let passed = second.saturating_sub(self.second).min(LOWEST as u64);
        for old in 0..passed {
            self.rates[((second - old) % LOWEST as u64) as usize] = f64::INFINITY;
        }
        self.second = self.second.max(second);
        let lowest = &mut self.rates[(second % LOWEST as u64) as usize];
        *lowest = lowest.min(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender's frames as one link after another brings them, each so long after the one before and after so long in the queue.
    struct Heard {
        estimate: Estimate,
        now_ms: f64,
    }

    impl Heard {
        fn new(rate: f64) -> Self {
            Self { estimate: Estimate::new(rate, rate), now_ms: 0.0 }
        }

        fn hear(&mut self, bytes: f64, since_before_ms: f64, queued_ms: f64, is_light: bool) {
            self.now_ms += since_before_ms;
            let brought = Brought { bytes, is_light, received_ms: self.now_ms, since_before_ms, queued_ms };
            self.estimate.take(&brought, self.now_ms, since_before_ms, 40.0);
        }

        /// A link of 60 bytes a millisecond that is never idle.
        fn after_a_busy_second() -> Self {
            let mut heard = Self::new(60.0);
            (0..40).for_each(|_| heard.hear(1_500.0, 25.0, 40.0, false));
            assert!((heard.estimate.expected() - 60.0).abs() < 6.0, "{}", heard.estimate.expected());
            heard
        }
    }

    #[test]
    fn small_frames_that_waited_for_a_gap_say_nothing_and_large_ones_do() {
        let (mut light, mut heavy) = (Heard::after_a_busy_second(), Heard::after_a_busy_second());
        for _ in 0..30 {
            light.hear(70.0, 100.0, 70.0, true);
            heavy.hear(1_400.0, 100.0, 95.0, false);
        }
        assert!(light.estimate.expected() > 50.0, "{}", light.estimate.expected());
        assert!(heavy.estimate.expected() < 35.0, "{}", heavy.estimate.expected());
    }

    #[test]
    fn a_rate_that_nobody_saw_grows_no_further_than_ten_times_what_was_carried() {
        let mut heard = Heard::new(60.0);
        (0..3_000).for_each(|_| heard.hear(400.0, 20.0, 0.0, false));
        let expected = heard.estimate.expected();
        assert!(expected > 120.0 && expected < 1.5 * MOST_UNSEEN * 20.0, "20 bytes/ms carried, {expected} expected");
    }

    #[test]
    fn what_a_packet_lacks_isnt_held_against_a_link_that_carries_whole_ones() {
        // A packet each 25 ms: two frames of one and a quarter, then a pause.
        let mut heard = Heard::after_a_busy_second();
        for _ in 0..40 {
            heard.hear(1_500.0, 25.0, 25.0, false);
            heard.hear(375.0, 25.0, 50.0, false);
        }
        // 1,875 bytes in 50 ms are 37.5 bytes/ms.
        assert!(heard.estimate.long() > 43.0 && heard.estimate.long() < 62.0, "{}", heard.estimate.long());
    }
}
