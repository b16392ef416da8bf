//! A rate seen over a tenth of a second, held down by the rate seen over a second.

use std::collections::VecDeque;
use std::time::Duration;

use super::PACKET_BYTES;
use super::arrivals::{Arrivals, Gap};
use super::flight::Flight;
use super::windowed::WindowedMin;
use crate::netem::Sender;
use crate::rate::Receipt;

/// Busy time over which the rate of now is taken, ms.
const SHORT_MS: f64 = 100.0;
/// Busy time over which the rate to hold it down by is taken, ms.
const LONG_MS: f64 = 1000.0;
/// Time that the queue may take, ms.
const DELAY_MS: f64 = 40.0;
/// Silence that says nothing yet, beyond the time of a packet, ms.
const SILENCE_MS: f64 = 25.0;
/// What the least round trip is looked for in.
const ROUND_TRIPS: Duration = Duration::from_secs(10);
/// Rate before anything is known, bytes a ms.
const FIRST_RATE: f64 = 60.0;

/// Budgets by a two-timescale delivery rate over the receiver's busy time.
#[derive(Clone, Debug)]
pub struct TwoTimescale {
    headroom: f64,
    min_frame_bytes: u32,
    arrivals: Arrivals,
    /// Newest first, as many as make up the long time, and their sums.
    gaps: VecDeque<Gap>,
    sums: Gap,
    flight: Flight,
    round_trip_ms: WindowedMin,
    last_receipt: Duration,
}

impl TwoTimescale {
    /// The rate of now may be `headroom` times that of the last second: 1.0 is careful, 1.2 usual.
    pub fn new(headroom: f64, min_frame_bytes: u32) -> Self {
        Self {
            headroom,
            min_frame_bytes,
            arrivals: Arrivals::default(),
            gaps: VecDeque::new(),
            sums: Gap::default(),
            flight: Flight::default(),
            round_trip_ms: WindowedMin::default(),
            last_receipt: Duration::ZERO,
        }
    }

    /// Bytes a ms of the newest gaps that make up the short time.
    fn short_rate(&self) -> f64 {
        let mut sums = Gap::default();
        for gap in &self.gaps {
            sums.bytes += gap.bytes;
            sums.busy_ms += gap.busy_ms;
            if sums.busy_ms >= SHORT_MS {
                break;
            }
        }
        rate_of(&sums)
    }

    fn rate(&self, now: Duration) -> f64 {
        let rate = self.short_rate().min(self.headroom * rate_of(&self.sums));
        let since = self.flight.oldest().map_or(now, |oldest| oldest.max(self.last_receipt));
        let silence_ms = (now - since).as_secs_f64() * 1000.0;
        let round_trip_ms = if since > self.last_receipt { self.round_trip_ms.get().unwrap_or_default() } else { 0.0 };
        let allowed_ms = PACKET_BYTES / rate + SILENCE_MS + round_trip_ms;
        if silence_ms > allowed_ms { rate * SILENCE_MS / (silence_ms - round_trip_ms) } else { rate }
    }
}

impl Sender for TwoTimescale {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let round_trip_ms = self.round_trip_ms.get().unwrap_or(DELAY_MS) / 2.0;
        let budget = self.rate(now) * (DELAY_MS + round_trip_ms) - self.flight.bytes() as f64;
        (budget >= f64::from(self.min_frame_bytes)).then_some(budget as u32)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.flight.send(frame_number, bytes, now, Duration::ZERO);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let Some(news) = self.flight.receive(receipt, now) else { return };
        self.last_receipt = now;
        self.round_trip_ms.add(news.round_trip.as_secs_f64() * 1000.0, now, ROUND_TRIPS);
        let Some(gap) = self.arrivals.gap(receipt, &news) else { return };
        self.sums.bytes += gap.bytes;
        self.sums.busy_ms += gap.busy_ms;
        self.gaps.push_front(gap);
        while let Some(oldest) = self.gaps.back().filter(|oldest| self.sums.busy_ms - oldest.busy_ms >= LONG_MS) {
            self.sums.bytes -= oldest.bytes;
            self.sums.busy_ms -= oldest.busy_ms;
            self.gaps.pop_back();
        }
    }
}

/// Bytes a ms; what is missing of the short time is filled with the first guess, since one gap says little.
fn rate_of(sums: &Gap) -> f64 {
    let missing_ms = (SHORT_MS - sums.busy_ms).max(0.0);
    (sums.bytes + missing_ms * FIRST_RATE) / (sums.busy_ms + missing_ms)
}
