//! Bits to bytes, most significant first (ITU-T H.264 7.2, 9.1).

/// Gathers bits. Its buffer is kept from one use to the next.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    /// The newest bits lowest; only `pending` of them are still to be written.
    bits: u64,
    /// 0..=31 between calls.
    pending: u32,
    bytes: Vec<u8>,
}

impl BitWriter {
    /// A writer of so many bytes, with room for them from the start.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Forgets everything written.
    pub(super) fn clear(&mut self) {
        (self.bits, self.pending) = (0, 0);
        self.bytes.clear();
    }

    /// Appends the low `len` (at most 32) of `bits`: u(len). The others must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, len: u32) {
        debug_assert!(len <= 32 && u64::from(bits) >> len == 0, "{len} bits of {bits:#x}");
        self.bits = self.bits << len | u64::from(bits);
        self.pending += len;
        if self.pending >= 32 {
            self.pending -= 32;
            let word = (self.bits >> self.pending) as u32;
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// Appends a flag: u(1).
    #[inline(always)]
    pub(super) fn flag(&mut self, set: bool) {
        self.put(set.into(), 1);
    }

    /// Appends an unsigned Exp-Golomb code: ue(v).
    #[inline(always)]
    pub(super) fn ue(&mut self, value: u32) {
        debug_assert!(value < u32::MAX);
        let len = 32 - (value + 1).leading_zeros();
        if len <= 16 {
            self.put(value + 1, 2 * len - 1);
        } else {
            self.put(0, len - 1);
            self.put(value + 1, len);
        }
    }

    /// Appends a signed Exp-Golomb code: se(v).
    #[inline(always)]
    pub(super) fn se(&mut self, value: i32) {
        self.ue(if value > 0 { 2 * value.unsigned_abs() - 1 } else { 2 * value.unsigned_abs() });
    }

    /// Appends copies of a bit up to the next byte.
    pub(super) fn align(&mut self, set: bool) {
        let missing = (8 - self.pending % 8) % 8;
        self.put(if set { (1 << missing) - 1 } else { 0 }, missing);
    }

    /// Appends rbsp_trailing_bits(): a one, then zeros up to the next byte.
    pub(super) fn trailing(&mut self) {
        self.flag(true);
        self.align(false);
    }

    /// Appends whole bytes. The position must be aligned.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.aligned().extend_from_slice(bytes);
    }

    /// Bits written so far.
    #[inline(always)]
    pub(super) fn len_bits(&self) -> usize {
        8 * self.bytes.len() + self.pending as usize
    }

    /// All bytes written. The position must be aligned.
    pub(super) fn bytes(&mut self) -> &[u8] {
        self.aligned()
    }

    /// The buffer, to append whole bytes to. The position must be aligned.
    pub(super) fn aligned(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.pending.is_multiple_of(8), "{} bits of a byte", self.pending % 8);
        let whole = (self.pending / 8) as usize;
        self.bytes.extend_from_slice(&(self.bits as u32).to_be_bytes()[4 - whole..]);
        self.pending = 0;
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_standards() {
        let mut writer = BitWriter::default();
        for value in 0..4 {
            writer.ue(value);
        }
        for value in [1, -1, 2, -2] {
            writer.se(value);
        }
        // 1 010 011 00100 010 011 00100 00101, then the stop bit.
        writer.trailing();
        assert_eq!(writer.bytes(), [0b1010_0110, 0b0100_0100, 0b1100_1000, 0b0101_1000]);
        writer.clear();
        writer.ue(70_000);
        assert_eq!(writer.len_bits(), 33);
    }

    #[test]
    fn any_mixture_of_lengths_comes_out_in_order() {
        let (mut writer, mut expected, mut seed) = (BitWriter::default(), Vec::new(), 1_u64);
        for round in 0..4000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let len = (seed >> 40) as u32 % 33;
            let bits = ((seed >> 13) & ((1 << len) - 1)) as u32;
            writer.put(bits, len);
            expected.extend((0..len).rev().map(|bit| bits >> bit & 1));
            if round % 97 == 0 {
                writer.align(true);
                expected.resize(expected.len().next_multiple_of(8), 1);
                writer.raw(&[0x5A]);
                expected.extend((0..8).rev().map(|bit| 0x5A >> bit & 1));
            }
        }
        writer.trailing();
        expected.push(1);
        expected.resize(expected.len().next_multiple_of(8), 0);
        let expected: Vec<u8> = expected
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bits| bits.iter().fold(0, |byte, &bit| byte << 1 | bit as u8))
            .collect();
        assert_eq!(writer.bytes(), expected);
    }
}
