//! Colour conversion for AVX2: products of 16-bit pairs, a pixel to each 32-bit lane.
//!
//! Green's weight in luma doesn't fit 16 signed bits and is split over two products; a weight of 32768 is half of itself,
//! shifted.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, kernel, u8x16, u8x32};

use super::color::{CB, CHROMA_OFFSET, CHUNK, CR, HALVED, LUMA, LUMA_OFFSET};

/// Pixels of a vector.
const LANES: usize = 8;

/// Two weights side by side, as the multiply-and-add instruction takes them.
const fn pair(first: i32, second: i32) -> i32 {
    assert!(first == first as i16 as i32 && second == second as i16 as i32);
    (first as u16 as u32 | (second as u16 as u32) << 16) as i32
}

/// Luma from red and green, and from blue and green.
const LUMA_RED: i32 = pair(LUMA[0], LUMA[1] / 2);
const LUMA_BLUE: i32 = pair(LUMA[2], LUMA[1] - LUMA[1] / 2);
/// Half a weight of 32768, for the first of a pair.
const HALF: i32 = pair(CB[2] / 2, 0);
/// What of Cb red and green make, and what of Cr blue and green make.
const CB_RED: i32 = pair(CB[0], CB[1]);
const CR_BLUE: i32 = pair(CR[2], CR[1]);

/// For each pixel of both halves of a vector its channel `first` and green, each as 16 bits. Four pixels of three bytes end
/// with the second half, so they begin four bytes in.
const fn spread(bytes: usize, first: usize) -> [u8; 32] {
    let mut index = [0x80; 32];
    let mut i = 0;
    while i < LANES {
        let at = bytes * (i % 4) + if bytes == 3 && i >= 4 { 4 } else { 0 };
        index[4 * i] = (at + first) as u8;
        index[4 * i + 2] = (at + 1) as u8;
        i += 1;
    }
    index
}

/// [`spread`] for three bytes and four: of the channel that comes first, and of the one that comes last.
const SPREAD: [[[u8; 32]; 2]; 2] = [[spread(3, 0), spread(3, 2)], [spread(4, 0), spread(4, 2)]];

kernel! {
    /// 32 values of a byte each, from lanes of four vectors.
    #[inline]
    fn packed(_token: Avx2, v: [__m256i; 4]) -> __m256i {
        let words = [_mm256_packus_epi32(v[0], v[1]), _mm256_packus_epi32(v[2], v[3])];
        let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words[0], words[1]), order)
    }
}

kernel! {
    /// Luma, Cb and Cr of eight pixels from their red and green, and their blue and green.
    #[inline]
    fn weighed(_token: Avx2, red: __m256i, blue: __m256i) -> [__m256i; 3] {
        let product = |pairs: __m256i, weights: i32| _mm256_madd_epi16(pairs, _mm256_set1_epi32(weights));
        let twice = |pairs: __m256i| _mm256_slli_epi32::<1>(product(pairs, HALF));
        let sum = |a: __m256i, b: __m256i, offset: i32| {
            _mm256_srli_epi32::<16>(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_set1_epi32(offset)))
        };
        [
            sum(product(red, LUMA_RED), product(blue, LUMA_BLUE), LUMA_OFFSET),
            sum(product(red, CB_RED), twice(blue), CHROMA_OFFSET),
            sum(twice(red), product(blue, CR_BLUE), CHROMA_OFFSET),
        ]
    }
}

kernel! {
    /// Converts [`CHUNK`] pixels of `bytes` (3 or 4) each.
    #[inline]
    pub(super) fn convert(
        token: Avx2,
        pixels: &[u8],
        bytes: usize,
        blue_first: bool,
        y: &mut [u8; CHUNK],
        cb: &mut [u8; CHUNK],
        cr: &mut [u8; CHUNK],
    ) {
        let pixels = &pixels[..bytes * CHUNK];
        let [first, last] = SPREAD[bytes - 3].each_ref().map(|index| -> __m256i { u8x32::from_slice(token, index).into() });
        let load = |at: usize| -> __m128i { u8x16::from_slice(token, &pixels[at..at + 16]).into() };
        for part in 0..CHUNK / 32 {
            let values: [[__m256i; 3]; 4] = std::array::from_fn(|i| {
                let at = (32 * part + LANES * i) * bytes;
                let eight = _mm256_set_m128i(load(at + LANES * bytes - 16), load(at));
                let (first, last) = (_mm256_shuffle_epi8(eight, first), _mm256_shuffle_epi8(eight, last));
                if blue_first { weighed(token, last, first) } else { weighed(token, first, last) }
            });
            for (plane, out) in [&mut *y, &mut *cb, &mut *cr].into_iter().enumerate() {
                let bytes: u8x32<Avx2> = packed(token, values.map(|value| value[plane])).simd_into(token);
                bytes.store_slice(&mut out[32 * part..][..32]);
            }
        }
    }
}

kernel! {
    /// Means of two by two samples.
    #[inline]
    pub(super) fn halve_both(token: Avx2, above: &[u8; 2 * HALVED], below: &[u8; 2 * HALVED], out: &mut [u8; HALVED]) {
        let ones = _mm256_set1_epi8(1);
        let rounding = _mm256_set1_epi32(1 | 2 << 16);
        let means = [0, 32].map(|at| {
            let sums = |row: &[u8; 2 * HALVED]| _mm256_maddubs_epi16(u8x32::from_slice(token, &row[at..at + 32]).into(), ones);
            _mm256_srli_epi16::<2>(_mm256_add_epi16(_mm256_add_epi16(sums(above), sums(below)), rounding))
        });
        let packed = _mm256_permute4x64_epi64::<0xD8>(_mm256_packus_epi16(means[0], means[1]));
        let packed: u8x32<Avx2> = packed.simd_into(token);
        packed.store_slice(out);
    }
}
