//! The caller's frame as the encoder wants it: whole macroblocks, chroma halved and interleaved.

use std::ops::Range;

use fearless_simd::Simd;

use crate::error::Result;
use crate::frame::{ColorSpace, Frame};
use crate::kernel::Level;
use crate::kernel::diff::mark_changed;
use crate::kernel::h264::copy::{load_chroma, load_luma};
use crate::kernel::h264::source::SourceRows;
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

    /// Macroblock rows of each of `count` slices, as even as can be.
    pub(super) fn slices(self, count: usize) -> impl Iterator<Item = Range<usize>> {
        let count = count.clamp(1, self.rows.max(1));
        (0..count).map(move |k| k * self.rows / count..(k + 1) * self.rows / count)
    }
}

/// A frame to be coded. Both planes have rows of 16 bytes a macroblock column, without borders.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) luma: Vec<u8>,
    pub(super) chroma: Vec<u8>,
    pub(super) size: Size,
    /// The frame before, as it was.
    previous: [Vec<u8>; 2],
    /// For each macroblock, row by row, whether it isn't what it was in the frame before.
    changed: Vec<u8>,
    rows: SourceRows,
}

impl Source {
    /// Takes a frame's samples, copying the last of each row and column into the rest of their macroblocks. Returns the color
    /// space the samples are in: planar 4:2:0 is taken as it is, anything else becomes full-range BT.601.
    pub(super) fn load(&mut self, level: Level, frame: &Frame<'_>) -> Result<ColorSpace> {
        let size = Size::of(frame.width(), frame.height());
        if size == self.size {
            std::mem::swap(&mut self.luma, &mut self.previous[0]);
            std::mem::swap(&mut self.chroma, &mut self.previous[1]);
        } else {
            self.previous.iter_mut().for_each(Vec::clear);
        }
        self.size = size;
        let luma_bytes = 256 * self.size.columns * self.size.rows;
        self.luma.resize(luma_bytes, 0);
        self.chroma.resize(luma_bytes / 2, 0);
        let color = self.rows.load(level, frame, 16 * self.size.columns, &mut self.luma, &mut self.chroma)?;
        self.compare(level);
        Ok(color)
    }

    /// Finds out which macroblocks aren't what they were. Rows of samples are compared in their order in memory, and no further
    /// than it takes to know that all of their macroblocks have changed: films are read once here, and screens twice.
    fn compare(&mut self, level: Level) {
        let Size { columns, rows } = self.size;
        self.changed.clear();
        if self.previous[0].len() != self.luma.len() {
            return self.changed.resize(columns * rows, 1);
        }
        self.changed.resize(columns * rows, 0);
        let stride = 16 * columns;
        for (plane, previous, height) in [(&self.luma, &self.previous[0], 16), (&self.chroma, &self.previous[1], 8)] {
            let bands = plane.chunks_exact(height * stride).zip(previous.chunks_exact(height * stride));
            for ((band, previous), changed) in bands.zip(self.changed.chunks_exact_mut(columns)) {
                for (row, previous) in band.chunks_exact(stride).zip(previous.chunks_exact(stride)) {
                    if changed.iter().all(|&changed| changed != 0) {
                        break;
                    }
                    mark_changed(level, row, previous, 16, changed);
                }
            }
        }
    }

    /// Whether a macroblock is what it was in the frame before.
    #[inline(always)]
    pub(super) fn is_unchanged(&self, x: usize, y: usize) -> bool {
        self.changed.get(y * self.size.columns + x) == Some(&0)
    }

    /// Brings a row of macroblocks into the caches, which are faster at filling themselves in the order of memory than block by
    /// block.
    pub(super) fn touch(&self, y: usize) {
        let stride = 16 * self.size.columns;
        touch(self.luma.get(16 * y * stride..16 * (y + 1) * stride).unwrap_or_default());
        touch(self.chroma.get(8 * y * stride..8 * (y + 1) * stride).unwrap_or_default());
    }

    /// Luma of this frame and of the one before.
    pub(super) fn lumas(&self) -> [&[u8]; 2] {
        [&self.luma, &self.previous[0]]
    }

    /// Luma of a macroblock.
    #[inline(always)]
    pub(super) fn luma<S: Simd>(&self, simd: S, x: usize, y: usize) -> Luma {
        let stride = 16 * self.size.columns;
        load_luma(simd, &self.luma, 16 * (y * stride + x), stride)
    }

    /// Chroma of a macroblock.
    #[inline(always)]
    pub(super) fn chroma<S: Simd>(&self, simd: S, x: usize, y: usize) -> Chroma {
        let stride = 16 * self.size.columns;
        load_chroma(simd, &self.chroma, 8 * y * stride + 16 * x, stride)
    }
}

/// Bytes of a cache line, or of several.
const LINE: usize = 64;

/// Reads a byte of every cache line.
pub(super) fn touch(bytes: &[u8]) {
    let sum = bytes.iter().step_by(LINE).fold(0_u8, |sum, byte| sum ^ byte);
    std::hint::black_box(sum);
}
