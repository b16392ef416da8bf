//! Small frames while nothing is heard: often it is only the way back that is silent.

use std::collections::VecDeque;
use std::time::Duration;

use super::windowed::WindowedMin;
use crate::netem::Sender;
use crate::rate::Receipt;

/// Least time between two such frames.
const SPACING: Duration = Duration::from_millis(66);
/// And as a fraction of the silence so far: geometric.
const SPACING_OF_SILENCE: f64 = 0.25;
/// Silence that is a round trip, and no reason to worry.
const SILENCE: Duration = Duration::from_millis(66);
/// Frames on their way at most, or as many as the link carries in `CAP_S` at the lowest rate of late.
const CAP_FRAMES: u32 = 2;
const CAP_S: f64 = 0.5;
/// Time after which another is sent in any case: everything on its way may be lost.
const LONGEST: Duration = Duration::from_secs(1);
/// What the lowest rate is looked for in.
const RATES: Duration = Duration::from_secs(10);

/// A sender that sends smallest frames where its own rule would wait in silence.
#[derive(Clone, Debug)]
pub struct KeepAlive<S> {
    inner: S,
    min_frame_bytes: u32,
    last_sent: Duration,
    last_receipt: Duration,
    /// Frame and bytes received of it, as told last.
    newest: (u64, u32),
    /// Whether the frame that is coded now is a keep-alive, and those on their way.
    is_own: bool,
    own: VecDeque<u64>,
    /// Bytes received in this second, and the least of the seconds before that had any.
    second: u64,
    bytes: u32,
    lowest: WindowedMin,
}

impl<S: Sender> KeepAlive<S> {
    /// Around a sender, with frames of at least so many bytes.
    pub fn new(inner: S, min_frame_bytes: u32) -> Self {
        Self {
            inner,
            min_frame_bytes,
            last_sent: Duration::ZERO,
            last_receipt: Duration::ZERO,
            newest: (0, 0),
            is_own: false,
            own: VecDeque::new(),
            second: 0,
            bytes: 0,
            lowest: WindowedMin::default(),
        }
    }

    fn cap_bytes(&self) -> u32 {
        let by_rate = self.lowest.get().map_or(0.0, |bytes_per_s| bytes_per_s * CAP_S);
        (CAP_FRAMES * self.min_frame_bytes).max(by_rate as u32)
    }
}

impl<S: Sender> Sender for KeepAlive<S> {
    fn budget(&mut self, now: Duration) -> Option<u32> {
        self.is_own = false;
        if let Some(budget) = self.inner.budget(now) {
            return Some(budget);
        }
        let silence = now - self.last_receipt;
        let spacing = SPACING.max(silence.mul_f64(SPACING_OF_SILENCE));
        let is_due = silence > SILENCE && now - self.last_sent >= spacing;
        let has_room = (self.own.len() as u32 + 1) * self.min_frame_bytes <= self.cap_bytes();
        self.is_own = is_due && (has_room || now - self.last_sent >= LONGEST);
        self.is_own.then_some(self.min_frame_bytes)
    }

    fn sent(&mut self, frame_number: u64, bytes: u32, now: Duration) {
        self.inner.sent(frame_number, bytes, now);
        self.last_sent = now;
        if std::mem::take(&mut self.is_own) {
            self.own.push_back(frame_number);
        }
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        self.inner.received(receipt, now);
        self.last_receipt = now;
        while self.own.front().is_some_and(|own| *own <= receipt.frame_number) {
            self.own.pop_front();
        }
        let before = if self.newest.0 == receipt.frame_number { self.newest.1 } else { 0 };
        self.newest = (receipt.frame_number, receipt.bytes);
        if now.as_secs() != self.second {
            self.lowest.add(f64::from(self.bytes), now, RATES);
            (self.second, self.bytes) = (now.as_secs(), 0);
        }
        self.bytes += receipt.bytes.saturating_sub(before);
    }

    fn packet_gap(&self) -> Duration {
        self.inner.packet_gap()
    }
}
