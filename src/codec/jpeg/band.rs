//! Bands: runs of restart intervals that threads code side by side.

use std::ops::Range;

use rayon::ThreadPool;

use super::bits::BitWriter;
use super::coder::{Coder, Counter};
use super::huffman::{Codes, Histogram};
use super::layout::Layout;
use super::luma_error::LumaError;
use super::picture::Picture;
use super::reconstruct::BandPicture;
use super::scan::{Kept, Scanner};
use crate::codec::parallel::each_with;
use crate::error::Result;
use crate::kernel::join::Pieces;
use crate::kernel::{Level, Simd, Vectorise, vectorise};

/// Bands for each thread: several, as some are richer in detail than others, and a thread may come late.
const BANDS_PER_THREAD: usize = 16;

/// What is done with the blocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pass<'a> {
    /// Their symbols are counted.
    Count(From),
    /// They are coded, and decoded again where `reconstruct` says so; a sample of their symbols is counted where `learn` does.
    Code { from: From, codes: &'a Codes, reconstruct: bool, learn: bool },
    /// Their coefficients are kept as the transform gives them.
    Keep,
    /// Of what was kept, the symbols of one group in so many are counted.
    Sample { every: usize },
}

/// Where the blocks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The frame.
    Frame,
    /// What was kept of it.
    Kept,
}

/// What a thread needs to code a band.
#[derive(Debug, Default)]
pub(super) struct Worker {
    scanner: Scanner,
    pieces: Pieces,
    writer: BitWriter,
}

/// What passes leave of a band.
#[derive(Debug)]
pub(super) struct Band {
    kept: Kept,
    pub(super) histogram: Histogram,
    pub(super) bytes: Vec<u8>,
    pub(super) seen: BandPicture,
    /// What the last coding took from luma, where the picture was measured.
    pub(super) error: LumaError,
}

impl Default for Band {
    fn default() -> Self {
        Self {
            kept: Kept::default(),
            histogram: Histogram::EMPTY,
            bytes: Vec::new(),
            seen: BandPicture::default(),
            error: LumaError::default(),
        }
    }
}

struct BandWork<'a> {
    worker: &'a mut Worker,
    band: &'a mut Band,
    picture: &'a Picture<'a>,
    intervals: Range<usize>,
    pass: Pass<'a>,
}

impl Vectorise for BandWork<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { worker, band, picture, intervals, pass } = self;
        let Worker { scanner, pieces, writer } = worker;
        let Band { kept, histogram, bytes, seen, error } = band;
        let rows = picture.layout.rows_of(intervals.clone());
        match pass {
            Pass::Count(from) => {
                *histogram = Histogram::EMPTY;
                let mut counter = Counter { histogram };
                match from {
                    From::Frame => scanner.scan(simd, picture, intervals, &mut counter, None),
                    From::Kept => scanner.scan_kept(simd, picture, intervals, kept, &mut counter, None),
                }
            }
            Pass::Code { from, codes, reconstruct, learn } => {
                let seen = reconstruct.then(|| {
                    seen.prepare(picture.layout, rows.start, rows.end);
                    seen
                });
                let histogram = learn.then(|| {
                    *histogram = Histogram::EMPTY;
                    histogram
                });
                let mut coder = Coder { codes, pieces, writer, out: bytes, histogram };
                match from {
                    From::Frame => scanner.scan(simd, picture, intervals, &mut coder, seen),
                    From::Kept => scanner.scan_kept(simd, picture, intervals, kept, &mut coder, seen),
                }
                *error = scanner.error;
            }
            Pass::Keep => scanner.keep(simd, picture, rows, kept),
            Pass::Sample { every } => {
                *histogram = Histogram::EMPTY;
                scanner.sample(simd, picture, rows, kept, every, &mut Counter { histogram });
            }
        }
    }
}

/// Bands for a frame: one where nothing is to be divided.
pub(super) fn band_count(layout: &Layout, pool: &ThreadPool) -> usize {
    match pool.current_num_threads() {
        1 => 1,
        threads => layout.intervals().min(BANDS_PER_THREAD * threads),
    }
}

/// Runs a pass over all bands, on as many threads as there are workers; each has one of them.
///
/// # Errors
/// Only that it was given up; the bands then hold nothing of use.
pub(super) fn run(
    workers: &mut [Worker],
    bands: &mut [Band],
    level: Level,
    picture: &Picture<'_>,
    pass: Pass<'_>,
    pool: &ThreadPool,
) -> Result<()> {
    let (count, intervals) = (bands.len(), picture.layout.intervals());
    let threads = workers.len().min(count);
    each_with(pool, &mut workers[..threads], bands.iter_mut().enumerate(), |worker, (index, band)| {
        let intervals = index * intervals / count..(index + 1) * intervals / count;
        vectorise(level, BandWork { worker, band, picture, intervals, pass });
    });
    picture.cancel.check()
}
