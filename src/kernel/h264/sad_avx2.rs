//! [Sums of absolute differences](super::sad) for AVX2: two rows of 16 samples to a vector.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, kernel, u8x16, u8x32, u32x4};

use super::Luma;
use super::rows::rows;

kernel! {
    /// Sums of the upper and the lower eight rows; columns 0..=7 and 8..=15 apart, in turn.
    #[inline]
    fn sums(token: Avx2, source: &Luma, reference: &[u8], stride: usize) -> [__m256i; 2] {
        let reference = rows::<16, 16>(reference, stride);
        let row = |y: usize| -> __m128i { u8x16::from_slice(token, reference[y]).into() };
        [0, 8].map(|top| {
            let mut sum = _mm256_setzero_si256();
            for y in [top, top + 2, top + 4, top + 6] {
                let source = u8x32::from_slice(token, source[y..y + 2].as_flattened()).into();
                sum = _mm256_add_epi64(sum, _mm256_sad_epu8(source, _mm256_set_m128i(row(y + 1), row(y))));
            }
            sum
        })
    }
}

kernel! {
    /// Both 128-bit halves added.
    #[inline]
    fn folded(_token: Avx2, sum: __m256i) -> __m128i {
        _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum))
    }
}

kernel! {
    #[inline]
    pub(super) fn sad_quadrants(token: Avx2, source: &Luma, reference: &[u8], stride: usize) -> [u32; 4] {
        let [upper, lower] = sums(token, source, reference, stride).map(|sum| _mm_castsi128_ps(folded(token, sum)));
        let sums: u32x4<Avx2> = _mm_castps_si128(_mm_shuffle_ps::<0x88>(upper, lower)).simd_into(token);
        sums.into()
    }
}
