//! The sending end of a stream: which frame goes when, and what is made of it.

use std::time::Duration;

use super::Sender;
use super::report::Decisions;
use super::source::{Encoded, Score, Source};
use crate::rate::Receipt;

/// A frame that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its number.
    pub frame_number: u64,
    /// What it is as a packet.
    pub encoded: Encoded,
    /// Bytes it was to take.
    pub budget: u32,
}

/// A sending end: captured frames in, frames that are to be sent out, and what comes back. A [`Sender`] with a [`Source`] is one
/// ([`Paired`]), and so is whatever decides and codes at once.
pub trait Endpoint {
    /// A frame is before the camera.
    fn captured(&mut self, frame_number: u64, now: Duration);
    /// A frame to be sent now, newer than those before. Asked each millisecond while the transport takes frames.
    fn next(&mut self, now: Duration) -> Option<Outgoing>;
    /// A frame has been handed to the transport, after the time that coding it took.
    fn sent(&mut self, _frame_number: u64, _bytes: u32, _now: Duration) {}
    /// A receipt came back.
    fn received(&mut self, receipt: &Receipt, now: Duration);
    /// The receiver will never show a frame: bytes of it, or of what it needs, are lost.
    fn lost(&mut self, _frame_number: u64, _now: Duration) {}
    /// A frame came to the screen. Its quality, where the endpoint can tell.
    fn displayed(&mut self, _frame_number: u64, _now: Duration) -> Option<Score> {
        None
    }
    /// How near `shown`, which is on the screen, is to `captured`, which is before the camera now.
    fn on_screen(&mut self, _shown: u64, _captured: u64) -> Option<Score> {
        None
    }
    /// Least time between packets.
    fn packet_gap(&self) -> Duration {
        Duration::ZERO
    }
}

/// A sender that decides, and a source that codes. The frame that waits is always the newest captured.
#[derive(Debug)]
pub struct Paired<S, F> {
    sender: S,
    source: F,
    waiting: Option<u64>,
    clock: Option<fn() -> Duration>,
    decisions: Decisions,
}

impl<S: Sender, F: Source> Paired<S, F> {
    /// Both.
    pub fn new(sender: S, source: F) -> Self {
        Self { sender, source, waiting: None, clock: None, decisions: Decisions::default() }
    }

    /// With a clock to measure the sender's decisions with, from any origin.
    pub fn with_clock(self, clock: fn() -> Duration) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// What deciding cost, where a clock was given.
    pub fn decisions(&self) -> Option<Decisions> {
        self.clock.map(|_| self.decisions)
    }

    fn budget(&mut self, now: Duration) -> Option<u32> {
        let Some(clock) = self.clock else { return self.sender.budget(now) };
        let began = clock();
        let budget = self.sender.budget(now);
        self.decisions.add(clock().saturating_sub(began));
        budget
    }
}

impl<S: Sender, F: Source> Endpoint for Paired<S, F> {
    fn captured(&mut self, frame_number: u64, _now: Duration) {
        self.waiting = Some(frame_number);
    }

    fn next(&mut self, now: Duration) -> Option<Outgoing> {
        let frame_number = self.waiting?;
        let budget = self.budget(now)?;
        self.waiting = None;
        let encoded = self.source.encode(frame_number, budget, now)?;
        Some(Outgoing { frame_number, encoded, budget })
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.sender.sent(frame_number, bytes, now);
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        self.source.received(receipt, now);
        self.sender.received(receipt, now);
    }

    fn lost(&mut self, frame_number: u64, now: Duration) {
        self.source.lost(frame_number, now);
    }

    fn displayed(&mut self, frame_number: u64, now: Duration) -> Option<Score> {
        self.source.displayed(frame_number, now)
    }

    fn on_screen(&mut self, shown: u64, captured: u64) -> Option<Score> {
        self.source.on_screen(shown, captured)
    }

    fn packet_gap(&self) -> Duration {
        self.sender.packet_gap()
    }
}
