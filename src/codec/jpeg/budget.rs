//! The highest quality whose file stays within a number of bytes.

use rayon::ThreadPool;

use super::{JpegConfig, JpegEncoder, JpegStats};
use crate::error::{Error, Result};
use crate::frame::Frame;

/// Passes that finding the quality takes at most: the first, and as many as halve 99 others down to one.
const MAX_PASSES: u32 = 8;
/// How fast files shrink as steps grow, both in logarithms, until two sizes are known.
const USUAL_SLOPE: f64 = -0.65;

/// A quality and what it came to.
#[derive(Clone, Copy, Debug)]
struct Trial {
    quality: u8,
    bytes: usize,
}

impl Trial {
    /// Logarithm of the size of the quantiser's steps, relative to those of Annex K.
    fn log_steps(quality: u8) -> f64 {
        let quality = f64::from(quality);
        let percent = if quality < 50.0 { 5000.0 / quality } else { 201.0 - 2.0 * quality };
        percent.ln()
    }

    fn log_bytes(self) -> f64 {
        (self.bytes.max(1) as f64).ln()
    }
}

/// The search: what is known to fit, and what is known not to.
#[derive(Clone, Copy, Debug)]
struct Search {
    max_bytes: usize,
    fits: Option<Trial>,
    over: Trial,
}

impl Search {
    /// The quality to try in a pass after which `left` more are allowed; none where the highest that fits is known.
    fn next(&self, left: u32) -> Option<u8> {
        let lowest = self.fits.map_or(1, |fits| fits.quality + 1);
        let highest = self.over.quality.checked_sub(1).filter(|&highest| highest >= lowest)?;
        let target = (self.max_bytes.max(1) as f64).ln();
        let slope = match self.fits {
            Some(fits) => {
                let run = Trial::log_steps(self.over.quality) - Trial::log_steps(fits.quality);
                (self.over.log_bytes() - fits.log_bytes()) / run
            }
            None => USUAL_SLOPE,
        };
        let log_steps = Trial::log_steps(self.over.quality) + (target - self.over.log_bytes()) / slope;
        let guess = (lowest..=highest).rev().find(|&quality| Trial::log_steps(quality) >= log_steps).unwrap_or(lowest);
        // The passes left must do for either side, should the sizes not be what the line through two of them says.
        let manageable = ((1_u32 << left.min(7)) - 1) as u8;
        Some(
            guess.clamp(highest.saturating_sub(manageable).max(lowest), lowest.saturating_add(manageable).min(highest)),
        )
    }
}

/// Codes `frame`, which was checked, within `max_bytes`.
pub(super) fn encode_within(
    encoder: &mut JpegEncoder,
    frame: &Frame<'_>,
    config: &JpegConfig,
    max_bytes: usize,
    pool: &ThreadPool,
    out: &mut Vec<u8>,
) -> Result<JpegStats> {
    let [mut best, mut trial] = std::mem::take(&mut encoder.trials);
    let mut attempt = |quality: u8, reconstruct: bool, file: &mut Vec<u8>| {
        file.clear();
        let config = JpegConfig { quality, reconstruct, ..*config };
        Trial { quality, bytes: encoder.encode_checked(frame, &config, pool, file) }
    };
    let first = attempt(config.quality, config.reconstruct, &mut best);
    let mut search = Search { max_bytes, fits: None, over: first };
    let mut passes = 1;
    if first.bytes <= max_bytes {
        search.fits = Some(first);
    } else {
        while let Some(quality) = search.next(MAX_PASSES.saturating_sub(passes + 1)) {
            passes += 1;
            let tried = attempt(quality, false, &mut trial);
            if tried.bytes <= max_bytes {
                search.fits = Some(tried);
                std::mem::swap(&mut best, &mut trial);
            } else {
                search.over = tried;
            }
        }
        if let Some(fits) = search.fits
            && config.reconstruct
        {
            passes += 1;
            attempt(fits.quality, true, &mut best);
        }
    }
    if search.fits.is_some() {
        out.extend_from_slice(&best);
    }
    encoder.trials = [best, trial];
    match search.fits {
        Some(Trial { quality, bytes }) => Ok(JpegStats { bytes, quality, passes }),
        None => Err(Error::Budget { field: "max_bytes", budget: max_bytes as u64, smallest: search.over.bytes as u64 }),
    }
}
