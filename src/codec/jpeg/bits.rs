//! Bits to bytes, with a zero after each 0xFF (ITU-T T.81 F.1.2.3).

use fearless_simd::{SimdBase, SimdMask, u8x32};

use crate::kernel::Simd;

/// Bytes of the buffer that bits go to before they are stuffed.
const RAW_BYTES: usize = 8192;
/// Bytes that are looked at together, and room for what is read beyond the last.
const PIECE: usize = 32;
const RAW_ROOM: usize = RAW_BYTES + PIECE;
/// Most bits of one [`Cursor::put`].
const MAX_PUT_BITS: u32 = 56;
/// Bytes that one cursor takes at most: 24 blocks of 64 symbols of 27 bits.
const MAX_CURSOR_BYTES: usize = 24 * 64 * 27 / 8;
const _: () = assert!(MAX_CURSOR_BYTES + 16 <= RAW_BYTES);

/// Gathers bits into a raw buffer, a word at a time and without a branch; stuffing is done later, over whole pieces.
#[derive(Debug)]
pub(super) struct BitWriter {
    /// The newest bits lowest; only `pending` of them are still to be written.
    bits: u64,
    /// 0..=7 between calls.
    pending: u32,
    raw: Box<[u8; RAW_ROOM]>,
}

impl Default for BitWriter {
    fn default() -> Self {
        Self { bits: 0, pending: 0, raw: Box::new([0; RAW_ROOM]) }
    }
}

impl BitWriter {
    /// The writer with its state in local variables, where the compiler can keep it in registers. It must be flushed.
    #[inline(always)]
    pub(super) fn cursor(&mut self) -> Cursor<'_> {
        let Self { bits, pending, raw } = self;
        Cursor { bits: *bits, pending: *pending, at: 0, raw, kept: (bits, pending) }
    }

    /// Fills the last byte with ones and moves everything to `out`, as an interval's end asks.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&mut self, simd: S, out: &mut Vec<u8>) {
        let missing = (8 - self.pending) % 8;
        let mut cursor = self.cursor();
        cursor.put((1 << missing) - 1, missing);
        cursor.flush(simd, out);
    }
}

/// A [`BitWriter`] at work.
pub(super) struct Cursor<'a> {
    bits: u64,
    pending: u32,
    at: usize,
    raw: &'a mut [u8; RAW_ROOM],
    kept: (&'a mut u64, &'a mut u32),
}

impl Cursor<'_> {
    /// Appends the low `len` of `bits`, at most [`MAX_PUT_BITS`]; the others must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u64, len: u32) {
        debug_assert!(len <= MAX_PUT_BITS && bits >> len == 0, "{len} bits of {bits:#x}");
        self.bits = self.bits << len | bits;
        self.pending += len;
        let at = self.at % RAW_BYTES;
        self.raw[at..at + 8].copy_from_slice(&self.bits.wrapping_shl(64 - self.pending).to_be_bytes());
        self.at = at + (self.pending / 8) as usize;
        self.pending %= 8;
    }

    /// Moves the whole bytes to `out`, stuffed; bits of a byte that isn't whole stay for the next cursor.
    #[inline(always)]
    pub(super) fn flush<S: Simd>(self, simd: S, out: &mut Vec<u8>) {
        let len = self.at.min(RAW_BYTES);
        let start = out.len();
        // Room for a zero after each, and for what is written beyond the last.
        out.resize(start + 2 * len + 2 * PIECE, 0);
        let stuffed = stuff(simd, self.raw, len, &mut out[start..]);
        out.truncate(start + stuffed);
        (*self.kept.0, *self.kept.1) = (self.bits, self.pending);
    }
}

/// Copies `len` bytes with a zero after each 0xFF; gives their number. What follows them in `out` is overwritten with anything.
///
/// Pieces are copied whole, and what follows a 0xFF once more, a byte further.
#[inline(always)]
fn stuff<S: Simd>(simd: S, raw: &[u8; RAW_ROOM], len: usize, out: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < len {
        let (Some(piece), Some(place)) = (raw[from..].first_chunk::<PIECE>(), out[to..].first_chunk_mut()) else {
            break;
        };
        *place = *piece;
        let count = PIECE.min(len - from);
        let found = u8x32::from_slice(simd, piece).simd_eq(0xFF).to_bitmask() & (u64::MAX >> (64 - count));
        if found == 0 {
            (from, to) = (from + count, to + count);
            continue;
        }
        let whole = found.trailing_zeros() as usize + 1;
        if let Some(zero) = out.get_mut(to + whole) {
            *zero = 0;
        }
        (from, to) = (from + whole, to + whole + 1);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Vectorise, each_level, vectorise};

    struct Write(usize);

    impl Vectorise for Write {
        type Output = (Vec<u8>, Vec<u8>);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            written(simd, self.0)
        }
    }

    /// Bytes that are written, and the bits they are made from, a flush after so many writes.
    #[inline(always)]
    fn written<S: Simd>(simd: S, writes: usize) -> (Vec<u8>, Vec<u8>) {
        let mut writer = BitWriter::default();
        let (mut out, mut expected, mut seed) = (Vec::new(), Vec::new(), 1_u64);
        for round in 0..3000_usize.div_ceil(writes) {
            let mut cursor = writer.cursor();
            for put in 0..writes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let len = (seed >> 40) as u32 % (MAX_PUT_BITS + 1);
                let bits = if (round + put) % 3 == 0 { u64::MAX } else { seed } & ((1 << len) - 1);
                cursor.put(bits, len);
                expected.extend((0..len).rev().map(|bit| (bits >> bit & 1) as u8));
            }
            cursor.flush(simd, &mut out);
        }
        writer.finish(simd, &mut out);
        expected.resize(expected.len().next_multiple_of(8), 1);
        let expected: Vec<u8> = expected
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit))
            .flat_map(|byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] })
            .collect();
        (out, expected)
    }

    #[test]
    fn bits_become_stuffed_bytes_at_each_level() {
        each_level!(level => {
            for writes in [1, 7, 500] {
                let (out, expected) = vectorise(level, Write(writes));
                assert!(out == expected, "{writes} writes");
            }
        });
    }
}
