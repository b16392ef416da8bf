//! PSNR and SSIM of planes, in agreement with ffmpeg's `psnr` and `ssim` filters.
//!
//! SSIM is the mean over windows of 8x8 samples whose corners lie on a grid of 4, each built of four 4x4 sums, with whole
//! numbers up to the last division: the shape x264 gave it. Samples beyond the last whole block of four don't count. A
//! plane with a side under 8 has windows as large as that side.

use fearless_simd::Level;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::Plane;
use crate::kernel::metric::{BLOCK, Samples, WINDOW, ssd, ssim_sum, ssim_sum_small};

/// Rows that are measured as one piece, a multiple of [`BLOCK`].
const BAND_ROWS: usize = 64;
/// Planes of fewer samples take less time than waking threads.
const PARALLEL_SAMPLES: usize = 1 << 19;
/// Sums of SSIM are added as multiples of 1 / 2^32, so that the order of bands doesn't matter.
const SSIM_UNIT: f64 = (1_u64 << 32) as f64;

/// How near a picture is to its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB; infinite for equal planes.
    pub psnr_db: f64,
    /// Structural similarity, at most 1.
    pub ssim: f64,
}

/// Compares two 8-bit planes of the same size. Large planes are measured in bands on the pool; the result is the same for
/// any number of threads and at every level, and nothing is allocated.
///
/// ```
/// use auralink::{Frame, Level, PixelFormat, quality};
///
/// let source: Vec<u8> = (0..64 * 64).map(|i| (i % 64 * 3) as u8).collect();
/// let darker: Vec<u8> = source.iter().map(|&sample| sample / 2 + 20).collect();
/// let [a, b] = [&source, &darker].map(|data| Frame::new(PixelFormat::Gray8, 64, 64, data).unwrap().plane(0));
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
/// let quality = quality::compare(Level::new(), a, b, &pool)?;
/// assert!(quality.psnr_db > 10.0 && quality.psnr_db < 20.0);
/// assert!(quality.ssim > 0.5 && quality.ssim < 1.0);
/// # Ok::<(), auralink::Error>(())
/// ```
///
/// # Errors
/// Planes of different sizes.
pub fn compare(level: Level, a: Plane<'_>, b: Plane<'_>, pool: &ThreadPool) -> Result<Quality> {
    let (width, rows) = (a.row_bytes(), a.rows());
    if (width, rows) != (b.row_bytes(), b.rows()) {
        return Err(Error::Mismatch {
            field: "plane",
            actual: format!("{}x{}", b.row_bytes(), b.rows()),
            expected: format!("{width}x{rows}"),
        });
    }
    if width == 0 || rows == 0 {
        return Ok(Quality { psnr_db: f64::INFINITY, ssim: 1.0 });
    }
    let small = width < WINDOW || rows < WINDOW;
    let measure = |band: usize| {
        let first = band * BAND_ROWS;
        let own = [a, b].map(|plane| samples(plane, first, BAND_ROWS));
        // The last row of windows reaches into the band below.
        let reaching = [a, b].map(|plane| samples(plane, first, BAND_ROWS + BLOCK));
        let ssim = if small { 0.0 } else { ssim_sum(level, reaching[0], reaching[1]) };
        (ssd(level, own[0], own[1]), (ssim * SSIM_UNIT).round() as i64)
    };
    let bands = rows.div_ceil(BAND_ROWS);
    let add = |left: (u64, i64), right: (u64, i64)| (left.0 + right.0, left.1 + right.1);
    let (ssd, ssim) = if width * rows < PARALLEL_SAMPLES || pool.current_num_threads() == 1 {
        (0..bands).map(measure).fold((0, 0), add)
    } else {
        pool.install(|| (0..bands).into_par_iter().map(measure).reduce(|| (0, 0), add))
    };
    let (sum, windows) = if small {
        ssim_sum_small(samples(a, 0, rows), samples(b, 0, rows))
    } else {
        (ssim as f64 / SSIM_UNIT, (width / BLOCK - 1) * (rows / BLOCK - 1))
    };
    Ok(Quality { psnr_db: psnr_db(ssd, width * rows), ssim: sum / windows as f64 })
}

/// PSNR in dB of `samples` 8-bit samples whose squared differences add up to `ssd`; infinite where there is none.
///
/// For pictures of several planes, add up both over the planes.
pub fn psnr_db(ssd: u64, samples: usize) -> f64 {
    10.0 * (255.0 * 255.0 * samples as f64 / ssd as f64).log10()
}

/// At most `count` rows of a plane, from row `first` on.
fn samples(plane: Plane<'_>, first: usize, count: usize) -> Samples<'_> {
    let (stride, width) = (plane.stride(), plane.row_bytes());
    let data = plane.data().get(first * stride..).unwrap_or_default();
    Samples { data, stride, width, rows: count.min(plane.rows() - first) }
}
