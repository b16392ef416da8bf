//! What a run gave.

use std::time::Duration;

use super::rival::Sharing;

/// A distribution of delays, ms, by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "server", derive(serde::Serialize))]
pub struct Delays {
    /// Half are no longer.
    pub p50: f64,
    /// 95 % are no longer.
    pub p95: f64,
    /// 99 % are no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Bytes that wait in each place on the way, 95th percentile over time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "server", derive(serde::Serialize))]
pub struct Queues {
    /// Before the transport takes them: paced packets, or HTTP/2's send buffer.
    pub before_transport: f64,
    /// In the socket's buffer, not sent yet.
    pub unsent: f64,
    /// In the bottleneck's queue.
    pub bottleneck: f64,
}

/// What the sender's decisions cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "server", derive(serde::Serialize))]
pub struct Decisions {
    /// How many were asked for.
    pub count: u64,
    /// What one took on average, us.
    pub mean_us: f64,
}

impl Decisions {
    pub(super) fn add(&mut self, took: Duration) {
        self.count += 1;
        self.mean_us += (took.as_secs_f64() * 1e6 - self.mean_us) / self.count as f64;
    }
}

/// A piece of the run, for charts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "server", derive(serde::Serialize))]
pub struct Moment {
    /// When it began, seconds.
    pub at_s: f64,
    /// What the link could carry, kbit/s.
    pub capacity_kbps: f64,
    /// What was sent, kbit/s.
    pub sent_kbps: f64,
    /// The longest wait of a frame captured in it until it or a newer one was shown, ms; none where none was captured.
    pub signal_delay_ms: Option<f64>,
    /// Mean SSIM of the frames that came to the screen in it; none where none did, or the source can't tell.
    pub ssim: Option<f64>,
}

/// What a run gave, without its warm-up. Frame delays count from capture to display; signal delays count every captured
/// frame, from its capture until it or a newer one is shown.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "server", derive(serde::Serialize))]
pub struct Report {
    /// Time reported, seconds.
    pub seconds: f64,
    /// Bytes that came through the link, as a fraction of those it had room for.
    pub utilisation: f64,
    /// What the link could carry, kbit/s.
    pub capacity_kbps: f64,
    /// What was sent, kbit/s.
    pub sent_kbps: f64,
    /// Bytes of frames that were shown, kbit/s.
    pub goodput_kbps: f64,
    /// Capture to display, of frames that were shown.
    pub frame_delay_ms: Delays,
    /// Capture until that frame or a newer one is shown, of all frames. What wasn't shown until the end counts until then.
    pub signal_delay_ms: Delays,
    /// Frames shown a second.
    pub shown_fps: f64,
    /// Times that nothing new was shown for more than 200 ms.
    pub freeze_count: u64,
    /// Time in such freezes, percent.
    pub freeze_percent: f64,
    /// Packets that the queue toward the receiver refused or CoDel dropped.
    pub queue_drops: u64,
    /// Packets toward the receiver lost by chance.
    pub lost_packets: u64,
    /// Frames captured.
    pub frames_captured: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames shown.
    pub frames_shown: u64,
    /// Frames that came whole, and couldn't be decoded for what was lost before; the warm-up's included.
    pub frames_undecodable: u64,
    /// Mean SSIM of luma, of frames that were shown; none where the source can't tell.
    pub ssim_mean: Option<f64>,
    /// The same, exceeded by 95 % of frames.
    pub ssim_p5: Option<f64>,
    /// Mean PSNR of luma, of frames that were shown, dB, at most 100 each.
    pub psnr_mean: Option<f64>,
    /// Mean SSIM of what is on the screen at each capture against what is captured.
    pub ssim_on_screen_mean: Option<f64>,
    /// Mean PSNR of what is on the screen at each capture against what is captured, dB.
    pub psnr_on_screen_mean: Option<f64>,
    /// Frames more than 2 % over their budget, percent.
    pub budget_overshoot_percent: f64,
    /// How far frames were from their budgets, percent of them, exceeded by 5 % of frames.
    pub budget_error_p95_percent: f64,
    /// Bytes waiting on the way.
    pub queue_bytes_p95: Queues,
    /// What deciding cost, where that was measured ([`Paired::decisions`](super::Paired::decisions)).
    pub decisions: Option<Decisions>,
    /// How the link was shared, where another sender was there.
    pub sharing: Option<Sharing>,
    /// The run piece by piece.
    #[cfg_attr(feature = "server", serde(skip))]
    pub moments: Vec<Moment>,
}
