//! How much the rate of a link varies.

use super::PACKET_BYTES;

/// Busy time between samples, and over which they are judged, ms.
const SAMPLE_MS: f64 = 50.0;
const MEMORY_MS: f64 = 2_000.0;
/// Packets that a sample is uncertain by: one is in it or not.
const UNCERTAIN_PACKETS: f64 = 0.4;
/// Variation from which on a link isn't steady at all, and by how much less it is as steady as can be.
const UNSTEADY: f64 = 0.15;
const STEADIER: f64 = 0.1;

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

    /// How steady the rate is, 0..=1, beside that a link delivers whole packets; 0 where nothing was noted yet.
    pub(crate) fn steadiness(&self) -> f64 {
        let packets = self.mean * SAMPLE_MS / PACKET_BYTES;
        if packets <= 0.0 {
            return 0.0;
        }
        let square = self.relative().powi(2) - (UNCERTAIN_PACKETS / packets).powi(2);
        ((UNSTEADY - square.max(0.0).sqrt()) / STEADIER).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_no_variation() {
        let mut variation = Variation::default();
        assert_eq!((variation.relative(), variation.steadiness()), (0.0, 0.0));
        // A packet each 12 ms, told of by the ms.
        (0..2_000).for_each(|_| variation.note(PACKET_BYTES, 12.0));
        assert!(variation.steadiness() > 0.99, "{variation:?}");
        // Twice as fast for a while, and so on.
        (0..2_000).for_each(|step| variation.note(PACKET_BYTES, if step / 20 % 2 == 0 { 12.0 } else { 6.0 }));
        assert!(variation.steadiness() < 0.01, "{variation:?}");
    }
}
