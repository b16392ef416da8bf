//! [`transform`](super::block::transform) for AVX-512: four blocks, one to each 128-bit lane.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx512, SimdBase, SimdInto, i16x32, kernel, u8x32, u16x32};

use super::block::BLOCKS;
use super::dct::{EVEN, FORWARD_SHIFTS, ODD};
use super::quantise::{Quantiser, ZIGZAG};

/// Two weights side by side, as the multiply-and-add instruction takes them.
const fn pair(first: i16, second: i16) -> i32 {
    (first as u16 as u32 | (second as u16 as u32) << 16) as i32
}

/// The zigzag as an index over two vectors of 32.
const ZIGZAG_WORDS: [u16; 64] = {
    let mut words = [0; 64];
    let mut k = 0;
    while k < 64 {
        words[k] = ZIGZAG[k] as u16;
        k += 1;
    }
    words
};

kernel! {
    /// Sums of products, rounded, scaled down and packed: `a`, `b` are the low and high halves of interleaved inputs.
    #[inline]
    fn packed(_token: Avx512, low: __m512i, high: __m512i, first: bool) -> __m512i {
        if first {
            const SHIFT: u32 = FORWARD_SHIFTS[0];
            _mm512_packs_epi32(_mm512_srai_epi32::<SHIFT>(low), _mm512_srai_epi32::<SHIFT>(high))
        } else {
            const SHIFT: u32 = FORWARD_SHIFTS[1];
            _mm512_packs_epi32(_mm512_srai_epi32::<SHIFT>(low), _mm512_srai_epi32::<SHIFT>(high))
        }
    }
}

kernel! {
    /// One pass over eight lines in each lane; `d[k]` holds sample `k` of all.
    #[inline]
    fn pass(token: Avx512, d: [__m512i; 8], first: bool) -> [__m512i; 8] {
        let sums = [
            _mm512_add_epi16(d[0], d[7]), _mm512_add_epi16(d[1], d[6]),
            _mm512_add_epi16(d[2], d[5]), _mm512_add_epi16(d[3], d[4]),
        ];
        let differences = [
            _mm512_sub_epi16(d[3], d[4]), _mm512_sub_epi16(d[2], d[5]),
            _mm512_sub_epi16(d[1], d[6]), _mm512_sub_epi16(d[0], d[7]),
        ];
        let even = [_mm512_add_epi16(sums[0], sums[3]), _mm512_add_epi16(sums[1], sums[2])];
        let turned = [_mm512_sub_epi16(sums[0], sums[3]), _mm512_sub_epi16(sums[1], sums[2])];
        let (total, alternating) = (_mm512_add_epi16(even[0], even[1]), _mm512_sub_epi16(even[0], even[1]));
        let (out0, out4) = if first {
            let shifted = _mm512_sub_epi16(total, _mm512_set1_epi16(8 * 128));
            (_mm512_slli_epi16::<2>(shifted), _mm512_slli_epi16::<2>(alternating))
        } else {
            let two = _mm512_set1_epi16(2);
            let rounded = [_mm512_add_epi16(total, two), _mm512_add_epi16(alternating, two)];
            (_mm512_srai_epi16::<2>(rounded[0]), _mm512_srai_epi16::<2>(rounded[1]))
        };
        let round = _mm512_set1_epi32(1 << (FORWARD_SHIFTS[if first { 0 } else { 1 }] - 1));
        let (low, high) = (_mm512_unpacklo_epi16(turned[0], turned[1]), _mm512_unpackhi_epi16(turned[0], turned[1]));
        let rotated = EVEN.map(|w| {
            let weights = _mm512_set1_epi32(pair(w[0], w[1]));
            packed(token, _mm512_dpwssd_epi32(round, low, weights), _mm512_dpwssd_epi32(round, high, weights), first)
        });
        let low = [
            _mm512_unpacklo_epi16(differences[0], differences[1]), _mm512_unpacklo_epi16(differences[2], differences[3]),
        ];
        let high = [
            _mm512_unpackhi_epi16(differences[0], differences[1]), _mm512_unpackhi_epi16(differences[2], differences[3]),
        ];
        let odd = ODD.map(|w| {
            let (near, far) = (_mm512_set1_epi32(pair(w[0], w[1])), _mm512_set1_epi32(pair(w[2], w[3])));
            let low = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(round, low[0], near), low[1], far);
            let high = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(round, high[0], near), high[1], far);
            packed(token, low, high, first)
        });
        [out0, odd[0], rotated[0], odd[1], out4, odd[2], rotated[1], odd[3]]
    }
}

kernel! {
    /// Transposes the 8x8 words of each 128-bit lane.
    #[inline]
    fn transpose(_token: Avx512, r: [__m512i; 8]) -> [__m512i; 8] {
        let a = [
            _mm512_unpacklo_epi16(r[0], r[1]), _mm512_unpackhi_epi16(r[0], r[1]),
            _mm512_unpacklo_epi16(r[2], r[3]), _mm512_unpackhi_epi16(r[2], r[3]),
            _mm512_unpacklo_epi16(r[4], r[5]), _mm512_unpackhi_epi16(r[4], r[5]),
            _mm512_unpacklo_epi16(r[6], r[7]), _mm512_unpackhi_epi16(r[6], r[7]),
        ];
        let b = [
            _mm512_unpacklo_epi32(a[0], a[2]), _mm512_unpackhi_epi32(a[0], a[2]),
            _mm512_unpacklo_epi32(a[1], a[3]), _mm512_unpackhi_epi32(a[1], a[3]),
            _mm512_unpacklo_epi32(a[4], a[6]), _mm512_unpackhi_epi32(a[4], a[6]),
            _mm512_unpacklo_epi32(a[5], a[7]), _mm512_unpackhi_epi32(a[5], a[7]),
        ];
        [
            _mm512_unpacklo_epi64(b[0], b[4]), _mm512_unpackhi_epi64(b[0], b[4]),
            _mm512_unpacklo_epi64(b[1], b[5]), _mm512_unpackhi_epi64(b[1], b[5]),
            _mm512_unpacklo_epi64(b[2], b[6]), _mm512_unpackhi_epi64(b[2], b[6]),
            _mm512_unpacklo_epi64(b[3], b[7]), _mm512_unpackhi_epi64(b[3], b[7]),
        ]
    }
}

