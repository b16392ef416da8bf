//! Keeping a slice to its share of a frame's bytes: the quantiser moves from row to row.
//!
//! Bits halve when the quantiser parameter rises by six, about. So a row's bits times 2^(qp / 6) tell how much there is in it,
//! whatever it was quantised with, and the rows of the frame before tell what to expect of those to come. Integers only: the
//! same bytes on every machine.

use std::ops::Range;

use super::config::MAX_QP;

/// 2^(qp / 6) in 64ths.
const SCALE: [u64; 52] = {
    let sixths = [64, 72, 81, 91, 102, 114];
    let mut table = [0; 52];
    let mut qp = 0;
    while qp < 52 {
        table[qp] = sixths[qp % 6] << (qp / 6);
        qp += 1;
    }
    table
};
/// Most that the quantiser parameter moves from one row to the next.
const ROW_STEP: u8 = 2;
/// What a row holds at least, so that rows of skipped macroblocks may begin to move.
const LEAST_CONTENT: u64 = 16 * 64;
/// Content of a macroblock of which nothing is known: 60 bits at QP 26.
const UNKNOWN_CONTENT: u64 = 60 * 64 * 20;

/// The lowest quantiser parameter from `least` on at which `content` takes no more than `bits`.
pub(super) fn qp_for(content: u64, bits: u64, least: u8) -> u8 {
    (least.min(MAX_QP)..MAX_QP).find(|&qp| content / SCALE[usize::from(qp)] <= bits).unwrap_or(MAX_QP)
}

/// What each row of a picture or slice holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    rows: Vec<u64>,
}

impl Content {
    /// Nothing is known of `rows` rows of `columns` macroblocks.
    pub(super) fn forget(&mut self, columns: usize, rows: usize) {
        self.rows.clear();
        self.rows.resize(rows, UNKNOWN_CONTENT * columns as u64);
    }

    /// Takes over what `other` knows of some rows, in the memory there is.
    pub(super) fn copy_rows(&mut self, other: &Self, rows: Range<usize>) {
        self.rows.clear();
        self.rows.extend_from_slice(other.rows.get(rows).unwrap_or_default());
    }

    /// What `other` holds is what the rows from `start` on do.
    pub(super) fn replace(&mut self, start: usize, other: &Self) {
        for (row, other) in self.rows.iter_mut().skip(start).zip(&other.rows) {
            *row = *other;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Row `y` took `bits` at a quantiser parameter.
    pub(super) fn note(&mut self, y: usize, bits: u64, qp: u8) {
        if let Some(row) = self.rows.get_mut(y) {
            *row = (bits * SCALE[usize::from(qp.min(MAX_QP))]).max(LEAST_CONTENT);
        }
    }
}

/// Steers one slice of one frame.
#[derive(Clone, Debug)]
pub(super) struct Steering {
    /// Bits to aim for.
    target: u64,
    /// The lowest quantiser parameter that may be used.
    least_qp: u8,
    qp: u8,
    /// Content of the rows to come, and what those behind were expected to take and took.
    ahead: u64,
    expected: u64,
    spent: u64,
}

impl Steering {
    /// Begins a slice that is to take about `target` bits.
    pub(super) fn new(content: &Content, target: u64, least_qp: u8) -> Self {
        let ahead = content.total();
        let qp = qp_for(ahead, target, least_qp);
        Self { target, least_qp, qp, ahead, expected: 0, spent: 0 }
    }

    pub(super) const fn qp(&self) -> u8 {
        self.qp
    }

    /// Row `y` took `bits`, and `content` has what was expected of it: moves the quantiser for the next.
    pub(super) fn end_row(&mut self, content: &Content, y: usize, bits: u64) {
        let expected = content.rows.get(y).copied().unwrap_or_default();
        self.ahead = self.ahead.saturating_sub(expected);
        self.expected += expected / SCALE[usize::from(self.qp)];
        self.spent += bits;
        // How far off expectations were so far, more trusted the more was spent: as if a tenth of the target had been as
        // expected.
        let trust = self.target / 10 + 1;
        let ahead = u128::from(self.ahead) * u128::from(self.spent + trust) / u128::from(self.expected + trust);
        let wanted = qp_for(ahead as u64, self.target.saturating_sub(self.spent), self.least_qp);
        self.qp = wanted.clamp(self.qp.saturating_sub(ROW_STEP), (self.qp + ROW_STEP).min(MAX_QP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiser_halves_bits_every_six() {
        assert_eq!(qp_for(1000 * SCALE[20], 1000, 0), 20);
        assert_eq!(qp_for(1000 * SCALE[20], 500, 0), 26);
        assert_eq!(qp_for(1000, 1_000_000, 18), 18);
        assert_eq!(qp_for(u64::MAX / 4, 1, 0), 51);
    }

    #[test]
    fn a_slice_of_other_content_than_before_still_ends_near_its_target() {
        for factor in [1_u64, 2, 3] {
            let content = Content { rows: vec![2000 * SCALE[26]; 40] };
            let mut steering = Steering::new(&content, 60_000, 10);
            let mut total = 0;
            for y in 0..40 {
                let bits = factor * 2000 * SCALE[26] / SCALE[usize::from(steering.qp())];
                total += bits;
                steering.end_row(&content, y, bits);
            }
            assert!((50_000..66_000).contains(&total), "{factor}: {total}");
        }
    }
}
