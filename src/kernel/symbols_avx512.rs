//! Listing a block's symbols for AVX-512: what is marked is compressed to the front of its vectors.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx512, SimdBase, SimdInto, i16x32, kernel, u8x64};

use super::symbols::DC_ROW;

/// 0, 1, 2 and so on.
const PLACES: [u8; 64] = places(0);
/// The lane before each.
const BEFORE: [u8; 64] = places(63);
/// What is added to each step for its row: of AC coefficients that of the zeros before them, one less.
const BASE: [u8; 64] = {
    let mut row = [u8::MAX; 64];
    row[0] = DC_ROW;
    row
};

const fn places(from: u8) -> [u8; 64] {
    let mut places = [0; 64];
    let mut i = 0;
    while i < 64 {
        places[i] = (i as u8 + from) % 64;
        i += 1;
    }
    places
}

kernel! {
    #[inline]
    pub(super) fn list(
        token: Avx512,
        coefficients: &[i16; 64],
        marked: u64,
        difference: i16,
        first_row: u8,
        rows: &mut [u8],
        values: &mut [i16],
    ) {
        let bytes = |from: &[u8; 64]| -> __m512i { u8x64::from_slice(token, from).into() };
        let places = _mm512_maskz_compress_epi8(marked, bytes(&PLACES));
        let before = _mm512_maskz_permutexvar_epi8(!1, bytes(&BEFORE), places);
        let base = _mm512_add_epi8(_mm512_set1_epi8(first_row as i8), bytes(&BASE));
        let steps: u8x64<Avx512> = _mm512_add_epi8(_mm512_sub_epi8(places, before), base).simd_into(token);
        steps.store_slice(rows);

        let half = |from: usize| -> __m512i { i16x32::from_slice(token, &coefficients[from..from + 32]).into() };
        let low = _mm512_maskz_compress_epi16(marked as u32, _mm512_mask_set1_epi16(half(0), 1, difference));
        let high = _mm512_maskz_compress_epi16((marked >> 32) as u32, half(32));
        let (low, high): (i16x32<Avx512>, i16x32<Avx512>) = (low.simd_into(token), high.simd_into(token));
        let count = (marked as u32).count_ones() as usize;
        low.store_slice(&mut values[..32]);
        high.store_slice(&mut values[count..count + 32]);
    }
}
