//! How much the rate of a link varies.

/// Busy time between samples, and over which they are judged, ms.
const SAMPLE_MS: f64 = 50.0;
const MEMORY_MS: f64 = 2_000.0;

/// Mean and mean square of the rate over busy time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variation {
    bytes: f64,
    busy_ms: f64,
    mean: f64,
    mean_square: f64,
}

impl Variation {
    /// Takes bytes, and the time for which the link was busy with them.
    pub(crate) fn note(&mut self, bytes: f64, busy_ms: f64) {
        self.bytes += bytes;
        self.busy_ms += busy_ms;
        if self.busy_ms >= SAMPLE_MS {
            let rate = self.bytes / self.busy_ms;
            let speed = (self.busy_ms / MEMORY_MS).min(1.0);
            self.mean += speed * (rate - self.mean);
            self.mean_square += speed * (rate * rate - self.mean_square);
            (self.bytes, self.busy_ms) = (0.0, 0.0);
        }
    }

    /// Standard deviation over mean.
    pub(crate) fn relative(&self) -> f64 {
        if self.mean > 0.0 { (self.mean_square - self.mean * self.mean).max(0.0).sqrt() / self.mean } else { 0.0 }
    }
}
