//! Bits to bytes, with a zero after each 0xFF (ITU-T T.81 F.1.2.3).

/// Bytes of the buffer that bits go to before they are stuffed.
const RAW_BYTES: usize = 8192;
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
    raw: Box<[u8; RAW_BYTES + 8]>,
}

impl Default for BitWriter {
    fn default() -> Self {
        Self { bits: 0, pending: 0, raw: Box::new([0; RAW_BYTES + 8]) }
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
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let missing = (8 - self.pending) % 8;
        let mut cursor = self.cursor();
        cursor.put((1 << missing) - 1, missing);
        cursor.flush(out);
    }
}

/// A [`BitWriter`] at work.
pub(super) struct Cursor<'a> {
    bits: u64,
    pending: u32,
    at: usize,
    raw: &'a mut [u8; RAW_BYTES + 8],
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
    pub(super) fn flush(self, out: &mut Vec<u8>) {
        let (pieces, rest) = self.raw[..self.at.min(RAW_BYTES)].as_chunks::<32>();
        for piece in pieces {
            if piece.iter().fold(false, |found, &byte| found | (byte == 0xFF)) {
                stuff(piece, out);
            } else {
                out.extend_from_slice(piece);
            }
        }
        stuff(rest, out);
        (*self.kept.0, *self.kept.1) = (self.bits, self.pending);
    }
}

#[inline(always)]
fn stuff(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.split_inclusive(|&byte| byte == 0xFF) {
        out.extend_from_slice(piece);
        if piece.last() == Some(&0xFF) {
            out.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_stuffed_bytes() {
        let mut writer = BitWriter::default();
        let (mut out, mut expected, mut seed) = (Vec::new(), Vec::new(), 1_u64);
        for round in 0..5000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let len = (seed >> 40) as u32 % (MAX_PUT_BITS + 1);
            let bits = if round % 3 == 0 { u64::MAX } else { seed } & ((1 << len) - 1);
            let mut cursor = writer.cursor();
            cursor.put(bits, len);
            expected.extend((0..len).rev().map(|bit| (bits >> bit & 1) as u8));
            cursor.flush(&mut out);
        }
        writer.finish(&mut out);
        expected.resize(expected.len().next_multiple_of(8), 1);
        let expected: Vec<u8> = expected
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit))
            .flat_map(|byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] })
            .collect();
        assert_eq!(out, expected);
    }
}
