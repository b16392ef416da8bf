//! The sending end of a connection: segments, what is known of them, and when they go again.

use std::collections::VecDeque;

use super::cubic::Cubic;
use super::inbound::Ack;
use super::round_trip::RoundTrip;
use super::{HEADER_BYTES, SEGMENT_BYTES};

/// Transmissions that have to be acknowledged after one for it to be lost.
const REORDERING: u64 = 3;
/// The longest retransmission timeout, and the one before a round trip is known, ms.
const LONGEST_TIMEOUT_MS: f64 = 60_000.0;
const FIRST_TIMEOUT_MS: f64 = 1000.0;

/// Data in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::netem) struct Segment {
    /// Offset of its first byte.
    pub(super) begin: u64,
    /// Bytes of data.
    pub(super) bytes: u32,
    /// When it went, ms: its timestamp (RFC 7323), which comes back with the acknowledgement.
    pub(super) sent_ms: u64,
}

impl Segment {
    /// Bytes of the packet.
    pub(in crate::netem) fn packet_bytes(self) -> u32 {
        self.bytes + HEADER_BYTES
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Flying,
    Received,
    Lost,
}

/// A segment that was sent and isn't acknowledged with all before it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// As it went the last time.
    segment: Segment,
    fate: Fate,
    /// Number of its last transmission.
    transmission: u64,
    is_again: bool,
}

/// The sending end: written bytes become segments.
#[derive(Debug, Default)]
pub(in crate::netem) struct Outbound {
    window: Cubic,
    /// Offsets: all before is acknowledged, sent, written.
    acknowledged: u64,
    next: u64,
    written: u64,
    sent: VecDeque<Sent>,
    flying_bytes: u64,
    transmissions: u64,
    /// The newest transmission that was received.
    newest_received: u64,
    /// The end of the losses that the window has shrunk for already.
    recovers_at: u64,
    /// Whether the window stands still until then; after a timeout it grows from its least.
    stands_still: bool,
    round_trip: RoundTrip,
    backoff: u32,
    /// The window before a timeout that may turn out to have been for nothing.
    before_timeout: Option<Cubic>,
    /// When nothing will have been heard for too long, ms.
    deadline_ms: Option<f64>,
    last_sent_ms: f64,
    /// The end of what was sent when the window last kept something back.
    held_back_at: u64,
}

impl Outbound {
    pub(super) fn new(least_timeout_ms: u32) -> Self {
        Self { round_trip: RoundTrip::new(least_timeout_ms), ..Self::default() }
    }

    /// Takes over bytes of the stream.
    pub(super) fn write(&mut self, bytes: u64) {
        self.written += bytes;
    }

