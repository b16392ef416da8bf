//! What was sent and not yet received.

/// Frames that may be in flight. At 60 a second that is over eight seconds of them.
const FRAMES: usize = 512;

/// A frame on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sent {
    frame_number: u64,
    bytes: u32,
    /// Bytes sent before it.
    before: u64,
    at_ms: f64,
    is_light: bool,
}

/// What a receipt says beyond those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrived {
    /// Bytes that are new.
    pub(crate) bytes: u32,
    /// When their frame was sent, ms.
    pub(crate) sent_ms: f64,
    /// Whether that frame took little of what it might have taken.
    pub(crate) is_light: bool,
    /// Whether something sent before them never came.
    pub(crate) after_a_hole: bool,
}

/// Frames in flight, oldest first, in a ring.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    ring: [Sent; FRAMES],
    oldest: usize,
    count: usize,
    /// Bytes ever sent, and up to the newest of which the receiver told.
    sent: u64,
    arrived: u64,
    /// Bytes received of the oldest frame in flight.
    of_oldest: u32,
}

impl Flight {
    pub(crate) fn new() -> Self {
        Self { ring: [Sent::default(); FRAMES], oldest: 0, count: 0, sent: 0, arrived: 0, of_oldest: 0 }
    }

    /// Whether another frame may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.count < FRAMES
    }

    /// Bytes in flight. What was overtaken isn't: it is lost, or is told of too late to matter.
    pub(crate) fn bytes(&self) -> u64 {
        self.sent - self.arrived
    }

    /// When the oldest frame in flight was sent, ms.
    pub(crate) fn oldest_ms(&self) -> Option<f64> {
        (self.count > 0).then(|| self.ring[self.oldest].at_ms)
    }

    /// Bytes of the oldest frame in flight, 0 where there is none.
    pub(crate) fn oldest_bytes(&self) -> u32 {
        if self.count > 0 { self.ring[self.oldest].bytes } else { 0 }
    }

    /// Takes a frame that is sent, and whether it takes little of what it might; the oldest one is given up where there is no room.
    pub(crate) fn send(&mut self, frame_number: u64, bytes: u32, is_light: bool, now_ms: f64) {
        if !self.has_room() {
            self.drop_oldest();
        }
        self.ring[(self.oldest + self.count) % FRAMES] =
            Sent { frame_number, bytes, before: self.sent, at_ms: now_ms, is_light };
        self.count += 1;
        self.sent += u64::from(bytes);
    }

    /// Takes word that `bytes` of a frame were received, or all of it; `None` where that is no news.
    pub(crate) fn receive(&mut self, frame_number: u64, bytes: u32, is_whole: bool) -> Option<Arrived> {
        let is_known = (0..self.count).any(|k| self.ring[(self.oldest + k) % FRAMES].frame_number == frame_number);
        if !is_known {
            return None;
        }
        let mut after_a_hole = false;
        while self.ring[self.oldest].frame_number != frame_number {
            after_a_hole = true;
            self.drop_oldest();
        }
        let frame = self.ring[self.oldest];
        let received = if is_whole { frame.bytes } else { bytes.min(frame.bytes) };
        let news = received.checked_sub(self.of_oldest).filter(|&news| news > 0)?;
        self.arrived = frame.before + u64::from(received);
        self.of_oldest = received;
        if received == frame.bytes {
            self.drop_oldest();
        }
        Some(Arrived { bytes: news, sent_ms: frame.at_ms, is_light: frame.is_light, after_a_hole })
    }

    fn drop_oldest(&mut self) {
        let frame = self.ring[self.oldest];
        self.arrived = frame.before + u64::from(frame.bytes);
        self.oldest = (self.oldest + 1) % FRAMES;
        self.count -= 1;
        self.of_oldest = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_bring_what_is_new() {
        let mut flight = Flight::new();
        flight.send(7, 3_000, false, 10.0);
        flight.send(9, 1_000, true, 20.0);
        assert_eq!((flight.bytes(), flight.oldest_ms()), (4_000, Some(10.0)));
        let arrived =
            |bytes, sent_ms, after_a_hole| Some(Arrived { bytes, sent_ms, is_light: sent_ms > 10.0, after_a_hole });
        assert_eq!(flight.receive(7, 1_500, false), arrived(1_500, 10.0, false));
        assert_eq!(flight.receive(7, 1_500, false), None);
        assert_eq!(flight.receive(8, 1_500, false), None, "never sent");
        assert_eq!(flight.receive(9, 5_000, false), arrived(1_000, 20.0, true), "more than there is");
        assert_eq!((flight.bytes(), flight.oldest_ms()), (0, None));
        assert_eq!(flight.receive(7, 3_000, true), None, "overtaken");
    }

    #[test]
    fn the_oldest_is_given_up_when_too_many_are_on_their_way() {
        let mut flight = Flight::new();
        (0..FRAMES as u64 + 3).for_each(|number| flight.send(number, 10, false, 0.0));
        assert_eq!(flight.bytes(), 10 * FRAMES as u64);
        assert_eq!(flight.receive(2, 10, true), None);
        assert_eq!(flight.receive(FRAMES as u64 + 2, 0, true).map(|arrived| arrived.bytes), Some(10));
        assert_eq!(flight.bytes(), 0);
    }
}
