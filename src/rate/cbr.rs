//! A constant bit rate by a leaky bucket: packets fill it, the rate drains it, and it never runs over. Plain arithmetic on times
//! that the caller passes in.

use std::time::Duration;

use crate::error::Result;
use crate::limits::{self, check};
use crate::rate::{Plan, Reason};

/// Fraction of the bucket that is full before each frame in steady state: what calm frames may leave unused before rate is lost.
const STEADY: f64 = 0.25;
/// Most of it, in seconds of the rate: every packet waits for it.
const MAX_STEADY_S: f64 = 0.08;
/// Seconds over which a bucket that is too full or too empty comes back.
const CORRECTION_S: f64 = 0.4;
/// Shares of the rate that a keyframe aims for.
const KEYFRAME_SHARES: f64 = 8.0;
/// Fraction of the room in the bucket that a frame aims for at most, so that one a little larger still fits.
const MAX_FILL: f64 = 0.85;
/// Least and most shares that a P frame aims for.
const P_FRAME_SHARES: (f64, f64) = (0.25, 3.0);

/// What a frame may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBytes {
    /// Bytes to aim for.
    pub target_bytes: usize,
    /// Bytes that must not be exceeded: what the bucket still holds.
    pub max_bytes: usize,
}

/// The bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cbr {
    bytes_per_s: f64,
    capacity_bytes: f64,
    steady_bytes: f64,
    /// What is in the bucket at `at`.
    full_bytes: f64,
    at: Duration,
}

impl Cbr {
    /// A bucket of `buffer_ms` at a rate in kbit/s. It begins as full as it is in steady state, so that what is sent over any
    /// time is the rate from its start on.
    ///
    /// # Errors
    /// A rate outside [`limits::BITRATE_KBPS`] or a buffer outside [`limits::BUFFER_MS`].
    pub fn new(bitrate_kbps: f64, buffer_ms: f64) -> Result<Self> {
        check("bitrate_kbps", bitrate_kbps, &limits::BITRATE_KBPS)?;
        check("buffer_ms", buffer_ms, &limits::BUFFER_MS)?;
        let bytes_per_s = bitrate_kbps * 1000.0 / 8.0;
        let capacity_bytes = bytes_per_s * buffer_ms / 1000.0;
        let steady_bytes = (capacity_bytes * STEADY).min(bytes_per_s * MAX_STEADY_S);
        Ok(Self { bytes_per_s, capacity_bytes, steady_bytes, full_bytes: steady_bytes, at: Duration::ZERO })
    }

    /// Kilobits a second.
    pub fn bitrate_kbps(&self) -> f64 {
        self.bytes_per_s * 8.0 / 1000.0
    }

    /// Bytes in the bucket at `now`.
    pub fn full_bytes(&self, now: Duration) -> f64 {
        (self.full_bytes - now.saturating_sub(self.at).as_secs_f64() * self.bytes_per_s).max(0.0)
    }

    /// Bytes that fit the bucket.
    pub fn capacity_bytes(&self) -> f64 {
        self.capacity_bytes
    }

    /// What a frame at `now`, one of `fps` a second, may take.
    pub fn frame(&self, now: Duration, fps: f64, keyframe: bool) -> FrameBytes {
        let share = self.bytes_per_s / fps;
        let full = self.full_bytes(now);
        let room = (self.capacity_bytes - full).max(0.0);
        let wanted = if keyframe {
            share * KEYFRAME_SHARES
        } else {
            let correction = (self.steady_bytes - full) / (CORRECTION_S * fps).max(1.0);
            (share + correction).clamp(share * P_FRAME_SHARES.0, share * P_FRAME_SHARES.1)
        };
        let target = wanted.min(room * MAX_FILL).max(1.0);
        FrameBytes { target_bytes: target as usize, max_bytes: room.max(1.0) as usize }
    }

