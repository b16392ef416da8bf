//! The deblocking filter (ITU-T H.264 8.7) of one macroblock of a frame picture, in place.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::deblock_tables::{ALPHA, BETA, TC0};

/// One edge, or none where all strengths are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    /// bS, 0..=4, of the edge's four segments. 4 is for all of them or none.
    pub(crate) strength: [u8; 4],
    /// qPav: the mean of both sides' QP, 0..=51; for chroma, of both sides' QPC.
    pub(crate) qp: u8,
}

/// FilterOffsetA and FilterOffsetB, -12..=12.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) alpha: i32,
    pub(crate) beta: i32,
}

/// An edge's thresholds.
#[derive(Clone, Copy)]
pub(super) struct Thresholds {
    pub(super) alpha: u8,
    pub(super) beta: u8,
    /// tC0 of each segment; -1 where the strength is 0.
    pub(super) clip: [i8; 4],
    /// Whether the strength is 4.
    pub(super) is_strong: bool,
}

impl Edge {
    /// The thresholds, unless nothing is filtered.
    #[inline(always)]
    fn thresholds(&self, offsets: Offsets) -> Option<Thresholds> {
        if self.strength == [0; 4] {
            return None;
        }
        let index = |offset: i32| (i32::from(self.qp) + offset).clamp(0, 51) as usize;
        let (a, b) = (index(offsets.alpha), index(offsets.beta));
        let clip = self.strength.map(|strength| TC0[usize::from(strength & 3)][a]);
        let is_strong = self.strength[0] == 4;
        (ALPHA[a] > 0 && BETA[b] > 0).then_some(Thresholds { alpha: ALPHA[a], beta: BETA[b], clip, is_strong })
    }
}

/// Filters one line of samples across an edge; `plane[at]` is q0 and samples are `step` apart (8.7.2.2 to 8.7.2.4).
#[inline(always)]
fn filter_line<const IS_CHROMA: bool>(
    plane: &mut [u8],
    at: usize,
    step: usize,
    thresholds: &Thresholds,
    segment: usize,
) {
    let p = |i: usize| i32::from(plane[at - (i + 1) * step]);
    let q = |i: usize| i32::from(plane[at + i * step]);
    let (alpha, beta) = (i32::from(thresholds.alpha), i32::from(thresholds.beta));
    let (tc0, is_strong) = (i32::from(thresholds.clip[segment]), thresholds.is_strong);
    let (p0, p1, q0, q1) = (p(0), p(1), q(0), q(1));
    if (tc0 < 0 && !is_strong) || (p0 - q0).abs() >= alpha || (p1 - p0).abs() >= beta || (q1 - q0).abs() >= beta {
        return;
    }
    if IS_CHROMA {
        let (p_new, q_new) = if !is_strong {
            let delta = ((((q0 - p0) << 2) + (p1 - q1) + 4) >> 3).clamp(-tc0 - 1, tc0 + 1);
            (p0 + delta, q0 - delta)
        } else {
            ((2 * p1 + p0 + q1 + 2) >> 2, (2 * q1 + q0 + p1 + 2) >> 2)
        };
        (plane[at - step], plane[at]) = (p_new.clamp(0, 255) as u8, q_new.clamp(0, 255) as u8);
        return;
    }
    let (p2, q2) = (p(2), q(2));
    let (is_p_flat, is_q_flat) = ((p2 - p0).abs() < beta, (q2 - q0).abs() < beta);
    if !is_strong {
        let tc = tc0 + i32::from(is_p_flat) + i32::from(is_q_flat);
        let delta = ((((q0 - p0) << 2) + (p1 - q1) + 4) >> 3).clamp(-tc, tc);
        let beside = |far: i32, near: i32| near + ((far + ((p0 + q0 + 1) >> 1) - 2 * near) >> 1).clamp(-tc0, tc0);
        if is_p_flat {
            plane[at - 2 * step] = beside(p2, p1) as u8;
        }
        if is_q_flat {
            plane[at + step] = beside(q2, q1) as u8;
        }
        (plane[at - step], plane[at]) = ((p0 + delta).clamp(0, 255) as u8, (q0 - delta).clamp(0, 255) as u8);
        return;
    }
    let is_smooth = (p0 - q0).abs() < (alpha >> 2) + 2;
    let (p3, q3) = (p(3), q(3));
    let strong = |a3: i32, a2: i32, a1: i32, a0: i32, b0: i32, b1: i32| {
        [
            (a2 + 2 * a1 + 2 * a0 + 2 * b0 + b1 + 4) >> 3,
            (a2 + a1 + a0 + b0 + 2) >> 2,
            (2 * a3 + 3 * a2 + a1 + a0 + b0 + 4) >> 3,
        ]
    };
    if is_p_flat && is_smooth {
        let [n0, n1, n2] = strong(p3, p2, p1, p0, q0, q1);
        (plane[at - step], plane[at - 2 * step], plane[at - 3 * step]) = (n0 as u8, n1 as u8, n2 as u8);
    } else {
        plane[at - step] = ((2 * p1 + p0 + q1 + 2) >> 2) as u8;
    }
    if is_q_flat && is_smooth {
        let [n0, n1, n2] = strong(q3, q2, q1, q0, p0, p1);
        (plane[at], plane[at + step], plane[at + 2 * step]) = (n0 as u8, n1 as u8, n2 as u8);
    } else {
        plane[at] = ((2 * q1 + q0 + p1 + 2) >> 2) as u8;
    }
}

