//! [`intra_search`](super::intra_search)'s blocks for AVX2: eight modes to a vector of words.

#[cfg(target_arch = "x86")]
use std::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use fearless_simd::{Avx2, SimdBase, SimdInto, kernel, u8x16, u8x32, u16x8};

use super::intra::{Available, mean};
use super::intra_lanes::{BLOCKS_4X4, BLOCKS_8X8, LANES, NEVER, SHUFFLES_4X4, SHUFFLES_8X8, mode_of};
use super::intra_taps::DC;
use super::transform4::Block;
use super::transform8::Block8;

/// Words whose sign is turned, by 128, 64 or 32 bits.
const TURNED: [[i16; 16]; 3] = [
    [1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1],
    [1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1],
    [1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1],
];

kernel! {
    #[inline]
    fn bytes(token: Avx2, from: &[u8; 32]) -> __m256i {
        u8x32::from_slice(token, from).into()
    }
}

kernel! {
    #[inline]
    fn words(token: Avx2, from: &[i16; 16]) -> __m256i {
        fearless_simd::i16x16::from_slice(token, from).into()
    }
}

kernel! {
    /// Means of three neighbouring bytes, rounded: `(before + 2 * middle + after + 2) >> 2`.
    #[inline]
    pub(super) fn quarter(_token: Avx2, before: __m128i, middle: __m128i, after: __m128i) -> __m128i {
        let odd = _mm_and_si128(_mm_xor_si128(before, after), _mm_set1_epi8(1));
        _mm_avg_epu8(_mm_sub_epi8(_mm_avg_epu8(before, after), odd), middle)
    }
}

/// The sum of four bytes.
#[inline(always)]
fn total(four: u32) -> u32 {
    let pairs = (four & 0x00FF_00FF) + (four >> 8 & 0x00FF_00FF);
    (pairs + (pairs >> 16)) & 0xFFFF
}

/// The mean of what is available of a 4x4 block's neighbours, given as `low` and `high` bytes of their line.
#[inline(always)]
pub(super) fn mean_4x4(low: u64, high: u64, available: Available) -> u8 {
    let (left, above) = (total(low as u32), total((low >> 40 | high << 24) as u32));
    mean(available.above.then_some(above), available.left.then_some(left), 2)
}

/// The line of a 4x4 block's neighbours in two registers.
#[inline(always)]
pub(super) fn halves(neighbours: &[u8; 13]) -> (u64, u64) {
    let [low @ .., _, _, _, _, _] = *neighbours;
    let [_, _, _, _, _, high @ ..] = *neighbours;
    (u64::from_le_bytes(low), u64::from_le_bytes(high) >> 24)
}

kernel! {
    /// A 4x4 block's neighbours, their means of two and of three.
    #[inline]
    pub(super) fn values_4x4(_token: Avx2, low: u64, high: u64) -> [__m128i; 3] {
        let line = _mm_set_epi64x(high as i64, low as i64);
        let before = _mm_shuffle_epi8(line, _mm_setr_epi8(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12));
        let after = _mm_shuffle_epi8(line, _mm_setr_epi8(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 12));
        [line, _mm_avg_epu8(before, line), quarter(_token, before, line, after)]
    }
}

kernel! {
    /// The sum of eight 32-bit lanes.
    #[inline]
    fn sum(_token: Avx2, v: __m256i) -> u32 {
        let v = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0x4E>(v));
        _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32::<0xB1>(v))) as u32
    }
}

kernel! {
    /// Of neighbouring words, the larger magnitude: half the sum of magnitudes of their sum and difference.
    #[inline]
    fn larger(_token: Avx2, v: __m256i) -> __m256i {
        let v = _mm256_abs_epi16(v);
        _mm256_and_si256(_mm256_max_epi16(v, _mm256_srli_epi32::<16>(v)), _mm256_set1_epi32(0xFFFF))
    }
}

kernel! {
    /// SATD of a 4x4 block against a flat prediction.
    #[inline]
    pub(super) fn flat_4x4(token: Avx2, source: __m128i, dc: u8) -> u32 {
        let signs = _mm256_setr_epi32(0x0101_0101, 0x0101_0101, 0x0101_0101, 0x0101_0101, -0xFE_00FF, -0xFE_00FF, -0xFE_00FF, -0xFE_00FF);
        let both = _mm256_maddubs_epi16(_mm256_broadcastsi128_si256(source), signs);
        let twice = _mm256_setr_m128i(_mm_set1_epi16(2 * i16::from(dc)), _mm_setzero_si128());
        let v = _mm256_sub_epi16(both, twice);
        let v = _mm256_add_epi16(_mm256_shuffle_epi32::<0x4E>(v), _mm256_sign_epi16(v, words(token, &TURNED[1])));
        let v = _mm256_add_epi16(_mm256_shuffle_epi32::<0xB1>(v), _mm256_sign_epi16(v, words(token, &TURNED[2])));
        sum(token, larger(token, v))
    }
}

