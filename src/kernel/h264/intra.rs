//! Intra prediction (ITU-T H.264 8.3).

use fearless_simd::Simd;

use super::intra_taps::{self, DC, DC_8, HALF, HALF_8, QUARTER, QUARTER_8, TAPS_4X4, TAPS_8X8};
use super::transform4::Block;
use super::transform8::Block8;
use super::{Chroma, Luma};

/// What a macroblock's luma is predicted from, where it is available.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Neighbours16 {
    pub(crate) above: Option<[u8; 16]>,
    pub(crate) left: Option<[u8; 16]>,
    /// Means something only where both others are available.
    pub(crate) corner: u8,
}

/// What a macroblock's chroma is predicted from: pairs of Cb and Cr.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChromaNeighbours {
    pub(crate) above: Option<[u8; 16]>,
    pub(crate) left: Option<[u8; 16]>,
    pub(crate) corner: [u8; 2],
}

/// Which neighbours of a block are available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) above: bool,
    pub(crate) left: bool,
    pub(crate) corner: bool,
}

impl Available {
    /// Bit `m`: Intra_4x4 or Intra_8x8 mode `m` may be used.
    #[inline(always)]
    pub(crate) const fn modes(self) -> u16 {
        const ABOVE: u16 = 1 | 1 << 3 | 1 << 7;
        const LEFT: u16 = 1 << 1 | 1 << 8;
        const ALL: u16 = 1 << 4 | 1 << 5 | 1 << 6;
        let above = if self.above { ABOVE } else { 0 };
        let left = if self.left { LEFT } else { 0 };
        let all = if self.above && self.left && self.corner { ALL } else { 0 };
        1 << 2 | above | left | all
    }
}

#[inline(always)]
fn total(samples: &[u8]) -> u32 {
    samples.iter().map(|&sample| u32::from(sample)).sum()
}

/// The mean of what is available of two rows of 1 << `log2` neighbours.
#[inline(always)]
pub(super) fn mean(above: Option<u32>, left: Option<u32>, log2: u32) -> u8 {
    let mean = match (above, left) {
        (Some(above), Some(left)) => (above + left + (1 << log2)) >> (log2 + 1),
        (Some(one), None) | (None, Some(one)) => (one + (1 << log2 >> 1)) >> log2,
        (None, None) => 128,
    };
    mean as u8
}

/// Predicts luma of a macroblock by mode 0 vertical, 1 horizontal, 2 DC or 3 plane. All neighbours that the mode uses must be
/// available; DC does with what there is.
#[inline(always)]
pub(crate) fn intra16<S: Simd>(simd: S, mode: u8, neighbours: &Neighbours16) -> Luma {
    let (above, left) = (neighbours.above.unwrap_or_default(), neighbours.left.unwrap_or_default());
    match mode {
        0 => [above; 16],
        1 => left.map(|sample| [sample; 16]),
        2 => {
            let sums = (neighbours.above.map(|line| total(&line)), neighbours.left.map(|line| total(&line)));
            [[mean(sums.0, sums.1, 4); 16]; 16]
        }
        _ => plane_16(simd, &above, &left, neighbours.corner),
    }
}

/// Plane prediction of luma. All sums stay within 16 bits: the slopes are at most 717 either way.
#[inline(always)]
fn plane_16<S: Simd>(simd: S, above: &[u8; 16], left: &[u8; 16], corner: u8) -> Luma {
    let slope = |samples: &[u8; 16]| {
        // The middle sample has no weight, the corner the largest.
        const WEIGHTS: [i16; 16] = [-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut sum = -8 * i16::from(corner);
        for (&sample, weight) in samples.iter().zip(WEIGHTS) {
            sum += weight * i16::from(sample);
        }
        ((5 * i32::from(sum) + 32) >> 6) as i16
    };
    let (b, c) = (slope(above), slope(left));
    let first = 16 * (i16::from(above[15]) + i16::from(left[15])) - 7 * (b + c) + 16;
    let mut row = [first; 16];
    for (x, value) in row.iter_mut().enumerate() {
        *value += b * x as i16;
    }
    let mut out = [[0; 16]; 16];
    plane_rows(simd, row, &[c; 16], &mut out);
    out
}

/// Rows of plane prediction: `row` is the first in 32nds, `step` what each adds.
#[inline(always)]
fn plane_rows<S: Simd>(simd: S, mut row: [i16; 16], step: &[i16; 16], out: &mut [[u8; 16]]) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::plane(avx2, &row, step, out);
    }
    let _ = simd;
    for out in out {
        for x in 0..16 {
            out[x] = (row[x] >> 5).clamp(0, 255) as u8;
            row[x] = row[x].wrapping_add(step[x]);
        }
    }
}

