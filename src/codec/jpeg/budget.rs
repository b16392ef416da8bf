//! The finest file that stays within a number of bytes.
//!
//! Bytes are foretold by weighing a sample of the coefficients, quantised as coarsely as would be tried; a file that was coded
//! tells how far the sample is off. All arithmetic is that of integers, so that every processor comes to the same file.

use super::band::{From, Pass};
use super::marker::FileTables;
use super::tables::Coarseness;
use super::{Job, JpegEncoder, JpegStats};
use crate::error::{Error, Result};

/// Times a frame is coded at most before the smallest file is tried.
const MAX_PASSES: u32 = 5;
/// Times after which any file that fits is near enough.
const PATIENCE: u32 = 4;
/// A file of so many thousandths of the budget is near enough at once.
const ENOUGH: u64 = 972;
/// Thousandths of the budget that are aimed at, so that small errors don't land over it.
const AIM: u64 = 988;
/// Thousandths of the budget up to which a forecast may be wrong, so that the finest file is tried.
const MAY_FIT: u64 = 1100;
/// Pass from which a file that fits is sought with less ambition, and thousandths of the budget that are aimed at then.
const CAREFUL_PASS: u32 = 3;
const CAREFUL_AIM: u64 = 940;
/// Guesses for a file, all but the last weighed.
const WEIGHINGS: usize = 3;
/// A weighing so many thousandths off its aim is near enough.
const NEAR: u64 = 5;
/// Where the search begins, unless that is too fine.
const START: Coarseness = Coarseness::of_quality(60);
/// Groups of MCUs that a sample has at least, where the picture has as many.
const SAMPLE_GROUPS: usize = 32;
/// One group in so many is in the sample of a large picture.
const MOST_SPARSE: usize = 16;
/// More than any picture's file, so that products with a budget stay in range.
const MOST_BYTES: u64 = u32::MAX as u64;
/// Bytes at the end of a file, which no coarseness changes.
const END_BYTES: u64 = 2;

/// What is kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// The last file that met the budget, and the one being tried.
    files: [Vec<u8>; 2],
    /// Weighings of the sample.
    weighed: Vec<Weighing>,
    /// Whether the last frame's budget left room for the quality wanted. In a stream that quality is then tried first, and
    /// coefficients are kept only where it is over; a frame by itself shows no trace of those before it.
    is_loose: bool,
}

/// Codes a frame that was checked within `max_bytes`.
pub(super) fn encode_within(
    encoder: &mut JpegEncoder,
    job: &Job<'_>,
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<JpegStats> {
    let mut budget = std::mem::take(&mut encoder.budget);
    let found = Search::new(encoder, job, max_bytes as u64, &mut budget).run();
    if found.is_ok() {
        out.extend_from_slice(&budget.files[0]);
    }
    encoder.budget = budget;
    found
}

/// What a sample weighs.
#[derive(Clone, Copy, Debug)]
struct Weighing {
    coarseness: Coarseness,
    bytes: u64,
}

impl Weighing {
    /// Both in logarithms.
    fn logs(&self) -> (i64, i64) {
        (log2(self.coarseness.shifted()), log2(self.bytes.max(1)))
    }
}

/// The search for one frame's coarseness.
struct Search<'a> {
    encoder: &'a mut JpegEncoder,
    job: &'a Job<'a>,
    budget: &'a mut Budget,
    max_bytes: u64,
    /// The finest that may be chosen.
    finest: Coarseness,
    /// Bytes of the finest file, where they are known.
    finest_bytes: Option<u64>,
    /// The finest known to fit and what it gave, the coarsest known not to.
    fits: Option<(Coarseness, JpegStats, FileTables)>,
    over: Option<Coarseness>,
    /// One group in so many is weighed.
    every: usize,
    /// How the bytes of a file's symbols relate to those of the sample: numerator and denominator.
    correction: (u64, u64),
    /// Bytes beside those of symbols.
    fixed_bytes: u64,
    passes: u32,
}

