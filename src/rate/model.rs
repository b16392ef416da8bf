//! What a picture usually costs: bytes and SSIM by JPEG quality, from video frames of many kinds at 4:2:0. Sessions correct
//! the bytes by what their own content took.

use crate::codec::Codec;
use crate::rate::h264;

/// Bytes of a JPEG before its first coefficient, tables included: most of a tiny picture.
pub(crate) const JPEG_HEADER_BYTES: f64 = 620.0;
/// Bytes of a lossless packet as a fraction of the raw frame, for pictures from cameras.
pub(crate) const LOSSLESS_RATIO: f64 = 0.5;

/// Quality, bits a pixel (geometric mean), SSIM of luma (mean) over nine clips: people, sport, traffic, animation, screens.
const USUAL: [(f64, f64, f64); 9] = [
    (1.0, 0.17, 0.72),
    (5.0, 0.20, 0.78),
    (10.0, 0.255, 0.895),
    (25.0, 0.38, 0.95),
    (50.0, 0.535, 0.973),
    (75.0, 0.75, 0.984),
    (90.0, 1.20, 0.993),
    (95.0, 1.72, 0.996),
    (100.0, 3.46, 0.999),
];

/// Pixels coded in a millisecond by one core, a careful figure for the plan's latency.
pub(crate) const fn pixels_per_ms(codec: Codec) -> f64 {
    match codec {
        Codec::Jpeg | Codec::Lossless => 250_000.0,
        Codec::H264 => 60_000.0,
    }
}

/// Bytes of the coefficients of `pixels` at `quality`; grows with both.
pub(crate) fn coefficient_bytes(pixels: f64, quality: u8) -> f64 {
    pixels * interpolate(quality, |row| row.1) / 8.0
}

/// How bytes grow with quality, without a unit.
pub(crate) fn usual_bytes(codec: Codec, quality: u8, keyframe: bool) -> f64 {
    match codec {
        Codec::H264 => h264::usual_bytes(1e6, quality, keyframe),
        Codec::Jpeg | Codec::Lossless => coefficient_bytes(1e6, quality),
    }
}

/// SSIM at `quality`.
pub(crate) fn ssim(quality: u8) -> f64 {
    interpolate(quality, |row| row.2)
}

fn interpolate(quality: u8, pick: fn(&(f64, f64, f64)) -> f64) -> f64 {
    let quality = f64::from(quality);
    let upper = USUAL.iter().position(|row| row.0 >= quality).unwrap_or(USUAL.len() - 1).max(1);
    let (low, high) = (&USUAL[upper - 1], &USUAL[upper]);
    let t = ((quality - low.0) / (high.0 - low.0)).clamp(0.0, 1.0);
    pick(low) + t * (pick(high) - pick(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_ssim_grow_with_quality() {
        for quality in 1..100 {
            assert!(coefficient_bytes(1e6, quality) < coefficient_bytes(1e6, quality + 1));
            assert!(ssim(quality) < ssim(quality + 1));
        }
        assert_eq!(coefficient_bytes(8.0, 75), 0.75);
    }
}
