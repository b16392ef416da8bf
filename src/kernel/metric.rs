//! Sums over two planes that PSNR and SSIM are made of.

use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

/// Side of the blocks that windows are built of, in samples.
pub const BLOCK: usize = 4;
/// Side of an SSIM window, in samples: two blocks.
pub const WINDOW: usize = 2 * BLOCK;

/// Blocks of a strip that are summed at a time: the sums of two strips stay in the first-level cache.
const TILE_BLOCKS: usize = 257;
/// Blocks summed side by side.
const GROUP: usize = 8;

/// 8-bit samples in rows `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// All samples, from the first of the first row on.
    pub data: &'a [u8],
    /// From one row's start to the next.
    pub stride: usize,
    /// Samples of a row.
    pub width: usize,
    /// Number of rows.
    pub rows: usize,
}

impl<'a> Samples<'a> {
    /// `count` samples of row `y` from `x` on; none where they don't lie in the data.
    #[inline(always)]
    fn span(&self, x: usize, y: usize, count: usize) -> &'a [u8] {
        let start = y * self.stride + x;
        self.data.get(start..start + count).unwrap_or_default()
    }
}

/// Sum of squared differences over the rows and columns that both have.
pub fn ssd(level: Level, a: Samples<'_>, b: Samples<'_>) -> u64 {
    dispatch!(level, simd => ssd_rows(simd, a, b))
}

/// Sum of the SSIM of all 8x8 windows whose corners lie on a grid of 4 samples: `(width / 4 - 1) * (rows / 4 - 1)` of
/// them, none in planes with a side under 8.
///
/// Every value is computed in single precision from whole sums, and all are added in one order in double precision: the
/// result is the same to the last bit at every level.
pub fn ssim_sum(level: Level, a: Samples<'_>, b: Samples<'_>) -> f64 {
    dispatch!(level, simd => ssim_strips(simd, a, b))
}

/// Sum and number of windows in planes with a side under 8, where a window is as large as the plane allows.
pub fn ssim_sum_small(a: Samples<'_>, b: Samples<'_>) -> (f64, usize) {
    let (width, height) = (a.width.min(WINDOW), a.rows.min(WINDOW));
    let (mut sum, mut count) = (0.0, 0);
    for y in (0..=a.rows - height).step_by(BLOCK) {
        for x in (0..=a.width - width).step_by(BLOCK) {
            let mut sums = Sums::default();
            for row in y..y + height {
                sums.add(a.span(x, row, width), b.span(x, row, width));
            }
            sum += f64::from(sums.ssim((width * height) as i32));
            count += 1;
        }
    }
    (sum, count)
}

#[simd]
fn ssd_rows<S: Simd>(_simd: S, a: Samples<'_>, b: Samples<'_>) -> u64 {
    let (width, mut total) = (a.width.min(b.width), 0);
    for y in 0..a.rows.min(b.rows) {
        let mut row = 0_u32; // 16384 * 255^2 fits.
        for (&p, &q) in a.span(0, y, width).iter().zip(b.span(0, y, width)) {
            let difference = i32::from(p) - i32::from(q);
            row += (difference * difference) as u32;
        }
        total += u64::from(row);
    }
    total
}

/// What SSIM knows of a block or window: sums of both planes, of their squares together, and of their products.
#[derive(Clone, Copy, Default)]
struct Sums {
    a: i32,
    b: i32,
    squares: i32,
    products: i32,
}

impl Sums {
    fn add(&mut self, a: &[u8], b: &[u8]) {
        for (&p, &q) in a.iter().zip(b) {
            let (p, q) = (i32::from(p), i32::from(q));
            self.a += p;
            self.b += q;
            self.squares += p * p + q * q;
            self.products += p * q;
        }
    }

