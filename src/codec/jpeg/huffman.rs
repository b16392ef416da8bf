//! Huffman codes: tables for coding, and the best table for given symbol counts.

use super::tables::{self, HuffmanSpec, SpecPair};
use crate::kernel::join::CodeWords;
use crate::kernel::symbols::{DC_ROW, END_ROW, NO_ROW, ROWS, SymbolList};

/// The symbol that ends a block.
const END_OF_BLOCK: u8 = 0x00;

/// What a code depends on beside its row, by the low 12 bits of a value: its size category, and 16 more where it is negative.
const CLASSES: [u8; 4096] = {
    let mut classes = [0; 4096];
    let mut value = -2048_i32;
    while value < 2048 {
        let size = 32 - value.unsigned_abs().leading_zeros();
        classes[(value & 4095) as usize] = (size | (value >> 31) as u32 & 16) as u8;
        value += 1;
    }
    classes
};

/// Classes of a row.
const ROW_CLASSES: usize = 32;
/// Entries of one kind of component.
const KIND_ENTRIES: usize = ROWS as usize * ROW_CLASSES;
/// Entries of a table for luma and chroma.
const ENTRIES: usize = 2 * KIND_ENTRIES;

/// Where a table has the entry of a symbol.
#[inline(always)]
pub(super) const fn entry(row: u8, value: i16) -> usize {
    (row as usize * ROW_CLASSES + CLASSES[value as usize & 4095] as usize) % ENTRIES
}

/// A code ready to be joined with the magnitude bits of its value: five bits that hold the length of both, and above them
/// what becomes code and magnitude when the value is added to it. For negative values, whose magnitude bits are those of
/// the value less one, that is the code and as many ones.
///
/// A code has up to 16 bits and a magnitude up to 11, so both fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    const fn new(code: u32, code_bits: u32, size: u32, is_negative: bool) -> Self {
        let ones = if is_negative { (1 << size) - 1 } else { 0 };
        Self((code << size | ones) << 5 | (code_bits + size))
    }

    /// Bits of code and magnitude together, 0..=27.
    #[inline(always)]
    pub(super) const fn len(self) -> u32 {
        self.0 & 31
    }

    /// Code and magnitude of `value`, which must be of this code's class.
    #[inline(always)]
    pub(super) const fn with(self, value: i16) -> u64 {
        (self.0 >> 5).wrapping_add_signed(value as i32) as u64
    }
}

/// The codes of luma and chroma, by row and class.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    entries: [Code; ENTRIES],
    /// The same for vectors.
    pub(super) words: CodeWords,
}

impl Codes {
    pub(super) fn new(specs: &[SpecPair; 2]) -> Self {
        let mut entries = [Code::default(); ENTRIES];
        let mut words = CodeWords::default();
        for (kind, ([dc, ac], codes)) in specs.iter().zip(entries.chunks_exact_mut(KIND_ENTRIES)).enumerate() {
            let mut set = |row: u8, size: u8, code, bits| {
                words.set(kind, row, size, code, bits);
                for (class, is_negative) in [(size, false), (size | 16, true)] {
                    codes[usize::from(row) * ROW_CLASSES + usize::from(class)] =
                        Code::new(code, bits, u32::from(size), is_negative);
                }
            };
            for_each_code(dc, |symbol, code, bits| set(DC_ROW, symbol & 15, code, bits));
            for_each_code(ac, |symbol, code, bits| match symbol {
                END_OF_BLOCK => set(END_ROW, 0, code, bits),
                _ => set(symbol >> 4, symbol & 15, code, bits),
            });
        }
        Self { entries, words }
    }

    #[inline(always)]
    pub(super) const fn of(&self, row: u8, value: i16) -> Code {
        self.entries[entry(row, value)]
    }
}

/// Gives each symbol its canonical code (ITU-T T.81 Annex C).
fn for_each_code(spec: &HuffmanSpec, mut set: impl FnMut(u8, u32, u32)) {
    let mut code = 0;
    let mut symbols = spec.symbols().iter();
    for (&count, bits) in spec.counts.iter().zip(1..) {
        for &symbol in symbols.by_ref().take(usize::from(count)) {
            set(symbol, code, bits);
            code += 1;
        }
        code <<= 1;
    }
}

/// How often each entry of the table of codes is needed.
#[derive(Clone, Debug)]
pub(super) struct Histogram(pub(super) [u32; ENTRIES]);

impl Histogram {
    pub(super) const EMPTY: Self = Self([0; ENTRIES]);

