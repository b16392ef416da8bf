//! Choice of intra modes: the sum of absolute transformed differences of every mode, plus what the mode costs to write.
//!
//! A block's modes lie in the lanes of a vector, so that the transforms of all their differences are butterflies of whole
//! vectors.

use fearless_simd::Simd;

use super::intra::{
    Available, ChromaNeighbours, Neighbours16, intra_chroma, intra4x4, intra8x8, intra16, values_4x4, values_8x8,
};
use super::intra_taps::{MODES, TAPS_4X4, TAPS_8X8};
use super::transform4::{Block, residual_chroma, residual_luma};
use super::transform8::Block8;
use super::{Chroma, Luma, Planes};

/// Lanes of modes.
const LANES: usize = 16;

/// The cost of what may not be used.
const NEVER: u16 = u16::MAX;

/// Sums of absolute values of the 4x4 Hadamard transform, one block to a lane, halved with rounding up.
#[inline(always)]
fn satd<const N: usize>(mut d: Planes<N>) -> [u16; N] {
    for (stride, step) in [(4, 1), (1, 4)] {
        for line in 0..4 {
            let at: [usize; 4] = std::array::from_fn(|k| stride * line + step * k);
            for b in 0..N {
                let [p, q, r, s] = at.map(|p| d[p][b]);
                let (a, b0, c, e) = (p + q, p - q, r + s, r - s);
                (d[at[0]][b], d[at[1]][b], d[at[2]][b], d[at[3]][b]) = (a + c, b0 + e, a - c, b0 - e);
            }
        }
    }
    let mut sums = [0_u16; N];
    for plane in &d {
        for b in 0..N {
            sums[b] += plane[b].unsigned_abs();
        }
    }
    sums.map(|sum| (sum + 1) >> 1)
}

/// The cheapest mode and its cost; the lowest of equals.
#[inline(always)]
fn cheapest(costs: [u16; LANES]) -> (u8, u32) {
    let mut best = (0, costs[0]);
    for (mode, &cost) in costs.iter().enumerate() {
        if cost < best.1 {
            best = (mode as u8, cost);
        }
    }
    (best.0, u32::from(best.1))
}

#[inline(always)]
fn costs(distance: [u16; LANES], mode_cost: &[u16; LANES], modes: u16) -> [u16; LANES] {
    std::array::from_fn(
        |mode| {
            if modes >> mode & 1 == 0 { NEVER } else { distance[mode].saturating_add(mode_cost[mode]) }
        },
    )
}

/// The Intra_4x4 mode with the least SATD (half the sum of the absolute 4x4 Hadamard transform) plus `mode_cost`, of those that
/// what is available allows; its cost and prediction. Neighbours as for [`intra4x4`].
#[inline(always)]
pub(crate) fn search_4x4<S: Simd>(
    simd: S,
    source: &Block,
    neighbours: &[u8; 13],
    available: Available,
    mode_cost: &[u16; 16],
) -> (u8, u32, Block) {
    let values = values_4x4(neighbours, available);
    let mut differences = [[0_i16; LANES]; 16];
    for (p, plane) in differences.iter_mut().enumerate() {
        for mode in 0..MODES {
            plane[mode] = i16::from(source[p / 4][p % 4]) - i16::from(values[usize::from(TAPS_4X4[mode][p] & 63)]);
        }
    }
    let (mode, cost) = cheapest(costs(satd(differences), mode_cost, available.modes()));
    (mode, cost, intra4x4(simd, mode, neighbours, available))
}

/// As [`search_4x4`], of Intra_8x8, the distance the sum of its four 4x4 blocks'. Neighbours unfiltered, as for
/// [`filter_8x8`](super::intra::filter_8x8).
#[inline(always)]
pub(crate) fn search_8x8<S: Simd>(
    simd: S,
    source: &Block8,
    neighbours: &[u8; 25],
    available: Available,
    mode_cost: &[u16; 16],
) -> (u8, u32, Block8) {
    let filtered = super::intra::filter_8x8(simd, neighbours, available);
    let values = values_8x8(&filtered, available);
    let mut sums = [0_u16; LANES];
    for quarter in 0..4 {
        let mut differences = [[0_i16; LANES]; 16];
        for (p, plane) in differences.iter_mut().enumerate() {
            let (x, y) = (4 * (quarter % 2) + p % 4, 4 * (quarter / 2) + p / 4);
            for mode in 0..MODES {
                plane[mode] = i16::from(source[y][x]) - i16::from(values[usize::from(TAPS_8X8[mode][8 * y + x] & 127)]);
            }
        }
        for (sum, part) in sums.iter_mut().zip(satd(differences)) {
            *sum += part;
        }
    }
    let (mode, cost) = cheapest(costs(sums, mode_cost, available.modes()));
    (mode, cost, intra8x8(simd, mode, &filtered, available))
}

/// Bit `m`: mode `m` may be used, where 0 needs what is above, 1 what is left, 2 nothing and 3 all.
#[inline(always)]
const fn modes_16x16(above: bool, left: bool) -> u16 {
    above as u16 | (left as u16) << 1 | 1 << 2 | ((above && left) as u16) << 3
}

/// The Intra_16x16 mode with the least SATD over 4x4 blocks plus `mode_cost`, its cost and prediction.
#[inline(always)]
pub(crate) fn search_16x16<S: Simd>(
    simd: S,
    source: &Luma,
    neighbours: &Neighbours16,
    mode_cost: &[u16; 4],
) -> (u8, u32, Luma) {
    let modes = modes_16x16(neighbours.above.is_some(), neighbours.left.is_some());
    let mut best = (2, u32::MAX, [[0; 16]; 16]);
    for mode in (0..4).filter(|mode| modes >> mode & 1 == 1) {
        let prediction = intra16(simd, mode, neighbours);
        let mut planes = [[0; 16]; 16];
        residual_luma(simd, source, &prediction, &mut planes);
        let cost =
            satd(planes).iter().map(|&sum| u32::from(sum)).sum::<u32>() + u32::from(mode_cost[usize::from(mode)]);
        if cost < best.1 {
            best = (mode, cost, prediction);
        }
    }
    best
}

/// The chroma mode (0 DC, 1 horizontal, 2 vertical, 3 plane) with the least SATD over 4x4 blocks plus `mode_cost`, its cost and
/// prediction.
#[inline(always)]
pub(crate) fn search_chroma<S: Simd>(
    simd: S,
    source: &Chroma,
    neighbours: &ChromaNeighbours,
    mode_cost: &[u16; 4],
) -> (u8, u32, Chroma) {
    let (above, left) = (neighbours.above.is_some(), neighbours.left.is_some());
    let usable = [true, left, above, above && left];
    let mut best = (0, u32::MAX, [[0; 16]; 8]);
    for mode in (0..4).filter(|&mode| usable[usize::from(mode)]) {
        let prediction = intra_chroma(simd, mode, neighbours);
        let mut planes = [[0; 8]; 16];
        residual_chroma(simd, source, &prediction, &mut planes);
        let cost =
            satd(planes).iter().map(|&sum| u32::from(sum)).sum::<u32>() + u32::from(mode_cost[usize::from(mode)]);
        if cost < best.1 {
            best = (mode, cost, prediction);
        }
    }
    best
}
