//! Quantisation of transform coefficients and the way back (ITU-T H.264 8.5.9 to 8.5.13), and levels in zigzag order.

use fearless_simd::Simd;

use super::Planes;
pub(crate) use super::quantiser::{Quantiser, Quantiser8};
use super::transform8::{Plane8, Planes8};
use crate::kernel::quantise::ZIGZAG as ZIGZAG_8X8;

/// Position of each 4x4 coefficient in zigzag order (6.5.1's frame scan), 4 * y + x.
pub(crate) const ZIGZAG_4X4: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Levels stay within what every profile's codes can write.
pub(crate) const MAX_LEVEL: u16 = 2063;

/// Levels of 8x8 blocks stay within what scaling in 16 bits can take.
pub(crate) const MAX_LEVEL_8X8: u16 = 2047;

/// The score of a block that has a level beyond one.
pub(crate) const NOT_LONE: u8 = 9;

/// Planes of sixteen blocks, if these are.
#[inline(always)]
fn sixteen<const N: usize>(planes: &Planes<N>) -> Option<&Planes<16>> {
    if N == 16 { planes.as_flattened().as_chunks().0.try_into().ok() } else { None }
}

/// Planes of eight blocks, if these are.
#[inline(always)]
fn eight<const N: usize>(planes: &Planes<N>) -> Option<&Planes<8>> {
    if N == 8 { planes.as_flattened().as_chunks().0.try_into().ok() } else { None }
}

/// [`sixteen`], to be changed.
#[inline(always)]
fn sixteen_mut<const N: usize>(planes: &mut Planes<N>) -> Option<&mut Planes<16>> {
    if N == 16 { planes.as_flattened_mut().as_chunks_mut().0.try_into().ok() } else { None }
}

/// [`eight`], to be changed.
#[inline(always)]
fn eight_mut<const N: usize>(planes: &mut Planes<N>) -> Option<&mut Planes<8>> {
    if N == 8 { planes.as_flattened_mut().as_chunks_mut().0.try_into().ok() } else { None }
}

#[inline(always)]
fn level(coefficient: i16, factor: u16, bias: u16, max: u16) -> i16 {
    let sum = coefficient.unsigned_abs().wrapping_add(bias);
    let magnitude = ((u32::from(sum) * u32::from(factor)) >> 16) as u16;
    let magnitude = magnitude.min(max) as i16;
    if coefficient < 0 { -magnitude } else { magnitude }
}

#[inline(always)]
fn quantise_from<const FIRST: usize, const N: usize, S: Simd>(
    simd: S,
    coefficients: &mut Planes<N>,
    q: &Quantiser,
) -> u32 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        if let Some(planes) = sixteen_mut(coefficients) {
            return super::quantise_avx2::quantise_16(avx2, planes, q, FIRST);
        }
        if let Some(planes) = eight_mut(coefficients) {
            return super::quantise_avx2::quantise_8(avx2, planes, q, FIRST);
        }
    }
    let _ = simd;
    let mut any = [0_i16; N];
    for (plane, (&factor, &bias)) in coefficients.iter_mut().zip(q.factor.iter().zip(&q.bias)).skip(FIRST) {
        for b in 0..N {
            plane[b] = level(plane[b], factor, bias, MAX_LEVEL);
            any[b] |= plane[b];
        }
    }
    let mut mask = 0;
    for (b, &any) in any.iter().enumerate() {
        mask |= u32::from(any != 0) << b;
    }
    mask
}

/// Coefficients to levels. Bit `b` of the result: block `b` has levels that aren't zero.
#[inline(always)]
pub(crate) fn quantise<S: Simd, const N: usize>(simd: S, coefficients: &mut Planes<N>, q: &Quantiser) -> u32 {
    quantise_from::<0, N, S>(simd, coefficients, q)
}

/// [`quantise`] but for position 0, which goes another way: it stays as it is, and doesn't count.
#[inline(always)]
pub(crate) fn quantise_ac<S: Simd, const N: usize>(simd: S, coefficients: &mut Planes<N>, q: &Quantiser) -> u32 {
    quantise_from::<1, N, S>(simd, coefficients, q)
}

