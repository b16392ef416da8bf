//! TigerVNC's congestion control: a window in the manner of Vegas, moved by the least round trip of a few updates.

use std::collections::VecDeque;
use std::time::Duration;

use crate::netem::Sender;
use crate::rate::Receipt;

/// Bounds of the window and where it begins, bytes.
const WINDOW: (f64, f64) = (4096.0, 4_194_304.0);
const FIRST_WINDOW: f64 = 16_384.0;
/// Step of the window, bytes.
const STEP: f64 = 4096.0;
/// Round trips that are measured before the window is judged.
const MEASUREMENTS: u32 = 3;
/// Delay beyond the least that is a spike; that is too much; that is fine; that leaves room, ms.
const SPIKE_MS: f64 = 100.0;
const HIGH_MS: f64 = 50.0;
const FINE_MS: f64 = 25.0;
const LOW_MS: f64 = 5.0;
/// Time without an update after which the window begins anew, ms.
const IDLE_MS: f64 = 100.0;

/// A mark in the stream that the receiver answers.
#[derive(Clone, Copy, Debug)]
struct Ping {
    frame_number: u64,
    sent_ms: f64,
    /// Bytes of the stream before it.
    position: f64,
    /// Bytes estimated to be buffered on the way, beyond the window's rate.
    extra: f64,
    /// Whether the window was full.
    is_full: bool,
}

/// TigerVNC's window around frames: a frame may take what the window has left.
#[derive(Clone, Debug)]
pub struct TigerVnc {
    min_frame_bytes: u32,
    window: f64,
    base_ms: f64,
    is_slow_start: bool,
    position: f64,
    extra: f64,
    last_sent_ms: f64,
    pings: VecDeque<Ping>,
    /// The newest answered mark, and when its answer came.
    pong: Option<(Ping, f64)>,
    adjusted_ms: f64,
    measured: u32,
    least_ms: f64,
    least_full_ms: f64,
    was_full: bool,
}

impl TigerVnc {
    /// With frames of at least so many bytes.
    pub fn new(min_frame_bytes: u32) -> Self {
        Self {
            min_frame_bytes,
            window: FIRST_WINDOW,
            base_ms: f64::INFINITY,
            is_slow_start: true,
            position: 0.0,
            extra: 0.0,
            last_sent_ms: 0.0,
            pings: VecDeque::new(),
            pong: None,
            adjusted_ms: 0.0,
            measured: 0,
            least_ms: f64::INFINITY,
            least_full_ms: f64::INFINITY,
            was_full: false,
        }
    }

    /// Bytes on their way: between two answers, what is answered is taken to advance with time.
    fn in_flight(&self, now_ms: f64) -> f64 {
        let Some((pong, at_ms)) = self.pong else { return self.position };
        let Some(next) = self.pings.front() else { return self.position - pong.position };
        let answered = if self.base_ms.is_finite() {
            // The next answer is due as long after this one as its mark was sent after that one's.
            let span_ms = (next.sent_ms - pong.sent_ms).max(1.0);
            let share = ((now_ms - at_ms) / span_ms).clamp(0.0, 1.0);
            pong.position + share * (next.position - pong.position)
        } else {
            pong.position
        };
        self.position - answered
    }

    fn adjust(&mut self, now_ms: f64) {
        let diff_ms = self.least_ms - self.base_ms;
        let full_diff_ms = self.least_full_ms - self.base_ms;
        if diff_ms > SPIKE_MS.max(self.base_ms / 2.0) {
            self.window *= self.base_ms / self.least_ms;
            self.is_slow_start = false;
        } else if self.is_slow_start {
            if diff_ms > FINE_MS {
                self.window *= self.base_ms / self.least_ms;
                self.is_slow_start = false;
            } else if full_diff_ms < FINE_MS {
                self.window *= 2.0;
            }
        } else if diff_ms > HIGH_MS {
            self.window -= STEP;
        } else if full_diff_ms < LOW_MS {
            self.window += 2.0 * STEP;
        } else if full_diff_ms < FINE_MS {
            self.window += STEP;
        }
        self.window = self.window.clamp(WINDOW.0, WINDOW.1);
        self.adjusted_ms = now_ms;
        self.measured = 0;
        (self.least_ms, self.least_full_ms) = (f64::INFINITY, f64::INFINITY);
    }
}

impl Sender for TigerVnc {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let room = self.window - self.in_flight(now.as_secs_f64() * 1000.0);
        let may_send = room >= f64::from(self.min_frame_bytes);
        self.was_full |= !may_send;
        may_send.then_some(room as u32)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        let now_ms = now.as_secs_f64() * 1000.0;
        let elapsed_ms = now_ms - self.last_sent_ms;
        let idle_ms = if self.base_ms.is_finite() { IDLE_MS.max(2.0 * self.base_ms) } else { IDLE_MS };
        if elapsed_ms > idle_ms && self.pings.is_empty() {
            self.window = self.window.min(FIRST_WINDOW);
            self.base_ms = f64::INFINITY;
            self.is_slow_start = true;
            (self.measured, self.least_ms, self.least_full_ms) = (0, f64::INFINITY, f64::INFINITY);
        }
        if self.base_ms.is_finite() {
            self.extra = (self.extra - elapsed_ms * self.window / self.base_ms).max(0.0);
        }
        let extra = self.extra;
        self.extra += f64::from(bytes);
        self.position += f64::from(bytes);
        self.last_sent_ms = now_ms;
        // A frame takes all the window has left: the window is full behind it.
        let is_full = std::mem::take(&mut self.was_full) || self.in_flight(now_ms) >= self.window - 1.0;
        self.pings.push_back(Ping { frame_number, sent_ms: now_ms, position: self.position, extra, is_full });
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let now_ms = now.as_secs_f64() * 1000.0;
        // Marks of frames that were given up are answered by those after them.
        while self.pings.front().is_some_and(|ping| ping.frame_number < receipt.frame_number) {
            self.pong = self.pings.pop_front().map(|ping| (ping, now_ms));
        }
        if !receipt.is_whole || self.pings.front().is_none_or(|ping| ping.frame_number != receipt.frame_number) {
            return;
        }
        let Some(ping) = self.pings.pop_front() else { return };
        self.pong = Some((ping, now_ms));
        let mut round_trip_ms = (now_ms - ping.sent_ms).max(1.0);
        self.base_ms = self.base_ms.min(round_trip_ms);
        if ping.sent_ms < self.adjusted_ms {
            return;
        }
        round_trip_ms = (round_trip_ms - ping.extra * self.base_ms / self.window).max(self.base_ms);
        self.measured += 1;
        self.least_ms = self.least_ms.min(round_trip_ms);
        if ping.is_full {
            self.least_full_ms = self.least_full_ms.min(round_trip_ms);
        }
        if self.measured >= MEASUREMENTS {
            self.adjust(now_ms);
        }
    }
}
