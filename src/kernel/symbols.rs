//! Blocks of coefficients to one list of symbols (ITU-T T.81 F.1.2).
//!
//! Coding block by block costs a mispredicted branch at the end of each, as nobody can foretell how many coefficients aren't
//! zero. So the symbols of many blocks are listed first, which vectors do without a branch, and coded in one long loop.

use fearless_simd::Simd;

/// Coefficients of a block that go into one vector's worth of list.
const BLOCK: usize = 64;
/// Blocks a list has room for, and what is written beyond the last symbol.
const MAX_BLOCKS: usize = 24;
/// Symbols that a list may hold.
pub(crate) const MAX_SYMBOLS: usize = MAX_BLOCKS * (BLOCK + 1);
const ROOM: usize = (MAX_SYMBOLS + BLOCK).next_multiple_of(VECTOR) + VECTOR;
/// Symbols that [`SymbolList::vectors`] gives at a time.
pub const VECTOR: usize = 32;

/// Row for the end of a block, with a value of zero. Rows 0 to 15 are for AC coefficients after so many zeros.
pub const END_ROW: u8 = 0;
/// Row that has no code for a value of zero.
pub const NO_ROW: u8 = 1;
/// Row of the table of codes for a DC difference.
pub const DC_ROW: u8 = 16;
/// Rows of one kind of component.
pub const ROWS: u8 = 32;

/// Symbols of some blocks: the row of the table that has their code, and the value that chooses the code in the row.
#[derive(Debug)]
pub struct SymbolList {
    rows: Box<[u8; ROOM]>,
    values: Box<[i16; ROOM]>,
    len: usize,
}

impl Default for SymbolList {
    fn default() -> Self {
        Self { rows: Box::new([0; ROOM]), values: Box::new([0; ROOM]), len: 0 }
    }
}

impl SymbolList {
    /// Empties the list.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends the symbols of a block whose DC coefficient differs by `difference` from the one before. `mask` has the
    /// coefficients that aren't zero; `first_row` is where the rows of its kind of component begin. 24 blocks fit.
    #[inline(always)]
    pub fn push<S: Simd>(&mut self, simd: S, coefficients: &[i16; 64], mask: u64, difference: i16, first_row: u8) {
        let marked = with_zero_runs(mask) | 1;
        let at = self.len.min(ROOM - BLOCK - 1);
        let (rows, values) = (&mut self.rows[at..=at + BLOCK], &mut self.values[at..=at + BLOCK]);
        list(simd, coefficients, marked, difference, first_row, &mut rows[..BLOCK], &mut values[..BLOCK]);
        let count = marked.count_ones() as usize;
        (rows[count], values[count]) = (first_row + END_ROW, 0);
        // All blocks but those whose last coefficient isn't zero are ended.
        self.len = at + count + usize::from(mask >> 63 == 0);
    }

    /// Rows and values of all symbols; an even number, the last one without a code if need be.
    #[inline(always)]
    pub fn pairs(&mut self) -> impl Iterator<Item = (&[u8; 2], &[i16; 2])> {
        let len = self.len.min(ROOM - 1);
        (self.rows[len], self.values[len]) = (NO_ROW, 0);
        let pairs = len.div_ceil(2);
        self.rows.as_chunks().0[..pairs].iter().zip(&self.values.as_chunks().0[..pairs])
    }

    /// The same, [`VECTOR`] at a time.
    #[inline(always)]
    pub fn vectors(&mut self) -> impl Iterator<Item = (&[u8; VECTOR], &[i16; VECTOR])> {
        let len = self.len.min(ROOM - VECTOR);
        self.rows[len..len + VECTOR].fill(NO_ROW);
        self.values[len..len + VECTOR].fill(0);
        let vectors = len.div_ceil(VECTOR);
        self.rows.as_chunks().0[..vectors].iter().zip(&self.values.as_chunks().0[..vectors])
    }
}

