//! What is on its way.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rate::Receipt;

/// A frame of which something may still come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    number: u64,
    bytes: u32,
    received: u32,
    sent: Duration,
}

/// What a receipt says beyond itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// Bytes that weren't known to be received.
    pub(super) bytes: u32,
    /// Bytes that are now known to be lost: the link keeps the order.
    pub(super) lost: u32,
    /// Since the frame was sent.
    pub(super) round_trip: Duration,
    /// When it was sent.
    pub(super) sent: Duration,
}

/// Frames on their way, and the bytes of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    frames: VecDeque<Frame>,
    bytes: u64,
}

impl Flight {
    pub(super) fn send(&mut self, number: u64, bytes: u32, sent: Duration) {
        self.frames.push_back(Frame { number, bytes, received: 0, sent });
        self.bytes += u64::from(bytes);
    }

    /// Takes a receipt; none where it says nothing new.
    pub(super) fn receive(&mut self, receipt: &Receipt, now: Duration) -> Option<News> {
        let mut news = News::default();
        while self.frames.front().is_some_and(|frame| frame.number < receipt.frame_number) {
            let Some(frame) = self.frames.pop_front() else { break };
            news.lost += frame.bytes - frame.received;
            self.bytes -= u64::from(frame.bytes - frame.received);
        }
        let frame = self.frames.front_mut().filter(|frame| frame.number == receipt.frame_number)?;
        let received = receipt.bytes.min(frame.bytes);
        if received <= frame.received {
            return None;
        }
        news.bytes = received - frame.received;
        news.sent = frame.sent;
        news.round_trip = now.saturating_sub(frame.sent);
        self.bytes -= u64::from(news.bytes);
        frame.received = received;
        if frame.received == frame.bytes {
            self.frames.pop_front();
        }
        Some(news)
    }

    /// Bytes on their way.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest of them was sent.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.frames.front().map(|frame| frame.sent)
    }
}
