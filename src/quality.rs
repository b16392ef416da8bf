//! PSNR and SSIM of planes.

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::error::Result;
use crate::frame::{Frame, Plane};

/// How near a picture is to its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB; infinite for equal planes.
    pub psnr_db: f64,
    /// Structural similarity, at most 1.
    pub ssim: f64,
}

/// Compares two 8-bit planes of the same size.
///
/// # Errors
/// Planes of different sizes.
pub fn compare(level: Level, a: Plane<'_>, b: Plane<'_>, pool: &ThreadPool) -> Result<Quality> {
    let _ = (level, a, b, pool);
    todo!()
}

/// Writes the frame's luma as JFIF has it (BT.601, full range) to `out`, `width * height` bytes: what JPEG's quality is
/// measured against, whatever the input format.
///
/// # Errors
/// 16-bit grey, which has no 8-bit luma.
pub fn jfif_luma(level: Level, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
    let _ = (level, frame, out);
    todo!()
}
