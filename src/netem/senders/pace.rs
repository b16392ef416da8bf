//! Frames for a pace: each takes what the pace gives until the next, and none goes before the last has left.

use std::time::Duration;

use super::PACKET_BYTES;

/// A packet each tenth of a second: who sends less learns nothing, bytes a ms.
const LEAST_PACE: f64 = 15.0;

/// Keeps a sender's frames to a pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    frame_ms: f64,
    /// When the packets of the last frame have left.
    until: Duration,
}

impl Pace {
    pub(super) fn new(fps: f64) -> Self {
        Self { frame_ms: 1000.0 / fps, until: Duration::ZERO }
    }

    /// Of `room` bytes, those that a frame may take now at so many bytes a ms: whole packets, since their gaps are whole.
    pub(super) fn budget(&self, room: f64, bytes_per_ms: f64, min_frame_bytes: u32, now: Duration) -> Option<u32> {
        let packets = (bytes_per_ms * self.frame_ms / PACKET_BYTES).ceil();
        let budget = room.min(packets * PACKET_BYTES);
        (now >= self.until && budget >= f64::from(min_frame_bytes)).then_some(budget as u32)
    }

    pub(super) fn sent(&mut self, bytes: u32, bytes_per_ms: f64, now: Duration) {
        self.until = now + gap(bytes_per_ms).mul_f64(f64::from(bytes) / PACKET_BYTES);
    }
}

/// Time between packets at so many bytes a ms.
pub(super) fn gap(bytes_per_ms: f64) -> Duration {
    Duration::from_secs_f64(PACKET_BYTES / bytes_per_ms.max(LEAST_PACE) / 1000.0)
}
