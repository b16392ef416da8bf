//! How many bytes a frame may take.

use std::time::Duration;

use auralink::Codec;
use auralink::rate::{Cbr, FrameBytes};

use super::args::RateArgs;
use crate::cli::exit::Result;

/// Quality where none is asked for.
const USUAL_QUALITY: u8 = 75;
/// Highest quality where bytes decide: beyond it, bytes buy nothing one sees.
const BEST_QUALITY: u8 = 95;
/// Lowest quantiser parameter of H.264 where its bit rate decides.
const LEAST_QP: u8 = 6;
/// Fraction of the most a frame of H.264 may take that it aims for.
const AIM: f64 = 0.95;
/// Seconds of the rate that calm frames may save for busy ones.
const BUCKET_SECONDS: f64 = 0.5;
/// Fraction of what was saved that one frame may take.
const SPEND: f64 = 0.2;

/// The rule that gives each frame its quality or budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rate {
    Quality(u8),
    /// This quantiser parameter of H.264.
    Qp(u8),
    /// At most so many bytes each.
    MaxBytes(usize),
    /// This fraction of the raw bytes is saved.
    Reduction(f64),
    Bitrate(Bucket),
    /// H.264 aims for its bytes, and so keeps to a rate more closely.
    Constant {
        bucket: Cbr,
        fps: f64,
        frame: u64,
    },
}

/// What a frame may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Highest quality.
    pub(super) quality: u8,
    /// Quantiser parameter of H.264 instead of it.
    pub(super) qp: Option<u8>,
    pub(super) target_bytes: Option<usize>,
    pub(super) max_bytes: Option<usize>,
    /// A frame that can't become so small is coded all the same, at quality 1.
    pub(super) may_exceed: bool,
}

impl Rate {
    pub(super) fn new(args: &RateArgs, codec: Codec, fps: f64) -> Result<Self> {
        if let Some(max_bytes) = args.max_bytes {
            return Ok(Self::MaxBytes(max_bytes as usize));
        }
        if let Some(reduction) = args.target_reduction {
            return Ok(Self::Reduction(reduction));
        }
        Ok(match (args.bitrate_kbps, args.qp) {
            (Some(kbps), _) if codec == Codec::H264 => {
                Self::Constant { bucket: Cbr::new(kbps, 1000.0 * BUCKET_SECONDS)?, fps, frame: 0 }
            }
            (Some(kbps), _) => Self::Bitrate(Bucket::new(kbps, fps)),
            (None, Some(qp)) => Self::Qp(qp),
            (None, None) => Self::Quality(args.quality.unwrap_or(USUAL_QUALITY)),
        })
    }

    /// What the next frame of `raw_bytes` may take.
    pub(super) fn allowance(&self, raw_bytes: usize) -> Allowance {
        let open =
            Allowance { quality: BEST_QUALITY, qp: None, target_bytes: None, max_bytes: None, may_exceed: false };
        let within = |max_bytes: usize| Allowance {
            target_bytes: Some((max_bytes as f64 * AIM) as usize),
            max_bytes: Some(max_bytes),
            ..open
        };
        match self {
            Self::Quality(quality) => Allowance { quality: *quality, ..open },
            Self::Qp(qp) => Allowance { qp: Some(*qp), ..open },
            Self::MaxBytes(max_bytes) => within(*max_bytes),
            Self::Reduction(reduction) => within(((1.0 - reduction) * raw_bytes as f64) as usize),
            Self::Bitrate(bucket) => Allowance { may_exceed: true, ..within(bucket.budget_bytes()) },
            Self::Constant { bucket, fps, frame } => {
                let FrameBytes { target_bytes, max_bytes } = bucket.frame(at(*frame, *fps), *fps, *frame == 0);
                Allowance {
                    qp: Some(LEAST_QP),
                    target_bytes: Some(target_bytes),
                    max_bytes: Some(max_bytes),
                    may_exceed: true,
                    ..open
                }
            }
        }
    }

    /// Learns what the frame took.
    pub(super) fn spent(&mut self, bytes: usize) {
        match self {
            Self::Bitrate(bucket) => bucket.spent(bytes),
            Self::Constant { bucket, fps, frame } => {
                bucket.sent(at(*frame, *fps), bytes);
                *frame += 1;
            }
            Self::Quality(_) | Self::Qp(_) | Self::MaxBytes(_) | Self::Reduction(_) => {}
        }
    }
}

/// The time of a frame.
fn at(frame: u64, fps: f64) -> Duration {
    Duration::from_secs_f64(frame as f64 / fps)
}

/// A leaky bucket: bytes that frames didn't take, or owe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    frame_bytes: f64,
    capacity_bytes: f64,
    /// Negative where frames took more than the rate gave.
    saved_bytes: f64,
}

impl Bucket {
    fn new(kbps: f64, fps: f64) -> Self {
        let bytes_per_second = kbps * 1000.0 / 8.0;
        let frame_bytes = bytes_per_second / fps;
        Self { frame_bytes, capacity_bytes: (bytes_per_second * BUCKET_SECONDS).max(frame_bytes), saved_bytes: 0.0 }
    }

    /// A frame's share of the rate, some of what was saved, and all of what is owed.
    fn budget_bytes(&self) -> usize {
        let extra = if self.saved_bytes > 0.0 { self.saved_bytes * SPEND } else { self.saved_bytes };
        (self.frame_bytes + extra).max(1.0) as usize
    }

    fn spent(&mut self, bytes: usize) {
        self.saved_bytes = (self.saved_bytes + self.frame_bytes - bytes as f64).min(self.capacity_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_never_takes_more_than_its_rate_and_the_bucket() {
        let mut bucket = Bucket::new(800.0, 25.0);
        let mut total = 0.0;
        for frame in 0..1000_usize {
            // Calm and busy stretches: a tenth of the budget, or all of it.
            let wanted = if frame / 40 % 2 == 0 { bucket.budget_bytes() / 10 } else { bucket.budget_bytes() };
            bucket.spent(wanted);
            total += wanted as f64;
            assert!(total <= 4_000.0 * (frame as f64 + 1.0) + 50_000.0);
        }
        assert!(bucket.budget_bytes() >= 4_000);
    }

    #[test]
    fn what_was_overspent_is_paid_back() {
        let mut bucket = Bucket::new(800.0, 25.0);
        bucket.spent(10_000);
        assert_eq!(bucket.budget_bytes(), 1);
        bucket.spent(0);
        assert_eq!(bucket.budget_bytes(), 2_000);
    }

    #[test]
    fn a_reduction_is_a_fraction_of_the_raw_bytes() {
        let allowance = Rate::Reduction(0.75).allowance(1000);
        assert_eq!((allowance.max_bytes, allowance.may_exceed), (Some(250), false));
        let quality = Rate::Quality(80).allowance(1000);
        assert_eq!((quality.quality, quality.qp, quality.max_bytes, quality.may_exceed), (80, None, None, false));
    }
}
