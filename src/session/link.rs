//! The declared link as a leaky bucket: how long it is busy with what was sent.

use std::time::Duration;

use crate::rate::NetworkConditions;

/// Frame intervals of data that may wait for the link before the next frame is held back.
const MAX_QUEUED_FRAMES: f64 = 1.0;
/// Longest wait that is carried over to a slower link: a declaration tells of the past, and most of what was sent has left.
const MAX_CARRIED: Duration = Duration::from_millis(500);

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

    /// What still waits goes on at the new speed, within reason: no declaration stops a stream.
    pub(crate) fn declare(&mut self, network: NetworkConditions, now: Duration) {
        let goodput_kbps = network.goodput_kbps();
        if let Some(before) = self.goodput_kbps.replace(goodput_kbps) {
            let waits = self.busy_until.saturating_sub(now);
            self.busy_until = now + waits.mul_f64(before / goodput_kbps).min(waits.max(MAX_CARRIED));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_leaves_at_the_speed_that_is_declared_now() {
        let speed = |kbps| NetworkConditions::new(kbps, 0.0, 0.0, 0.0).unwrap_or_else(|error| panic!("{error}"));
        let mut link = Link::new(Some(speed(1_000.0)));
        link.send(250_000, Duration::ZERO);
        assert!(!link.is_free(Duration::from_secs(1), 10.0) && link.is_free(Duration::from_millis(1_900), 10.0));
        link.declare(speed(10_000.0), Duration::from_secs(1));
        assert_eq!(link.free_at(10.0), Duration::from_secs(1));
        link.declare(speed(8_000.0), Duration::from_secs(1));
        assert_eq!(link.free_at(10.0), Duration::from_millis(1_025));
        link.declare(speed(100.0), Duration::from_secs(1));
        assert_eq!(link.free_at(10.0), Duration::from_millis(1_400), "no longer than is carried over");
    }

    #[test]
    fn a_link_nobody_declared_is_always_free() {
        let mut link = Link::new(None);
        link.send(usize::MAX, Duration::ZERO);
        assert!(link.is_free(Duration::ZERO, 1.0));
    }
}
