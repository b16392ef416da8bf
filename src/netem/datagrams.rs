//! Frames as packets of their own, one after another.

use std::collections::VecDeque;
use std::time::Duration;

use super::trace::OPPORTUNITY_BYTES;

/// Bytes of a frame that come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) frame_number: u64,
    pub(super) bytes: u32,
}

/// Cuts frames into packets and keeps the time between them.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    waiting: VecDeque<Piece>,
    waiting_bytes: u64,
    /// Earliest time of the next packet.
    next: Duration,
}

impl Datagrams {
    pub(super) fn write(&mut self, frame_number: u64, bytes: u32) {
        self.waiting_bytes += u64::from(bytes);
        let mut left = bytes;
        while left > 0 {
            let bytes = left.min(OPPORTUNITY_BYTES);
            self.waiting.push_back(Piece { frame_number, bytes });
            left -= bytes;
        }
    }

    /// Hands the packets whose time has come to `send`, `gap` apart.
    pub(super) fn emit(&mut self, now_ms: u64, gap: Duration, send: &mut dyn FnMut(Piece)) {
        let begin = Duration::from_millis(now_ms);
        let end = begin + Duration::from_millis(1);
        self.next = self.next.max(begin);
        while self.next < end {
            let Some(piece) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= u64::from(piece.bytes);
            send(piece);
            self.next += gap;
        }
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }
}
