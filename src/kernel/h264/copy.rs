//! Macroblocks in and out of planes.
//!
//! All functions panic where the macroblock doesn't lie in the plane.

use fearless_simd::Simd;

use super::rows::{rows, store_rows};
use super::{Chroma, Luma};

/// The macroblock whose first luma sample is `plane[at]`.
#[inline(always)]
pub(crate) fn load_luma<S: Simd>(_simd: S, plane: &[u8], at: usize, stride: usize) -> Luma {
    rows(&plane[at..], stride).map(|row| *row)
}

/// The macroblock whose first pair of chroma samples is at `plane[at]`; `stride` in bytes.
#[inline(always)]
pub(crate) fn load_chroma<S: Simd>(_simd: S, plane: &[u8], at: usize, stride: usize) -> Chroma {
    rows(&plane[at..], stride).map(|row| *row)
}

/// Puts luma of a macroblock at `plane[at]`.
#[inline(always)]
pub(crate) fn store_luma<S: Simd>(_simd: S, plane: &mut [u8], at: usize, stride: usize, block: &Luma) {
    store_rows(block, &mut plane[at..], stride);
}

/// Puts pairs of chroma samples of a macroblock at `plane[at]`; `stride` in bytes.
#[inline(always)]
pub(crate) fn store_chroma<S: Simd>(_simd: S, plane: &mut [u8], at: usize, stride: usize, block: &Chroma) {
    store_rows(block, &mut plane[at..], stride);
}

#[cfg(test)]
mod tests {
    use fearless_simd::{Level, dispatch};

    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_nothing_else_changes() {
        let plane: Vec<u8> = (0..40 * 40).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
        let mut copy = vec![0; plane.len()];
        dispatch!(Level::new(), simd => {
            let luma = load_luma(simd, &plane, 5 * 40 + 3, 40);
            let chroma = load_chroma(simd, &plane, 2 * 40 + 6, 40);
            assert_eq!((luma[15][15], chroma[7][15]), (plane[20 * 40 + 18], plane[9 * 40 + 21]));
            store_luma(simd, &mut copy, 7 * 40 + 4, 40, &luma);
            for (i, &sample) in copy.iter().enumerate() {
                let (x, y) = (i % 40, i / 40);
                let is_inside = (4..20).contains(&x) && (7..23).contains(&y);
                assert_eq!(sample, if is_inside { luma[y - 7][x - 4] } else { 0 });
            }
            store_chroma(simd, &mut copy, 24 * 40 + 8, 40, &chroma);
            assert_eq!(load_chroma(simd, &copy, 24 * 40 + 8, 40), chroma);
            assert_eq!(load_luma(simd, &copy, 7 * 40 + 4, 40), luma);
        });
    }
}
