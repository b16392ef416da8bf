//! Blocks to symbols: written as Huffman codes, or counted (ITU-T T.81 F.1.2).

use super::bits::{BitWriter, Cursor};
use super::huffman::{AcSymbol, Codes, Histogram};
use super::marker::write_restart;
use super::scan::{CodedBlock, Group, Sink};

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

/// Walks over the symbols of a block's AC coefficients.
struct AcWalk<'a> {
    coefficients: &'a [i16; 64],
    left: u64,
    before: u32,
}

impl<'a> AcWalk<'a> {
    #[inline(always)]
    fn new(block: &CodedBlock<'a>) -> Self {
        Self { coefficients: block.coefficients, left: with_zero_runs(block.mask) & !1, before: 0 }
    }

    /// The next symbol and its coefficient. Where none is left they mean nothing.
    #[inline(always)]
    fn next(&mut self) -> (AcSymbol, i32) {
        let at = self.left.trailing_zeros();
        self.left &= self.left.wrapping_sub(1);
        let value = i32::from(self.coefficients[(at & 63) as usize]);
        let symbol = AcSymbol::new(at.wrapping_sub(self.before), value);
        self.before = at;
        (symbol, value)
    }

    #[inline(always)]
    const fn has_two(&self) -> bool {
        self.left & self.left.wrapping_sub(1) != 0
    }
}

/// Whether a block needs the symbol that ends it: all but those whose last coefficient isn't zero.
#[inline(always)]
const fn needs_end(mask: u64) -> bool {
    mask >> 63 == 0
}

/// Codes one block.
#[inline(always)]
fn put_block(bits: &mut Cursor<'_>, codes: &Codes, block: &CodedBlock<'_>) {
    let code = codes.dc(block.difference);
    bits.put(code.with(block.difference), code.len());

    let mut walk = AcWalk::new(block);
    // Two symbols a turn: half the writes, and half the turns to be predicted.
    while walk.has_two() {
        let ((first, first_value), (second, second_value)) = (walk.next(), walk.next());
        let (first, second) = (codes.ac(first), codes.ac(second));
        let both = first.with(first_value) << second.len() | second.with(second_value);
        bits.put(both, first.len() + second.len());
    }
    // The last symbol, if their number is odd, and the end, if needed, without a branch.
    let has_one = walk.left != 0;
    let (symbol, value) = walk.next();
    let (symbol, value) = if has_one { (symbol, value) } else { (AcSymbol::NONE, 0) };
    let (code, end) = (codes.ac(symbol), codes.end_of_block().only_if(needs_end(block.mask)));
    bits.put(code.with(value) << end.len() | end.with(0), code.len() + end.len());
}

/// Writes blocks as Huffman codes.
#[derive(Debug)]
pub(super) struct Coder<'a> {
    pub(super) codes: &'a [Codes; 2],
    pub(super) writer: &'a mut BitWriter,
    pub(super) out: &'a mut Vec<u8>,
}

impl Sink for Coder<'_> {
    #[inline(always)]
    fn group(&mut self, group: &Group, mcus: usize, before: &mut [i32; 3]) {
        let mut bits = self.writer.cursor();
        group.for_each_coded(
            mcus,
            before,
            #[inline(always)]
            |block| put_block(&mut bits, &self.codes[block.kind & 1], &block),
        );
        bits.flush(self.out);
    }

    fn end_interval(&mut self, interval: usize, is_last: bool) {
        self.writer.finish(self.out);
        if !is_last {
            write_restart(interval, self.out);
        }
    }
}

/// Counts the symbols of blocks.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    /// Of luma and of chroma.
    pub(super) histograms: &'a mut [Histogram; 2],
}

impl Sink for Counter<'_> {
    #[inline(always)]
    fn group(&mut self, group: &Group, mcus: usize, before: &mut [i32; 3]) {
        group.for_each_coded(
            mcus,
            before,
            #[inline(always)]
            |block| count_block(&mut self.histograms[block.kind & 1], &block),
        );
    }

    fn end_interval(&mut self, _interval: usize, _is_last: bool) {}
}

#[inline(always)]
fn count_block(histogram: &mut Histogram, block: &CodedBlock<'_>) {
    histogram.count_dc(block.difference);
    let mut walk = AcWalk::new(block);
    while walk.left != 0 {
        histogram.ac[walk.next().0.run_and_size()] += 1;
    }
    histogram.ac[0] += u32::from(needs_end(block.mask));
}

#[cfg(test)]
mod tests {
    use super::super::tables::standard;
    use super::*;

    /// The symbols of a block as F.1.2.2 says, without masks.
    fn plain_symbols(coefficients: &[i16; 64]) -> Vec<(u32, u32)> {
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
            symbols.push((run, 32 - u32::from(value.unsigned_abs()).leading_zeros()));
            run = 0;
        }
        if run > 0 {
            symbols.push((0, 0));
        }
        symbols
    }

    #[test]
    fn masks_give_the_symbols_of_the_plain_procedure() {
        let mut seed = 5_u32;
        let codes = standard().map(|specs| Codes::new(&specs));
        for round in 0..4000_u32 {
            let mut coefficients = [0_i16; 64];
            for value in &mut coefficients {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 8 & 63 < round % 66 {
                    *value = ((seed >> 20) as i16 & 2047).min(2046) - 1023;
                }
            }
            let mask = crate::kernel::quantise::nonzero_mask(&coefficients);
            let block = CodedBlock { kind: 0, difference: 0, coefficients: &coefficients, mask };
            let mut histogram = Histogram::EMPTY;
            count_block(&mut histogram, &block);
            let mut expected = [0; 256];
            let mut expected_bits = codes[0].dc(0).len();
            for (run, size) in plain_symbols(&coefficients) {
                expected[(run * 16 + size) as usize] += 1;
                let code = codes[0].ac(AcSymbol::new(run + 1, (1 << size) >> 1));
                expected_bits += if (run, size) == (0, 0) { codes[0].end_of_block().len() } else { code.len() };
            }
            assert_eq!(histogram.ac, expected, "{coefficients:?}");
            assert_eq!(histogram.coded_bits(&codes[0]), u64::from(expected_bits));
            let (mut writer, mut out) = (BitWriter::default(), Vec::new());
            let mut cursor = writer.cursor();
            put_block(&mut cursor, &codes[0], &block);
            cursor.flush(&mut out);
            writer.finish(&mut out);
            let stuffed = out.windows(2).filter(|pair| pair == &[0xFF, 0]).count();
            assert_eq!(out.len() - stuffed, expected_bits.div_ceil(8) as usize);
        }
    }
}
