//! Kernels of the H.264 encoder: distances, transforms, prediction, interpolation and deblocking of macroblocks.
//!
//! Chroma of a 4:2:0 macroblock is held interleaved, Cb and Cr in turn, so that its rows are as wide as luma's.

pub(crate) mod copy;
pub(crate) mod deblock;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod deblock_avx2;
mod deblock_tables;
pub(crate) mod find;
pub(crate) mod interpolate;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod interpolate_avx2;
pub(crate) mod intra;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod intra_avx2;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod intra_lanes;
pub(crate) mod intra_search;
mod intra_taps;
#[cfg(test)]
mod noise;
pub(crate) mod quantise;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod quantise_avx2;
#[cfg(test)]
mod quantise_tests;
pub(crate) mod quantiser;
pub(crate) mod rows;
pub(crate) mod sad;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod sad_avx2;
pub(crate) mod satd;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod satd_avx2;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod satd_avx512;
pub(crate) mod source;
pub(crate) mod transform4;
pub(crate) mod transform8;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod transform_avx2;
pub(crate) mod weigh;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod zigzag_avx512;

/// Luma of a macroblock, row by row.
pub(crate) type Luma = [[u8; 16]; 16];
/// Chroma of a macroblock: 8 rows of 8 pairs Cb, Cr.
pub(crate) type Chroma = [[u8; 16]; 8];
/// A 4x4 position's residuals or coefficients (index 4 * y + x) of `N` blocks side by side.
pub(crate) type Planes<const N: usize> = [[i16; N]; 16];

/// An array by index. `std::array::from_fn` may stay out of line, and is then not compiled for the SIMD level.
#[inline(always)]
pub(crate) fn array<T: Copy + Default, const N: usize>(of: impl Fn(usize) -> T) -> [T; N] {
    let mut all = [T::default(); N];
    for (k, item) in all.iter_mut().enumerate() {
        *item = of(k);
    }
    all
}

/// Random bytes for tests: noise, or with `contrast` below 255 noise around a level, as pictures have it.
#[cfg(test)]
fn noise(count: usize, seed: u32, contrast: u8) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let level = (seed.wrapping_mul(97) >> 2) as u8;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let sample = (state >> 24) as u8;
        match contrast {
            255 => sample,
            // Extremes only.
            0 => 255 * (sample >> 7),
            _ => level.saturating_add(sample % contrast),
        }
    };
    (0..count).map(next).collect()
}
