//! Bands: runs of restart intervals, each with working memory of its own, that threads code side by side.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use super::bits::BitWriter;
use super::coder::{Coder, Counter};
use super::huffman::{Codes, Histogram};
use super::layout::Layout;
use super::luma_error::LumaError;
use super::picture::Picture;
use super::reconstruct::BandPicture;
use super::scan::{Kept, Scanner};
use crate::error::Result;
use crate::kernel::join::Pieces;
use crate::kernel::{Level, Simd, Vectorise, vectorise};

/// Bands for each thread: more than one, as some are richer in detail than others.
const BANDS_PER_THREAD: usize = 4;

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

/// One band's working memory and results.
#[derive(Debug)]
pub(super) struct Band {
    scanner: Scanner,
    pieces: Pieces,
    writer: BitWriter,
    kept: Kept,
    pub(super) histogram: Histogram,
    pub(super) bytes: Vec<u8>,
    pub(super) seen: BandPicture,
}

impl Default for Band {
    fn default() -> Self {
        Self {
            scanner: Scanner::default(),
            pieces: Pieces::default(),
            writer: BitWriter::default(),
            kept: Kept::default(),
            histogram: Histogram::EMPTY,
            bytes: Vec::new(),
            seen: BandPicture::default(),
        }
    }
}

impl Band {
    /// What the last coding took from luma, where the picture was measured.
    pub(super) fn error(&self) -> LumaError {
        self.scanner.error
    }
}

struct BandWork<'a> {
    band: &'a mut Band,
    picture: &'a Picture<'a>,
    intervals: Range<usize>,
    pass: Pass<'a>,
}

impl Vectorise for BandWork<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { band, picture, intervals, pass } = self;
        let Band { scanner, pieces, writer, kept, histogram, bytes, seen } = band;
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
    match layout.intervals() {
        1 => 1,
        intervals => intervals.min(BANDS_PER_THREAD * pool.current_num_threads()),
    }
}

/// Runs a pass over all bands: on the caller's thread where there is one, otherwise on the pool.
///
/// # Errors
/// Only that it was given up; the bands then hold nothing of use.
pub(super) fn run(
    bands: &mut [Band],
    level: Level,
    picture: &Picture<'_>,
    pass: Pass<'_>,
    pool: &ThreadPool,
) -> Result<()> {
    let (count, intervals) = (bands.len(), picture.layout.intervals());
    let part = |(index, band)| {
        let intervals = index * intervals / count..(index + 1) * intervals / count;
        vectorise(level, BandWork { band, picture, intervals, pass });
    };
    if count == 1 {
        bands.iter_mut().enumerate().for_each(part);
    } else {
        pool.install(|| bands.par_iter_mut().with_max_len(1).enumerate().for_each(part));
    }
    picture.cancel.check()
}
