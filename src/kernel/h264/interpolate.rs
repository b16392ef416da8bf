//! Motion compensated prediction: quarter samples of luma and eighth samples of chroma (ITU-T H.264 8.4.2.2).
//!
//! Reference planes extend far enough beyond the picture for every vector; functions panic where they don't.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::Luma;
use super::rows::rows;

/// The two half samples (8-12) whose mean is the luma sample at a quarter sample position: neighbours in the row or column,
/// or where both coordinates are odd, the two half samples at the ends of the diagonal. Where both are even the position is
/// a half sample itself. Coordinates are in quarter samples, from the full sample G of figure 8-4.
#[inline(always)]
const fn halves(x: i32, y: i32) -> [[i32; 2]; 2] {
    match (x & 1, y & 1) {
        (0, 0) => [[x, y]; 2],
        (1, 0) => [[x - 1, y], [x + 1, y]],
        (0, _) => [[x, y - 1], [x, y + 1]],
        _ => [[(x & !3) + 2, (y + 1) & !3], [(x + 1) & !3, (y & !3) + 2]],
    }
}

/// `at` moved by full samples.
#[inline(always)]
fn moved(at: usize, stride: usize, x: i32, y: i32) -> usize {
    at.wrapping_add_signed(y as isize * stride as isize + x as isize)
}

/// The filter of half samples (8-241): neighbours on both sides weigh 20, -5 and 1. As many sums as there is room for, of
/// samples side by side.
#[inline(always)]
fn six_tap(s: [&[u8]; 6], sums: &mut [i16]) {
    let count = sums.len();
    let (a, b, c, d, e, f) =
        (&s[0][..count], &s[1][..count], &s[2][..count], &s[3][..count], &s[4][..count], &s[5][..count]);
    for x in 0..count {
        let (ends, outer) = (i16::from(a[x]) + i16::from(f[x]), i16::from(b[x]) + i16::from(e[x]));
        sums[x] = ends - 5 * outer + 20 * (i16::from(c[x]) + i16::from(d[x]));
    }
}

/// Half samples of their sums.
#[inline(always)]
fn scale(sums: &[i16], out: &mut [u8]) {
    for (out, &sum) in out.iter_mut().zip(sums) {
        *out = ((sum + 16) >> 5).clamp(0, 255) as u8;
    }
}

/// A `W`x`H` block of half samples; `plane[origin]` is its first sample's full sample, up and to the left. Columns from `W` on
/// and rows from `H` on are of no account.
#[inline(always)]
fn half_block<S: Simd, const W: usize, const H: usize>(
    simd: S,
    plane: &[u8],
    stride: usize,
    origin: usize,
    is_half: [bool; 2],
) -> Luma {
    let samples = &plane[origin - 2 * stride - 2..];
    let mut block = [[0; 16]; 16];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        use super::interpolate_avx2::{SPAN, half_block};
        // Rows are read beyond what is needed: at the very end of a plane, the plain form takes over.
        if samples.len() >= (H + 4) * stride + SPAN {
            if H == 16 {
                half_block(avx2, &rows::<SPAN, 21>(samples, stride), is_half, &mut block);
            } else {
                half_block(avx2, &rows::<SPAN, 13>(samples, stride), is_half, &mut block[..8]);
            }
            return block;
        }
    }
    let _ = simd;
    plain_half_block::<W, H>(samples, stride, is_half, block.as_flattened_mut(), 16);
    block
}

/// [`half_block`] row by row, which may be larger; `samples` begin two rows above and two columns left of the origin.
#[inline(always)]
fn plain_half_block<const W: usize, const H: usize>(
    samples: &[u8],
    stride: usize,
    is_half: [bool; 2],
    out: &mut [u8],
    out_stride: usize,
) {
    let mut sums = [0; 24];
    for y in 0..H {
        let out = &mut out[y * out_stride..][..W];
        let row = |down: usize| &samples[(y + down) * stride..][..W + 5];
        let middle = row(2);
        match is_half {
            [false, false] => out.copy_from_slice(&middle[2..2 + W]),
            [true, false] => {
                let right = [middle, &middle[1..], &middle[2..], &middle[3..], &middle[4..], &middle[5..]];
                six_tap(right, &mut sums[..W]);
                scale(&sums[..W], out);
            }
            [false, true] => {
                six_tap(
                    [&row(0)[2..], &row(1)[2..], &middle[2..], &row(3)[2..], &row(4)[2..], &row(5)[2..]],
                    &mut sums[..W],
                );
                scale(&sums[..W], out);
            }
            [true, true] => {
                six_tap([row(0), row(1), middle, row(3), row(4), row(5)], &mut sums[..W + 5]);
                for x in 0..W {
                    let (ends, outer) = (sums[x] + sums[x + 5], sums[x + 1] + sums[x + 4]);
                    let inner = sums[x + 2] + sums[x + 3];
                    // A sixteenth of the filter's sum, rounded down: one step saturates, where the sample is 0 or 255 anyway.
                    let rest = (((ends - outer) >> 2) - outer).saturating_add(inner);
                    out[x] = (((rest >> 2) + inner + 32) >> 6).clamp(0, 255) as u8;
                }
            }
        }
    }
}