kernel! {
    /// SATD of an 8x8 block by quarters against a flat prediction.
    #[inline]
    pub(super) fn flat_8x8(token: Avx2, source: &Block8, dc: u8) -> u32 {
        let mut all = _mm256_setzero_si256();
        for half in source.as_flattened().chunks_exact(32) {
            let half: __m256i = u8x32::from_slice(token, half).into();
            let sums = _mm256_maddubs_epi16(half, _mm256_set1_epi8(1));
            let sums = _mm256_sub_epi16(sums, _mm256_set1_epi16(2 * i16::from(dc)));
            for v in [sums, _mm256_maddubs_epi16(half, _mm256_set1_epi16(-0xFF))] {
                let v = _mm256_add_epi16(_mm256_permute4x64_epi64::<0x4E>(v), _mm256_sign_epi16(v, words(token, &TURNED[0])));
                let v = _mm256_add_epi16(_mm256_shuffle_epi32::<0x4E>(v), _mm256_sign_epi16(v, words(token, &TURNED[1])));
                all = _mm256_add_epi32(all, larger(token, v));
            }
        }
        sum(token, all)
    }
}

kernel! {
    /// SATD of a 4x4 block for eight modes. Rows of predictions and of the source spread as
    /// [`SHUFFLES_4X4`](super::intra_lanes::SHUFFLES_4X4) has them.
    #[inline]
    fn distances(_token: Avx2, predictions: [__m256i; 4], source: [__m256i; 4]) -> __m128i {
        let minus = _mm256_set1_epi16(-0xFF);
        let mut d = [_mm256_setzero_si256(); 8];
        for y in 0..4 {
            let even = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(predictions[y], source[y]), minus);
            let odd = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(predictions[y], source[y]), minus);
            d[2 * y] = _mm256_add_epi16(even, odd);
            d[2 * y + 1] = _mm256_sub_epi16(even, odd);
        }
        let mut total = _mm256_setzero_si256();
        for part in 0..2 {
            let [a, b, c, e] = [d[part], d[2 + part], d[4 + part], d[6 + part]];
            let (s0, d0) = (_mm256_add_epi16(a, b), _mm256_sub_epi16(a, b));
            let (s1, d1) = (_mm256_add_epi16(c, e), _mm256_sub_epi16(c, e));
            let pairs = [
                [_mm256_add_epi16(s0, s1), _mm256_sub_epi16(s0, s1)],
                [_mm256_add_epi16(d0, d1), _mm256_sub_epi16(d0, d1)],
            ];
            for pair in pairs {
                let [v, w] = [_mm256_abs_epi16(pair[0]), _mm256_abs_epi16(pair[1])];
                let (low, high) = (_mm256_permute2x128_si256::<0x20>(v, w), _mm256_permute2x128_si256::<0x31>(v, w));
                total = _mm256_add_epi16(total, _mm256_max_epi16(low, high));
            }
        }
        _mm_add_epi16(_mm256_castsi256_si128(total), _mm256_extracti128_si256::<1>(total))
    }
}

kernel! {
    /// The cheapest mode and its cost, from the distances in lanes and DC's.
    #[inline]
    pub(super) fn cheapest(token: Avx2, distances: __m128i, dc: u32, available: Available, mode_cost: &[u16; 16]) -> (u8, u32) {
        let costs = |from: &[u16]| -> __m128i { u16x8::from_slice(token, from).into() };
        let lanes = _mm_blend_epi16::<0xFC>(costs(&mode_cost[..LANES]), costs(&mode_cost[1..LANES + 1]));
        let bits = usize::from(available.above) | usize::from(available.left) << 1 | usize::from(available.corner) << 2;
        let total = _mm_or_si128(_mm_adds_epu16(distances, lanes), costs(&NEVER[bits]));
        let least = _mm_cvtsi128_si32(_mm_minpos_epu16(total)) as u32;
        let (cost, lane) = (least & 0xFFFF, least >> 16 & 7);
        let dc = dc + u32::from(mode_cost[2]);
        if dc < cost || (dc == cost && lane >= 2) { (2, dc) } else { (mode_of(lane as usize) as u8, cost) }
    }
}