/// DC prediction of a macroblock's chroma: each 4x4 block has a mean of its own (8.3.4.1 to 8.3.4.3).
#[inline(always)]
fn chroma_dc(neighbours: &ChromaNeighbours) -> Chroma {
    let sums = |line: [u8; 16]| -> [[u32; 2]; 2] {
        std::array::from_fn(|part| {
            std::array::from_fn(|colour| (0..4).map(|k| u32::from(line[8 * part + 2 * k + colour])).sum())
        })
    };
    let (above, left) = (neighbours.above.map(sums), neighbours.left.map(sums));
    let mut out = [[0; 16]; 8];
    for j in 0..2 {
        let mut row = [0; 16];
        for i in 0..2 {
            for colour in 0..2 {
                let (above, left) = (above.map(|sums| sums[i][colour]), left.map(|sums| sums[j][colour]));
                let dc = match (i, j) {
                    (1, 0) => mean(above, if above.is_some() { None } else { left }, 2),
                    (0, 1) => mean(if left.is_some() { None } else { above }, left, 2),
                    _ => mean(above, left, 2),
                };
                for k in 0..4 {
                    row[8 * i + 2 * k + colour] = dc;
                }
            }
        }
        out[4 * j..4 * j + 4].fill(row);
    }
    out
}

/// Predicts chroma of a macroblock by mode 0 DC, 1 horizontal, 2 vertical or 3 plane. All neighbours that the mode uses must be
/// available; DC does with what there is.
#[inline(always)]
pub(crate) fn intra_chroma<S: Simd>(simd: S, mode: u8, neighbours: &ChromaNeighbours) -> Chroma {
    let (above, left) = (neighbours.above.unwrap_or_default(), neighbours.left.unwrap_or_default());
    match mode {
        0 => chroma_dc(neighbours),
        1 => std::array::from_fn(|y| std::array::from_fn(|x| left[2 * y + x % 2])),
        2 => [above; 8],
        _ => plane_chroma(simd, &above, &left, neighbours.corner),
    }
}

/// Plane prediction of chroma.
#[inline(always)]
fn plane_chroma<S: Simd>(simd: S, above: &[u8; 16], left: &[u8; 16], corner: [u8; 2]) -> Chroma {
    let slope = |samples: &[u8; 16], colour: usize| {
        let mut sum = -4 * i32::from(corner[colour]);
        for k in 0..8 {
            sum += (k as i32 - 3) * i32::from(samples[2 * k + colour]);
        }
        ((34 * sum + 32) >> 6) as i16
    };
    let (mut row, mut step) = ([0; 16], [0; 16]);
    for colour in 0..2 {
        let (b, c) = (slope(above, colour), slope(left, colour));
        let first = 16 * (i16::from(above[14 + colour]) + i16::from(left[14 + colour])) - 3 * (b + c) + 16;
        for x in 0..8 {
            row[2 * x + colour] = first + b * x as i16;
            step[2 * x + colour] = c;
        }
    }
    let mut out = [[0; 16]; 8];
    plane_rows(simd, row, &step, &mut out);
    out
}

