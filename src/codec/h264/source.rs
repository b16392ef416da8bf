//! The caller's frame as the encoder wants it: whole macroblocks, chroma halved and interleaved.

use std::ops::Range;

use fearless_simd::Simd;

use crate::error::Result;
use crate::frame::{ColorSpace, Frame};
use crate::kernel::Level;
use crate::kernel::diff::mark_changed;
use crate::kernel::h264::copy::{load_chroma, load_luma};
use crate::kernel::h264::find::{Region, find_block};
use crate::kernel::h264::source::{SourceRows, loaded_color};
use crate::kernel::h264::{Chroma, Luma};

/// A picture's size in macroblocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Size {
    pub(super) const fn of(width: u32, height: u32) -> Self {
        Self { columns: (width as usize).div_ceil(16), rows: (height as usize).div_ceil(16) }
    }
}

/// A frame to be coded. Both planes have rows of 16 bytes a macroblock column, without borders.
#[derive(Debug, Default)]
pub(super) struct Source {
    luma: Vec<u8>,
    chroma: Vec<u8>,
    pub(super) size: Size,
    /// The frame before, as it was.
    previous: [Vec<u8>; 2],
    /// For each macroblock, row by row, whether it isn't what it was in the frame before.
    changed: Vec<u8>,
}

impl Source {
    /// Makes room for a frame, whose samples its slices load. Returns the color space they will be in: planar 4:2:0 is taken as
    /// it is, anything else becomes full-range BT.601.
    pub(super) fn begin(&mut self, frame: &Frame<'_>) -> Result<ColorSpace> {
        let color = loaded_color(frame)?;
        let size = Size::of(frame.width(), frame.height());
        if size == self.size {
            std::mem::swap(&mut self.luma, &mut self.previous[0]);
            std::mem::swap(&mut self.chroma, &mut self.previous[1]);
        } else {
            self.previous.iter_mut().for_each(Vec::clear);
        }
        self.size = size;
        let macroblocks = size.columns * size.rows;
        self.luma.resize(256 * macroblocks, 0);
        self.chroma.resize(128 * macroblocks, 0);
        self.changed.resize(macroblocks, 1);
        Ok(color)
    }

    /// The rows of each slice, given as ranges of macroblock rows that follow each other from the first.
    pub(super) fn bands<'a>(&'a mut self, slices: &'a [Range<usize>]) -> impl Iterator<Item = SourceBand<'a>> {
        let Self { size, previous, .. } = self;
        let (size, previous) = (*size, [&*previous[0], &*previous[1]]);
        let (mut luma, mut chroma, mut changed) = (&mut *self.luma, &mut *self.chroma, &mut *self.changed);
        slices.iter().map(move |rows| {
            let macroblocks = rows.len() * size.columns;
            SourceBand {
                first_row: rows.start,
                size,
                luma: luma.split_off_mut(..256 * macroblocks).unwrap_or_default(),
                chroma: chroma.split_off_mut(..128 * macroblocks).unwrap_or_default(),
                changed: changed.split_off_mut(..macroblocks).unwrap_or_default(),
                previous,
            }
        })
    }
}

/// A slice's rows of the frame to be coded. Rows of macroblocks are counted from the slice's first.
#[derive(Debug)]
pub(super) struct SourceBand<'a> {
    first_row: usize,
    /// Of the whole frame.
    size: Size,
    luma: &'a mut [u8],
    chroma: &'a mut [u8],
    changed: &'a mut [u8],
    /// Luma and chroma of the whole frame before, if it was of this size.
    previous: [&'a [u8]; 2],
}

