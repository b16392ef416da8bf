//! Motion search: whole samples by SAD, then halves and quarters by SATD around the best.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::block::Here;
use super::fade::Weights;
use super::mv::Mv;
use super::picture::{BORDER, Picture, Plane};
use super::source::Size;
use crate::kernel::h264::interpolate::{HALF_STRIDE, HalfSamples, chroma_block, luma_block};
use crate::kernel::h264::rows::rows;
use crate::kernel::h264::sad::sad_quadrants;
use crate::kernel::h264::satd::{satd_8x8, satd_16x16};
use crate::kernel::h264::weigh::weigh;
use crate::kernel::h264::{Chroma, Luma};

/// How far a vector may point beyond the picture's edge, in samples: a search around it and the interpolation's taps still lie
/// in the border.
const REACH: i32 = BORDER as i32 - 8;
/// How far vectors may point to each side at any level, in whole samples.
const HORIZONTAL_REACH: i32 = 2046;

/// The place a macroblock has in the reference, and the vectors that stay within its border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    x: isize,
    y: isize,
    min: [i32; 2],
    max: [i32; 2],
}

impl Window {
    /// The window of the macroblock at a column and a row of the picture; the level bounds how far up and down vectors reach.
    pub(super) fn of(column: usize, row: usize, size: Size, vertical_reach: u16) -> Self {
        let (x, y) = (16 * column as i32, 16 * row as i32);
        // Fractions go on from whole samples by less than one.
        let most = [HORIZONTAL_REACH, i32::from(vertical_reach) - 2];
        let end = [16 * (size.columns as i32 - 1), 16 * (size.rows as i32 - 1)];
        Self {
            x: x as isize,
            y: y as isize,
            min: [(-x - REACH).max(-most[0]), (-y - REACH).max(-most[1])],
            max: [(end[0] - x + REACH).min(most[0]), (end[1] - y + REACH).min(most[1])],
        }
    }

    /// Keeps out vectors that point further right than `x` samples of the picture.
    pub(super) fn end_at(&mut self, x: i32) {
        self.max[0] = self.max[0].min(x - self.x as i32 - 16);
    }

    /// Whether a vector in quarter samples stays within, with the samples its interpolation needs.
    #[inline(always)]
    pub(super) fn holds(&self, mv: Mv) -> bool {
        let inside = |v: i16, k: usize| i32::from(v) >= 4 * self.min[k] && i32::from(v) <= 4 * self.max[k];
        inside(mv.x, 0) && inside(mv.y, 1)
    }

    #[inline(always)]
    fn clamp(&self, [x, y]: [i32; 2]) -> [i32; 2] {
        [x.clamp(self.min[0], self.max[0].max(self.min[0])), y.clamp(self.min[1], self.max[1].max(self.min[1]))]
    }
}

/// What is predicted from: a picture, and what becomes of its samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base<'a> {
    pub(super) picture: &'a Picture,
    pub(super) weights: Option<Weights>,
    /// Luma to look for motion in: whole samples are as they will be predicted, fractions nearly so.
    pub(super) searched: &'a Plane,
}

impl Base<'_> {
    #[inline(always)]
    pub(super) fn weigh_luma<S: Simd>(self, simd: S, luma: &mut Luma) {
        if let Some(weights) = self.weights {
            weigh(simd, luma.as_flattened_mut(), weights.luma);
        }
    }

    #[inline(always)]
    pub(super) fn weigh_chroma<S: Simd>(self, simd: S, chroma: &mut Chroma) {
        if let Some(weight) = self.weights.and_then(|weights| weights.chroma) {
            weigh(simd, chroma.as_flattened_mut(), weight);
        }
    }
}

/// Bits of a vector's difference to its prediction.
#[inline(always)]
pub(super) fn mv_bits(mv: Mv, prediction: Mv) -> u32 {
    let bits = |d: i32| 2 * (32 - (2 * d.unsigned_abs() + 1).leading_zeros()) - 1;
    bits(i32::from(mv.x) - i32::from(prediction.x)) + bits(i32::from(mv.y) - i32::from(prediction.y))
}

/// Luma of a macroblock moved by `mv`.
#[simd]
pub(super) fn predict_luma<S: Simd>(simd: S, base: Base<'_>, window: &Window, mv: Mv, out: &mut Luma) {
    part_luma::<S, 16, 16>(simd, base.picture, window, [0, 0], mv, out);
    base.weigh_luma(simd, out);
}

/// Luma of a part of a macroblock moved by `mv`, not weighted: `W`x`H` samples from `(left, top)` on.
#[inline(always)]
pub(super) fn part_luma<S: Simd, const W: usize, const H: usize>(
    simd: S,
    picture: &Picture,
    window: &Window,
    [left, top]: [usize; 2],
    mv: Mv,
    out: &mut Luma,
) {
    let plane = &picture.luma;
    let at = plane.at(window.x + left as isize, window.y + top as isize);
    let (x, y) = (i32::from(mv.x), i32::from(mv.y));
    let out = &mut out.as_flattened_mut()[16 * top + left..];
    luma_block::<S, W, H>(simd, &plane.samples, plane.stride, at, x, y, out, 16);
}

