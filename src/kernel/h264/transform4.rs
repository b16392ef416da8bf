//! The 4x4 transform (ITU-T H.264 8.5.12.2) of all blocks of a macroblock, one block to a lane, and of single blocks.

use fearless_simd::Simd;

use super::{Chroma, Luma, Planes};

/// A 4x4 block of samples, row by row.
pub(crate) type Block = [[u8; 4]; 4];

/// Source minus prediction, turned to planes.
#[inline(always)]
pub(crate) fn residual_luma<S: Simd>(simd: S, source: &Luma, prediction: &Luma, out: &mut Planes<16>) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::residual_luma(avx2, source, prediction, out);
    }
    let _ = simd;
    for (y, (source, prediction)) in source.iter().zip(prediction).enumerate() {
        for x in 0..16 {
            out[4 * (y % 4) + x % 4][4 * (y / 4) + x / 4] = i16::from(source[x]) - i16::from(prediction[x]);
        }
    }
}

/// Source minus prediction, turned to planes: Cb's four blocks in lanes 0..4, Cr's in 4..8.
#[inline(always)]
pub(crate) fn residual_chroma<S: Simd>(simd: S, source: &Chroma, prediction: &Chroma, out: &mut Planes<8>) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::residual_chroma(avx2, source, prediction, out);
    }
    let _ = simd;
    for (y, (source, prediction)) in source.iter().zip(prediction).enumerate() {
        for x in 0..16 {
            let lane = 4 * (x % 2) + 2 * (y / 4) + x / 8;
            out[4 * (y % 4) + x / 2 % 4][lane] = i16::from(source[x]) - i16::from(prediction[x]);
        }
    }
}

/// One pass of the forward transform.
#[inline(always)]
fn forward_line<const N: usize>(d: [[i16; N]; 4]) -> [[i16; N]; 4] {
    let mut out = [[0; N]; 4];
    for b in 0..N {
        let (s03, d03) = (d[0][b].wrapping_add(d[3][b]), d[0][b].wrapping_sub(d[3][b]));
        let (s12, d12) = (d[1][b].wrapping_add(d[2][b]), d[1][b].wrapping_sub(d[2][b]));
        out[0][b] = s03.wrapping_add(s12);
        out[1][b] = d03.wrapping_add(d03).wrapping_add(d12);
        out[2][b] = s03.wrapping_sub(s12);
        out[3][b] = d03.wrapping_sub(d12).wrapping_sub(d12);
    }
    out
}

/// One pass of the inverse transform.
#[inline(always)]
fn inverse_line<const N: usize>(d: [[i16; N]; 4]) -> [[i16; N]; 4] {
    let mut out = [[0; N]; 4];
    for b in 0..N {
        let (e0, e1) = (d[0][b].wrapping_add(d[2][b]), d[0][b].wrapping_sub(d[2][b]));
        let (e2, e3) = ((d[1][b] >> 1).wrapping_sub(d[3][b]), d[1][b].wrapping_add(d[3][b] >> 1));
        out[0][b] = e0.wrapping_add(e3);
        out[1][b] = e1.wrapping_add(e2);
        out[2][b] = e1.wrapping_sub(e2);
        out[3][b] = e0.wrapping_sub(e3);
    }
    out
}

/// A pass over rows, then one over columns.
#[inline(always)]
pub(super) fn both<const N: usize>(planes: &mut Planes<N>, line: impl Fn([[i16; N]; 4]) -> [[i16; N]; 4]) {
    for y in 0..4 {
        let turned = line([planes[4 * y], planes[4 * y + 1], planes[4 * y + 2], planes[4 * y + 3]]);
        for (x, plane) in turned.into_iter().enumerate() {
            planes[4 * y + x] = plane;
        }
    }
    for x in 0..4 {
        let turned = line([planes[x], planes[4 + x], planes[8 + x], planes[12 + x]]);
        for (y, plane) in turned.into_iter().enumerate() {
            planes[4 * y + x] = plane;
        }
    }
}

/// The forward core transform: residuals to coefficients.
#[inline(always)]
pub(crate) fn forward<S: Simd, const N: usize>(simd: S, planes: &mut Planes<N>) {
    let _ = simd;
    both(planes, forward_line);
}

/// The inverse transform of scaled coefficients, without the final rounding.
#[inline(always)]
pub(crate) fn inverse<S: Simd, const N: usize>(simd: S, planes: &mut Planes<N>) {
    let _ = simd;
    both(planes, inverse_line);
}