/// Everything that an Intra_4x4 mode can predict a sample as: [`intra_taps`] says where each lies.
#[inline(always)]
pub(super) fn values_4x4(neighbours: &[u8; 13], available: Available) -> [u8; 64] {
    let mut values = [0; 64];
    values[..13].copy_from_slice(neighbours);
    let (left, above) = (total(&neighbours[..4]), total(&neighbours[5..9]));
    values[DC] = mean(available.above.then_some(above), available.left.then_some(left), 2);
    let edge: [u16; 15] = std::array::from_fn(|k| u16::from(neighbours[k.clamp(1, 13) - 1]));
    for k in 0..13 {
        values[HALF + k] = ((edge[k] + edge[k + 1] + 1) >> 1) as u8;
        values[QUARTER + k] = ((edge[k] + 2 * edge[k + 1] + edge[k + 2] + 2) >> 2) as u8;
    }
    values
}

/// Predicts a 4x4 block by Intra_4x4 mode 0..=8. `neighbours`: four to the left from the bottom up, the corner, eight above and
/// above right (copies of the last above where there is nothing right). All that the mode uses must be available; DC does with
/// what there is.
#[inline(always)]
pub(crate) fn intra4x4<S: Simd>(simd: S, mode: u8, neighbours: &[u8; 13], available: Available) -> Block {
    let _ = simd;
    let values = values_4x4(neighbours, available);
    let taps = &TAPS_4X4[usize::from(mode.min(8))];
    std::array::from_fn(|y| std::array::from_fn(|x| values[usize::from(taps[4 * y + x] & 63)]))
}

/// Filters the neighbours of an 8x8 block (8.3.2.2.1). `neighbours`: eight to the left from the bottom up, the corner, sixteen
/// above and above right (copies of the last above where there is nothing right). What is not available stays meaningless.
#[inline(always)]
pub(crate) fn filter_8x8<S: Simd>(simd: S, neighbours: &[u8; 25], available: Available) -> [u8; 25] {
    let _ = simd;
    let e: [u16; 25] = neighbours.map(u16::from);
    let mut out: [u8; 25] = std::array::from_fn(|k| {
        let (before, after) = (e[k.max(1) - 1], e[(k + 1).min(24)]);
        ((before + 2 * e[k] + after + 2) >> 2) as u8
    });
    let three = |before: u16, middle: u16, after: u16| ((before + 2 * middle + after + 2) >> 2) as u8;
    let Available { above, left, corner } = available;
    out[7] = three(e[6], e[7], if corner { e[8] } else { e[7] });
    out[8] = three(if left { e[7] } else { e[8] }, e[8], if above { e[9] } else { e[8] });
    out[9] = three(if corner { e[8] } else { e[9] }, e[9], e[10]);
    out
}

/// What Intra_8x8's DC mode predicts.
#[inline(always)]
pub(super) fn mean_8x8(filtered: &[u8; 25], available: Available) -> u8 {
    let (left, above) = (total(&filtered[..8]), total(&filtered[9..17]));
    mean(available.above.then_some(above), available.left.then_some(left), 3)
}

/// Everything that an Intra_8x8 mode can predict a sample as: [`intra_taps`] says where each lies.
#[inline(always)]
pub(super) fn values_8x8(filtered: &[u8; 25], available: Available) -> [u8; 128] {
    let mut values = [0; 128];
    values[..25].copy_from_slice(filtered);
    values[DC_8] = mean_8x8(filtered, available);
    let edge: [u16; 27] = std::array::from_fn(|k| u16::from(filtered[k.clamp(1, 25) - 1]));
    for k in 0..25 {
        values[HALF_8 + k] = ((edge[k] + edge[k + 1] + 1) >> 1) as u8;
        values[QUARTER_8 + k] = ((edge[k] + 2 * edge[k + 1] + edge[k + 2] + 2) >> 2) as u8;
    }
    values
}

/// Predicts an 8x8 block by Intra_8x8 mode 0..=8 from what [`filter_8x8`] gave.
#[inline(always)]
pub(crate) fn intra8x8<S: Simd>(simd: S, mode: u8, filtered: &[u8; 25], available: Available) -> Block8 {
    let _ = simd;
    let values = values_8x8(filtered, available);
    let taps = &TAPS_8X8[usize::from(mode.min(intra_taps::MODES as u8 - 1))];
    std::array::from_fn(|y| std::array::from_fn(|x| values[usize::from(taps[8 * y + x] & 127)]))
}

