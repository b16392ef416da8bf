//! [Motion compensated prediction](super::interpolate) of luma for AVX2, 16 samples at a time.
//!
//! Rows begin two samples left of the first half sample (three left of the block in [`HalfSamples`]), and hold 24 samples.
//!
//! [`HalfSamples`]: super::interpolate::HalfSamples

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, i16x8, i16x16, kernel, u8x16, u8x32};

use super::interpolate::{HALF_ROWS, HALF_STRIDE};
use super::rows::rows;

/// Samples of a row.
pub(super) const SPAN: usize = 24;
/// Vertical sums of a row, before they are scaled; those from [`SPAN`] on are of no account.
type Sums = [i16; 32];

kernel! {
    /// The six-tap filter of 16 columns.
    #[inline]
    fn six_tap(_token: Avx2, s: [__m256i; 6]) -> __m256i {
        let ends = _mm256_add_epi16(s[0], s[5]);
        let (outer, inner) = (_mm256_add_epi16(s[1], s[4]), _mm256_add_epi16(s[2], s[3]));
        let fifth = _mm256_sub_epi16(_mm256_slli_epi16::<2>(inner), outer);
        _mm256_add_epi16(ends, _mm256_mullo_epi16(fifth, _mm256_set1_epi16(5)))
    }
}

kernel! {
    /// The six-tap filter of 8 sums, less four of its bits: (s0 - 5 s1 + 20 s2 + ...) / 16, rounded down. One step saturates,
    /// at values that are clipped to 0 or 255 in the end.
    #[inline]
    fn six_tap_of_8_sums(_token: Avx2, s: [__m128i; 6]) -> __m128i {
        let ends = _mm_add_epi16(s[0], s[5]);
        let (outer, inner) = (_mm_add_epi16(s[1], s[4]), _mm_add_epi16(s[2], s[3]));
        let quarter = _mm_srai_epi16::<2>(_mm_sub_epi16(ends, outer));
        let rest = _mm_adds_epi16(_mm_sub_epi16(quarter, outer), inner);
        _mm_add_epi16(_mm_srai_epi16::<2>(rest), inner)
    }
}

kernel! {
    /// [`six_tap_of_8_sums`] of 16.
    #[inline]
    fn six_tap_of_sums(_token: Avx2, s: [__m256i; 6]) -> __m256i {
        let ends = _mm256_add_epi16(s[0], s[5]);
        let (outer, inner) = (_mm256_add_epi16(s[1], s[4]), _mm256_add_epi16(s[2], s[3]));
        let quarter = _mm256_srai_epi16::<2>(_mm256_sub_epi16(ends, outer));
        let rest = _mm256_adds_epi16(_mm256_sub_epi16(quarter, outer), inner);
        _mm256_add_epi16(_mm256_srai_epi16::<2>(rest), inner)
    }
}

kernel! {
    /// 16 values and 8 more, divided by 2^(15 - `log2`) with rounding, as samples.
    #[inline]
    fn scaled(_token: Avx2, first: __m256i, second: __m128i, log2: i32) -> __m256i {
        let factor = _mm256_set1_epi16(1 << log2);
        let second = _mm_mulhrs_epi16(second, _mm256_castsi256_si128(factor));
        let bytes = _mm256_packus_epi16(_mm256_mulhrs_epi16(first, factor), _mm256_zextsi128_si256(second));
        _mm256_permute4x64_epi64::<0xD8>(bytes)
    }
}

/// log2 of 2^15 / 32 and of 2^15 / 64.
const ONCE: i32 = 10;
const TWICE: i32 = 9;

kernel! {
    /// Half samples between those of a row: 17 of account.
    #[inline]
    fn across(token: Avx2, row: &[u8; SPAN]) -> __m256i {
        let load = |at: usize| -> __m128i { u8x16::from_slice(token, &row[at..at + 16]).into() };
        let shuffle = |at: i8| {
            let [a, b, c, d, e, f, g, h, i] = [at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, at + 7, at + 8];
            _mm_set_epi8(i, h, h, g, g, f, f, e, e, d, d, c, c, b, b, a)
        };
        let weights = [0xFB01_u16 as i16, 0x1414, 0x01FB];
        let [p, q, r] = [0, 2, 4].map(shuffle);
        let wide = |row: __m256i, shuffle: __m128i, weights: i16| {
            let pairs = _mm256_shuffle_epi8(row, _mm256_broadcastsi128_si256(shuffle));
            _mm256_maddubs_epi16(pairs, _mm256_set1_epi16(weights))
        };
        let narrow = |row: __m128i, shuffle: __m128i, weights: i16| {
            _mm_maddubs_epi16(_mm_shuffle_epi8(row, shuffle), _mm_set1_epi16(weights))
        };
        let first = _mm256_set_m128i(load(8), load(0));
        let last = _mm_srli_si128::<8>(load(8));
        let first = [wide(first, p, weights[0]), wide(first, q, weights[1]), wide(first, r, weights[2])];
        let last = [narrow(last, p, weights[0]), narrow(last, q, weights[1]), narrow(last, r, weights[2])];
        let first = _mm256_add_epi16(_mm256_add_epi16(first[0], first[2]), first[1]);
        let last = _mm_add_epi16(_mm_add_epi16(last[0], last[2]), last[1]);
        scaled(token, first, last, ONCE)
    }
}

