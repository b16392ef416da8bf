//! The inverse of median prediction, sixteen rows at a time.
//!
//! A sample needs the one to its left, so a row can't be restored in parallel; but row `k` can be worked on `k` columns behind
//! row 0. In step `t`, lane `k` of a vector restores column `t - k`: what it finds to its left is its own last result, what it
//! finds above is its upper neighbour's, one lane over, and what it found above is now above left. Residuals and results lie
//! askew in that order, and are turned by transposing squares.

use fearless_simd::{Level, Simd, SimdBase, dispatch, u8x16};
use fearless_simd_macros::simd;

use crate::kernel::predict::median_restore;

/// Rows restored together.
pub(crate) const ROWS: usize = 16;

/// Restores whole rows of 8-bit samples, which follow each other without gaps, from as many residuals. `above` is the row above
/// the first.
pub(crate) fn median_restore_rows(level: Level, above: &[u8], rows: &mut [u8], residuals: &[u8]) {
    let width = above.len();
    let mut above = above;
    let groups = rows.chunks_mut((ROWS * width).max(1)).zip(residuals.chunks((ROWS * width).max(1)));
    for (rows, residuals) in groups {
        if rows.len() == ROWS * width && residuals.len() == rows.len() {
            dispatch!(level, simd => restore_group(simd, above, rows, residuals));
        } else {
            restore_each(above, rows, residuals);
        }
        above = rows.get(rows.len().saturating_sub(width)..).unwrap_or_default();
    }
}

/// The specification: one row after another.
fn restore_each(above: &[u8], rows: &mut [u8], residuals: &[u8]) {
    let width = above.len().max(1);
    for (y, residuals) in residuals.chunks(width).enumerate() {
        let (before, rest) = rows.split_at_mut((y * width).min(rows.len()));
        let above = if y == 0 { above } else { before.get(before.len() - width..).unwrap_or_default() };
        median_restore(above, rest.get_mut(..width).unwrap_or_default(), 0, residuals);
    }
}

#[simd]
fn restore_group<S: Simd>(simd: S, above: &[u8], rows: &mut [u8], residuals: &[u8]) {
    let width = above.len();
    let lanes = u8x16::from_slice(simd, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    let mut result = u8x16::splat(simd, 0);
    let mut corner = result;
    for first in (0..width + ROWS - 1).step_by(ROWS) {
        let mut square = [result; ROWS];
        for (k, line) in square.iter_mut().enumerate() {
            *line = load(simd, &residuals[k * width..(k + 1) * width], first, k);
        }
        let mut square = transpose(simd, square);
        for (j, step) in square.iter_mut().enumerate() {
            let entering = u8x16::splat(simd, above.get(first + j).copied().unwrap_or(0));
            let up = entering.slide::<15>(result);
            let mut left = result;
            if first == 0 {
                // Lane j is in its first column, where all neighbours are the one above.
                let is_first = lanes.simd_eq(u8x16::splat(simd, j as u8));
                left = simd.select_u8x16(is_first, up, left);
                corner = simd.select_u8x16(is_first, up, corner);
            }
            let median = left + up - corner.max(left.min(up)).min(left.max(up));
            result = median + *step;
            corner = up;
            *step = result;
        }
        for (k, line) in transpose(simd, square).into_iter().enumerate() {
            store(line, &mut rows[k * width..(k + 1) * width], first, k);
        }
    }
}

/// Sixteen bytes of a row from `first - behind` on; what lies outside the row is 0.
#[simd]
fn load<S: Simd>(simd: S, row: &[u8], first: usize, behind: usize) -> u8x16<S> {
    if let (Some(start), true) = (first.checked_sub(behind), first + ROWS <= row.len() + behind) {
        return u8x16::from_slice(simd, &row[start..start + ROWS]);
    }
    let mut line = [0; ROWS];
    for (j, out) in line.iter_mut().enumerate() {
        *out = (first + j).checked_sub(behind).and_then(|x| row.get(x)).copied().unwrap_or(0);
    }
    u8x16::from_slice(simd, &line)
}

/// The inverse of [`load`]: what lies outside the row is dropped.
#[inline(always)]
fn store<S: Simd>(line: u8x16<S>, row: &mut [u8], first: usize, behind: usize) {
    if let (Some(start), true) = (first.checked_sub(behind), first + ROWS <= row.len() + behind) {
        line.store_slice(&mut row[start..start + ROWS]);
        return;
    }
    let mut bytes = [0; ROWS];
    line.store_slice(&mut bytes);
    for (j, &byte) in bytes.iter().enumerate() {
        if let Some(out) = (first + j).checked_sub(behind).and_then(|x| row.get_mut(x)) {
            *out = byte;
        }
    }
}

/// Turns a square: four rounds of interleaving each line with the one eight further.
#[simd]
fn transpose<S: Simd>(simd: S, mut square: [u8x16<S>; ROWS]) -> [u8x16<S>; ROWS] {
    for _ in 0..4 {
        let mut next = square;
        for k in 0..ROWS / 2 {
            (next[2 * k], next[2 * k + 1]) = simd.interleave_u8x16(square[k], square[k + ROWS / 2]);
        }
        square = next;
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    #[test]
    fn the_wavefront_is_one_row_after_another() {
        each_level!(level => {
            for width in [1, 2, 15, 16, 17, 31, 32, 33, 100, 257] {
                for rows in [1, 15, 16, 17, 32, 40] {
                    let noise = |seed: usize, count: usize| -> Vec<u8> {
                        (0..count).map(|i| (((i + seed) * 2_654_435_761) >> 13) as u8 >> (i % 5)).collect()
                    };
                    let (above, residuals) = (noise(1, width), noise(7, width * rows));
                    let (mut wanted, mut rows) = (vec![0; residuals.len()], vec![0; residuals.len()]);
                    restore_each(&above, &mut wanted, &residuals);
                    median_restore_rows(level, &above, &mut rows, &residuals);
                    assert_eq!(rows, wanted, "{width} wide");
                }
            }
        });
    }
}
