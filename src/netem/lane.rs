//! One stream over the links: its transport, its receiver, and what is watched of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::{Receipts, SimulationConfig};
use super::datagrams::Piece;
use super::endpoint::{Endpoint, Outgoing};
use super::link::{Link, LinkTally};
use super::measure::Measure;
use super::receiver::Receiver;
use super::report::Report;
use super::source::Encoded;
use super::tcp::{ACK_BYTES, Ack, TcpConfig};
use super::transport::{Parcel, Transport};
use crate::rate::Receipt;

/// Bytes of a receipt on its way back.
const RECEIPT_BYTES: u32 = 80;

/// What crosses the link toward the receiver, and of which lane it is.
pub(super) type Down = (usize, Parcel);

/// What comes back to a lane's sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    pub(super) lane: usize,
    receipt: Option<Receipt>,
    /// What the connection says of its own.
    ack: Option<Ack>,
    /// How many of the frames that will never be shown the receiver knew of.
    lost: usize,
}

/// A frame that is being coded.
#[derive(Clone, Copy, Debug)]
struct Coding {
    outgoing: Outgoing,
    done_ms: u64,
}

/// One stream over the links.
#[derive(Debug)]
pub(super) struct Lane {
    index: usize,
    fps: f64,
    receipts: Receipts,
    transport: Transport,
    receiver: Receiver,
    /// Of the receiver's lost frames, how many the endpoint was told of.
    lost_told: usize,
    captured: u64,
    coding: Option<Coding>,
    /// When frames come to the screen.
    displays: VecDeque<(u64, u64)>,
    on_screen: Option<u64>,
    measure: Measure,
    /// Bytes of its packets that went into the link, and came out of it.
    sent_bytes: u64,
    delivered_bytes: u64,
    pieces: Vec<Piece>,
}

impl Lane {
    pub(super) fn new(index: usize, config: &SimulationConfig, tcp: Option<TcpConfig>) -> Self {
        Self {
            index,
            fps: config.fps,
            receipts: config.receipts,
            transport: Transport::new(tcp),
            receiver: Receiver::new(config.decode_time),
            lost_told: 0,
            captured: 0,
            coding: None,
            displays: VecDeque::new(),
            on_screen: None,
            measure: Measure::new((config.warm_up_seconds * 1000.0) as u64),
            sent_bytes: 0,
            delivered_bytes: 0,
            pieces: Vec::new(),
        }
    }

    pub(super) fn frames_captured(&self) -> u64 {
        self.captured
    }

