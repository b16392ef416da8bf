//! Another sender through the same queues.

use std::time::Duration;

use super::endpoint::{Endpoint, Outgoing};
use super::lane::Lane;
use super::source::Encoded;
use crate::rate::Receipt;

/// Bytes that a bulk transfer hands to its connection at a time: a frame of HTTP/2's.
const BULK_BYTES: u32 = 16 << 10;

/// A transfer that always has more to send, for a connection to hold back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bulk {
    next: u64,
}

impl Endpoint for Bulk {
    fn captured(&mut self, _frame_number: u64, _now: Duration) {}

    fn next(&mut self, _now: Duration) -> Option<Outgoing> {
        let frame_number = self.next;
        self.next += 1;
        let encoded = Encoded { bytes: BULK_BYTES, predicted_from: None, encode_time: Duration::ZERO };
        Some(Outgoing { frame_number, encoded, budget: BULK_BYTES })
    }

    fn received(&mut self, _receipt: &Receipt, _now: Duration) {}
}

/// What both had of the link while both were there, and what was had after the other one had gone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "server", derive(serde::Serialize))]
pub struct Sharing {
    /// Delivered of our own packets while both were there, kbit/s.
    pub own_kbps: f64,
    /// Delivered of the other's, kbit/s.
    pub rival_kbps: f64,
    /// Ours of both, 0..=1.
    pub own_share: f64,
    /// Delivered of ours from one second after the other's end on, kbit/s; none where there was no such time.
    pub own_after_kbps: Option<f64>,
}

/// Another sender, and while it is there.
pub(super) struct Rival {
    pub(super) lane: Lane,
    pub(super) endpoint: Box<dyn Endpoint>,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    /// Bytes delivered, ours and its, at its beginning, at its end, and a second after.
    marks: [Option<(u64, u64)>; 3],
}

impl Rival {
    pub(super) fn new(lane: Lane, endpoint: Box<dyn Endpoint>, from_ms: u64, to_ms: u64) -> Self {
        Self { lane, endpoint, from_ms, to_ms, marks: [None; 3] }
    }

    /// Whether it sends now.
    pub(super) fn is_there(&self, now_ms: u64) -> bool {
        (self.from_ms..self.to_ms).contains(&now_ms)
    }

    pub(super) fn look(&mut self, own_bytes: u64, now_ms: u64) {
        let at = [self.from_ms, self.to_ms, self.to_ms.saturating_add(1_000)];
        if let Some(index) = at.iter().position(|&ms| ms == now_ms)
            && let Some(mark) = self.marks.get_mut(index)
        {
            *mark = Some((own_bytes, self.lane.delivered_bytes()));
        }
    }

    pub(super) fn sharing(&self, own_bytes: u64, end_ms: u64) -> Sharing {
        let kbps = |bytes: u64, ms: u64| bytes as f64 * 8.0 / ms.max(1) as f64;
        let [began, ended, after] = self.marks;
        let (own_began, rival_began) = began.unwrap_or_default();
        let (own_ended, rival_ended) = ended.unwrap_or((own_bytes, self.lane.delivered_bytes()));
        let ms = self.to_ms.min(end_ms).saturating_sub(self.from_ms);
        let (own, rival) = (own_ended.saturating_sub(own_began), rival_ended.saturating_sub(rival_began));
        Sharing {
            own_kbps: kbps(own, ms),
            rival_kbps: kbps(rival, ms),
            own_share: own as f64 / (own + rival).max(1) as f64,
            own_after_kbps: after.map(|(own_after, _)| kbps(own_bytes - own_after, end_ms - self.to_ms - 1_000)),
        }
    }
}
