//! [Sums of absolute transformed differences](super::satd) for AVX-512: four rows of 16 samples at a time.
//!
//! Products of four bytes with 1 and -1 transform a row of source and prediction at once; each 128-bit lane has another
//! coefficient. The last stage needs no coefficients: |a + b| + |a - b| is twice the larger of |a| and |b|.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx512, SimdBase, SimdInto, kernel, u8x16, u32x4};

use super::Luma;
use super::rows::rows;

kernel! {
    /// Half the sums of four 4x4 blocks side by side, each in the 32-bit lanes of its place.
    #[inline]
    fn strip(_token: Avx512, source: [__m128i; 4], prediction: [__m128i; 4]) -> __m512i {
        let lanes = |a: i32, b: i32, c: i32, d: i32| {
            _mm512_set_epi32(d, d, d, d, c, c, c, c, b, b, b, b, a, a, a, a)
        };
        let weights = lanes(0x0101_0101, 0xFFFF_0101_u32 as i32, 0x01FF_FF01, 0xFF01_FF01_u32 as i32);
        let negative = lanes(0xFFFF_FFFF_u32 as i32, 0x0101_FFFF, 0xFF01_01FF_u32 as i32, 0x01FF_01FF);
        let [a, b, c, d]: [__m512i; 4] = std::array::from_fn(|y| {
            let prediction = _mm512_broadcast_i32x4(prediction[y]);
            let sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), prediction, negative);
            _mm512_dpbusd_epi32(sums, _mm512_broadcast_i32x4(source[y]), weights)
        });
        let (p, q) = (_mm512_abs_epi32(_mm512_add_epi32(a, b)), _mm512_abs_epi32(_mm512_sub_epi32(a, b)));
        let (r, s) = (_mm512_abs_epi32(_mm512_add_epi32(c, d)), _mm512_abs_epi32(_mm512_sub_epi32(c, d)));
        _mm512_add_epi32(_mm512_max_epi32(p, r), _mm512_max_epi32(q, s))
    }
}

kernel! {
    /// Sums of four block columns.
    #[inline]
    fn columns(_token: Avx512, sums: __m512i) -> __m128i {
        let sums = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
        _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums))
    }
}

kernel! {
    #[inline]
    fn total(token: Avx512, sums: __m512i) -> u32 {
        let sums = columns(token, sums);
        let sums = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
        _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32::<1>(sums))) as u32
    }
}

kernel! {
    /// Sums of the upper and the lower eight rows.
    #[inline]
    fn halves(token: Avx512, source: &Luma, prediction: &[u8], stride: usize) -> [__m512i; 2] {
        let prediction = rows::<16, 16>(prediction, stride);
        let strip = |top: usize| {
            let source = std::array::from_fn(|y| u8x16::from_slice(token, &source[top + y]).into());
            let row = |y: usize| u8x16::from_slice(token, prediction[top + y]).into();
            strip(token, source, std::array::from_fn(row))
        };
        [_mm512_add_epi32(strip(0), strip(4)), _mm512_add_epi32(strip(8), strip(12))]
    }
}

kernel! {
    #[inline]
    pub(super) fn satd_16x16(token: Avx512, source: &Luma, prediction: &[u8], stride: usize) -> u32 {
        let [upper, lower] = halves(token, source, prediction, stride);
        total(token, _mm512_add_epi32(upper, lower))
    }
}

kernel! {
    #[inline]
    pub(super) fn satd_quadrants(token: Avx512, source: &Luma, prediction: &[u8], stride: usize) -> [u32; 4] {
        let [upper, lower] = halves(token, source, prediction, stride).map(|sums| columns(token, sums));
        let sums: u32x4<Avx512> = _mm_hadd_epi32(upper, lower).simd_into(token);
        sums.into()
    }
}

kernel! {
    /// SATD of 8x8 samples in rows `strides` apart: a strip whose right half is the lower rows.
    #[inline]
    pub(super) fn satd_8x8(token: Avx512, source: &[u8], prediction: &[u8], strides: [usize; 2]) -> u32 {
        let joined = |samples: &[u8], stride: usize| -> [__m128i; 4] {
            let row = rows::<8, 8>(samples, stride).map(|row| i64::from_le_bytes(*row));
            std::array::from_fn(|y| _mm_set_epi64x(row[y + 4], row[y]))
        };
        total(token, strip(token, joined(source, strides[0]), joined(prediction, strides[1])))
    }
}