/// The rounded mean of two blocks.
#[inline(always)]
fn average<S: Simd>(simd: S, first: [&[u8; 16]; 16], second: [&[u8; 16]; 16], out: &mut Luma) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::interpolate_avx2::average(avx2, first, second, out);
    }
    let _ = simd;
    for (y, out) in out.iter_mut().enumerate() {
        for (x, out) in out.iter_mut().enumerate() {
            *out = (u16::from(first[y][x]) + u16::from(second[y][x])).div_ceil(2) as u8;
        }
    }
}

/// Predicts a `W`x`H` block of luma displaced by a vector in quarter samples. `plane[at]` is the reference sample at the
/// block's own position.
#[simd]
#[expect(clippy::too_many_arguments, reason = "a plane, a vector and a place for the result")]
pub(crate) fn luma_block<S: Simd, const W: usize, const H: usize>(
    simd: S,
    plane: &[u8],
    stride: usize,
    at: usize,
    x_quarter: i32,
    y_quarter: i32,
    out: &mut [u8],
    out_stride: usize,
) {
    if (x_quarter | y_quarter) & 3 == 0 {
        let samples = &plane[moved(at, stride, x_quarter >> 2, y_quarter >> 2)..];
        for (y, row) in rows::<W, H>(samples, stride).into_iter().enumerate() {
            out[y * out_stride..][..W].copy_from_slice(row);
        }
        return;
    }
    let [first, second] = halves(x_quarter, y_quarter);
    let half = |[x, y]: [i32; 2]| {
        let origin = moved(at, stride, x >> 2, y >> 2);
        half_block::<S, W, H>(simd, plane, stride, origin, [x & 2 != 0, y & 2 != 0])
    };
    let mut block = half(first);
    if second != first {
        let (first, second) = (block, half(second));
        average(simd, first.each_ref(), second.each_ref(), &mut block);
    }
    let out = &mut out[..(H - 1) * out_stride + W];
    for (y, row) in block.iter().take(H).enumerate() {
        out[y * out_stride..][..W].copy_from_slice(&row[..W]);
    }
}

/// Predicts a `W`x`H` block of chroma pairs displaced by a luma vector in quarter luma samples, which are eighths of chroma
/// samples (8.4.2.2.2). The plane is interleaved; `plane[at]` is the Cb sample at the block's own position, and strides are in
/// bytes.
#[simd]
#[expect(clippy::too_many_arguments, reason = "a plane, a vector and a place for the result")]
pub(crate) fn chroma_block<S: Simd, const W: usize, const H: usize>(
    _simd: S,
    plane: &[u8],
    stride: usize,
    at: usize,
    x_quarter: i32,
    y_quarter: i32,
    out: &mut [u8],
    out_stride: usize,
) {
    let samples = &plane[moved(at, stride, 2 * (x_quarter >> 3), y_quarter >> 3)..];
    let (x_part, y_part) = ((x_quarter & 7) as u16, (y_quarter & 7) as u16);
    let out = &mut out[..(H - 1) * out_stride + 2 * W];
    if x_part == 0 && y_part == 0 {
        for y in 0..H {
            out[y * out_stride..][..2 * W].copy_from_slice(&samples[y * stride..][..2 * W]);
        }
        return;
    }
    for y in 0..H {
        let (above, below) = (&samples[y * stride..][..2 * W + 2], &samples[(y + 1) * stride..][..2 * W + 2]);
        for x in 0..2 * W {
            let across = |row: &[u8]| (8 - x_part) * u16::from(row[x]) + x_part * u16::from(row[x + 2]);
            out[y * out_stride + x] = (((8 - y_part) * across(above) + y_part * across(below) + 32) >> 6) as u8;
        }
    }
}

/// From one row of [`HalfSamples`] to the next.
pub(crate) const HALF_STRIDE: usize = 32;
/// Rows of each of its planes.
pub(super) const HALF_ROWS: usize = 18;
/// The block's first sample in each of its planes.
const HALF_ORIGIN: usize = HALF_STRIDE + 1;

