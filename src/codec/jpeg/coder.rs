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