    /// SSIM of a window of `n` samples, with the constants of Wang et al. (2004) scaled to sums, and the one of luminance
    /// by `n` alone, as x264 has it and ffmpeg after it.
    #[inline(always)]
    fn ssim(self, n: i32) -> f32 {
        let peak = 255.0 * 255.0;
        let luminance = (0.01 * 0.01 * peak * f64::from(n) + 0.5) as i32;
        let contrast = (0.03 * 0.03 * peak * f64::from(n * (n - 1).max(1)) + 0.5) as i32;
        let variances = self.squares * n - self.a * self.a - self.b * self.b;
        let covariance = self.products * n - self.a * self.b;
        let above = (2 * self.a * self.b + luminance) as f32 * (2 * covariance + contrast) as f32;
        let below = (self.a * self.a + self.b * self.b + luminance) as f32 * (variances + contrast) as f32;
        above / below
    }
}

/// Sums of the blocks of one strip, a field an array.
struct Strip {
    a: [i32; TILE_BLOCKS],
    b: [i32; TILE_BLOCKS],
    squares: [i32; TILE_BLOCKS],
    products: [i32; TILE_BLOCKS],
}

impl Strip {
    const ZERO: Self =
        Self { a: [0; TILE_BLOCKS], b: [0; TILE_BLOCKS], squares: [0; TILE_BLOCKS], products: [0; TILE_BLOCKS] };
}

#[simd]
fn ssim_strips<S: Simd>(simd: S, a: Samples<'_>, b: Samples<'_>) -> f64 {
    let (blocks, strips) = (a.width.min(b.width) / BLOCK, a.rows.min(b.rows) / BLOCK);
    let (mut upper, mut lower) = (Strip::ZERO, Strip::ZERO);
    let mut lanes = [0.0; GROUP];
    for first in (0..blocks.saturating_sub(1)).step_by(TILE_BLOCKS - 1) {
        // Tiles share a block, as the windows at their seam do.
        let count = (blocks - first).min(TILE_BLOCKS);
        for strip in 0..strips {
            std::mem::swap(&mut upper, &mut lower);
            block_sums(simd, a, b, (first, strip, count), &mut lower);
            if strip > 0 {
                add_windows(simd, &upper, &lower, count - 1, &mut lanes);
            }
        }
    }
    lanes.iter().sum()
}

/// Fills `out` with the sums of `count` blocks from block `first` of a strip on.
#[simd]
fn block_sums<S: Simd>(
    _simd: S,
    a: Samples<'_>,
    b: Samples<'_>,
    (first, strip, count): (usize, usize, usize),
    out: &mut Strip,
) {
    const SPAN: usize = GROUP * BLOCK;
    let rows = [0, 1, 2, 3].map(|row| {
        let y = BLOCK * strip + row;
        (a.span(BLOCK * first, y, BLOCK * count), b.span(BLOCK * first, y, BLOCK * count))
    });
    let grouped = count / GROUP * GROUP;
    for at in (0..grouped).step_by(GROUP) {
        let (mut va, mut vb, mut squares, mut products) = ([0_u16; SPAN], [0_u16; SPAN], [0_u32; SPAN], [0_u32; SPAN]);
        for (row_a, row_b) in &rows {
            let (Some(p), Some(q)) =
                (row_a[BLOCK * at..].first_chunk::<SPAN>(), row_b[BLOCK * at..].first_chunk::<SPAN>())
            else {
                return;
            };
            for i in 0..SPAN {
                let (p, q) = (u16::from(p[i]), u16::from(q[i]));
                va[i] += p;
                vb[i] += q;
                squares[i] += u32::from(p * p) + u32::from(q * q);
                products[i] += u32::from(p * q);
            }
        }
        for i in 0..GROUP {
            let four = |sums: &[u32; SPAN]| (sums[4 * i] + sums[4 * i + 1] + sums[4 * i + 2] + sums[4 * i + 3]) as i32;
            let short =
                |sums: &[u16; SPAN]| i32::from(sums[4 * i] + sums[4 * i + 1] + sums[4 * i + 2] + sums[4 * i + 3]);
            out.a[at + i] = short(&va);
            out.b[at + i] = short(&vb);
            out.squares[at + i] = four(&squares);
            out.products[at + i] = four(&products);
        }
    }
    for at in grouped..count {
        let mut sums = Sums::default();
        for (row_a, row_b) in &rows {
            sums.add(&row_a[BLOCK * at..][..BLOCK], &row_b[BLOCK * at..][..BLOCK]);
        }
        (out.a[at], out.b[at], out.squares[at], out.products[at]) = (sums.a, sums.b, sums.squares, sums.products);
    }
}