kernel! {
    /// Vertical sums between rows, five fewer than there are rows.
    #[inline]
    fn sum_down(token: Avx2, rows: &[&[u8; SPAN]], sums: &mut [Sums]) {
        let wide = |row: &[u8; SPAN]| _mm256_cvtepu8_epi16(u8x16::from_slice(token, &row[..16]).into());
        // The last 8 columns of two rows: 24 columns are three halves of a vector.
        let last = |row: &[u8; SPAN]| _mm256_cvtepu8_epi16(_mm_srli_si128::<8>(u8x16::from_slice(token, &row[8..]).into()));
        let Some((head, tail)) = rows.split_first_chunk::<5>() else { return };
        assert!(tail.len() == sums.len(), "{} sums of {} rows", sums.len(), rows.len());
        let (mut first, mut second) = (head.map(wide), head.map(last));
        for (row, sums) in tail.iter().zip(sums) {
            let [a, b, c, d, e] = first;
            let f = wide(row);
            let values: i16x16<Avx2> = six_tap(token, [a, b, c, d, e, f]).simd_into(token);
            values.store_slice(&mut sums[..16]);
            first = [b, c, d, e, f];
            let [a, b, c, d, e] = second;
            let f = last(row);
            let values: i16x16<Avx2> = six_tap(token, [a, b, c, d, e, f]).simd_into(token);
            values.store_slice(&mut sums[16..]);
            second = [b, c, d, e, f];
        }
    }
}

kernel! {
    /// Half samples between rows.
    #[inline]
    fn down(token: Avx2, sums: &Sums) -> __m256i {
        let last: __m128i = i16x8::from_slice(token, &sums[18..26]).into();
        scaled(token, i16x16::from_slice(token, &sums[2..18]).into(), last, ONCE)
    }
}

kernel! {
    /// Half samples between rows and columns: 17 of account.
    #[inline]
    fn centre(token: Avx2, sums: &Sums) -> __m256i {
        let wide = |at: usize| -> __m256i { i16x16::from_slice(token, &sums[at..at + 16]).into() };
        let last = |at: usize| -> __m128i { i16x8::from_slice(token, &sums[16 + at..24 + at]).into() };
        let first = six_tap_of_sums(token, [wide(0), wide(1), wide(2), wide(3), wide(4), wide(5)]);
        let second = six_tap_of_8_sums(token, [last(0), last(1), last(2), last(3), last(4), last(5)]);
        scaled(token, first, second, TWICE)
    }
}

kernel! {
    /// Fills the planes of [`HalfSamples`](super::interpolate::HalfSamples) from the sample on that lies three rows above and
    /// three columns left of the block.
    #[inline]
    pub(super) fn fill(token: Avx2, samples: &[u8], stride: usize, planes: &mut [[u8; HALF_STRIDE * HALF_ROWS]; 4]) {
        let rows = rows::<SPAN, 22>(samples, stride);
        let mut sums = [[0; 32]; 17];
        sum_down(token, &rows, &mut sums);
        let store = |values: __m256i, out: &mut [u8]| {
            let values: u8x32<Avx2> = values.simd_into(token);
            values.store_slice(out);
        };
        let [full, right, below, between] = planes.each_mut().map(|plane| plane.as_chunks_mut::<HALF_STRIDE>().0);
        for ((row, full), right) in rows[2..20].iter().zip(full).zip(right) {
            full[..22].copy_from_slice(&row[2..]);
            store(across(token, row), right);
        }
        for ((sums, below), between) in sums.iter().zip(below).zip(between) {
            store(down(token, sums), below);
            store(centre(token, sums), between);
        }
    }
}

kernel! {
    /// Predicts 16 columns of half samples, as many rows as `rows` has more than five.
    #[inline]
    pub(super) fn half_block(token: Avx2, rows: &[&[u8; SPAN]], is_half: [bool; 2], out: &mut [[u8; 16]]) {
        let store = |values: __m256i, out: &mut [u8; 16]| {
            let values: u8x16<Avx2> = _mm256_castsi256_si128(values).simd_into(token);
            values.store_slice(out);
        };
        let (Some(middle), height) = (rows.get(2..), out.len()) else { return };
        if !is_half[1] {
            for (row, out) in middle.iter().zip(out) {
                if is_half[0] {
                    store(across(token, row), out);
                } else {
                    out.copy_from_slice(&row[2..18]);
                }
            }
            return;
        }
        let mut sums = [[0; 32]; 16];
        let Some(sums) = sums.get_mut(..height) else { return };
        sum_down(token, rows, sums);
        for (sums, out) in sums.iter().zip(out) {
            store(if is_half[0] { centre(token, sums) } else { down(token, sums) }, out);
        }
    }
}

kernel! {
    /// The rounded mean of two blocks.
    #[inline]
    pub(super) fn average(token: Avx2, first: [&[u8; 16]; 16], second: [&[u8; 16]; 16], out: &mut [[u8; 16]; 16]) {
        let load = |row: &[u8; 16]| -> __m128i { u8x16::from_slice(token, row).into() };
        for ((first, second), out) in first.into_iter().zip(second).zip(out) {
            let mean: u8x16<Avx2> = _mm_avg_epu8(load(first), load(second)).simd_into(token);
            mean.store_slice(out);
        }
    }
}
