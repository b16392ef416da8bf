//! Quantisation of transform coefficients and the way back (ITU-T H.264 8.5.9 to 8.5.13), and levels in zigzag order.

use fearless_simd::Simd;

pub(crate) use super::quantiser::{Quantiser, Quantiser8};
use super::transform8::{Plane8, Planes8};
use super::{Planes, array};
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

/// What a lone level of one is worth after a run of zeros in a 4x4 block.
#[inline(always)]
pub(super) const fn weight_4x4(run: u16) -> u16 {
    (run < 1) as u16 + (run < 3) as u16 + (run < 6) as u16
}

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
    let (mut score, mut run, mut beyond) = ([0_u16; N], [0_u16; N], [0_u16; N]);
    for &p in &ZIGZAG_4X4[FIRST..] {
        let plane = &levels[usize::from(p & 15)];
        for b in 0..N {
            score[b] += if plane[b] == 0 { 0 } else { weight_4x4(run[b]) };
            run[b] = if plane[b] == 0 { run[b] + 1 } else { 0 };
            beyond[b] |= plane[b].unsigned_abs() >> 1;
        }
    }
    array(|b| if beyond[b] == 0 { score[b] as u8 } else { (score[b] as u8).max(NOT_LONE) })
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
