//! BBR (Cardwell et al., 2016), its first version without ProbeRTT: the largest delivery rate times the least round trip.

use std::collections::VecDeque;
use std::time::Duration;

use super::PACKET_BYTES;
use super::flight::Flight;
use super::pace::{self, Pace};
use super::windowed::{WindowedMax, WindowedMin};
use crate::netem::Sender;
use crate::rate::Receipt;

/// Round trips that the largest rate is looked for in, a second standing for each.
const RATE_ROUNDS: Duration = Duration::from_secs(10);
/// What the least round trip is looked for in.
const ROUND_TRIPS: Duration = Duration::from_secs(10);
/// Gains of the pace, a round trip each.
const GAINS: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// Gain at the start, 2 / ln 2, until the rate hasn't grown by a quarter for three round trips.
const START_GAIN: f64 = 2.885;
const START_GROWTH: f64 = 1.25;
const START_ROUNDS: u32 = 3;
/// Window in bandwidth-delay products.
const WINDOW_GAIN: f64 = 2.0;
/// A round trip before one was measured, ms.
const FIRST_MS: f64 = 100.0;
/// Packets at the start.
const FIRST_WINDOW: f64 = 10.0;

/// What was delivered when a frame was sent.
#[derive(Clone, Copy, Debug)]
struct Mark {
    frame_number: u64,
    delivered: f64,
    delivered_at: Duration,
}

/// BBR's window and pace around frames.
#[derive(Clone, Debug)]
pub struct Bbr {
    min_frame_bytes: u32,
    flight: Flight,
    marks: VecDeque<Mark>,
    delivered: f64,
    delivered_at: Duration,
    /// Bytes a ms.
    rate: WindowedMax,
    round_trip_ms: WindowedMin,
    /// Rounds so far, and the frame whose receipt ends this one.
    round: u64,
    round_ends: u64,
    newest: u64,
    gain: usize,
    /// Rate that has to be outgrown, and rounds that it wasn't, while starting.
    start: Option<(f64, u32)>,
    paced: Pace,
}

impl Bbr {
    /// With frames of at least so many bytes.
    pub fn new(fps: f64, min_frame_bytes: u32) -> Self {
        Self {
            min_frame_bytes,
            flight: Flight::default(),
            marks: VecDeque::new(),
            delivered: 0.0,
            delivered_at: Duration::ZERO,
            rate: WindowedMax::default(),
            round_trip_ms: WindowedMin::default(),
            round: 0,
            round_ends: 0,
            newest: 0,
            gain: 0,
            start: Some((0.0, 0)),
            paced: Pace::new(fps),
        }
    }

    /// Bytes a ms.
    fn pace(&self) -> f64 {
        let gain = if self.start.is_some() { START_GAIN } else { GAINS.get(self.gain).copied().unwrap_or(1.0) };
        self.rate.get().unwrap_or(FIRST_WINDOW * PACKET_BYTES / FIRST_MS) * gain
    }

    /// A frame that was sent after the round began was received.
    fn end_round(&mut self) {
        self.round += 1;
        self.round_ends = self.newest + 1;
        self.gain = (self.gain + 1) % GAINS.len();
        let (Some((outgrow, rounds)), Some(rate)) = (self.start, self.rate.get()) else { return };
        self.start = match rate >= outgrow * START_GROWTH {
            true => Some((rate, 0)),
            false => (rounds + 1 < START_ROUNDS).then_some((outgrow, rounds + 1)),
        };
    }
}

impl Sender for Bbr {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let window = match (self.rate.get(), self.round_trip_ms.get()) {
            (Some(rate), Some(round_trip_ms)) => {
                let gain = if self.start.is_some() { START_GAIN } else { WINDOW_GAIN };
                (gain * rate * round_trip_ms).max(4.0 * PACKET_BYTES)
            }
            _ => FIRST_WINDOW * PACKET_BYTES,
        };
        let room = window - self.flight.bytes() as f64;
        self.paced.budget(room, self.pace(), self.min_frame_bytes, now)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        if self.flight.bytes() == 0 {
            self.delivered_at = now;
        }
        self.flight.send(frame_number, bytes, now, self.packet_gap());
        self.paced.sent(bytes, self.pace(), now);
        self.newest = frame_number;
        self.marks.push_back(Mark { frame_number, delivered: self.delivered, delivered_at: self.delivered_at });
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let Some(news) = self.flight.receive(receipt, now) else { return };
        let round_trip_ms = (news.round_trip.as_secs_f64() * 1000.0).max(1.0);
        self.round_trip_ms.add(round_trip_ms, now, ROUND_TRIPS);
        self.delivered += f64::from(news.bytes);
        self.delivered_at = now;
        while self.marks.front().is_some_and(|mark| mark.frame_number < receipt.frame_number) {
            self.marks.pop_front();
        }
        if let Some(mark) = self.marks.front() {
            let elapsed_ms = (now - mark.delivered_at).as_secs_f64() * 1000.0;
            if elapsed_ms >= 1.0 {
                let round = Duration::from_secs(self.round);
                self.rate.add((self.delivered - mark.delivered) / elapsed_ms, round, RATE_ROUNDS);
            }
        }
        if receipt.frame_number >= self.round_ends {
            self.end_round();
        }
    }

    fn packet_gap(&self) -> Duration {
        pace::gap(self.pace())
    }
}
