//! Small frames that ask a silent link whether it is there: when, how many, and of how many bytes.

use super::controller::LEAST_BYTES;

/// The least gap between them, ms, and as a part of the silence so far: each takes room in a queue of packets.
const GAP_MS: f64 = 41.0;
const GAP: f64 = 0.05;
/// How much of the rate they may take at first, and after how long that is halved, ms.
const SHARE: f64 = 0.36;
const HALVING_MS: f64 = 2_900.0;
/// Rate that is taken for granted in silence, bytes a millisecond: a link that delivers in fits and starts has none to tell.
const LEAST_RATE: f64 = 4.0;
/// Bytes of such a frame, at most, where it begins a new picture.
const FIRST_BYTES: f64 = 1_200.0;

/// The least time from a frame to one that asks, ms.
pub(crate) fn least_gap_ms(frame_ms: f64) -> f64 {
    GAP_MS.min(frame_ms)
}

/// What was sent to hear of a silent link.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asking {
    /// Bytes of it that weren't received yet.
    bytes: f64,
}

impl Asking {
    /// A frame was sent where there was no room for others.
    pub(crate) fn sent(&mut self, bytes: f64) {
        self.bytes += bytes;
    }

    /// Something was received, whatever it was.
    pub(crate) fn received(&mut self, bytes: f64) {
        self.bytes = (self.bytes - bytes).max(0.0);
    }

    /// Whether another one may go, so long after the frame before, on a link of `rate` that has been silent for `silence_ms`.
    pub(crate) fn may_go(&self, silence_ms: f64, since_sent_ms: f64, rate: f64) -> bool {
        silence_ms > 0.0 && since_sent_ms >= GAP_MS.max(GAP * silence_ms) && self.bytes <= allowance(silence_ms, rate)
    }

    /// Bytes of one that begins a new picture.
    pub(crate) fn first_bytes(&self, silence_ms: f64, rate: f64) -> u32 {
        (allowance(silence_ms, rate) - self.bytes).clamp(LEAST_BYTES, FIRST_BYTES) as u32
    }
}

/// Bytes that may have been sent in a silence to hear of it.
fn allowance(silence_ms: f64, rate: f64) -> f64 {
    rate.max(LEAST_RATE) * SHARE * HALVING_MS * (1.0 + silence_ms / HALVING_MS).ln()
}