/// The full and half samples in and around a 16x16 block of a reference, from which all positions less than a full sample
/// away are at most one mean away.
#[derive(Clone, Debug)]
pub(crate) struct HalfSamples {
    /// By `2 * y + x` of the position's half samples: G, b, h, j of figure 8-4. A plane begins one sample up and left.
    planes: [[u8; HALF_STRIDE * HALF_ROWS]; 4],
}

impl HalfSamples {
    /// Planes to be filled.
    pub(crate) const fn new() -> Self {
        Self { planes: [[0; HALF_STRIDE * HALF_ROWS]; 4] }
    }

    /// Fills all planes around the 16x16 block that begins at `plane[at]`.
    #[simd]
    pub(crate) fn compute<S: Simd>(&mut self, simd: S, plane: &[u8], stride: usize, at: usize) {
        let samples = &plane[at - 3 * stride - 3..];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(avx2) = simd.level().as_avx2()
            && samples.len() >= 21 * stride + super::interpolate_avx2::SPAN
        {
            return super::interpolate_avx2::fill(avx2, samples, stride, &mut self.planes);
        }
        let _ = simd;
        let [full, across, down, centre] = &mut self.planes;
        plain_half_block::<18, 18>(samples, stride, [false, false], full, HALF_STRIDE);
        plain_half_block::<17, 18>(samples, stride, [true, false], across, HALF_STRIDE);
        plain_half_block::<18, 17>(samples, stride, [false, true], down, HALF_STRIDE);
        plain_half_block::<17, 17>(samples, stride, [true, true], centre, HALF_STRIDE);
    }

    /// The half sample plane of a position in quarter samples, both even, from the sample on that lies over the block's first;
    /// its rows are [`HALF_STRIDE`] apart.
    #[inline(always)]
    pub(crate) fn half(&self, x: i32, y: i32) -> &[u8] {
        let plane = &self.planes[(y & 2) as usize | (x & 2) as usize >> 1];
        &plane[moved(HALF_ORIGIN, HALF_STRIDE, x >> 2, y >> 2)..]
    }

    /// Predicts the block displaced by -3..=3 quarter samples: what [`luma_block`] gives.
    #[inline(always)]
    pub(crate) fn predict<S: Simd>(&self, simd: S, dx: i32, dy: i32, out: &mut Luma) {
        let [first, second] = halves(dx, dy).map(|[x, y]| rows::<16, 16>(self.half(x, y), HALF_STRIDE));
        average(simd, first, second, out);
    }
}

#[cfg(test)]
mod tests {
    use fearless_simd::{Level, dispatch};

    use super::*;
    use crate::kernel::each_level;
    use crate::kernel::h264::noise;

    const STRIDE: usize = 57;
    const AT: usize = 12 * STRIDE + 14;

    /// 8.4.2.2.1 sample by sample, in the names of figure 8-4; `at` is G.
    fn naive_luma(plane: &[u8], at: usize, x_frac: i32, y_frac: i32) -> u8 {
        let s = |x: i32, y: i32| i32::from(plane[moved(at, STRIDE, x, y)]);
        let tap = |s: [i32; 6]| s[0] - 5 * s[1] + 20 * s[2] + 20 * s[3] - 5 * s[4] + s[5];
        let b1 = |y: i32| tap([s(-2, y), s(-1, y), s(0, y), s(1, y), s(2, y), s(3, y)]);
        let h1 = |x: i32| tap([s(x, -2), s(x, -1), s(x, 0), s(x, 1), s(x, 2), s(x, 3)]);
        let clip = |v: i32| v.clamp(0, 255);
        let half = |v: i32| clip((v + 16) >> 5);
        let (g, hh, m_full) = (s(0, 0), s(1, 0), s(0, 1));
        let (b, s_, h, m) = (half(b1(0)), half(b1(1)), half(h1(0)), half(h1(1)));
        let j = clip((tap([b1(-2), b1(-1), b1(0), b1(1), b1(2), b1(3)]) + 512) >> 10);
        let mean = |a: i32, b: i32| (a + b + 1) >> 1;
        let value = match (x_frac, y_frac) {
            (0, 0) => g,
            (0, 1) => mean(g, h),
            (0, 2) => h,
            (0, 3) => mean(h, m_full),
            (1, 0) => mean(g, b),
            (1, 1) => mean(b, h),
            (1, 2) => mean(h, j),
            (1, 3) => mean(h, s_),
            (2, 0) => b,
            (2, 1) => mean(b, j),
            (2, 2) => j,
            (2, 3) => mean(j, s_),
            (3, 0) => mean(b, hh),
            (3, 1) => mean(b, m),
            (3, 2) => mean(j, m),
            _ => mean(s_, m),
        };
        value as u8
    }

