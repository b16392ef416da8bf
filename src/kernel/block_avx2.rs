//! [`transform`](super::block::transform) for AVX2: two blocks at a time, one to each 128-bit lane.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, i16x16, kernel, u8x16, u16x16};

use super::block::BLOCKS;
use super::dct::{EVEN, FORWARD_SHIFTS, ODD};
use super::quantise::{Quantiser, ZIGZAG};

/// Two weights side by side, as the multiply-and-add instruction takes them.
const fn pair(weights: [i16; 2]) -> i32 {
    (weights[0] as u16 as u32 | (weights[1] as u16 as u32) << 16) as i32
}

kernel! {
    /// Products of interleaved inputs with a pair of weights.
    #[inline]
    fn products(_token: Avx2, inputs: [__m256i; 2], weights: [i16; 2]) -> [__m256i; 2] {
        let weights = _mm256_set1_epi32(pair(weights));
        [_mm256_madd_epi16(inputs[0], weights), _mm256_madd_epi16(inputs[1], weights)]
    }
}

kernel! {
    /// Sums rounded, scaled down and packed.
    #[inline]
    fn packed(_token: Avx2, sums: [__m256i; 2], first: bool) -> __m256i {
        const SHIFTS: [i32; 2] = [FORWARD_SHIFTS[0] as i32, FORWARD_SHIFTS[1] as i32];
        let round = _mm256_set1_epi32(1 << (SHIFTS[if first { 0 } else { 1 }] - 1));
        let (low, high) = (_mm256_add_epi32(sums[0], round), _mm256_add_epi32(sums[1], round));
        if first {
            _mm256_packs_epi32(_mm256_srai_epi32::<{ SHIFTS[0] }>(low), _mm256_srai_epi32::<{ SHIFTS[0] }>(high))
        } else {
            _mm256_packs_epi32(_mm256_srai_epi32::<{ SHIFTS[1] }>(low), _mm256_srai_epi32::<{ SHIFTS[1] }>(high))
        }
    }
}

kernel! {
    #[inline]
    fn interleaved(_token: Avx2, a: __m256i, b: __m256i) -> [__m256i; 2] {
        [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)]
    }
}

kernel! {
    /// One pass over eight lines in each lane; `d[k]` holds sample `k` of all.
    #[inline]
    fn pass(token: Avx2, d: [__m256i; 8], first: bool) -> [__m256i; 8] {
        let sums = [
            _mm256_add_epi16(d[0], d[7]), _mm256_add_epi16(d[1], d[6]),
            _mm256_add_epi16(d[2], d[5]), _mm256_add_epi16(d[3], d[4]),
        ];
        let differences = [
            _mm256_sub_epi16(d[3], d[4]), _mm256_sub_epi16(d[2], d[5]),
            _mm256_sub_epi16(d[1], d[6]), _mm256_sub_epi16(d[0], d[7]),
        ];
        let even = [_mm256_add_epi16(sums[0], sums[3]), _mm256_add_epi16(sums[1], sums[2])];
        let turned = [_mm256_sub_epi16(sums[0], sums[3]), _mm256_sub_epi16(sums[1], sums[2])];
        let (total, alternating) = (_mm256_add_epi16(even[0], even[1]), _mm256_sub_epi16(even[0], even[1]));
        let (out0, out4) = if first {
            let shifted = _mm256_sub_epi16(total, _mm256_set1_epi16(8 * 128));
            (_mm256_slli_epi16::<2>(shifted), _mm256_slli_epi16::<2>(alternating))
        } else {
            let two = _mm256_set1_epi16(2);
            let rounded = [_mm256_add_epi16(total, two), _mm256_add_epi16(alternating, two)];
            (_mm256_srai_epi16::<2>(rounded[0]), _mm256_srai_epi16::<2>(rounded[1]))
        };
        let rotation = interleaved(token, turned[0], turned[1]);
        let rotated = EVEN.map(|weights| packed(token, products(token, rotation, weights), first));
        let near = interleaved(token, differences[0], differences[1]);
        let far = interleaved(token, differences[2], differences[3]);
        let odd = ODD.map(|w| {
            let (a, b) = (products(token, near, [w[0], w[1]]), products(token, far, [w[2], w[3]]));
            packed(token, [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])], first)
        });
        [out0, odd[0], rotated[0], odd[1], out4, odd[2], rotated[1], odd[3]]
    }
}

