//! Sums of absolute differences, by which motion is searched for in whole samples.
//!
//! A reference begins with the sample that lies over the block's first one, and has `stride` samples to a row. All functions
//! panic where it ends before the block does.

use fearless_simd::Simd;

use super::{Chroma, Luma};

/// Sum over the columns from `left` on of as many columns as `N` has.
#[inline(always)]
fn row_sad<const N: usize>(a: &[u8], b: &[u8]) -> u32 {
    let mut sum = 0;
    for x in 0..N {
        sum += u32::from(a[x].abs_diff(b[x]));
    }
    sum
}

/// SAD of a macroblock's luma.
#[inline(always)]
pub(crate) fn sad_16x16<S: Simd>(simd: S, source: &Luma, reference: &[u8], stride: usize) -> u32 {
    let reference = &reference[..15 * stride + 16];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::sad_avx2::sad_16x16(avx2, source, reference, stride);
    }
    let _ = simd;
    let mut sum = 0;
    for (y, row) in source.iter().enumerate() {
        sum += row_sad::<16>(row, &reference[y * stride..][..16]);
    }
    sum
}

/// SADs of the 8x8 quadrants of a macroblock's luma, upper left, upper right, lower left, lower right.
#[inline(always)]
pub(crate) fn sad_quadrants<S: Simd>(simd: S, source: &Luma, reference: &[u8], stride: usize) -> [u32; 4] {
    let reference = &reference[..15 * stride + 16];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::sad_avx2::sad_quadrants(avx2, source, reference, stride);
    }
    let _ = simd;
    let mut sums = [0; 4];
    for (y, row) in source.iter().enumerate() {
        let (left, right) = reference[y * stride..][..16].split_at(8);
        sums[y / 8 * 2] += row_sad::<8>(&row[..8], left);
        sums[y / 8 * 2 + 1] += row_sad::<8>(&row[8..], right);
    }
    sums
}

/// SAD of quadrant `quadrant` (0..=3 in raster order) of a macroblock's luma. The reference begins at the quadrant's first
/// sample.
#[inline(always)]
pub(crate) fn sad_8x8<S: Simd>(simd: S, source: &Luma, quadrant: usize, reference: &[u8], stride: usize) -> u32 {
    let reference = &reference[..7 * stride + 8];
    let (left, top) = (quadrant % 2 * 8, quadrant / 2 % 2 * 8);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::sad_avx2::sad_8x8(
            avx2,
            &source.as_flattened()[16 * top + left..][..7 * 16 + 8],
            reference,
            [16, stride],
        );
    }
    let _ = simd;
    let mut sum = 0;
    for y in 0..8 {
        sum += row_sad::<8>(&source[top + y][left..][..8], &reference[y * stride..][..8]);
    }
    sum
}

/// SAD of both chroma components of a macroblock.
#[inline(always)]
pub(crate) fn sad_chroma<S: Simd>(simd: S, a: &Chroma, b: &Chroma) -> u32 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::sad_avx2::sad_chroma(avx2, a, b);
    }
    let _ = simd;
    let mut sum = 0;
    for (a, b) in a.iter().zip(b) {
        sum += row_sad::<16>(a, b);
    }
    sum
}

/// [`sad_16x16`] of four candidates.
#[inline(always)]
pub(crate) fn sad_four<S: Simd>(simd: S, source: &Luma, references: [&[u8]; 4], stride: usize) -> [u32; 4] {
    let references = references.map(|reference| &reference[..15 * stride + 16]);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::sad_avx2::sad_four(avx2, source, references, stride);
    }
    let _ = simd;
    references.map(|reference| sad_16x16(simd, source, reference, stride))
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::*;
    use crate::kernel::each_level;
    use crate::kernel::h264::{copy, noise};

    fn naive(source: &Luma, reference: &[u8], stride: usize, quadrant: usize) -> u32 {
        let (left, top) = (quadrant % 2 * 8, quadrant / 2 * 8);
        let difference = |i: usize| {
            let (x, y) = (left + i % 8, top + i / 8);
            u32::from(source[y][x].abs_diff(reference[y * stride + x]))
        };
        (0..64).map(difference).sum()
    }

    #[test]
    fn every_level_has_the_sums_of_the_definition() {
        for (seed, contrast) in [(1, 255), (2, 0), (3, 9), (4, 255), (5, 0)] {
            let stride = 16 + 7 * seed as usize;
            let source = noise(256, seed, contrast);
            let source: Luma = std::array::from_fn(|y| std::array::from_fn(|x| source[16 * y + x]));
            // Ends with the lowest candidate's last sample.
            let reference = noise(16 * stride + 18, seed + 9, contrast);
            each_level!(level => {
                let candidates = [&reference[1..], &reference[stride..], &reference[stride + 2..], &reference[7..]];
                let four = dispatch!(level, simd => sad_four(simd, &source, candidates, stride));
                for (candidate, sum) in candidates.into_iter().zip(four) {
                    let quadrants = [0, 1, 2, 3].map(|q| naive(&source, candidate, stride, q));
                    assert_eq!(sum, quadrants.iter().sum::<u32>());
                    assert_eq!(dispatch!(level, simd => sad_16x16(simd, &source, candidate, stride)), sum);
                    assert_eq!(dispatch!(level, simd => sad_quadrants(simd, &source, candidate, stride)), quadrants);
                    for (q, wanted) in quadrants.into_iter().enumerate() {
                        let candidate = &candidate[q / 2 * 8 * stride + q % 2 * 8..];
                        assert_eq!(dispatch!(level, simd => sad_8x8(simd, &source, q, candidate, stride)), wanted);
                    }
                }
            });
        }
    }

    #[test]
    fn chroma_sums_both_components() {
        for (seed, contrast) in [(1, 255), (2, 0), (3, 9)] {
            let (a, b) = (noise(128, seed, contrast), noise(128, seed + 9, contrast));
            let wanted: u32 = a.iter().zip(&b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            each_level!(level => {
                let sum = dispatch!(level, simd => {
                    sad_chroma(simd, &copy::load_chroma(simd, &a, 0, 16), &copy::load_chroma(simd, &b, 0, 16))
                });
                assert_eq!(sum, wanted);
            });
        }
    }
}
