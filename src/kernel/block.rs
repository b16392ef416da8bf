//! Samples to quantised coefficients, four neighbouring blocks at a time: what a vector of 512 bits holds of one row.

use fearless_simd::Simd;

use super::dct;
use super::quantise::{Quantiser, ZIGZAG, nonzero_mask};

/// Blocks that are transformed together.
pub const BLOCKS: usize = 4;
/// Samples of one row of them.
pub const ROW_SAMPLES: usize = 8 * BLOCKS;

/// Transforms and quantises [`BLOCKS`] blocks that lie side by side: eight rows of [`ROW_SAMPLES`], `stride` apart in
/// `samples`, to coefficients in zigzag order and the masks of those that aren't zero.
///
/// # Panics
/// If `samples` is shorter than seven strides and a row.
#[inline(always)]
pub fn transform<S: Simd>(
    simd: S,
    samples: &[u8],
    stride: usize,
    quantiser: &Quantiser,
    coefficients: &mut [[i16; 64]; BLOCKS],
    masks: &mut [u64; BLOCKS],
) {
    let samples = &samples[..7 * stride + ROW_SAMPLES];
    let rows: [&[u8]; 8] = std::array::from_fn(|y| &samples[y * stride..y * stride + ROW_SAMPLES]);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::block_avx512::transform(avx512, rows, quantiser, coefficients, masks);
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::block_avx2::transform(avx2, rows, quantiser, coefficients, masks);
        }
    }
    let _ = simd;
    plain(rows, quantiser, coefficients, masks);
}

/// The same without quantising: coefficients in zigzag order, eight times their size.
///
/// # Panics
/// If `samples` is shorter than seven strides and a row.
#[inline(always)]
pub fn forward<S: Simd>(simd: S, samples: &[u8], stride: usize, coefficients: &mut [[i16; 64]; BLOCKS]) {
    let samples = &samples[..7 * stride + ROW_SAMPLES];
    let rows: [&[u8]; 8] = std::array::from_fn(|y| &samples[y * stride..y * stride + ROW_SAMPLES]);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::block_avx512::forward(avx512, rows, coefficients);
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::block_avx2::forward(avx2, rows, coefficients);
        }
    }
    let _ = simd;
    for (b, out) in coefficients.iter_mut().enumerate() {
        let block = dct::forward(&block_samples(rows, b));
        *out = std::array::from_fn(|k| block.as_flattened()[usize::from(ZIGZAG[k])] as i16);
    }
}

/// Quantises a block that [`forward`] gave; the mask of what isn't zero.
#[inline(always)]
pub fn quantise<S: Simd>(simd: S, coefficients: &[i16; 64], quantiser: &Quantiser, out: &mut [i16; 64]) -> u64 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx512) = simd.level().as_avx512() {
            return super::block_avx512::quantise(avx512, coefficients, quantiser, out);
        }
        if let Some(avx2) = simd.level().as_avx2() {
            return super::block_avx2::quantise(avx2, coefficients, quantiser, out);
        }
    }
    let _ = simd;
    quantiser.quantise_zigzag(&coefficients.map(i32::from), out);
    nonzero_mask(out)
}

/// Sum of the squares of what quantising a block took away, in the transform's scale: 64 times that of its samples.
#[inline(always)]
pub fn squared_error<S: Simd>(_simd: S, coefficients: &[i16; 64], quantised: &[i16; 64], quantiser: &Quantiser) -> u32 {
    let mut sum = 0;
    for k in 0..64 {
        let error = coefficients[k].wrapping_sub(quantised[k].wrapping_mul(quantiser.divisor[k]));
        sum += i32::from(error) * i32::from(error);
    }
    sum as u32
}

#[inline(always)]
fn block_samples(rows: [&[u8]; 8], b: usize) -> [[u8; 8]; 8] {
    std::array::from_fn(|y| std::array::from_fn(|x| rows[y][8 * b + x]))
}

/// The specification of [`transform`].
#[inline(always)]
fn plain(rows: [&[u8]; 8], quantiser: &Quantiser, coefficients: &mut [[i16; 64]; BLOCKS], masks: &mut [u64; BLOCKS]) {
    for (b, (out, mask)) in coefficients.iter_mut().zip(masks).enumerate() {
        quantiser.quantise(&dct::forward(&block_samples(rows, b)), out);
        *mask = nonzero_mask(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Vectorise, each_level, vectorise};

    struct Transform<'a> {
        samples: &'a [u8],
        stride: usize,
        quantiser: &'a Quantiser,
    }

    impl Vectorise for Transform<'_> {
        type Output = ([[i16; 64]; BLOCKS], [u64; BLOCKS], u32);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let (mut coefficients, mut masks) = ([[0; 64]; BLOCKS], [0; BLOCKS]);
            transform(simd, self.samples, self.stride, self.quantiser, &mut coefficients, &mut masks);
            let (mut kept, mut again, mut error) = ([[0; 64]; BLOCKS], [0; 64], 0);
            forward(simd, self.samples, self.stride, &mut kept);
            for (b, kept) in kept.iter().enumerate() {
                let mask = quantise(simd, kept, self.quantiser, &mut again);
                assert_eq!((again, mask), (coefficients[b], masks[b]), "quantised later, a block is the same");
                error += squared_error(simd, kept, &again, self.quantiser);
            }
            (coefficients, masks, error)
        }
    }

    #[test]
    fn each_level_gives_the_same_coefficients() {
        let mut seed = 3_u32;
        for round in 0..400 {
            let stride = 32 + round % 5;
            let samples: Vec<u8> = (0..8 * stride)
                .map(|i| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    match round % 4 {
                        0 => (seed >> 24) as u8,
                        1 => 255 * (seed >> 31) as u8,
                        2 => (i * 3 % 256) as u8,
                        _ => 255 * u8::from((i % stride) / 4 % 2 == (i / stride) / 4 % 2),
                    }
                })
                .collect();
            let steps: [u8; 64] = std::array::from_fn(|k| (1 + (k * round) % 255) as u8);
            let quantiser = Quantiser::new(&if round % 3 == 0 { [1; 64] } else { steps });
            let rows = std::array::from_fn(|y| &samples[y * stride..y * stride + ROW_SAMPLES]);
            let mut expected = ([[0; 64]; BLOCKS], [0; BLOCKS], 0);
            plain(rows, &quantiser, &mut expected.0, &mut expected.1);
            for (b, quantised) in expected.0.iter().enumerate() {
                let (exact, seen) = (dct::forward(&block_samples(rows, b)), quantiser.dequantise(quantised));
                let errors = exact.iter().flatten().zip(seen.iter().flatten()).map(|(exact, seen)| exact - 8 * seen);
                expected.2 += errors.map(|error| (error * error) as u32).sum::<u32>();
            }
            let largest = expected.0.iter().flat_map(|block| &block[1..]).map(|c| c.unsigned_abs()).max();
            assert!(largest < Some(1024), "an AC coefficient needs more than ten bits");
            each_level!(level => {
                let work = Transform { samples: &samples, stride, quantiser: &quantiser };
                assert_eq!(vectorise(level, work), expected, "round {round}");
            });
        }
    }
}
