//! [`quantise`](super::quantise) for AVX2.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, i16x8, i16x16, kernel, u8x16, u16x16};

use super::Planes;
use super::quantise::{MAX_LEVEL, MAX_LEVEL_8X8, NOT_LONE, ZIGZAG_4X4, weight_4x4};
use super::quantiser::{Quantiser, Quantiser8};

kernel! {
    #[inline]
    fn words(token: Avx2, from: &[i16]) -> __m256i {
        i16x16::from_slice(token, from).into()
    }
}

kernel! {
    #[inline]
    fn unsigned(token: Avx2, from: &[u16; 16]) -> __m256i {
        u16x16::from_slice(token, from).into()
    }
}

kernel! {
    #[inline]
    fn store(token: Avx2, words: __m256i, to: &mut [i16]) {
        let words: i16x16<Avx2> = words.simd_into(token);
        words.store_slice(to);
    }
}

kernel! {
    #[inline]
    fn levels(_token: Avx2, c: __m256i, factor: __m256i, bias: __m256i, max: u16) -> __m256i {
        let magnitude = _mm256_mulhi_epu16(_mm256_add_epi16(_mm256_abs_epi16(c), bias), factor);
        _mm256_sign_epi16(_mm256_min_epu16(magnitude, _mm256_set1_epi16(max as i16)), c)
    }
}

kernel! {
    /// Which words aren't zero.
    #[inline]
    fn mask(_token: Avx2, any: __m256i) -> u32 {
        let bytes = _mm_packs_epi16(_mm256_castsi256_si128(any), _mm256_extracti128_si256::<1>(any));
        !(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128())) as u32) & 0xFFFF
    }
}

kernel! {
    /// [`quantise`](super::quantise::quantise) of sixteen blocks, from position `first`.
    #[inline]
    pub(super) fn quantise_16(token: Avx2, coefficients: &mut Planes<16>, q: &Quantiser, first: usize) -> u32 {
        let mut any = _mm256_setzero_si256();
        let each = coefficients.iter_mut().zip(q.factor.iter().zip(&q.bias)).skip(first);
        for (plane, (&factor, &bias)) in each {
            let (factor, bias) = (_mm256_set1_epi16(factor as i16), _mm256_set1_epi16(bias as i16));
            let result = levels(token, words(token, plane), factor, bias, MAX_LEVEL);
            store(token, result, plane);
            any = _mm256_or_si256(any, result);
        }
        mask(token, any)
    }
}

kernel! {
    /// A value for each of two positions of eight blocks.
    #[inline]
    fn pair(_token: Avx2, two: &[u16; 2]) -> __m256i {
        _mm256_setr_m128i(_mm_set1_epi16(two[0] as i16), _mm_set1_epi16(two[1] as i16))
    }
}

kernel! {
    /// [`quantise`](super::quantise::quantise) of eight blocks, from position `first`, 0 or 1.
    #[inline]
    pub(super) fn quantise_8(token: Avx2, coefficients: &mut Planes<8>, q: &Quantiser, first: usize) -> u32 {
        let mut any = _mm256_setzero_si256();
        let direct = coefficients[0];
        let each = coefficients.as_chunks_mut::<2>().0.iter_mut();
        for (k, (planes, (factor, bias))) in each.zip(q.factor.as_chunks::<2>().0.iter().zip(q.bias.as_chunks::<2>().0)).enumerate() {
            let planes = planes.as_flattened_mut();
            let result = levels(token, words(token, planes), pair(token, factor), pair(token, bias), MAX_LEVEL);
            store(token, result, planes);
            let counted = if k == 0 && first == 1 {
                _mm256_blend_epi32::<0xF0>(_mm256_setzero_si256(), result)
            } else {
                result
            };
            any = _mm256_or_si256(any, counted);
        }
        if first == 1 {
            coefficients[0] = direct;
        }
        let both = mask(token, any);
        (both | both >> 8) & 0xFF
    }
}

kernel! {
    #[inline]
    fn beyond(_token: Avx2, c: __m256i, limit: __m256i) -> __m256i {
        _mm256_subs_epu16(_mm256_abs_epi16(c), limit)
    }
}

