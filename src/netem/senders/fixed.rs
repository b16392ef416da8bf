//! The same rate, whatever happens.

use std::time::Duration;

use crate::netem::Sender;
use crate::rate::Receipt;

/// Sends every frame, each with its share of a rate.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    frame_bytes: u32,
}

impl Fixed {
    /// `kbps` for `fps` frames a second.
    pub fn new(kbps: f64, fps: f64) -> Self {
        Self { frame_bytes: (kbps * 1000.0 / 8.0 / fps) as u32 }
    }
}

impl Sender for Fixed {
    fn budget(&mut self, _now: Duration) -> Option<u32> {
        Some(self.frame_bytes)
    }

    fn sent(&mut self, _frame_number: u64, _bytes: u32, _now: Duration) {}

    fn received(&mut self, _receipt: &Receipt, _now: Duration) {}
}
