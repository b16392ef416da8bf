//! Sprout (Winstein et al., NSDI 2013): sends what almost certainly comes out within 100 ms.

use std::time::Duration;

use super::PACKET_BYTES;
use super::flight::Flight;
use super::forecast::{Forecast, TICK_S, TICKS};
use super::windowed::WindowedMin;
use crate::netem::Sender;
use crate::rate::Receipt;

/// Ticks within which what is sent is to come out: 100 ms.
const AHEAD: usize = 5;

/// Bytes of the first frame.
const FIRST_BYTES: u32 = 6_000;
/// What one arrival takes at least where the clock sees no time pass, seconds.
const LEAST_S: f64 = 0.0005;
/// Share of a tick that the link has to be busy for the tick to tell its rate.
const BUSY: f64 = 0.9;
/// What the least time on the way is looked for in.
const WAYS: Duration = Duration::from_secs(10);

/// Sprout's forecast around frames: a frame may take what comes out within 100 ms in 19 of 20 cases.
#[derive(Clone, Debug)]
pub struct Sprout {
    min_frame_bytes: u32,
    forecast: Forecast,
    /// Packets that come at least within so many ticks.
    cautious: [f64; TICKS + 1],
    /// When the last of them came, and what the receiver had by then of what was sent, bytes.
    heard: Option<Duration>,
    settled: u64,
    sent: u64,
    flight: Flight,
    /// Least time from sending to arrival, seconds: the difference of the clocks included.
    way_s: WindowedMin,
    /// By the receiver's clock, seconds: when the last packet came, and when the current tick ends.
    last_s: f64,
    tick_end_s: Option<f64>,
    /// Packets in the current tick so far, and the time in it that the link had something to carry, seconds.
    packets: f64,
    busy_s: f64,
}

impl Sprout {
    /// With frames of at least so many bytes.
    pub fn new(min_frame_bytes: u32) -> Self {
        Self {
            min_frame_bytes,
            forecast: Forecast::new(),
            cautious: [0.0; TICKS + 1],
            heard: None,
            settled: 0,
            sent: 0,
            flight: Flight::default(),
            way_s: WindowedMin::default(),
            last_s: 0.0,
            tick_end_s: None,
            packets: 0.0,
            busy_s: 0.0,
        }
    }

    /// The link was busy from one time to another by the receiver's clock, at whose end `packets` came. Ends the ticks before.
    fn busy(&mut self, from_s: f64, to_s: f64, packets: f64, now: Duration) {
        let mut end_s = self.tick_end_s.unwrap_or(to_s + TICK_S);
        let mut has_ended = false;
        while end_s <= to_s {
            self.busy_s += (end_s - from_s.max(end_s - TICK_S)).max(0.0);
            self.forecast.evolve();
            // A tick in which more could have come tells what came at least: that is what "time to next" is for.
            if self.busy_s > BUSY * TICK_S {
                self.forecast.observe(self.packets, TICK_S);
            } else if self.packets > 0.0 {
                self.forecast.observe_at_least(self.packets, TICK_S);
            }
            (self.packets, self.busy_s) = (0.0, 0.0);
            end_s += TICK_S;
            has_ended = true;
        }
        self.tick_end_s = Some(end_s);
        self.busy_s += (to_s - from_s.max(end_s - TICK_S)).max(LEAST_S);
        self.packets += packets;
        if has_ended {
            self.cautious = self.forecast.cautious();
            self.heard = Some(now);
            self.settled = self.sent - self.flight.bytes();
        }
    }
}

impl Sender for Sprout {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        let Some(heard) = self.heard else {
            return (self.flight.bytes() == 0).then_some(FIRST_BYTES.max(self.min_frame_bytes));
        };
        let elapsed = ((now - heard).as_secs_f64() / TICK_S) as usize;
        let until = self.cautious.get((elapsed + AHEAD).min(TICKS)).copied().unwrap_or_default();
        let gone = self.cautious.get(elapsed.min(TICKS)).copied().unwrap_or_default();
        let queued = ((self.sent - self.settled) as f64 - gone * PACKET_BYTES).max(0.0);
        let window = (until - gone) * PACKET_BYTES - queued;
        if self.flight.bytes() == 0 && window < f64::from(self.min_frame_bytes) {
            return Some(self.min_frame_bytes);
        }
        (window >= f64::from(self.min_frame_bytes)).then_some(window as u32)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.flight.send(frame_number, bytes, now, Duration::ZERO);
        self.sent += u64::from(bytes);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        let Some(news) = self.flight.receive(receipt, now) else { return };
        let received_s = receipt.last_received.as_secs_f64();
        self.way_s.add(received_s - news.sent.as_secs_f64(), now, WAYS);
        let at_link_s = news.sent.as_secs_f64() + self.way_s.get().unwrap_or_default();
        let is_queued = at_link_s <= self.last_s;
        // Alone, a short packet takes a whole opportunity; behind others it takes its share.
        let packets = f64::from(news.bytes) / PACKET_BYTES;
        let packets = if is_queued { packets } else { packets.ceil() };
        self.busy(at_link_s.max(self.last_s).min(received_s), received_s, packets, now);
        self.last_s = received_s;
    }
}
