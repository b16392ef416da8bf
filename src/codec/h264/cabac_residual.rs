//! Blocks of transform coefficients under CABAC (ITU-T H.264 7.3.5.3.3, 9.3.3.1.3).

use super::cabac::{Engine, MAX_BYPASS_BITS};
use super::cabac_tables::{LAST_8X8, SIGNIFICANT_8X8};

// ctxBlockCat (Table 9-42).
pub(super) const LUMA_DC: usize = 0;
pub(super) const LUMA_AC: usize = 1;
pub(super) const LUMA_4X4: usize = 2;
pub(super) const CHROMA_DC: usize = 3;
pub(super) const CHROMA_AC: usize = 4;
pub(super) const LUMA_8X8: usize = 5;

// ctxIdxOffset with ctxBlockCatOffset (Tables 9-34 and 9-40), by category.
const SIGNIFICANT: [usize; 6] = [105, 105 + 15, 105 + 29, 105 + 44, 105 + 47, 402];
const LAST: [usize; 6] = [166, 166 + 15, 166 + 29, 166 + 44, 166 + 47, 417];
const MAGNITUDE: [usize; 6] = [227, 227 + 10, 227 + 20, 227 + 30, 227 + 39, 426];

/// Position of the last coefficient of a block.
const END: [u32; 6] = [15, 14, 15, 3, 14, 63];
/// Magnitudes less one from here on have a suffix (uCoff of coeff_abs_level_minus1).
const CUT_OFF: u32 = 14;

/// Context of coded_block_flag, but for what the neighbours add.
pub(super) const fn coded_block_flag(category: usize) -> usize {
    85 + 4 * category
}

/// Bit i: level i isn't zero.
#[inline(always)]
pub(super) fn nonzero(levels: &[i16; 16]) -> u64 {
    let found: [u8; 16] = std::array::from_fn(|at| u8::from(levels[at] != 0));
    let [low, high] = [0, 8].map(|at| {
        let word = u64::from_le_bytes(std::array::from_fn(|byte| found[at + byte]));
        // Each byte's lowest bit lands in the top byte, at its own place.
        word.wrapping_mul(0x0102_0408_1020_4080) >> 56
    });
    low | high << 8
}

/// Codes a block of `CATEGORY` that has levels: bit i of `mask` tells that level i isn't zero. AC blocks have no level
/// 0.
#[inline(never)]
pub(super) fn block<const CATEGORY: usize, const SIZE: usize>(engine: &mut Engine, levels: &[i16; SIZE], mask: u64) {
    let first = usize::from(CATEGORY == LUMA_AC || CATEGORY == CHROMA_AC);
    let mut values = [0; SIZE];
    let count = significance::<CATEGORY, SIZE>(engine, levels, mask >> first, first, &mut values);
    magnitudes::<CATEGORY, SIZE>(engine, &values, count);
}

/// Codes which levels aren't zero, and gathers those.
#[inline(always)]
fn significance<const CATEGORY: usize, const SIZE: usize>(
    engine: &mut Engine,
    levels: &[i16; SIZE],
    mask: u64,
    first: usize,
    values: &mut [i16; SIZE],
) -> usize {
    debug_assert!(mask != 0 && mask >> END[CATEGORY] <= 1, "{mask:#x} of category {CATEGORY}");
    let Engine { registers, contexts, bytes } = engine;
    let mut coder = *registers;
    let (mut rest, mut count) = (mask, 0);
    for at in 0..END[CATEGORY] as usize {
        let significant = rest & 1 == 1;
        let (map, last) = match CATEGORY {
            LUMA_8X8 => (usize::from(SIGNIFICANT_8X8[at]), usize::from(LAST_8X8[at])),
            CHROMA_DC => (at.min(2), at.min(2)),
            _ => (at, at),
        };
        coder.encode(&mut contexts[(SIGNIFICANT[CATEGORY] + map) & 511], significant, bytes);
        if significant {
            values[count & (SIZE - 1)] = levels[(at + first) & (SIZE - 1)];
            count += 1;
            coder.encode(&mut contexts[(LAST[CATEGORY] + last) & 511], rest == 1, bytes);
            if rest == 1 {
                *registers = coder;
                return count;
            }
        }
        rest >>= 1;
    }
    values[count & (SIZE - 1)] = levels[SIZE - 1];
    *registers = coder;
    count + 1
}

/// Codes the levels that aren't zero, last one first.
#[inline(always)]
fn magnitudes<const CATEGORY: usize, const SIZE: usize>(engine: &mut Engine, values: &[i16; SIZE], count: usize) {
    let Engine { registers, contexts, bytes } = engine;
    let mut coder = *registers;
    let most_larger = if CATEGORY == CHROMA_DC { 3 } else { 4 };
    // numDecodAbsLevelEq1 + 1, and 0 once a level was larger; numDecodAbsLevelGt1.
    let (mut ones, mut larger) = (1, 0);
    for at in (0..count).rev() {
        let value = i32::from(values[at & (SIZE - 1)]);
        let (sign, less_one) = (u32::from(value < 0), value.unsigned_abs() - 1);
        let first = MAGNITUDE[CATEGORY] + ones;
        coder.encode(&mut contexts[first & 511], less_one != 0, bytes);
        if less_one == 0 {
            ones = if ones == 0 { 0 } else { (ones + 1).min(4) };
            coder.bypass(sign, 1, bytes);
            continue;
        }
        let next = (MAGNITUDE[CATEGORY] + 5 + larger) & 511;
        let mut state = contexts[next];
        for _ in 1..less_one.min(CUT_OFF) {
            coder.encode(&mut state, true, bytes);
        }
        if less_one < CUT_OFF {
            coder.encode(&mut state, false, bytes);
            coder.bypass(sign, 1, bytes);
        } else {
            let (bins, len) = exp_golomb(less_one - CUT_OFF, 0);
            let (bins, len) = (bins << 1 | sign, len + 1);
            let head = len.saturating_sub(MAX_BYPASS_BITS);
            let head = head.min(MAX_BYPASS_BITS);
            coder.bypass(bins >> (len - head), head, bytes);
            let (bins, len) = (bins & ((1 << (len - head)) - 1), len - head);
            coder.bypass(bins, len, bytes);
        }
        contexts[next] = state;
        ones = 0;
        larger = (larger + 1).min(most_larger);
    }
    *registers = coder;
}

/// The suffix of UEGk binarisation (9.3.2.3) and its length.
#[inline(always)]
pub(super) fn exp_golomb(value: u32, k: u32) -> (u32, u32) {
    let shifted = value + (1 << k);
    let digits = shifted.ilog2();
    let ones = digits - k;
    // As many ones as there are digits beyond k, a zero, and the digits below the highest.
    let prefix = ((1 << ones) - 1) << 1;
    (prefix << digits | shifted ^ 1 << digits, ones + 1 + digits)
}