impl SourceBand<'_> {
    /// Takes the frame's samples, copying the last of each row and column into the rest of their macroblocks, and finds out which
    /// macroblocks aren't what they were.
    pub(super) fn load(&mut self, level: Level, frame: &Frame<'_>, reader: &mut SourceRows) {
        reader.load(level, frame, 16 * self.first_row, self.stride(), [self.luma, self.chroma]);
        self.compare(level);
    }

    /// Rows of samples are compared in their order in memory, and no further than it takes to know that all of their macroblocks
    /// have changed: films are read once here, and screens twice.
    fn compare(&mut self, level: Level) {
        let stride = self.stride();
        let previous = |k: usize, height: usize| self.previous[k].get(height * stride * self.first_row..);
        let (Some(luma), Some(chroma)) = (previous(0, 16), previous(1, 8)) else { return self.changed.fill(1) };
        if self.previous[0].is_empty() {
            return self.changed.fill(1);
        }
        self.changed.fill(0);
        for (plane, previous, height) in [(&*self.luma, luma, 16), (&*self.chroma, chroma, 8)] {
            let bands = plane.chunks_exact(height * stride).zip(previous.chunks_exact(height * stride));
            for ((band, previous), changed) in bands.zip(self.changed.chunks_exact_mut(self.size.columns)) {
                for (row, previous) in band.chunks_exact(stride).zip(previous.chunks_exact(stride)) {
                    if changed.iter().all(|&changed| changed != 0) {
                        break;
                    }
                    mark_changed(level, row, previous, 16, changed);
                }
            }
        }
    }

    const fn stride(&self) -> usize {
        16 * self.size.columns
    }

    /// Whether a macroblock is what it was in the frame before.
    #[inline(always)]
    pub(super) fn is_unchanged(&self, x: usize, y: usize) -> bool {
        self.changed.get(y * self.size.columns + x) == Some(&0)
    }

    /// Brings a row of macroblocks into the caches, which are faster at filling themselves in the order of memory than block by
    /// block.
    pub(super) fn touch(&self, y: usize) {
        let stride = self.stride();
        touch(self.luma.get(16 * y * stride..16 * (y + 1) * stride).unwrap_or_default());
        touch(self.chroma.get(8 * y * stride..8 * (y + 1) * stride).unwrap_or_default());
    }

    /// Macroblocks that are what they were in the frame before.
    pub(super) fn unchanged(&self) -> usize {
        self.changed.iter().filter(|&&changed| changed == 0).count()
    }

    /// Columns and rows of the macroblocks that aren't.
    pub(super) fn changed(&self) -> impl Iterator<Item = (u16, u16)> {
        let rows = (0..).zip(self.changed.chunks_exact(self.size.columns));
        rows.flat_map(|(y, row)| (0..).zip(row).filter(|(_, changed)| **changed != 0).map(move |(x, _)| (x, y)))
    }

    /// Where the luma from a macroblock on is found in the frame before, as positions in samples.
    pub(super) fn find(&self, level: Level, [x, y]: [usize; 2], reach: [usize; 2]) -> Option<[[usize; 2]; 2]> {
        let Size { columns, rows } = self.size;
        let block = self.luma.get(16 * (y * self.stride() + x)..)?;
        let [x, y] = [16 * x, 16 * (self.first_row + y)];
        let region = Region {
            x: [x.saturating_sub(reach[0]), (x + reach[0]).min(16 * columns - 16)],
            y: [y.saturating_sub(reach[1]), (y + reach[1]).min(16 * rows - 16)],
        };
        Some([[x, y], find_block(level, block, self.previous[0], self.stride(), region)?])
    }

    /// Luma of a macroblock.
    #[inline(always)]
    pub(super) fn luma<S: Simd>(&self, simd: S, x: usize, y: usize) -> Luma {
        load_luma(simd, self.luma, 16 * (y * self.stride() + x), self.stride())
    }

    /// Chroma of a macroblock.
    #[inline(always)]
    pub(super) fn chroma<S: Simd>(&self, simd: S, x: usize, y: usize) -> Chroma {
        load_chroma(simd, self.chroma, 8 * y * self.stride() + 16 * x, self.stride())
    }
}

/// Bytes of a cache line, or of several.
const LINE: usize = 64;

/// Reads a byte of every cache line.
pub(super) fn touch(bytes: &[u8]) {
    let sum = bytes.iter().step_by(LINE).fold(0_u8, |sum, byte| sum ^ byte);
    std::hint::black_box(sum);
}
