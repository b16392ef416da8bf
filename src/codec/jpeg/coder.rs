//! Symbols written as Huffman codes, or counted.

use super::bits::BitWriter;
use super::huffman::{Codes, Histogram};
use super::marker::write_restart;
use super::scan::Sink;
use crate::kernel::Simd;
use crate::kernel::join::Pieces;
use crate::kernel::symbols::SymbolList;

/// Writes symbols as Huffman codes.
#[derive(Debug)]
pub(super) struct Coder<'a> {
    pub(super) codes: &'a Codes,
    pub(super) pieces: &'a mut Pieces,
    pub(super) writer: &'a mut BitWriter,
    pub(super) out: &'a mut Vec<u8>,
    /// Where the symbols of the sample are counted, if anywhere.
    pub(super) histogram: Option<&'a mut Histogram>,
}

impl Sink for Coder<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, symbols: &mut SymbolList, is_sample: bool) {
        if is_sample && let Some(histogram) = self.histogram.as_deref_mut() {
            histogram.count(symbols);
        }
        let mut bits = self.writer.cursor();
        if let Some(pieces) = self.pieces.join(simd, &self.codes.words, symbols) {
            for (&joined, &len) in pieces {
                bits.put(joined, len as u32);
            }
            return bits.flush(simd, self.out);
        }
        for (rows, values) in symbols.pairs() {
            // Two symbols a turn: half the writes.
            let (first, second) = (self.codes.of(rows[0], values[0]), self.codes.of(rows[1], values[1]));
            let both = first.with(values[0]) << second.len() | second.with(values[1]);
            bits.put(both, first.len() + second.len());
        }
        bits.flush(simd, self.out);
    }

    #[inline(always)]
    fn end_interval<S: Simd>(&mut self, simd: S, interval: usize, is_last: bool) {
        self.writer.finish(simd, self.out);
        if !is_last {
            write_restart(interval, self.out);
        }
    }
}

/// Counts symbols.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pub(super) histogram: &'a mut Histogram,
}

impl Sink for Counter<'_> {
    #[inline(always)]
    fn take<S: Simd>(&mut self, _simd: S, symbols: &mut SymbolList, _is_sample: bool) {
        self.histogram.count(symbols);
    }

    fn end_interval<S: Simd>(&mut self, _simd: S, _interval: usize, _is_last: bool) {}
}

#[cfg(test)]
mod tests {
    use super::super::tables::standard;
    use super::*;
    use crate::kernel::quantise::nonzero_mask;
    use crate::kernel::symbols::ROWS;
    use crate::kernel::{Vectorise, each_level, vectorise};

    /// Codes blocks, luma and chroma in turn.
    struct Code<'a>(&'a [[i16; 64]]);

    impl Vectorise for Code<'_> {
        type Output = Vec<u8>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<u8> {
            let (mut pieces, mut writer, mut out) = (Pieces::default(), BitWriter::default(), Vec::new());
            let codes = Codes::new(&standard());
            let mut coder =
                Coder { codes: &codes, pieces: &mut pieces, writer: &mut writer, out: &mut out, histogram: None };
            let mut list = SymbolList::default();
            for (i, block) in self.0.iter().enumerate() {
                let difference = 2 * block[0] + block[0].signum();
                list.push(simd, block, nonzero_mask(block), difference, ROWS * (i % 2) as u8);
            }
            coder.take(simd, &mut list, false);
            coder.end_interval(simd, 0, true);
            out
        }
    }

    #[test]
    fn codes_are_the_same_at_each_level_short_and_long() {
        let mut seed = 9_u32;
        for round in 0..300_u32 {
            let mut blocks = [[0_i16; 64]; 24];
            for value in blocks.as_flattened_mut() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 8 & 63 < round % 67 {
                    // Four of the longest are too long for a word.
                    let most = [1, 15, 1023][round as usize % 3];
                    *value = ((seed >> 20) as i16 & 2047).min(2046) - 1023;
                    *value = (*value).clamp(-most, most);
                }
            }
            let mut expected: Option<Vec<u8>> = None;
            each_level!(level => {
                let coded = vectorise(level, Code(&blocks));
                assert!(*expected.get_or_insert_with(|| coded.clone()) == coded, "round {round}");
            });
        }
    }
}
