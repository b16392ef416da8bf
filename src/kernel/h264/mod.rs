//! Kernels of the H.264 encoder: distances, transforms, prediction, interpolation and deblocking of macroblocks.
//!
//! Chroma of a 4:2:0 macroblock is held interleaved, Cb and Cr in turn, so that its rows are as wide as luma's.

/// Luma of a macroblock, row by row.
pub(crate) type Luma = [[u8; 16]; 16];
/// Chroma of a macroblock: 8 rows of 8 pairs Cb, Cr.
pub(crate) type Chroma = [[u8; 16]; 8];
/// A 4x4 position's residuals or coefficients (index 4 * y + x) of `N` blocks side by side.
pub(crate) type Planes<const N: usize> = [[i16; N]; 16];
