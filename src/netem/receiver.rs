//! The receiving end: pieces to frames, frames to the screen, and what it says of them.

use std::collections::VecDeque;
use std::time::Duration;

use super::datagrams::Piece;
use super::source::Encoded;
use crate::rate::Receipt;

/// How far the receiver's clock is from the sender's: neither may be taken for the other.
const CLOCK_OFFSET: Duration = Duration::from_secs(1_000_003);
/// Decoded frames that are remembered, to tell whether those predicted from them can be.
const MEMORY_FRAMES: usize = 1024;

/// A frame on its way.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    frame_number: u64,
    encoded: Encoded,
    bytes: u32,
    first_received: Duration,
}

/// What the receiver makes of a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) receipt: Receipt,
    /// When it comes to the screen, by the sender's clock, where it does.
    pub(super) displayed: Option<Duration>,
}

/// The receiving end. Links keep the order, so what is missing when something newer comes never will.
#[derive(Debug)]
pub(super) struct Receiver {
    decode_time: Duration,
    incoming: VecDeque<Incoming>,
    decoded: VecDeque<u64>,
    last_display: Duration,
    /// Frames that will never be shown, as they became known: bytes of them, or what they are predicted from, are lost.
    lost: Vec<u64>,
    undecodable: u64,
}

impl Receiver {
    pub(super) fn new(decode_time: Duration) -> Self {
        Self {
            decode_time,
            incoming: VecDeque::new(),
            decoded: VecDeque::new(),
            last_display: Duration::ZERO,
            lost: Vec::new(),
            undecodable: 0,
        }
    }

    /// A frame set out: what its first packet would say of it.
    pub(super) fn expect(&mut self, frame_number: u64, encoded: Encoded) {
        self.incoming.push_back(Incoming { frame_number, encoded, bytes: 0, first_received: Duration::ZERO });
    }

    /// Takes a piece of an expected frame; none where the frame was given up.
    pub(super) fn take(&mut self, piece: Piece, now: Duration) -> Option<Taken> {
        while self.incoming.front().is_some_and(|frame| frame.frame_number < piece.frame_number) {
            self.lost.extend(self.incoming.pop_front().map(|frame| frame.frame_number));
        }
        let frame = self.incoming.front_mut().filter(|frame| frame.frame_number == piece.frame_number)?;
        if frame.bytes == 0 {
            frame.first_received = now;
        }
        frame.bytes += piece.bytes;
        let frame = *frame;
        let is_whole = frame.bytes >= frame.encoded.bytes;
        let displayed = if is_whole { self.complete(&frame, now) } else { None };
        let receipt = Receipt {
            frame_number: frame.frame_number,
            bytes: frame.bytes,
            is_whole,
            first_received: frame.first_received + CLOCK_OFFSET,
            last_received: now + CLOCK_OFFSET,
            // What is to come can't be told yet.
            displayed: displayed.filter(|&at| at <= now).map(|at| at + CLOCK_OFFSET),
        };
        Some(Taken { receipt, displayed })
    }

    /// Frames that will never be shown, in the order in which that became known.
    pub(super) fn lost(&self) -> &[u64] {
        &self.lost
    }

    /// Frames that came whole, and couldn't be decoded for what was lost before.
    pub(super) fn undecodable(&self) -> u64 {
        self.undecodable
    }

    fn complete(&mut self, frame: &Incoming, now: Duration) -> Option<Duration> {
        self.incoming.pop_front();
        let needs = frame.encoded.predicted_from;
        if needs.is_some_and(|needs| self.decoded.binary_search(&needs).is_err()) {
            self.undecodable += 1;
            self.lost.push(frame.frame_number);
            return None;
        }
        if self.decoded.len() == MEMORY_FRAMES {
            self.decoded.pop_front();
        }
        self.decoded.push_back(frame.frame_number);
        self.last_display = self.last_display.max(now + self.decode_time);
        Some(self.last_display)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: u32, predicted_from: Option<u64>) -> Encoded {
        Encoded { bytes, predicted_from, encode_time: Duration::ZERO }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn receipts_count_up_and_whole_frames_are_shown() {
        let mut receiver = Receiver::new(Duration::ZERO);
        receiver.expect(4, encoded(2000, None));
        let first = receiver.take(Piece { frame_number: 4, bytes: 1500 }, ms(10)).unwrap();
        assert_eq!((first.receipt.bytes, first.receipt.is_whole, first.displayed), (1500, false, None));
        let second = receiver.take(Piece { frame_number: 4, bytes: 500 }, ms(30)).unwrap();
        assert_eq!((second.receipt.bytes, second.receipt.is_whole, second.displayed), (2000, true, Some(ms(30))));
        assert_eq!(second.receipt.last_received - second.receipt.first_received, ms(20));
        assert_eq!(second.receipt.displayed, Some(second.receipt.last_received));
    }

    #[test]
    fn what_is_predicted_from_a_lost_frame_is_lost() {
        let mut receiver = Receiver::new(ms(5));
        for (number, from) in [(0, None), (1, Some(0)), (2, Some(1)), (3, Some(0))] {
            receiver.expect(number, encoded(100, from));
        }
        let mut take =
            |number| receiver.take(Piece { frame_number: number, bytes: 100 }, ms(number)).unwrap().displayed;
        assert_eq!(take(0), Some(ms(5)));
        assert_eq!(take(2), None);
        assert_eq!(take(3), Some(ms(8)));
        assert_eq!(receiver.lost(), [1, 2]);
        assert_eq!(receiver.undecodable(), 1);
        assert!(receiver.take(Piece { frame_number: 1, bytes: 100 }, ms(9)).is_none());
    }
}