impl<'a> Search<'a> {
    fn new(encoder: &'a mut JpegEncoder, job: &'a Job<'a>, max_bytes: u64, budget: &'a mut Budget) -> Self {
        let groups = job.layout.groups_wide() * job.layout.mcus_high;
        let every = (groups / SAMPLE_GROUPS).clamp(1, MOST_SPARSE);
        budget.weighed.clear();
        Self {
            encoder,
            job,
            budget,
            max_bytes: max_bytes.min(MOST_BYTES),
            finest: Coarseness::of_quality(job.config.quality),
            finest_bytes: None,
            fits: None,
            over: None,
            every,
            correction: (groups as u64, groups.div_ceil(every) as u64),
            fixed_bytes: 0,
            passes: 0,
        }
    }

    fn run(mut self) -> Result<JpegStats> {
        if self.job.config.train && self.budget.is_loose {
            let stats = self.code(self.finest, From::Frame, self.job.config.reconstruct)?;
            if stats.bytes as u64 <= self.max_bytes {
                self.budget.files.swap(0, 1);
                self.encoder.finish(self.job, self.encoder.wrote.clone());
                return Ok(stats);
            }
            self.finest_bytes = Some(stats.bytes as u64);
        }
        self.encoder.run(self.job, self.finest, Pass::Keep)?;
        self.encoder.expect_usual_tables(self.job);
        while !self.is_done() {
            let coarseness = self.next()?;
            if let Some(smallest) = self.attempt(coarseness)? {
                let (field, budget) = ("max_bytes", self.max_bytes);
                return Err(Error::Budget { field, budget, smallest });
            }
        }
        let Some((coarseness, mut stats, wrote)) = self.fits.take() else {
            let detail = "a search ended with nothing found".to_owned();
            return Err(Error::Internal { what: "max_bytes", detail });
        };
        if self.job.config.reconstruct {
            self.code(coarseness, From::Kept, true)?;
        }
        self.budget.is_loose = coarseness == self.finest;
        stats.passes = self.passes;
        self.encoder.finish(self.job, wrote);
        Ok(stats)
    }

    /// Codes to the second file.
    fn code(&mut self, coarseness: Coarseness, from: From, reconstruct: bool) -> Result<JpegStats> {
        self.passes += 1;
        let file = &mut self.budget.files[1];
        file.clear();
        let bytes = self.encoder.code(self.job, coarseness, from, reconstruct, file)?;
        Ok(self.encoder.stats(self.job, bytes, coarseness.nearest_quality(), self.passes))
    }