/// Whether all levels would be zero.
#[inline(always)]
pub(crate) fn is_zero<S: Simd, const N: usize>(simd: S, coefficients: &Planes<N>, q: &Quantiser) -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        if let Some(planes) = sixteen(coefficients) {
            return super::quantise_avx2::is_zero_16(avx2, planes, q);
        }
        if let Some(planes) = eight(coefficients) {
            return super::quantise_avx2::is_zero_8(avx2, planes, q);
        }
    }
    let _ = simd;
    let mut beyond = [0_u16; N];
    for (plane, &limit) in coefficients.iter().zip(&q.limit) {
        for b in 0..N {
            beyond[b] |= plane[b].unsigned_abs().saturating_sub(limit);
        }
    }
    beyond.iter().fold(0, |any, beyond| any | beyond) == 0
}

/// Levels to scaled coefficients.
#[inline(always)]
pub(crate) fn dequantise<S: Simd, const N: usize>(simd: S, levels: &Planes<N>, q: &Quantiser, out: &mut Planes<N>) {
    let _ = simd;
    for ((out, levels), &step) in out.iter_mut().zip(levels).zip(&q.step) {
        for b in 0..N {
            out[b] = levels[b].wrapping_mul(step);
        }
    }
}

/// One array of levels for each block, in zigzag order.
#[inline(always)]
pub(crate) fn levels_zigzag<S: Simd, const N: usize>(simd: S, levels: &Planes<N>, out: &mut [[i16; 16]; N]) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        if let (Some(levels), Ok(out)) = (sixteen(levels), out.as_mut_slice().try_into()) {
            return super::transform_avx2::levels_zigzag_16(avx2, levels, out);
        }
        if let (Some(levels), Ok(out)) = (eight(levels), out.as_mut_slice().try_into()) {
            return super::transform_avx2::levels_zigzag_8(avx2, levels, out);
        }
    }
    let _ = simd;
    for (b, out) in out.iter_mut().enumerate() {
        *out = ZIGZAG_4X4.map(|p| levels[usize::from(p & 15)][b]);
    }
}

/// What a lone level of one is worth in a 4x4 block, by the run of zeros before it.
pub(super) const WEIGHTS_4X4: [u8; 16] = [3, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What a lone level of one is worth after a run of zeros in an 8x8 block.
#[inline(always)]
const fn weight_8x8(run: u32) -> u32 {
    (run < 4) as u32 + (run < 12) as u32 + (run < 24) as u32
}

#[inline(always)]
fn lone_ones_from<const FIRST: usize, const N: usize, S: Simd>(simd: S, levels: &Planes<N>) -> [u8; N] {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        if let Some(planes) = sixteen(levels) {
            let scores = super::quantise_avx2::lone_ones_16(avx2, planes, FIRST);
            return std::array::from_fn(|b| scores[b % 16]);
        }
        if let Some(planes) = eight(levels) {
            let scores = super::quantise_avx2::lone_ones_8(avx2, planes, FIRST);
            return std::array::from_fn(|b| scores[b % 8]);
        }
    }
    let _ = simd;
    let (mut score, mut run, mut large) = ([0_u8; N], [0_u8; N], [false; N]);
    for &p in &ZIGZAG_4X4[FIRST..] {
        let plane = &levels[usize::from(p & 15)];
        for b in 0..N {
            let weight = WEIGHTS_4X4[usize::from(run[b] & 15)];
            score[b] += if plane[b] == 0 { 0 } else { weight };
            run[b] = if plane[b] == 0 { run[b] + 1 } else { 0 };
            large[b] |= plane[b].unsigned_abs() > 1;
        }
    }
    std::array::from_fn(|b| if large[b] { score[b].max(NOT_LONE) } else { score[b] })
}

/// How much each block's levels are worth: a sum over its ones, less the longer the run of zeros before each; from
/// [`NOT_LONE`] on where a level is beyond one. Blocks of little worth cost more bits than they mend.
#[inline(always)]
pub(crate) fn lone_ones<S: Simd, const N: usize>(simd: S, levels: &Planes<N>) -> [u8; N] {
    lone_ones_from::<0, N, S>(simd, levels)
}

/// [`lone_ones`] without position 0.
#[inline(always)]
pub(crate) fn lone_ones_ac<S: Simd, const N: usize>(simd: S, levels: &Planes<N>) -> [u8; N] {
    lone_ones_from::<1, N, S>(simd, levels)
}

