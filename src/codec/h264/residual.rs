//! Residuals to levels and back: transform, quantise, drop what isn't worth its bits, reconstruct.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::macroblock::Levels;
use crate::kernel::h264::quantise::{
    dequantise, dequantise_chroma_dc, dequantise_luma_dc, dequantise8, is_zero, levels_zigzag, levels_zigzag8,
    lone_ones, lone_ones_8x8, lone_ones_ac, quantise, quantise_ac, quantise_dc, quantise8,
};
use crate::kernel::h264::quantiser::{Quantiser, Quantiser8};
use crate::kernel::h264::transform4::{
    add_chroma, add_luma, forward, forward_luma_dc, hadamard_2x2, inverse, inverse_luma_dc, residual_chroma,
    residual_luma,
};
use crate::kernel::h264::transform8::{Planes8, add_luma8, forward8, inverse8, residual_luma8};
use crate::kernel::h264::{Chroma, Luma, Planes, array};

/// Scores (see `lone_ones`) under which a quadrant, a macroblock's luma and its chroma AC aren't worth their bits.
const QUADRANT_SCORE: u8 = 2;
const LUMA_SCORE: u8 = 4;
const CHROMA_SCORE: u8 = 9;

/// Raster position of the 4x4 block that is k-th in zigzag order.
const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// The 4x4 blocks of quadrant 0.
pub(super) const QUADRANT: u16 = 0x0033;
/// Where the quadrants' masks lie.
pub(super) const QUADRANT_SHIFT: [u32; 4] = [0, 2, 8, 10];

/// The coded block pattern's luma bits for a mask of 4x4 blocks.
pub(super) fn luma_cbp(mask: u16) -> u8 {
    let bit = |k: usize| u8::from(mask >> QUADRANT_SHIFT[k] & QUADRANT != 0) << k;
    bit(0) | bit(1) | bit(2) | bit(3)
}

/// Clears the lanes of blocks that aren't in `mask`.
#[inline(always)]
fn keep_lanes<const N: usize>(planes: &mut Planes<N>, mask: u32) {
    let mut keep = [0; N];
    for (lane, keep) in keep.iter_mut().enumerate() {
        *keep = if mask >> lane & 1 != 0 { -1 } else { 0 };
    }
    for plane in planes {
        for (value, keep) in plane.iter_mut().zip(&keep) {
            *value &= keep;
        }
    }
}

/// Quadrants whose scores are worth coding; all or nothing by the macroblock's sum.
fn worthwhile(scores: &[u8; 16]) -> u16 {
    let mut kept = 0;
    let mut total = 0_u8;
    for shift in QUADRANT_SHIFT {
        let score = [0, 1, 4, 5].into_iter().fold(0_u8, |sum, b| sum.saturating_add(scores[b + shift as usize]));
        if score >= QUADRANT_SCORE {
            kept |= QUADRANT << shift;
            total = total.saturating_add(score);
        }
    }
    if total < LUMA_SCORE { 0 } else { kept }
}

/// Luma that was predicted by motion, as levels.
pub(super) enum Coded {
    /// Nothing worth its bits.
    Nothing,
    Four(Planes<16>),
    Eight(Planes8),
}

/// What levels cost, about, in quarters of a bit: a little for being there, and more the larger they are.
#[inline(always)]
fn weight<S: Simd, const N: usize>(_simd: S, planes: &[[i16; N]; 16], nonzero_cost: i16) -> u32 {
    let mut sums = [0_i16; N];
    for plane in planes {
        for (sum, &level) in sums.iter_mut().zip(plane) {
            let cost = if level == 0 { 0 } else { nonzero_cost };
            *sum += 4 * level.abs().min(20) + cost;
        }
    }
    sums.into_iter().map(|sum| sum as u32).sum()
}

/// What being there costs a level of each transform.
const NONZERO_COST: [i16; 2] = [8, 11];