    /// Tries a coarseness and learns from it; gives its bytes where it is the coarsest and over all the same.
    fn attempt(&mut self, coarseness: Coarseness) -> Result<Option<u64>> {
        let known = self.finest_bytes.filter(|_| coarseness == self.finest);
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                let stats = self.code(coarseness, From::Kept, false)?;
                if stats.bytes as u64 <= self.max_bytes {
                    self.budget.files.swap(0, 1);
                    self.fits = Some((coarseness, stats, self.encoder.wrote.clone()));
                }
                stats.bytes as u64
            }
        };
        if bytes > self.max_bytes {
            self.over = Some(coarseness);
            if coarseness == Coarseness::MOST {
                return Ok(Some(bytes));
            }
        }
        self.correction = (bytes.saturating_sub(self.fixed_bytes).max(1), self.weigh(coarseness)?.max(1));
        Ok(None)
    }

    fn is_done(&self) -> bool {
        let Some((coarseness, stats, _)) = &self.fits else { return false };
        let is_near = stats.bytes as u64 * 1000 >= self.max_bytes * ENOUGH;
        let is_narrow = self.over.is_some_and(|over| over.coarser() >= *coarseness);
        is_near || is_narrow || *coarseness == self.finest || self.passes >= PATIENCE
    }

    /// The coarseness to try next.
    fn next(&mut self) -> Result<Coarseness> {
        if self.passes >= MAX_PASSES {
            return Ok(Coarseness::MOST);
        }
        self.fixed_bytes = self.encoder.header_bytes(self.job, &mut self.budget.files[1]) as u64 + END_BYTES;
        let bytes_for = |share: u64, correction: (u64, u64)| {
            (self.max_bytes * share / 1000).saturating_sub(self.fixed_bytes) * correction.1 / correction.0
        };
        let share = if self.fits.is_none() && self.passes >= CAREFUL_PASS { CAREFUL_AIM } else { AIM };
        let (all, aim) = (bytes_for(1000, self.correction), bytes_for(share, self.correction));
        if self.budget.weighed.is_empty() {
            self.weigh(self.finest.max(START))?;
        }
        let mut guess = self.interpolate(aim);
        for _ in 1..WEIGHINGS {
            if self.weigh(guess)?.abs_diff(aim) * 1000 <= aim * NEAR {
                break;
            }
            guess = self.interpolate(aim);
        }
        // Where the finest may do it is tried: it is what was asked for.
        let is_untried = self.fits.is_none() && self.over.is_none();
        if is_untried && guess <= self.finest.much_coarser() && self.weigh(self.finest)? * 1000 <= all * MAY_FIT {
            guess = self.finest;
        }
        // Between what is known not to fit and what is known to.
        let lowest = self.over.map_or(self.finest, Coarseness::coarser);
        let highest = self.fits.as_ref().map_or(Coarseness::MOST, |(fits, ..)| Coarseness(fits.0 - 1));
        Ok(guess.min(highest).max(lowest))
    }

    /// Bytes of the sample at a coarseness.
    fn weigh(&mut self, coarseness: Coarseness) -> Result<u64> {
        if let Some(known) = self.budget.weighed.iter().find(|known| known.coarseness == coarseness) {
            return Ok(known.bytes);
        }
        let every = self.every;
        self.encoder.run(self.job, coarseness, Pass::Sample { every })?;
        let bytes = self.encoder.counted_bits(self.job) / 8;
        self.budget.weighed.push(Weighing { coarseness, bytes });
        Ok(bytes)
    }

    /// Where a line through two weighings, both in logarithms, meets `aim`: those nearest on either side of it, or the two
    /// nearest.
    fn interpolate(&self, aim: u64) -> Coarseness {
        let target = log2(aim.max(1));
        let nearest = |except: Option<i64>, all: &[Weighing]| {
            let known = all.iter().map(Weighing::logs).filter(|&(_, bytes)| Some(bytes) != except);
            known.min_by_key(|&(_, bytes)| (bytes - target).abs())
        };
        let Some((near_at, near_bytes)) = nearest(None, &self.budget.weighed) else { return self.finest };
        let is_across = |&(_, bytes): &(i64, i64)| (bytes > target) != (near_bytes > target);
        let across = self.budget.weighed.iter().map(Weighing::logs).filter(is_across);
        let second = across.min_by_key(|&(_, bytes)| (bytes - target).abs());
        let second = second.or_else(|| nearest(Some(near_bytes), &self.budget.weighed));
        let at = match second {
            Some((at, bytes)) if bytes != near_bytes => {
                near_at + (target - near_bytes) * (at - near_at) / (bytes - near_bytes)
            }
            // Bytes shrink about as steps grow to the power of 0.65.
            _ => near_at + (near_bytes - target) * 20 / 13,
        };
        // The logarithm grows: halve the range down to where it is passed.
        let (mut low, mut high) = (self.finest.0, Coarseness::MOST.0);
        while low < high {
            let middle = low.midpoint(high);
            if log2(Coarseness(middle).shifted()) < at { low = middle + 1 } else { high = middle }
        }
        Coarseness(low)
    }
}

/// Fractional bits of [`log2`].
const LOG_BITS: u32 = 16;

/// The binary logarithm, by squaring: a bit of it for each time the square passes two.
fn log2(value: u64) -> i64 {
    let whole = value.max(1).ilog2();
    let mut mantissa = (u128::from(value.max(1)) << 31 >> whole) as u64;
    let mut log = i64::from(whole);
    for _ in 0..LOG_BITS {
        let square = (mantissa * mantissa) >> 31;
        let bit = square >> 32;
        log = log << 1 | bit as i64;
        mantissa = square >> bit;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_near_enough() {
        for value in (1..2000).chain([1 << 20, 123_456_789, u64::MAX]) {
            let exact = (value as f64).log2() * 65536.0;
            assert!((log2(value) as f64 - exact).abs() < 2.0, "{value}: {} for {exact}", log2(value));
        }
    }
}
