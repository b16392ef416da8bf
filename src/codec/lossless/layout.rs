//! How a picture is cut: coded planes, bands of rows, tiles.
//!
//! Coded planes lie band after band, and within a band plane after plane, so that a band is one slice.

use std::ops::Range;

use crate::frame::PixelFormat;

/// Side of a tile, in pixels (luma samples).
pub(super) const TILE: usize = 16;
/// Most planes a format is coded as.
pub(super) const MAX_PLANES: usize = 4;
/// Samples of the first plane a band aims at: enough for a Huffman table to pay, few enough to keep several cores busy.
const BAND_SAMPLES: usize = 1 << 17;
/// Most rows of a band.
const MAX_BAND_ROWS: usize = 1024;

/// One coded plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PlaneLayout {
    /// Bytes of a row.
    pub(super) row_bytes: usize,
    /// Rows.
    pub(super) rows: usize,
    /// 1 where the plane has half the picture's rows.
    pub(super) shift_y: u32,
    /// Bytes of a tile's row.
    pub(super) tile_bytes: usize,
}

/// The cut of one picture size and format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: PixelFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Picture rows of a band, a multiple of [`TILE`]; the last band may have fewer.
    pub(super) band_rows: usize,
    planes: [PlaneLayout; MAX_PLANES],
    count: usize,
}

impl Layout {
    /// The cut the encoder makes.
    pub(super) fn new(format: PixelFormat, width: u32, height: u32) -> Self {
        let rows = BAND_SAMPLES / width.max(1) as usize / TILE * TILE;
        Self::with_band_rows(format, width, height, rows.clamp(TILE, MAX_BAND_ROWS))
    }

    /// A cut with bands of `band_rows`, which must be a positive multiple of [`TILE`].
    pub(super) fn with_band_rows(format: PixelFormat, width: u32, height: u32, band_rows: usize) -> Self {
        let (w, h) = (width as usize, height as usize);
        let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
        let full = PlaneLayout { row_bytes: w, rows: h, shift_y: 0, tile_bytes: TILE };
        let narrow = PlaneLayout { row_bytes: half_w, tile_bytes: TILE / 2, ..full };
        let quarter = PlaneLayout { rows: half_h, shift_y: 1, ..narrow };
        let wide = PlaneLayout { row_bytes: 2 * w, tile_bytes: 2 * TILE, ..full };
        let even = PlaneLayout { row_bytes: 2 * half_w, ..full };
        let none = PlaneLayout::default();
        let (planes, count) = match format {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 | PixelFormat::I444 => ([full, full, full, none], 3),
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => ([full; 4], 4),
            PixelFormat::Gray8 => ([full, none, none, none], 1),
            PixelFormat::Gray16 => ([wide, none, none, none], 1),
            PixelFormat::I420 | PixelFormat::Nv12 => ([full, quarter, quarter, none], 3),
            PixelFormat::I422 => ([full, narrow, narrow, none], 3),
            PixelFormat::Yuyv | PixelFormat::Uyvy => ([even, narrow, narrow, none], 3),
        };
        Self { format, width, height, band_rows, planes, count }
    }

    /// The coded planes.
    pub(super) fn planes(&self) -> &[PlaneLayout] {
        &self.planes[..self.count]
    }

    /// Whether samples have sixteen bits, and so two streams.
    pub(super) fn is_wide(&self) -> bool {
        self.format == PixelFormat::Gray16
    }

    /// Streams of a band: one a plane, two for 16-bit samples (high bytes, low bytes).
    pub(super) fn streams(&self) -> usize {
        self.count + usize::from(self.is_wide())
    }

    /// Number of bands.
    pub(super) fn bands(&self) -> usize {
        (self.height as usize).div_ceil(self.band_rows)
    }

    /// Tiles in a row of tiles.
    pub(super) fn tile_columns(&self) -> usize {
        (self.width as usize).div_ceil(TILE)
    }

    /// Tiles of a whole band.
    pub(super) fn band_tiles(&self) -> usize {
        self.band_rows / TILE * self.tile_columns()
    }