/// Chroma of a macroblock moved by `mv`.
#[inline(always)]
pub(super) fn predict_chroma<S: Simd>(simd: S, base: Base<'_>, window: &Window, mv: Mv, out: &mut Chroma) {
    part_chroma::<S, 8, 8>(simd, base.picture, window, [0, 0], mv, out);
    base.weigh_chroma(simd, out);
}

/// Chroma of a part of a macroblock moved by `mv`, not weighted: `W`x`H` chroma samples from `(left, top)` on.
#[inline(always)]
pub(super) fn part_chroma<S: Simd, const W: usize, const H: usize>(
    simd: S,
    picture: &Picture,
    window: &Window,
    [left, top]: [usize; 2],
    mv: Mv,
    out: &mut Chroma,
) {
    let plane = &picture.chroma;
    let at = plane.at(window.x + 2 * left as isize, window.y / 2 + top as isize);
    let (x, y) = (i32::from(mv.x), i32::from(mv.y));
    let out = &mut out.as_flattened_mut()[16 * top + 2 * left..];
    chroma_block::<S, W, H>(simd, &plane.samples, plane.stride, at, x, y, out, 16);
}

/// A vector and what it costs: distance and bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) mv: Mv,
    pub(super) cost: u32,
}

/// Part 0 is the whole macroblock, then come its upper and lower half, its left and right half, and its quadrants.
const PARTS: usize = 9;

/// The best vectors of whole samples found for each part, and what they cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) at: [[i32; 2]; PARTS],
    pub(super) cost: [u32; PARTS],
}

/// Steps to the nearest positions, those across corners last.
const NEAREST: [[i32; 2]; 8] = [[0, -1], [-1, 0], [1, 0], [0, 1], [-1, -1], [1, -1], [-1, 1], [1, 1]];

/// What a search needs to know.
pub(super) struct Search<'a> {
    pub(super) plane: &'a Plane,
    pub(super) window: Window,
    pub(super) prediction: Mv,
    pub(super) lambda: u32,
    /// Most steps of the diamond.
    pub(super) steps: usize,
    /// Half samples tried around the best whole one, and quarter samples around the best of these: 4 or 8.
    pub(super) fractions: [usize; 2],
    /// Whether parts are looked for, beside the whole.
    pub(super) has_parts: bool,
    /// What a whole sample's vector may cost, in bits' worth, for fractions not to be tried.
    pub(super) enough_bits: u32,
}

