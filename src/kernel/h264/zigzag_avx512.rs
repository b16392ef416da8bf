//! Levels of 8x8 blocks into zigzag order and back, for AVX-512: look-ups over two vectors of words.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx512, SimdBase, SimdInto, i16x8, i16x32, kernel, u16x32};

use super::transform8::{Plane8, Planes8};
use crate::kernel::quantise::ZIGZAG;

/// By place in zigzag order: where the level lies in a turned block.
const TURNED: [u16; 64] = {
    let mut turned = [0; 64];
    let mut k = 0;
    while k < 64 {
        turned[k] = (ZIGZAG[k] % 8 * 8 + ZIGZAG[k] / 8) as u16;
        k += 1;
    }
    turned
};

/// The way back.
const ZIGZAGGED: [u16; 64] = {
    let mut back = [0; 64];
    let mut k = 0;
    while k < 64 {
        back[TURNED[k] as usize] = k as u16;
        k += 1;
    }
    back
};

kernel! {
    /// Sixty-four words in another order.
    #[inline]
    fn ordered(token: Avx512, words: [__m512i; 2], order: &[u16; 64], out: &mut [i16; 64]) {
        for (out, order) in out.as_chunks_mut::<32>().0.iter_mut().zip(order.as_chunks::<32>().0) {
            let order: __m512i = u16x32::from_slice(token, order).into();
            let part: i16x32<Avx512> = _mm512_permutex2var_epi16(words[0], order, words[1]).simd_into(token);
            part.store_slice(out);
        }
    }
}

kernel! {
    #[inline]
    fn pair(token: Avx512, from: &[i16; 64]) -> [__m512i; 2] {
        let (low, high) = from.split_at(32);
        [i16x32::from_slice(token, low).into(), i16x32::from_slice(token, high).into()]
    }
}

kernel! {
    /// [`levels_zigzag8`](super::quantise::levels_zigzag8).
    #[inline]
    pub(super) fn levels_zigzag8(token: Avx512, levels: &Planes8, out: &mut [[i16; 64]; 4]) {
        for (half, out) in levels.as_chunks::<8>().0.iter().zip(out.as_chunks_mut::<2>().0) {
            for (column, out) in out.iter_mut().enumerate() {
                let words = [0, 4].map(|first| {
                    let row = |u: usize| -> __m128i { i16x8::from_slice(token, &half[first + u][8 * column..][..8]).into() };
                    let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(row(0)), row(1));
                    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(low, row(2)), row(3))
                });
                ordered(token, words, &TURNED, out);
            }
        }
    }
}

kernel! {
    /// A turned block in zigzag order.
    #[inline]
    pub(super) fn zigzag(token: Avx512, turned: &Plane8, out: &mut [i16; 64]) {
        let mut words = [0; 64];
        words.copy_from_slice(turned.as_flattened());
        ordered(token, pair(token, &words), &TURNED, out);
    }
}

kernel! {
    /// A block in zigzag order, turned.
    #[inline]
    pub(super) fn turn(token: Avx512, levels: &[i16; 64], out: &mut [i16; 64]) {
        ordered(token, pair(token, levels), &ZIGZAGGED, out);
    }
}
