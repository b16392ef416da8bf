//! Bands: runs of restart intervals, each with working memory of its own, that threads code side by side.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use super::bits::BitWriter;
use super::coder::{Coder, Counter};
use super::huffman::{Codes, Histogram};
use super::layout::Layout;
use super::reconstruct::BandPicture;
use super::scan::{Picture, Scanner};
use crate::kernel::{Level, Simd, Vectorise, vectorise};

/// Bands for each thread: more than one, as some are richer in detail than others.
const BANDS_PER_THREAD: usize = 4;

/// What is done with the blocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pass<'a> {
    /// Their symbols are counted.
    Count,
    /// They are coded, and decoded again where `reconstruct` says so.
    Code { codes: &'a Codes, reconstruct: bool },
}

/// One band's working memory and results.
#[derive(Debug)]
pub(super) struct Band {
    scanner: Scanner,
    writer: BitWriter,
    pub(super) histogram: Histogram,
    pub(super) bytes: Vec<u8>,
    pub(super) seen: BandPicture,
}

impl Default for Band {
    fn default() -> Self {
        Self {
            scanner: Scanner::default(),
            writer: BitWriter::default(),
            histogram: Histogram::EMPTY,
            bytes: Vec::new(),
            seen: BandPicture::default(),
        }
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
        let Band { scanner, writer, histogram, bytes, seen } = band;
        match pass {
            Pass::Count => {
                *histogram = Histogram::EMPTY;
                scanner.scan(simd, picture, intervals, &mut Counter { histogram }, None);
            }
            Pass::Code { codes, reconstruct } => {
                let layout = picture.layout;
                let seen = reconstruct.then(|| {
                    let end = (intervals.end * layout.interval_rows).min(layout.mcus_high);
                    seen.prepare(layout, intervals.start * layout.interval_rows, end);
                    seen
                });
                scanner.scan(simd, picture, intervals, &mut Coder { codes, writer, out: bytes }, seen);
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
pub(super) fn run(bands: &mut [Band], level: Level, picture: &Picture<'_>, pass: Pass<'_>, pool: &ThreadPool) {
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
}
