//! [Sums of absolute transformed differences](super::satd) for AVX2: four rows of 16 samples at a time.
//!
//! A row's sums and differences of neighbours come from one multiplication by 1 and -1 and lie in a vector's two halves. The
//! last stage of the transform needs no coefficients: |a + b| + |a - b| is twice the larger of |a| and |b|.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, kernel, u8x16, u32x4};

use super::Luma;
use super::rows::rows;

kernel! {
    /// Half the sums of four 4x4 blocks side by side, each in the 32-bit lanes of its place in both halves.
    #[inline]
    fn strip(_token: Avx2, source: [__m128i; 4], prediction: [__m128i; 4]) -> __m256i {
        let weights = _mm256_set_m128i(_mm_set1_epi16(0xFF01_u16 as i16), _mm_set1_epi16(0x0101));
        let pairs = |row: __m128i| _mm256_maddubs_epi16(_mm256_broadcastsi128_si256(row), weights);
        let [a, b, c, d]: [__m256i; 4] =
            std::array::from_fn(|y| _mm256_sub_epi16(pairs(source[y]), pairs(prediction[y])));
        let (p, q) = (_mm256_add_epi16(a, b), _mm256_sub_epi16(a, b));
        let (r, s) = (_mm256_add_epi16(c, d), _mm256_sub_epi16(c, d));
        let larger = |a: __m256i, b: __m256i| {
            let (a, b) = (_mm256_abs_epi16(a), _mm256_abs_epi16(b));
            let first = _mm256_blend_epi16::<0xAA>(a, _mm256_slli_epi32::<16>(b));
            let second = _mm256_blend_epi16::<0xAA>(_mm256_srli_epi32::<16>(a), b);
            _mm256_max_epi16(first, second)
        };
        let upper = larger(_mm256_add_epi16(p, r), _mm256_sub_epi16(p, r));
        let lower = larger(_mm256_add_epi16(q, s), _mm256_sub_epi16(q, s));
        _mm256_add_epi16(upper, lower)
    }
}

kernel! {
    /// Sums of four block columns, from 16-bit ones.
    #[inline]
    fn columns(_token: Avx2, sums: __m256i) -> __m128i {
        let sums = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
        _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums))
    }
}

kernel! {
    #[inline]
    fn total(token: Avx2, sums: __m256i) -> u32 {
        let sums = columns(token, sums);
        let sums = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
        _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32::<1>(sums))) as u32
    }
}

kernel! {
    /// Sums of the upper and the lower eight rows.
    #[inline]
    fn halves(token: Avx2, source: &Luma, prediction: &[u8], stride: usize) -> [__m256i; 2] {
        let prediction = rows::<16, 16>(prediction, stride);
        let strip = |top: usize| {
            let source = std::array::from_fn(|y| u8x16::from_slice(token, &source[top + y]).into());
            let row = |y: usize| u8x16::from_slice(token, prediction[top + y]).into();
            strip(token, source, std::array::from_fn(row))
        };
        [_mm256_add_epi16(strip(0), strip(4)), _mm256_add_epi16(strip(8), strip(12))]
    }
}

kernel! {
    #[inline]
    pub(super) fn satd_16x16(token: Avx2, source: &Luma, prediction: &[u8], stride: usize) -> u32 {
        let [upper, lower] = halves(token, source, prediction, stride);
        total(token, _mm256_add_epi16(upper, lower))
    }
}

kernel! {
    #[inline]
    pub(super) fn satd_quadrants(token: Avx2, source: &Luma, prediction: &[u8], stride: usize) -> [u32; 4] {
        let [upper, lower] = halves(token, source, prediction, stride).map(|sums| columns(token, sums));
        let sums: u32x4<Avx2> = _mm_hadd_epi32(upper, lower).simd_into(token);
        sums.into()
    }
}

kernel! {
    /// SATD of 8x8 samples in rows `strides` apart: a strip whose right half is the lower rows.
    #[inline]
    pub(super) fn satd_8x8(token: Avx2, source: &[u8], prediction: &[u8], strides: [usize; 2]) -> u32 {
        let joined = |samples: &[u8], stride: usize| -> [__m128i; 4] {
            let row = rows::<8, 8>(samples, stride).map(|row| i64::from_le_bytes(*row));
            std::array::from_fn(|y| _mm_set_epi64x(row[y + 4], row[y]))
        };
        total(token, strip(token, joined(source, strides[0]), joined(prediction, strides[1])))
    }
}
