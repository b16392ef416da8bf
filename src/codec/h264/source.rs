//! The caller's frame as the encoder wants it: whole macroblocks, chroma halved and interleaved.

use std::ops::Range;

use crate::error::Result;
use crate::frame::{ColorSpace, Frame};
use crate::kernel::Level;
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
        self.rows.load(level, frame, 16 * self.size.columns, &mut self.luma, &mut self.chroma)
    }

    /// Whether a macroblock is what it was in the frame before.
    #[inline(always)]
    pub(super) fn is_unchanged(&self, x: usize, y: usize) -> bool {
        let stride = 16 * self.size.columns;
        is_same::<16>(&self.luma, &self.previous[0], stride, 16 * y, x)
            && is_same::<8>(&self.chroma, &self.previous[1], stride, 8 * y, x)
    }

    /// Luma of this frame and of the one before.
    pub(super) fn lumas(&self) -> [&[u8]; 2] {
        [&self.luma, &self.previous[0]]
    }

    /// Luma of a macroblock.
    #[inline(always)]
    pub(super) fn luma(&self, x: usize, y: usize) -> Luma {
        block(&self.luma, 16 * self.size.columns, 16 * y, x)
    }

    /// Chroma of a macroblock.
    #[inline(always)]
    pub(super) fn chroma(&self, x: usize, y: usize) -> Chroma {
        block(&self.chroma, 16 * self.size.columns, 8 * y, x)
    }
}

/// Whether sixteen bytes of `N` rows are the same in both planes; a plane that isn't there has nothing the same.
#[inline(always)]
fn is_same<const N: usize>(a: &[u8], b: &[u8], stride: usize, first_row: usize, column: usize) -> bool {
    let start = first_row * stride + 16 * column;
    let end = start + (N - 1) * stride + 16;
    let (Some(a), Some(b)) = (a.get(start..end), b.get(start..end)) else { return false };
    let row = |plane: &[u8], y: usize| plane[y * stride..].first_chunk::<16>().map(|row| u128::from_le_bytes(*row));
    (0..N).all(|y| row(a, y) == row(b, y))
}

/// Sixteen bytes of `N` rows.
#[inline(always)]
fn block<const N: usize>(plane: &[u8], stride: usize, first_row: usize, column: usize) -> [[u8; 16]; N] {
    let start = first_row * stride + 16 * column;
    let rows = &plane[start..start + (N - 1) * stride + 16];
    let mut block = [[0; 16]; N];
    for (y, out) in block.iter_mut().enumerate() {
        *out = rows[y * stride..].first_chunk().copied().unwrap_or_default();
    }
    block
}