/// Filters the luma edges of the macroblock whose first sample is `plane[at]`: the vertical ones from left to right, then the
/// horizontal ones from top to bottom. Up to three samples to the left and above change.
///
/// # Panics
/// If the macroblock, or the four columns left or rows above of an edge with a strength, aren't in the plane.
#[simd]
pub(crate) fn deblock_luma<S: Simd>(
    simd: S,
    plane: &mut [u8],
    at: usize,
    stride: usize,
    vertical: &[Edge; 4],
    horizontal: &[Edge; 4],
    offsets: Offsets,
) {
    if vertical.iter().chain(horizontal).all(|edge| edge.strength == [0; 4]) {
        return;
    }
    let [vertical, horizontal] = [vertical, horizontal].map(|edges| edges.map(|edge| edge.thresholds(offsets)));
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        super::deblock_avx2::luma_vertical(avx2, plane, at, stride, vertical);
        super::deblock_avx2::luma_horizontal(avx2, plane, at, stride, horizontal);
        return;
    }
    let _ = simd;
    for (edges, along, across) in [(vertical, stride, 1), (horizontal, 1, stride)] {
        for (e, edge) in edges.iter().enumerate() {
            let Some(thresholds) = edge else { continue };
            for i in 0..16 {
                filter_line::<false>(plane, at + 4 * e * across + i * along, across, thresholds, i / 4);
            }
        }
    }
}

