//! A band's residuals: made from coded planes and tile modes, and the way back.

use crate::error::Result;
use crate::kernel::{Level, predict, wavefront};

use super::header::malformed;
use super::layout::Layout;
use super::tiles::{self, COPIED, Reference, SPATIAL, Span};

/// What both ways need to know of a band.
#[derive(Clone, Copy, Debug)]
pub(super) struct BandContext<'a> {
    pub(super) level: Level,
    pub(super) layout: &'a Layout,
    pub(super) band: usize,
    /// Modes of the band's tiles.
    pub(super) modes: &'a [u8],
    pub(super) reference: Reference<'a>,
    /// As many zeros as the widest row has bytes: the row above a band's first.
    pub(super) zeros: &'a [u8],
}

/// Takes the next `bytes` off a buffer of residuals, in two halves for 16-bit samples: the high bytes are its first half.
struct Cursor {
    at: usize,
    half: Option<usize>,
}

impl Cursor {
    fn new(total: usize, is_wide: bool) -> Self {
        Self { at: 0, half: is_wide.then_some(total / 2) }
    }

    /// The residuals' places: the first (or high) part, and the low part of 16-bit samples.
    fn next(&mut self, bytes: usize) -> (std::ops::Range<usize>, Option<std::ops::Range<usize>>) {
        let count = if self.half.is_some() { bytes / 2 } else { bytes };
        let first = self.at..self.at + count;
        self.at += count;
        let second = self.half.map(|half| half + first.start..half + first.end);
        (first, second)
    }
}

impl BandContext<'_> {
    fn reference_row(&self, index: usize, y: usize, mode: u8) -> Option<&[u8]> {
        let plane = self.layout.planes().get(index)?;
        self.reference.row(self.layout, index, self.layout.band_rows_of(plane, self.band).start + y, mode)
    }

    /// Writes the residuals of plane `index`, whose rows of this band are `part`; returns their number of bytes. For 16-bit
    /// samples the first half are the high bytes.
    pub(super) fn residuals(&self, index: usize, part: &[u8], out: &mut [u8]) -> usize {
        let plane = &self.layout.planes()[index];
        let total = tiles::residual_bytes(self.layout, plane, self.band, self.modes);
        let mut cursor = Cursor::new(total, self.layout.is_wide());
        let out = &mut out[..total];
        let coded =
            tiles::spans(self.layout, plane, self.band, self.modes).filter(|span| tiles::has_residuals(span.mode));
        for Span { y, mode, bytes } in coded {
            let (before, row) = part.split_at(y * plane.row_bytes);
            let row = &row[..plane.row_bytes];
            let above = before.last_chunk_of(plane.row_bytes).unwrap_or(self.zeros);
            let run = predict::Run { above, row, start: bytes.start };
            let (first, second) = cursor.next(bytes.len());
            let reference = || self.reference_row(index, y, mode).map_or(&[][..], |row| &row[bytes.clone()]);
            match (mode, second) {
                (SPATIAL, None) => predict::median_residuals(self.level, run, &mut out[first]),
                (_, None) => predict::differences(self.level, reference(), &row[bytes.clone()], &mut out[first]),
                (_, Some(second)) => {
                    let (high, low) = out.split_at_mut(total / 2);
                    let (high, low) = (&mut high[first], &mut low[second.start - total / 2..second.end - total / 2]);
                    match mode {
                        SPATIAL => predict::median_residuals_16(self.level, run, high, low),
                        _ => predict::differences_16(self.level, reference(), &row[bytes.clone()], high, low),
                    }
                }
            }
        }
        total
    }

    /// Fills the rows of plane `index` from its residuals, of which there must be as many as the modes say.
    ///
    /// # Errors
    /// A tile copied from outside the reference.
    pub(super) fn restore(&self, index: usize, residuals: &[u8], part: &mut [u8]) -> Result<()> {
        let plane = &self.layout.planes()[index];
        if !self.layout.is_wide() && self.modes.iter().all(|&mode| mode == SPATIAL) {
            let above = self.zeros.get(..plane.row_bytes).unwrap_or_default();
            wavefront::median_restore_rows(self.level, above, part, residuals);
            return Ok(());
        }
        let mut cursor = Cursor::new(residuals.len(), self.layout.is_wide());
        for Span { y, mode, bytes } in tiles::spans(self.layout, plane, self.band, self.modes) {
            let (before, rest) = part.split_at_mut(y * plane.row_bytes);
            let row = &mut rest[..plane.row_bytes];
            let above = before.last_chunk_of(plane.row_bytes).unwrap_or(self.zeros);
            let mut source: &[u8] = &[];
            if mode != SPATIAL {
                let outside =
                    || malformed(format!("a tile of mode {mode} in band {} points outside the reference", self.band));
                source = &self.reference_row(index, y, mode).ok_or_else(outside)?[bytes.clone()];
            }
            if mode >= COPIED {
                row[bytes].copy_from_slice(source);
                continue;
            }
            let (first, second) = cursor.next(bytes.len());
            let first = &residuals[first];
            match (mode, second) {
                (SPATIAL, None) => predict::median_restore(above, row, bytes.start, first),
                (SPATIAL, Some(low)) => predict::median_restore_16(above, row, bytes.start, first, &residuals[low]),
                (_, None) => predict::differences_restore(self.level, source, &mut row[bytes], first),
                (_, Some(low)) => predict::differences_restore_16(source, &mut row[bytes], first, &residuals[low]),
            }
        }
        Ok(())
    }
}

trait LastBytes {
    /// The last `count` bytes.
    fn last_chunk_of(&self, count: usize) -> Option<&[u8]>;
}

impl LastBytes for [u8] {
    fn last_chunk_of(&self, count: usize) -> Option<&[u8]> {
        self.get(self.len().checked_sub(count)?..)
    }
}
