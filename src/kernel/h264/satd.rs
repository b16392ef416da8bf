//! Sums of absolute transformed differences, by which prediction modes and fractions of motion are chosen.
//!
//! The transform is the 4x4 Hadamard transform of the differences. The sum of a quadrant's 4 * 16 absolute coefficients is
//! halved, rounded up; larger areas are sums of quadrants, so that they compare with them. A prediction begins with the
//! sample that lies over the block's first one, and has `stride` samples to a row; functions panic where it ends before the
//! block does.

use fearless_simd::Simd;

use super::Luma;

/// The 4x4 Hadamard transform's sum of absolute coefficients.
#[inline(always)]
fn hadamard_sum(differences: &[[i16; 4]; 4]) -> u32 {
    let turn = |[a, b, c, d]: [i16; 4]| {
        let [p, q, r, s] = [a + b, a - b, c + d, c - d];
        [p + r, q + s, p - r, q - s]
    };
    let rows = differences.map(turn);
    let mut sum = 0;
    for x in 0..4 {
        let column = turn(rows.map(|row| row[x]));
        sum += column.iter().map(|c| u32::from(c.unsigned_abs())).sum::<u32>();
    }
    sum
}

/// SATD of an 8x8 block, of samples by column and row.
#[inline(always)]
fn satd_block(source: impl Fn(usize, usize) -> u8, prediction: impl Fn(usize, usize) -> u8) -> u32 {
    let mut sum = 0;
    for (top, left) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
        let mut differences = [[0; 4]; 4];
        for (y, row) in differences.iter_mut().enumerate() {
            for (x, out) in row.iter_mut().enumerate() {
                *out = i16::from(source(left + x, top + y)) - i16::from(prediction(left + x, top + y));
            }
        }
        sum += hadamard_sum(&differences);
    }
    sum.div_ceil(2)
}

/// SATDs of the 8x8 quadrants of a macroblock's luma, upper left, upper right, lower left, lower right.
#[inline(always)]
pub(crate) fn satd_quadrants<S: Simd>(simd: S, source: &Luma, prediction: &[u8], stride: usize) -> [u32; 4] {
    let prediction = &prediction[..15 * stride + 16];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::satd_avx512::satd_quadrants(avx512, source, prediction, stride);
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::satd_avx2::satd_quadrants(avx2, source, prediction, stride);
        }
    }
    [0, 1, 2, 3].map(|q| satd_8x8(simd, source, q, &prediction[q / 2 * 8 * stride + q % 2 * 8..], stride))
}

/// SATD of a macroblock's luma: the sum of its quadrants'.
#[inline(always)]
pub(crate) fn satd_16x16<S: Simd>(simd: S, source: &Luma, prediction: &[u8], stride: usize) -> u32 {
    let prediction = &prediction[..15 * stride + 16];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::satd_avx512::satd_16x16(avx512, source, prediction, stride);
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::satd_avx2::satd_16x16(avx2, source, prediction, stride);
        }
    }
    satd_quadrants(simd, source, prediction, stride).iter().sum()
}

/// SATD of quadrant `quadrant` (0..=3 in raster order) of a macroblock's luma. The prediction begins at the quadrant's first
/// sample.
#[inline(always)]
pub(crate) fn satd_8x8<S: Simd>(simd: S, source: &Luma, quadrant: usize, prediction: &[u8], stride: usize) -> u32 {
    let prediction = &prediction[..7 * stride + 8];
    let (left, top) = (quadrant % 2 * 8, quadrant / 2 % 2 * 8);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::satd_avx512::satd_8x8(
                avx512,
                &source.as_flattened()[16 * top + left..][..7 * 16 + 8],
                prediction,
                [16, stride],
            );
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::satd_avx2::satd_8x8(
                avx2,
                &source.as_flattened()[16 * top + left..][..7 * 16 + 8],
                prediction,
                [16, stride],
            );
        }
    }
    let _ = simd;
    satd_block(|x, y| source[top + y][left + x], |x, y| prediction[y * stride + x])
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::*;
    use crate::kernel::each_level;
    use crate::kernel::h264::noise;

    /// Coefficients by the matrix: H D H with H of 1 and -1, their absolute sum halved.
    fn naive(difference: impl Fn(usize, usize) -> i32) -> u32 {
        const H: [[i32; 4]; 4] = [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]];
        let mut sum = 0;
        for (i, j, block) in (0..64).map(|i| (i / 4 % 4, i % 4, i / 16)) {
            let term = |k: usize| {
                let (x, y) = (k % 4, k / 4);
                H[i][y] * H[j][x] * difference(block % 2 * 4 + x, block / 2 * 4 + y)
            };
            sum += (0..16).map(term).sum::<i32>().unsigned_abs();
        }
        sum.div_ceil(2)
    }

    #[test]
    fn every_level_has_the_sums_of_the_definition() {
        for (seed, contrast) in [(1, 255), (2, 0), (3, 9), (4, 255), (5, 0), (6, 2), (7, 30)] {
            let stride = 16 + 5 * seed as usize;
            let source = noise(256, seed, contrast);
            let source: Luma = std::array::from_fn(|y| std::array::from_fn(|x| source[16 * y + x]));
            let prediction = noise(15 * stride + 16, seed + 9, contrast);
            let wanted = [0, 1, 2, 3].map(|q| {
                let (left, top) = (q % 2 * 8, q / 2 * 8);
                naive(|x, y| {
                    let (x, y) = (left + x, top + y);
                    i32::from(source[y][x]) - i32::from(prediction[y * stride + x])
                })
            });
            each_level!(level => {
                let quadrants = dispatch!(level, simd => satd_quadrants(simd, &source, &prediction, stride));
                assert_eq!(quadrants, wanted);
                let whole = dispatch!(level, simd => satd_16x16(simd, &source, &prediction, stride));
                assert_eq!(whole, wanted.iter().sum::<u32>());
                for (q, &wanted) in wanted.iter().enumerate() {
                    let prediction = &prediction[q / 2 * 8 * stride + q % 2 * 8..];
                    assert_eq!(dispatch!(level, simd => satd_8x8(simd, &source, q, prediction, stride)), wanted);
                }
            });
        }
    }

    #[test]
    fn the_largest_differences_do_not_overflow() {
        let (black, white) = ([[0; 16]; 16], [255; 256]);
        each_level!(level => {
            let whole = dispatch!(level, simd => satd_16x16(simd, &black, &white, 16));
            assert_eq!(whole, 16 * 16 * 255 / 2);
        });
    }
}
