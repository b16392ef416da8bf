//! CUBIC (RFC 9438): a congestion window that comes back to where it was, waits there, and goes on.

use super::SEGMENT_BYTES;

const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Segments at the start, and after idling.
const FIRST_WINDOW: f64 = 10.0;
const LEAST_WINDOW: f64 = 2.0;

/// A congestion window, in segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    window: f64,
    threshold: f64,
    /// Window at the last loss.
    highest: f64,
    /// When the window began to grow from there, ms, and what it was then.
    epoch: Option<(f64, f64)>,
    /// What Reno would have.
    friendly: f64,
}

impl Default for Cubic {
    fn default() -> Self {
        Self { window: FIRST_WINDOW, threshold: f64::INFINITY, highest: 0.0, epoch: None, friendly: 0.0 }
    }
}

impl Cubic {
    pub(super) fn bytes(&self) -> f64 {
        self.window * f64::from(SEGMENT_BYTES)
    }

    /// So many segments were acknowledged while the window was what kept more from being sent.
    pub(super) fn acknowledged(&mut self, segments: f64, round_trip_ms: f64, now_ms: f64) {
        if self.window < self.threshold {
            self.window += segments;
            return;
        }
        let window = self.window;
        let (began_ms, first) = *self.epoch.get_or_insert_with(|| {
            self.friendly = window;
            (now_ms, window)
        });
        let highest = self.highest.max(first);
        let back_s = ((highest - first) / C).cbrt();
        let seconds = (now_ms - began_ms + round_trip_ms) / 1000.0;
        let target = C * (seconds - back_s).powi(3) + highest;
        self.friendly += 3.0 * (1.0 - BETA) / (1.0 + BETA) * segments / self.window;
        let target = target.max(self.friendly).clamp(self.window, 1.5 * self.window);
        self.window += (target - self.window) / self.window * segments;
    }

    /// Something was lost, for the first time in a window.
    pub(super) fn lost(&mut self) {
        // Who loses below where it was last time leaves room for others.
        self.highest = if self.window < self.highest { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.window = (self.window * BETA).max(LEAST_WINDOW);
        self.threshold = self.window;
        self.epoch = None;
    }

    /// Nothing was heard for a retransmission timeout.
    pub(super) fn timed_out(&mut self) {
        self.lost();
        self.window = 1.0;
    }

    pub(super) fn idled(&mut self) {
        self.window = self.window.min(FIRST_WINDOW);
        self.epoch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_comes_back_and_goes_on() {
        let mut cubic = Cubic::default();
        cubic.acknowledged(90.0, 40.0, 0.0);
        assert_eq!(cubic.window, 100.0);
        cubic.lost();
        assert_eq!(cubic.window, 70.0);
        let mut at = |ms: u64| {
            for _ in 0..(cubic.window as usize) {
                cubic.acknowledged(1.0, 200.0, ms as f64);
            }
            cubic.window
        };
        // K = cbrt(100 * 0.3 / 0.4) = 4.2 s; Reno would take twice as long.
        let windows: Vec<f64> = (0..50).map(|round| at(round * 200)).collect();
        let back = windows.iter().position(|&window| window >= 99.5).unwrap() as f64 * 0.2;
        assert!((3.0..4.6).contains(&back), "{back}");
        assert!(windows[49] > 150.0, "{}", windows[49]);
        cubic.timed_out();
        assert_eq!(cubic.window, 1.0);
    }
}