/// [`lone_ones`] of an 8x8 block, from its levels in zigzag order.
#[inline(always)]
pub(crate) fn lone_ones_8x8<S: Simd>(simd: S, levels: &[i16; 64]) -> u8 {
    let _ = simd;
    let (mut ones, mut beyond) = (0_u64, 0_u16);
    for (k, &level) in levels.iter().enumerate() {
        ones |= u64::from(level != 0) << k;
        beyond |= level.unsigned_abs() >> 1;
    }
    if beyond != 0 {
        return NOT_LONE;
    }
    let mut score = 0;
    while ones != 0 {
        let run = ones.trailing_zeros();
        score += weight_8x8(run);
        ones = (ones >> run) >> 1;
    }
    score.min(255) as u8
}

/// Levels of the second transform's coefficients: of Intra_16x16's luma, or of a colour's (8.5.10, 8.5.11). Whether any isn't
/// zero.
#[inline(always)]
pub(crate) fn quantise_dc<S: Simd, const N: usize>(simd: S, dc: &mut [i16; N], q: &Quantiser) -> bool {
    let _ = simd;
    let mut any = 0;
    for value in dc.iter_mut() {
        let magnitude = (u32::from(value.unsigned_abs()) * q.dc_factor + q.dc_offset) >> q.dc_shift;
        let magnitude = magnitude.min(u32::from(MAX_LEVEL)) as i16;
        *value = if *value < 0 { -magnitude } else { magnitude };
        any |= magnitude;
    }
    any != 0
}

/// Scales what [`inverse_luma_dc`](super::transform4::inverse_luma_dc) gave to coefficients of position 0 (8.5.10).
#[inline(always)]
pub(crate) fn dequantise_luma_dc<S: Simd>(simd: S, dc: &mut [i16; 16], q: &Quantiser) {
    let _ = simd;
    // From 36 on nothing is shifted out, and nothing is rounded.
    let rounding = (1 << 6) >> (q.octave + 1).min(7);
    let shift = 6_u32.saturating_sub(q.octave);
    let scale = q.dc_scale << q.octave.saturating_sub(6);
    for value in dc.iter_mut() {
        *value = ((i32::from(*value) * scale + rounding) >> shift) as i16;
    }
}

/// Scales what [`hadamard_2x2`](super::transform4::hadamard_2x2) gave of levels to coefficients of position 0 (8.5.11.2).
#[inline(always)]
pub(crate) fn dequantise_chroma_dc(dc: [i16; 4], q: &Quantiser) -> [i16; 4] {
    dc.map(|value| (((i32::from(value) * q.dc_scale) << q.octave) >> 5) as i16)
}

/// [`quantise`] of one block, its levels in zigzag order. Whether any isn't zero.
#[inline(always)]
pub(crate) fn quantise_4x4<S: Simd>(simd: S, coefficients: &[i16; 16], q: &Quantiser, levels: &mut [i16; 16]) -> bool {
    let _ = simd;
    let natural: [i16; 16] = std::array::from_fn(|p| level(coefficients[p], q.factor[p], q.bias[p], MAX_LEVEL));
    *levels = ZIGZAG_4X4.map(|p| natural[usize::from(p & 15)]);
    natural.iter().fold(0, |any, level| any | level) != 0
}

/// Levels of one block in zigzag order to scaled coefficients, 4 * y + x.
#[inline(always)]
pub(crate) fn dequantise_4x4<S: Simd>(simd: S, levels: &[i16; 16], q: &Quantiser) -> [i16; 16] {
    let _ = simd;
    let mut natural = [0; 16];
    for (&level, &p) in levels.iter().zip(&ZIGZAG_4X4) {
        natural[usize::from(p & 15)] = level;
    }
    std::array::from_fn(|p| natural[p].wrapping_mul(q.step[p]))
}

/// Coefficients of a macroblock's 8x8 blocks to levels. Bit `b` of the result: block `b` has levels that aren't zero.
#[inline(always)]
pub(crate) fn quantise8<S: Simd>(simd: S, coefficients: &mut Planes8, q: &Quantiser8) -> u32 {
    let _ = simd;
    let mut mask = 0;
    for (j, half) in coefficients.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(avx2) = simd.level().as_avx2() {
            let coded = super::quantise_avx2::quantise8(avx2, half, q);
            mask |= (u32::from(coded[0]) | u32::from(coded[1]) << 1) << (2 * j);
            continue;
        }
        let mut any = [0_i16; 16];
        for (u, row) in half.iter_mut().enumerate() {
            for x in 0..16 {
                row[x] = level(row[x], q.factor[u][x], q.bias[u][x], MAX_LEVEL_8X8);
                any[x] |= row[x];
            }
        }
        for (i, any) in any.as_chunks::<8>().0.iter().enumerate() {
            mask |= u32::from(any.iter().fold(0, |all, any| all | any) != 0) << (2 * j + i);
        }
    }
    mask
}

