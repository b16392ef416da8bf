//! Finds by how many rows parts of a screen scrolled.

use super::layout::{Layout, TILE};
use crate::codec::Cancel;
use crate::error::Result;

/// Bytes of a row that are compared as one: narrow enough to lie within a window, wide enough to tell rows apart.
const STRIP_BYTES: usize = 64;
/// Slots of the table of a strip's rows, a power of two.
const SLOTS: usize = 4096;
/// Rows of strips that must agree on a scroll.
const MIN_VOTES: u32 = 2 * TILE as u32;

/// The row last seen with a hash, and the hash.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u64,
    /// Row plus one; 0 where empty.
    row: u32,
}

/// Working memory of the search.
#[derive(Debug, Default)]
pub(super) struct ScrollFinder {
    slots: Vec<Slot>,
    votes: Vec<u32>,
}

/// A hash of a strip's row, in words of eight bytes.
fn hash(strip: &[u8]) -> u64 {
    let (words, rest) = strip.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = words.iter().fold(0, |hash, &word| mix(hash, u64::from_le_bytes(word)));
    let hash = rest.iter().fold(hash, |hash, &byte| mix(hash, byte.into()));
    hash ^ (hash >> 29)
}

fn slot_of(hash: u64) -> usize {
    (hash >> 40) as usize % SLOTS
}

impl ScrollFinder {
    /// The two scrolls, in rows down, that explain the most of `picture`; 0 where there is none. Both pictures are coded
    /// planes, and only the first plane is looked at.
    ///
    /// # Errors
    /// Only that it was given up.
    pub(super) fn find(
        &mut self,
        layout: &Layout,
        reference: &[u8],
        picture: &[u8],
        cancel: &Cancel,
    ) -> Result<[i16; 2]> {
        let height = layout.height as usize;
        self.votes.clear();
        self.votes.resize(2 * height, 0);
        let row_bytes = layout.planes().first().map_or(0, |plane| plane.row_bytes);
        for start in (0..row_bytes).step_by(STRIP_BYTES) {
            cancel.check()?;
            self.vote(layout, reference, picture, start..(start + STRIP_BYTES).min(row_bytes));
        }
        let halves_rows = layout.planes().iter().any(|plane| plane.shift_y > 0);
        let first = self.take_best(height, halves_rows);
        let second = self.take_best(height, halves_rows);
        Ok([first, second])
    }

    /// Each row of a strip that changed, and that the reference's strip has at another place, votes for the way between.
    fn vote(&mut self, layout: &Layout, reference: &[u8], picture: &[u8], strip: std::ops::Range<usize>) {
        let height = layout.height as usize;
        let part =
            |picture, y| layout.row(picture, 0, y).and_then(|row: &[u8]| row.get(strip.clone())).unwrap_or_default();
        if (0..height).all(|y| part(picture, y) == part(reference, y)) {
            return;
        }
        self.slots.clear();
        self.slots.resize(SLOTS, Slot::default());
        let mut last = 0;
        for y in 0..height {
            let hash = hash(part(reference, y));
            // Only the first of equal rows: the inside of a flat area says nothing.
            if hash != last {
                self.slots[slot_of(hash)] = Slot { hash, row: y as u32 + 1 };
            }
            last = hash;
        }
        last = 0;
        for y in 0..height {
            let hash = hash(part(picture, y));
            let slot = self.slots[slot_of(hash)];
            if hash != last && slot.row > 0 && slot.hash == hash && part(picture, y) != part(reference, y) {
                self.votes[height + y - (slot.row as usize - 1)] += 1;
            }
            last = hash;
        }
    }

    /// The scroll with the most votes, which it then loses.
    fn take_best(&mut self, height: usize, only_even: bool) -> i16 {
        let scrolls = self.votes.iter_mut().enumerate().map(|(at, votes)| (at as i64 - height as i64, votes));
        let possible = scrolls.filter(|(scroll, votes)| **votes >= MIN_VOTES && (!only_even || scroll % 2 == 0));
        possible.max_by_key(|(scroll, votes)| (**votes, -scroll.abs())).map_or(0, |(scroll, votes)| {
            *votes = 0;
            i16::try_from(scroll).unwrap_or(0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiles::{Reference, SCROLLED};
    use super::*;
    use crate::frame::PixelFormat;

    /// A picture of lines unlike each other, each `y` showing line `line(x, y)`.
    fn picture(layout: &Layout, line: impl Fn(usize, usize) -> usize) -> Vec<u8> {
        let mut picture = vec![0; layout.picture_bytes()];
        let (width, band_bytes) = (layout.width as usize, layout.band_bytes());
        for y in 0..layout.height as usize {
            for x in 0..width {
                let at = y / layout.band_rows * band_bytes + y % layout.band_rows * width + x;
                picture[at] = ((line(x, y) * 7919 + x * 31) % 251) as u8;
            }
        }
        picture
    }

    #[test]
    fn two_windows_scroll_each_its_own_way() {
        let layout = Layout::with_band_rows(PixelFormat::Gray8, 256, 200, 48);
        let before = picture(&layout, |_, y| y + 100);
        let after = picture(&layout, |x, y| if x < 192 { y + 100 + 12 } else { y + 100 - 5 });
        assert_eq!(ScrollFinder::default().find(&layout, &before, &after, &Cancel::default()).unwrap(), [-12, 5]);
        let reference = Reference { picture: &before, scrolls: [-12, 5] };
        let row = reference.row(&layout, 0, 20, SCROLLED).unwrap();
        assert_eq!(row[..192], layout.row(&after, 0, 20).unwrap()[..192]);
        assert_eq!(reference.row(&layout, 0, 199, SCROLLED), None);
        assert_eq!(ScrollFinder::default().find(&layout, &before, &before, &Cancel::default()).unwrap(), [0, 0]);
    }
}