/// Transforms and quantises a residual; with 8x8 transforms too where `quantiser8` is given, and with these alone where they leave
/// so little that 4x4 ones can hardly do better: no more than `sparse` quarters of a bit, by [`weight`].
#[simd]
pub(super) fn luma_levels<S: Simd>(
    simd: S,
    source: &Luma,
    prediction: &Luma,
    quantiser: &Quantiser,
    quantiser8: Option<&Quantiser8>,
    sparse: u32,
) -> Coded {
    let mut eight: Planes8 = [[0; 16]; 16];
    let mut cost8 = u32::MAX;
    if let Some(quantiser8) = quantiser8 {
        residual_luma8(simd, source, prediction, &mut eight);
        forward8(simd, &mut eight);
        if quantise8(simd, &mut eight, quantiser8) == 0 {
            return Coded::Nothing;
        }
        cost8 = weight(simd, &eight, NONZERO_COST[1]);
        if cost8 <= sparse {
            return Coded::Eight(eight);
        }
    }
    let mut four = [[0; 16]; 16];
    residual_luma(simd, source, prediction, &mut four);
    forward(simd, &mut four);
    if quantise(simd, &mut four, quantiser) == 0 {
        return Coded::Nothing;
    }
    if cost8 < weight(simd, &four, NONZERO_COST[0]) { Coded::Eight(eight) } else { Coded::Four(four) }
}

/// Drops what isn't worth its bits of 4x4 blocks and reconstructs. Returns the mask of coded blocks.
#[simd]
pub(super) fn luma4<S: Simd>(
    simd: S,
    prediction: &Luma,
    mut planes: Planes<16>,
    quantiser: &Quantiser,
    levels: &mut Levels,
    out: &mut Luma,
) -> u16 {
    let coded = lanes_coded(&planes);
    let mask = coded & worthwhile(&lone_ones(simd, &planes));
    if mask != coded {
        keep_lanes(&mut planes, u32::from(mask));
    }
    levels.luma_mask = mask;
    if mask == 0 {
        *out = *prediction;
        return 0;
    }
    levels_zigzag(simd, &planes, &mut levels.luma);
    let mut scaled = [[0; 16]; 16];
    dequantise(simd, &planes, quantiser, &mut scaled);
    inverse(simd, &mut scaled);
    add_luma(simd, prediction, &scaled, out);
    mask
}

/// Blocks with levels that aren't zero.
#[inline(always)]
fn lanes_coded(planes: &Planes<16>) -> u16 {
    let mut any = [0_i16; 16];
    for plane in planes {
        for (any, level) in any.iter_mut().zip(plane) {
            *any |= level;
        }
    }
    any.iter().enumerate().fold(0, |mask, (lane, &any)| mask | u16::from(any != 0) << lane)
}

/// As [`luma4`], of 8x8 blocks.
#[simd]
pub(super) fn luma8<S: Simd>(
    simd: S,
    prediction: &Luma,
    mut planes: Planes8,
    quantiser: &Quantiser8,
    levels: &mut Levels,
    out: &mut Luma,
) -> u16 {
    levels_zigzag8(simd, &planes, &mut levels.luma8);
    let (mut mask, mut total) = (0, 0_u8);
    for (k, shift) in QUADRANT_SHIFT.into_iter().enumerate() {
        let score = lone_ones_8x8(simd, &levels.luma8[k]);
        if score >= QUADRANT_SCORE {
            mask |= QUADRANT << shift;
            total = total.saturating_add(score);
        } else {
            let (rows, columns) = (8 * (k / 2), 8 * (k % 2));
            planes[rows..rows + 8].iter_mut().for_each(|row| row[columns..columns + 8].fill(0));
        }
    }
    if total < LUMA_SCORE {
        mask = 0;
    }
    levels.luma_mask = mask;
    if mask == 0 {
        *out = *prediction;
        return 0;
    }
    let mut scaled: Planes8 = [[0; 16]; 16];
    dequantise8(simd, &planes, quantiser, &mut scaled);
    inverse8(simd, &mut scaled);
    add_luma8(simd, prediction, &scaled, out);
    mask
}

/// Codes luma that was predicted as a whole from its neighbours. Returns the mask of blocks with AC levels, and whether there
/// are any levels at all.
#[simd]
pub(super) fn luma16<S: Simd>(
    simd: S,
    source: &Luma,
    prediction: &Luma,
    quantiser: &Quantiser,
    levels: &mut Levels,
    out: &mut Luma,
) -> u16 {
    let mut planes = [[0; 16]; 16];
    residual_luma(simd, source, prediction, &mut planes);
    forward(simd, &mut planes);
    let mut dc = forward_luma_dc(simd, planes[0]);
    levels.luma_dc_coded = quantise_dc(simd, &mut dc, quantiser);
    let mut mask = quantise_ac(simd, &mut planes, quantiser) as u16;
    if mask != 0 {
        let total = lone_ones_ac(simd, &planes).into_iter().fold(0_u8, u8::saturating_add);
        if total < LUMA_SCORE {
            mask = 0;
            keep_lanes(&mut planes, 0);
        }
    }
    levels.luma_mask = mask;
    if mask == 0 && !levels.luma_dc_coded {
        *out = *prediction;
        return 0;
    }
    if mask != 0 {
        levels_zigzag(simd, &planes, &mut levels.luma);
    }
    let mut scaled = [[0; 16]; 16];
    if mask != 0 {
        dequantise(simd, &planes, quantiser, &mut scaled);
    }
    scaled[0] = [0; 16];
    if levels.luma_dc_coded {
        levels.luma_dc = array(|k| dc[usize::from(ZIGZAG[k] & 15)]);
        scaled[0] = inverse_luma_dc(simd, dc);
        dequantise_luma_dc(simd, &mut scaled[0], quantiser);
    }
    inverse(simd, &mut scaled);
    add_luma(simd, prediction, &scaled, out);
    mask
}

