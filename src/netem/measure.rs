//! Watches a run and tells what it gave.

use super::link::LinkTally;
use super::report::{Delays, Moment, Queues, Report};
use super::source::Score;

/// Time without a new picture that is a freeze, ms.
const FREEZE_MS: u64 = 200;
/// Length of the pieces of a run for charts, ms.
const MOMENT_MS: u64 = 250;
/// Time between two looks at the queues, ms.
const QUEUE_SAMPLE_MS: u64 = 10;
/// What equal pictures count as, dB.
const MOST_PSNR_DB: f64 = 100.0;
/// Fraction over its budget from which a frame counts as overshooting.
const OVERSHOOT: f64 = 0.02;

/// What became of a captured frame.
#[derive(Clone, Copy, Debug)]
struct Fate {
    captured_ms: u64,
    bytes: u32,
    displayed_ms: Option<u64>,
}

/// A bin of the timeline.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    offered_bytes: u64,
    sent_bytes: u64,
    signal_delay_ms: Option<u64>,
    ssim_sum: f64,
    scores: u32,
}

/// Means as they come.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Watches a run.
#[derive(Debug, Default)]
pub(super) struct Measure {
    warm_ms: u64,
    /// All captured frames, by number.
    fates: Vec<Fate>,
    bins: Vec<Bin>,
    /// The link at the end of the warm-up, and at the last look.
    at_warm: LinkTally,
    at_bin: LinkTally,
    waiting: [Vec<f64>; 3],
    errors: Vec<f64>,
    overshoots: u64,
    ssims: Vec<f64>,
    psnr: Mean,
    on_screen_ssim: Mean,
    on_screen_psnr: Mean,
}

impl Measure {
    pub(super) fn new(warm_ms: u64) -> Self {
        Self { warm_ms, ..Self::default() }
    }

    pub(super) fn captured(&mut self, now_ms: u64) {
        self.fates.push(Fate { captured_ms: now_ms, bytes: 0, displayed_ms: None });
    }

    pub(super) fn sent(&mut self, frame_number: u64, bytes: u32, budget: u32) {
        let Some(fate) = self.fates.get_mut(frame_number as usize) else { return };
        fate.bytes = bytes;
        if fate.captured_ms >= self.warm_ms {
            let error = f64::from(bytes) / f64::from(budget.max(1)) - 1.0;
            self.overshoots += u64::from(error > OVERSHOOT);
            self.errors.push(100.0 * error.abs());
        }
    }

    pub(super) fn displayed(&mut self, frame_number: u64, now_ms: u64, score: Option<Score>) {
        let Some(fate) = self.fates.get_mut(frame_number as usize) else { return };
        fate.displayed_ms = Some(now_ms);
        let Some(score) = score.filter(|_| now_ms >= self.warm_ms) else { return };
        self.ssims.push(score.ssim);
        self.psnr.add(score.psnr_db.min(MOST_PSNR_DB));
        if let Some(bin) = self.bins.get_mut((now_ms / MOMENT_MS) as usize) {
            bin.ssim_sum += score.ssim;
            bin.scores += 1;
        }
    }

    pub(super) fn on_screen(&mut self, score: Score, now_ms: u64) {
        if now_ms >= self.warm_ms {
            self.on_screen_ssim.add(score.ssim);
            self.on_screen_psnr.add(score.psnr_db.min(MOST_PSNR_DB));
        }
    }

    /// Looks at the link and the bytes that wait: before the transport, unsent in it, and at the bottleneck. Called at the
    /// beginning of each millisecond.
    pub(super) fn look(&mut self, now_ms: u64, link: &LinkTally, waiting: [u64; 3]) {
        if now_ms == self.warm_ms {
            self.at_warm = *link;
        }
        if now_ms.is_multiple_of(MOMENT_MS) {
            self.close_bin(link);
            self.bins.push(Bin::default());
        }
        if now_ms >= self.warm_ms && now_ms.is_multiple_of(QUEUE_SAMPLE_MS) {
            for (samples, bytes) in self.waiting.iter_mut().zip(waiting) {
                samples.push(bytes as f64);
            }
        }
    }

