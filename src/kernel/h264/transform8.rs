//! The 8x8 transform of the High profile (ITU-T H.264 8.5.13) of all four blocks of a macroblock, and of single blocks.

use fearless_simd::Simd;

use super::Luma;
use super::transform4::sum;

/// Residuals or coefficients of a macroblock's four 8x8 blocks. Residuals lie as samples do, row by row. Coefficients lie turned
/// within their blocks: horizontal frequency `u`, vertical frequency `v` of the block in row `j`, column `i` of blocks is at
/// `[8 * j + u][8 * i + v]`, which saves a transposition each way.
pub(crate) type Planes8 = [[i16; 16]; 16];
/// An 8x8 block of samples, row by row.
pub(crate) type Block8 = [[u8; 8]; 8];
/// Residuals of one block, row by row, or its coefficients, turned: `[u][v]`.
pub(crate) type Plane8 = [[i16; 8]; 8];

/// Source minus prediction.
#[inline(always)]
pub(crate) fn residual_luma8<S: Simd>(simd: S, source: &Luma, prediction: &Luma, out: &mut Planes8) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::residual(avx2, source, prediction, out);
    }
    let _ = simd;
    for (out, (source, prediction)) in out.iter_mut().zip(source.iter().zip(prediction)) {
        for x in 0..16 {
            out[x] = i16::from(source[x]) - i16::from(prediction[x]);
        }
    }
}

/// One pass of the forward transform, the inverse's twin.
#[inline(always)]
fn forward_line<const N: usize>(d: [[i16; N]; 8]) -> [[i16; N]; 8] {
    let mut out = [[0_i16; N]; 8];
    for b in 0..N {
        let d: [i16; 8] = std::array::from_fn(|k| d[k][b]);
        let s: [i16; 4] = std::array::from_fn(|k| d[k].wrapping_add(d[7 - k]));
        let o: [i16; 4] = std::array::from_fn(|k| d[k].wrapping_sub(d[7 - k]));
        let (s03, s12) = (s[0].wrapping_add(s[3]), s[1].wrapping_add(s[2]));
        let (d03, d12) = (s[0].wrapping_sub(s[3]), s[1].wrapping_sub(s[2]));
        let half_more = |value: i16| value.wrapping_add(value >> 1);
        let a4 = o[1].wrapping_add(o[2]).wrapping_add(half_more(o[0]));
        let a5 = o[0].wrapping_sub(o[3]).wrapping_sub(half_more(o[2]));
        let a6 = o[0].wrapping_add(o[3]).wrapping_sub(half_more(o[1]));
        let a7 = o[1].wrapping_sub(o[2]).wrapping_add(half_more(o[3]));
        out[0][b] = s03.wrapping_add(s12);
        out[1][b] = a4.wrapping_add(a7 >> 2);
        out[2][b] = d03.wrapping_add(d12 >> 1);
        out[3][b] = a5.wrapping_add(a6 >> 2);
        out[4][b] = s03.wrapping_sub(s12);
        out[5][b] = a6.wrapping_sub(a5 >> 2);
        out[6][b] = (d03 >> 1).wrapping_sub(d12);
        out[7][b] = (a4 >> 2).wrapping_sub(a7);
    }
    out
}

