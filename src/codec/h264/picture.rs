//! Reconstructed pictures: planes with a border, so that motion may point outside.

use std::ops::Range;

use super::source::{Size, touch};

/// Samples of border on every side of luma; of chroma as many bytes at the sides, and half as many rows.
pub(super) const BORDER: usize = 32;
/// Bytes after the last row, which wide loads may touch.
const SLACK: usize = 128;

/// One plane with its border. Chroma is interleaved, so that its rows are as long as luma's.
#[derive(Clone, Debug, Default)]
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    /// Rows, without borders.
    rows: usize,
    border_rows: usize,
}

impl Plane {
    fn new(row_bytes: usize, rows: usize, border_rows: usize) -> Self {
        let stride = (row_bytes + 2 * BORDER).next_multiple_of(64);
        Self { samples: vec![128; stride * (rows + 2 * border_rows) + SLACK], stride, rows, border_rows }
    }

    /// Becomes a copy of another, in the memory it has.
    pub(super) fn copy(&mut self, other: &Self) {
        let samples = std::mem::take(&mut self.samples);
        *self = Self { samples, ..*other };
        self.samples.clone_from(&other.samples);
    }

    /// Index of a row's first sample.
    pub(super) fn row_start(&self, y: usize) -> usize {
        (y + self.border_rows) * self.stride + BORDER
    }

    /// Index of a sample, which may lie in the border.
    #[inline(always)]
    pub(super) fn at(&self, x: isize, y: isize) -> usize {
        (y + self.border_rows as isize) as usize * self.stride + (x + BORDER as isize) as usize
    }

    /// Copies rows from `y` on, without borders, into `out`, whose rows are `row_bytes`.
    pub(super) fn copy_rows(&self, y: usize, out: &mut [u8], row_bytes: usize) {
        for (y, row) in (y..).zip(out.chunks_exact_mut(row_bytes)) {
            let at = self.row_start(y);
            row.copy_from_slice(&self.samples[at..at + row_bytes]);
        }
    }

    /// The samples from the first on, borders between rows included.
    pub(super) fn visible(&self) -> &[u8] {
        self.samples.get(self.row_start(0)..).unwrap_or_default()
    }

    /// Brings rows into the caches.
    fn touch(&self, rows: Range<usize>) {
        let range = (rows.start + self.border_rows) * self.stride..(rows.end + self.border_rows) * self.stride;
        touch(self.samples.get(range).unwrap_or_default());
    }

    /// Fills the border above and below with copies of the outermost rows.
    fn extend(&mut self) {
        let stride = self.stride;
        let first = self.border_rows * stride;
        for y in 0..self.border_rows {
            self.samples.copy_within(first..first + stride, y * stride);
            let last = first + (self.rows - 1) * stride;
            self.samples.copy_within(last..last + stride, first + (self.rows + y) * stride);
        }
    }

    /// The rows of each range, without borders above and below, to be written at the same time.
    fn bands(&mut self, ranges: impl Iterator<Item = Range<usize>>) -> impl Iterator<Item = &mut [u8]> {
        let stride = self.stride;
        let mut rest = &mut self.samples[self.border_rows * stride..];
        ranges.map(move |range| {
            let (band, after) = std::mem::take(&mut rest).split_at_mut(range.len() * stride);
            rest = after;
            band
        })
    }
}

/// A picture as a decoder will have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) luma: Plane,
    pub(super) chroma: Plane,
    size: Size,
}

impl Picture {
    pub(super) fn new(size: Size) -> Self {
        let (width, height) = (16 * size.columns, 16 * size.rows);
        Self { luma: Plane::new(width, height, BORDER), chroma: Plane::new(width, height / 2, BORDER / 2), size }
    }

    pub(super) fn is_of(&self, size: Size) -> bool {
        self.size == size
    }

    /// Brings a row of macroblocks into the caches; the one after the last is border.
    pub(super) fn touch(&self, y: usize) {
        self.luma.touch(16 * y..16 * (y + 1));
        self.chroma.touch(8 * y..8 * (y + 1));
    }

    /// Makes the picture fit to be predicted from, once all its slices are there with their borders.
    pub(super) fn extend(&mut self) {
        self.luma.extend();
        self.chroma.extend();
    }

    /// The rows of each slice, given as ranges of macroblock rows that follow each other from the first.
    pub(super) fn bands<'a>(&'a mut self, slices: &'a [Range<usize>]) -> impl Iterator<Item = Band<'a>> {
        let stride = self.luma.stride;
        let luma = self.luma.bands(slices.iter().map(|rows| 16 * rows.start..16 * rows.end));
        let chroma = self.chroma.bands(slices.iter().map(|rows| 8 * rows.start..8 * rows.end));
        luma.zip(chroma).map(move |(luma, chroma)| Band { luma, chroma, stride })
    }
}

/// A slice's rows of the picture that is being made. Index 0 is the left border of its first row.
#[derive(Debug)]
pub(super) struct Band<'a> {
    pub(super) luma: &'a mut [u8],
    pub(super) chroma: &'a mut [u8],
    pub(super) stride: usize,
}

impl Band<'_> {
    /// Index of the top left sample of a macroblock in luma, counted in rows of the slice.
    #[inline(always)]
    pub(super) fn luma_at(&self, x: usize, y: usize) -> usize {
        16 * y * self.stride + BORDER + 16 * x
    }

    /// Fills the borders left and right of a row of macroblocks with copies of the outermost samples.
    pub(super) fn extend(&mut self, y: usize, columns: usize) {
        let stride = self.stride;
        for row in self.luma[16 * y * stride..16 * (y + 1) * stride].chunks_exact_mut(stride) {
            let (left, rest) = row.split_at_mut(BORDER);
            let (middle, right) = rest.split_at_mut(16 * columns);
            left.fill(middle[0]);
            right.fill(middle[16 * columns - 1]);
        }
        for row in self.chroma[8 * y * stride..8 * (y + 1) * stride].chunks_exact_mut(stride) {
            let (left, rest) = row.as_chunks_mut::<2>().0.split_at_mut(BORDER / 2);
            let (middle, right) = rest.split_at_mut(8 * columns);
            left.fill(middle[0]);
            right.fill(middle[8 * columns - 1]);
        }
    }

    /// As `luma_at`, in chroma.
    #[inline(always)]
    pub(super) fn chroma_at(&self, x: usize, y: usize) -> usize {
        8 * y * self.stride + BORDER + 16 * x
    }
}
