//! Symbols to codes joined with the magnitudes of their values, several to a word, so that few writes are left.

use fearless_simd::Simd;

use super::symbols::{DC_ROW, SymbolList};
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use super::symbols::{MAX_SYMBOLS, VECTOR};

/// Words of one kind of component: sixteen runs for each size up to ten, then the sizes of DC differences.
pub(crate) const KIND_WORDS: usize = 192;
/// Where the sizes of DC differences begin.
pub(crate) const DC_WORDS: usize = 176;

/// The codes of luma and chroma, as vectors look them up.
#[derive(Clone, Debug)]
pub struct CodeWords {
    pub(crate) codes: [u16; 2 * KIND_WORDS],
    /// Bits of code and magnitude.
    pub(crate) lengths: [u8; 2 * KIND_WORDS],
}

impl Default for CodeWords {
    fn default() -> Self {
        Self { codes: [0; 2 * KIND_WORDS], lengths: [0; 2 * KIND_WORDS] }
    }
}

impl CodeWords {
    /// Sets the code of a symbol: `kind` is 0 for luma, 1 for chroma, `row` as in a [`SymbolList`] of luma, `size` the bits of
    /// its magnitude, at most 10, for a DC difference 11. Others, which no baseline picture needs, are left out.
    pub fn set(&mut self, kind: usize, row: u8, size: u8, code: u32, bits: u32) {
        let word = match row {
            DC_ROW => DC_WORDS + usize::from(size),
            _ => usize::from(size) << 4 | usize::from(row & 15),
        };
        if word < KIND_WORDS && (row == DC_ROW || word < DC_WORDS) {
            let word = kind.min(1) * KIND_WORDS + word;
            (self.codes[word], self.lengths[word]) = (code as u16, bits as u8 + size);
        }
    }
}

/// The symbols of a list as words of code and magnitude bits, each with its length.
#[derive(Debug)]
pub struct Pieces {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    bits: Box<[u64; PIECES]>,
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    lengths: Box<[u64; PIECES]>,
}

/// Two symbols to a piece at least.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
const PIECES: usize = MAX_SYMBOLS.next_multiple_of(VECTOR) / 2;

impl Default for Pieces {
    fn default() -> Self {
        Self {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            bits: Box::new([0; PIECES]),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            lengths: Box::new([0; PIECES]),
        }
    }
}

impl Pieces {
    /// Joins the codes of a list's symbols: words of at most 56 bits, with their lengths. `None` at levels where looking codes
    /// up one by one is as fast.
    #[inline(always)]
    pub fn join<S: Simd>(
        &mut self,
        simd: S,
        codes: &CodeWords,
        symbols: &mut SymbolList,
    ) -> Option<impl Iterator<Item = (&u64, &u64)>> {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(avx512) = simd.level().as_avx512() {
            let count = super::join_avx512::join(avx512, codes, symbols, &mut *self.bits, &mut *self.lengths);
            return Some(self.bits[..count].iter().zip(&self.lengths[..count]));
        }
        let _ = (simd, codes, symbols);
        None::<std::iter::Zip<std::slice::Iter<'_, u64>, std::slice::Iter<'_, u64>>>
    }
}
