//! Tile modes: how each tile of a frame comes to be, and the runs of bytes that follow from them.

use std::ops::Range;

use crate::kernel::{Level, diff, predict};

use super::layout::{Layout, PlaneLayout, TILE};

/// Predicted from its neighbours. All tiles of a keyframe.
pub(super) const SPATIAL: u8 = 0;
/// Predicted from the same place of the reference.
pub(super) const TEMPORAL: u8 = 1;
/// A copy of the same place of the reference.
pub(super) const COPIED: u8 = 2;
/// A copy from the reference, displaced by the first scroll; the next mode by the second.
pub(super) const SCROLLED: u8 = 3;
/// One more than the last mode.
pub(super) const MODES: u8 = SCROLLED + 2;

/// Whether a tile of this mode has residuals in the streams.
pub(super) const fn has_residuals(mode: u8) -> bool {
    mode < COPIED
}

/// Neighbouring tiles of one mode, in one row of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Row of the plane within the band.
    pub(super) y: usize,
    /// Mode of the tiles.
    pub(super) mode: u8,
    /// Bytes of the row.
    pub(super) bytes: Range<usize>,
}

/// The spans of a plane's part of a band, in coding order: row by row, from the left.
pub(super) fn spans<'a>(
    layout: &Layout,
    plane: &'a PlaneLayout,
    band: usize,
    modes: &'a [u8],
) -> impl Iterator<Item = Span> + 'a {
    tile_rows(layout, plane, band, modes).flat_map(move |(rows, modes)| {
        // Most often: counted once rather than in each row.
        let is_one_run = modes.iter().all(|mode| Some(mode) == modes.first());
        rows.flat_map(move |y| runs(plane, modes, is_one_run).map(move |(mode, bytes)| Span { y, mode, bytes }))
    })
}

/// The rows of each row of tiles in a plane's part of a band, and the tiles' modes.
fn tile_rows<'a>(
    layout: &Layout,
    plane: &PlaneLayout,
    band: usize,
    modes: &'a [u8],
) -> impl Iterator<Item = (Range<usize>, &'a [u8])> + use<'a> {
    let rows = layout.band_rows_of(plane, band).len();
    let height = TILE >> plane.shift_y;
    let columns = modes.chunks(layout.tile_columns()).enumerate();
    columns.map(move |(index, modes)| ((index * height).min(rows)..((index + 1) * height).min(rows), modes))
}

/// Runs of tiles of one mode: the mode and the bytes of a row.
fn runs<'a>(
    plane: &'a PlaneLayout,
    modes: &'a [u8],
    is_one_run: bool,
) -> impl Iterator<Item = (u8, Range<usize>)> + 'a {
    let mut tile = 0;
    std::iter::from_fn(move || {
        let rest = modes.get(tile..)?;
        let mode = *rest.first()?;
        let start = tile * plane.tile_bytes;
        tile += if is_one_run { rest.len() } else { rest.iter().take_while(|&&other| other == mode).count() };
        Some((mode, start..(tile * plane.tile_bytes).min(plane.row_bytes)))
    })
}

/// Bytes of residuals of a plane's part of a band.
pub(super) fn residual_bytes(layout: &Layout, plane: &PlaneLayout, band: usize, modes: &[u8]) -> usize {
    let of_row =
        |modes| runs(plane, modes, false).filter(|&(mode, _)| has_residuals(mode)).map(|(_, bytes)| bytes.len());
    tile_rows(layout, plane, band, modes).map(|(rows, modes)| rows.len() * of_row(modes).sum::<usize>()).sum()
}

/// A frame that tiles are copied or predicted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// Its coded planes.
    pub(super) picture: &'a [u8],
    /// Picture rows by which parts of it moved down; 0 where unused.
    pub(super) scrolls: [i16; 2],
}

impl<'a> Reference<'a> {
    /// The row that row `y` of a plane is predicted or copied from under a mode; none where the reference has no such row.
    pub(super) fn row(&self, layout: &Layout, index: usize, y: usize, mode: u8) -> Option<&'a [u8]> {
        let shift = layout.planes().get(index)?.shift_y;
        let moved = match mode.checked_sub(SCROLLED) {
            Some(scroll) => isize::from(*self.scrolls.get(usize::from(scroll))?) >> shift,
            None => 0,
        };
        layout.row(self.picture, index, y.checked_add_signed(-moved)?)
    }
}

/// A band whose tile modes are to be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chooser<'a> {
    pub(super) level: Level,
    pub(super) layout: &'a Layout,
    pub(super) band: usize,
    /// The band's coded planes.
    pub(super) data: &'a [u8],
    pub(super) reference: Reference<'a>,
}

