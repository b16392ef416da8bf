//! [`Pieces::join`](super::join::Pieces::join) for AVX-512: 32 symbols at a time, their codes found by permuting a table that
//! fits into registers.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx512, SimdBase, SimdInto, i16x32, kernel, u8x32, u8x64, u16x32, u64x8};

use super::join::{CodeWords, DC_WORDS, KIND_WORDS};
use super::symbols::{DC_ROW, ROWS, SymbolList, VECTOR};

/// Most bits of a piece.
const PIECE_BITS: i64 = 56;
/// Where nothing but the low half of each dword is wanted, and of each qword.
const LOW_WORDS: u32 = 0x5555_5555;
const LOW_DWORDS: u16 = 0x5555;

kernel! {
    /// Bits of each magnitude, and as many ones.
    #[inline]
    fn sizes(_token: Avx512, values: __m512i) -> (__m512i, __m512i) {
        let ones = _mm512_abs_epi16(values);
        let ones = _mm512_or_si512(ones, _mm512_srli_epi16::<1>(ones));
        let ones = _mm512_or_si512(ones, _mm512_srli_epi16::<2>(ones));
        let ones = _mm512_or_si512(ones, _mm512_srli_epi16::<4>(ones));
        let ones = _mm512_or_si512(ones, _mm512_srli_epi16::<8>(ones));
        (_mm512_popcnt_epi16(ones), ones)
    }
}

kernel! {
    /// Places in the tables of the symbols.
    #[inline]
    fn places(_token: Avx512, rows: __m512i, sizes: __m512i) -> __m512i {
        let run = _mm512_and_si512(rows, _mm512_set1_epi16(15));
        let place = _mm512_or_si512(_mm512_slli_epi16::<4>(sizes), run);
        let is_dc = _mm512_test_epi16_mask(rows, _mm512_set1_epi16(DC_ROW as i16));
        let place = _mm512_mask_add_epi16(place, is_dc, sizes, _mm512_set1_epi16(DC_WORDS as i16));
        let is_chroma = _mm512_test_epi16_mask(rows, _mm512_set1_epi16(ROWS as i16));
        _mm512_mask_add_epi16(place, is_chroma, place, _mm512_set1_epi16(KIND_WORDS as i16))
    }
}

kernel! {
    #[inline]
    fn codes_of(token: Avx512, words: &CodeWords, places: __m512i) -> __m512i {
        let part = |part: usize| {
            let half = |half| -> __m512i { u16x32::from_slice(token, &words.codes[64 * part + half..][..32]).into() };
            _mm512_permutex2var_epi16(half(0), places, half(32))
        };
        let bit = |bit| _mm512_test_epi16_mask(places, _mm512_set1_epi16(bit));
        let (odd, second, last) = (bit(64), bit(128), bit(256));
        let pair = |first: usize| _mm512_mask_mov_epi16(part(first), odd, part(first + 1));
        _mm512_mask_mov_epi16(_mm512_mask_mov_epi16(pair(0), second, pair(2)), last, pair(4))
    }
}

kernel! {
    /// Lengths of code and magnitude.
    #[inline]
    fn lengths_of(token: Avx512, words: &CodeWords, places: __m512i) -> __m512i {
        let part = |part: usize| {
            let half = |half| -> __m512i { u8x64::from_slice(token, &words.lengths[128 * part + half..][..64]).into() };
            _mm512_permutex2var_epi8(half(0), places, half(64))
        };
        let bit = |bit| _mm512_test_epi16_mask(places, _mm512_set1_epi16(bit));
        let (second, last) = (bit(128), bit(256));
        // The high bytes of places found something as well.
        let found = _mm512_mask_mov_epi16(_mm512_mask_mov_epi16(part(0), second, part(1)), last, part(2));
        _mm512_and_si512(found, _mm512_set1_epi16(31))
    }
}

kernel! {
    /// Code and magnitude of 32 symbols: of the even ones and of the odd ones, with their lengths.
    #[inline]
    fn coded(token: Avx512, words: &CodeWords, rows: &[u8; VECTOR], values: &[i16; VECTOR]) -> [[__m512i; 2]; 2] {
        let rows = _mm512_cvtepu8_epi16(u8x32::from_slice(token, rows).into());
        let values: __m512i = i16x32::from_slice(token, values).into();
        let (sizes, ones) = sizes(token, values);
        let places = places(token, rows, sizes);
        let (codes, lengths) = (codes_of(token, words, places), lengths_of(token, words, places));
        // Those of negative values are of the value less one.
        let magnitudes = _mm512_and_si512(_mm512_add_epi16(values, _mm512_srai_epi16::<15>(values)), ones);
        let low = |from| _mm512_maskz_mov_epi16(LOW_WORDS, from);
        let even = _mm512_or_si512(_mm512_sllv_epi32(low(codes), low(sizes)), low(magnitudes));
        let high = |from| _mm512_srli_epi32::<16>(from);
        let odd = _mm512_or_si512(_mm512_sllv_epi32(high(codes), high(sizes)), high(magnitudes));
        [[even, low(lengths)], [odd, high(lengths)]]
    }
}

kernel! {
    /// Neighbours joined: in each lane `first`, then `second`.
    #[inline]
    fn joined(_token: Avx512, first: [__m512i; 2], second: [__m512i; 2]) -> [__m512i; 2] {
        let bits = _mm512_or_si512(_mm512_sllv_epi64(first[0], second[1]), second[0]);
        [bits, _mm512_add_epi64(first[1], second[1])]
    }
}

kernel! {
    /// Pairs of symbols: the even ones and the odd ones.
    #[inline]
    fn pairs(token: Avx512, coded: [[__m512i; 2]; 2]) -> [[__m512i; 2]; 2] {
        let [even, odd] = coded;
        let low = |from| _mm512_maskz_mov_epi32(LOW_DWORDS, from);
        let high = |from| _mm512_srli_epi64::<32>(from);
        [joined(token, even.map(low), odd.map(low)), joined(token, even.map(high), odd.map(high))]
    }
}

kernel! {
    #[inline]
    fn store(token: Avx512, from: [__m512i; 2], bits: &mut [u64], lengths: &mut [u64]) {
        let (from_bits, from_lengths): (u64x8<Avx512>, u64x8<Avx512>) =
            (from[0].simd_into(token), from[1].simd_into(token));
        from_bits.store_slice(&mut bits[..8]);
        from_lengths.store_slice(&mut lengths[..8]);
    }
}

kernel! {
    /// Gives the number of pieces.
    #[inline]
    pub(super) fn join(
        token: Avx512,
        words: &CodeWords,
        symbols: &mut SymbolList,
        bits: &mut [u64],
        lengths: &mut [u64],
    ) -> usize {
        let mut at = 0;
        for (rows, values) in symbols.vectors() {
            let [even, odd] = pairs(token, coded(token, words, rows, values));
            let quads = joined(token, even, odd);
            let (room, room_for_lengths) = (&mut bits[at..at + 16], &mut lengths[at..at + 16]);
            if _mm512_cmpgt_epu64_mask(quads[1], _mm512_set1_epi64(PIECE_BITS)) == 0 {
                store(token, quads, room, room_for_lengths);
                at += 8;
                continue;
            }
            // Too long together: pairs in their order.
            for part in 0..2 {
                let order = if part == 0 {
                    _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11)
                } else {
                    _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15)
                };
                let mixed = [0, 1].map(|i| _mm512_permutex2var_epi64(even[i], order, odd[i]));
                store(token, mixed, &mut room[8 * part..], &mut room_for_lengths[8 * part..]);
            }
            at += 16;
        }
        at
    }
}
