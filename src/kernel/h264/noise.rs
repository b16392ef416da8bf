//! Random input of tests.

/// A generator of numbers that look random and are the same each time.
pub(super) struct Noise(pub(super) u32);

impl Noise {
    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// From `-bound` to `bound`.
    pub(super) fn signed(&mut self, bound: i16) -> i16 {
        ((self.next() % (2 * bound as u32 + 1)) as i32 - i32::from(bound)) as i16
    }

    /// A sample: of full range, of a few neighbouring values, or of the extremes, by `kind`.
    pub(super) fn sample(&mut self, kind: usize) -> u8 {
        let bits = self.next();
        match kind % 3 {
            0 => bits as u8,
            1 => 100 + (bits % 9) as u8,
            _ => 255 * (bits & 1) as u8,
        }
    }

    pub(super) fn rows<const W: usize, const H: usize>(&mut self, kind: usize) -> [[u8; W]; H] {
        std::array::from_fn(|_| std::array::from_fn(|_| self.sample(kind)))
    }

    pub(super) fn signed_rows<const W: usize, const H: usize>(&mut self, bound: i16) -> [[i16; W]; H] {
        std::array::from_fn(|_| std::array::from_fn(|_| self.signed(bound)))
    }
}