/// One pass of the inverse transform.
#[inline(always)]
fn inverse_line<const N: usize>(d: [[i16; N]; 8]) -> [[i16; N]; 8] {
    let mut out = [[0_i16; N]; 8];
    for b in 0..N {
        let d: [i16; 8] = std::array::from_fn(|k| d[k][b]);
        let half_more = |value: i16| value.wrapping_add(value >> 1);
        let (a0, a2) = (d[0].wrapping_add(d[4]), d[0].wrapping_sub(d[4]));
        let (a4, a6) = ((d[2] >> 1).wrapping_sub(d[6]), d[2].wrapping_add(d[6] >> 1));
        let (b0, b2, b4, b6) = (a0.wrapping_add(a6), a2.wrapping_add(a4), a2.wrapping_sub(a4), a0.wrapping_sub(a6));
        let a1 = d[5].wrapping_sub(d[3]).wrapping_sub(half_more(d[7]));
        let a3 = d[1].wrapping_add(d[7]).wrapping_sub(half_more(d[3]));
        let a5 = d[7].wrapping_sub(d[1]).wrapping_add(half_more(d[5]));
        let a7 = d[3].wrapping_add(d[5]).wrapping_add(half_more(d[1]));
        let (b1, b7) = (a1.wrapping_add(a7 >> 2), a7.wrapping_sub(a1 >> 2));
        let (b3, b5) = (a3.wrapping_add(a5 >> 2), (a3 >> 2).wrapping_sub(a5));
        out[0][b] = b0.wrapping_add(b7);
        out[1][b] = b2.wrapping_add(b5);
        out[2][b] = b4.wrapping_add(b3);
        out[3][b] = b6.wrapping_add(b1);
        out[4][b] = b6.wrapping_sub(b1);
        out[5][b] = b4.wrapping_sub(b3);
        out[6][b] = b2.wrapping_sub(b5);
        out[7][b] = b0.wrapping_sub(b7);
    }
    out
}

/// Turns each 8x8 block of a row of blocks.
#[inline(always)]
fn transpose<const N: usize>(d: [[i16; N]; 8]) -> [[i16; N]; 8] {
    let mut out = [[0; N]; 8];
    for (y, row) in d.iter().enumerate() {
        for (x, &value) in row.iter().enumerate() {
            out[x % 8][x / 8 * 8 + y] = value;
        }
    }
    out
}

/// The forward transform: residuals to coefficients.
#[inline(always)]
pub(crate) fn forward8<S: Simd>(simd: S, planes: &mut Planes8) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        for half in planes.as_chunks_mut::<8>().0 {
            super::transform_avx2::forward8(avx2, half);
        }
        return;
    }
    let _ = simd;
    for half in planes.as_chunks_mut::<8>().0 {
        *half = forward_line(transpose(forward_line(*half)));
    }
}

/// The inverse transform of scaled coefficients, without the final rounding.
#[inline(always)]
pub(crate) fn inverse8<S: Simd>(simd: S, planes: &mut Planes8) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        for half in planes.as_chunks_mut::<8>().0 {
            super::transform_avx2::inverse8(avx2, half);
        }
        return;
    }
    let _ = simd;
    for half in planes.as_chunks_mut::<8>().0 {
        *half = inverse_line(transpose(inverse_line(*half)));
    }
}

/// Prediction and inverse transform, rounded, to samples.
#[inline(always)]
pub(crate) fn add_luma8<S: Simd>(simd: S, prediction: &Luma, residual: &Planes8, out: &mut Luma) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::add(avx2, prediction, residual, out);
    }
    let _ = simd;
    for (out, (prediction, residual)) in out.iter_mut().zip(prediction.iter().zip(residual)) {
        for x in 0..16 {
            out[x] = sum(prediction[x], residual[x]);
        }
    }
}

/// Source minus prediction of one block.
#[inline(always)]
pub(crate) fn residual_8x8<S: Simd>(simd: S, source: &Block8, prediction: &Block8) -> Plane8 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        let mut out = [[0; 8]; 8];
        let (source, prediction) = (source.as_flattened().as_chunks().0, prediction.as_flattened().as_chunks().0);
        super::transform_avx2::residual(avx2, source, prediction, out.as_flattened_mut().as_chunks_mut().0);
        return out;
    }
    let _ = simd;
    std::array::from_fn(|y| std::array::from_fn(|x| i16::from(source[y][x]) - i16::from(prediction[y][x])))
}

/// [`forward8`] of one block.
#[inline(always)]
pub(crate) fn forward_8x8<S: Simd>(simd: S, block: &mut Plane8) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::forward_8x8(avx2, block);
    }
    let _ = simd;
    *block = forward_line(transpose(forward_line(*block)));
}

