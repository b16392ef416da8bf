//! [Sums of absolute differences](super::sad) for AVX2: two rows of 16 samples, or four of 8, to a vector.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, kernel, u8x16, u8x32, u32x4};

use super::rows::rows;
use super::{Chroma, Luma};

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
    fn total(token: Avx2, sum: __m256i) -> u32 {
        let sum = folded(token, sum);
        _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum))) as u32
    }
}

kernel! {
    #[inline]
    pub(super) fn sad_16x16(token: Avx2, source: &Luma, reference: &[u8], stride: usize) -> u32 {
        let [upper, lower] = sums(token, source, reference, stride);
        total(token, _mm256_add_epi64(upper, lower))
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

kernel! {
    #[inline]
    pub(super) fn sad_four(token: Avx2, source: &Luma, references: [&[u8]; 4], stride: usize) -> [u32; 4] {
        let [a, b, c, d] = references.map(|reference| {
            let [upper, lower] = sums(token, source, reference, stride);
            _mm256_castsi256_ps(_mm256_add_epi64(upper, lower))
        });
        // Sums are in every other 32-bit lane.
        let first = _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(a, b));
        let second = _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(c, d));
        let sums = _mm256_hadd_epi32(first, second);
        let (low, high) = (_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let sums: u32x4<Avx2> = _mm_add_epi32(low, high).simd_into(token);
        sums.into()
    }
}

kernel! {
    /// SAD of 8x8 samples in rows `strides` apart.
    #[inline]
    pub(super) fn sad_8x8(token: Avx2, source: &[u8], reference: &[u8], strides: [usize; 2]) -> u32 {
        let (source, reference) = (rows::<8, 8>(source, strides[0]), rows::<8, 8>(reference, strides[1]));
        let four = |rows: &[&[u8; 8]; 8], y: usize| {
            let row = |y: usize| i64::from_le_bytes(*rows[y]);
            _mm256_set_epi64x(row(y + 3), row(y + 2), row(y + 1), row(y))
        };
        let sad = |y: usize| _mm256_sad_epu8(four(&source, y), four(&reference, y));
        total(token, _mm256_add_epi64(sad(0), sad(4)))
    }
}

kernel! {
    #[inline]
    pub(super) fn sad_chroma(token: Avx2, a: &Chroma, b: &Chroma) -> u32 {
        let mut sum = _mm256_setzero_si256();
        for (a, b) in a.as_flattened().chunks_exact(32).zip(b.as_flattened().chunks_exact(32)) {
            let sad = _mm256_sad_epu8(u8x32::from_slice(token, a).into(), u8x32::from_slice(token, b).into());
            sum = _mm256_add_epi64(sum, sad);
        }
        total(token, sum)
    }
}
