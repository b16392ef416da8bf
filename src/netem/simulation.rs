//! Lets milliseconds pass.

use std::collections::VecDeque;
use std::time::Duration;

use super::Sender;
use super::config::{Receipts, SimulationConfig};
use super::datagrams::Piece;
use super::link::Link;
use super::measure::Measure;
use super::receiver::Receiver;
use super::report::Report;
use super::source::{Encoded, Source};
use super::tcp::{ACK_BYTES, Ack};
use super::transport::{Parcel, Transport};
use crate::error::Result;
use crate::rate::Receipt;

/// Bytes of a receipt on its way back.
const RECEIPT_BYTES: u32 = 80;

/// What comes back to the sender.
#[derive(Clone, Copy, Debug)]
struct Back {
    receipt: Option<Receipt>,
    /// What the connection says of its own.
    ack: Option<Ack>,
    /// How many of the frames that will never be shown the receiver knew of.
    lost: usize,
}

/// A frame that is being coded.
#[derive(Clone, Copy, Debug)]
struct Coding {
    frame_number: u64,
    encoded: Encoded,
    budget: u32,
    done_ms: u64,
}

/// A run, millisecond by millisecond.
#[derive(Debug)]
pub struct Simulation {
    config: SimulationConfig,
    now_ms: u64,
    down: Link<Parcel>,
    up: Link<Back>,
    transport: Transport,
    receiver: Receiver,
    /// Of the receiver's lost frames, how many the source was told of.
    lost_told: usize,
    captured: u64,
    waiting: Option<u64>,
    coding: Option<Coding>,
    /// When frames come to the screen.
    displays: VecDeque<(u64, u64)>,
    on_screen: Option<u64>,
    measure: Measure,
    parcels: Vec<Parcel>,
    pieces: Vec<Piece>,
    backs: Vec<Back>,
}

/// Runs a simulation from beginning to end.
///
/// # Errors
/// As [`SimulationConfig::validate`].
pub fn simulate(config: SimulationConfig, sender: &mut dyn Sender, source: &mut dyn Source) -> Result<Report> {
    let mut simulation = Simulation::new(config)?;
    simulation.advance(f64::INFINITY, sender, source);
    Ok(simulation.finish())
}

impl Simulation {
    /// A run at its beginning.
    ///
    /// # Errors
    /// As [`SimulationConfig::validate`].
    pub fn new(config: SimulationConfig) -> Result<Self> {
        config.validate()?;
        let down = Link::new(config.down.clone(), config.down_link, config.seed)?;
        let up = Link::new(config.up.clone(), config.up_link, !config.seed)?;
        Ok(Self {
            now_ms: 0,
            down,
            up,
            transport: Transport::new(config.tcp),
            receiver: Receiver::new(config.decode_time),
            lost_told: 0,
            captured: 0,
            waiting: None,
            coding: None,
            displays: VecDeque::new(),
            on_screen: None,
            measure: Measure::new((config.warm_up_seconds * 1000.0) as u64),
            parcels: Vec::new(),
            pieces: Vec::new(),
            backs: Vec::new(),
            config,
        })
    }

    /// Time simulated so far, seconds.
    pub fn elapsed_s(&self) -> f64 {
        self.now_ms as f64 / 1000.0
    }

    /// Frames captured so far.
    pub fn frames_captured(&self) -> u64 {
        self.captured
    }

    /// Lets time pass until `until_s`, or until the configuration's end; false once that is reached.
    pub fn advance(&mut self, until_s: f64, sender: &mut dyn Sender, source: &mut dyn Source) -> bool {
        let end_ms = self.end_ms();
        let until_ms = ((until_s * 1000.0) as u64).min(end_ms);
        while self.now_ms < until_ms {
            self.step(sender, source);
        }
        self.now_ms < end_ms
    }

    /// Ends the run here.
    pub fn finish(self) -> Report {
        let undecodable = self.receiver.undecodable();
        self.measure.report(self.now_ms, self.down.tally(), undecodable, self.config.clock.is_some())
    }

    fn end_ms(&self) -> u64 {
        (self.config.seconds * 1000.0) as u64
    }

    fn step(&mut self, sender: &mut dyn Sender, source: &mut dyn Source) {
        let now_ms = self.now_ms;
        let (before, unsent) = self.transport.waiting();
        self.measure.look(now_ms, self.down.tally(), [before, unsent, self.down.queued_bytes()]);
        self.hear(sender, source);
        self.show(source);
        self.capture(source);
        self.code(sender, source);
        self.transport.emit(now_ms, sender.packet_gap(), &mut self.down);
        self.down.step(now_ms, &mut self.parcels);
        self.receive();
        self.now_ms += 1;
    }

