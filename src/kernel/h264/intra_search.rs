//! Choice of intra modes: the sum of absolute transformed differences of every mode, plus what the mode costs to write.
//!
//! A block's modes lie in the lanes of a vector, so that the transforms of all their differences are butterflies of whole
//! vectors.

use fearless_simd::Simd;

use super::intra::{
    Available, ChromaNeighbours, Neighbours16, intra_chroma, intra4x4, intra8x8, intra16, values_4x4, values_8x8,
};
use super::intra_taps::{MODES, TAPS_4X4, TAPS_8X8};
use super::transform4::{Block, both, hadamard_line, residual_chroma, residual_luma};
use super::transform8::Block8;
use super::{Chroma, Luma, Planes};

/// Lanes of modes.
const LANES: usize = 16;

/// The cost of what may not be used.
const NEVER: u16 = u16::MAX;

/// Sums of absolute values of the 4x4 Hadamard transform, one block to a lane, halved with rounding up.
#[inline(always)]
fn satd<const N: usize>(mut differences: Planes<N>) -> [u16; N] {
    both(&mut differences, hadamard_line);
    let mut sums = [0; N];
    for plane in &differences {
        add_magnitudes(&mut sums, plane, &[0; N]);
    }
    for sum in &mut sums {
        *sum = (*sum + 1) >> 1;
    }
    sums
}

/// Adds magnitudes of differences.
#[inline(always)]
fn add_magnitudes<const N: usize>(sums: &mut [u16; N], a: &[i16; N], b: &[i16; N]) {
    for lane in 0..N {
        sums[lane] = sums[lane].wrapping_add(a[lane].wrapping_sub(b[lane]).unsigned_abs());
    }
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
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx2) = simd.level().as_avx2() {
            return super::intra_avx2::search_4x4(avx2, source, neighbours, available, mode_cost);
        }
    }
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
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if let Some(avx2) = simd.level().as_avx2() {
            let dc = super::intra::mean_8x8(&filtered, available);
            return super::intra_avx2::search_8x8(avx2, source, &filtered, dc, available, mode_cost);
        }
    }
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

/// SATD of what is predicted from above, from the left, or flat, from the Hadamard transform of the source alone: such a
/// prediction has few coefficients.
struct Transformed<const N: usize> {
    planes: Planes<N>,
    /// Sums of magnitudes of the coefficients of neither the first row nor the first column.
    inner: [u16; N],
}

impl<const N: usize> Transformed<N> {
    #[inline(always)]
    fn new(mut planes: Planes<N>) -> Self {
        both(&mut planes, hadamard_line);
        let mut inner = [0; N];
        for p in [5, 6, 7, 9, 10, 11, 13, 14, 15] {
            add_magnitudes(&mut inner, &planes[p], &[0; N]);
        }
        Self { planes, inner }
    }

    /// What no such prediction comes under.
    #[inline(always)]
    fn least(&self) -> u32 {
        let mut sums = self.inner;
        for sum in &mut sums {
            *sum = (*sum + 1) >> 1;
        }
        total(&sums)
    }

    /// Against a prediction whose coefficients are `row`, the first row's, and `column`, the first column's.
    #[inline(always)]
    fn distance(&self, row: &[[i16; N]; 4], column: &[[i16; N]; 4]) -> u32 {
        let mut sums = self.inner;
        for (u, row) in row.iter().enumerate() {
            add_magnitudes(&mut sums, &self.planes[u], row);
        }
        for (v, column) in column.iter().enumerate().skip(1) {
            add_magnitudes(&mut sums, &self.planes[4 * v], column);
        }
        for sum in &mut sums {
            *sum = (*sum + 1) >> 1;
        }
        total(&sums)
    }
}

/// The coefficients of blocks whose rows, or columns, are all alike, for lines of `M` blocks' samples by position.
#[inline(always)]
fn alike<const M: usize>(line: [[i16; M]; 4]) -> [[i16; M]; 4] {
    let mut turned = hadamard_line(line);
    for plane in &mut turned {
        for value in plane {
            *value *= 4;
        }
    }
    turned
}

