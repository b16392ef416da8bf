//! What is known of the network, checked: these numbers are a stranger's.

use crate::error::Result;
use crate::limits::{self, check};

/// Declared conditions of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkConditions {
    bandwidth_kbps: f64,
    rtt_ms: f64,
    packet_loss_percent: f64,
    jitter_ms: f64,
}

/// A link in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkClass {
    /// Score under 0.25.
    Poor,
    /// Score under 0.5.
    Fair,
    /// Score under 0.75.
    Good,
    /// The rest.
    Excellent,
}

/// What a row of samples says together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkSummary {
    /// Medians of the samples.
    pub typical: NetworkConditions,
    /// Bandwidth that is there now, kbit/s: the mean of the newest quarter of the samples.
    pub available_kbps: f64,
    /// Bandwidth to plan for, kbit/s: the line through the samples one step on, within what was seen.
    pub predicted_kbps: f64,
    /// 1 for bandwidth that doesn't move, towards 0 as its deviation nears its mean.
    pub stability: f64,
    /// The link in a word, by the predicted bandwidth.
    pub class: NetworkClass,
}

impl NetworkConditions {
    /// Conditions from numbers.
    ///
    /// # Errors
    /// NaN, or a number outside 64..=100000 kbit/s, 0..=5000 ms, 0..=100 %, 0..=1000 ms.
    pub fn new(bandwidth_kbps: f64, rtt_ms: f64, packet_loss_percent: f64, jitter_ms: f64) -> Result<Self> {
        check("network.bandwidth_kbps", bandwidth_kbps, &limits::BANDWIDTH_KBPS)?;
        check("network.rtt_ms", rtt_ms, &limits::RTT_MS)?;
        check("network.packet_loss_percent", packet_loss_percent, &limits::LOSS_PERCENT)?;
        check("network.jitter_ms", jitter_ms, &limits::JITTER_MS)?;
        Ok(Self { bandwidth_kbps, rtt_ms, packet_loss_percent, jitter_ms })
    }

    /// Conditions that were measured, within their ranges.
    pub(crate) const fn measured(bandwidth_kbps: f64, rtt_ms: f64) -> Self {
        Self { bandwidth_kbps, rtt_ms, packet_loss_percent: 0.0, jitter_ms: 0.0 }
    }

    /// Conditions from a single score, 0 (unusable) to 1 (excellent): bandwidth grows by the power from 64 kbit/s to
    /// 100 Mbit/s, delay, loss and jitter shrink with it.
    ///
    /// # Errors
    /// NaN, or a score outside 0..=1.
    pub fn from_score(score: f64) -> Result<Self> {
        check("network.network_condition", score, &(0.0..=1.0))?;
        let (low, high) = (*limits::BANDWIDTH_KBPS.start(), *limits::BANDWIDTH_KBPS.end());
        Ok(Self {
            bandwidth_kbps: (low * (high / low).powf(score)).clamp(low, high),
            rtt_ms: 20.0 + 480.0 * (1.0 - score).powi(2),
            packet_loss_percent: 10.0 * (1.0 - score).powi(2),
            jitter_ms: 100.0 * (1.0 - score).powi(2),
        })
    }

    /// Bandwidth, kbit/s.
    pub const fn bandwidth_kbps(&self) -> f64 {
        self.bandwidth_kbps
    }

    /// Round-trip time, ms.
    pub const fn rtt_ms(&self) -> f64 {
        self.rtt_ms
    }

    /// Packets lost, percent.
    pub const fn packet_loss_percent(&self) -> f64 {
        self.packet_loss_percent
    }

    /// Jitter, ms.
    pub const fn jitter_ms(&self) -> f64 {
        self.jitter_ms
    }

    /// Bandwidth left for payload once lost packets are sent again, kbit/s; never under 1.
    pub fn goodput_kbps(&self) -> f64 {
        (self.bandwidth_kbps * (1.0 - self.packet_loss_percent / 100.0)).max(1.0)
    }

    /// The link as one number, 0 (unusable) to 1 (excellent): the bandwidth's place on a logarithmic scale, lowered by
    /// delay, loss and jitter.
    pub fn score(&self) -> f64 {
        let (low, high) = (*limits::BANDWIDTH_KBPS.start(), *limits::BANDWIDTH_KBPS.end());
        let bandwidth = (self.bandwidth_kbps / low).ln() / (high / low).ln();
        let delay = 1.0 / (1.0 + self.rtt_ms / 400.0);
        let loss = 1.0 - (self.packet_loss_percent / 20.0).min(1.0);
        let jitter = 1.0 / (1.0 + self.jitter_ms / 200.0);
        (bandwidth.clamp(0.0, 1.0) * delay * loss * jitter).clamp(0.0, 1.0)
    }

