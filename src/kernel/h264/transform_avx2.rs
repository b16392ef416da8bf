//! Macroblocks between rows of samples and planes of 4x4 blocks, and the 8x8 transform, for AVX2.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, i16x8, i16x16, kernel, u8x16};

use super::quantise::ZIGZAG_4X4;
use super::{Chroma, Luma, Planes};
use crate::kernel::block_avx2::transpose;

kernel! {
    #[inline]
    fn words(token: Avx2, from: &[i16; 16]) -> __m256i {
        i16x16::from_slice(token, from).into()
    }
}

kernel! {
    #[inline]
    fn store(token: Avx2, words: __m256i, to: &mut [i16; 16]) {
        let words: i16x16<Avx2> = words.simd_into(token);
        words.store_slice(to);
    }
}

kernel! {
    /// Two rows of samples.
    #[inline]
    fn rows(token: Avx2, low: &[u8; 16], high: &[u8; 16]) -> __m256i {
        _mm256_setr_m128i(u8x16::from_slice(token, low).into(), u8x16::from_slice(token, high).into())
    }
}

kernel! {
    /// Differences of samples: those of the lower eight columns of two rows, then of the upper.
    #[inline]
    fn differences(_token: Avx2, source: __m256i, prediction: __m256i) -> [__m256i; 2] {
        let minus = _mm256_set1_epi16(-0xFF);
        [
            _mm256_maddubs_epi16(_mm256_unpacklo_epi8(source, prediction), minus),
            _mm256_maddubs_epi16(_mm256_unpackhi_epi8(source, prediction), minus),
        ]
    }
}

