//! Knows the trace: what could be done.

use std::sync::Arc;
use std::time::Duration;

use crate::netem::Sender;
use crate::netem::trace::{OPPORTUNITY_BYTES, Opportunities, Trace};
use crate::rate::Receipt;

/// Makes each frame as large as what the link takes until the next one comes.
#[derive(Clone, Debug)]
pub struct Oracle {
    opportunities: Opportunities,
    propagation_ms: u64,
    frame_ms: f64,
    min_frame_bytes: u32,
    /// Bytes that were sent and have no opportunity yet.
    owed: u64,
}

impl Oracle {
    /// For a link over `down`, `propagation` away, with frames of at least so many bytes.
    pub fn new(down: Arc<Trace>, propagation: Duration, fps: f64, min_frame_bytes: u32) -> Self {
        Self {
            opportunities: Opportunities::new(down),
            propagation_ms: propagation.as_millis() as u64,
            frame_ms: 1000.0 / fps,
            min_frame_bytes,
            owed: 0,
        }
    }
}

impl Sender for Oracle {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let now_ms = now.as_millis() as u64;
        let arrival_ms = now_ms + self.propagation_ms;
        // What the link did before this frame can come to it is spent on what was sent before.
        let past = u64::from(self.opportunities.take(arrival_ms.saturating_sub(1)));
        self.owed = self.owed.saturating_sub(past * u64::from(OPPORTUNITY_BYTES));
        let next_frame = ((now_ms + 1) as f64 / self.frame_ms).ceil();
        let next_ms = (next_frame * self.frame_ms) as u64 + self.propagation_ms;
        let mut ahead = self.opportunities.clone();
        let room = u64::from(ahead.take(next_ms.saturating_sub(1))) * u64::from(OPPORTUNITY_BYTES);
        let room = u32::try_from(room.saturating_sub(self.owed)).unwrap_or(u32::MAX);
        (room >= self.min_frame_bytes).then_some(room)
    }

    fn sent(&mut self, _frame_number: u64, bytes: u32, _now: Duration) {
        self.owed += u64::from(bytes);
    }

    fn received(&mut self, _receipt: &Receipt, _now: Duration) {}
}