kernel! {
    /// Transposes the 8x8 words of each 128-bit lane.
    #[inline]
    pub(super) fn transpose(_token: Avx2, r: [__m256i; 8]) -> [__m256i; 8] {
        let a = [
            _mm256_unpacklo_epi16(r[0], r[1]), _mm256_unpackhi_epi16(r[0], r[1]),
            _mm256_unpacklo_epi16(r[2], r[3]), _mm256_unpackhi_epi16(r[2], r[3]),
            _mm256_unpacklo_epi16(r[4], r[5]), _mm256_unpackhi_epi16(r[4], r[5]),
            _mm256_unpacklo_epi16(r[6], r[7]), _mm256_unpackhi_epi16(r[6], r[7]),
        ];
        let b = [
            _mm256_unpacklo_epi32(a[0], a[2]), _mm256_unpackhi_epi32(a[0], a[2]),
            _mm256_unpacklo_epi32(a[1], a[3]), _mm256_unpackhi_epi32(a[1], a[3]),
            _mm256_unpacklo_epi32(a[4], a[6]), _mm256_unpackhi_epi32(a[4], a[6]),
            _mm256_unpacklo_epi32(a[5], a[7]), _mm256_unpackhi_epi32(a[5], a[7]),
        ];
        [
            _mm256_unpacklo_epi64(b[0], b[4]), _mm256_unpackhi_epi64(b[0], b[4]),
            _mm256_unpacklo_epi64(b[1], b[5]), _mm256_unpackhi_epi64(b[1], b[5]),
            _mm256_unpacklo_epi64(b[2], b[6]), _mm256_unpackhi_epi64(b[2], b[6]),
            _mm256_unpacklo_epi64(b[3], b[7]), _mm256_unpackhi_epi64(b[3], b[7]),
        ]
    }
}

kernel! {
    /// Sixteen coefficients in zigzag order, quantised.
    #[inline]
    fn quantised(_token: Avx2, x: __m256i, half: __m256i, reciprocal: __m256i, shift_up: __m256i) -> __m256i {
        let sum = _mm256_add_epi16(_mm256_abs_epi16(x), half);
        _mm256_sign_epi16(_mm256_mulhi_epu16(_mm256_mulhi_epu16(sum, reciprocal), shift_up), x)
    }
}

kernel! {
    /// The mask of what isn't zero in 32 coefficients.
    #[inline]
    fn nonzero(_token: Avx2, low: __m256i, high: __m256i) -> u32 {
        let zero = _mm256_setzero_si256();
        let zeros = _mm256_packs_epi16(_mm256_cmpeq_epi16(low, zero), _mm256_cmpeq_epi16(high, zero));
        !(_mm256_movemask_epi8(_mm256_permute4x64_epi64::<0xD8>(zeros)) as u32)
    }
}

kernel! {
    /// Quantises one block whose coefficients lie in zigzag order; gives the mask of what isn't zero.
    #[inline]
    pub(super) fn quantise(token: Avx2, zigzag: &[i16; 64], quantiser: &Quantiser, out: &mut [i16; 64]) -> u64 {
        let words = |from: &[u16; 64], part: usize| -> __m256i { u16x16::from_slice(token, &from[16 * part..][..16]).into() };
        let mut mask = 0;
        for half in 0..2 {
            let parts = [2 * half, 2 * half + 1].map(|part| {
                let x: __m256i = i16x16::from_slice(token, &zigzag[16 * part..][..16]).into();
                // No shift by lanes of 16 bits here: the high half of a product with 2^(16 - shift) is the same.
                let shift_up = words(&quantiser.shift_up, part);
                let values = quantised(token, x, words(&quantiser.half, part), words(&quantiser.reciprocal, part), shift_up);
                let stored: i16x16<Avx2> = values.simd_into(token);
                stored.store_slice(&mut out[16 * part..][..16]);
                values
            });
            mask |= u64::from(nonzero(token, parts[0], parts[1])) << (32 * half);
        }
        mask
    }
}

kernel! {
    /// Transforms two of the blocks, to natural order.
    #[inline]
    fn transformed(token: Avx2, rows: [&[u8]; 8], two: usize) -> [[i16; 64]; 2] {
        let rows = rows.map(|row| _mm256_cvtepu8_epi16(u8x16::from_slice(token, &row[16 * two..][..16]).into()));
        let lines = pass(token, transpose(token, rows), true);
        let lines = pass(token, transpose(token, lines), false);
        let mut natural = [[0_i16; 64]; 2];
        for (v, line) in lines.into_iter().enumerate() {
            let line: i16x16<Avx2> = line.simd_into(token);
            let (left, right) = line.as_slice().split_at(8);
            natural[0][8 * v..][..8].copy_from_slice(left);
            natural[1][8 * v..][..8].copy_from_slice(right);
        }
        natural
    }
}

kernel! {
    #[inline]
    pub(super) fn transform(
        token: Avx2,
        rows: [&[u8]; 8],
        quantiser: &Quantiser,
        coefficients: &mut [[i16; 64]; BLOCKS],
        masks: &mut [u64; BLOCKS],
    ) {
        for two in 0..BLOCKS / 2 {
            for (b, natural) in transformed(token, rows, two).iter().enumerate() {
                let zigzag: [i16; 64] = std::array::from_fn(|k| natural[ZIGZAG[k] as usize]);
                masks[2 * two + b] = quantise(token, &zigzag, quantiser, &mut coefficients[2 * two + b]);
            }
        }
    }
}

kernel! {
    #[inline]
    pub(super) fn forward(token: Avx2, rows: [&[u8]; 8], coefficients: &mut [[i16; 64]; BLOCKS]) {
        for two in 0..BLOCKS / 2 {
            for (b, natural) in transformed(token, rows, two).iter().enumerate() {
                coefficients[2 * two + b] = std::array::from_fn(|k| natural[ZIGZAG[k] as usize]);
            }
        }
    }
}