/// Filters the chroma edges of the macroblock whose first pair is at `plane[at]` in an interleaved plane, in the order of
/// luma's. A segment of an edge is two pairs long.
///
/// # Panics
/// If the macroblock, or the two pairs of columns left or rows above of an edge with a strength, aren't in the plane.
#[simd]
pub(crate) fn deblock_chroma<S: Simd>(
    simd: S,
    plane: &mut [u8],
    at: usize,
    stride: usize,
    vertical: &[Edge; 2],
    horizontal: &[Edge; 2],
    offsets: Offsets,
) {
    if vertical.iter().chain(horizontal).all(|edge| edge.strength == [0; 4]) {
        return;
    }
    let [vertical, horizontal] = [vertical, horizontal].map(|edges| edges.map(|edge| edge.thresholds(offsets)));
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        super::deblock_avx2::chroma_vertical(avx2, plane, at, stride, vertical);
        super::deblock_avx2::chroma_horizontal(avx2, plane, at, stride, horizontal);
        return;
    }
    let _ = simd;
    for (edges, along, across) in [(vertical, stride, 2), (horizontal, 2, stride)] {
        for (e, edge) in edges.iter().enumerate() {
            let Some(thresholds) = edge else { continue };
            for i in 0..16 {
                let line = at + 4 * e * across + i / 2 * along + i % 2;
                filter_line::<true>(plane, line, across, thresholds, i / 4);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::*;
    use crate::kernel::each_level;
    use crate::kernel::h264::noise;

    const STRIDE: usize = 45;

    /// 8.7.2 for the eight samples p3..p0, q0..q3 of a line.
    fn naive_line(s: [i32; 8], is_luma: bool, strength: u8, qp: u8, offsets: Offsets) -> [i32; 8] {
        let [p3, p2, p1, p0, q0, q1, q2, q3] = s;
        let index_a = (i32::from(qp) + offsets.alpha).clamp(0, 51) as usize;
        let index_b = (i32::from(qp) + offsets.beta).clamp(0, 51) as usize;
        let (alpha, beta) = (i32::from(ALPHA[index_a]), i32::from(BETA[index_b]));
        let filters = strength != 0 && (p0 - q0).abs() < alpha && (p1 - p0).abs() < beta && (q1 - q0).abs() < beta;
        if !filters {
            return s;
        }
        let (ap, aq) = ((p2 - p0).abs(), (q2 - q0).abs());
        let mut out = s;
        if strength < 4 {
            let tc0 = i32::from(TC0[usize::from(strength)][index_a]);
            let tc = if is_luma { tc0 + i32::from(ap < beta) + i32::from(aq < beta) } else { tc0 + 1 };
            let delta = ((((q0 - p0) << 2) + (p1 - q1) + 4) >> 3).clamp(-tc, tc);
            (out[3], out[4]) = ((p0 + delta).clamp(0, 255), (q0 - delta).clamp(0, 255));
            if is_luma && ap < beta {
                out[2] = p1 + ((p2 + ((p0 + q0 + 1) >> 1) - (p1 << 1)) >> 1).clamp(-tc0, tc0);
            }
            if is_luma && aq < beta {
                out[5] = q1 + ((q2 + ((p0 + q0 + 1) >> 1) - (q1 << 1)) >> 1).clamp(-tc0, tc0);
            }
            return out;
        }
        let is_close = (p0 - q0).abs() < (alpha >> 2) + 2;
        if is_luma && ap < beta && is_close {
            out[3] = (p2 + 2 * p1 + 2 * p0 + 2 * q0 + q1 + 4) >> 3;
            out[2] = (p2 + p1 + p0 + q0 + 2) >> 2;
            out[1] = (2 * p3 + 3 * p2 + p1 + p0 + q0 + 4) >> 3;
        } else {
            out[3] = (2 * p1 + p0 + q1 + 2) >> 2;
        }
        if is_luma && aq < beta && is_close {
            out[4] = (p1 + 2 * p0 + 2 * q0 + 2 * q1 + q2 + 4) >> 3;
            out[5] = (p0 + q0 + q1 + q2 + 2) >> 2;
            out[6] = (2 * q3 + 3 * q2 + q1 + q0 + p0 + 4) >> 3;
        } else {
            out[4] = (2 * q1 + q0 + p1 + 2) >> 2;
        }
        out
    }

    /// Filters an edge line by line; of chroma p2, p3, q2 and q3 are of no account and may lie outside.
    fn naive_edge(plane: &mut [u8], at: usize, along: usize, across: usize, edge: &Edge, case: (bool, Offsets)) {
        let (is_luma, offsets) = case;
        for i in (0..16).filter(|i| edge.strength[i / 4] > 0) {
            let line = if is_luma { at + i * along } else { at + i / 2 * along + i % 2 };
            let reach = if is_luma { 0..8 } else { 2..6 };
            let mut s = [0; 8];
            for k in reach.clone() {
                s[k] = i32::from(plane[line + k * across - 4 * across]);
            }
            let out = naive_line(s, is_luma, edge.strength[i / 4], edge.qp, offsets);
            for k in reach {
                plane[line + k * across - 4 * across] = out[k] as u8;
            }
        }
    }

    /// A random edge: intra, weak in parts, or none.
    fn random_edge(seed: u32) -> Edge {
        let bytes = noise(6, seed, 255);
        let strength = match bytes[0] % 4 {
            0 => [0; 4],
            1 => [4; 4],
            _ => std::array::from_fn(|i| bytes[1 + i] >> 6),
        };
        Edge { strength, qp: if bytes[0] < 128 { 30 + bytes[5] % 22 } else { bytes[5] % 52 } }
    }

    fn picture(round: u32) -> Vec<u8> {
        noise(STRIDE * 30, round, [255, 3, 6, 10, 16, 30, 60, 0][round as usize % 8])
    }

    fn some_offsets(round: u32) -> Offsets {
        if round.is_multiple_of(3) {
            return Offsets::default();
        }
        let bytes = noise(2, round + 7, 255);
        Offsets { alpha: i32::from(bytes[0] % 25) - 12, beta: i32::from(bytes[1] % 25) - 12 }
    }

    #[test]
    fn luma_is_the_standards() {
        let at = 6 * STRIDE + 9;
        let mut changed = 0;
        for round in 0..1_500 {
            let edges = |first: u32| std::array::from_fn(|e| random_edge(round * 8 + first + e as u32));
            let (vertical, horizontal): ([Edge; 4], [Edge; 4]) = (edges(0), edges(4));
            let (before, offsets) = (picture(round), some_offsets(round));
            let mut wanted = before.clone();
            for (e, edge) in vertical.iter().enumerate() {
                naive_edge(&mut wanted, at + 4 * e, STRIDE, 1, edge, (true, offsets));
            }
            for (e, edge) in horizontal.iter().enumerate() {
                naive_edge(&mut wanted, at + 4 * e * STRIDE, 1, STRIDE, edge, (true, offsets));
            }
            changed += wanted.iter().zip(&before).filter(|(a, b)| a != b).count();
            each_level!(level => {
                let mut plane = before.clone();
                dispatch!(level, simd => deblock_luma(simd, &mut plane, at, STRIDE, &vertical, &horizontal, offsets));
                assert!(plane == wanted, "round {round}");
            });
        }
        assert!(changed > 50_000, "the test filters too little: {changed}");
    }

    #[test]
    fn chroma_is_the_standards() {
        let at = 6 * STRIDE + 9;
        let mut changed = 0;
        for round in 0..1_500 {
            let edges = |first: u32| std::array::from_fn(|e| random_edge(round * 4 + first + e as u32));
            let (vertical, horizontal): ([Edge; 2], [Edge; 2]) = (edges(0), edges(2));
            let (before, offsets) = (picture(round), some_offsets(round));
            let mut wanted = before.clone();
            for (e, edge) in vertical.iter().enumerate() {
                naive_edge(&mut wanted, at + 8 * e, STRIDE, 2, edge, (false, offsets));
            }
            for (e, edge) in horizontal.iter().enumerate() {
                naive_edge(&mut wanted, at + 4 * e * STRIDE, 2, STRIDE, edge, (false, offsets));
            }
            changed += wanted.iter().zip(&before).filter(|(a, b)| a != b).count();
            each_level!(level => {
                let mut plane = before.clone();
                dispatch!(level, simd => deblock_chroma(simd, &mut plane, at, STRIDE, &vertical, &horizontal, offsets));
                assert!(plane == wanted, "round {round}");
            });
        }
        assert!(changed > 20_000, "the test filters too little: {changed}");
    }

    #[test]
    fn edges_of_the_picture_need_no_neighbours() {
        let inner = |edge: usize| Edge { strength: if edge == 0 { [0; 4] } else { [2; 4] }, qp: 35 };
        let before = noise(16 * 16, 5, 8);
        let mut wanted = before.clone();
        for e in 1..4 {
            naive_edge(&mut wanted, 4 * e, 16, 1, &inner(e), (true, Offsets::default()));
        }
        for e in 1..4 {
            naive_edge(&mut wanted, 4 * e * 16, 1, 16, &inner(e), (true, Offsets::default()));
        }
        let mut wanted_chroma = before[..128].to_vec();
        naive_edge(&mut wanted_chroma, 8, 16, 2, &inner(1), (false, Offsets::default()));
        naive_edge(&mut wanted_chroma, 4 * 16, 2, 16, &inner(1), (false, Offsets::default()));
        each_level!(level => {
            let (four, two) = (std::array::from_fn(inner), std::array::from_fn(inner));
            let (mut luma, mut chroma) = (before.clone(), before[..128].to_vec());
            dispatch!(level, simd => deblock_luma(simd, &mut luma, 0, 16, &four, &four, Offsets::default()));
            dispatch!(level, simd => deblock_chroma(simd, &mut chroma, 0, 16, &two, &two, Offsets::default()));
            assert!(luma == wanted && chroma == wanted_chroma);
            assert!(luma != before);
        });
    }
}