/// Every `step`-th sample of a line, by position in its block of four and block.
#[inline(always)]
fn by_position<const M: usize>(line: &[u8; 16], step: usize, first: usize) -> [[i16; M]; 4] {
    let mut out = [[0; M]; 4];
    for (k, plane) in out.iter_mut().enumerate() {
        for (block, sample) in plane.iter_mut().enumerate() {
            *sample = i16::from(line[(step * (4 * block + k) + first) % 16]);
        }
    }
    out
}

/// The cheapest of four modes and its cost; the lowest of equals.
#[inline(always)]
fn cheapest_of_four(distances: [Option<u32>; 4], mode_cost: &[u16; 4]) -> (u8, u32) {
    let mut best = (0, u32::MAX);
    for (mode, (distance, &cost)) in distances.iter().zip(mode_cost).enumerate() {
        if let &Some(distance) = distance
            && distance + u32::from(cost) < best.1
        {
            best = (mode as u8, distance + u32::from(cost));
        }
    }
    best
}

#[inline(always)]
fn total<const N: usize>(sums: &[u16; N]) -> u32 {
    let mut total = 0;
    for &sum in sums {
        total += u32::from(sum);
    }
    total
}

/// What diagonals cost, about, that no flat, horizontal, vertical or slanted prediction has.
const DIAGONAL_COST: u32 = 4;

/// The sum of |a - b - c + d| over squares a b, c d of 2x2 samples.
#[inline(always)]
fn diagonals(source: &Luma) -> u32 {
    let mut sums = [0_i16; 8];
    for rows in source.as_chunks::<2>().0 {
        let mut down = [0_i16; 16];
        for x in 0..16 {
            down[x] = i16::from(rows[0][x]) - i16::from(rows[1][x]);
        }
        for k in 0..8 {
            sums[k] += (down[2 * k] - down[2 * k + 1]).abs();
        }
    }
    sums.iter().map(|&sum| sum as u32).sum()
}

