//! Huffman codes: tables for coding, and the best table for given symbol counts.

use super::tables::{HuffmanSpec, SpecPair};

/// The symbol that ends a block.
const END_OF_BLOCK: usize = 0x00;

/// A code ready to be joined with the magnitude bits of its coefficient: the code, already shifted by their number, above
/// five bits that hold the length of both.
///
/// A code has up to 16 bits and a magnitude up to 11, so both fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    const fn new(code: u32, code_bits: u32, magnitude_bits: u32) -> Self {
        Self((code << magnitude_bits) << 5 | (code_bits + magnitude_bits))
    }

    /// Bits of code and magnitude together, 0..=27.
    #[inline(always)]
    pub(super) const fn len(self) -> u32 {
        self.0 & 31
    }

    /// The code, with zeros where the magnitude goes.
    #[inline(always)]
    pub(super) const fn bits(self) -> u32 {
        self.0 >> 5
    }

    /// This code, or one of no bits.
    #[inline(always)]
    pub(super) const fn only_if(self, condition: bool) -> Self {
        Self(self.0 & 0_u32.wrapping_sub(condition as u32))
    }
}

/// Codes of one kind of component, by symbol.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// By size category.
    dc: [Code; 16],
    /// By run of zeros, times 16, and size category.
    ac: [Code; 256],
}

impl Codes {
    pub(super) fn new(specs: &SpecPair) -> Self {
        let mut codes = Self { dc: [Code::default(); 16], ac: [Code::default(); 256] };
        for_each_code(&specs[0], |symbol, code, bits| {
            codes.dc[usize::from(symbol & 15)] = Code::new(code, bits, u32::from(symbol & 15))
        });
        for_each_code(&specs[1], |symbol, code, bits| {
            codes.ac[usize::from(symbol)] = Code::new(code, bits, u32::from(symbol & 15))
        });
        codes
    }

    #[inline(always)]
    pub(super) const fn dc(&self, size: u32) -> Code {
        self.dc[(size & 15) as usize]
    }

    #[inline(always)]
    pub(super) const fn ac(&self, run: u32, size: u32) -> Code {
        self.ac[(run.wrapping_mul(16).wrapping_add(size) & 255) as usize]
    }

    #[inline(always)]
    pub(super) const fn end_of_block(&self) -> Code {
        self.ac[END_OF_BLOCK]
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

/// How often each symbol of one kind of component occurs.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pub(super) dc: [u32; 16],
    pub(super) ac: [u32; 256],
}

impl Histogram {
    pub(super) const EMPTY: Self = Self { dc: [0; 16], ac: [0; 256] };

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.dc.iter_mut().chain(&mut self.ac).zip(other.dc.iter().chain(&other.ac)) {
            *sum += count;
        }
    }

    /// The tables that code these symbols in the fewest bits.
    pub(super) fn best_tables(&self) -> SpecPair {
        [best_table(&self.dc), best_table(&self.ac)]
    }

    /// Bits that all these symbols take with their magnitudes.
    #[cfg(test)]
    pub(super) fn coded_bits(&self, codes: &Codes) -> u64 {
        let cost = |counts: &[u32], codes: &[Code]| -> u64 {
            counts.iter().zip(codes).map(|(&count, code)| u64::from(count) * u64::from(code.len())).sum()
        };
        cost(&self.dc, &codes.dc) + cost(&self.ac, &codes.ac)
    }
}

/// Symbols a table may have, and the reserved one.
const NODES: usize = 257;

/// The best table for symbol counts, no code over 16 bits and none of all ones (ITU-T T.81 K.2).
fn best_table(counts: &[u32]) -> HuffmanSpec {
    let mut lengths = [0_usize; NODES];
    let mut weights = [0_u64; NODES];
    for (weight, &count) in weights.iter_mut().zip(counts) {
        *weight = u64::from(count);
    }
    // One more symbol than there are, of the least count: it gets the code of all ones, which files must not use.
    weights[NODES - 1] = 1;
    // Symbols under one node form a chain that begins where the node stands.
    let mut next = [None; NODES];
    loop {
        let Some(first) = rarest(&weights, NODES) else { break };
        let Some(second) = rarest(&weights, first) else { break };
        weights[first] += std::mem::take(&mut weights[second]);
        let end = deepen(first, &next, &mut lengths);
        deepen(second, &next, &mut lengths);
        next[end] = Some(second);
    }
    spec_of_lengths(&lengths)
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

/// The node of least weight that isn't `except`, the last of several; none where all weights are zero.
fn rarest(weights: &[u64; NODES], except: usize) -> Option<usize> {
    (0..NODES).rev().filter(|&node| weights[node] > 0 && node != except).min_by_key(|&node| weights[node])
}

/// Shortens codes to 16 bits, drops the reserved one and lists symbols by length.
fn spec_of_lengths(lengths: &[usize; NODES]) -> HuffmanSpec {
    let mut per_length = [0_usize; NODES];
    for &length in lengths {
        per_length[length] += 1;
    }
    per_length[0] = 0;
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
    let mut spec = HuffmanSpec { counts: std::array::from_fn(|i| per_length[i + 1] as u8), symbols: [0; 256] };
    let by_length = (1..NODES).flat_map(|length| (0..NODES - 1).filter(move |&symbol| lengths[symbol] == length));
    for (slot, symbol) in spec.symbols.iter_mut().zip(by_length) {
        *slot = symbol as u8;
    }
    spec
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
        let [luma, _] = standard();
        let codes = Codes::new(&luma);
        assert_eq!((codes.end_of_block().bits(), codes.end_of_block().len()), (0b1010, 4));
        assert_eq!((codes.ac(0, 1).bits(), codes.ac(0, 1).len()), (0b000, 3));
        assert_eq!((codes.ac(15, 0).bits(), codes.ac(15, 0).len()), (0b111_1111_1001, 11));
        assert_eq!((codes.dc(11).bits(), codes.dc(11).len()), (0b1_1111_1110 << 11, 20));
    }

    #[test]
    fn best_tables_are_prefix_free_within_sixteen_bits_and_beat_the_standard_ones() {
        let mut fibonacci = [0_u32; 256];
        let (mut a, mut b) = (1, 1);
        for symbol in 0..40 {
            fibonacci[symbol] = a;
            (a, b) = (b, a + b);
        }
        let mut geometric = [0_u32; 256];
        for (symbol, count) in geometric.iter_mut().enumerate() {
            *count = if matches!(symbol % 16, 1..=10) { 1_000_000 >> (symbol % 16 * 2 + symbol / 32) } else { 0 };
        }
        for counts in [fibonacci, geometric, [7; 256], std::array::from_fn(|symbol| u32::from(symbol == 5)), [0; 256]] {
            let spec = best_table(&counts);
            assert!(kraft(&spec) < 1 << 16, "{spec:?}");
            assert_eq!(spec.symbols().len(), counts.iter().filter(|&&count| count > 0).count());
        }
        let histogram = Histogram { dc: [1; 16], ac: geometric };
        let standard = Codes::new(&standard()[0]);
        let best = Codes::new(&histogram.best_tables());
        let only_ac = Histogram { dc: [0; 16], ac: geometric };
        assert!(only_ac.coded_bits(&best) <= only_ac.coded_bits(&standard));
    }
}