/// A sample of the picture: the prediction and what the inverse transform gave (8.5.14).
#[inline(always)]
pub(super) fn sum(prediction: u8, residual: i16) -> u8 {
    i16::from(prediction).wrapping_add(residual.wrapping_add(32) >> 6).clamp(0, 255) as u8
}

/// Prediction and inverse transform, rounded, to samples.
#[inline(always)]
pub(crate) fn add_luma<S: Simd>(simd: S, prediction: &Luma, residual: &Planes<16>, out: &mut Luma) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::add_luma(avx2, prediction, residual, out);
    }
    let _ = simd;
    for (y, (out, prediction)) in out.iter_mut().zip(prediction).enumerate() {
        for x in 0..16 {
            out[x] = sum(prediction[x], residual[4 * (y % 4) + x % 4][4 * (y / 4) + x / 4]);
        }
    }
}

/// Prediction and inverse transform, rounded, to samples.
#[inline(always)]
pub(crate) fn add_chroma<S: Simd>(simd: S, prediction: &Chroma, residual: &Planes<8>, out: &mut Chroma) {
    let _ = simd;
    for (y, (out, prediction)) in out.iter_mut().zip(prediction).enumerate() {
        for x in 0..16 {
            out[x] = sum(prediction[x], residual[4 * (y % 4) + x / 2 % 4][4 * (x % 2) + 2 * (y / 4) + x / 8]);
        }
    }
}

/// Source minus prediction of one block, index 4 * y + x.
#[inline(always)]
pub(crate) fn residual_4x4<S: Simd>(simd: S, source: &Block, prediction: &Block) -> [i16; 16] {
    let _ = simd;
    std::array::from_fn(|p| i16::from(source[p / 4][p % 4]) - i16::from(prediction[p / 4][p % 4]))
}

/// [`forward`] of one block.
#[inline(always)]
pub(crate) fn forward_4x4<S: Simd>(simd: S, block: &mut [i16; 16]) {
    let mut planes = block.map(|value| [value]);
    forward(simd, &mut planes);
    *block = planes.map(|[value]| value);
}

/// [`inverse`] of one block.
#[inline(always)]
pub(crate) fn inverse_4x4<S: Simd>(simd: S, block: &mut [i16; 16]) {
    let mut planes = block.map(|value| [value]);
    inverse(simd, &mut planes);
    *block = planes.map(|[value]| value);
}

/// [`add_luma`] of one block.
#[inline(always)]
pub(crate) fn add_4x4<S: Simd>(simd: S, prediction: &Block, residual: &[i16; 16]) -> Block {
    let _ = simd;
    std::array::from_fn(|y| std::array::from_fn(|x| sum(prediction[y][x], residual[4 * y + x])))
}

/// One pass of the 4x4 Hadamard transform, rows in 8.5.10's order.
#[inline(always)]
pub(super) fn hadamard_line<const N: usize>(d: [[i16; N]; 4]) -> [[i16; N]; 4] {
    let mut out = [[0; N]; 4];
    for b in 0..N {
        let (s01, d01) = (d[0][b].wrapping_add(d[1][b]), d[0][b].wrapping_sub(d[1][b]));
        let (s23, d23) = (d[2][b].wrapping_add(d[3][b]), d[2][b].wrapping_sub(d[3][b]));
        out[0][b] = s01.wrapping_add(s23);
        out[1][b] = s01.wrapping_sub(s23);
        out[2][b] = d01.wrapping_sub(d23);
        out[3][b] = d01.wrapping_add(d23);
    }
    out
}

/// The 4x4 Hadamard transform of single values, index 4 * y + x.
#[inline(always)]
fn hadamard_4x4(dc: [i16; 16]) -> [i32; 16] {
    let line = |d: [i32; 4]| {
        let (s01, d01, s23, d23) = (d[0] + d[1], d[0] - d[1], d[2] + d[3], d[2] - d[3]);
        [s01 + s23, s01 - s23, d01 - d23, d01 + d23]
    };
    let rows: [[i32; 4]; 4] = std::array::from_fn(|y| line(std::array::from_fn(|x| i32::from(dc[4 * y + x]))));
    let columns: [[i32; 4]; 4] = std::array::from_fn(|x| line(std::array::from_fn(|y| rows[y][x])));
    std::array::from_fn(|p| columns[p % 4][p / 4])
}

/// The second transform of the 16 DC coefficients of Intra_16x16 (plane 0 of [`forward`]), halved with rounding.
#[inline(always)]
pub(crate) fn forward_luma_dc<S: Simd>(simd: S, dc: [i16; 16]) -> [i16; 16] {
    let _ = simd;
    hadamard_4x4(dc).map(|value| ((value + 1) >> 1) as i16)
}