/// Marks, beside the coefficients that aren't zero, each sixteenth of a run of sixteen zeros between them: those places are
/// coded as a run of fifteen and a coefficient of no bits, which is the symbol for sixteen zeros.
#[inline(always)]
fn with_zero_runs(mask: u64) -> u64 {
    let last = 63 - (mask | 1).leading_zeros();
    let zeros = !mask & !(u64::MAX << last) & !1;
    let runs = zeros & zeros >> 1;
    let runs = runs & runs >> 2;
    let runs = runs & runs >> 4;
    if runs & runs >> 8 == 0 { mask } else { mark_zero_runs(mask) }
}

#[cold]
fn mark_zero_runs(mask: u64) -> u64 {
    let (mut marked, mut left, mut before) = (mask, mask & !1, 0);
    while left != 0 {
        let at = left.trailing_zeros();
        left &= left - 1;
        while at - before > 16 {
            before += 16;
            marked |= 1 << before;
        }
        before = at;
    }
    marked
}

/// Writes the marked places of a block, the first of which is its DC coefficient. What follows them in the outputs, both of
/// 64, is overwritten with anything.
#[inline(always)]
fn list<S: Simd>(
    simd: S,
    coefficients: &[i16; 64],
    marked: u64,
    difference: i16,
    first_row: u8,
    rows: &mut [u8],
    values: &mut [i16],
) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx512) = simd.level().as_avx512() {
        return super::symbols_avx512::list(avx512, coefficients, marked, difference, first_row, rows, values);
    }
    let _ = simd;
    (rows[0], values[0]) = (first_row + DC_ROW, difference);
    let (mut left, mut before) = (marked & !1, 0);
    for (row, value) in rows.iter_mut().zip(values).skip(1) {
        if left == 0 {
            break;
        }
        let at = left.trailing_zeros();
        left &= left - 1;
        *row = first_row + (at - before - 1) as u8;
        *value = coefficients[at as usize % 64];
        before = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::quantise::nonzero_mask;
    use crate::kernel::{Vectorise, each_level, vectorise};

    /// The symbols of a block as F.1.2.2 says, without masks: run and value.
    fn plain_symbols(coefficients: &[i16; 64]) -> Vec<(u8, i16)> {
        let (mut symbols, mut run) = (Vec::new(), 0);
        for &value in &coefficients[1..] {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                symbols.push((15, 0));
                run -= 16;
            }
            symbols.push((run, value));
            run = 0;
        }
        if run > 0 {
            symbols.push((END_ROW, 0));
        }
        symbols
    }

    struct List<'a>(&'a [[i16; 64]]);

    impl Vectorise for List<'_> {
        type Output = Vec<(u8, i16)>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut list = SymbolList::default();
            for (i, block) in self.0.iter().enumerate() {
                list.push(simd, block, nonzero_mask(block), -(i as i16), ROWS * (i % 2) as u8);
            }
            list.pairs().flat_map(|(rows, values)| [(rows[0], values[0]), (rows[1], values[1])]).collect()
        }
    }

    #[test]
    fn lists_are_those_of_the_plain_procedure_at_each_level() {
        let mut seed = 5_u32;
        for round in 0..400_u32 {
            let mut blocks = [[0_i16; 64]; MAX_BLOCKS];
            for (i, value) in blocks.as_flattened_mut().iter_mut().enumerate() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 8 & 63 < (round + i as u32 / 64) % 67 {
                    *value = ((seed >> 20) as i16 & 2047).min(2046) - 1023;
                }
            }
            let mut expected = Vec::new();
            for (i, block) in blocks.iter().enumerate() {
                let first_row = ROWS * (i % 2) as u8;
                expected.push((first_row + DC_ROW, -(i as i16)));
                expected.extend(plain_symbols(block).into_iter().map(|(row, value)| (first_row + row, value)));
            }
            if expected.len() % 2 == 1 {
                expected.push((NO_ROW, 0));
            }
            each_level!(level => { assert_eq!(vectorise(level, List(&blocks)), expected, "round {round}"); });
        }
    }
}