    /// Holds a plan for a frame at `now`, one of `fps` a second, to the rate, where nothing else holds it to less.
    pub fn bind(&self, plan: &mut Plan, fps: f64, now: Duration) {
        let fps = fps / f64::from(plan.frame_divisor.max(1));
        let FrameBytes { target_bytes, max_bytes } = self.frame(now, fps, plan.keyframe);
        let (target, most) = (target_bytes as u32, max_bytes as u32);
        if plan.target_bytes.or(plan.budget_bytes).is_none_or(|other| target < other) {
            plan.target_bytes = Some(target);
            plan.reason = Reason::Bitrate { kbps: self.bitrate_kbps(), target_bytes: target };
        }
        plan.budget_bytes = Some(plan.budget_bytes.map_or(most, |other| most.min(other)));
    }

    /// Takes note of a packet that was sent at `now`.
    pub fn sent(&mut self, now: Duration, bytes: usize) {
        self.full_bytes = self.full_bytes(now) + bytes as f64;
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FPS: f64 = 25.0;

    fn time(frame: u32) -> Duration {
        Duration::from_secs_f64(f64::from(frame) / FPS)
    }

    /// Bytes that a model of an encoder gives: near the target, now and then far over it, never over the cap.
    fn model(order: FrameBytes, frame: u32) -> usize {
        let noise = f64::from(frame.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
        let factor = if frame % 37 == 5 { 2.5 } else { 0.85 + 0.3 * noise };
        ((order.target_bytes as f64 * factor) as usize).min(order.max_bytes)
    }

    #[test]
    fn the_rate_is_kept_and_the_bucket_never_runs_over() {
        for (kbps, buffer_ms) in [(64.0, 1000.0), (500.0, 500.0), (2_000.0, 250.0), (8_000.0, 100.0)] {
            let mut bucket = Cbr::new(kbps, buffer_ms).unwrap();
            let (mut total, mut since) = (0, Vec::new());
            for frame in 0..500 {
                let order = bucket.frame(time(frame), FPS, frame % 250 == 0);
                assert!(order.target_bytes <= order.max_bytes);
                let bytes = model(order, frame);
                bucket.sent(time(frame), bytes);
                assert!(bucket.full_bytes(time(frame)) <= bucket.capacity_bytes(), "{kbps}: frame {frame}");
                total += bytes;
                since.push(total);
            }
            for seconds in [5, 10, 20] {
                let told = since[seconds * 25 - 1] as f64 * 8.0 / 1000.0 / seconds as f64;
                assert!((told / kbps - 1.0).abs() < 0.02, "{kbps} kbit/s, {buffer_ms} ms: {told} over {seconds} s");
            }
        }
    }

    #[test]
    fn a_keyframe_takes_more_and_is_paid_back() {
        let mut bucket = Cbr::new(1_000.0, 500.0).unwrap();
        let share = 5_000;
        let key = bucket.frame(time(0), FPS, true);
        assert!(key.target_bytes > 5 * share, "{key:?}");
        bucket.sent(time(0), key.target_bytes);
        let after: Vec<_> = (1..40)
            .map(|frame| {
                let order = bucket.frame(time(frame), FPS, false);
                bucket.sent(time(frame), order.target_bytes);
                order.target_bytes
            })
            .collect();
        assert!(after[0] < share / 2 && after[38] > share * 9 / 10, "{after:?}");
    }

    #[test]
    fn what_calm_frames_leave_is_lost_beyond_the_bucket() {
        let mut bucket = Cbr::new(1_000.0, 500.0).unwrap();
        (0..100).for_each(|frame| bucket.sent(time(frame), 10));
        let order = bucket.frame(time(100), FPS, false);
        assert!(order.target_bytes <= 3 * 5_000 && order.max_bytes == 62_500, "{order:?}");
        assert!(Cbr::new(f64::NAN, 500.0).is_err() && Cbr::new(100.0, 1.0).is_err());
    }
}
