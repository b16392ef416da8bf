//! Frames of HTTP/2 that carry nothing: a few are part of every conversation, and a flood of them keeps the threads busy that others'
//! frames are read with. What else there may be too much of, h2 bounds itself.

use std::time::Instant;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames that carry something, or that h2 bounds: DATA, HEADERS, RST_STREAM, WINDOW_UPDATE and CONTINUATION.
const COUNTED_ELSEWHERE: [u8; 5] = [0, 1, 3, 8, 9];
/// Others that may come at once, and those that may go on coming each second: clients that probe the path do so a few times a second.
const AT_ONCE: f64 = 1_000.0;
const A_SECOND: f64 = 100.0;

/// Reads along what a connection receives.
#[derive(Debug)]
pub(super) struct Chatter {
    at: At,
    /// More that may come now, as of then.
    left: f64,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes of the preface were there.
    Preface(usize),
    /// This is something else than HTTP/2.
    Elsewhere,
    /// So many bytes of a frame's head.
    Head([u8; 9], usize),
    /// So many bytes of a frame are still to come.
    Payload(usize),
}

impl Chatter {
    pub(super) fn new() -> Self {
        Self { at: At::Preface(0), left: AT_ONCE, since: Instant::now() }
    }

    /// Takes what has arrived. Whether it may go on.
    pub(super) fn take(&mut self, mut data: &[u8]) -> bool {
        let mut count = 0;
        while let Some((&byte, rest)) = data.split_first() {
            match &mut self.at {
                At::Elsewhere => return true,
                At::Preface(done) => {
                    let goes_on = PREFACE.get(*done) == Some(&byte);
                    self.at = match *done + 1 {
                        _ if !goes_on => At::Elsewhere,
                        done if done < PREFACE.len() => At::Preface(done),
                        _ => At::Head([0; 9], 0),
                    };
                    data = rest;
                }
                At::Head(head, done) => {
                    if let Some(place) = head.get_mut(*done) {
                        *place = byte;
                    }
                    *done += 1;
                    data = rest;
                    if *done == head.len() {
                        let [a, b, c, kind, ..] = *head;
                        count += usize::from(!COUNTED_ELSEWHERE.contains(&kind));
                        self.at = At::Payload(u32::from_be_bytes([0, a, b, c]) as usize);
                    }
                }
                At::Payload(left) => {
                    let (its, rest) = data.split_at(data.len().min(*left));
                    (data, *left) = (rest, *left - its.len());
                }
            }
            if matches!(self.at, At::Payload(0)) {
                self.at = At::Head([0; 9], 0);
            }
        }
        count == 0 || self.may(count, Instant::now())
    }

    /// Whether so many more may come at `now`.
    fn may(&mut self, count: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.left = (self.left + A_SECOND * passed).min(AT_ONCE) - count as f64;
        self.left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut bytes = (payload as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, 0, 0, 0, 0, 1]);
        // Bytes that look like the heads of other frames.
        bytes.extend([0, 0, 0, 6, 0, 0, 0, 0, 0].iter().cycle().take(payload));
        bytes
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut said = PREFACE.to_vec();
        for round in 0..200 {
            for (kind, payload) in [(4, 6), (0, 3_000), (6, 8), (1, 40), (8, 4), (0, 0), (77, 1), (9, 20), (3, 4)] {
                said.extend(frame(kind, payload + round % 3));
            }
        }
        for cut in [1, 7, 9, 64, 4_096, said.len()] {
            let mut chatter = Chatter::new();
            assert!(said.chunks(cut).all(|part| chatter.take(part)));
            // SETTINGS, PING, and the one that nobody knows.
            assert!((400.0..405.0).contains(&chatter.left), "{} in pieces of {cut}", chatter.left);
        }
    }

    #[test]
    fn a_flood_is_ended_and_a_conversation_goes_on() {
        let mut chatter = Chatter::new();
        assert!(chatter.take(PREFACE));
        let began = Instant::now();
        assert!((0..1_000).all(|_| chatter.may(1, began)));
        assert!(!chatter.may(1, began));
        let mut chatter = Chatter::new();
        let mut now = chatter.since;
        for _ in 0..100_000 {
            now += Duration::from_millis(10);
            assert!(chatter.may(1, now));
        }
        let flood: Vec<_> = (0..2_000).flat_map(|_| frame(6, 8)).collect();
        let mut chatter = Chatter::new();
        assert!(chatter.take(PREFACE) && !chatter.take(&flood));
    }

    #[test]
    fn other_protocols_say_what_they_like() {
        let flood: Vec<_> = (0..2_000).flat_map(|_| frame(6, 8)).collect();
        for hello in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n"] {
            let mut chatter = Chatter::new();
            assert!(chatter.take(hello.as_bytes()) && chatter.take(&flood));
        }
    }
}