    /// Bytes of its packets that came out of the link.
    pub(super) fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes
    }

    /// The link as this lane had it: what was offered and lost is of all lanes.
    fn tally(&self, link: &LinkTally) -> LinkTally {
        LinkTally { sent_bytes: self.sent_bytes, delivered_bytes: self.delivered_bytes, ..*link }
    }

    /// Looks at what waits, at the beginning of a millisecond.
    pub(super) fn look(&mut self, now_ms: u64, down: &Link<Down>) {
        let (before, unsent) = self.transport.waiting();
        let tally = self.tally(down.tally());
        self.measure.look(now_ms, &tally, [before, unsent, down.queued_bytes()]);
    }

    /// Something came back.
    pub(super) fn hear(&mut self, back: &Back, endpoint: &mut dyn Endpoint, now_ms: u64) {
        let now = Duration::from_millis(now_ms);
        while self.lost_told < back.lost {
            if let Some(&frame_number) = self.receiver.lost().get(self.lost_told) {
                endpoint.lost(frame_number, now);
            }
            self.lost_told += 1;
        }
        if let Some(ack) = &back.ack {
            self.transport.acknowledged(ack, now_ms);
        }
        if let Some(receipt) = &back.receipt {
            endpoint.received(receipt, now);
        }
    }

    /// Frames come to the screen, are captured, coded and sent.
    pub(super) fn send(&mut self, endpoint: &mut dyn Endpoint, down: &mut Link<Down>, now_ms: u64) {
        self.show(endpoint, now_ms);
        self.capture(endpoint, now_ms);
        self.code(endpoint, now_ms);
        let (index, sent_bytes) = (self.index, &mut self.sent_bytes);
        self.transport.emit(now_ms, endpoint.packet_gap(), &mut |bytes, parcel| {
            *sent_bytes += u64::from(bytes);
            down.send(bytes, (index, parcel), now_ms);
        });
    }

    fn show(&mut self, endpoint: &mut dyn Endpoint, now_ms: u64) {
        while let Some(&(ms, frame_number)) = self.displays.front().filter(|(ms, _)| *ms <= now_ms) {
            self.displays.pop_front();
            self.on_screen = Some(frame_number);
            let score = endpoint.displayed(frame_number, Duration::from_millis(ms));
            self.measure.displayed(frame_number, ms, score);
        }
    }

    /// Frames are captured when their time has come.
    fn capture(&mut self, endpoint: &mut dyn Endpoint, now_ms: u64) {
        while self.captured as f64 * 1000.0 / self.fps < (now_ms + 1) as f64 {
            let frame_number = self.captured;
            self.captured += 1;
            endpoint.captured(frame_number, Duration::from_millis(now_ms));
            self.measure.captured(now_ms);
            if let Some(score) = self.on_screen.and_then(|shown| endpoint.on_screen(shown, frame_number)) {
                self.measure.on_screen(score, now_ms);
            }
        }
    }

    fn code(&mut self, endpoint: &mut dyn Endpoint, now_ms: u64) {
        self.send_coded(endpoint, now_ms);
        if self.coding.is_some() || !self.transport.can_take() {
            return;
        }
        let Some(outgoing) = endpoint.next(Duration::from_millis(now_ms)) else { return };
        let encoded = Encoded { bytes: outgoing.encoded.bytes.max(1), ..outgoing.encoded };
        let done_ms = now_ms + encoded.encode_time.as_millis() as u64;
        self.coding = Some(Coding { outgoing: Outgoing { encoded, ..outgoing }, done_ms });
        self.send_coded(endpoint, now_ms);
    }

    /// Sends the frame that is being coded, once it is.
    fn send_coded(&mut self, endpoint: &mut dyn Endpoint, now_ms: u64) {
        let Some(coding) = self.coding.take_if(|coding| coding.done_ms <= now_ms) else { return };
        let Outgoing { frame_number, encoded, budget } = coding.outgoing;
        self.receiver.expect(frame_number, encoded);
        self.transport.write(frame_number, encoded.bytes);
        self.measure.sent(frame_number, encoded.bytes, budget);
        endpoint.sent(frame_number, encoded.bytes, Duration::from_millis(now_ms));
    }

    /// A packet came out of the link; what goes back for it.
    pub(super) fn receive(&mut self, parcel: Parcel, up: &mut Link<Back>, now_ms: u64) {
        self.delivered_bytes += u64::from(parcel.packet_bytes());
        self.pieces.clear();
        let mut ack = self.transport.arrived(parcel, &mut self.pieces);
        for piece in &self.pieces {
            let Some(taken) = self.receiver.take(*piece, Duration::from_millis(now_ms)) else { continue };
            if let Some(at) = taken.displayed {
                self.displays.push_back((at.as_millis() as u64, taken.receipt.frame_number));
            }
            if taken.receipt.is_whole || self.receipts == Receipts::EachPacket {
                // What the connection has to say goes along.
                let (lane, lost) = (self.index, self.receiver.lost().len());
                up.send(RECEIPT_BYTES, Back { lane, receipt: Some(taken.receipt), ack: ack.take(), lost }, now_ms);
            }
        }
        if ack.is_some() {
            let (lane, lost) = (self.index, self.receiver.lost().len());
            up.send(ACK_BYTES, Back { lane, receipt: None, ack, lost }, now_ms);
        }
    }

    /// Ends the watch.
    pub(super) fn report(self, end_ms: u64, link: &LinkTally) -> Report {
        let (tally, undecodable) = (self.tally(link), self.receiver.undecodable());
        self.measure.report(end_ms, &tally, undecodable)
    }
}