/// [`inverse8`] of one block.
#[inline(always)]
pub(crate) fn inverse_8x8<S: Simd>(simd: S, block: &mut Plane8) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        return super::transform_avx2::inverse_8x8(avx2, block);
    }
    let _ = simd;
    *block = inverse_line(transpose(inverse_line(*block)));
}

/// [`add_luma8`] of one block.
#[inline(always)]
pub(crate) fn add_8x8<S: Simd>(simd: S, prediction: &Block8, residual: &Plane8) -> Block8 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx2) = simd.level().as_avx2() {
        let mut out = [[0; 8]; 8];
        let (prediction, residual) = (prediction.as_flattened().as_chunks().0, residual.as_flattened().as_chunks().0);
        super::transform_avx2::add(avx2, prediction, residual, out.as_flattened_mut().as_chunks_mut().0);
        return out;
    }
    let _ = simd;
    std::array::from_fn(|y| std::array::from_fn(|x| sum(prediction[y][x], residual[y][x])))
}

#[cfg(test)]
mod tests {
    use fearless_simd::dispatch;

    use super::super::noise::Noise;
    use super::*;
    use crate::kernel::each_level;

    /// The basis functions, eight times their size.
    const BASIS: [[i32; 8]; 8] = [
        [8, 8, 8, 8, 8, 8, 8, 8],
        [12, 10, 6, 3, -3, -6, -10, -12],
        [8, 4, -4, -8, -8, -4, 4, 8],
        [10, -3, -12, -6, 6, 12, 3, -10],
        [8, -8, -8, 8, 8, -8, -8, 8],
        [6, -12, 3, 10, -10, -3, 12, -6],
        [4, -8, 8, -4, -4, 8, -8, 4],
        [3, -6, 10, -12, 12, -10, 6, -3],
    ];

    /// 8.5.13 as it is written, for one line.
    fn standard_line(r: [i32; 8]) -> [i32; 8] {
        let e = [
            r[0] + r[4],
            -r[3] + r[5] - r[7] - (r[7] >> 1),
            r[0] - r[4],
            r[1] + r[7] - r[3] - (r[3] >> 1),
            (r[2] >> 1) - r[6],
            -r[1] + r[7] + r[5] + (r[5] >> 1),
            r[2] + (r[6] >> 1),
            r[3] + r[5] + r[1] + (r[1] >> 1),
        ];
        let f = [
            e[0] + e[6],
            e[1] + (e[7] >> 2),
            e[2] + e[4],
            e[3] + (e[5] >> 2),
            e[2] - e[4],
            (e[3] >> 2) - e[5],
            e[0] - e[6],
            e[7] - (e[1] >> 2),
        ];
        [f[0] + f[7], f[2] + f[5], f[4] + f[3], f[6] + f[1], f[6] - f[1], f[4] - f[3], f[2] - f[5], f[0] - f[7]]
    }

    /// Rows, then columns; coefficients by `[v][u]`.
    fn standard_inverse(coefficients: [[i32; 8]; 8]) -> [[i32; 8]; 8] {
        let rows = coefficients.map(standard_line);
        let columns: [[i32; 8]; 8] = std::array::from_fn(|x| standard_line(std::array::from_fn(|y| rows[y][x])));
        std::array::from_fn(|y| std::array::from_fn(|x| columns[x][y]))
    }

    fn block(planes: &Planes8, b: usize) -> [[i32; 8]; 8] {
        std::array::from_fn(|y| std::array::from_fn(|x| i32::from(planes[8 * (b / 2) + y][8 * (b % 2) + x])))
    }

    fn turned(block: [[i32; 8]; 8]) -> [[i32; 8]; 8] {
        std::array::from_fn(|y| std::array::from_fn(|x| block[x][y]))
    }