/// The inverse of the second transform (8.5.10), without scaling.
#[inline(always)]
pub(crate) fn inverse_luma_dc<S: Simd>(simd: S, dc: [i16; 16]) -> [i16; 16] {
    let _ = simd;
    hadamard_4x4(dc).map(|value| value as i16)
}

/// The second transform of a colour's four DC coefficients (8.5.11.1), its own inverse but for the scale.
#[inline(always)]
pub(crate) fn hadamard_2x2(dc: [i16; 4]) -> [i16; 4] {
    let (s0, d0) = (dc[0].wrapping_add(dc[1]), dc[0].wrapping_sub(dc[1]));
    let (s1, d1) = (dc[2].wrapping_add(dc[3]), dc[2].wrapping_sub(dc[3]));
    [s0.wrapping_add(s1), d0.wrapping_add(d1), s0.wrapping_sub(s1), d0.wrapping_sub(d1)]
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::super::noise::Noise;
    use super::*;
    use crate::kernel::each_level;

    type Matrix = [[i32; 4]; 4];

    fn product(a: Matrix, b: Matrix) -> Matrix {
        std::array::from_fn(|y| std::array::from_fn(|x| (0..4).map(|k| a[y][k] * b[k][x]).sum()))
    }

    fn turned(a: Matrix) -> Matrix {
        std::array::from_fn(|y| std::array::from_fn(|x| a[x][y]))
    }

    const FORWARD: Matrix = [[1, 1, 1, 1], [2, 1, -1, -2], [1, -1, -1, 1], [1, -2, 2, -1]];
    const HADAMARD: Matrix = [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]];

    /// 8.5.12.2 as it is written: rows, then columns.
    fn standard_inverse(d: Matrix) -> Matrix {
        let line = |d: [i32; 4]| {
            let e = [d[0] + d[2], d[0] - d[2], (d[1] >> 1) - d[3], d[1] + (d[3] >> 1)];
            [e[0] + e[3], e[1] + e[2], e[1] - e[2], e[0] - e[3]]
        };
        turned(turned(d.map(line)).map(line))
    }

    fn block<const N: usize>(planes: &Planes<N>, b: usize) -> Matrix {
        std::array::from_fn(|y| std::array::from_fn(|x| i32::from(planes[4 * y + x][b])))
    }

    fn single(block: &[i16; 16]) -> Matrix {
        std::array::from_fn(|y| std::array::from_fn(|x| i32::from(block[4 * y + x])))
    }

    #[test]
    fn residuals_lie_in_planes_and_go_back() {
        let mut noise = Noise(1);
        for kind in 0..30 {
            let (source, prediction): (Luma, Luma) = (noise.rows(kind), noise.rows(kind / 3));
            let (source_c, prediction_c): (Chroma, Chroma) = (noise.rows(kind), noise.rows(kind / 3));
            each_level!(level => {
                let (mut planes, mut planes_c) = ([[0; 16]; 16], [[0; 8]; 16]);
                dispatch!(level, simd => residual_luma(simd, &source, &prediction, &mut planes));
                dispatch!(level, simd => residual_chroma(simd, &source_c, &prediction_c, &mut planes_c));
                for b in 0..16 {
                    let expected: Matrix = std::array::from_fn(|y| std::array::from_fn(|x| {
                        let (x, y) = (4 * (b % 4) + x, 4 * (b / 4) + y);
                        i32::from(source[y][x]) - i32::from(prediction[y][x])
                    }));
                    assert_eq!(block(&planes, b), expected);
                    let of = |from: &Luma| -> Block {
                        std::array::from_fn(|y| std::array::from_fn(|x| from[4 * (b / 4) + y][4 * (b % 4) + x]))
                    };
                    let one = dispatch!(level, simd => residual_4x4(simd, &of(&source), &of(&prediction)));
                    assert_eq!(single(&one), expected);
                }
                for lane in 0..8 {
                    let (colour, b) = (lane / 4, lane % 4);
                    let expected: Matrix = std::array::from_fn(|y| std::array::from_fn(|x| {
                        let (x, y) = (2 * (4 * (b % 2) + x) + colour, 4 * (b / 2) + y);
                        i32::from(source_c[y][x]) - i32::from(prediction_c[y][x])
                    }));
                    assert_eq!(block(&planes_c, lane), expected);
                }
                let scaled = planes.map(|plane| plane.map(|value| value << 6));
                let mut out = [[0; 16]; 16];
                dispatch!(level, simd => add_luma(simd, &prediction, &scaled, &mut out));
                assert_eq!(out, source);
                let scaled = planes_c.map(|plane| plane.map(|value| value << 6));
                let mut out = [[0; 16]; 8];
                dispatch!(level, simd => add_chroma(simd, &prediction_c, &scaled, &mut out));
                assert_eq!(out, source_c);
            });
        }
    }

    #[test]
    fn sums_are_rounded_and_clipped() {
        let mut noise = Noise(5);
        for kind in 0..30 {
            let prediction: Luma = noise.rows(kind);
            let residual: Planes<16> = noise.signed_rows(if kind < 15 { 32_000 } else { 2000 });
            let prediction_c: Chroma = noise.rows(kind);
            let residual_c: Planes<8> = noise.signed_rows(32_000);
            let expected = |prediction: u8, residual: i16| {
                (i32::from(prediction) + ((i32::from(residual) + 32) >> 6)).clamp(0, 255) as u8
            };
            each_level!(level => {
                let (mut out, mut out_c) = ([[0; 16]; 16], [[0; 16]; 8]);
                dispatch!(level, simd => add_luma(simd, &prediction, &residual, &mut out));
                dispatch!(level, simd => add_chroma(simd, &prediction_c, &residual_c, &mut out_c));
                for (y, x) in (0..256).map(|at| (at / 16, at % 16)) {
                    let value = residual[4 * (y % 4) + x % 4][4 * (y / 4) + x / 4];
                    assert_eq!(out[y][x], expected(prediction[y][x], value));
                    if y < 8 {
                        let (colour, x2) = (x % 2, x / 2);
                        let value = residual_c[4 * (y % 4) + x2 % 4][4 * colour + 2 * (y / 4) + x2 / 4];
                        assert_eq!(out_c[y][x], expected(prediction_c[y][x], value));
                    }
                }
                let block: Block = std::array::from_fn(|y| std::array::from_fn(|x| prediction[y][x]));
                let out = dispatch!(level, simd => add_4x4(simd, &block, &residual[3]));
                for p in 0..16 {
                    assert_eq!(out[p / 4][p % 4], expected(block[p / 4][p % 4], residual[3][p]));
                }
            });
        }
    }

    #[test]
    fn transforms_are_the_standard_s() {
        let mut noise = Noise(2);
        for _ in 0..100 {
            let residual: Planes<16> = noise.signed_rows(255);
            let scaled: Planes<16> = noise.signed_rows(3000);
            let few: Planes<8> = noise.signed_rows(255);
            each_level!(level => {
                let (mut coefficients, mut inverted, mut few_turned) = (residual, scaled, few);
                dispatch!(level, simd => forward(simd, &mut coefficients));
                dispatch!(level, simd => inverse(simd, &mut inverted));
                dispatch!(level, simd => forward(simd, &mut few_turned));
                for b in 0..16 {
                    let matrix = |block: Matrix| product(product(FORWARD, block), turned(FORWARD));
                    assert_eq!(block(&coefficients, b), matrix(block(&residual, b)));
                    assert_eq!(block(&inverted, b), standard_inverse(block(&scaled, b)));
                    assert_eq!(block(&few_turned, b % 8), matrix(block(&few, b % 8)));
                    let mut one = residual[b];
                    dispatch!(level, simd => forward_4x4(simd, &mut one));
                    assert_eq!(single(&one), matrix(single(&residual[b])));
                    let mut one = scaled[b];
                    dispatch!(level, simd => inverse_4x4(simd, &mut one));
                    assert_eq!(single(&one), standard_inverse(single(&scaled[b])));
                }
            });
        }
    }

    #[test]
    fn second_transforms_are_hadamard_s() {
        let mut noise = Noise(3);
        for _ in 0..100 {
            let [dc]: [[i16; 16]; 1] = noise.signed_rows(4080);
            let [levels]: [[i16; 16]; 1] = noise.signed_rows(2000);
            each_level!(level => {
                let matrix = |block: Matrix| product(product(HADAMARD, block), HADAMARD);
                let halved = matrix(single(&dc)).map(|row| row.map(|value| (value + 1) >> 1));
                assert_eq!(single(&dispatch!(level, simd => forward_luma_dc(simd, dc))), halved);
                assert_eq!(single(&dispatch!(level, simd => inverse_luma_dc(simd, levels))), matrix(single(&levels)));
            });
            let [a, b, c, d] = [dc[0], dc[1], dc[2], dc[3]];
            assert_eq!(hadamard_2x2([a, b, c, d]), [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]);
        }
    }
}
