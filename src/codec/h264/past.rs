//! What a frame leaves to the next: of all its rows, whichever slices they were in, as the next one's may begin at others.

use std::ops::Range;

use super::budget::Content;
use super::displacement::is_screen;
use super::mv::Field;
use super::slice::{SliceCoder, SliceStats, UNSETTLED};
use super::source::Size;

/// Time that macroblocks and bits take, in about 200 ns of one core: fitted to rows of films and screens.
const SKIPPED_WORK: u64 = 2;
const INTER_WORK: u64 = 10;
const INTRA_WORK: u64 = 18;
const BITS_A_WORK: u64 = 20;

/// What is known of the frames before.
#[derive(Debug, Default)]
pub(super) struct Past {
    size: Size,
    /// Motion of the frame before.
    pub(super) motion: Field,
    /// The quantiser parameter at which each macroblock's content was last coded, or found not worth coding.
    pub(super) settled: Vec<u8>,
    /// What the rows of the last P and of the last I picture held.
    content: [Content; 2],
    /// How long each row took, estimated: measured times would make other bytes on other machines.
    work: Vec<u64>,
    /// Macroblocks that were what they had been in the frame before.
    unchanged: usize,
}

impl Past {
    /// Begins a stream of frames of a size.
    pub(super) fn forget(&mut self, size: Size) {
        self.size = size;
        self.motion.reset(size.columns, size.rows);
        self.settled.clear();
        self.settled.resize(size.columns * size.rows, UNSETTLED);
        self.content.iter_mut().for_each(|content| content.forget(size.columns, size.rows));
        self.work.clear();
        self.work.resize(size.rows, 1);
        self.unchanged = 0;
    }

    /// What the rows of the last picture of a kind held.
    pub(super) fn content(&self, is_intra: bool) -> &Content {
        &self.content[usize::from(is_intra)]
    }

    /// Whether the frame before was a screen's, whichever of its slices this was to be seen in.
    pub(super) fn is_screen(&self) -> bool {
        is_screen(self.unchanged, self.size.columns * self.size.rows)
    }

    /// What a slice turned out to hold is what the next is expected to.
    pub(super) fn learn(&mut self, coder: &SliceCoder, is_intra: bool) {
        self.content[usize::from(is_intra)].replace(coder.rows.start, &coder.now);
    }

    /// Slices are as they will be sent.
    pub(super) fn settle(&mut self, coders: &[SliceCoder]) {
        self.unchanged = coders.iter().map(|coder| coder.unchanged).sum();
        coders.iter().for_each(|coder| self.settle_slice(coder));
    }

    fn settle_slice(&mut self, coder: &SliceCoder) {
        let Range { start, end } = coder.rows;
        self.motion.replace(start, &coder.field);
        let settled = self.settled.get_mut(start * self.size.columns..end * self.size.columns);
        if let Some(settled) = settled.filter(|settled| settled.len() == coder.settling.len()) {
            settled.copy_from_slice(&coder.settling);
        }
        for (work, row) in self.work.iter_mut().skip(start).zip(&coder.work) {
            *work = *row;
        }
    }

    /// The rows of each of `count` slices: as even in work as the frame before tells.
    pub(super) fn slices(&self, count: usize) -> impl Iterator<Item = Range<usize>> {
        let rows = self.work.len();
        let count = count.clamp(1, rows.max(1));
        let total: u64 = self.work.iter().sum();
        let (mut end, mut done) = (0, 0);
        (1..=count).map(move |k| {
            let start = end;
            let (share, last) = (total * k as u64, rows - (count - k));
            end += 1;
            done += self.work[start];
            // The row that the even share ends in belongs to the side where more than half of it is.
            while end < last && (k == count || (2 * done + self.work[end]) * count as u64 <= 2 * share) {
                done += self.work[end];
                end += 1;
            }
            start..end
        })
    }
}

/// Work of a row whose slice had `before` until then and has `after` now.
pub(super) fn row_work(columns: usize, before: &SliceStats, after: &SliceStats, bits: u64) -> u64 {
    let skipped = u64::from(after.skipped - before.skipped);
    let intra = u64::from(after.intra - before.intra);
    let inter = columns as u64 - skipped - intra;
    SKIPPED_WORK * skipped + INTER_WORK * inter + INTRA_WORK * intra + bits / BITS_A_WORK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(work: &[u64], count: usize) -> Vec<Range<usize>> {
        Past { work: work.to_vec(), ..Past::default() }.slices(count).collect()
    }

    #[test]
    fn slices_share_the_work_and_follow_each_other() {
        assert_eq!(rows(&[1; 8], 2), [0..4, 4..8]);
        assert_eq!(rows(&[1; 9], 3), [0..3, 3..6, 6..9]);
        assert_eq!(rows(&[1, 1, 1, 1, 4, 4], 2), [0..5, 5..6]);
        assert_eq!(rows(&[100, 1, 1, 1], 2), [0..1, 1..4]);
        assert_eq!(rows(&[1, 1, 1, 100], 2), [0..3, 3..4]);
        assert_eq!(rows(&[100, 1, 1, 1], 4), [0..1, 1..2, 2..3, 3..4]);
        assert_eq!(rows(&[5, 5], 8), [0..1, 1..2]);
        assert_eq!(rows(&[0; 4], 2).last(), Some(&(3..4)));
    }

    #[test]
    fn any_work_is_divided_without_gaps_and_empty_slices() {
        let mut seed = 1_u64;
        for case in 0..2000_usize {
            let work: Vec<u64> = (0..1 + case % 70)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 33) % 3 * ((seed >> 40) % 5000)
                })
                .collect();
            for count in 1..=8 {
                let slices = rows(&work, count);
                assert_eq!(slices.len(), count.min(work.len()));
                assert_eq!((slices[0].start, slices[slices.len() - 1].end), (0, work.len()));
                assert!(slices.iter().all(|slice| !slice.is_empty()), "{work:?}: {slices:?}");
                assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start), "{work:?}: {slices:?}");
            }
        }
    }
}