    /// Receipts that came back.
    fn hear(&mut self, sender: &mut dyn Sender, source: &mut dyn Source) {
        self.up.step(self.now_ms, &mut self.backs);
        let now = Duration::from_millis(self.now_ms);
        for back in self.backs.drain(..) {
            while self.lost_told < back.lost {
                if let Some(&frame_number) = self.receiver.lost().get(self.lost_told) {
                    source.lost(frame_number, now);
                }
                self.lost_told += 1;
            }
            if let Some(ack) = &back.ack {
                self.transport.acknowledged(ack, self.now_ms);
            }
            if let Some(receipt) = &back.receipt {
                source.received(receipt, now);
                sender.received(receipt, now);
            }
        }
    }

    /// Frames that come to the screen.
    fn show(&mut self, source: &mut dyn Source) {
        while let Some(&(ms, frame_number)) = self.displays.front().filter(|(ms, _)| *ms <= self.now_ms) {
            self.displays.pop_front();
            self.on_screen = Some(frame_number);
            let score = source.displayed(frame_number, Duration::from_millis(ms));
            self.measure.displayed(frame_number, ms, score);
        }
    }

    /// A frame is captured when its time has come, in the place of one that still waits.
    fn capture(&mut self, source: &mut dyn Source) {
        while self.captured as f64 * 1000.0 / self.config.fps < (self.now_ms + 1) as f64 {
            let frame_number = self.captured;
            self.captured += 1;
            self.waiting = Some(frame_number);
            self.measure.captured(self.now_ms);
            if let Some(score) = self.on_screen.and_then(|shown| source.on_screen(shown, frame_number)) {
                self.measure.on_screen(score, self.now_ms);
            }
        }
    }

    fn code(&mut self, sender: &mut dyn Sender, source: &mut dyn Source) {
        let now = Duration::from_millis(self.now_ms);
        self.send_coded(sender);
        let Some(frame_number) = self.waiting.filter(|_| self.coding.is_none() && self.transport.can_take()) else {
            return;
        };
        let budget = match self.config.clock {
            Some(clock) => {
                let began = clock();
                let budget = sender.budget(now);
                self.measure.decided((clock() - began).as_secs_f64() * 1e6);
                budget
            }
            None => sender.budget(now),
        };
        let Some(budget) = budget else { return };
        self.waiting = None;
        let Some(encoded) = source.encode(frame_number, budget, now) else { return };
        let encoded = Encoded { bytes: encoded.bytes.max(1), ..encoded };
        let done_ms = self.now_ms + encoded.encode_time.as_millis() as u64;
        self.coding = Some(Coding { frame_number, encoded, budget, done_ms });
        self.send_coded(sender);
    }

    /// Sends the frame that is being coded, once it is.
    fn send_coded(&mut self, sender: &mut dyn Sender) {
        let Some(coding) = self.coding.take_if(|coding| coding.done_ms <= self.now_ms) else { return };
        let Coding { frame_number, encoded, budget, .. } = coding;
        self.receiver.expect(frame_number, encoded);
        self.transport.write(frame_number, encoded.bytes);
        self.measure.sent(frame_number, encoded.bytes, budget);
        sender.sent(frame_number, encoded.bytes, Duration::from_millis(self.now_ms));
    }

    /// What came out of the link, and what goes back for it.
    fn receive(&mut self) {
        for parcel in self.parcels.drain(..) {
            self.pieces.clear();
            let mut ack = self.transport.arrived(parcel, &mut self.pieces);
            for piece in &self.pieces {
                let Some(taken) = self.receiver.take(*piece, Duration::from_millis(self.now_ms)) else { continue };
                if let Some(at) = taken.displayed {
                    self.displays.push_back((at.as_millis() as u64, taken.receipt.frame_number));
                }
                if taken.receipt.is_whole || self.config.receipts == Receipts::EachPacket {
                    // What the connection has to say goes along.
                    let lost = self.receiver.lost().len();
                    let back = Back { receipt: Some(taken.receipt), ack: ack.take(), lost };
                    self.up.send(RECEIPT_BYTES, back, self.now_ms);
                }
            }
            if ack.is_some() {
                let back = Back { receipt: None, ack, lost: self.receiver.lost().len() };
                self.up.send(ACK_BYTES, back, self.now_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests;
