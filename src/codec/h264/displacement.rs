//! Screens move in blocks: windows are dragged and pages scrolled by any distance, and text looks like nothing else a few samples
//! away, so that a search downhill can't find where it came from. A few changed macroblocks are looked up in the frame before,
//! sample for sample; where they came from is a candidate for all others.

use fearless_simd::Level;

use super::mv::Mv;
use super::source::SourceBand;

/// Macroblocks looked up in a frame.
const PROBES: usize = 24;
/// How far a block is looked for to each side, and up and down, in samples.
const REACH: [usize; 2] = [160, 160];
/// One macroblock in so many must be unchanged for a frame to be taken for a screen's.
const UNCHANGED_SHARE: usize = 4;
/// Displacements offered.
pub(super) const DISPLACEMENTS: usize = 2;

/// Whether so many unchanged macroblocks of a picture are a screen's.
pub(super) const fn is_screen(unchanged: usize, total: usize) -> bool {
    unchanged >= total / UNCHANGED_SHARE
}

/// The displacements that most of a screen's changed macroblocks that were looked up share, most frequent first; zero where there
/// is none. The whole frame must be loaded: what moved in one slice is likely to have moved in the others.
pub(super) fn displacements(
    level: Level,
    source: &SourceBand<'_>,
    changed: &mut Vec<(u16, u16)>,
) -> [Mv; DISPLACEMENTS] {
    changed.clear();
    changed.extend(source.changed());
    let mut votes = [(Mv::ZERO, 0_u32); PROBES];
    let step = changed.len().div_ceil(PROBES).max(1);
    for &(x, y) in changed.iter().step_by(step) {
        let Some([[x, y], [found_x, found_y]]) = source.find(level, [usize::from(x), usize::from(y)], REACH) else {
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
