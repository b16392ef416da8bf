//! Every bound of the product, with its unit, in one place.

use crate::error::{Error, Result};

/// Largest width or height the engine takes, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Largest stride of a plane, in bytes: four bytes a pixel at [`MAX_SIDE`], and as much padding again.
pub const MAX_STRIDE_BYTES: usize = 8 * MAX_SIDE as usize;
/// Frames a second a session may be opened with.
pub const FPS: std::ops::RangeInclusive<f64> = 1.0..=120.0;
/// Declared bandwidth, kbit/s.
pub const BANDWIDTH_KBPS: std::ops::RangeInclusive<f64> = 64.0..=100_000.0;
/// Declared round-trip time, milliseconds.
pub const RTT_MS: std::ops::RangeInclusive<f64> = 0.0..=5_000.0;
/// Declared packet loss, percent.
pub const LOSS_PERCENT: std::ops::RangeInclusive<f64> = 0.0..=100.0;
/// Declared jitter, milliseconds.
pub const JITTER_MS: std::ops::RangeInclusive<f64> = 0.0..=1_000.0;
/// How much smaller than the raw frame a packet is asked to be, as a fraction.
pub const TARGET_REDUCTION: std::ops::RangeInclusive<f64> = 0.1..=0.95;
/// Lowest SSIM a session accepts.
pub const MIN_QUALITY: std::ops::RangeInclusive<f64> = 0.5..=1.0;
/// Time a session may spend on a frame, milliseconds.
pub const MAX_LATENCY_MS: std::ops::RangeInclusive<f64> = 5.0..=100.0;
/// Time coding a frame of H.264 may take before less effort is made, milliseconds.
pub const DEADLINE_MS: std::ops::RangeInclusive<u32> = 1..=10_000;
/// JPEG quality, on the scale libjpeg made common.
pub const JPEG_QUALITY: std::ops::RangeInclusive<u8> = 1..=100;
/// Quantiser parameter of H.264.
pub const H264_QP: std::ops::RangeInclusive<f64> = 0.0..=51.0;
/// Sides of a picture that H.264 codes, pixels.
pub const H264_SIDE: std::ops::RangeInclusive<f64> = 16.0..=8_192.0;
/// Constant bit rate, kbit/s.
pub const BITRATE_KBPS: std::ops::RangeInclusive<f64> = 1.0..=10_000_000.0;
/// What a constant bit rate evens out over, milliseconds.
pub const BUFFER_MS: std::ops::RangeInclusive<f64> = 20.0..=10_000.0;
/// Frames a stream may have in flight: pushed, and not yet answered.
pub const WINDOW_FRAMES: std::ops::RangeInclusive<u32> = 1..=8;
/// Frames a second a y4m stream may declare.
pub const Y4M_FPS: std::ops::RangeInclusive<f64> = 1.0..=1_000.0;
/// Longest header or `FRAME` line of a y4m stream, newline included, bytes.
pub const MAX_Y4M_LINE_BYTES: usize = 1_024;
/// Time after which a link's trace repeats, seconds.
pub const TRACE_SECONDS: std::ops::RangeInclusive<f64> = 0.001..=7_200.0;
/// What a simulated link carries, kbit/s.
pub const TRACE_KBPS: std::ops::RangeInclusive<f64> = 0.0..=10_000_000.0;
/// Time that is simulated, seconds.
pub const SIMULATED_SECONDS: std::ops::RangeInclusive<f64> = 1.0..=7_200.0;
/// Packets that may wait at a simulated link.
pub const QUEUE_PACKETS: std::ops::RangeInclusive<f64> = 1.0..=1_000_000.0;
/// Frames in one batch call.
pub const MAX_BATCH_FRAMES: usize = 64;

/// The sizes of picture and payload that one door of the product takes.
///
/// The engine alone takes [`Limits::ENGINE`]; the service takes [`Limits::SERVICE`] unless configured otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "server", serde(default = "Limits::service", deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// Smallest width, pixels.
    pub min_width: u32,
    /// Smallest height, pixels.
    pub min_height: u32,
    /// Largest width, pixels.
    pub max_width: u32,
    /// Largest height, pixels.
    pub max_height: u32,
    /// Largest encoded picture (PNG, JPEG, WebP, packet) taken as input, bytes.
    pub max_encoded_bytes: usize,
    /// Memory a decoder may take for one picture beside its input, bytes.
    pub max_decoder_bytes: usize,
}

impl Limits {
    /// What the engine itself can do: 1x1 to 16384x16384.
    pub const ENGINE: Self = Self {
        min_width: 1,
        min_height: 1,
        max_width: MAX_SIDE,
        max_height: MAX_SIDE,
        max_encoded_bytes: 1 << 30,
        max_decoder_bytes: 2 << 30,
    };

    /// What the service takes by default: 160x90 to 3840x2160, encoded payloads of at most 10 MiB.
    pub const SERVICE: Self = Self {
        min_width: 160,
        min_height: 90,
        max_width: 3840,
        max_height: 2160,
        max_encoded_bytes: 10 << 20,
        max_decoder_bytes: 128 << 20,
    };

    #[cfg(feature = "server")]
    fn service() -> Self {
        Self::SERVICE
    }

    /// Checks a picture's size, naming the side that is out of bounds.
    pub fn check_size(&self, width: u32, height: u32) -> Result<()> {
        check("width", f64::from(width), &(f64::from(self.min_width)..=f64::from(self.max_width)))?;
        check("height", f64::from(height), &(f64::from(self.min_height)..=f64::from(self.max_height)))
    }

    /// Checks the length of an encoded payload, in bytes.
    pub fn check_encoded(&self, bytes: usize) -> Result<()> {
        if bytes > self.max_encoded_bytes {
            return Err(Error::TooLarge { field: "data", actual: bytes as u64, limit: self.max_encoded_bytes as u64 });
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::ENGINE
    }
}

/// Checks that a number lies in a range. NaN lies in none.
pub fn check(field: &'static str, value: f64, range: &std::ops::RangeInclusive<f64>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::OutOfRange { field, value, min: *range.start(), max: *range.end() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_at_the_edge_pass_and_beyond_are_named() {
        assert!(Limits::SERVICE.check_size(160, 90).is_ok());
        assert!(Limits::SERVICE.check_size(3840, 2160).is_ok());
        let error = Limits::SERVICE.check_size(159, 90).unwrap_err();
        assert_eq!(error.to_string(), "width: 159 is outside 160..=3840");
        assert_eq!(error.field(), "width");
        assert!(Limits::ENGINE.check_size(1, 16_384).is_ok());
        assert!(Limits::ENGINE.check_size(0, 1).is_err());
    }

    #[test]
    fn nan_is_in_no_range() {
        assert!(check("rtt_ms", f64::NAN, &RTT_MS).is_err());
        assert!(check("rtt_ms", f64::INFINITY, &RTT_MS).is_err());
        assert!(check("rtt_ms", 5_000.0, &RTT_MS).is_ok());
    }
}