#[cfg(test)]
pub(super) mod tests {
    use fearless_simd::dispatch;

    use super::super::noise::Noise;
    use super::*;
    use crate::kernel::each_level;

    /// A block's mode as 8.3.1.2 and 8.3.2.2 write it, `n` its size; `e` the neighbours on one line.
    pub(in super::super) fn standard<const N: usize>(mode: u8, e: &[u8], available: Available) -> [[u8; N]; N] {
        let n = N as i32;
        let p = |x: i32, y: i32| -> i32 {
            let at = if y < 0 { n + 1 + x } else { n - 1 - y };
            i32::from(e[at as usize])
        };
        let two = |a: i32, b: i32| (a + b + 1) >> 1;
        let three = |a: i32, b: i32, c: i32| (a + 2 * b + c + 2) >> 2;
        let sample = |x: i32, y: i32| match mode {
            0 => p(x, -1),
            1 => p(-1, y),
            2 => {
                let above: i32 = (0..n).map(|k| p(k, -1)).sum();
                let left: i32 = (0..n).map(|k| p(-1, k)).sum();
                match (available.above, available.left) {
                    (true, true) => (above + left + n) / (2 * n),
                    (true, false) => (above + n / 2) / n,
                    (false, true) => (left + n / 2) / n,
                    (false, false) => 128,
                }
            }
            3 if x == n - 1 && y == n - 1 => (p(2 * n - 2, -1) + 3 * p(2 * n - 1, -1) + 2) >> 2,
            3 => three(p(x + y, -1), p(x + y + 1, -1), p(x + y + 2, -1)),
            4 if x > y => three(p(x - y - 2, -1), p(x - y - 1, -1), p(x - y, -1)),
            4 if x < y => three(p(-1, y - x - 2), p(-1, y - x - 1), p(-1, y - x)),
            4 => three(p(0, -1), p(-1, -1), p(-1, 0)),
            5 => match 2 * x - y {
                z if z >= 0 && z % 2 == 0 => two(p(x - (y >> 1) - 1, -1), p(x - (y >> 1), -1)),
                z if z >= 0 => three(p(x - (y >> 1) - 2, -1), p(x - (y >> 1) - 1, -1), p(x - (y >> 1), -1)),
                -1 => three(p(-1, 0), p(-1, -1), p(0, -1)),
                _ => three(p(-1, y - 2 * x - 1), p(-1, y - 2 * x - 2), p(-1, y - 2 * x - 3)),
            },
            6 => match 2 * y - x {
                z if z >= 0 && z % 2 == 0 => two(p(-1, y - (x >> 1) - 1), p(-1, y - (x >> 1))),
                z if z >= 0 => three(p(-1, y - (x >> 1) - 2), p(-1, y - (x >> 1) - 1), p(-1, y - (x >> 1))),
                -1 => three(p(-1, 0), p(-1, -1), p(0, -1)),
                _ => three(p(x - 2 * y - 1, -1), p(x - 2 * y - 2, -1), p(x - 2 * y - 3, -1)),
            },
            7 if y % 2 == 0 => two(p(x + (y >> 1), -1), p(x + (y >> 1) + 1, -1)),
            7 => three(p(x + (y >> 1), -1), p(x + (y >> 1) + 1, -1), p(x + (y >> 1) + 2, -1)),
            _ => match x + 2 * y {
                z if z > 2 * n - 3 => p(-1, n - 1),
                z if z == 2 * n - 3 => (p(-1, n - 2) + 3 * p(-1, n - 1) + 2) >> 2,
                z if z % 2 == 0 => two(p(-1, y + (x >> 1)), p(-1, y + (x >> 1) + 1)),
                _ => three(p(-1, y + (x >> 1)), p(-1, y + (x >> 1) + 1), p(-1, y + (x >> 1) + 2)),
            },
        };
        std::array::from_fn(|y| std::array::from_fn(|x| sample(x as i32, y as i32) as u8))
    }

