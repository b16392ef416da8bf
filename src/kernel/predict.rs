//! The median edge predictor (the one of JPEG-LS, ITU-T T.87 4.3), differences from a reference, and their inverses.
//!
//! With `l`, `u` and `c` the samples to the left, above, and above left, the prediction is the median of `l`, `u` and
//! `l + u - c`. It's computed as `l + u - clamp(c, min(l, u), max(l, u))`, which is the same number and never leaves the
//! sample's own width. In a row's first column `l` and `c` are `u`.

use fearless_simd::{Level, dispatch};

#[inline(always)]
fn median_u8(left: u8, above: u8, corner: u8) -> u8 {
    let corner = corner.max(left.min(above)).min(left.max(above));
    left.wrapping_add(above).wrapping_sub(corner)
}

#[inline(always)]
fn median_u16(left: u16, above: u16, corner: u16) -> u16 {
    let corner = corner.max(left.min(above)).min(left.max(above));
    left.wrapping_add(above).wrapping_sub(corner)
}

/// A difference modulo 2^16, its sign moved to the lowest bit: small differences of either sign have a zero high byte.
#[inline(always)]
fn zigzag(difference: u16) -> u16 {
    (difference << 1) ^ (difference.cast_signed() >> 15).cast_unsigned()
}

#[inline(always)]
fn unzigzag(code: u16) -> u16 {
    (code >> 1) ^ (code & 1).wrapping_neg()
}

/// A run of samples within a row: the row, the one above it and the run's first byte. Both rows reach at least to the run's
/// end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// The row above.
    pub(crate) above: &'a [u8],
    /// The row itself.
    pub(crate) row: &'a [u8],
    /// The run's first byte in both.
    pub(crate) start: usize,
}

/// What is left of `out.len()` 8-bit samples after median prediction.
pub(crate) fn median_residuals(level: Level, run: Run<'_>, out: &mut [u8]) {
    dispatch!(level, _simd => median_residuals_body(run, out));
}

#[inline(always)]
fn median_residuals_body(run: Run<'_>, out: &mut [u8]) {
    let Run { above, row, start } = run;
    let end = start + out.len();
    if start == 0 {
        let Some(first) = out.first_mut() else { return };
        *first = row[0].wrapping_sub(above[0]);
    }
    let skip = usize::from(start == 0);
    let (from, out) = (start + skip, &mut out[skip..]);
    let (left, corner) = (&row[from - 1..end - 1], &above[from - 1..end - 1]);
    let (row, above) = (&row[from..end], &above[from..end]);
    for ((((out, &x), &l), &u), &c) in out.iter_mut().zip(row).zip(left).zip(above).zip(corner) {
        *out = x.wrapping_sub(median_u8(l, u, c));
    }
}

/// The inverse of [`median_residuals`]: fills `row[start..]` for as many samples as there are residuals.
pub(crate) fn median_restore(above: &[u8], row: &mut [u8], start: usize, residuals: &[u8]) {
    let end = start + residuals.len();
    let (before, row) = row.split_at_mut(start);
    let (mut left, mut corner) = match (before.last(), start.checked_sub(1).and_then(|at| above.get(at))) {
        (Some(&left), Some(&corner)) => (left, corner),
        _ => above.first().map_or((0, 0), |&first| (first, first)),
    };
    let above = above.get(start..end).unwrap_or_default();
    for ((x, &u), &r) in row.iter_mut().zip(above).zip(residuals) {
        left = r.wrapping_add(median_u8(left, u, corner));
        corner = u;
        *x = left;
    }
}

/// What is left of a run of 16-bit little-endian samples after median prediction, zigzag-coded and split into high and low
/// bytes; the run is as many samples as `high` and `low` have.
pub(crate) fn median_residuals_16(level: Level, run: Run<'_>, high: &mut [u8], low: &mut [u8]) {
    dispatch!(level, _simd => median_residuals_16_body(run, high, low));
}