kernel! {
    /// Four rows of four blocks to four blocks of four rows.
    #[inline]
    fn gathered(_token: Avx512, r0: __m512i, r1: __m512i, r2: __m512i, r3: __m512i) -> [__m512i; 4] {
        let near = [_mm512_shuffle_i64x2::<0x44>(r0, r1), _mm512_shuffle_i64x2::<0x44>(r2, r3)];
        let far = [_mm512_shuffle_i64x2::<0xEE>(r0, r1), _mm512_shuffle_i64x2::<0xEE>(r2, r3)];
        [
            _mm512_shuffle_i64x2::<0x88>(near[0], near[1]), _mm512_shuffle_i64x2::<0xDD>(near[0], near[1]),
            _mm512_shuffle_i64x2::<0x88>(far[0], far[1]), _mm512_shuffle_i64x2::<0xDD>(far[0], far[1]),
        ]
    }
}

kernel! {
    /// Half a block in zigzag order, quantised, and the mask of what isn't zero.
    #[inline]
    fn quantised(_token: Avx512, x: __m512i, half: __m512i, reciprocal: __m512i, shift: __m512i) -> (__m512i, u32) {
        let sum = _mm512_add_epi16(_mm512_abs_epi16(x), half);
        let magnitude = _mm512_srlv_epi16(_mm512_mulhi_epu16(sum, reciprocal), shift);
        let mask = _mm512_test_epi16_mask(magnitude, magnitude);
        (_mm512_mask_sub_epi16(magnitude, _mm512_movepi16_mask(x), _mm512_setzero_si512(), magnitude), mask)
    }
}

kernel! {
    /// Transforms four blocks: the top four rows of each, and the bottom four.
    #[inline]
    fn transformed(token: Avx512, rows: [&[u8]; 8]) -> [[__m512i; 4]; 2] {
        let rows = rows.map(|row| _mm512_cvtepu8_epi16(u8x32::from_slice(token, row).into()));
        let lines = pass(token, transpose(token, rows), true);
        let c = pass(token, transpose(token, lines), false);
        [gathered(token, c[0], c[1], c[2], c[3]), gathered(token, c[4], c[5], c[6], c[7])]
    }
}

kernel! {
    #[inline]
    fn words(token: Avx512, from: &[u16; 64], half: usize) -> __m512i {
        u16x32::from_slice(token, &from[32 * half..][..32]).into()
    }
}

kernel! {
    /// Quantises half a block in zigzag order; gives the mask of what isn't zero.
    #[inline]
    fn quantise_half(token: Avx512, zigzag: __m512i, quantiser: &Quantiser, half: usize, out: &mut [i16; 64]) -> u64 {
        let divisors = [&quantiser.half, &quantiser.reciprocal, &quantiser.shift].map(|from| words(token, from, half));
        let (values, mask) = quantised(token, zigzag, divisors[0], divisors[1], divisors[2]);
        let values: i16x32<Avx512> = values.simd_into(token);
        values.store_slice(&mut out[32 * half..][..32]);
        u64::from(mask) << (32 * half)
    }
}

kernel! {
    #[inline]
    pub(super) fn transform(
        token: Avx512,
        rows: [&[u8]; 8],
        quantiser: &Quantiser,
        coefficients: &mut [[i16; 64]; BLOCKS],
        masks: &mut [u64; BLOCKS],
    ) {
        let [top, bottom] = transformed(token, rows);
        for b in 0..BLOCKS {
            let zigzag = |half| _mm512_permutex2var_epi16(top[b], words(token, &ZIGZAG_WORDS, half), bottom[b]);
            let low = quantise_half(token, zigzag(0), quantiser, 0, &mut coefficients[b]);
            masks[b] = low | quantise_half(token, zigzag(1), quantiser, 1, &mut coefficients[b]);
        }
    }
}

kernel! {
    #[inline]
    pub(super) fn forward(token: Avx512, rows: [&[u8]; 8], coefficients: &mut [[i16; 64]; BLOCKS]) {
        let [top, bottom] = transformed(token, rows);
        for b in 0..BLOCKS {
            for half in 0..2 {
                let zigzag: i16x32<Avx512> =
                    _mm512_permutex2var_epi16(top[b], words(token, &ZIGZAG_WORDS, half), bottom[b]).simd_into(token);
                zigzag.store_slice(&mut coefficients[b][32 * half..][..32]);
            }
        }
    }
}

kernel! {
    #[inline]
    pub(super) fn quantise(token: Avx512, coefficients: &[i16; 64], quantiser: &Quantiser, out: &mut [i16; 64]) -> u64 {
        let half = |half: usize| i16x32::from_slice(token, &coefficients[32 * half..][..32]).into();
        quantise_half(token, half(0), quantiser, 0, out) | quantise_half(token, half(1), quantiser, 1, out)
    }
}