    /// 8.3.2.2.1 as it is written.
    pub(in super::super) fn standard_filter(e: &[u8; 25], available: Available) -> [u8; 25] {
        let p = |x: i32, y: i32| -> i32 { i32::from(e[(if y < 0 { 9 + x } else { 7 - y }) as usize]) };
        let mut out = [0; 25];
        let three = |a: i32, b: i32, c: i32| ((a + 2 * b + c + 2) >> 2) as u8;
        if available.above {
            out[9] = if available.corner {
                three(p(-1, -1), p(0, -1), p(1, -1))
            } else {
                three(p(0, -1), p(0, -1), p(1, -1))
            };
            for x in 1..15 {
                out[9 + x as usize] = three(p(x - 1, -1), p(x, -1), p(x + 1, -1));
            }
            out[24] = three(p(14, -1), p(15, -1), p(15, -1));
        }
        if available.corner {
            out[8] = match (available.above, available.left) {
                (true, false) => three(p(-1, -1), p(-1, -1), p(0, -1)),
                (false, true) => three(p(-1, -1), p(-1, -1), p(-1, 0)),
                (true, true) => three(p(0, -1), p(-1, -1), p(-1, 0)),
                (false, false) => e[8],
            };
        }
        if available.left {
            out[7] = if available.corner {
                three(p(-1, -1), p(-1, 0), p(-1, 1))
            } else {
                three(p(-1, 0), p(-1, 0), p(-1, 1))
            };
            for y in 1..7 {
                out[7 - y as usize] = three(p(-1, y - 1), p(-1, y), p(-1, y + 1));
            }
            out[0] = three(p(-1, 6), p(-1, 7), p(-1, 7));
        }
        out
    }

    pub(in super::super) fn availabilities() -> impl Iterator<Item = Available> {
        (0..8).map(|bits| Available { above: bits & 1 != 0, left: bits & 2 != 0, corner: bits & 4 != 0 })
    }

    #[test]
    fn blocks_are_predicted_as_the_standard_says() {
        let mut noise = Noise(11);
        for (kind, available) in (0..30).flat_map(|kind| availabilities().map(move |available| (kind, available))) {
            let [four]: [[u8; 13]; 1] = noise.rows(kind);
            let [eight]: [[u8; 25]; 1] = noise.rows(kind);
            let filtered = standard_filter(&eight, available);
            each_level!(level => {
                let is = dispatch!(level, simd => filter_8x8(simd, &eight, available));
                for (range, means) in [(0..8, available.left), (8..9, available.corner), (9..25, available.above)] {
                    assert!(!means || is[range.clone()] == filtered[range]);
                }
                for mode in (0..9).filter(|mode| available.modes() >> mode & 1 == 1) {
                    let is = dispatch!(level, simd => intra4x4(simd, mode, &four, available));
                    assert_eq!(is, standard::<4>(mode, &four, available), "mode {mode}");
                    let is = dispatch!(level, simd => intra8x8(simd, mode, &filtered, available));
                    assert_eq!(is, standard::<8>(mode, &filtered, available), "mode {mode}");
                }
            });
        }
    }

