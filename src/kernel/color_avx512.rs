//! Colour conversion for AVX-512: products of bytes, four to a 32-bit lane, so that a pixel is one lane.
//!
//! The instruction multiplies unsigned bytes by signed ones. A 16-bit weight is therefore two signed digits of 256; the
//! weight of green in luma is too large for that and is split over two copies of green; a weight of +32768 is, too, and
//! is taken negated.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx512, SimdBase, SimdInto, kernel, u8x32, u8x64};

use super::color::{CB, CHROMA_OFFSET, CHUNK, CR, HALVED, LUMA, LUMA_OFFSET};

/// The signed digits of four weights: high, then low.
const fn digits(weights: [i32; 4]) -> [i32; 2] {
    let (mut high, mut low) = (0_u32, 0_u32);
    let mut i = 0;
    while i < 4 {
        let digit = (weights[i] + 128).rem_euclid(256) - 128;
        let upper = (weights[i] - digit) / 256;
        assert!(-128 <= upper && upper <= 127);
        high |= (upper as u8 as u32) << (8 * i);
        low |= (digit as u8 as u32) << (8 * i);
        i += 1;
    }
    [high as i32, low as i32]
}

/// Luma of a pixel laid out as red, green, blue, green.
const LUMA_DIGITS: [i32; 2] = digits([LUMA[0], LUMA[1] / 2, LUMA[2], LUMA[1] - LUMA[1] / 2]);
/// Negated chroma.
const CB_DIGITS: [i32; 2] = digits([-CB[0], -CB[1], -CB[2], 0]);
const CR_DIGITS: [i32; 2] = digits([-CR[0], -CR[1], -CR[2], 0]);
/// What the sums of high digits begin with, so that nothing is left to be added: the offset of luma, and that of chroma and
/// one, negated, as `offset - x == !(x - offset - 1)`.
const LUMA_START: i32 = LUMA_OFFSET >> 8;
const CHROMA_START: i32 = -((CHROMA_OFFSET + 1) >> 8);
const _: () = assert!(LUMA_START << 8 == LUMA_OFFSET && -(CHROMA_START << 8) == CHROMA_OFFSET + 1);

/// For each of 16 pixels the places of red, green, blue and green again, from pixels that begin `skip` bytes in.
const fn spread(bytes: usize, blue_first: bool, skip: usize) -> [u8; 64] {
    let mut index = [0; 64];
    let mut i = 0;
    while i < 16 {
        let at = skip + bytes * i;
        let (red, blue) = if blue_first { (2, 0) } else { (0, 2) };
        index[4 * i] = (at + red) as u8;
        index[4 * i + 1] = (at + 1) as u8;
        index[4 * i + 2] = (at + blue) as u8;
        index[4 * i + 3] = (at + 1) as u8;
        i += 1;
    }
    index
}

/// [`spread`] for three bytes and four, red first and blue first; three bytes also for the last vector of a chunk, which
/// begins 16 bytes early so as to end with the chunk.
const SPREAD: [[[u8; 64]; 2]; 2] =
    [[spread(3, false, 0), spread(3, true, 0)], [spread(4, false, 0), spread(4, true, 0)]];
const SPREAD_LAST: [[u8; 64]; 2] = [spread(3, false, 16), spread(3, true, 16)];

/// The third byte of each 32-bit lane of two vectors, twice.
const THIRD_BYTES: [u8; 64] = {
    let mut index = [0; 64];
    let mut i = 0;
    while i < 64 {
        index[i] = (4 * (i % 32) + 2) as u8;
        i += 1;
    }
    index
};

kernel! {
    /// The third bytes of 64 lanes.
    #[inline]
    fn third_bytes(token: Avx512, v: [__m512i; 4]) -> __m512i {
        let index = u8x64::from_slice(token, &THIRD_BYTES).into();
        let (low, high) = (_mm512_permutex2var_epi8(v[0], index, v[1]), _mm512_permutex2var_epi8(v[2], index, v[3]));
        _mm512_mask_blend_epi64(0xF0, low, high)
    }
}

kernel! {
    /// The third bytes of `start` and the weighted sum of each pixel.
    #[inline]
    fn weighed(token: Avx512, pixels: [__m512i; 4], digits: [i32; 2], start: i32) -> __m512i {
        let (high, low) = (_mm512_set1_epi32(digits[0]), _mm512_set1_epi32(digits[1]));
        let start = _mm512_set1_epi32(start);
        third_bytes(token, pixels.map(|pixels| {
            let upper = _mm512_slli_epi32::<8>(_mm512_dpbusd_epi32(start, pixels, high));
            _mm512_dpbusd_epi32(upper, pixels, low)
        }))
    }
}

kernel! {
    /// Converts [`CHUNK`] pixels of `bytes` (3 or 4) each.
    #[inline]
    pub(super) fn convert(
        token: Avx512,
        pixels: &[u8],
        bytes: usize,
        blue_first: bool,
        y: &mut [u8; CHUNK],
        cb: &mut [u8; CHUNK],
        cr: &mut [u8; CHUNK],
    ) {
        let pixels = &pixels[..bytes * CHUNK];
        let load = |at: usize| -> __m512i { u8x64::from_slice(token, &pixels[at..at + 64]).into() };
        let index: __m512i = u8x64::from_slice(token, &SPREAD[bytes - 3][usize::from(blue_first)]).into();
        let spread = if bytes == 3 {
            let last = u8x64::from_slice(token, &SPREAD_LAST[usize::from(blue_first)]).into();
            [
                _mm512_permutexvar_epi8(index, load(0)), _mm512_permutexvar_epi8(index, load(48)),
                _mm512_permutexvar_epi8(index, load(96)), _mm512_permutexvar_epi8(last, load(128)),
            ]
        } else {
            [0, 64, 128, 192].map(|at| _mm512_permutexvar_epi8(index, load(at)))
        };
        let store = |values: __m512i, out: &mut [u8; CHUNK]| {
            let values: u8x64<Avx512> = values.simd_into(token);
            values.store_slice(out);
        };
        store(weighed(token, spread, LUMA_DIGITS, LUMA_START), y);
        let ones = _mm512_set1_epi32(-1);
        store(_mm512_xor_si512(weighed(token, spread, CB_DIGITS, CHROMA_START), ones), cb);
        store(_mm512_xor_si512(weighed(token, spread, CR_DIGITS, CHROMA_START), ones), cr);
    }
}

kernel! {
    /// Means of two by two samples.
    #[inline]
    pub(super) fn halve_both(token: Avx512, above: &[u8; 2 * HALVED], below: &[u8; 2 * HALVED], out: &mut [u8; HALVED]) {
        let ones = _mm512_set1_epi8(1);
        let load = |row: &[u8; 2 * HALVED]| _mm512_maddubs_epi16(u8x64::from_slice(token, row).into(), ones);
        let rounding = _mm512_set1_epi32(1 | 2 << 16);
        let sum = _mm512_add_epi16(_mm512_add_epi16(load(above), load(below)), rounding);
        let means: u8x32<Avx512> = _mm512_cvtepi16_epi8(_mm512_srli_epi16::<2>(sum)).simd_into(token);
        means.store_slice(out);
    }
}
