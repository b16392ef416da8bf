//! Salsify (Fouladi et al., NSDI 2018): a budget for each frame from the mean time between packets.

use std::time::Duration;

use super::PACKET_BYTES;
use super::arrivals::Arrivals;
use super::flight::Flight;
use crate::netem::Sender;
use crate::rate::Receipt;

/// Weight of a new packet in the mean.
const WEIGHT: f64 = 0.1;
/// Frames that are skipped in a row at most, so that feedback never dies.
const MOST_SKIPPED: f64 = 3.0;
/// Packets leave so much faster than they come, within bounds.
const PACING: f64 = 5.0;
const PACING_MS: (f64, f64) = (0.5, 2.0);

/// Salsify's sender: what arrives within `d` at the rate seen, less what is on its way.
#[derive(Clone, Debug)]
pub struct Salsify {
    delay_ms: f64,
    frame_ms: f64,
    min_frame_bytes: u32,
    /// Mean time between packets, ms.
    tau_ms: Option<f64>,
    arrivals: Arrivals,
    flight: Flight,
    last_sent: Option<Duration>,
}

impl Salsify {
    /// A sender that fills `delay_ms` of the link: 100 is the authors'.
    pub fn new(delay_ms: f64, fps: f64, min_frame_bytes: u32) -> Self {
        Self {
            delay_ms,
            frame_ms: 1000.0 / fps,
            min_frame_bytes,
            tau_ms: None,
            arrivals: Arrivals::default(),
            flight: Flight::default(),
            last_sent: None,
        }
    }
}

impl Sender for Salsify {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let waited_ms = self.last_sent.map_or(f64::INFINITY, |last| (now - last).as_secs_f64() * 1000.0);
        let packets = self.tau_ms.map_or(1.0, |tau_ms| self.delay_ms / tau_ms.max(0.01));
        let budget = packets * PACKET_BYTES - self.flight.bytes() as f64;
        if budget >= f64::from(self.min_frame_bytes) {
            return Some(budget as u32);
        }
        (waited_ms >= (MOST_SKIPPED + 1.0) * self.frame_ms - 1.0).then_some(self.min_frame_bytes)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.flight.send(frame_number, bytes, now, self.packet_gap());
        self.last_sent = Some(now);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let Some(news) = self.flight.receive(receipt, now) else { return };
        let Some(gap) = self.arrivals.gap(receipt, &news) else { return };
        // One receipt may stand for several packets.
        let packets = (gap.bytes / PACKET_BYTES).ceil().max(1.0);
        let kept = (1.0 - WEIGHT).powf(packets);
        let tau_ms = self.tau_ms.unwrap_or(gap.busy_ms / packets);
        self.tau_ms = Some(kept * tau_ms + (1.0 - kept) * gap.busy_ms / packets);
    }

    fn packet_gap(&self) -> Duration {
        let gap_ms = self.tau_ms.unwrap_or(PACING_MS.1) / PACING;
        Duration::from_secs_f64(gap_ms.clamp(PACING_MS.0, PACING_MS.1) / 1000.0)
    }
}