#[inline(always)]
fn median_residuals_16_body(run: Run<'_>, high: &mut [u8], low: &mut [u8]) {
    let (row, above) = (run.row.as_chunks::<2>().0, run.above.as_chunks::<2>().0);
    let start = run.start / 2;
    let end = start + high.len();
    let mut skip = 0;
    if let (0, [h, ..], [l, ..]) = (start, &mut *high, &mut *low) {
        let residual = u16::from_le_bytes(row[0]).wrapping_sub(u16::from_le_bytes(above[0]));
        [*l, *h] = zigzag(residual).to_le_bytes();
        skip = 1;
    }
    let from = start + skip;
    if from >= end {
        return;
    }
    let (left, corner) = (&row[from - 1..end - 1], &above[from - 1..end - 1]);
    let (row, above) = (&row[from..end], &above[from..end]);
    let out = high[skip..].iter_mut().zip(&mut low[skip..]);
    for (((((h, l), x), left), above), corner) in out.zip(row).zip(left).zip(above).zip(corner) {
        let predicted = median_u16(u16::from_le_bytes(*left), u16::from_le_bytes(*above), u16::from_le_bytes(*corner));
        [*l, *h] = zigzag(u16::from_le_bytes(*x).wrapping_sub(predicted)).to_le_bytes();
    }
}

/// The inverse of [`median_residuals_16`]; `start` is in bytes.
pub(crate) fn median_restore_16(above: &[u8], row: &mut [u8], start: usize, high: &[u8], low: &[u8]) {
    let (before, row) = row.split_at_mut(start);
    let above = above.as_chunks::<2>().0;
    let start = start / 2;
    let (mut left, mut corner) = match (before.last_chunk::<2>(), start.checked_sub(1).and_then(|at| above.get(at))) {
        (Some(&left), Some(&corner)) => (u16::from_le_bytes(left), u16::from_le_bytes(corner)),
        _ => above.first().map_or((0, 0), |&first| (u16::from_le_bytes(first), u16::from_le_bytes(first))),
    };
    let above = above.get(start..).unwrap_or_default();
    for (((x, &u), &h), &l) in row.as_chunks_mut::<2>().0.iter_mut().zip(above).zip(high).zip(low) {
        let u = u16::from_le_bytes(u);
        left = unzigzag(u16::from_le_bytes([l, h])).wrapping_add(median_u16(left, u, corner));
        corner = u;
        *x = left.to_le_bytes();
    }
}

/// What is left of 8-bit samples after prediction by the same samples of a reference.
pub(crate) fn differences(level: Level, reference: &[u8], row: &[u8], out: &mut [u8]) {
    dispatch!(level, _simd => differences_body(reference, row, out));
}

#[inline(always)]
fn differences_body(reference: &[u8], row: &[u8], out: &mut [u8]) {
    for ((out, &x), &r) in out.iter_mut().zip(row).zip(reference) {
        *out = x.wrapping_sub(r);
    }
}

/// The inverse of [`differences`].
pub(crate) fn differences_restore(level: Level, reference: &[u8], row: &mut [u8], residuals: &[u8]) {
    dispatch!(level, _simd => differences_restore_body(reference, row, residuals));
}

#[inline(always)]
fn differences_restore_body(reference: &[u8], row: &mut [u8], residuals: &[u8]) {
    for ((x, &p), &r) in row.iter_mut().zip(reference).zip(residuals) {
        *x = p.wrapping_add(r);
    }
}

/// [`differences`] of 16-bit little-endian samples, zigzag-coded and split into high and low bytes.
pub(crate) fn differences_16(level: Level, reference: &[u8], row: &[u8], high: &mut [u8], low: &mut [u8]) {
    dispatch!(level, _simd => differences_16_body(reference, row, high, low));
}

#[inline(always)]
fn differences_16_body(reference: &[u8], row: &[u8], high: &mut [u8], low: &mut [u8]) {
    let (row, reference) = (row.as_chunks::<2>().0, reference.as_chunks::<2>().0);
    for (((h, l), &x), &r) in high.iter_mut().zip(low).zip(row).zip(reference) {
        [*l, *h] = zigzag(u16::from_le_bytes(x).wrapping_sub(u16::from_le_bytes(r))).to_le_bytes();
    }
}

/// The inverse of [`differences_16`].
pub(crate) fn differences_restore_16(reference: &[u8], row: &mut [u8], high: &[u8], low: &[u8]) {
    let reference = reference.as_chunks::<2>().0;
    for (((x, &p), &h), &l) in row.as_chunks_mut::<2>().0.iter_mut().zip(reference).zip(high).zip(low) {
        *x = u16::from_le_bytes(p).wrapping_add(unzigzag(u16::from_le_bytes([l, h]))).to_le_bytes();
    }
}