/// Whether differences are so small that no coefficient of theirs can be coded, whatever their signs.
#[inline(always)]
fn is_chroma_zero<S: Simd>(_simd: S, source: &Chroma, prediction: &Chroma, quantiser: &Quantiser) -> bool {
    let (mut most, mut total) = (0, 0);
    for half in 0..2 {
        // Blocks of both colours, side by side.
        let mut sums = [0_u16; 16];
        for y in 4 * half..4 * half + 4 {
            for x in 0..16 {
                sums[x] += u16::from(source[y][x].abs_diff(prediction[y][x]));
            }
        }
        for block in sums.as_chunks::<8>().0 {
            let mut sum = 0;
            for part in block {
                sum += part;
            }
            most = sum.max(most);
            total += sum;
        }
    }
    most <= quantiser.sad_limit && total <= quantiser.dc_sad_limit
}

/// Codes chroma. Returns its part of the coded block pattern: 0 nothing, 1 DC, 2 AC too.
#[simd]
pub(super) fn chroma<S: Simd>(
    simd: S,
    source: &Chroma,
    prediction: &Chroma,
    quantiser: &Quantiser,
    levels: &mut Levels,
    out: &mut Chroma,
) -> u8 {
    if is_chroma_zero(simd, source, prediction, quantiser) {
        levels.chroma_mask = [0; 2];
        *out = *prediction;
        return 0;
    }
    let mut planes = [[0; 8]; 16];
    residual_chroma(simd, source, prediction, &mut planes);
    forward(simd, &mut planes);
    let mut has_dc = false;
    for (plane, dc) in planes[0].as_chunks::<4>().0.iter().zip(&mut levels.chroma_dc) {
        *dc = hadamard_2x2(*plane);
        has_dc |= quantise_dc(simd, dc, quantiser);
    }
    let mut mask = quantise_ac(simd, &mut planes, quantiser) as u8;
    if mask != 0 {
        let total = lone_ones_ac(simd, &planes).into_iter().fold(0_u8, u8::saturating_add);
        if total < CHROMA_SCORE {
            mask = 0;
        }
    }
    levels.chroma_mask = [mask & 15, mask >> 4];
    if mask == 0 && !has_dc {
        *out = *prediction;
        return 0;
    }
    let mut scaled = [[0; 8]; 16];
    if mask != 0 {
        let mut blocks = [[0; 16]; 8];
        levels_zigzag(simd, &planes, &mut blocks);
        for (plane, blocks) in levels.chroma_ac.iter_mut().zip(blocks.as_chunks::<4>().0) {
            *plane = *blocks;
        }
        dequantise(simd, &planes, quantiser, &mut scaled);
    }
    for (scaled, dc) in scaled[0].as_chunks_mut::<4>().0.iter_mut().zip(levels.chroma_dc) {
        *scaled = dequantise_chroma_dc(hadamard_2x2(dc), quantiser);
    }
    inverse(simd, &mut scaled);
    add_chroma(simd, prediction, &scaled, out);
    if mask != 0 { 2 } else { 1 }
}

/// Whether luma's residual would be coded as nothing, or nothing of it is worth coding unless `is_strict`.
#[simd]
pub(super) fn is_all_zero<S: Simd>(
    simd: S,
    source: &Luma,
    prediction: &Luma,
    quantiser: &Quantiser,
    is_strict: bool,
) -> bool {
    let mut planes: Planes<16> = [[0; 16]; 16];
    residual_luma(simd, source, prediction, &mut planes);
    forward(simd, &mut planes);
    if is_zero(simd, &planes, quantiser) {
        return true;
    }
    if is_strict {
        return false;
    }
    quantise(simd, &mut planes, quantiser);
    worthwhile(&lone_ones(simd, &planes)) == 0
}
