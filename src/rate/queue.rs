//! The queue before a link: how full it may become, by what was lost in it.

/// Most bytes in flight beyond what the lowest rate of the last ten seconds carries away in a round trip: routers keep 256 packets
/// or more. Less of it where frames were lost in a queue.
const MOST_BYTES: f64 = 290_000.0;
const LEAST_BYTES: f64 = 60_000.0;
const LOSS_FACTOR: f64 = 0.75;
/// How fast it comes back, bytes a millisecond.
const GROWTH: f64 = 5.0;
/// Parts of that which a single frame may be, since it comes to the queue all at once: always, and where a frame interval carries
/// as much.
const BURST: f64 = 0.55;
const LONGEST_BURST: f64 = 0.8;
/// What a frame interval carries, and how many times as much a single frame may then be.
const OVER_INTERVAL: f64 = 1.3;
/// Queueing that makes a loss the queue's, ms, and the part of [`MOST_BYTES`] that must be in flight.
const LOSSY_MS: f64 = 10.0;
const FULL: f64 = 0.6;
/// Time after a loss in which others are the same one, ms beside a round trip.
const SAME_LOSS_MS: f64 = 100.0;
/// What is left of the longest queueing with each receipt.
const LONGEST_LEFT: f64 = 0.97;

/// What is known of a link's queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    /// Of [`MOST_BYTES`], what losses left.
    bytes: f64,
    shrunk_ms: f64,
    /// Longest queueing seen of late, ms.
    longest_ms: f64,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { bytes: MOST_BYTES, shrunk_ms: f64::NEG_INFINITY, longest_ms: 0.0 }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> f64 {
        self.bytes
    }

    /// Bytes of a frame that it takes at once, where the link carries `interval_bytes` until the next one.
    pub(crate) fn burst(&self, interval_bytes: f64) -> f64 {
        let [usual, most] = [BURST, LONGEST_BURST].map(|part| part * self.bytes);
        usual.max((OVER_INTERVAL * interval_bytes).min(most))
    }

    /// A frame never came: where it was lost in the queue, less goes into it from now on.
    pub(crate) fn note_loss(&mut self, in_flight: f64, round_trip_ms: f64, now_ms: f64) {
        let may_overflow = in_flight > FULL * self.bytes && self.longest_ms > LOSSY_MS;
        if may_overflow && now_ms - self.shrunk_ms > SAME_LOSS_MS + round_trip_ms {
            self.bytes = (LOSS_FACTOR * self.bytes).max(LEAST_BYTES);
            self.shrunk_ms = now_ms;
        }
    }

    /// What a receipt tells of waited for `queued_ms`; it came so long after the one before.
    pub(crate) fn note(&mut self, queued_ms: f64, since_receipt_ms: f64) {
        self.longest_ms = queued_ms.max(LONGEST_LEFT * self.longest_ms);
        self.bytes = (self.bytes + GROWTH * since_receipt_ms.clamp(0.0, 1_000.0)).min(MOST_BYTES);
    }
}