impl Chooser<'_> {
    /// Chooses the mode of each tile of the band.
    pub(super) fn choose(&self, modes: &mut [u8]) {
        self.mark_changed(modes);
        let columns = self.layout.tile_columns();
        for (index, mode) in modes.iter_mut().enumerate() {
            let (tile_row, column) = (index / columns, index % columns);
            *mode = match *mode {
                0 => COPIED,
                _ => self.scrolled(tile_row, column).unwrap_or_else(|| self.predicted(tile_row, column)),
            };
        }
    }

    fn mark_changed(&self, marks: &mut [u8]) {
        marks.fill(0);
        let columns = self.layout.tile_columns();
        for (index, (plane, part)) in
            self.layout.planes().iter().zip(self.layout.split_band(self.band, self.data)).enumerate()
        {
            let first = self.layout.band_rows_of(plane, self.band).start;
            for (at, row) in part.chunks_exact(plane.row_bytes).enumerate() {
                let before = self.layout.row(self.reference.picture, index, first + at).unwrap_or_default();
                let tile_row = at / (TILE >> plane.shift_y);
                let marks = marks.get_mut(tile_row * columns..(tile_row + 1) * columns).unwrap_or_default();
                diff::mark_changed(self.level, row, before, plane.tile_bytes, marks);
            }
        }
    }

    /// Rows of a tile in plane `index`: the number of the row in the plane, the row, and the tile's bytes in it.
    fn tile_rows(
        &self,
        index: usize,
        tile_row: usize,
        column: usize,
    ) -> impl Iterator<Item = (usize, &[u8], Range<usize>)> {
        let plane = self.layout.planes()[index];
        let part = self.layout.split_band(self.band, self.data)[index];
        let rows = TILE >> plane.shift_y;
        let first = self.layout.band_rows_of(&plane, self.band).start;
        let bytes = column * plane.tile_bytes..((column + 1) * plane.tile_bytes).min(plane.row_bytes);
        let rows = part.chunks_exact(plane.row_bytes).enumerate().skip(tile_row * rows).take(rows);
        rows.map(move |(at, row)| (first + at, row, bytes.clone()))
    }

    fn scrolled(&self, tile_row: usize, column: usize) -> Option<u8> {
        let used = (SCROLLED..).zip(self.reference.scrolls).filter(|&(_, scroll)| scroll != 0);
        used.map(|(mode, _)| mode).find(|&mode| {
            (0..self.layout.planes().len()).all(|index| {
                self.tile_rows(index, tile_row, column).all(|(y, row, bytes)| {
                    let source = self.reference.row(self.layout, index, y, mode);
                    source.is_some_and(|source| source[bytes.clone()] == row[bytes])
                })
            })
        })
    }

    /// The cheaper of the two predictions, judged by every fourth row of the tile's first plane.
    fn predicted(&self, tile_row: usize, column: usize) -> u8 {
        let (mut spatial, mut temporal) = (0, 0);
        let mut above: Option<&[u8]> = None;
        for (y, row, bytes) in self.tile_rows(0, tile_row, column) {
            if let (1, Some(above)) = (y % 4, above) {
                let start = bytes.start;
                spatial += self.cost(bytes.len(), |level, high, low| match low {
                    Some(low) => predict::median_residuals_16(level, predict::Run { above, row, start }, high, low),
                    None => predict::median_residuals(level, predict::Run { above, row, start }, high),
                });
                let before = &self.layout.row(self.reference.picture, 0, y).unwrap_or(row)[bytes.clone()];
                temporal += self.cost(bytes.len(), |level, high, low| match low {
                    Some(low) => predict::differences_16(level, before, &row[bytes], high, low),
                    None => predict::differences(level, before, &row[bytes], high),
                });
            }
            above = Some(row);
        }
        if temporal < spatial { TEMPORAL } else { SPATIAL }
    }

    /// The sum of the magnitudes of the residuals that `fill` writes for `bytes` of samples.
    fn cost(&self, bytes: usize, fill: impl FnOnce(Level, &mut [u8], Option<&mut [u8]>)) -> u64 {
        let mut residuals = [0; 2 * TILE];
        if !self.layout.is_wide() {
            fill(self.level, &mut residuals[..bytes], None);
            return predict::magnitude(self.level, &residuals[..bytes]);
        }
        let (high, low) = residuals[..bytes].split_at_mut(bytes / 2);
        fill(self.level, high, Some(low));
        high.iter().zip(low).map(|(&high, &mut low)| u64::from(u16::from_le_bytes([low, high]))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    #[test]
    fn spans_join_equal_neighbours_and_clip_at_the_edges() {
        let layout = Layout::with_band_rows(PixelFormat::I420, 40, 18, 32);
        let modes = [SPATIAL, SPATIAL, COPIED, TEMPORAL, COPIED, COPIED];
        let chroma: Vec<_> = spans(&layout, &layout.planes()[1], 0, &modes).collect();
        assert_eq!(chroma.len(), 8 * 2 + 2);
        assert_eq!(chroma[1], Span { y: 0, mode: COPIED, bytes: 16..20 });
        assert_eq!(chroma[16], Span { y: 8, mode: TEMPORAL, bytes: 0..8 });
        assert_eq!(residual_bytes(&layout, &layout.planes()[0], 0, &modes), 16 * 32 + 2 * 16);
    }
}
