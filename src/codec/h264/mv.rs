//! Motion vectors and how they are predicted from their neighbours (ITU-T H.264 8.4.1).

/// A motion vector in quarter luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mv {
    pub(super) x: i16,
    pub(super) y: i16,
}

impl Mv {
    pub(super) const ZERO: Self = Self { x: 0, y: 0 };

    pub(super) const fn new(x: i32, y: i32) -> Self {
        Self { x: x as i16, y: y as i16 }
    }

    /// The difference to a prediction, as it is coded.
    pub(super) const fn minus(self, prediction: Self) -> [i16; 2] {
        [self.x.wrapping_sub(prediction.x), self.y.wrapping_sub(prediction.y)]
    }

    /// The nearest vector of whole samples, in samples.
    pub(super) const fn rounded(self) -> [i32; 2] {
        [(self.x as i32 + 2) >> 2, (self.y as i32 + 2) >> 2]
    }

    /// Whether vectors differ so much that the edge between them is filtered (8.7.2.1).
    pub(super) const fn is_far_from(self, other: Self) -> bool {
        self.x.abs_diff(other.x) >= 4 || self.y.abs_diff(other.y) >= 4
    }
}

/// What an 8x8 quadrant has: motion, none because it is intra, or nothing because it isn't there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Unavailable,
    Intra,
    Inter(Mv),
}

impl Cell {
    /// The vector; none counts as zero.
    pub(super) const fn mv(self) -> Mv {
        match self {
            Self::Inter(mv) => mv,
            _ => Mv::ZERO,
        }
    }

    const fn is_inter(self) -> bool {
        matches!(self, Self::Inter(_))
    }

    const fn is_available(self) -> bool {
        !matches!(self, Self::Unavailable)
    }
}

/// The motion of a slice, a cell for each 8x8 quadrant, with a border of unavailable ones above and at both sides.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    cells: Vec<Cell>,
    width: usize,
}

impl Field {
    /// A field for so many macroblocks, all unavailable.
    pub(super) fn reset(&mut self, columns: usize, rows: usize) {
        self.width = 2 * columns + 2;
        self.cells.clear();
        self.cells.resize(self.width * (2 * rows + 1), Cell::Unavailable);
    }

    /// Takes over the macroblock rows of a slice that begins at row `start`.
    pub(super) fn replace(&mut self, start: usize, slice: &Self) {
        let from = slice.cells.get(self.width..).unwrap_or_default();
        let first = (2 * start + 1) * self.width;
        if let Some(cells) = self.cells.get_mut(first..first + from.len()) {
            cells.copy_from_slice(from);
        }
    }

    #[inline(always)]
    fn index(&self, x: usize, y: usize) -> usize {
        (y + 1) * self.width + x + 1
    }

    /// The cell of quadrant column `x` and row `y`; -1 is the border.
    #[inline(always)]
    pub(super) fn at(&self, x: isize, y: isize) -> Cell {
        let index = (y + 1) as usize * self.width + (x + 1) as usize;
        self.cells.get(index).copied().unwrap_or(Cell::Unavailable)
    }

    /// Sets a macroblock's four quadrants, in raster order.
    #[inline(always)]
    pub(super) fn set(&mut self, column: usize, row: usize, quadrants: [Cell; 4]) {
        for (half, pair) in quadrants.as_chunks::<2>().0.iter().enumerate() {
            let start = self.index(2 * column, 2 * row + half);
            if let Some(cells) = self.cells.get_mut(start..start + 2) {
                cells.copy_from_slice(pair);
            }
        }
    }

    /// Neighbours A, B and C of a partition that starts at quadrant `x`, `y` and is `width` quadrants wide. Above right counts
    /// only if `right_is_coded`; above left takes its place otherwise.
    #[inline(always)]
    pub(super) fn neighbours(&self, x: usize, y: usize, width: usize, right_is_coded: bool) -> Neighbours {
        let (x, y) = (x as isize, y as isize);
        let right = if right_is_coded { self.at(x + width as isize, y - 1) } else { Cell::Unavailable };
        let c = if right.is_available() { right } else { self.at(x - 1, y - 1) };
        Neighbours { a: self.at(x - 1, y), b: self.at(x, y - 1), c }
    }
}

/// Neighbouring partitions: left, above, and above right or above left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    pub(super) a: Cell,
    pub(super) b: Cell,
    pub(super) c: Cell,
}

impl Neighbours {
    /// The median prediction (8.4.1.3.1), with all of one reference.
    #[inline(always)]
    pub(super) fn median(&self) -> Mv {
        let Self { a, b, c } = *self;
        if !b.is_available() && !c.is_available() && a.is_available() {
            return a.mv();
        }
        match (a.is_inter(), b.is_inter(), c.is_inter()) {
            (true, false, false) => a.mv(),
            (false, true, false) => b.mv(),
            (false, false, true) => c.mv(),
            _ => {
                let (a, b, c) = (a.mv(), b.mv(), c.mv());
                Mv { x: median(a.x, b.x, c.x), y: median(a.y, b.y, c.y) }
            }
        }
    }

    /// The prediction of a half that prefers one neighbour (8.4.1.3).
    #[inline(always)]
    pub(super) fn preferring(&self, preferred: Cell) -> Mv {
        if preferred.is_inter() { preferred.mv() } else { self.median() }
    }

    /// The vector of a skipped macroblock (8.4.1.1).
    #[inline(always)]
    pub(super) fn skip(&self) -> Mv {
        let still = |cell: Cell| !cell.is_available() || cell == Cell::Inter(Mv::ZERO);
        if still(self.a) || still(self.b) { Mv::ZERO } else { self.median() }
    }
}

#[inline(always)]
fn median(a: i16, b: i16, c: i16) -> i16 {
    a.max(b).min(a.min(b).max(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_three_is_the_middle_one() {
        for [a, b, c] in [[1, 2, 3], [3, 1, 2], [2, 3, 1], [5, 5, 1], [1, 5, 5], [-4, 0, 4]] {
            let mut sorted = [a, b, c];
            sorted.sort_unstable();
            assert_eq!(median(a, b, c), sorted[1]);
        }
    }

    #[test]
    fn a_lone_inter_neighbour_predicts_alone() {
        let mv = Mv::new(8, -4);
        let lone = Neighbours { a: Cell::Intra, b: Cell::Inter(mv), c: Cell::Intra };
        assert_eq!(lone.median(), mv);
        let left_only = Neighbours { a: Cell::Inter(mv), b: Cell::Unavailable, c: Cell::Unavailable };
        assert_eq!(left_only.median(), mv);
        assert_eq!(left_only.skip(), Mv::ZERO);
    }
}