/// The Intra_16x16 mode with the least SATD over 4x4 blocks plus `mode_cost`, its cost and prediction. Gives up, with a cost of
/// `u32::MAX`, where a look at the source says that no prediction is likely to come under `limit`, and once it is plain that no
/// flat, horizontal or vertical one does.
#[inline(always)]
pub(crate) fn search_16x16<S: Simd>(
    simd: S,
    source: &Luma,
    neighbours: &Neighbours16,
    mode_cost: &[u16; 4],
    limit: u32,
) -> (u8, u32, Luma) {
    // Closures would be compiled apart, without what the level has.
    let mut distances = [None; 4];
    if limit < u32::MAX && DIAGONAL_COST * diagonals(source) >= limit {
        return (2, u32::MAX, [[0; 16]; 16]);
    }
    let mut planes = [[0; 16]; 16];
    residual_luma(simd, source, &[[0; 16]; 16], &mut planes);
    let transformed = Transformed::new(planes);
    if transformed.least() >= limit {
        return (2, u32::MAX, [[0; 16]; 16]);
    }
    let (mut row, mut column) = ([[0; 16]; 4], [[0; 16]; 4]);
    row[0] = [16 * i16::from(intra16(simd, 2, neighbours)[0][0]); 16];
    distances[2] = Some(transformed.distance(&row, &column));
    if let Some(line) = &neighbours.above {
        let coefficients = alike::<4>(by_position(line, 1, 0));
        for (row, coefficients) in row.iter_mut().zip(&coefficients) {
            for (b, value) in row.iter_mut().enumerate() {
                *value = coefficients[b % 4];
            }
        }
        distances[0] = Some(transformed.distance(&row, &column));
    }
    if let Some(line) = &neighbours.left {
        let coefficients = alike::<4>(by_position(line, 1, 0));
        for (column, coefficients) in column.iter_mut().zip(&coefficients) {
            for (b, value) in column.iter_mut().enumerate() {
                *value = coefficients[b / 4];
            }
        }
        row = [column[0], [0; 16], [0; 16], [0; 16]];
        distances[1] = Some(transformed.distance(&row, &column));
    }
    if neighbours.above.is_some() && neighbours.left.is_some() {
        residual_luma(simd, source, &intra16(simd, 3, neighbours), &mut planes);
        distances[3] = Some(total(&satd(planes)));
    }
    let (mode, cost) = cheapest_of_four(distances, mode_cost);
    (mode, cost, intra16(simd, mode, neighbours))
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
    let mut distances = [None; 4];
    let mut planes = [[0; 8]; 16];
    residual_chroma(simd, source, &[[0; 16]; 8], &mut planes);
    let transformed = Transformed::new(planes);
    let (mut row, mut column) = ([[0; 8]; 4], [[0; 8]; 4]);
    let means = intra_chroma(simd, 0, neighbours);
    for (b, dc) in row[0].iter_mut().enumerate() {
        *dc = 16 * i16::from(means[4 * (b / 2 % 2)][8 * (b % 2) + b / 4]);
    }
    distances[0] = Some(transformed.distance(&row, &column));
    if let Some(line) = &neighbours.above {
        let coefficients = [alike::<2>(by_position(line, 2, 0)), alike::<2>(by_position(line, 2, 1))];
        for (u, row) in row.iter_mut().enumerate() {
            for (b, value) in row.iter_mut().enumerate() {
                *value = coefficients[b / 4][u][b % 2];
            }
        }
        distances[2] = Some(transformed.distance(&row, &column));
    }
    if let Some(line) = &neighbours.left {
        let coefficients = [alike::<2>(by_position(line, 2, 0)), alike::<2>(by_position(line, 2, 1))];
        for (v, column) in column.iter_mut().enumerate() {
            for (b, value) in column.iter_mut().enumerate() {
                *value = coefficients[b / 4][v][b / 2 % 2];
            }
        }
        row = [column[0], [0; 8], [0; 8], [0; 8]];
        distances[1] = Some(transformed.distance(&row, &column));
    }
    if neighbours.above.is_some() && neighbours.left.is_some() {
        residual_chroma(simd, source, &intra_chroma(simd, 3, neighbours), &mut planes);
        distances[3] = Some(total(&satd(planes)));
    }
    let (mode, cost) = cheapest_of_four(distances, mode_cost);
    (mode, cost, intra_chroma(simd, mode, neighbours))
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::super::intra::tests::{availabilities, standard, standard_filter};
    use super::super::noise::Noise;
    use super::*;
    use crate::kernel::each_level;

    /// Half the sum of the absolute Hadamard transform of a 4x4 block of differences.
    fn distance(d: [[i32; 4]; 4]) -> u32 {
        const H: [[i32; 4]; 4] = [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]];
        let mut sum = 0;
        for (u, v) in (0..16).map(|at| (at % 4, at / 4)) {
            let coefficient: i32 = (0..16).map(|at| H[u][at % 4] * H[v][at / 4] * d[at / 4][at % 4]).sum();
            sum += coefficient.unsigned_abs();
        }
        (sum + 1) >> 1
    }

    /// [`distance`] over all 4x4 blocks of samples that lie `step` apart in their rows.
    fn distances<const W: usize, const H: usize>(a: &[[u8; W]; H], b: &[[u8; W]; H], step: usize) -> u32 {
        let mut sum = 0;
        for (colour, y0) in (0..step).flat_map(|colour| (0..H).step_by(4).map(move |y0| (colour, y0))) {
            for x0 in (0..W / step).step_by(4) {
                sum += distance(std::array::from_fn(|y| {
                    std::array::from_fn(|x| {
                        let (x, y) = ((x0 + x) * step + colour, y0 + y);
                        i32::from(a[y][x]) - i32::from(b[y][x])
                    })
                }));
            }
        }
        sum
    }

    #[test]
    fn the_cheapest_mode_of_a_block_is_found() {
        let mut noise = Noise(21);
        let mut seen = [0; 9];
        for (kind, available) in (0..90).flat_map(|kind| availabilities().map(move |available| (kind, available))) {
            let [four]: [[u8; 13]; 1] = noise.rows(kind);
            let [eight]: [[u8; 25]; 1] = noise.rows(kind);
            let filtered = standard_filter(&eight, available);
            let like = (noise.next() % 9) as u8;
            let like = if available.modes() >> like & 1 == 1 { like } else { 2 };
            let mut source: Block = noise.rows(kind / 3);
            let mut source8: Block8 = noise.rows(kind / 3);
            if kind % 2 == 0 {
                source = standard::<4>(like, &four, available);
                source8 = standard::<8>(like, &filtered, available);
            }
            let mode_cost: [u16; 16] = match kind % 5 {
                0 => std::array::from_fn(|mode| if mode == 2 || mode == usize::from(like) { 7 } else { u16::MAX / 2 }),
                1 => [u16::MAX / 2; 16],
                _ => std::array::from_fn(|_| (noise.next() % 40) as u16),
            };
            let allowed = || (0..9).filter(|mode| available.modes() >> mode & 1 == 1);
            let best = allowed()
                .map(|mode| {
                    (
                        distances(&source, &standard::<4>(mode, &four, available), 1)
                            + u32::from(mode_cost[usize::from(mode)]),
                        mode,
                    )
                })
                .min()
                .unwrap();
            let best8 = allowed()
                .map(|mode| {
                    (
                        distances(&source8, &standard::<8>(mode, &filtered, available), 1)
                            + u32::from(mode_cost[usize::from(mode)]),
                        mode,
                    )
                })
                .min()
                .unwrap();
            seen[usize::from(best8.1)] += 1;
            each_level!(level => {
                let is = dispatch!(level, simd => search_4x4(simd, &source, &four, available, &mode_cost));
                assert_eq!(is, (best.1, best.0, standard::<4>(best.1, &four, available)));
                let is = dispatch!(level, simd => search_8x8(simd, &source8, &eight, available, &mode_cost));
                assert_eq!(is, (best8.1, best8.0, standard::<8>(best8.1, &filtered, available)));
            });
        }
        assert!(seen.iter().all(|&count| count > 3), "{seen:?}");
    }

    #[test]
    fn the_cheapest_mode_of_a_macroblock_is_found() {
        let mut noise = Noise(22);
        for (kind, which) in (0..60).flat_map(|kind| (0..4).map(move |which| (kind, which))) {
            let [above, left]: [[u8; 16]; 2] = noise.rows(kind);
            let (above, left) = ((which & 1 == 0).then_some(above), (which & 2 == 0).then_some(left));
            let corner = [noise.sample(kind), noise.sample(kind)];
            let neighbours = Neighbours16 { above, left, corner: corner[0] };
            let neighbours_c = ChromaNeighbours { above, left, corner };
            let (mut source, mut source_c): (Luma, Chroma) = (noise.rows(kind / 3), noise.rows(kind / 3));
            let mode_cost: [u16; 4] = std::array::from_fn(|_| (noise.next() % 40) as u16);
            each_level!(level => {
                let like = (kind % 4) as u8;
                let usable = [above.is_some(), left.is_some(), true, above.is_some() && left.is_some()];
                let usable_c = [true, usable[1], usable[0], usable[3]];
                if kind % 8 < 4 && usable[usize::from(like)] {
                    source = dispatch!(level, simd => intra16(simd, like, &neighbours));
                    source[3][3] = source[3][3].wrapping_add(9);
                }
                if kind % 8 < 4 && usable_c[usize::from(like)] {
                    source_c = dispatch!(level, simd => intra_chroma(simd, like, &neighbours_c));
                    source_c[3][3] = source_c[3][3].wrapping_add(9);
                }
                let best = (0..4_u8)
                    .filter(|&mode| usable[usize::from(mode)])
                    .map(|mode| {
                        let prediction = dispatch!(level, simd => intra16(simd, mode, &neighbours));
                        (distances(&source, &prediction, 1) + u32::from(mode_cost[usize::from(mode)]), mode, prediction)
                    })
                    .min()
                    .unwrap();
                let is = dispatch!(level, simd => search_16x16(simd, &source, &neighbours, &mode_cost, u32::MAX));
                assert_eq!(is, (best.1, best.0, best.2));
                let best = (0..4_u8)
                    .filter(|&mode| usable_c[usize::from(mode)])
                    .map(|mode| {
                        let prediction = dispatch!(level, simd => intra_chroma(simd, mode, &neighbours_c));
                        (distances(&source_c, &prediction, 2) + u32::from(mode_cost[usize::from(mode)]), mode, prediction)
                    })
                    .min()
                    .unwrap();
                let is = dispatch!(level, simd => search_chroma(simd, &source_c, &neighbours_c, &mode_cost));
                assert_eq!(is, (best.1, best.0, best.2));
            });
        }
    }
}