    /// Bytes that weren't acknowledged, and of those the ones that weren't sent.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.written - self.acknowledged, self.written - self.next)
    }

    /// Bytes of the stream that are acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The next segment that may go now: one that was lost, or new data.
    pub(super) fn emit(&mut self, restarts_after_idle: bool, sent_ms: u64) -> Option<Segment> {
        let now_ms = sent_ms as f64;
        self.time_out(now_ms);
        if restarts_after_idle && self.sent.is_empty() && now_ms - self.last_sent_ms > self.timeout_ms() {
            self.window.idled();
        }
        let room = self.window.bytes() - self.flying_bytes as f64;
        let transmission = self.transmissions + 1;
        let lost = self.sent.iter_mut().find(|sent| sent.fate == Fate::Lost);
        let segment = if let Some(lost) = lost {
            // One may always go: the window can't be less than what is already gone.
            if room < f64::from(lost.segment.bytes) && self.flying_bytes > 0 {
                self.held_back_at = self.next;
                return None;
            }
            let segment = Segment { sent_ms, ..lost.segment };
            *lost = Sent { segment, fate: Fate::Flying, transmission, is_again: true };
            segment
        } else {
            let bytes = (self.written - self.next).min(u64::from(SEGMENT_BYTES)) as u32;
            if bytes == 0 {
                return None;
            }
            if room < f64::from(bytes) && self.flying_bytes > 0 {
                self.held_back_at = self.next;
                return None;
            }
            let segment = Segment { begin: self.next, bytes, sent_ms };
            self.next += u64::from(bytes);
            self.sent.push_back(Sent { segment, fate: Fate::Flying, transmission, is_again: false });
            segment
        };
        self.transmissions = transmission;
        self.flying_bytes += u64::from(segment.bytes);
        self.last_sent_ms = now_ms;
        let timeout_ms = self.timeout_ms();
        self.deadline_ms.get_or_insert(now_ms + timeout_ms);
        Some(segment)
    }

    /// Takes an acknowledgement.
    pub(super) fn acknowledge(&mut self, ack: &Ack, now_ms: u64) {
        let newly = self.mark_received(ack);
        if newly == 0 {
            return;
        }
        self.round_trip.measure(now_ms.saturating_sub(ack.echo_ms) as f64, ack.until, self.next);
        let now_ms = now_ms as f64;
        self.acknowledged = self.acknowledged.max(ack.until);
        while self.sent.front().is_some_and(|sent| sent.segment.begin < ack.until) {
            self.sent.pop_front();
        }
        self.backoff = 0;
        if self.acknowledged >= self.recovers_at {
            self.before_timeout = None;
            self.stands_still = false;
        }
        self.deadline_ms = (!self.sent.is_empty()).then(|| now_ms + self.timeout_ms());
        if self.find_lost() && self.acknowledged >= self.recovers_at {
            self.window.lost();
            self.recovers_at = self.next;
            self.stands_still = true;
        } else if self.acknowledged <= self.held_back_at && !self.stands_still {
            let segments = newly as f64 / f64::from(SEGMENT_BYTES);
            self.window.acknowledged(segments, self.round_trip.smoothed_ms(), now_ms);
        }
    }

    /// Marks what an acknowledgement tells of, and returns the bytes of it that weren't known to be received.
    fn mark_received(&mut self, ack: &Ack) -> u64 {
        let (mut newly, mut for_nothing) = (0, false);
        for sent in &mut self.sent {
            let Segment { begin, bytes, sent_ms } = sent.segment;
            let end = begin + u64::from(bytes);
            let is_in = |&(first, last): &(u64, u64)| first <= begin && end <= last;
            if sent.fate == Fate::Received || !(end <= ack.until || ack.blocks.iter().any(is_in)) {
                continue;
            }
            if sent.fate == Fate::Flying {
                self.flying_bytes -= u64::from(bytes);
            }
            newly += u64::from(bytes);
            // What went again and came as it was first sent says nothing of those that went in between.
            let came_first = if sent.is_again { ack.echo_ms < sent_ms } else { sent.fate == Fate::Lost };
            for_nothing |= came_first;
            if !(sent.is_again && came_first) {
                self.newest_received = self.newest_received.max(sent.transmission);
            }
            sent.fate = Fate::Received;
        }
        if for_nothing {
            self.take_back_timeout();
        }
        newly
    }

    /// Whether something turns out to be lost: later transmissions were received.
    fn find_lost(&mut self) -> bool {
        let mut has_found = false;
        for sent in self.sent.iter_mut().filter(|sent| sent.fate == Fate::Flying) {
            if sent.transmission + REORDERING <= self.newest_received {
                sent.fate = Fate::Lost;
                self.flying_bytes -= u64::from(sent.segment.bytes);
                has_found = true;
            }
        }
        has_found
    }

    fn time_out(&mut self, now_ms: f64) {
        if self.deadline_ms.is_none_or(|deadline_ms| now_ms < deadline_ms) {
            return;
        }
        for sent in self.sent.iter_mut().filter(|sent| sent.fate == Fate::Flying) {
            sent.fate = Fate::Lost;
        }
        self.flying_bytes = 0;
        self.before_timeout.get_or_insert(self.window);
        self.window.timed_out();
        self.recovers_at = self.next;
        self.stands_still = false;
        self.backoff += 1;
        self.deadline_ms = None;
    }

    /// What the timeout took for lost was received as it was first sent, as timestamps (Eifel, RFC 3522) or what didn't go again
    /// (F-RTO, RFC 5682) tell: only the way back was silent.
    fn take_back_timeout(&mut self) {
        let Some(window) = self.before_timeout.take() else { return };
        self.window = window;
        self.recovers_at = self.acknowledged;
        for sent in self.sent.iter_mut().filter(|sent| sent.fate == Fate::Lost && !sent.is_again) {
            sent.fate = Fate::Flying;
            self.flying_bytes += u64::from(sent.segment.bytes);
        }
    }

    fn timeout_ms(&self) -> f64 {
        let timeout_ms = self.round_trip.timeout_ms().unwrap_or(FIRST_TIMEOUT_MS);
        (timeout_ms * f64::from(1_u32 << self.backoff.min(16))).min(LONGEST_TIMEOUT_MS)
    }
}