    fn close_bin(&mut self, link: &LinkTally) {
        if let Some(bin) = self.bins.last_mut() {
            bin.offered_bytes = link.offered_bytes - self.at_bin.offered_bytes;
            bin.sent_bytes = link.sent_bytes - self.at_bin.sent_bytes;
        }
        self.at_bin = *link;
    }

    /// Ends the watch.
    pub(super) fn report(mut self, end_ms: u64, link: &LinkTally, undecodable: u64) -> Report {
        self.close_bin(link);
        let seconds = end_ms.saturating_sub(self.warm_ms).max(1) as f64 / 1000.0;
        let kbps = |bytes: u64| bytes as f64 * 8.0 / 1000.0 / seconds;
        let offered_bytes = link.offered_bytes - self.at_warm.offered_bytes;
        let delivered_bytes = link.delivered_bytes - self.at_warm.delivered_bytes;
        let (mut frame_delays, mut signal_delays) = (Vec::new(), Vec::new());
        let mut shown_by_ms = end_ms;
        for fate in self.fates.iter().rev() {
            shown_by_ms = fate.displayed_ms.unwrap_or(shown_by_ms).min(shown_by_ms);
            let signal_ms = shown_by_ms.saturating_sub(fate.captured_ms);
            if let Some(bin) = self.bins.get_mut((fate.captured_ms / MOMENT_MS) as usize) {
                bin.signal_delay_ms = bin.signal_delay_ms.max(Some(signal_ms));
            }
            if fate.captured_ms >= self.warm_ms {
                signal_delays.push(signal_ms as f64);
                frame_delays.extend(fate.displayed_ms.map(|at| (at - fate.captured_ms) as f64));
            }
        }
        let warm = || self.fates.iter().filter(|fate| fate.captured_ms >= self.warm_ms);
        let shown_bytes: u64 =
            warm().filter(|fate| fate.displayed_ms.is_some()).map(|fate| u64::from(fate.bytes)).sum();
        let frames_sent = self.errors.len() as u64;
        let frames_shown = frame_delays.len() as u64;
        let (freeze_count, frozen_ms) = self.freezes(end_ms);
        let percentile_of = |samples: &mut Vec<f64>| percentile(samples, 95.0).unwrap_or_default();
        let mut ssims = self.ssims.clone();
        Report {
            seconds,
            utilisation: delivered_bytes as f64 / offered_bytes.max(1) as f64,
            capacity_kbps: kbps(offered_bytes),
            sent_kbps: kbps(link.sent_bytes - self.at_warm.sent_bytes),
            goodput_kbps: kbps(shown_bytes),
            frames_captured: signal_delays.len() as u64,
            frames_sent,
            frames_shown,
            frames_undecodable: undecodable,
            frame_delay_ms: delays(frame_delays),
            signal_delay_ms: delays(signal_delays),
            shown_fps: frames_shown as f64 / seconds,
            freeze_count,
            freeze_percent: frozen_ms as f64 / (seconds * 10.0),
            queue_drops: link.dropped_packets - self.at_warm.dropped_packets,
            lost_packets: link.lost_packets - self.at_warm.lost_packets,
            ssim_mean: (!ssims.is_empty()).then(|| ssims.iter().sum::<f64>() / ssims.len() as f64),
            ssim_p5: percentile(&mut ssims, 5.0),
            psnr_mean: self.psnr.value(),
            ssim_on_screen_mean: self.on_screen_ssim.value(),
            psnr_on_screen_mean: self.on_screen_psnr.value(),
            budget_overshoot_percent: 100.0 * self.overshoots as f64 / frames_sent.max(1) as f64,
            budget_error_p95_percent: percentile_of(&mut self.errors.clone()),
            queue_bytes_p95: {
                let [mut before, mut unsent, mut bottleneck] = self.waiting.clone();
                Queues {
                    before_transport: percentile_of(&mut before),
                    unsent: percentile_of(&mut unsent),
                    bottleneck: percentile_of(&mut bottleneck),
                }
            },
            decisions: None,
            sharing: None,
            moments: self.moments(),
        }
    }