    /// The link in a word.
    pub fn class(&self) -> NetworkClass {
        match self.score() {
            s if s < 0.25 => NetworkClass::Poor,
            s if s < 0.5 => NetworkClass::Fair,
            s if s < 0.75 => NetworkClass::Good,
            _ => NetworkClass::Excellent,
        }
    }
}

/// Sums up samples of a link, oldest first; `None` where there are none.
pub fn summarise(samples: &[NetworkConditions]) -> Option<NetworkSummary> {
    let median = |pick: fn(&NetworkConditions) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let typical = NetworkConditions {
        bandwidth_kbps: median(NetworkConditions::bandwidth_kbps)?,
        rtt_ms: median(NetworkConditions::rtt_ms)?,
        packet_loss_percent: median(NetworkConditions::packet_loss_percent)?,
        jitter_ms: median(NetworkConditions::jitter_ms)?,
    };
    let count = samples.len() as f64;
    let mean = samples.iter().map(|s| s.bandwidth_kbps).sum::<f64>() / count;
    let variance = samples.iter().map(|s| (s.bandwidth_kbps - mean).powi(2)).sum::<f64>() / count;
    let newest = &samples[samples.len() - samples.len().div_ceil(4)..];
    let available_kbps = newest.iter().map(|s| s.bandwidth_kbps).sum::<f64>() / newest.len() as f64;

    let middle = (count - 1.0) / 2.0;
    let (mut covariance, mut spread) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let x = index as f64 - middle;
        covariance += x * (sample.bandwidth_kbps - mean);
        spread += x * x;
    }
    let slope = if spread > 0.0 { covariance / spread } else { 0.0 };
    let lowest = samples.iter().map(|s| s.bandwidth_kbps).fold(f64::INFINITY, f64::min);
    let highest = samples.iter().map(|s| s.bandwidth_kbps).fold(0.0, f64::max);
    let predicted_kbps = (mean + slope * (count - middle)).clamp(lowest, highest);

    let class = NetworkConditions { bandwidth_kbps: predicted_kbps, ..typical }.class();
    Some(NetworkSummary {
        typical,
        available_kbps,
        predicted_kbps,
        stability: (1.0 - variance.sqrt() / mean).clamp(0.0, 1.0),
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_conditions_are_named() {
        assert!(NetworkConditions::new(64.0, 0.0, 0.0, 0.0).is_ok());
        assert!(NetworkConditions::new(100_000.0, 5_000.0, 100.0, 1_000.0).is_ok());
        for (bad, field) in [
            ([f64::NAN, 0.0, 0.0, 0.0], "network.bandwidth_kbps"),
            ([63.0, 0.0, 0.0, 0.0], "network.bandwidth_kbps"),
            ([1e308, 0.0, 0.0, 0.0], "network.bandwidth_kbps"),
            ([100.0, -1.0, 0.0, 0.0], "network.rtt_ms"),
            ([100.0, 0.0, 101.0, 0.0], "network.packet_loss_percent"),
            ([100.0, 0.0, 0.0, f64::INFINITY], "network.jitter_ms"),
        ] {
            let error = NetworkConditions::new(bad[0], bad[1], bad[2], bad[3]).unwrap_err();
            assert_eq!(error.field(), field);
        }
        assert!(NetworkConditions::from_score(1.01).is_err());
    }

    #[test]
    fn a_better_score_is_a_better_link() {
        let mut last = NetworkConditions::from_score(0.0).unwrap();
        assert_eq!(last.class(), NetworkClass::Poor);
        for step in 1..=10 {
            let next = NetworkConditions::from_score(f64::from(step) / 10.0).unwrap();
            assert!(next.bandwidth_kbps() > last.bandwidth_kbps() && next.score() > last.score());
            last = next;
        }
        assert_eq!(last.class(), NetworkClass::Excellent);
    }

    #[test]
    fn summaries_follow_a_trend_within_what_was_seen() {
        let samples: Vec<_> =
            (1..=8).map(|i| NetworkConditions::new(f64::from(i) * 1000.0, 40.0, 0.0, 5.0).unwrap()).collect();
        let rising = summarise(&samples).unwrap();
        assert!(rising.available_kbps > 7_000.0 && rising.predicted_kbps <= 8_000.0 && rising.stability < 0.7);
        let steady = summarise(&samples[..1]).unwrap();
        assert_eq!((steady.predicted_kbps, steady.stability), (1_000.0, 1.0));
        assert!(summarise(&[]).is_none());
    }
}