/// Sum of the magnitudes of residuals, each read as a signed number: a cheap estimate of their cost.
pub(crate) fn magnitude(level: Level, residuals: &[u8]) -> u64 {
    dispatch!(level, _simd => magnitude_body(residuals))
}

#[inline(always)]
fn magnitude_body(residuals: &[u8]) -> u64 {
    residuals.iter().map(|r| u32::from(r.cast_signed().unsigned_abs())).sum::<u32>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    fn noise(count: usize, mut seed: u32) -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed
        };
        (0..count)
            .map(|i| if i % 3 == 0 { (next() >> 24) as u8 } else { (i as u8).wrapping_add((next() >> 30) as u8) })
            .collect()
    }

    /// The definition of T.87 4.3.2, with integers wide enough.
    fn median_by_definition(left: i32, above: i32, corner: i32) -> i32 {
        if corner >= left.max(above) {
            left.min(above)
        } else if corner <= left.min(above) {
            left.max(above)
        } else {
            left + above - corner
        }
    }

    #[test]
    fn the_clamped_form_is_the_median() {
        for left in (0..=255).step_by(5) {
            for above in (0..=255).step_by(3) {
                for corner in 0..=255_u8 {
                    let wanted = median_by_definition(left.into(), above.into(), corner.into());
                    assert_eq!(i32::from(median_u8(left, above, corner)), wanted);
                    let wide = [left, above, corner].map(|v| u16::from(v) * 257);
                    let wanted = median_by_definition(wide[0].into(), wide[1].into(), wide[2].into());
                    assert_eq!(i32::from(median_u16(wide[0], wide[1], wide[2])), wanted);
                }
            }
        }
    }

    #[test]
    fn residuals_are_the_definition_s_and_invert() {
        each_level!(level => {
            for (width, start, count) in [(1, 0, 1), (2, 0, 2), (40, 16, 16), (257, 0, 257), (257, 16, 241), (9, 8, 1)] {
                let (above, row) = (noise(width, 1), noise(width, 2));
                let mut out = vec![0; count];
                median_residuals(level, Run { above: &above, row: &row, start }, &mut out);
                for (i, &residual) in out.iter().enumerate() {
                    let x = start + i;
                    let (left, corner) = if x == 0 { (above[0], above[0]) } else { (row[x - 1], above[x - 1]) };
                    let wanted = median_by_definition(left.into(), above[x].into(), corner.into());
                    assert_eq!(residual, row[x].wrapping_sub(wanted as u8));
                }
                let mut restored = row.clone();
                restored[start..start + count].fill(0);
                median_restore(&above, &mut restored, start, &out);
                assert_eq!(restored, row);
            }
        });
    }

    #[test]
    fn sixteen_bits_invert() {
        each_level!(level => {
            for (width, start, count) in [(1, 0, 1), (2, 0, 2), (40, 16, 16), (257, 0, 257), (257, 16, 241)] {
                let (above, row) = (noise(2 * width, 3), noise(2 * width, 4));
                let (mut high, mut low) = (vec![0; count], vec![0; count]);
                median_residuals_16(level, Run { above: &above, row: &row, start: 2 * start }, &mut high, &mut low);
                let mut restored = row.clone();
                restored[2 * start..2 * (start + count)].fill(0);
                median_restore_16(&above, &mut restored, 2 * start, &high, &low);
                assert_eq!(restored, row);
                let (row, reference) = (&row[2 * start..2 * (start + count)], &above[2 * start..2 * (start + count)]);
                differences_16(level, reference, row, &mut high, &mut low);
                let mut restored = vec![0; 2 * count];
                differences_restore_16(reference, &mut restored, &high, &low);
                assert_eq!(restored, row);
            }
        });
        for value in 0..=u16::MAX {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([0, 1, u16::MAX, 2].map(zigzag), [0, 2, 1, 4]);
    }

    #[test]
    fn differences_invert_and_magnitudes_add_up() {
        each_level!(level => {
            let (reference, row) = (noise(99, 5), noise(99, 6));
            let mut out = vec![0; 99];
            differences(level, &reference, &row, &mut out);
            let wanted: u64 = out.iter().map(|&r| u64::from((r as i8).unsigned_abs())).sum();
            assert_eq!(magnitude(level, &out), wanted);
            let mut restored = vec![0; 99];
            differences_restore(level, &reference, &mut restored, &out);
            assert_eq!(restored, row);
        });
    }
}