/// Adds the SSIM of the `count` windows between two strips, each to the lane of its place.
#[simd]
fn add_windows<S: Simd>(_simd: S, upper: &Strip, lower: &Strip, count: usize, lanes: &mut [f64; GROUP]) {
    let window = |at: usize| {
        let four = |upper: &[i32; TILE_BLOCKS], lower: &[i32; TILE_BLOCKS]| {
            upper[at] + upper[at + 1] + lower[at] + lower[at + 1]
        };
        let sums = Sums {
            a: four(&upper.a, &lower.a),
            b: four(&upper.b, &lower.b),
            squares: four(&upper.squares, &lower.squares),
            products: four(&upper.products, &lower.products),
        };
        f64::from(sums.ssim((WINDOW * WINDOW) as i32))
    };
    let count = count.min(TILE_BLOCKS - 1);
    let grouped = count / GROUP * GROUP;
    for at in (0..grouped).step_by(GROUP) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += window(at + lane);
        }
    }
    for at in grouped..count {
        lanes[at - grouped] += window(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::each_level;

    fn noise(count: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    /// The formula over each window's 64 samples by itself, in single precision as specified.
    fn naive_ssim(a: Samples<'_>, b: Samples<'_>) -> f64 {
        let mut sum = 0.0;
        for y in (0..(a.rows / BLOCK * BLOCK).saturating_sub(BLOCK)).step_by(BLOCK) {
            for x in (0..(a.width / BLOCK * BLOCK).saturating_sub(BLOCK)).step_by(BLOCK) {
                let mut sums = Sums::default();
                (y..y + WINDOW).for_each(|row| sums.add(a.span(x, row, WINDOW), b.span(x, row, WINDOW)));
                sum += f64::from(sums.ssim(64));
            }
        }
        sum
    }

    fn naive_ssd(a: Samples<'_>, b: Samples<'_>) -> u64 {
        let row = |y| a.span(0, y, a.width).iter().zip(b.span(0, y, a.width));
        (0..a.rows).flat_map(row).map(|(&p, &q)| u64::from(p.abs_diff(q)).pow(2)).sum()
    }

    #[test]
    fn every_level_has_the_sums_of_the_formula() {
        for (width, rows) in [(1, 1), (7, 9), (8, 8), (9, 12), (36, 17), (64, 64), (1_031, 20), (2_057, 9)] {
            let stride = width + 5;
            let (a, b) = (noise(stride * rows, 1), noise(stride * rows, 2));
            let [a, b] = [&a, &b].map(|data| Samples { data, stride, width, rows });
            let exact = naive_ssim(a, b);
            let baseline = ssim_sum(Level::baseline(), a, b);
            assert!((baseline - exact).abs() <= 1e-9 * exact.abs(), "{width}x{rows}: {baseline}, exactly {exact}");
            each_level!(level => {
                assert_eq!(ssd(level, a, b), naive_ssd(a, b), "{width}x{rows}");
                assert_eq!(ssim_sum(level, a, b).to_bits(), baseline.to_bits(), "{width}x{rows}");
            });
        }
    }

    #[test]
    fn extreme_planes_do_not_overflow() {
        let (width, rows) = (16_384, 8);
        let (black, white) = (vec![0; width * rows], vec![255; width * rows]);
        let [black, white] = [&black, &white].map(|data| Samples { data, stride: width, width, rows });
        each_level!(level => {
            assert_eq!(ssd(level, black, white), 255 * 255 * (width * rows) as u64);
            assert_eq!(ssim_sum(level, white, white), (width / BLOCK - 1) as f64);
            assert!(ssim_sum(level, black, white) < 0.01 * (width / BLOCK) as f64);
        });
    }
}
