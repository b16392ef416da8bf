//! A source without pictures: frames of the size asked for, give or take.

use std::time::Duration;

use super::random::Random;
use super::source::{Encoded, Source};
use crate::error::Result;
use crate::limits;

/// What modelled frames are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelConfig {
    /// Bytes of the smallest frame, at least 1.
    pub min_frame_bytes: u32,
    /// Bytes of the largest frame, near lossless.
    pub max_frame_bytes: u32,
    /// Deviation of sizes from what was asked for, as a fraction: how well the codec hits its budget.
    pub size_deviation: f64,
    /// Time coding takes.
    pub encode_time: Duration,
    /// Whether frames are predicted from the one before, so that a loss is seen until the sender knows of it. Otherwise each
    /// stands alone.
    pub predicts: bool,
}

impl Default for ModelConfig {
    /// 400 B to 100 kB, that is 48 Mbit/s at 60 fps; as asked for to the byte, in no time, each alone.
    fn default() -> Self {
        Self {
            min_frame_bytes: 400,
            max_frame_bytes: 100_000,
            size_deviation: 0.0,
            encode_time: Duration::ZERO,
            predicts: false,
        }
    }
}

/// Frames of the size asked for, give or take.
#[derive(Clone, Debug)]
pub struct ModelSource {
    config: ModelConfig,
    random: Random,
    /// The newest frame, while nothing it needs is known to be lost.
    newest: Option<u64>,
}

impl ModelSource {
    /// A source whose deviations come from a seed.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) with the field and its bounds.
    pub fn new(config: ModelConfig, seed: u64) -> Result<Self> {
        let max = f64::from(config.max_frame_bytes);
        limits::check("min_frame_bytes", f64::from(config.min_frame_bytes), &(1.0..=max))?;
        limits::check("size_deviation", config.size_deviation, &(0.0..=1.0))?;
        limits::check("encode_time_ms", config.encode_time.as_secs_f64() * 1000.0, &(0.0..=1000.0))?;
        Ok(Self { config, random: Random::new(seed), newest: None })
    }
}

impl Source for ModelSource {
    fn encode(&mut self, frame_number: u64, budget: u32, _now: Duration) -> Option<Encoded> {
        let ModelConfig { min_frame_bytes, max_frame_bytes, size_deviation, encode_time, predicts } = self.config;
        let mut bytes = budget.clamp(min_frame_bytes, max_frame_bytes);
        if size_deviation > 0.0 {
            let factor = 1.0 + size_deviation * self.random.normal();
            bytes = ((f64::from(bytes) * factor) as u32).clamp(min_frame_bytes, max_frame_bytes);
        }
        let predicted_from = self.newest.filter(|_| predicts);
        self.newest = Some(frame_number);
        Some(Encoded { bytes, predicted_from, encode_time })
    }

    fn lost(&mut self, _frame_number: u64, _now: Duration) {
        self.newest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_deviate_as_much_as_asked_within_the_bounds() {
        let config = ModelConfig { size_deviation: 0.2, ..ModelConfig::default() };
        let mut source = ModelSource::new(config, 5).unwrap();
        let mut encode = |budget| f64::from(source.encode(0, budget, Duration::ZERO).unwrap().bytes);
        let sizes: Vec<f64> = (0..10_000).map(|_| encode(10_000)).collect();
        let mean = sizes.iter().sum::<f64>() / 1e4;
        let deviation = (sizes.iter().map(|size| (size - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!((mean - 10_000.0).abs() < 100.0 && (deviation - 2_000.0).abs() < 100.0, "{mean} {deviation}");
        assert!((0..1000).all(|_| encode(0) >= 400.0 && encode(u32::MAX) <= 100_000.0));
    }

    #[test]
    fn a_loss_breaks_the_chain() {
        let mut source = ModelSource::new(ModelConfig { predicts: true, ..ModelConfig::default() }, 0).unwrap();
        let mut from = |number| source.encode(number, 1000, Duration::ZERO).unwrap().predicted_from;
        assert_eq!((from(0), from(2)), (None, Some(0)));
        source.lost(0, Duration::ZERO);
        assert_eq!(source.encode(3, 1000, Duration::ZERO).unwrap().predicted_from, None);
    }

    #[test]
    fn fields_out_of_range_are_named() {
        let bad = |config| ModelSource::new(config, 0).unwrap_err().field();
        assert_eq!(bad(ModelConfig { min_frame_bytes: 0, ..ModelConfig::default() }), "min_frame_bytes");
        assert_eq!(bad(ModelConfig { size_deviation: f64::NAN, ..ModelConfig::default() }), "size_deviation");
    }
}
