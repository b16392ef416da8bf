//! The lossless packets' checksum of pixels: sixteen lanes of multiplied and rotated words.
//!
//! Simple sums such as Adler-32 miss what damaged residuals do to pixels, which is often to add and take away the same amount
//! nearby; table-driven CRC-32 would take as long as the prediction.

use fearless_simd::{Level, dispatch};

const LANES: usize = 16;
/// Bytes taken at once.
const CHUNK: usize = 4 * LANES;
/// The golden ratio of 2^32, made prime: the multiplier of Knuth (6.4) and xxHash.
const PRIME: u32 = 2_654_435_761;

/// Takes a word into a state; one-to-one in either.
#[inline(always)]
const fn mix(state: u32, word: u32) -> u32 {
    (state ^ word).rotate_left(13).wrapping_mul(PRIME)
}

/// Mixes words one after another, beginning with 0.
pub(crate) fn fold(words: impl IntoIterator<Item = u32>) -> u32 {
    words.into_iter().fold(0, mix)
}

/// A running checksum of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checksum([u32; LANES]);

impl Checksum {
    /// The checksum of no rows.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|lane| lane as u32))
    }

    /// Takes in a row, as if zeros filled it up to a multiple of 64 bytes. Lane `i` takes each sixteenth little-endian word.
    pub(crate) fn update(&mut self, level: Level, row: &[u8]) {
        dispatch!(level, _simd => update_body(&mut self.0, row));
    }

    /// The checksum.
    pub(crate) fn value(self) -> u32 {
        fold(self.0)
    }
}

#[inline(always)]
fn update_body(lanes: &mut [u32; LANES], row: &[u8]) {
    let (chunks, rest) = row.as_chunks::<CHUNK>();
    let mut state = *lanes;
    chunks.iter().for_each(|chunk| mix_chunk(&mut state, chunk));
    if !rest.is_empty() {
        let mut last = [0; CHUNK];
        last[..rest.len()].copy_from_slice(rest);
        mix_chunk(&mut state, &last);
    }
    *lanes = state;
}

#[inline(always)]
fn mix_chunk(state: &mut [u32; LANES], chunk: &[u8; CHUNK]) {
    for (lane, &word) in state.iter_mut().zip(chunk.as_chunks::<4>().0) {
        *lane = mix(*lane, u32::from_le_bytes(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    fn by_definition(rows: &[&[u8]]) -> u32 {
        let mut lanes: Vec<u32> = (0..16).collect();
        for row in rows {
            let mut row = row.to_vec();
            row.resize(row.len().next_multiple_of(64), 0);
            for (at, word) in row.chunks(4).enumerate() {
                let word = u32::from_le_bytes(word.try_into().unwrap());
                lanes[at % 16] = (lanes[at % 16] ^ word).rotate_left(13).wrapping_mul(0x9E37_79B1);
            }
        }
        lanes.iter().fold(0_u32, |state, lane| (state ^ lane).rotate_left(13).wrapping_mul(0x9E37_79B1))
    }

    #[test]
    fn it_is_the_definition_s() {
        each_level!(level => {
            for count in [0, 1, 4, 63, 64, 65, 1000] {
                let row: Vec<u8> = (0..count).map(|i| (i * i / 3) as u8).collect();
                let mut sum = Checksum::new();
                sum.update(level, &row);
                sum.update(level, &row[count / 2..]);
                assert_eq!(sum.value(), by_definition(&[&row, &row[count / 2..]]), "{count} bytes");
            }
        });
    }

    #[test]
    fn small_changes_that_cancel_in_sums_are_seen() {
        let level = Level::new();
        let value = |row: &[u8]| {
            let mut sum = Checksum::new();
            sum.update(level, row);
            sum.value()
        };
        let row = [100_u8; 200];
        for at in 0..row.len() - 128 {
            for (distance, change) in [(1, 1), (4, 1), (64, 1), (64, 128)] {
                let mut changed = row;
                changed[at] = changed[at].wrapping_add(change);
                changed[at + distance] = changed[at + distance].wrapping_sub(change);
                assert_ne!(value(&changed), value(&row), "at {at}");
            }
        }
    }
}