    /// Tiles of the picture.
    pub(super) fn tiles(&self) -> usize {
        (self.height as usize).div_ceil(TILE) * self.tile_columns()
    }

    /// Bytes of a whole band: every one but the last.
    pub(super) fn band_bytes(&self) -> usize {
        self.planes().iter().map(|plane| plane.row_bytes * (self.band_rows >> plane.shift_y)).sum()
    }

    /// Bytes of the picture.
    pub(super) fn picture_bytes(&self) -> usize {
        self.planes().iter().map(|plane| plane.row_bytes * plane.rows).sum()
    }

    /// The rows of a plane that lie in a band.
    pub(super) fn band_rows_of(&self, plane: &PlaneLayout, band: usize) -> Range<usize> {
        let rows = self.band_rows >> plane.shift_y;
        (band * rows).min(plane.rows)..((band + 1) * rows).min(plane.rows)
    }

    /// Cuts a band into its planes.
    pub(super) fn split_band<'a>(&self, band: usize, mut data: &'a [u8]) -> [&'a [u8]; MAX_PLANES] {
        let mut parts = [&[][..]; MAX_PLANES];
        for (part, plane) in parts.iter_mut().zip(self.planes()) {
            let bytes = plane.row_bytes * self.band_rows_of(plane, band).len();
            (*part, data) = data.split_at(bytes.min(data.len()));
        }
        parts
    }

    /// Cuts a band into its planes, to be written.
    pub(super) fn split_band_mut<'a>(&self, band: usize, mut data: &'a mut [u8]) -> [&'a mut [u8]; MAX_PLANES] {
        let mut parts = [(); MAX_PLANES].map(|()| &mut [][..]);
        for (part, plane) in parts.iter_mut().zip(self.planes()) {
            let bytes = plane.row_bytes * self.band_rows_of(plane, band).len();
            (*part, data) = data.split_at_mut(bytes.min(data.len()));
        }
        parts
    }

    /// Row `y` of plane `index` in a picture's planes; none where the plane has no such row.
    pub(super) fn row<'a>(&self, picture: &'a [u8], index: usize, y: usize) -> Option<&'a [u8]> {
        let plane = self.planes().get(index)?;
        let band = y.checked_div(self.band_rows >> plane.shift_y)?;
        let rows = self.band_rows_of(plane, band);
        if !rows.contains(&y) {
            return None;
        }
        let before: usize =
            self.planes()[..index].iter().map(|plane| plane.row_bytes * self.band_rows_of(plane, band).len()).sum();
        let start = band * self.band_bytes() + before + (y - rows.start) * plane.row_bytes;
        picture.get(start..start + plane.row_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_and_rows_cover_each_byte_once() {
        for format in PixelFormat::ALL {
            for (width, height, band_rows) in [(1, 1, 16), (17, 33, 16), (40, 47, 32), (5, 100, 48)] {
                let layout = Layout::with_band_rows(format, width, height, band_rows);
                let picture: Vec<u8> = (0..layout.picture_bytes()).map(|i| (i * 7 / 3) as u8).collect();
                let mut seen = 0;
                for (band, data) in picture.chunks(layout.band_bytes()).enumerate() {
                    let parts = layout.split_band(band, data);
                    for (index, plane) in layout.planes().iter().enumerate() {
                        let rows = layout.band_rows_of(plane, band);
                        for (y, row) in rows.zip(parts[index].chunks(plane.row_bytes)) {
                            assert_eq!(layout.row(&picture, index, y), Some(row));
                            seen += row.len();
                        }
                        assert_eq!(layout.row(&picture, index, plane.rows), None);
                        assert!(plane.row_bytes.div_ceil(plane.tile_bytes) <= layout.tile_columns());
                    }
                }
                assert_eq!(seen, picture.len(), "{format} {width}x{height}");
                assert_eq!(picture.chunks(layout.band_bytes()).count(), layout.bands());
            }
        }
    }
}