#[inline(always)]
fn scaled(level: i16, step: i16, shift: u32) -> i16 {
    ((i32::from(level) * i32::from(step) + ((1 << shift) >> 1)) >> shift) as i16
}

/// Levels of a macroblock's 8x8 blocks to scaled coefficients.
#[inline(always)]
pub(crate) fn dequantise8<S: Simd>(simd: S, levels: &Planes8, q: &Quantiser8, out: &mut Planes8) {
    let _ = simd;
    for (out, levels) in out.as_chunks_mut::<8>().0.iter_mut().zip(levels.as_chunks::<8>().0) {
        for u in 0..8 {
            for x in 0..16 {
                out[u][x] = scaled(levels[u][x], q.step[u][x], q.shift);
            }
        }
    }
}

/// One array of levels for each 8x8 block, in zigzag order.
#[inline(always)]
pub(crate) fn levels_zigzag8<S: Simd>(simd: S, levels: &Planes8, out: &mut [[i16; 64]; 4]) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx512) = simd.level().as_avx512() {
        return super::zigzag_avx512::levels_zigzag8(avx512, levels, out);
    }
    let _ = simd;
    for (b, out) in out.iter_mut().enumerate() {
        *out = ZIGZAG_8X8.map(|p| levels[8 * (b / 2) + usize::from(p % 8)][8 * (b % 2) + usize::from(p / 8 % 8)]);
    }
}

/// [`quantise8`] of one block, its levels in zigzag order. Whether any isn't zero.
#[inline(always)]
pub(crate) fn quantise_8x8<S: Simd>(simd: S, coefficients: &Plane8, q: &Quantiser8, levels: &mut [i16; 64]) -> bool {
    let _ = simd;
    let mut turned = [[0_i16; 8]; 8];
    let mut any = 0;
    for u in 0..8 {
        for v in 0..8 {
            turned[u][v] = level(coefficients[u][v], q.factor[u][v], q.bias[u][v], MAX_LEVEL_8X8);
            any |= turned[u][v];
        }
    }
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx512) = simd.level().as_avx512() {
        super::zigzag_avx512::zigzag(avx512, &turned, levels);
        return any != 0;
    }
    *levels = ZIGZAG_8X8.map(|p| turned[usize::from(p % 8)][usize::from(p / 8 % 8)]);
    any != 0
}

/// Levels in zigzag order, turned.
#[inline(always)]
fn turn_8x8<S: Simd>(simd: S, levels: &[i16; 64], turned: &mut Plane8) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let (Some(avx512), Ok(out)) = (simd.level().as_avx512(), turned.as_flattened_mut().try_into()) {
        return super::zigzag_avx512::turn(avx512, levels, out);
    }
    let _ = simd;
    for (&level, &p) in levels.iter().zip(&ZIGZAG_8X8) {
        turned[usize::from(p % 8)][usize::from(p / 8 % 8)] = level;
    }
}

