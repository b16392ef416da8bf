//! The 4x4 transform (ITU-T H.264 8.5.12.2) of all blocks of a macroblock, one block to a lane, and of single blocks.

use fearless_simd::Simd;

use super::{Chroma, Luma, Planes};

/// A 4x4 block of samples, row by row.
pub(crate) type Block = [[u8; 4]; 4];

/// Source minus prediction, turned to planes.
#[inline(always)]
pub(crate) fn residual_luma<S: Simd>(simd: S, source: &Luma, prediction: &Luma, out: &mut Planes<16>) {
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
fn both<const N: usize>(planes: &mut Planes<N>, line: impl Fn([[i16; N]; 4]) -> [[i16; N]; 4]) {
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

/// One pass of the 4x4 Hadamard transform of 8.5.10.
#[inline(always)]
fn hadamard_line(d: [[i32; 1]; 4]) -> [[i32; 1]; 4] {
    let [[a], [b], [c], [d]] = d;
    [[a + b + c + d], [a + b - c - d], [a - b - c + d], [a - b + c - d]]
}

/// The Hadamard transform of DC coefficients, index 4 * y + x.
#[inline(always)]
fn hadamard_4x4(dc: [i16; 16]) -> [i32; 16] {
    let mut d = dc.map(i32::from);
    for y in 0..4 {
        let turned = hadamard_line([[d[4 * y]], [d[4 * y + 1]], [d[4 * y + 2]], [d[4 * y + 3]]]);
        for x in 0..4 {
            d[4 * y + x] = turned[x][0];
        }
    }
    for x in 0..4 {
        let turned = hadamard_line([[d[x]], [d[4 + x]], [d[8 + x]], [d[12 + x]]]);
        for y in 0..4 {
            d[4 * y + x] = turned[y][0];
        }
    }
    d
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
