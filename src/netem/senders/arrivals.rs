//! How fast packets come, by the receiver's clock, without the sender's own pauses.

use std::time::Duration;

use super::flight::News;
use crate::rate::Receipt;

/// Time between what two receipts tell of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    /// Time between the arrivals that the link, rather than the sender, is to blame for, ms.
    pub(super) busy_ms: f64,
    /// Bytes that came at its end.
    pub(super) bytes: f64,
}

/// Salsify's grace: the time the sender paused before a packet doesn't count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    last_received: Option<Duration>,
}

impl Arrivals {
    /// The gap before what a receipt tells of; none before the first. Several packets that one receipt tells of count as
    /// come at once.
    pub(super) fn gap(&mut self, receipt: &Receipt, news: &News) -> Option<Gap> {
        let before = self.last_received.replace(receipt.last_received)?;
        let busy = receipt.last_received.saturating_sub(before).saturating_sub(news.pause);
        Some(Gap { busy_ms: busy.as_secs_f64() * 1000.0, bytes: f64::from(news.bytes) })
    }
}
