//! What came back of a stream, summed up.

use std::collections::BTreeMap;
use std::time::Duration;

use auralink::client::Answer;
use auralink::service::proto::{DropReason, Packet};

/// Latencies kept for the quantiles; later ones replace the oldest.
const MAX_LATENCIES: usize = 1 << 18;

/// Counters of a stream, or of a second of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    /// Frames left out because no credit was there at their time.
    pub(crate) skipped: u64,
    pub(crate) packets: u64,
    pub(crate) failed: u64,
    /// Times the stream was lost and went on.
    resumed: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) bytes: u64,
    dropped: BTreeMap<&'static str, u64>,
    psnr_db: (f64, u64),
    ssim: (f64, u64),
    latencies_us: Vec<u32>,
    latency_count: usize,
}

impl Tally {
    pub(crate) fn sent(&mut self, in_time: bool) {
        self.frames += 1;
        self.skipped += u64::from(!in_time);
    }

    pub(crate) fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Packet(packet, latency) => self.packet(packet, *latency),
            Answer::Dropped { reason, .. } => *self.dropped.entry(drop_name(*reason)).or_default() += 1,
            Answer::Failed { .. } => self.failed += 1,
            Answer::Resumed { .. } => self.resumed += 1,
            Answer::Notice(_) => {}
        }
    }

    fn packet(&mut self, packet: &Packet, latency: Duration) {
        self.packets += 1;
        self.raw_bytes += packet.original_bytes;
        self.bytes += packet.data.len() as u64;
        add(&mut self.psnr_db, packet.psnr_db);
        add(&mut self.ssim, packet.ssim);
        let micros = latency.as_micros().min(u128::from(u32::MAX)) as u32;
        if self.latencies_us.len() < MAX_LATENCIES {
            self.latencies_us.push(micros);
        } else {
            self.latencies_us[self.latency_count % MAX_LATENCIES] = micros;
        }
        self.latency_count += 1;
    }

    /// Fraction of the raw bytes saved.
    pub(crate) fn reduction(&self) -> Option<f64> {
        (self.raw_bytes > 0).then(|| 1.0 - self.bytes as f64 / self.raw_bytes as f64)
    }

    /// Means over the measured packets.
    pub(crate) fn psnr_db(&self) -> Option<f64> {
        mean(self.psnr_db)
    }

    pub(crate) fn ssim(&self) -> Option<f64> {
        mean(self.ssim)
    }

    pub(crate) fn kbps(&self, elapsed: Duration) -> f64 {
        self.bytes as f64 * 8.0 / 1000.0 / elapsed.as_secs_f64().max(1e-3)
    }

    /// Time from sending a frame to its packet that the fraction `p` of packets doesn't exceed, ms.
    pub(crate) fn latency_ms(&self, p: f64) -> Option<f64> {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let rank = (p * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).map(|&micros| f64::from(micros) / 1000.0)
    }

    /// Some lines for people.
    pub(crate) fn summary(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let drops: Vec<_> = self.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let drops = if drops.is_empty() { "none dropped".to_owned() } else { format!("dropped: {}", drops.join(", ")) };
        let skipped = if self.skipped > 0 { format!(", {} left out (no credit)", self.skipped) } else { String::new() };
        let resumed =
            if self.resumed > 0 { format!(", lost and resumed {} times", self.resumed) } else { String::new() };
        let failed = if self.failed > 0 { format!(", {} FAILED", self.failed) } else { String::new() };
        format!(
            "{} frames in {seconds:.1} s ({:.1} a second): {} packets, {drops}{skipped}{resumed}{failed}\n\
             {:.2} MB, {:.0} kbit/s, reduction {}, PSNR {}, SSIM {}, latency p50 {} p95 {}",
            self.frames,
            self.frames as f64 / seconds,
            self.packets,
            self.bytes as f64 / 1e6,
            self.kbps(elapsed),
            or_dash(self.reduction().map(|reduction| reduction * 100.0), 1, " %"),
            or_dash(self.psnr_db(), 2, " dB"),
            or_dash(self.ssim(), 4, ""),
            or_dash(self.latency_ms(0.5), 1, " ms"),
            or_dash(self.latency_ms(0.95), 1, " ms"),
        )
    }
}

/// A number with its unit, or a dash where there is none.
pub(crate) fn or_dash(value: Option<f64>, digits: usize, unit: &str) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}{unit}"))
}

/// Why a frame was dropped, in words.
pub(crate) fn drop_name(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Superseded => "superseded",
        DropReason::FrameRate => "frame rate",
        DropReason::LinkBusy => "link busy",
        DropReason::Closing => "closing",
        DropReason::Unspecified => "unspecified",
    }
}

fn add((sum, count): &mut (f64, u64), value: Option<f64>) {
    if let Some(value) = value.filter(|value| value.is_finite()) {
        *sum += value;
        *count += 1;
    }
}

fn mean((sum, count): (f64, u64)) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_summed_up() {
        let mut tally = Tally::default();
        for index in 1..=20_u32 {
            tally.sent(index != 7);
            let packet =
                Packet { original_bytes: 1000, data: vec![0; 100].into(), ssim: Some(0.9), ..Packet::default() };
            tally.answer(&Answer::Packet(Box::new(packet), Duration::from_millis(u64::from(index))));
        }
        tally.answer(&Answer::Dropped { frame_number: 21, reason: DropReason::LinkBusy });
        assert_eq!((tally.packets, tally.skipped, tally.dropped["link busy"]), (20, 1, 1));
        assert_eq!((tally.reduction(), tally.psnr_db()), (Some(0.9), None));
        assert_eq!((tally.latency_ms(0.5), tally.latency_ms(0.95)), (Some(10.0), Some(19.0)));
        assert!((tally.kbps(Duration::from_secs(2)) - 8.0).abs() < 1e-9);
        assert!(tally.summary(Duration::from_secs(2)).contains("dropped: 1 link busy, 1 left out"));
    }
}
