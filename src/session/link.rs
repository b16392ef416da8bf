//! The declared link as a leaky bucket: how long it is busy with what was sent.

use std::time::Duration;

use crate::rate::NetworkConditions;

/// Frame intervals of data that may wait for the link before the next frame is held back.
const MAX_QUEUED_FRAMES: f64 = 1.0;

/// When the declared link will have sent everything. Without a declaration it is always free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    goodput_kbps: Option<f64>,
    busy_until: Duration,
}

impl Link {
    pub(crate) fn new(network: Option<NetworkConditions>) -> Self {
        Self { goodput_kbps: network.map(|n| n.goodput_kbps()), busy_until: Duration::ZERO }
    }

    pub(crate) fn declare(&mut self, network: NetworkConditions) {
        self.goodput_kbps = Some(network.goodput_kbps());
    }

    /// Whether a frame sent now would wait for less than a frame interval.
    pub(crate) fn is_free(&self, now: Duration, fps: f64) -> bool {
        self.goodput_kbps.is_none() || self.free_at(fps) <= now
    }

    /// When it is.
    pub(crate) fn free_at(&self, fps: f64) -> Duration {
        self.busy_until.saturating_sub(Duration::from_secs_f64(MAX_QUEUED_FRAMES / fps))
    }

    pub(crate) fn send(&mut self, bytes: usize, now: Duration) {
        if let Some(goodput_kbps) = self.goodput_kbps {
            let seconds = bytes as f64 * 8.0 / (goodput_kbps * 1000.0);
            self.busy_until = self.busy_until.max(now) + Duration::from_secs_f64(seconds);
        }
    }
}
