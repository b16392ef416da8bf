//! What is on its way.

use std::collections::VecDeque;
use std::time::Duration;

use crate::netem::trace::OPPORTUNITY_BYTES;
use crate::rate::Receipt;

/// A frame of which something may still come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    number: u64,
    bytes: u32,
    received: u32,
    sent: Duration,
    gap: Duration,
    pause: Duration,
}

/// What a receipt says beyond itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// Bytes that weren't known to be received.
    pub(super) bytes: u32,
    /// Bytes that are now known to be lost: the link keeps the order.
    pub(super) lost: u32,
    /// Since the newest of its packets was sent.
    pub(super) round_trip: Duration,
    /// When that was sent.
    pub(super) sent: Duration,
    /// How long the sender paused before it, if these are its first bytes.
    pub(super) pause: Duration,
}

/// Frames on their way, and the bytes of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    frames: VecDeque<Frame>,
    bytes: u64,
    /// When the last packet so far leaves.
    last_leaves: Duration,
}

impl Flight {
    /// A frame was sent, its packets `gap` apart.
    pub(super) fn send(&mut self, number: u64, bytes: u32, sent: Duration, gap: Duration) {
        let pause = sent.saturating_sub(self.last_leaves);
        let packets = bytes.div_ceil(OPPORTUNITY_BYTES);
        self.last_leaves = sent.max(self.last_leaves + gap) + gap * packets.saturating_sub(1);
        self.frames.push_back(Frame { number, bytes, received: 0, sent, gap, pause });
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
        // Packets leave one after another.
        news.sent = frame.sent + frame.gap * (received.div_ceil(OPPORTUNITY_BYTES) - 1);
        news.pause = if frame.received == 0 { frame.pause } else { Duration::ZERO };
        news.round_trip = now.saturating_sub(news.sent);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(frame_number: u64, bytes: u32) -> Receipt {
        let zero = Duration::ZERO;
        Receipt { frame_number, bytes, is_whole: false, first_received: zero, last_received: zero, displayed: None }
    }

    #[test]
    fn receipts_settle_what_came_and_what_never_will() {
        let ms = Duration::from_millis;
        let mut flight = Flight::default();
        flight.send(1, 4000, ms(10), ms(2));
        flight.send(3, 1000, ms(30), ms(2));
        let news = flight.receive(&receipt(1, 1500), ms(50)).unwrap();
        assert_eq!((news.bytes, news.lost, news.round_trip, news.pause), (1500, 0, ms(40), ms(10)));
        // The second packet left 2 ms later.
        assert_eq!(flight.receive(&receipt(1, 3000), ms(55)).unwrap().round_trip, ms(43));
        assert!(flight.receive(&receipt(1, 3000), ms(56)).is_none());
        assert_eq!((flight.bytes(), flight.oldest()), (2000, Some(ms(10))));
        // The last packet of the first left at 14 ms, 16 before the next frame.
        let news = flight.receive(&receipt(3, 1000), ms(70)).unwrap();
        assert_eq!((news.bytes, news.lost, news.pause, flight.bytes()), (1000, 1000, ms(16), 0));
        assert!(flight.receive(&receipt(1, 4000), ms(80)).is_none());
    }
}