    fn check_luma<const W: usize, const H: usize>(level: Level, plane: &[u8]) {
        for y in -6..=6 {
            for x in -6..=6 {
                let mut out = vec![77; (H - 1) * 19 + W];
                dispatch!(level, simd => luma_block::<_, W, H>(simd, plane, STRIDE, AT, x, y, &mut out, 19));
                for (i, &sample) in out.iter().enumerate() {
                    let (column, row) = (i % 19, i / 19);
                    let at = moved(AT + row * STRIDE + column, STRIDE, x >> 2, y >> 2);
                    let wanted = if column < W { naive_luma(plane, at, x & 3, y & 3) } else { 77 };
                    assert_eq!(sample, wanted, "{W}x{H} at {column}, {row} of vector {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn luma_is_the_standards() {
        for (seed, contrast) in [(1, 255), (2, 0), (3, 0), (4, 20)] {
            let plane = noise(STRIDE * 44, seed, contrast);
            each_level!(level => {
                check_luma::<16, 16>(level, &plane);
                check_luma::<16, 8>(level, &plane);
                check_luma::<8, 16>(level, &plane);
                check_luma::<8, 8>(level, &plane);
            });
        }
    }

    /// Columns and rows that drive the centre's sums to both ends.
    #[test]
    fn extreme_sums_are_clipped() {
        for inverted in [0, 255] {
            let light = |i: usize| [1, 0, 1, 1, 0, 1][i % 6] == 1;
            let plane: Vec<u8> =
                (0..STRIDE * 44).map(|i| (255 * u8::from(light(i % STRIDE) == light(i / STRIDE))) ^ inverted).collect();
            each_level!(level => { check_luma::<16, 16>(level, &plane); });
        }
    }

    #[test]
    fn half_samples_predict_what_the_vector_does() {
        for (seed, contrast) in [(1, 255), (2, 0), (3, 20)] {
            let plane = noise(STRIDE * 44, seed, contrast);
            each_level!(level => {
                let mut halves = HalfSamples::new();
                dispatch!(level, simd => halves.compute(simd, &plane, STRIDE, AT));
                for (dx, dy) in (-3..=3).flat_map(|dy| (-3..=3).map(move |dx| (dx, dy))) {
                    let mut out = [[0; 16]; 16];
                    dispatch!(level, simd => halves.predict(simd, dx, dy, &mut out));
                    for (y, x) in (0..256).map(|i| (i / 16, i % 16)) {
                        let at = moved(AT + y * STRIDE + x, STRIDE, dx >> 2, dy >> 2);
                        assert_eq!(out[y][x], naive_luma(&plane, at, dx & 3, dy & 3), "{x}, {y} of {dx}, {dy}");
                        if dx & 1 == 0 && dy & 1 == 0 {
                            assert_eq!(halves.half(dx, dy)[y * HALF_STRIDE + x], out[y][x]);
                        }
                    }
                }
            });
        }
    }

    fn check_chroma<const W: usize, const H: usize>(level: Level, plane: &[u8]) {
        for y in -9..=9 {
            for x in -9..=9 {
                let mut out = vec![77; (H - 1) * 21 + 2 * W];
                dispatch!(level, simd => chroma_block::<_, W, H>(simd, plane, STRIDE, AT, x, y, &mut out, 21));
                for (i, &sample) in out.iter().enumerate() {
                    let (column, row) = (i % 21, i / 21);
                    let at = moved(AT + row * STRIDE + column, STRIDE, 2 * (x >> 3), y >> 3);
                    let s = |x: usize, y: usize| i32::from(plane[at + y * STRIDE + 2 * x]);
                    let (xf, yf) = (x & 7, y & 7);
                    let sum = (8 - xf) * (8 - yf) * s(0, 0)
                        + xf * (8 - yf) * s(1, 0)
                        + (8 - xf) * yf * s(0, 1)
                        + xf * yf * s(1, 1);
                    let wanted = if column < 2 * W { ((sum + 32) >> 6) as u8 } else { 77 };
                    assert_eq!(sample, wanted, "{W}x{H} at {column}, {row} of vector {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn chroma_is_the_standards() {
        for (seed, contrast) in [(1, 255), (2, 0), (3, 20)] {
            let plane = noise(STRIDE * 30, seed, contrast);
            each_level!(level => {
                check_chroma::<8, 8>(level, &plane);
                check_chroma::<8, 4>(level, &plane);
                check_chroma::<4, 8>(level, &plane);
                check_chroma::<4, 4>(level, &plane);
            });
        }
    }
}
