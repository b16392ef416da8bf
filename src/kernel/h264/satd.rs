//! Sums of absolute transformed differences, by which prediction modes and fractions of motion are chosen.
//!
//! The transform is the 4x4 Hadamard transform of the differences. The sum of a quadrant's 4 * 16 absolute coefficients is
//! halved, rounded up; larger areas are sums of quadrants, so that they compare with them. A prediction begins with the
//! sample that lies over the block's first one, and has `stride` samples to a row; functions panic where it ends before the
//! block does.

use fearless_simd::Simd;

use super::Luma;

/// Four rows of differences.
type Rows = [[i16; 16]; 4];

/// Half the absolute coefficients of the four blocks that lie side by side in four rows of differences, by column of blocks. The
/// last stage needs no coefficients: |a + b| + |a - b| is twice the larger of |a| and |b|.
#[inline(always)]
fn strip(rows: &Rows) -> [u32; 4] {
    let mut sums = [0_i16; 8];
    let mut turned = [[0; 16]; 4];
    for x in 0..16 {
        let (p, q) = (rows[0][x] + rows[1][x], rows[0][x] - rows[1][x]);
        let (r, s) = (rows[2][x] + rows[3][x], rows[2][x] - rows[3][x]);
        (turned[0][x], turned[1][x], turned[2][x], turned[3][x]) = (p + r, q + s, p - r, q - s);
    }
    for row in &turned {
        let (mut sum, mut difference) = ([0_i16; 8], [0_i16; 8]);
        for k in 0..8 {
            let (a, b) = (row[4 * (k / 2) + k % 2], row[4 * (k / 2) + k % 2 + 2]);
            (sum[k], difference[k]) = ((a + b).abs(), (a - b).abs());
        }
        for k in 0..8 {
            // Both of a pair come to the same.
            sums[k] += sum[k].max(sum[k ^ 1]) + difference[k].max(difference[k ^ 1]);
        }
    }
    [sums[0], sums[2], sums[4], sums[6]].map(|sum| u32::from(sum.unsigned_abs()))
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
    let mut sums = [0; 4];
    for (k, source) in source.as_chunks::<4>().0.iter().enumerate() {
        let mut rows: Rows = [[0; 16]; 4];
        for (y, (row, source)) in rows.iter_mut().zip(source).enumerate() {
            let prediction = &prediction[(4 * k + y) * stride..][..16];
            for x in 0..16 {
                row[x] = i16::from(source[x]) - i16::from(prediction[x]);
            }
        }
        let [a, b, c, d] = strip(&rows);
        sums[k / 2 * 2] += a + b;
        sums[k / 2 * 2 + 1] += c + d;
    }
    sums
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
    // The lower half of the quadrant beside its upper half.
    let mut rows: Rows = [[0; 16]; 4];
    for y in 0..8 {
        let (source, prediction) = (&source[top + y][left..left + 8], &prediction[y * stride..][..8]);
        let row = &mut rows[y % 4][y / 4 * 8..][..8];
        for x in 0..8 {
            row[x] = i16::from(source[x]) - i16::from(prediction[x]);
        }
    }
    strip(&rows).iter().sum()
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
