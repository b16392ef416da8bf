//! Blocks of transform coefficients under CAVLC (ITU-T H.264 7.3.5.3.2, 9.2).

use super::bits::BitWriter;
use super::cavlc_tables::{COEFF_TOKEN, RUN_BEFORE, TOTAL_ZEROS, TOTAL_ZEROS_CHROMA_DC};

/// Which table of coeff_token chroma DC has.
const CHROMA_DC_CLASS: usize = 4;
/// The table of coeff_token by nC.
const CLASS: [u8; 17] = [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3];

/// Bits after the prefix of an escaped level.
const ESCAPE_BITS: u32 = 12;

/// Codes the levels of a block (16, 15 of AC, none if all are zero), with nC of 0..=16, and gives how many aren't zero.
pub(super) fn block(bits: &mut BitWriter, levels: &[i16], n_c: u8) -> u8 {
    let class = CLASS[usize::from(n_c).min(16)];
    let runs = Runs::of(levels);
    runs.write_levels(bits, class.into());
    if runs.count != 0 && runs.count < levels.len() {
        put(bits, TOTAL_ZEROS[runs.count & 15][runs.zeros & 15]);
    }
    runs.write_runs(bits);
    runs.count as u8
}

/// Codes the DC levels of Cb or Cr.
pub(super) fn chroma_dc(bits: &mut BitWriter, levels: &[i16; 4]) {
    let runs = Runs::of(levels);
    runs.write_levels(bits, CHROMA_DC_CLASS);
    if runs.count != 0 && runs.count < 4 {
        put(bits, TOTAL_ZEROS_CHROMA_DC[runs.count & 3][runs.zeros & 3]);
    }
    runs.write_runs(bits);
}

#[inline(always)]
fn put(bits: &mut BitWriter, code: u32) {
    debug_assert!(code != 0, "no such code");
    bits.put(code & 0xFFFF, code >> 16);
}

/// A block's levels that aren't zero, last one first.
struct Runs {
    values: [i16; 16],
    /// Zeros before each of them, back to the next.
    runs: [u8; 16],
    count: usize,
    /// All zeros before the last level.
    zeros: usize,
}

impl Runs {
    #[inline(always)]
    fn of(levels: &[i16]) -> Self {
        let mut block = Self { values: [0; 16], runs: [0; 16], count: 0, zeros: 0 };
        let mut run = 0;
        for &level in levels.iter().rev() {
            if level != 0 {
                block.values[block.count & 15] = level;
                block.count += 1;
                run = 0;
            } else if block.count != 0 {
                run += 1;
                block.zeros += 1;
                block.runs[(block.count - 1) & 15] = run;
            }
        }
        block
    }

    /// coeff_token, the signs of the trailing ones, and the other levels (9.2.1, 9.2.2).
    #[inline(always)]
    fn write_levels(&self, bits: &mut BitWriter, class: usize) {
        let values = &self.values[..self.count.min(16)];
        let ones = values.iter().take(3).take_while(|value| value.unsigned_abs() == 1).count();
        put(bits, COEFF_TOKEN[class][self.count.min(16)][ones & 3]);
        let (trailing, others) = values.split_at(ones);
        let signs = trailing.iter().fold(0, |signs, &value| signs << 1 | u32::from(value < 0));
        bits.put(signs, ones as u32);
        let mut suffix_len = u32::from(self.count > 10 && ones < 3);
        for (at, &value) in others.iter().enumerate() {
            let magnitude = u32::from(value.unsigned_abs());
            // It can't be a one where fewer than three ones trail.
            let known = if at == 0 && ones < 3 { 2 } else { 0 };
            write_level(bits, 2 * magnitude - if value > 0 { 2 } else { 1 } - known, suffix_len);
            suffix_len = suffix_len.max(1);
            if magnitude > 3 << (suffix_len - 1) && suffix_len < 6 {
                suffix_len += 1;
            }
        }
    }

    /// run_before of all levels but the first (9.2.3).
    #[inline(always)]
    fn write_runs(&self, bits: &mut BitWriter) {
        let mut left = self.zeros;
        for &run in &self.runs[..self.count.saturating_sub(1) & 15] {
            if left == 0 {
                return;
            }
            put(bits, RUN_BEFORE[left.min(7)][usize::from(run & 15)]);
            left -= usize::from(run);
        }
    }
}

/// level_prefix and level_suffix of a levelCode (9.2.2.1).
#[inline(always)]
fn write_level(bits: &mut BitWriter, code: u32, suffix_len: u32) {
    let escape = if suffix_len == 0 { 30 } else { 15 << suffix_len };
    if code >= escape {
        debug_assert!((code - escape) >> ESCAPE_BITS == 0, "levels are -2063..=2063");
        let suffix = (code - escape).min((1 << ESCAPE_BITS) - 1);
        bits.put(1 << ESCAPE_BITS | suffix, 16 + ESCAPE_BITS);
    } else if suffix_len == 0 && code >= 14 {
        bits.put(1 << 4 | (code - 14), 15 + 4);
    } else {
        bits.put(1 << suffix_len | code & ((1 << suffix_len) - 1), (code >> suffix_len) + 1 + suffix_len);
    }
}