    /// Counts the symbols of a list.
    #[inline(always)]
    pub(super) fn count(&mut self, symbols: &mut SymbolList) {
        for (rows, values) in symbols.pairs() {
            for (&row, &value) in rows.iter().zip(values) {
                self.0[entry(row, value)] += 1;
            }
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Halves all counts.
    pub(super) fn fade(&mut self) {
        self.0.iter_mut().for_each(|count| *count /= 2);
    }

    /// Bits that these symbols take with their magnitudes.
    pub(super) fn bits(&self, codes: &Codes) -> u64 {
        self.0.iter().zip(&codes.entries).map(|(&count, code)| u64::from(count) * u64::from(code.len())).sum()
    }

    /// The tables for luma and chroma that code these symbols in the fewest bits.
    pub(super) fn best_tables(&self) -> [SpecPair; 2] {
        self.counts().map(|counts| counts.map(|counts| best_table(&counts)))
    }

    /// The same with a code for every symbol that a picture may need: for pictures like this one.
    pub(super) fn complete_tables(&self) -> [SpecPair; 2] {
        let (mut counts, standard) = (self.counts(), tables::standard());
        for (counts, spec) in counts.as_flattened_mut().iter_mut().zip(standard.as_flattened()) {
            expect(counts, spec);
        }
        counts.map(|counts| counts.map(|counts| best_table(&counts)))
    }

    /// Counts of the symbols of luma and chroma, DC and AC.
    fn counts(&self) -> [[[u64; 256]; 2]; 2] {
        std::array::from_fn(|kind| {
            let counts = &self.0[kind * KIND_ENTRIES..][..KIND_ENTRIES];
            // Both signs of a size share a symbol.
            let count = |row: u8, size: usize| {
                let row = &counts[usize::from(row) * ROW_CLASSES..][..ROW_CLASSES];
                u64::from(row[size]) + u64::from(row[size | 16])
            };
            let dc = std::array::from_fn(|size| if size < 16 { count(DC_ROW, size) } else { 0 });
            let mut ac: [u64; 256] = std::array::from_fn(|symbol| count((symbol / 16) as u8, symbol % 16));
            // What only fills a list up is no symbol.
            ac[usize::from(NO_ROW) << 4] = 0;
            [dc, ac]
        })
    }
}

/// Parts of a symbol that was seen once: the least that one counts which wasn't.
const PARTS: u64 = 64;
/// Symbols of the standard tables' likelihoods that count beside those seen.
const EXPECTED: u64 = 32;

/// Adds a few symbols as likely as the lengths of their standard codes say, so that few that were seen don't say too much; every
/// symbol that a picture may need then has a count.
fn expect(counts: &mut [u64; 256], standard: &HuffmanSpec) {
    counts.iter_mut().for_each(|count| *count *= PARTS);
    for_each_code(standard, |symbol, _, bits| {
        counts[usize::from(symbol)] += ((PARTS * EXPECTED) >> bits).max(1);
    });
}

/// Symbols a table may have, and the reserved one.
const NODES: usize = 257;

/// The best table for symbol counts, no code over 16 bits and none of all ones (ITU-T T.81 K.2).
fn best_table(counts: &[u64; 256]) -> HuffmanSpec {
    let mut lengths = [0_usize; NODES];
    let mut weights = [0_u64; NODES];
    for (weight, &count) in weights.iter_mut().zip(counts) {
        *weight = count;
    }
    // One more symbol than there are, of the least count: it gets the code of all ones, which files must not use.
    weights[NODES - 1] = 1;
    // Symbols under one node form a chain that begins where the node stands.
    let mut next = [None; NODES];
    let mut open = OpenNodes::new(&weights);
    while let Some((first, first_weight)) = open.take_rarest()
        && let Some((second, second_weight)) = open.take_rarest()
    {
        open.insert(first, first_weight + second_weight);
        let end = deepen(first, &next, &mut lengths);
        deepen(second, &next, &mut lengths);
        next[end] = Some(second);
    }
    spec_of_lengths(&lengths)
}

/// Nodes that have no parent yet, the rarest last; of equal ones that with the highest number.
struct OpenNodes {
    /// Weight, and below it the number.
    keys: [u64; NODES],
    len: usize,
}

/// Bits of a node's number.
const NUMBER_BITS: u32 = 9;

impl OpenNodes {
    fn new(weights: &[u64; NODES]) -> Self {
        let mut nodes = Self { keys: [0; NODES], len: 0 };
        for (node, &weight) in weights.iter().enumerate().filter(|&(_, &weight)| weight > 0) {
            nodes.keys[nodes.len] = Self::key(node, weight);
            nodes.len += 1;
        }
        nodes.keys[..nodes.len].sort_unstable_by(|a, b| b.cmp(a));
        nodes
    }

    const fn key(node: usize, weight: u64) -> u64 {
        weight << NUMBER_BITS | (NODES - 1 - node) as u64
    }

    fn take_rarest(&mut self) -> Option<(usize, u64)> {
        self.len = self.len.checked_sub(1)?;
        let key = self.keys[self.len];
        Some((NODES - 1 - (key & ((1 << NUMBER_BITS) - 1)) as usize, key >> NUMBER_BITS))
    }

    fn insert(&mut self, node: usize, weight: u64) {
        let key = Self::key(node, weight);
        let at = self.keys[..self.len].partition_point(|&known| known > key);
        self.keys.copy_within(at..self.len, at + 1);
        self.keys[at] = key;
        self.len += 1;
    }
}

/// Adds a bit to each code of a chain, and says where the chain ends.
fn deepen(start: usize, next: &[Option<usize>; NODES], lengths: &mut [usize; NODES]) -> usize {
    let mut at = start;
    loop {
        lengths[at] += 1;
        match next[at] {
            Some(after) => at = after,
            None => return at,
        }
    }
}

/// Shortens codes to 16 bits, drops the reserved one and lists symbols by length.
fn spec_of_lengths(lengths: &[usize; NODES]) -> HuffmanSpec {
    let mut per_length = [0_usize; NODES];
    for &length in lengths {
        per_length[length] += 1;
    }
    per_length[0] = 0;
    let symbols = by_length(lengths, &per_length);
    // Two codes that are too long make room by moving under the prefix of a shorter one (K.3).
    for length in (17..NODES).rev() {
        while per_length[length] > 0 {
            let shorter = (1..length - 1).rev().find(|&l| per_length[l] > 0).unwrap_or(1);
            per_length[length] -= 2;
            per_length[length - 1] += 1;
            per_length[shorter + 1] += 2;
            per_length[shorter] -= 1;
        }
    }
    if let Some(last) = (1..=16).rev().find(|&length| per_length[length] > 0) {
        per_length[last] -= 1;
    }
    HuffmanSpec { counts: std::array::from_fn(|i| per_length[i + 1] as u8), symbols }
}

/// Symbols that have a code, by its length and their value.
fn by_length(lengths: &[usize; NODES], per_length: &[usize; NODES]) -> [u8; 256] {
    let mut starts = [0; NODES];
    for length in 1..NODES {
        starts[length] = starts[length - 1] + per_length[length - 1];
    }
    let mut symbols = [0; 256];
    for (symbol, &length) in lengths[..NODES - 1].iter().enumerate().filter(|&(_, &length)| length > 0) {
        symbols[starts[length] % 256] = symbol as u8;
        starts[length] += 1;
    }
    symbols
}

#[cfg(test)]
mod tests {
    use super::super::tables::standard;
    use super::*;

    /// The Kraft sum in units of 2^-16: under one, as the code of all ones stays free.
    fn kraft(spec: &HuffmanSpec) -> u32 {
        spec.counts.iter().zip(1..).map(|(&count, bits)| u32::from(count) << (16 - bits)).sum()
    }

    #[test]
    fn codes_are_canonical() {
        let codes = Codes::new(&standard());
        let coded = |row, value| (codes.of(row, value).with(value), codes.of(row, value).len());
        assert_eq!(coded(END_ROW, 0), (0b1010, 4));
        assert_eq!(coded(ROWS + END_ROW, 0), (0b00, 2));
        assert_eq!(coded(0, 1), (0b001, 3));
        assert_eq!(coded(0, -1), (0b000, 3));
        assert_eq!(coded(15, 0), (0b111_1111_1001, 11));
        assert_eq!(coded(DC_ROW, -2047), (0b1_1111_1110 << 11, 20));
        assert_eq!(coded(DC_ROW, 5), (0b100_101, 6));
        assert_eq!(coded(NO_ROW, 0), (0, 0));
    }

    #[test]
    fn best_tables_are_prefix_free_within_sixteen_bits_and_beat_the_standard_ones() {
        let mut fibonacci = [0_u64; 256];
        let (mut a, mut b) = (1, 1);
        for count in &mut fibonacci[..40] {
            *count = a;
            (a, b) = (b, a + b);
        }
        let mut geometric = [0_u64; 256];
        for (symbol, count) in geometric.iter_mut().enumerate() {
            *count = if matches!(symbol % 16, 1..=10) { 1_000_000 >> (symbol % 16 * 2 + symbol / 32) } else { 0 };
        }
        for counts in [fibonacci, geometric, [7; 256], std::array::from_fn(|symbol| u64::from(symbol == 5)), [0; 256]] {
            let spec = best_table(&counts);
            assert!(kraft(&spec) < 1 << 16, "{spec:?}");
            assert_eq!(spec.symbols().len(), counts.iter().filter(|&&count| count > 0).count());
        }
        let mut histogram = Histogram::EMPTY;
        for value in (-1023..=1023_i16).filter(|&value| value != 0) {
            histogram.0[entry((value & 15) as u8, value)] += 1_000_000 >> (value.unsigned_abs().ilog2() * 2);
        }
        let bits = |specs: &[SpecPair; 2]| histogram.bits(&Codes::new(specs));
        let (best, complete) = (bits(&histogram.best_tables()), bits(&histogram.complete_tables()));
        assert!(best <= complete && complete <= bits(&standard()), "{best} {complete}");
        for ([dc, ac], [all_dc, all_ac]) in histogram.complete_tables().iter().zip(&standard()) {
            assert!(kraft(dc) < 1 << 16 && kraft(ac) < 1 << 16);
            assert_eq!((dc.symbols().len(), ac.symbols().len()), (all_dc.symbols().len(), all_ac.symbols().len()));
        }
    }
}
