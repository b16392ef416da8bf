//! Screens move in blocks: windows are dragged and pages scrolled by any distance, and text looks like nothing else a few samples
//! away, so that a search downhill can't find where it came from. A few changed macroblocks are looked up in the frame before,
//! sample for sample; where they came from is a candidate for all others.

use fearless_simd::Level;

use super::mv::Mv;
use super::source::Source;
use crate::kernel::h264::find::{Region, find_block};

/// Macroblocks looked up in a frame.
const PROBES: usize = 24;
/// How far a block is looked for to each side, and up and down, in samples.
const REACH: [usize; 2] = [160, 160];
/// One macroblock in so many must be unchanged for a frame to be taken for a screen's.
const UNCHANGED_SHARE: usize = 4;
/// Displacements offered.
pub(super) const DISPLACEMENTS: usize = 2;

/// The displacements that most of the changed macroblocks that were looked up share, most frequent first; zero where there is
/// none. Nothing but the source is looked at, so slices don't matter.
pub(super) fn displacements(level: Level, source: &Source, changed: &mut Vec<(u16, u16)>) -> [Mv; DISPLACEMENTS] {
    let (columns, rows) = (source.size.columns, source.size.rows);
    changed.clear();
    for y in 0..rows {
        changed.extend((0..columns).filter(|&x| !source.is_unchanged(x, y)).map(|x| (x as u16, y as u16)));
    }
    let total = columns * rows;
    if changed.is_empty() || total - changed.len() < total / UNCHANGED_SHARE {
        return [Mv::ZERO; DISPLACEMENTS];
    }
    let mut votes = [(Mv::ZERO, 0_u32); PROBES];
    let step = changed.len().div_ceil(PROBES).max(1);
    let stride = 16 * columns;
    let [luma, previous] = source.lumas();
    for &(x, y) in changed.iter().step_by(step) {
        let (x, y) = (16 * usize::from(x), 16 * usize::from(y));
        let region = Region {
            x: [x.saturating_sub(REACH[0]), (x + REACH[0]).min(16 * columns - 16)],
            y: [y.saturating_sub(REACH[1]), (y + REACH[1]).min(16 * rows - 16)],
        };
        let Some([found_x, found_y]) = find_block(level, &luma[y * stride + x..], previous, stride, region) else {
            continue;
        };
        let mv = Mv::new(4 * (found_x as i32 - x as i32), 4 * (found_y as i32 - y as i32));
        if let Some(vote) = votes.iter_mut().find(|vote| vote.1 == 0 || vote.0 == mv) {
            *vote = (mv, vote.1 + 1);
        }
    }
    votes.sort_by_key(|vote| std::cmp::Reverse(vote.1));
    std::array::from_fn(|k| votes[k].0)
}