/// Levels of one block in zigzag order to scaled coefficients, turned.
#[inline(always)]
pub(crate) fn dequantise_8x8<S: Simd>(simd: S, levels: &[i16; 64], q: &Quantiser8) -> Plane8 {
    let mut turned = [[0_i16; 8]; 8];
    turn_8x8(simd, levels, &mut turned);
    std::array::from_fn(|u| std::array::from_fn(|v| scaled(turned[u][v], q.step[u][v], q.shift)))
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::super::noise::Noise;
    use super::super::transform4;
    use super::super::transform8;
    use super::*;
    use crate::kernel::each_level;

    /// The field's multipliers, of quantiser parameters 0..=5, for positions with even coordinates, odd ones, and the rest.
    const MULTIPLIERS: [[i64; 3]; 6] = [
        [13107, 5243, 8066],
        [11916, 4660, 7490],
        [10082, 4194, 6554],
        [9362, 3647, 5825],
        [8192, 3355, 5243],
        [7282, 2893, 4559],
    ];
    const MULTIPLIERS_8X8: [[i64; 6]; 6] = [
        [13107, 11428, 20972, 12222, 16777, 15481],
        [11916, 10826, 19174, 11058, 14980, 14290],
        [10082, 8943, 15978, 9675, 12710, 11985],
        [9362, 8228, 14913, 8931, 11984, 11259],
        [8192, 7346, 13159, 7740, 10486, 9777],
        [7282, 6428, 11570, 6830, 9118, 8640],
    ];

    fn planes<const N: usize>(noise: &mut Noise, qp: u8) -> Planes<N> {
        // Few levels beyond one, many zeros: what there is to decide.
        let bound = [40, 300, 4080][noise.next() as usize % 3];
        let mut planes: Planes<N> = noise.signed_rows(bound << (qp / 12).min(5).min(if bound > 300 { 0 } else { 5 }));
        for plane in &mut planes {
            if noise.next().is_multiple_of(3) {
                *plane = [0; N];
            }
        }
        planes
    }

    /// One level by its definition.
    fn expected(coefficient: i16, factor: u16, bias: u16, max: i64) -> i16 {
        let magnitude = ((i64::from(coefficient).abs() + i64::from(bias)) * i64::from(factor) / 65536).min(max);
        (magnitude * i64::from(coefficient).signum()) as i16
    }

    fn check_planes<const N: usize>(noise: &mut Noise, qp: u8) {
        let q = Quantiser::new(qp, 11 + 10 * u32::from(qp % 2));
        let coefficients: Planes<N> = planes(noise, qp);
        let levels: Planes<N> =
            std::array::from_fn(|p| coefficients[p].map(|c| expected(c, q.factor[p], q.bias[p], 2063)));
        let mask =
            |first: usize| -> u32 { (0..N).map(|b| u32::from((first..16).any(|p| levels[p][b] != 0)) << b).sum() };
        let zigzag: [[i16; 16]; N] =
            std::array::from_fn(|b| std::array::from_fn(|k| levels[usize::from(ZIGZAG_4X4[k])][b]));
        let score = |b: usize, first: usize| {
            let (mut run, mut score) = (0, 0);
            for &level in &zigzag[b][first..] {
                if level == 0 {
                    run += 1;
                    continue;
                }
                score += [3, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][run] + if level.abs() > 1 { 9 } else { 0 };
                run = 0;
            }
            score
        };
        each_level!(level => {
            let (mut whole, mut ac) = (coefficients, coefficients);
            assert_eq!(dispatch!(level, simd => quantise(simd, &mut whole, &q)), mask(0));
            assert_eq!(whole, levels);
            assert_eq!(dispatch!(level, simd => quantise_ac(simd, &mut ac, &q)), mask(1));
            assert_eq!((ac[0], &ac[1..]), (coefficients[0], &levels[1..]));
            assert_eq!(dispatch!(level, simd => is_zero(simd, &coefficients, &q)), mask(0) == 0);
            let mut turned = [[0; 16]; N];
            dispatch!(level, simd => levels_zigzag(simd, &levels, &mut turned));
            assert_eq!(turned, zigzag);
            let scores = dispatch!(level, simd => lone_ones(simd, &levels));
            let scores_ac = dispatch!(level, simd => lone_ones_ac(simd, &levels));
            for b in 0..N {
                for (is, first) in [(scores[b], 0), (scores_ac[b], 1)] {
                    // Beyond nine they only need to say so.
                    assert_eq!(is.min(NOT_LONE), score(b, first).min(i32::from(NOT_LONE)) as u8);
                }
                let natural: [i16; 16] = std::array::from_fn(|p| coefficients[p][b]);
                let mut one = [0; 16];
                assert_eq!(dispatch!(level, simd => quantise_4x4(simd, &natural, &q, &mut one)), mask(0) >> b & 1 == 1);
                assert_eq!(one, zigzag[b]);
            }
            let mut scaled = [[0; N]; 16];
            dispatch!(level, simd => dequantise(simd, &levels, &q, &mut scaled));
            for (b, zigzag) in zigzag.iter().enumerate() {
                let one = dispatch!(level, simd => dequantise_4x4(simd, zigzag, &q));
                for p in 0..16 {
                    assert_eq!(i32::from(scaled[p][b]), i32::from(levels[p][b]) * i32::from(q.step[p]));
                    assert_eq!(one[p], scaled[p][b]);
                }
            }
        });
    }

    #[test]
    fn planes_become_levels_and_scaled_coefficients() {
        let mut noise = Noise(4);
        for round in 0..520 {
            check_planes::<16>(&mut noise, (round % 52) as u8);
            check_planes::<8>(&mut noise, (round % 52) as u8);
        }
    }

    #[test]
    fn eight_by_eight_blocks_become_levels_and_scaled_coefficients() {
        let mut noise = Noise(6);
        for round in 0..260 {
            let qp = (round % 52) as u8;
            let q = Quantiser8::new(qp, 11);
            let coefficients: Planes8 = planes(&mut noise, qp);
            let levels: Planes8 = std::array::from_fn(|row| {
                std::array::from_fn(|x| expected(coefficients[row][x], q.factor[row % 8][x], q.bias[row % 8][x], 2047))
            });
            // By block, [u][v].
            let block = |from: &Planes8, b: usize| -> Plane8 {
                std::array::from_fn(|u| std::array::from_fn(|v| from[8 * (b / 2) + u][8 * (b % 2) + v]))
            };
            let zigzag: [[i16; 64]; 4] =
                std::array::from_fn(|b| ZIGZAG_8X8.map(|p| block(&levels, b)[usize::from(p) % 8][usize::from(p) / 8]));
            let coded: [bool; 4] = std::array::from_fn(|b| zigzag[b] != [0; 64]);
            let scale: [[i32; 16]; 16] = std::array::from_fn(|row| {
                std::array::from_fn(|x| {
                    // 8.5.13's two forms.
                    let level_scale = if qp >= 12 {
                        (16 * i32::from(q.step[row % 8][x])) >> (qp / 6 - 2)
                    } else {
                        16 * i32::from(q.step[row % 8][x])
                    };
                    let (level, octave) = (i32::from(levels[row][x]), qp / 6);
                    if qp >= 36 {
                        (level * level_scale) << (octave - 6)
                    } else {
                        (level * level_scale + (1 << (5 - octave))) >> (6 - octave)
                    }
                })
            });
            each_level!(level => {
                let mut is = coefficients;
                let mask = dispatch!(level, simd => quantise8(simd, &mut is, &q));
                assert_eq!((is, mask), (levels, (0..4).map(|b| u32::from(coded[b]) << b).sum()));
                let mut turned = [[0; 64]; 4];
                dispatch!(level, simd => levels_zigzag8(simd, &levels, &mut turned));
                assert_eq!(turned, zigzag);
                let mut scaled = [[0; 16]; 16];
                dispatch!(level, simd => dequantise8(simd, &levels, &q, &mut scaled));
                assert_eq!(scaled.map(|row| row.map(i32::from)), scale);
                for b in 0..4 {
                    let mut one = [1; 64];
                    let some = dispatch!(level, simd => quantise_8x8(simd, &block(&coefficients, b), &q, &mut one));
                    assert_eq!((one, some), (zigzag[b], coded[b]));
                    let back = dispatch!(level, simd => dequantise_8x8(simd, &zigzag[b], &q));
                    assert_eq!(back, block(&scaled, b));
                    let mut score = 0;
                    let mut run = 0;
                    for &level in &zigzag[b] {
                        run = if level == 0 { run + 1 } else {
                            score += [3, 2, 1, 0][[4, 12, 24, 64].iter().position(|&end| run < end).unwrap()];
                            0
                        };
                    }
                    if zigzag[b].iter().any(|level| level.abs() > 1) {
                        score = i32::from(NOT_LONE);
                    }
                    let is = dispatch!(level, simd => lone_ones_8x8(simd, &zigzag[b]));
                    assert_eq!(is.min(NOT_LONE), score.min(i32::from(NOT_LONE)) as u8);
                }
            });
        }
    }

    #[test]
    fn the_factors_are_the_field_s() {
        for qp in 0..52_u8 {
            let (row, octave) = (usize::from(qp % 6), qp / 6);
            for offset in [11, 21, 32] {
                let (q, q8) = (Quantiser::new(qp, offset), Quantiser8::new(qp, offset));
                let near = |factor: u16, bias: u16, exact: f64| {
                    assert!((f64::from(factor) - exact).abs() <= 0.51 + exact / 10_000.0, "{qp}: {factor} for {exact}");
                    let part = f64::from(bias) * f64::from(factor) / 65536.0;
                    assert!(
                        (part - f64::from(offset) / 64.0).abs() <= f64::from(factor) / 65536.0,
                        "{part} for {offset}"
                    );
                };
                for p in 0..16 {
                    let class = match (p % 2, p / 4 % 2) {
                        (0, 0) => 0,
                        (1, 1) => 1,
                        _ => 2,
                    };
                    near(q.factor[p], q.bias[p], MULTIPLIERS[row][class] as f64 * 2.0 / f64::from(1 << octave));
                }
                for (x, y) in (0..64).map(|p| (p % 8, p / 8)) {
                    let class = [[0, 3, 4, 3], [3, 1, 5, 1], [4, 5, 2, 5], [3, 1, 5, 1]][y % 4][x % 4];
                    near(q8.factor[y][x], q8.bias[y][x], MULTIPLIERS_8X8[row][class] as f64 / f64::from(1 << octave));
                    assert_eq!((q8.factor[y][x], q8.step[y][x]), (q8.factor[y][x + 8], q8.step[y][x + 8]));
                }
                assert_eq!(i64::from(q.dc_factor), MULTIPLIERS[row][0]);
            }
        }
    }

    #[test]
    fn direct_coefficients_of_the_second_transform() {
        let mut noise = Noise(8);
        for qp in 0..52_u8 {
            let q = Quantiser::new(qp, 21);
            let (v, octave) = ([10, 11, 13, 14, 16, 18][usize::from(qp % 6)], u32::from(qp / 6));
            let [dc]: [[i16; 16]; 1] = noise.signed_rows(32_640);
            each_level!(level => {
                let mut levels = dc;
                let some = dispatch!(level, simd => quantise_dc(simd, &mut levels, &q));
                assert_eq!(some, levels != [0; 16]);
                for (&level, &c) in levels.iter().zip(&dc) {
                    let shift = 16 + octave;
                    let factor = MULTIPLIERS[usize::from(qp % 6)][0];
                    let magnitude = (i64::from(c).abs() * factor + (21 << shift) / 64) >> shift;
                    assert_eq!(i64::from(level), magnitude.min(2063) * i64::from(c).signum());
                }
                let mut scaled = levels;
                dispatch!(level, simd => dequantise_luma_dc(simd, &mut scaled, &q));
                for (&scaled, &level) in scaled.iter().zip(&levels) {
                    let f = i32::from(level) * 16 * v;
                    let expected =
                        if qp >= 36 { f << (octave - 6) } else { (f + (1 << (5 - octave))) >> (6 - octave) };
                    assert_eq!(scaled, expected as i16);
                }
                let four = [levels[0], levels[1], levels[2], levels[3]];
                assert_eq!(dequantise_chroma_dc(four, &q), four.map(|l| (((i32::from(l) * 16 * v) << octave) >> 5) as i16));
            });
        }
    }

    #[test]
    fn what_is_coded_comes_back_within_a_step() {
        let mut noise = Noise(9);
        for qp in 0..52_u8 {
            let level = crate::kernel::detect();
            let (source, prediction): (super::super::Luma, super::super::Luma) = (noise.rows(0), noise.rows(1));
            let (q, q8) = (Quantiser::new(qp, 32), Quantiser8::new(qp, 32));
            let step = 0.625 * f64::powf(2.0, f64::from(qp) / 6.0);
            let error = |out: &super::super::Luma| {
                let each = out.as_flattened().iter().zip(source.as_flattened());
                let squares: i32 = each.map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum();
                f64::from(squares) / 256.0
            };
            let (mut planes, mut scaled, mut out) = ([[0; 16]; 16], [[0; 16]; 16], [[0; 16]; 16]);
            dispatch!(level, simd => {
                transform4::residual_luma(simd, &source, &prediction, &mut planes);
                transform4::forward(simd, &mut planes);
                quantise(simd, &mut planes, &q);
                dequantise(simd, &planes, &q, &mut scaled);
                transform4::inverse(simd, &mut scaled);
                transform4::add_luma(simd, &prediction, &scaled, &mut out);
            });
            assert!(error(&out) < 0.3 + step * step / 10.0, "{} at {qp}", error(&out));
            dispatch!(level, simd => {
                transform8::residual_luma8(simd, &source, &prediction, &mut planes);
                transform8::forward8(simd, &mut planes);
                quantise8(simd, &mut planes, &q8);
                dequantise8(simd, &planes, &q8, &mut scaled);
                transform8::inverse8(simd, &mut scaled);
                transform8::add_luma8(simd, &prediction, &scaled, &mut out);
            });
            assert!(error(&out) < 0.3 + step * step / 10.0, "{} at {qp}, 8x8", error(&out));
        }
    }
}