    /// Freezes after the warm-up, and their time in ms; one that goes on at the end counts until then.
    fn freezes(&self, end_ms: u64) -> (u64, u64) {
        let (mut count, mut frozen_ms) = (0, 0);
        let mut last_ms = self.warm_ms;
        for ms in self.fates.iter().filter_map(|fate| fate.displayed_ms).chain([end_ms]) {
            let gap_ms = ms.saturating_sub(last_ms);
            if gap_ms > FREEZE_MS {
                count += 1;
                frozen_ms += gap_ms;
            }
            last_ms = last_ms.max(ms);
        }
        (count, frozen_ms)
    }

    fn moments(&self) -> Vec<Moment> {
        let kbps = |bytes: u64| bytes as f64 * 8.0 / MOMENT_MS as f64;
        let moment = |(index, bin): (usize, &Bin)| Moment {
            at_s: index as f64 * MOMENT_MS as f64 / 1000.0,
            capacity_kbps: kbps(bin.offered_bytes),
            sent_kbps: kbps(bin.sent_bytes),
            signal_delay_ms: bin.signal_delay_ms.map(|ms| ms as f64),
            ssim: (bin.scores > 0).then(|| bin.ssim_sum / f64::from(bin.scores)),
        };
        self.bins.iter().enumerate().map(moment).collect()
    }
}

fn delays(mut samples: Vec<f64>) -> Delays {
    let mut at = |percent| percentile(&mut samples, percent).unwrap_or_default();
    Delays { p50: at(50.0), p95: at(95.0), p99: at(99.0), max: at(100.0) }
}

/// Nearest rank: the least sample that `percent` of them don't exceed; none of nothing.
fn percentile(samples: &mut [f64], percent: f64) -> Option<f64> {
    let rank = (percent / 100.0 * samples.len() as f64).ceil() as usize;
    let index = rank.saturating_sub(1);
    if index >= samples.len() {
        return None;
    }
    Some(*samples.select_nth_unstable_by(index, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let mut at = |percent| percentile(&mut samples, percent);
        assert_eq!((at(50.0), at(95.0), at(99.9), at(100.0)), (Some(100.0), Some(190.0), Some(200.0), Some(200.0)));
        assert_eq!((percentile(&mut [7.0], 1.0), percentile(&mut [], 50.0)), (Some(7.0), None));
    }

    #[test]
    fn every_capture_waits_for_itself_or_something_newer() {
        let mut measure = Measure::new(0);
        for number in 0..10 {
            measure.captured(number * 100);
        }
        // 2 is shown at 250 ms and 6 at 900 ms; what comes after 6 isn't until the end, 1000 ms.
        for (number, ms) in [(2, 250), (6, 900)] {
            measure.sent(number, 105, 100);
            measure.displayed(number, ms, None);
        }
        let report = measure.report(1000, &LinkTally::default(), 0);
        // Waits: 250 150 50 | 600 500 400 300 | 300 200 100.
        assert_eq!((report.signal_delay_ms.p50, report.signal_delay_ms.max), (250.0, 600.0));
        assert_eq!((report.frame_delay_ms.p50, report.frame_delay_ms.max), (50.0, 300.0));
        assert_eq!((report.freeze_count, report.freeze_percent), (2, 90.0));
        assert_eq!((report.frames_shown, report.budget_overshoot_percent), (2, 100.0));
        assert!((report.budget_error_p95_percent - 5.0).abs() < 1e-9);
    }
}