    /// 8.3.3 as it is written, for one colour of `N` by `N` samples; plane prediction's factor and halves from its size.
    fn standard_plane<const N: usize>(above: [i32; N], left: [i32; N], corner: i32) -> [[u8; N]; N] {
        let half = N as i32 / 2;
        let at = |line: &[i32; N], k: i32| if k < 0 { corner } else { line[k as usize] };
        let slope = |line: &[i32; N]| -> i32 {
            (0..half).map(|k| (k + 1) * (at(line, half + k) - at(line, half - 2 - k))).sum()
        };
        let factor = if N == 16 { 5 } else { 34 };
        let (b, c) = ((factor * slope(&above) + 32) >> 6, (factor * slope(&left) + 32) >> 6);
        let a = 16 * (above[N - 1] + left[N - 1]);
        std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                ((a + b * (x as i32 - half + 1) + c * (y as i32 - half + 1) + 16) >> 5).clamp(0, 255) as u8
            })
        })
    }

    #[test]
    fn luma_is_predicted_as_the_standard_says() {
        let mut noise = Noise(12);
        for kind in 0..60 {
            let [above, left]: [[u8; 16]; 2] = noise.rows(kind);
            let corner = noise.sample(kind);
            let dc = |above: Option<[u8; 16]>, left: Option<[u8; 16]>| -> u8 {
                let all: Vec<u32> = above.into_iter().chain(left).flatten().map(u32::from).collect();
                if all.is_empty() {
                    128
                } else {
                    ((all.iter().sum::<u32>() + all.len() as u32 / 2) / all.len() as u32) as u8
                }
            };
            for (above, left) in [(Some(above), Some(left)), (Some(above), None), (None, Some(left)), (None, None)] {
                let neighbours = Neighbours16 { above, left, corner };
                each_level!(level => {
                    let of = |mode: u8| dispatch!(level, simd => intra16(simd, mode, &neighbours));
                    assert_eq!(of(2), [[dc(above, left); 16]; 16]);
                    if let Some(above) = above {
                        assert_eq!(of(0), [above; 16]);
                    }
                    if let Some(left) = left {
                        assert_eq!(of(1), left.map(|sample| [sample; 16]));
                        if let Some(above) = above {
                            let expected = standard_plane(above.map(i32::from), left.map(i32::from), corner.into());
                            assert_eq!(of(3), expected);
                        }
                    }
                });
            }
        }
    }

    #[test]
    fn chroma_is_predicted_as_the_standard_says() {
        let mut noise = Noise(13);
        for kind in 0..60 {
            let [above, left]: [[u8; 16]; 2] = noise.rows(kind);
            let corner = [noise.sample(kind), noise.sample(kind)];
            for (above, left) in [(Some(above), Some(left)), (Some(above), None), (None, Some(left)), (None, None)] {
                let neighbours = ChromaNeighbours { above, left, corner };
                each_level!(level => {
                    let of = |mode: u8| dispatch!(level, simd => intra_chroma(simd, mode, &neighbours));
                    for colour in 0..2 {
                        let plane = |mode: u8| -> [[u8; 8]; 8] {
                            of(mode).map(|row| std::array::from_fn(|x| row[2 * x + colour]))
                        };
                        let line = |line: [u8; 16]| -> [i32; 8] { std::array::from_fn(|k| line[2 * k + colour].into()) };
                        let (above, left) = (above.map(line), left.map(line));
                        let dc = plane(0);
                        for (x, y) in (0..64).map(|at| (at % 8, at / 8)) {
                            let sum = |line: [i32; 8], from: usize| -> i32 { line[from..from + 4].iter().sum() };
                            let (a, l) = (above.map(|line| sum(line, x / 4 * 4)), left.map(|line| sum(line, y / 4 * 4)));
                            let expected = match (a, l, x / 4, y / 4) {
                                (None, None, ..) => 128,
                                (Some(a), Some(l), 0, 0) | (Some(a), Some(l), 1, 1) => (a + l + 4) >> 3,
                                (Some(a), _, 1, 0) | (Some(a), None, ..) => (a + 2) >> 2,
                                (_, Some(l), ..) => (l + 2) >> 2,
                            };
                            assert_eq!(i32::from(dc[y][x]), expected);
                        }
                        if let Some(left) = left {
                            assert_eq!(plane(1), left.map(|sample| [sample as u8; 8]));
                        }
                        if let Some(above) = above {
                            assert_eq!(plane(2), [above.map(|sample| sample as u8); 8]);
                        }
                        if let (Some(above), Some(left)) = (above, left) {
                            assert_eq!(plane(3), standard_plane(above, left, corner[colour].into()));
                        }
                    }
                });
            }
        }
    }
}
