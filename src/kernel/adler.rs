//! Adler-32 (RFC 1950 8.2): the checksum that every language's zlib has, in a form that vectorises.

use fearless_simd::{Level, dispatch};

const MODULUS: u64 = 65_521;
/// Bytes summed side by side.
const LANES: usize = 64;
/// Bytes after which the sums are reduced: the second sum of a lane stays under 255 * 1024^2 / 2, within 32 bits.
const BLOCK: usize = 1024 * LANES;

/// A running checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adler32 {
    low: u64,
    high: u64,
}

impl Adler32 {
    /// The checksum of nothing.
    pub(crate) const fn new() -> Self {
        Self { low: 1, high: 0 }
    }

    /// Takes in more bytes.
    pub(crate) fn update(&mut self, level: Level, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK) {
            let (chunks, rest) = block.as_chunks::<LANES>();
            let (sum, weighted) = dispatch!(level, _simd => sums_body(chunks));
            self.high = (self.high + (chunks.len() * LANES) as u64 * self.low + weighted) % MODULUS;
            self.low = (self.low + sum) % MODULUS;
            for &byte in rest {
                self.low += u64::from(byte);
                self.high += self.low;
            }
            self.low %= MODULUS;
            self.high %= MODULUS;
        }
    }

    /// The checksum.
    pub(crate) const fn value(self) -> u32 {
        ((self.high << 16) | self.low) as u32
    }
}

/// The sum of all bytes, and their sum weighted by the distance to the end (the last byte counts once).
#[inline(always)]
fn sums_body(chunks: &[[u8; LANES]]) -> (u64, u64) {
    let (mut sums, mut earlier) = ([0_u32; LANES], [0_u32; LANES]);
    for chunk in chunks {
        for ((sum, earlier), &byte) in sums.iter_mut().zip(&mut earlier).zip(chunk) {
            *earlier += *sum;
            *sum += u32::from(byte);
        }
    }
    let (mut total, mut weighted) = (0, 0);
    for (lane, (&sum, &earlier)) in sums.iter().zip(&earlier).enumerate() {
        total += u64::from(sum);
        weighted += LANES as u64 * u64::from(earlier) + (LANES - lane) as u64 * u64::from(sum);
    }
    (total, weighted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    fn by_definition(bytes: &[u8]) -> u32 {
        let (mut low, mut high) = (1_u32, 0_u32);
        for &byte in bytes {
            low = (low + u32::from(byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        (high << 16) | low
    }

    #[test]
    fn it_is_the_definition_s_in_any_pieces() {
        each_level!(level => {
            for count in [0, 1, 63, 64, 65, 1000, BLOCK, 2 * BLOCK + 77] {
                for fill in [Some(255), None] {
                    let bytes: Vec<u8> = (0..count).map(|i| fill.unwrap_or((i * i / 3) as u8)).collect();
                    let mut whole = Adler32::new();
                    whole.update(level, &bytes);
                    assert_eq!(whole.value(), by_definition(&bytes));
                    let mut pieces = Adler32::new();
                    bytes.chunks(100).for_each(|piece| pieces.update(level, piece));
                    assert_eq!(pieces.value(), whole.value());
                }
            }
        });
    }

    #[test]
    fn a_known_value() {
        let mut sum = Adler32::new();
        sum.update(Level::new(), b"Wikipedia");
        assert_eq!(sum.value(), 0x11E6_0398);
    }
}
