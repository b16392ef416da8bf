//! Counters of a session, and quantiles of recent values.

use crate::rate::Plan;
use crate::session::output::{DropReason, Fallback, PacketInfo};

/// What a session has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Frames pushed.
    pub frames_in: u64,
    /// Packets made.
    pub packets_out: u64,
    /// Frames dropped, by [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Frames that couldn't be coded.
    pub failed: u64,
    /// Packets that broke a promise, by [`Fallback::ALL`].
    pub fallbacks: [u64; Fallback::ALL.len()],
    /// Raw bytes of the frames that became packets.
    pub bytes_in: u64,
    /// Bytes of the packets.
    pub bytes_out: u64,
    /// Packets whose receiver acknowledged them.
    pub acked: u64,
    /// Packets whose receiver reported them lost.
    pub lost: u64,
    /// Packets that stand alone.
    pub keyframes: u64,
    /// Packets whose quality was measured, for the means below.
    pub measured: u64,
    /// Sum of their PSNR, dB.
    pub psnr_db_sum: f64,
    /// Sum of their SSIM.
    pub ssim_sum: f64,
    /// Plan of the last packet.
    pub last_plan: Option<Plan>,
}

impl Stats {
    /// Frames dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Packets that broke any promise.
    pub fn fallbacks_total(&self) -> u64 {
        self.fallbacks.iter().sum()
    }

    /// Fraction of the raw bytes saved; 0 before the first packet.
    pub fn reduction(&self) -> f64 {
        if self.bytes_in == 0 { 0.0 } else { 1.0 - self.bytes_out as f64 / self.bytes_in as f64 }
    }

    /// Mean PSNR of the measured packets, dB.
    pub fn psnr_db(&self) -> Option<f64> {
        (self.measured > 0).then(|| self.psnr_db_sum / self.measured as f64)
    }

    /// Mean SSIM of the measured packets.
    pub fn ssim(&self) -> Option<f64> {
        (self.measured > 0).then(|| self.ssim_sum / self.measured as f64)
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    pub(crate) fn count_packet(&mut self, info: &PacketInfo) {
        self.packets_out += 1;
        self.keyframes += u64::from(info.keyframe);
        self.bytes_in += info.original_bytes as u64;
        self.bytes_out += info.compressed_bytes as u64;
        if let Some(fallback) = info.fallback {
            self.fallbacks[fallback as usize] += 1;
        }
        if let (Some(psnr_db), Some(ssim)) = (info.psnr_db, info.ssim) {
            self.measured += 1;
            self.psnr_db_sum += psnr_db;
            self.ssim_sum += ssim;
        }
        self.last_plan = Some(info.plan);
    }
}

/// The last 256 values of something, for its quantiles.
#[derive(Clone, Debug)]
pub struct Recent {
    values: [u64; 256],
    count: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self { values: [0; 256], count: 0 }
    }
}

impl Recent {
    /// Takes a value, forgetting the oldest once there are 256.
    pub fn record(&mut self, value: u64) {
        self.values[self.count % self.values.len()] = value;
        self.count += 1;
    }

    /// The value that the fraction `p` (0..=1) of the recent ones doesn't exceed (nearest rank); 0 where there are none.
    pub fn quantile(&self, p: f64) -> u64 {
        let mut sorted = self.values;
        let kept = &mut sorted[..self.count.min(self.values.len())];
        kept.sort_unstable();
        let rank = (p.clamp(0.0, 1.0) * kept.len() as f64).ceil() as usize;
        kept.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_last_256() {
        let mut recent = Recent::default();
        assert_eq!(recent.quantile(0.5), 0);
        (0..1_000).for_each(|value| recent.record(value));
        assert_eq!((recent.quantile(0.0), recent.quantile(0.5), recent.quantile(1.0)), (744, 871, 999));
    }
}