impl Search<'_> {
    /// Tries a vector for all parts. Returns whether it is the best yet for the whole.
    #[inline(always)]
    fn attempt<S: Simd>(&self, simd: S, source: &Luma, [x, y]: [i32; 2], parts: &mut Parts) -> bool {
        let plane = self.plane;
        let at = plane.at(self.window.x + x as isize, self.window.y + y as isize);
        let bits = self.lambda * mv_bits(Mv::new(4 * x, 4 * y), self.prediction);
        let q = sad_quadrants(simd, source, &plane.samples[at..], plane.stride);
        if !self.has_parts {
            let cost = q[0] + q[1] + q[2] + q[3] + bits;
            let is_best = cost < parts.cost[0];
            if is_best {
                (parts.cost[0], parts.at[0]) = (cost, [x, y]);
            }
            return is_best;
        }
        let (upper, lower, left, right) = (q[0] + q[1], q[2] + q[3], q[0] + q[2], q[1] + q[3]);
        let costs = [upper + lower, upper, lower, left, right, q[0], q[1], q[2], q[3]];
        let is_best = costs[0] + bits < parts.cost[0];
        for ((best, at), cost) in parts.cost.iter_mut().zip(&mut parts.at).zip(costs) {
            let cost = cost + bits;
            if cost < *best {
                (*best, *at) = (cost, [x, y]);
            }
        }
        is_best
    }

    /// The best vectors of whole samples: the best of the candidates, then downhill.
    #[simd]
    pub(super) fn whole<S: Simd>(&self, simd: S, here: &Here, candidates: &[Mv]) -> Parts {
        let first = self.window.clamp(self.prediction.rounded());
        let mut parts = Parts { at: [first; PARTS], cost: [u32::MAX; PARTS] };
        self.attempt(simd, &here.luma, first, &mut parts);
        let mut tried = [first; 8];
        for (k, candidate) in candidates.iter().take(7).enumerate() {
            let at = self.window.clamp(candidate.rounded());
            let is_known = tried[..=k].contains(&at);
            tried[k + 1] = at;
            if !is_known {
                self.attempt(simd, &here.luma, at, &mut parts);
            }
        }
        let mut came_from = [0, 0];
        for _ in 0..self.steps {
            let center = parts.at[0];
            let mut moved = [0, 0];
            for step in [[0, -1], [-1, 0], [1, 0], [0, 1]] {
                let at = [center[0] + step[0], center[1] + step[1]];
                if step == came_from || self.window.clamp(at) != at {
                    continue;
                }
                if self.attempt(simd, &here.luma, at, &mut parts) {
                    moved = step;
                }
            }
            if parts.at[0] == center {
                break;
            }
            came_from = [-moved[0], -moved[1]];
        }
        parts
    }

    /// The best vector of quarter samples around one of whole samples, by SATD; `out` becomes its prediction.
    #[simd]
    pub(super) fn fraction<S: Simd>(
        &self,
        simd: S,
        here: &Here,
        [x, y]: [i32; 2],
        half: &mut HalfSamples,
        out: &mut Luma,
    ) -> Match {
        let plane = self.plane;
        let at = plane.at(self.window.x + x as isize, self.window.y + y as isize);
        let center = Mv::new(4 * x, 4 * y);
        let mut best = Match {
            mv: center,
            cost: satd_16x16(simd, &here.luma, &plane.samples[at..], plane.stride)
                + self.lambda * mv_bits(center, self.prediction),
        };
        if best.cost < self.enough_bits * self.lambda {
            for (out, row) in out.iter_mut().zip(rows::<16, 16>(&plane.samples[at..], plane.stride)) {
                *out = *row;
            }
            return best;
        }
        half.compute(simd, &plane.samples, plane.stride, at);
        let mut offset = [0, 0];
        let near = [i32::from(self.prediction.x) - 4 * x, i32::from(self.prediction.y) - 4 * y];
        if near != offset && near[0].abs() < 4 && near[1].abs() < 4 {
            // What costs no bits is worth a look even if it isn't next to the best whole sample.
            half.predict(simd, near[0], near[1], out);
            let cost = satd_16x16(simd, &here.luma, out.as_flattened(), 16)
                + self.lambda * mv_bits(self.prediction, self.prediction);
            if cost < best.cost {
                (best, offset) = (Match { mv: self.prediction, cost }, near);
            }
        }
        for (size, count) in [(2, self.fractions[0]), (1, self.fractions[1])] {
            let from = offset;
            for step in &NEAREST[..count] {
                let [dx, dy] = [from[0] + size * step[0], from[1] + size * step[1]];
                if dx.abs() > 3 || dy.abs() > 3 {
                    continue;
                }
                let mv = Mv::new(4 * x + dx, 4 * y + dy);
                let distance = if dx & 1 == 0 && dy & 1 == 0 {
                    satd_16x16(simd, &here.luma, half.half(dx, dy), HALF_STRIDE)
                } else {
                    half.predict(simd, dx, dy, out);
                    satd_16x16(simd, &here.luma, out.as_flattened(), 16)
                };
                let cost = distance + self.lambda * mv_bits(mv, self.prediction);
                if cost < best.cost {
                    (best, offset) = (Match { mv, cost }, [dx, dy]);
                }
            }
        }
        half.predict(simd, offset[0], offset[1], out);
        best
    }

    /// As [`Search::fraction`] for a part of `W`x`H` samples that begins at `(left, top)` of the macroblock, whose prediction
    /// becomes its part of `out`.
    #[simd]
    pub(super) fn part_fraction<S: Simd, const W: usize, const H: usize>(
        &self,
        simd: S,
        here: &Here,
        [left, top]: [usize; 2],
        [x, y]: [i32; 2],
        out: &mut Luma,
    ) -> Match {
        let plane = self.plane;
        let origin = plane.at(self.window.x + left as isize, self.window.y + top as isize);
        let corner = 16 * top + left;
        let mut trial = [[0; 16]; 16];
        let measure = |mv: Mv, trial: &mut Luma| {
            let rows = &mut trial.as_flattened_mut()[corner..];
            let (mv_x, mv_y) = (i32::from(mv.x), i32::from(mv.y));
            luma_block::<S, W, H>(simd, &plane.samples, plane.stride, origin, mv_x, mv_y, rows, 16);
            let mut cost = self.lambda * mv_bits(mv, self.prediction);
            for quadrant in 0..4 {
                let (qx, qy) = (8 * (quadrant % 2), 8 * (quadrant / 2));
                if (left..left + W).contains(&qx) && (top..top + H).contains(&qy) {
                    cost += satd_8x8(simd, &here.luma, quadrant, &trial.as_flattened()[16 * qy + qx..], 16);
                }
            }
            cost
        };
        let keep = |trial: &Luma, out: &mut Luma| {
            for (out, trial) in out[top..top + H].iter_mut().zip(&trial[top..top + H]) {
                out[left..left + W].copy_from_slice(&trial[left..left + W]);
            }
        };
        let mut best = Match { mv: Mv::new(4 * x, 4 * y), cost: 0 };
        best.cost = measure(best.mv, &mut trial);
        keep(&trial, out);
        for size in [2, 1] {
            let from = best.mv;
            for step in [[0, -size], [-size, 0], [size, 0], [0, size]] {
                let mv = Mv { x: from.x + step[0], y: from.y + step[1] };
                let cost = measure(mv, &mut trial);
                if cost < best.cost {
                    best = Match { mv, cost };
                    keep(&trial, out);
                }
            }
        }
        best
    }
}