kernel! {
    /// [`is_zero`](super::quantise::is_zero) of sixteen blocks. The low frequencies tell soonest.
    #[inline]
    pub(super) fn is_zero_16(token: Avx2, coefficients: &Planes<16>, q: &Quantiser) -> bool {
        let part = |positions: &[usize]| {
            let mut any = _mm256_setzero_si256();
            for &p in positions {
                let limit = _mm256_set1_epi16(q.limit[p] as i16);
                any = _mm256_or_si256(any, beyond(token, words(token, &coefficients[p]), limit));
            }
            _mm256_testz_si256(any, any) == 1
        };
        part(&[0, 1, 4, 5]) && part(&[2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    }
}

kernel! {
    /// [`is_zero`](super::quantise::is_zero) of eight blocks.
    #[inline]
    pub(super) fn is_zero_8(token: Avx2, coefficients: &Planes<8>, q: &Quantiser) -> bool {
        let mut any = _mm256_setzero_si256();
        for (planes, limit) in coefficients.as_chunks::<2>().0.iter().zip(q.limit.as_chunks::<2>().0) {
            any = _mm256_or_si256(any, beyond(token, words(token, planes.as_flattened()), pair(token, limit)));
        }
        _mm256_testz_si256(any, any) == 1
    }
}

/// By the run of zeros before it.
const WEIGHTS: [u8; 16] = {
    let mut weights = [0; 16];
    let mut run = 0;
    while run < 16 {
        weights[run as usize] = weight_4x4(run) as u8;
        run += 1;
    }
    weights
};

kernel! {
    /// Scores of sixteen blocks, from the magnitudes of their levels, a byte each, one position after another.
    #[inline]
    fn scores(token: Avx2, magnitudes: [__m128i; 16], first: usize) -> [u8; 16] {
        let (zero, one) = (_mm_setzero_si128(), _mm_set1_epi8(1));
        let weights: __m128i = u8x16::from_slice(token, &WEIGHTS).into();
        let (mut score, mut run, mut large) = (zero, zero, zero);
        for &magnitude in &magnitudes[first..] {
            let is_zero = _mm_cmpeq_epi8(magnitude, zero);
            score = _mm_add_epi8(score, _mm_andnot_si128(is_zero, _mm_shuffle_epi8(weights, run)));
            run = _mm_and_si128(is_zero, _mm_add_epi8(run, one));
            large = _mm_or_si128(large, _mm_cmpgt_epi8(magnitude, one));
        }
        let score = _mm_max_epu8(score, _mm_and_si128(large, _mm_set1_epi8(NOT_LONE as i8)));
        let score: u8x16<Avx2> = score.simd_into(token);
        let mut out = [0; 16];
        score.store_slice(&mut out);
        out
    }
}

kernel! {
    /// [`lone_ones`](super::quantise::lone_ones) of sixteen blocks, from position `first`.
    #[inline]
    pub(super) fn lone_ones_16(token: Avx2, levels: &Planes<16>, first: usize) -> [u8; 16] {
        let magnitudes = ZIGZAG_4X4.map(|p| {
            let words = _mm256_abs_epi16(words(token, &levels[usize::from(p & 15)]));
            _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
        });
        scores(token, magnitudes, first)
    }
}

kernel! {
    /// [`lone_ones`](super::quantise::lone_ones) of eight blocks, from position `first`.
    #[inline]
    pub(super) fn lone_ones_8(token: Avx2, levels: &Planes<8>, first: usize) -> [u8; 8] {
        let magnitudes = ZIGZAG_4X4.map(|p| {
            let words: __m128i = i16x8::from_slice(token, &levels[usize::from(p & 15)]).into();
            _mm_packs_epi16(_mm_abs_epi16(words), _mm_setzero_si128())
        });
        let [out @ .., _, _, _, _, _, _, _, _] = scores(token, magnitudes, first);
        out
    }
}

kernel! {
    /// [`quantise8`](super::quantise::quantise8) of two blocks side by side: whether each has levels that aren't zero.
    #[inline]
    pub(super) fn quantise8(token: Avx2, half: &mut [[i16; 16]; 8], q: &Quantiser8) -> [bool; 2] {
        let mut any = _mm256_setzero_si256();
        for (row, (factor, bias)) in half.iter_mut().zip(q.factor.iter().zip(&q.bias)) {
            let result = levels(token, words(token, row), unsigned(token, factor), unsigned(token, bias), MAX_LEVEL_8X8);
            store(token, result, row);
            any = _mm256_or_si256(any, result);
        }
        let mask = mask(token, any);
        [mask & 0xFF != 0, mask >> 8 != 0]
    }
}