    #[test]
    fn residuals_and_sums_are_row_by_row() {
        let mut noise = Noise(1);
        for kind in 0..30 {
            let (source, prediction): (Luma, Luma) = (noise.rows(kind), noise.rows(kind / 3));
            let wild: Planes8 = noise.signed_rows(32_000);
            each_level!(level => {
                let (mut planes, mut out) = ([[0; 16]; 16], [[0; 16]; 16]);
                dispatch!(level, simd => residual_luma8(simd, &source, &prediction, &mut planes));
                for (y, x) in (0..256).map(|at| (at / 16, at % 16)) {
                    assert_eq!(planes[y][x], i16::from(source[y][x]) - i16::from(prediction[y][x]));
                }
                let scaled = planes.map(|row| row.map(|value| value << 6));
                dispatch!(level, simd => add_luma8(simd, &prediction, &scaled, &mut out));
                assert_eq!(out, source);
                dispatch!(level, simd => add_luma8(simd, &prediction, &wild, &mut out));
                let corner = |from: &Luma| -> Block8 { std::array::from_fn(|y| std::array::from_fn(|x| from[y][x])) };
                let wild_corner = std::array::from_fn(|y| std::array::from_fn(|x| wild[y][x]));
                let one = dispatch!(level, simd => add_8x8(simd, &corner(&prediction), &wild_corner));
                assert_eq!(one, corner(&out));
                for (y, x) in (0..256).map(|at| (at / 16, at % 16)) {
                    let expected = i32::from(prediction[y][x]) + ((i32::from(wild[y][x]) + 32) >> 6);
                    assert_eq!(i32::from(out[y][x]), expected.clamp(0, 255));
                }
                let one = dispatch!(level, simd => residual_8x8(simd, &corner(&source), &corner(&prediction)));
                for y in 0..8 {
                    assert_eq!(one[y], planes[y][..8]);
                }
            });
        }
    }

    #[test]
    fn the_inverse_is_the_standard_s() {
        let mut noise = Noise(2);
        for _ in 0..200 {
            let scaled: Planes8 = noise.signed_rows(500);
            each_level!(level => {
                let mut planes = scaled;
                dispatch!(level, simd => inverse8(simd, &mut planes));
                for b in 0..4 {
                    let expected = standard_inverse(turned(block(&scaled, b)));
                    assert_eq!(block(&planes, b), expected);
                    let mut one: Plane8 = block(&scaled, b).map(|row| row.map(|value| value as i16));
                    dispatch!(level, simd => inverse_8x8(simd, &mut one));
                    assert_eq!(one.map(|row| row.map(i32::from)), expected);
                }
            });
        }
    }

    #[test]
    fn the_forward_transform_is_its_twin() {
        let mut noise = Noise(3);
        for round in 0..200 {
            let bound = if round % 2 == 0 { 255 } else { 10 };
            let mut residual: Planes8 = noise.signed_rows(bound);
            if round % 4 == 0 {
                residual = residual.map(|row| row.map(|value| 255 * value.signum()));
            }
            each_level!(level => {
                let mut planes = residual;
                dispatch!(level, simd => forward8(simd, &mut planes));
                for b in 0..4 {
                    let (samples, coefficients) = (block(&residual, b), block(&planes, b));
                    for (u, v) in (0..64).map(|at| (at / 8, at % 8)) {
                        let exact: i32 = (0..64)
                            .map(|at| samples[at / 8][at % 8] * BASIS[v][at / 8] * BASIS[u][at % 8])
                            .sum();
                        // Each pass drops fractions, and the second adds up what the first dropped.
                        assert!((64 * coefficients[u][v] - exact).abs() < 64 * 12, "{} for {exact} / 64", coefficients[u][v]);
                    }
                    let mut one: Plane8 = samples.map(|row| row.map(|value| value as i16));
                    dispatch!(level, simd => forward_8x8(simd, &mut one));
                    assert_eq!(one.map(|row| row.map(i32::from)), coefficients);
                }
            });
        }
    }
}