kernel! {
    /// Four columns of 32-bit elements in each 128-bit lane.
    #[inline]
    fn columns(_token: Avx2, v: [__m256i; 4]) -> [__m256i; 4] {
        let (low0, high0) = (_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
        let (low1, high1) = (_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
        [
            _mm256_unpacklo_epi64(low0, low1), _mm256_unpackhi_epi64(low0, low1),
            _mm256_unpacklo_epi64(high0, high1), _mm256_unpackhi_epi64(high0, high1),
        ]
    }
}

kernel! {
    /// [`residual_luma`](super::transform4::residual_luma).
    #[inline]
    pub(super) fn residual_luma(token: Avx2, source: &Luma, prediction: &Luma, out: &mut Planes<16>) {
        // Neighbouring blocks' samples of the same column side by side.
        let pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
        for y in 0..4 {
            let [a, b] = [y, 4 + y].map(|y| {
                differences(token, rows(token, &source[y], &source[y + 8]), rows(token, &prediction[y], &prediction[y + 8]))
            });
            let [a, b] = [a, b].map(|part| part.map(|v| _mm256_shuffle_epi8(v, pairs)));
            for (x, plane) in columns(token, [a[0], a[1], b[0], b[1]]).into_iter().enumerate() {
                store(token, plane, &mut out[4 * y + x]);
            }
        }
    }
}

kernel! {
    /// [`residual_chroma`](super::transform4::residual_chroma).
    #[inline]
    pub(super) fn residual_chroma(token: Avx2, source: &Chroma, prediction: &Chroma, out: &mut Planes<8>) {
        for y in [0, 2] {
            let [upper, lower] = [y, y + 4].map(|y| {
                let [left, right] =
                    differences(token, rows(token, &source[y], &source[y + 1]), rows(token, &prediction[y], &prediction[y + 1]));
                [_mm256_unpacklo_epi16(left, right), _mm256_unpackhi_epi16(left, right)]
            });
            for half in 0..2 {
                let planes = [
                    _mm256_unpacklo_epi32(upper[half], lower[half]), _mm256_unpackhi_epi32(upper[half], lower[half]),
                ];
                for (x, plane) in planes.into_iter().enumerate() {
                    let both: i16x16<Avx2> = plane.simd_into(token);
                    let (first, second) = both.as_slice().split_at(8);
                    out[4 * y + 2 * half + x].copy_from_slice(first);
                    out[4 * y + 4 + 2 * half + x].copy_from_slice(second);
                }
            }
        }
    }
}

kernel! {
    /// Samples of two rows: predictions and residuals of the lower and the upper eight columns, rounded.
    #[inline]
    fn sums(_token: Avx2, prediction: __m256i, low: __m256i, high: __m256i) -> __m256i {
        let zero = _mm256_setzero_si256();
        // (r + 32) >> 6
        let sixth = _mm256_set1_epi16(512);
        let low = _mm256_add_epi16(_mm256_unpacklo_epi8(prediction, zero), _mm256_mulhrs_epi16(low, sixth));
        let high = _mm256_add_epi16(_mm256_unpackhi_epi8(prediction, zero), _mm256_mulhrs_epi16(high, sixth));
        _mm256_packus_epi16(low, high)
    }
}

kernel! {
    /// Stores two rows of samples.
    #[inline]
    fn store_rows(token: Avx2, both: __m256i, out: &mut Luma, low: usize, high: usize) {
        let first: u8x16<Avx2> = _mm256_castsi256_si128(both).simd_into(token);
        let second: u8x16<Avx2> = _mm256_extracti128_si256::<1>(both).simd_into(token);
        first.store_slice(&mut out[low]);
        second.store_slice(&mut out[high]);
    }
}

kernel! {
    /// [`add_luma`](super::transform4::add_luma).
    #[inline]
    pub(super) fn add_luma(token: Avx2, prediction: &Luma, residual: &Planes<16>, out: &mut Luma) {
        for y in 0..4 {
            let p: [__m256i; 4] = [0, 1, 2, 3].map(|x| words(token, &residual[4 * y + x]));
            let upper = [_mm256_unpacklo_epi16(p[0], p[1]), _mm256_unpacklo_epi16(p[2], p[3])];
            let lower = [_mm256_unpackhi_epi16(p[0], p[1]), _mm256_unpackhi_epi16(p[2], p[3])];
            for (y, part) in [(y, upper), (y + 4, lower)] {
                let (low, high) = (_mm256_unpacklo_epi32(part[0], part[1]), _mm256_unpackhi_epi32(part[0], part[1]));
                let both = sums(token, rows(token, &prediction[y], &prediction[y + 8]), low, high);
                store_rows(token, both, out, y, y + 8);
            }
        }
    }
}

kernel! {
    /// [`levels_zigzag`](super::quantise::levels_zigzag) of sixteen blocks.
    #[inline]
    pub(super) fn levels_zigzag_16(token: Avx2, levels: &Planes<16>, out: &mut [[i16; 16]; 16]) {
        let at = |k: usize| words(token, &levels[usize::from(ZIGZAG_4X4[k] & 15)]);
        let low = transpose(token, [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
        let high = transpose(token, [at(8), at(9), at(10), at(11), at(12), at(13), at(14), at(15)]);
        for b in 0..8 {
            store(token, _mm256_permute2x128_si256::<0x20>(low[b], high[b]), &mut out[b]);
            store(token, _mm256_permute2x128_si256::<0x31>(low[b], high[b]), &mut out[b + 8]);
        }
    }
}

kernel! {
    /// [`levels_zigzag`](super::quantise::levels_zigzag) of eight blocks.
    #[inline]
    pub(super) fn levels_zigzag_8(token: Avx2, levels: &Planes<8>, out: &mut [[i16; 16]; 8]) {
        let plane = |k: usize| -> __m128i { i16x8::from_slice(token, &levels[usize::from(ZIGZAG_4X4[k] & 15)]).into() };
        let at = |k: usize| _mm256_setr_m128i(plane(k), plane(k + 8));
        let turned = transpose(token, [at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)]);
        for b in 0..8 {
            store(token, turned[b], &mut out[b]);
        }
    }
}

kernel! {
    /// A value and its half.
    #[inline]
    fn half_more(_token: Avx2, v: __m256i) -> __m256i {
        _mm256_add_epi16(v, _mm256_srai_epi16::<1>(v))
    }
}

kernel! {
    #[inline]
    fn forward_pass(token: Avx2, d: [__m256i; 8]) -> [__m256i; 8] {
        let s = [0, 1, 2, 3].map(|k: usize| _mm256_add_epi16(d[k], d[7 - k]));
        let o = [0, 1, 2, 3].map(|k: usize| _mm256_sub_epi16(d[k], d[7 - k]));
        let (s03, s12) = (_mm256_add_epi16(s[0], s[3]), _mm256_add_epi16(s[1], s[2]));
        let (d03, d12) = (_mm256_sub_epi16(s[0], s[3]), _mm256_sub_epi16(s[1], s[2]));
        let more = [0, 1, 2, 3].map(|k: usize| half_more(token, o[k]));
        let a4 = _mm256_add_epi16(_mm256_add_epi16(o[1], o[2]), more[0]);
        let a5 = _mm256_sub_epi16(_mm256_sub_epi16(o[0], o[3]), more[2]);
        let a6 = _mm256_sub_epi16(_mm256_add_epi16(o[0], o[3]), more[1]);
        let a7 = _mm256_add_epi16(_mm256_sub_epi16(o[1], o[2]), more[3]);
        [
            _mm256_add_epi16(s03, s12),
            _mm256_add_epi16(a4, _mm256_srai_epi16::<2>(a7)),
            _mm256_add_epi16(d03, _mm256_srai_epi16::<1>(d12)),
            _mm256_add_epi16(a5, _mm256_srai_epi16::<2>(a6)),
            _mm256_sub_epi16(s03, s12),
            _mm256_sub_epi16(a6, _mm256_srai_epi16::<2>(a5)),
            _mm256_sub_epi16(_mm256_srai_epi16::<1>(d03), d12),
            _mm256_sub_epi16(_mm256_srai_epi16::<2>(a4), a7),
        ]
    }
}

kernel! {
    #[inline]
    fn inverse_pass(token: Avx2, d: [__m256i; 8]) -> [__m256i; 8] {
        let (a0, a2) = (_mm256_add_epi16(d[0], d[4]), _mm256_sub_epi16(d[0], d[4]));
        let a4 = _mm256_sub_epi16(_mm256_srai_epi16::<1>(d[2]), d[6]);
        let a6 = _mm256_add_epi16(d[2], _mm256_srai_epi16::<1>(d[6]));
        let (b0, b6) = (_mm256_add_epi16(a0, a6), _mm256_sub_epi16(a0, a6));
        let (b2, b4) = (_mm256_add_epi16(a2, a4), _mm256_sub_epi16(a2, a4));
        let a1 = _mm256_sub_epi16(_mm256_sub_epi16(d[5], d[3]), half_more(token, d[7]));
        let a3 = _mm256_sub_epi16(_mm256_add_epi16(d[1], d[7]), half_more(token, d[3]));
        let a5 = _mm256_add_epi16(_mm256_sub_epi16(d[7], d[1]), half_more(token, d[5]));
        let a7 = _mm256_add_epi16(_mm256_add_epi16(d[3], d[5]), half_more(token, d[1]));
        let b1 = _mm256_add_epi16(a1, _mm256_srai_epi16::<2>(a7));
        let b7 = _mm256_sub_epi16(a7, _mm256_srai_epi16::<2>(a1));
        let b3 = _mm256_add_epi16(a3, _mm256_srai_epi16::<2>(a5));
        let b5 = _mm256_sub_epi16(_mm256_srai_epi16::<2>(a3), a5);
        [
            _mm256_add_epi16(b0, b7), _mm256_add_epi16(b2, b5), _mm256_add_epi16(b4, b3), _mm256_add_epi16(b6, b1),
            _mm256_sub_epi16(b6, b1), _mm256_sub_epi16(b4, b3), _mm256_sub_epi16(b2, b5), _mm256_sub_epi16(b0, b7),
        ]
    }
}

kernel! {
    /// [`forward8`](super::transform8::forward8) of two blocks side by side.
    #[inline]
    pub(super) fn forward8(token: Avx2, half: &mut [[i16; 16]; 8]) {
        let lines = half.each_ref().map(|row| words(token, row));
        let lines = forward_pass(token, transpose(token, forward_pass(token, lines)));
        for (row, line) in half.iter_mut().zip(lines) {
            store(token, line, row);
        }
    }
}

kernel! {
    /// [`inverse8`](super::transform8::inverse8) of two blocks side by side.
    #[inline]
    pub(super) fn inverse8(token: Avx2, half: &mut [[i16; 16]; 8]) {
        let lines = half.each_ref().map(|row| words(token, row));
        let lines = inverse_pass(token, transpose(token, inverse_pass(token, lines)));
        for (row, line) in half.iter_mut().zip(lines) {
            store(token, line, row);
        }
    }
}

kernel! {
    /// [`forward_8x8`](super::transform8::forward_8x8).
    #[inline]
    pub(super) fn forward_8x8(token: Avx2, block: &mut [[i16; 8]; 8]) {
        let lines = block.each_ref().map(|row| _mm256_castsi128_si256(i16x8::from_slice(token, row).into()));
        let lines = forward_pass(token, transpose(token, forward_pass(token, lines)));
        for (row, line) in block.iter_mut().zip(lines) {
            let line: i16x8<Avx2> = _mm256_castsi256_si128(line).simd_into(token);
            line.store_slice(row);
        }
    }
}

kernel! {
    /// [`inverse_8x8`](super::transform8::inverse_8x8).
    #[inline]
    pub(super) fn inverse_8x8(token: Avx2, block: &mut [[i16; 8]; 8]) {
        let lines = block.each_ref().map(|row| _mm256_castsi128_si256(i16x8::from_slice(token, row).into()));
        let lines = inverse_pass(token, transpose(token, inverse_pass(token, lines)));
        for (row, line) in block.iter_mut().zip(lines) {
            let line: i16x8<Avx2> = _mm256_castsi256_si128(line).simd_into(token);
            line.store_slice(row);
        }
    }
}

kernel! {
    /// Differences of samples, sixteen at a time.
    #[inline]
    pub(super) fn residual(token: Avx2, source: &[[u8; 16]], prediction: &[[u8; 16]], out: &mut [[i16; 16]]) {
        for (out, (source, prediction)) in out.iter_mut().zip(source.iter().zip(prediction)) {
            let source = _mm256_cvtepu8_epi16(u8x16::from_slice(token, source).into());
            let prediction = _mm256_cvtepu8_epi16(u8x16::from_slice(token, prediction).into());
            store(token, _mm256_sub_epi16(source, prediction), out);
        }
    }
}

kernel! {
    /// Predictions and residuals, rounded, sixteen at a time.
    #[inline]
    pub(super) fn add(token: Avx2, prediction: &[[u8; 16]], residual: &[[i16; 16]], out: &mut [[u8; 16]]) {
        for (out, (prediction, residual)) in out.iter_mut().zip(prediction.iter().zip(residual)) {
            let prediction = _mm256_cvtepu8_epi16(u8x16::from_slice(token, prediction).into());
            let sum = _mm256_add_epi16(prediction, _mm256_mulhrs_epi16(words(token, residual), _mm256_set1_epi16(512)));
            let sum = _mm_packus_epi16(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            let sum: u8x16<Avx2> = sum.simd_into(token);
            sum.store_slice(out);
        }
    }
}

kernel! {
    /// Rows of plane prediction: `row` is the first in 32nds, `step` what each adds.
    #[inline]
    pub(super) fn plane(token: Avx2, row: &[i16; 16], step: &[i16; 16], out: &mut [[u8; 16]]) {
        let (mut row, step) = (words(token, row), words(token, step));
        for out in out {
            let samples = _mm256_srai_epi16::<5>(row);
            let samples = _mm_packus_epi16(_mm256_castsi256_si128(samples), _mm256_extracti128_si256::<1>(samples));
            let samples: u8x16<Avx2> = samples.simd_into(token);
            samples.store_slice(out);
            row = _mm256_add_epi16(row, step);
        }
    }
}
