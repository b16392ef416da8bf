//! The pace of a receiver that shows frames later than they come.

use super::{Receipt, ms};

/// How much later than at best a receiver shows a frame before it counts as falling behind, ms.
const LAGGING_MS: f64 = 25.0;
/// Longest time between frames that is taken for a pace, ms.
const LONGEST_MS: f64 = 1_000.0;
/// How much slower than its pace frames are sent to it, and how soon faster again, with each receipt.
const SLOWER: f64 = 1.1;
const FASTER: f64 = 0.97;

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Display {
    shown_ms: Option<f64>,
    least_lag_ms: Option<f64>,
    gap_ms: f64,
}

impl Display {
    /// Least time between frames, ms.
    pub(crate) fn gap_ms(&self) -> f64 {
        self.gap_ms
    }

    /// Keeps frames apart as far as a receiver needs that falls behind showing them.
    pub(crate) fn note(&mut self, receipt: &Receipt) {
        let Some(shown_ms) = receipt.displayed.filter(|_| receipt.is_whole).map(ms) else { return };
        let lag_ms = shown_ms - ms(receipt.last_received);
        let least_lag_ms = self.least_lag_ms.map_or(lag_ms, |least_ms| least_ms.min(lag_ms));
        let interval_ms = self.shown_ms.map_or(0.0, |before_ms| (shown_ms - before_ms).clamp(0.0, LONGEST_MS));
        self.gap_ms = if lag_ms - least_lag_ms > LAGGING_MS {
            self.gap_ms.max(SLOWER * interval_ms)
        } else {
            FASTER * self.gap_ms
        };
        (self.shown_ms, self.least_lag_ms) = (Some(shown_ms), Some(least_lag_ms));
    }
}
