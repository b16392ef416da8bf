//! The tables of ITU-T T.81 Annex K, and the quality scale that libjpeg made common.

/// K.1, luminance, in zigzag order.
const LUMA_STEPS: [u8; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
    60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113,
    121, 112, 100, 120, 92, 101, 103, 99,
];

/// K.2, chrominance, in zigzag order.
const CHROMA_STEPS: [u8; 64] = {
    let mut steps = [99; 64];
    let start = [17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66];
    let mut k = 0;
    while k < start.len() {
        steps[k] = start[k];
        k += 1;
    }
    steps
};

/// How large the steps of a file's tables are, in parts of a percent of those of Annex K. Tables are written into the file,
/// so that any coarseness between two qualities is as good as a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Coarseness(pub(super) u32);

impl Coarseness {
    /// Parts of a percent.
    pub(super) const PARTS: u32 = 64;
    /// Of quality 1: no file is smaller.
    pub(super) const MOST: Self = Self::of_quality(1);

    /// Of a quality of 1..=100, on the scale that libjpeg made common.
    pub(super) const fn of_quality(quality: u8) -> Self {
        let quality = match quality {
            0 => 1,
            101.. => 100,
            _ => quality as u32,
        };
        Self(Self::PARTS * if quality < 50 { 5000 / quality } else { 200 - 2 * quality })
    }

    /// As a number whose logarithm makes sense: a percent is added.
    pub(super) const fn shifted(self) -> u64 {
        (self.0 + Self::PARTS) as u64
    }

    /// Coarse enough for files to be a third smaller or so.
    pub(super) const fn much_coarser(self) -> Self {
        Self(self.0 * 2 + Self::PARTS)
    }

    /// The next that is worth a try: with other tables, and half a percent coarser at least.
    pub(super) fn coarser(self) -> Self {
        let steps = self.steps();
        let mut next = Self(self.0 + self.0 / 256 + 1);
        while next < Self::MOST && next.steps() == steps {
            next.0 += 1 + next.0 / 1024;
        }
        next.min(Self::MOST)
    }

    /// The quality whose coarseness is the nearest, the higher of two.
    pub(super) fn nearest_quality(self) -> u8 {
        (1..=100).rev().min_by_key(|&quality| Self::of_quality(quality).0.abs_diff(self.0)).unwrap_or(1)
    }

    /// Those of the two qualities around it: the finer, and how much coarser the other is, 0 where there is none.
    fn span(self) -> (u32, u32) {
        let coarser = (1..=100).rev().map(|quality| Self::of_quality(quality).0).find(|&coarser| coarser > self.0);
        let finer = (1..=100).map(|quality| Self::of_quality(quality).0).find(|&finer| finer <= self.0).unwrap_or(0);
        (finer, coarser.unwrap_or(finer) - finer)
    }

    /// The coarseness that a place of the tables has. Where steps are small the high frequencies go ahead between two
    /// qualities, so that not all change together and bytes grow evenly.
    fn at(self, place: usize, (finer, span): (u32, u32)) -> u32 {
        if finer >= Self::of_quality(50).0 {
            return self.0;
        }
        let behind = span * (63 - place as u32) / 64;
        finer + (2 * (self.0 - finer)).saturating_sub(behind).min(span)
    }

    /// The quantisation tables of luma and chroma in zigzag order. Steps stay within a byte, which is what baseline decoders
    /// read.
    pub(super) fn steps(self) -> [[u8; 64]; 2] {
        let span = self.span();
        [LUMA_STEPS, CHROMA_STEPS].map(|table| std::array::from_fn(|place| scaled(table[place], self.at(place, span))))
    }
}

/// A step made so many parts of a percent.
fn scaled(step: u8, coarseness: u32) -> u8 {
    let whole = 100 * Coarseness::PARTS;
    ((u32::from(step) * coarseness + whole / 2) / whole).clamp(1, 255) as u8
}

/// A Huffman table as a file carries it: the number of codes of each length from 1 to 16 bits, and symbols by length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HuffmanSpec {
    pub(super) counts: [u8; 16],
    pub(super) symbols: [u8; 256],
}

impl HuffmanSpec {
    /// The symbols that have a code, by length and value.
    pub(super) fn symbols(&self) -> &[u8] {
        let count: usize = self.counts.iter().map(|&count| usize::from(count)).sum();
        &self.symbols[..count.min(256)]
    }
}

/// Tables of one kind of component: DC, then AC.
pub(super) type SpecPair = [HuffmanSpec; 2];

/// K.3 to K.6: the tables for luma and for chroma.
pub(super) fn standard() -> [SpecPair; 2] {
    let spec = |counts, symbols: &[u8]| {
        let mut spec = HuffmanSpec { counts, symbols: [0; 256] };
        spec.symbols[..symbols.len()].copy_from_slice(symbols);
        spec
    };
    [
        [
            spec([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC_SYMBOLS),
            spec([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &LUMA_AC_SYMBOLS),
        ],
        [
            spec([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC_SYMBOLS),
            spec([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &CHROMA_AC_SYMBOLS),
        ],
    ]
}

const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[rustfmt::skip]
const LUMA_AC_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81,
    0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18,
    0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
    0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5,
    0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[rustfmt::skip]
const CHROMA_AC_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08,
    0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25,
    0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47,
    0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74,
    0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4,
    0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_scale_as_libjpeg_does() {
        let steps = |quality| Coarseness::of_quality(quality).steps();
        assert_eq!(steps(50), [LUMA_STEPS, CHROMA_STEPS]);
        assert_eq!(steps(100), [[1; 64]; 2]);
        assert_eq!(steps(75)[0][..4], [8, 6, 6, 7]);
        assert!(steps(1).as_flattened().iter().all(|&step| step == 255));
        assert_eq!(steps(0), steps(1));
    }

    #[test]
    fn coarseness_knows_its_quality() {
        for quality in 1..=100 {
            let exact = Coarseness::of_quality(quality);
            assert_eq!(exact.nearest_quality(), quality);
            assert_eq!(Coarseness(exact.0 + 1).nearest_quality(), quality);
        }
        assert_eq!(Coarseness::MOST.nearest_quality(), 1);
    }

    #[test]
    fn steps_grow_with_coarseness_a_few_at_a_time() {
        let mut before = Coarseness(0).steps();
        for coarseness in 1..=Coarseness::MOST.0 {
            let steps = Coarseness(coarseness).steps();
            let pairs = || before.as_flattened().iter().zip(steps.as_flattened());
            assert!(pairs().all(|(before, after)| before <= after), "{coarseness}");
            let is_fine = coarseness <= Coarseness::of_quality(50).0;
            assert!(!is_fine || pairs().filter(|(before, after)| before < after).count() <= 8, "{coarseness}");
            before = steps;
        }
    }

    #[test]
    fn standard_tables_hold_each_symbol_once() {
        for spec in standard().as_flattened() {
            let mut symbols = spec.symbols().to_vec();
            assert!(symbols.len() == 12 || symbols.len() == 162);
            symbols.sort_unstable();
            symbols.dedup();
            assert_eq!(symbols.len(), spec.symbols().len());
        }
    }
}