kernel! {
    /// [`search_4x4`](super::intra_search::search_4x4).
    #[inline]
    pub(super) fn search_4x4(
        token: Avx2, source: &Block, neighbours: &[u8; 13], available: Available, mode_cost: &[u16; 16],
    ) -> (u8, u32, Block) {
        let (low, high) = halves(neighbours);
        let [line, half, quarter] = values_4x4(token, low, high);
        let dc = mean_4x4(low, high, available);
        let tables = [line, half, quarter].map(|table| _mm256_broadcastsi128_si256(table));
        let source: __m128i = u8x16::from_slice(token, source.as_flattened()).into();
        let spread = _mm256_broadcastsi128_si256(source);
        let first = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
        let mut rows = [[_mm256_setzero_si256(); 4]; 2];
        for y in 0..4 {
            for (table, shuffle) in tables.iter().zip(&SHUFFLES_4X4[y]) {
                rows[0][y] = _mm256_or_si256(rows[0][y], _mm256_shuffle_epi8(*table, bytes(token, shuffle)));
            }
            rows[1][y] = _mm256_shuffle_epi8(spread, _mm256_add_epi8(first, _mm256_set1_epi8(4 * y as i8)));
        }
        let distances = distances(token, rows[0], rows[1]);
        let (mode, cost) = cheapest(token, distances, flat_4x4(token, source, dc), available, mode_cost);
        let line = _mm_insert_epi8::<{ DC as i32 }>(line, i32::from(dc));
        let mut block = _mm_setzero_si128();
        for (table, shuffle) in [line, half, quarter].iter().zip(&BLOCKS_4X4[usize::from(mode.min(8))]) {
            block = _mm_or_si128(block, _mm_shuffle_epi8(*table, u8x16::from_slice(token, shuffle).into()));
        }
        let block: u8x16<Avx2> = block.simd_into(token);
        let mut out = [[0; 4]; 4];
        block.store_slice(out.as_flattened_mut());
        (mode, cost, out)
    }
}

kernel! {
    /// An 8x8 block's filtered neighbours, their means of two and of three, each in two tables.
    #[inline]
    fn values_8x8(token: Avx2, filtered: &[u8; 25]) -> [__m128i; 6] {
        let load = |from: &[u8]| -> __m128i { u8x16::from_slice(token, from).into() };
        let (low, last) = (load(&filtered[..16]), load(&filtered[9..]));
        let high = _mm_shuffle_epi8(last, _mm_setr_epi8(7, 8, 9, 10, 11, 12, 13, 14, 15, 15, 15, 15, 15, 15, 15, 15));
        let before = [_mm_shuffle_epi8(low, _mm_setr_epi8(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)), _mm_alignr_epi8::<15>(high, low)];
        let after = [
            _mm_alignr_epi8::<1>(high, low),
            _mm_shuffle_epi8(high, _mm_setr_epi8(1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8)),
        ];
        [
            low, high, _mm_avg_epu8(before[0], low), _mm_avg_epu8(before[1], high),
            quarter(token, before[0], low, after[0]), quarter(token, before[1], high, after[1]),
        ]
    }
}

kernel! {
    /// [`search_8x8`](super::intra_search::search_8x8) with filtered neighbours.
    #[inline]
    pub(super) fn search_8x8(
        token: Avx2, source: &Block8, filtered: &[u8; 25], dc: u8, available: Available, mode_cost: &[u16; 16],
    ) -> (u8, u32, Block8) {
        let mut tables = values_8x8(token, filtered);
        let spread = tables.map(|table| _mm256_broadcastsi128_si256(table));
        let first = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
        let mut total = _mm_setzero_si128();
        for (q, shuffles) in SHUFFLES_8X8.iter().enumerate() {
            let mut rows = [[_mm256_setzero_si256(); 4]; 2];
            for y in 0..4 {
                for (table, shuffle) in spread.iter().zip(&shuffles[y]) {
                    rows[0][y] = _mm256_or_si256(rows[0][y], _mm256_shuffle_epi8(*table, bytes(token, shuffle)));
                }
                let two: __m128i = u8x16::from_slice(token, source[4 * (q / 2) + y / 2 * 2..][..2].as_flattened()).into();
                let from = _mm256_set1_epi8((8 * (y % 2) + 4 * (q % 2)) as i8);
                rows[1][y] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(two), _mm256_add_epi8(first, from));
            }
            total = _mm_add_epi16(total, distances(token, rows[0], rows[1]));
        }
        let (mode, cost) = cheapest(token, total, flat_8x8(token, source, dc), available, mode_cost);
        tables[1] = _mm_insert_epi8::<15>(tables[1], i32::from(dc));
        let spread = tables.map(|table| _mm256_broadcastsi128_si256(table));
        let mut out = [[0; 8]; 8];
        for (out, shuffles) in out.as_flattened_mut().chunks_exact_mut(32).zip(&BLOCKS_8X8[usize::from(mode.min(8))]) {
            let mut half = _mm256_setzero_si256();
            for (table, shuffle) in spread.iter().zip(shuffles) {
                half = _mm256_or_si256(half, _mm256_shuffle_epi8(*table, bytes(token, shuffle)));
            }
            let half: u8x32<Avx2> = half.simd_into(token);
            half.store_slice(out);
        }
        (mode, cost, out)
    }
}
