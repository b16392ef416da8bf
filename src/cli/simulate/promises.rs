//! What a session promised, and what became of it.

use auralink::PacketInfo;
use auralink::rate::Reason;
use auralink::session::Fallback;
use serde::Serialize;

/// Packets of a run, the warm-up's included, by what they kept.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    packets: u64,
    fallbacks: [u64; Fallback::ALL.len()],
    below_floor: u64,
    over_size: u64,
    broken: u64,
    /// Broken, and the link wasn't why.
    broken_freely: u64,
    /// Broken, and the packet didn't say so.
    unsaid: u64,
    ssim_sum: f64,
    scale_sum: f64,
    scale: Option<f64>,
    changes: u64,
}

/// Packets that said that a promise gave way, by why.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Fallbacks {
    pub(super) quality_floor: u64,
    pub(super) budget: u64,
    pub(super) latency: u64,
    pub(super) codec_error: u64,
}

/// The same in figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Kept {
    pub(super) packets: u64,
    pub(super) fallback_percent: f64,
    pub(super) fallbacks: Fallbacks,
    /// Packets of at least the SSIM promised, and of those as small as promised.
    pub(super) floor_percent: f64,
    pub(super) reduction_percent: f64,
    /// Packets that broke either, because the link carries no more, and for another reason.
    pub(super) broken_by_link_percent: f64,
    pub(super) broken_freely_percent: f64,
    /// Packets that broke either without saying so.
    pub(super) unsaid: u64,
    pub(super) packet_ssim_mean: f64,
    pub(super) scale_mean: f64,
    pub(super) resolution_changes: u64,
    pub(super) resolution_changes_per_minute: f64,
}

/// What matters of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) ssim: f64,
    pub(crate) reduction: f64,
    /// Whether the link is why it is as it is.
    pub(crate) by_link: bool,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) scale: f64,
}

impl Seen {
    pub(super) fn of(info: &PacketInfo) -> Self {
        Self {
            ssim: info.ssim.unwrap_or(1.0),
            reduction: info.reduction(),
            by_link: matches!(info.plan.reason, Reason::Window { .. } | Reason::LinkLimits { .. }),
            fallback: info.fallback,
            scale: info.plan.scale.factor(),
        }
    }
}

impl Promises {
    /// Takes a packet of a session that promised an SSIM of `floor` and `reduction`.
    pub(crate) fn count(&mut self, seen: &Seen, floor: f64, reduction: f64) {
        let Seen { ssim, by_link, scale, .. } = *seen;
        let is_below = ssim < floor;
        let is_over = seen.reduction < reduction;
        let is_broken = is_below || is_over;
        self.packets += 1;
        if let Some(fallback) = seen.fallback {
            let at = Fallback::ALL.iter().position(|&other| other == fallback);
            if let Some(count) = at.and_then(|at| self.fallbacks.get_mut(at)) {
                *count += 1;
            }
        }
        self.below_floor += u64::from(is_below);
        self.over_size += u64::from(is_over);
        self.broken += u64::from(is_broken);
        self.broken_freely += u64::from(is_broken && !by_link);
        self.unsaid += u64::from(is_broken && seen.fallback.is_none());
        self.ssim_sum += ssim;
        self.scale_sum += scale;
        self.changes += u64::from(self.scale.replace(scale).is_some_and(|before| before != scale));
    }

    pub(crate) fn kept(&self, seconds: f64) -> Kept {
        let packets = self.packets.max(1) as f64;
        let percent = |count: u64| 100.0 * count as f64 / packets;
        let [quality_floor, budget, latency, codec_error] = self.fallbacks;
        Kept {
            packets: self.packets,
            fallback_percent: percent(self.fallbacks.iter().sum()),
            fallbacks: Fallbacks { quality_floor, budget, latency, codec_error },
            floor_percent: percent(self.packets - self.below_floor),
            reduction_percent: percent(self.packets - self.over_size),
            broken_by_link_percent: percent(self.broken - self.broken_freely),
            broken_freely_percent: percent(self.broken_freely),
            unsaid: self.unsaid,
            packet_ssim_mean: self.ssim_sum / packets,
            scale_mean: self.scale_sum / packets,
            resolution_changes: self.changes,
            resolution_changes_per_minute: 60.0 * self.changes as f64 / seconds.max(1e-3),
        }
    }
}
