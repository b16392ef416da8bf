//! Copa (Arun and Balakrishnan, NSDI 2018): a window steered toward a rate that falls with the queue's delay.

use std::time::Duration;

use super::PACKET_BYTES;
use super::flight::Flight;
use super::pace::{self, Pace};
use super::windowed::WindowedMin;
use crate::netem::Sender;
use crate::rate::Receipt;

/// What the least round trip is looked for in.
const ROUND_TRIPS: Duration = Duration::from_secs(10);
/// A round trip before one was measured, ms.
const FIRST_MS: f64 = 100.0;
/// Round trips in the same direction before it goes faster.
const STEADY_ROUNDS: u32 = 3;

/// Copa's window around frames.
#[derive(Clone, Debug)]
pub struct Copa {
    delta: f64,
    min_frame_bytes: u32,
    /// Window, packets.
    window: f64,
    velocity: f64,
    is_rising: bool,
    steady_rounds: u32,
    is_slow_start: bool,
    least_ms: WindowedMin,
    standing_ms: WindowedMin,
    smoothed_ms: f64,
    /// When this round began, and the window then.
    round: (Duration, f64),
    flight: Flight,
    pace: Pace,
}

impl Copa {
    /// Aims at `1 / delta` packets in the queue: 0.5 is the authors'.
    pub fn new(delta: f64, fps: f64, min_frame_bytes: u32) -> Self {
        Self {
            delta,
            min_frame_bytes,
            window: 10.0,
            velocity: 1.0,
            is_rising: true,
            steady_rounds: 0,
            is_slow_start: true,
            least_ms: WindowedMin::default(),
            standing_ms: WindowedMin::default(),
            smoothed_ms: 0.0,
            round: (Duration::ZERO, 10.0),
            flight: Flight::default(),
            pace: Pace::new(fps),
        }
    }

    /// Twice the window a round trip.
    fn bytes_per_ms(&self) -> f64 {
        2.0 * self.window * PACKET_BYTES / self.standing_ms.get().unwrap_or(FIRST_MS)
    }

    /// Once a round trip: doubles the velocity where the window keeps its direction.
    fn end_round(&mut self, now: Duration) {
        let is_rising = self.window > self.round.1;
        if is_rising == self.is_rising {
            self.steady_rounds += 1;
            if self.steady_rounds >= STEADY_ROUNDS {
                self.velocity *= 2.0;
            }
        } else {
            (self.velocity, self.steady_rounds, self.is_rising) = (1.0, 0, is_rising);
        }
        self.round = (now, self.window);
    }
}

impl Sender for Copa {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let room = self.window * PACKET_BYTES - self.flight.bytes() as f64;
        self.pace.budget(room, self.bytes_per_ms(), self.min_frame_bytes, now)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.flight.send(frame_number, bytes, now, self.packet_gap());
        self.pace.sent(bytes, self.bytes_per_ms(), now);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let Some(news) = self.flight.receive(receipt, now) else { return };
        let round_trip_ms = (news.round_trip.as_secs_f64() * 1000.0).max(1.0);
        self.smoothed_ms =
            if self.smoothed_ms == 0.0 { round_trip_ms } else { 0.875 * self.smoothed_ms + 0.125 * round_trip_ms };
        self.least_ms.add(round_trip_ms, now, ROUND_TRIPS);
        self.standing_ms.add(round_trip_ms, now, Duration::from_secs_f64(self.smoothed_ms / 2000.0));
        let (Some(least_ms), Some(standing_ms)) = (self.least_ms.get(), self.standing_ms.get()) else { return };
        let queue_ms = standing_ms - least_ms;
        // Packets a ms.
        let target = if queue_ms > 0.0 { 1.0 / (self.delta * queue_ms) } else { f64::INFINITY };
        let is_under = self.window / standing_ms <= target;
        let packets = f64::from(news.bytes) / PACKET_BYTES;
        if self.is_slow_start && is_under {
            self.window += packets;
        } else {
            self.is_slow_start = false;
            let step = packets * self.velocity / (self.delta * self.window);
            // No more than doubling in a round trip.
            let step = step.min(packets);
            self.window += if is_under { step } else { -step };
            if is_under != self.is_rising {
                self.velocity = 1.0;
            }
        }
        self.window = self.window.max(2.0);
        if (now - self.round.0).as_secs_f64() * 1000.0 >= standing_ms {
            self.end_round(now);
        }
    }

    fn packet_gap(&self) -> Duration {
        pace::gap(self.bytes_per_ms())
    }
}
