//! Sums of absolute differences, by which motion is searched for in whole samples.
//!
//! A reference begins with the sample that lies over the block's first one, and has `stride` samples to a row. Functions
//! panic where it ends before the block does.

use fearless_simd::Simd;

use super::Luma;

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
    for (half, rows) in source.as_chunks::<8>().0.iter().enumerate() {
        let mut columns = [0_u16; 16];
        for (y, row) in rows.iter().enumerate() {
            let reference = &reference[(8 * half + y) * stride..][..16];
            for x in 0..16 {
                columns[x] += u16::from(row[x].abs_diff(reference[x]));
            }
        }
        for (side, columns) in columns.as_chunks::<8>().0.iter().enumerate() {
            sums[2 * half + side] = u32::from(columns.iter().sum::<u16>());
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::*;
    use crate::kernel::each_level;
    use crate::kernel::h264::noise;

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
                for candidate in candidates {
                    let quadrants = [0, 1, 2, 3].map(|q| naive(&source, candidate, stride, q));
                    assert_eq!(dispatch!(level, simd => sad_quadrants(simd, &source, candidate, stride)), quadrants);
                }
            });
        }
    }
}
