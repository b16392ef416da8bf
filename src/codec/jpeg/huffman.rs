//! Huffman codes: tables for coding, and the best table for given symbol counts.

use super::tables::{HuffmanSpec, SpecPair};

/// The symbol that ends a block.
const END_OF_BLOCK: usize = 0x00;

/// What the code of a coefficient of 11 bits depends on, by its low 11 bits: its size category, and 16 more where it is
/// negative.
const CLASSES: [u8; 2048] = {
    let mut classes = [0; 2048];
    let mut value = -1024_i32;
    while value < 1024 {
        classes[(value & 2047) as usize] = class(value) as u8;
        value += 1;
    }
    classes
};

/// The class of a coefficient, or of a difference of DC coefficients.
#[inline(always)]
const fn class(value: i32) -> u32 {
    (32 - value.unsigned_abs().leading_zeros()) | (((value >> 31) & 16) as u32)
}

/// Size category of a class.
#[inline(always)]
const fn size_of_class(class: u32) -> u32 {
    class & 15
}

/// A code ready to be joined with the magnitude bits of its value: five bits that hold the length of both, and above them
/// what becomes code and magnitude when the value is added to it. For negative values, whose magnitude bits are those of
/// the value less one, that is the code and as many ones.
///
/// A code has up to 16 bits and a magnitude up to 11, so both fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    const fn new(code: u32, code_bits: u32, class: u32) -> Self {
        let size = size_of_class(class);
        let ones = if class & 16 != 0 { (1 << size) - 1 } else { 0 };
        Self((code << size | ones) << 5 | (code_bits + size))
    }

    /// Bits of code and magnitude together, 0..=27.
    #[inline(always)]
    pub(super) const fn len(self) -> u32 {
        self.0 & 31
    }

    /// Code and magnitude of `value`, which must be of this code's class.
    #[inline(always)]
    pub(super) const fn with(self, value: i32) -> u64 {
        (self.0 >> 5).wrapping_add_signed(value) as u64
    }

    /// This code, or one of no bits.
    #[inline(always)]
    pub(super) const fn only_if(self, condition: bool) -> Self {
        Self(self.0 & 0_u32.wrapping_sub(condition as u32))
    }
}

/// The step over zeros to a coefficient that isn't zero, and its class; or no coefficient at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcSymbol(u32);

impl AcSymbol {
    /// Has an empty code.
    pub(super) const NONE: Self = Self(0);

    /// Of a coefficient `step` places, 1..=16, after the one before.
    #[inline(always)]
    pub(super) fn new(step: u32, value: i32) -> Self {
        Self(step.wrapping_mul(32).wrapping_add(u32::from(CLASSES[(value & 2047) as usize])))
    }

    /// Run of zeros and size category, as tables name them.
    #[inline(always)]
    pub(super) const fn run_and_size(self) -> usize {
        ((self.0 / 32).wrapping_sub(1) * 16 + size_of_class(self.0)) as usize & 255
    }
}

/// Codes of one kind of component.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// By class.
    dc: [Code; 32],
    /// By [`AcSymbol`]; room to the next power of two, so that an index is masked rather than checked.
    ac: [Code; 1024],
    end_of_block: Code,
}

impl Codes {
    pub(super) fn new(specs: &SpecPair) -> Self {
        let mut codes = Self { dc: [Code::default(); 32], ac: [Code::default(); 1024], end_of_block: Code::default() };
        for_each_code(&specs[0], |symbol, code, bits| {
            for class in [symbol & 15, symbol & 15 | 16] {
                codes.dc[usize::from(class)] = Code::new(code, bits, u32::from(class));
            }
        });
        for_each_code(&specs[1], |symbol, code, bits| {
            if usize::from(symbol) == END_OF_BLOCK {
                codes.end_of_block = Code::new(code, bits, 0);
                return;
            }
            for class in [symbol & 15, symbol & 15 | 16] {
                let step = u32::from(symbol >> 4) + 1;
                codes.ac[(step * 32 + u32::from(class)) as usize] = Code::new(code, bits, u32::from(class));
            }
        });
        codes
    }

    #[inline(always)]
    pub(super) const fn dc(&self, difference: i32) -> Code {
        self.dc[(class(difference) & 31) as usize]
    }

    #[inline(always)]
    pub(super) const fn ac(&self, symbol: AcSymbol) -> Code {
        self.ac[(symbol.0 & 1023) as usize]
    }

    #[inline(always)]
    pub(super) const fn end_of_block(&self) -> Code {
        self.end_of_block
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

    /// Counts a difference of DC coefficients.
    #[inline(always)]
    pub(super) const fn count_dc(&mut self, difference: i32) {
        self.dc[size_of_class(class(difference)) as usize & 15] += 1;
    }

    /// Bits that all these symbols take with their magnitudes.
    #[cfg(test)]
    pub(super) fn coded_bits(&self, codes: &Codes) -> u64 {
        let dc = (0..16).map(|size| u64::from(self.dc[size]) * u64::from(codes.dc[size].len()));
        let ac = (1..256).map(|symbol| {
            let code = codes.ac[(symbol / 16 + 1) * 32 + symbol % 16];
            u64::from(self.ac[symbol]) * u64::from(code.len())
        });
        dc.sum::<u64>() + ac.sum::<u64>() + u64::from(self.ac[END_OF_BLOCK]) * u64::from(codes.end_of_block.len())
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
    while let Some(first) = rarest(&weights, NODES)
        && let Some(second) = rarest(&weights, first)
    {
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
        let coded = |code: Code, value| (code.with(value), code.len());
        assert_eq!(coded(codes.end_of_block(), 0), (0b1010, 4));
        assert_eq!(coded(codes.ac(AcSymbol::new(1, 1)), 1), (0b001, 3));
        assert_eq!(coded(codes.ac(AcSymbol::new(1, -1)), -1), (0b000, 3));
        assert_eq!(coded(codes.ac(AcSymbol::new(16, 0)), 0), (0b111_1111_1001, 11));
        assert_eq!(coded(codes.dc(-2047), -2047), (0b1_1111_1110 << 11, 20));
        assert_eq!(coded(codes.dc(5), 5), (0b100_101, 6));
        assert_eq!(coded(codes.ac(AcSymbol::NONE), 0), (0, 0));
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
