//! Small tables of the standard that several stages share.

/// QPc of chroma by qPI (Table 8-15).
pub(super) const CHROMA_QP: [u8; 52] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 29,
    30, 31, 32, 32, 33, 34, 34, 35, 35, 36, 36, 37, 37, 37, 38, 38, 38, 39, 39, 39, 39,
];

/// Blocks (raster) whose above right neighbour is coded before them, or lies above the macroblock: one bit each, for 4x4 blocks.
/// Block 3 depends on the macroblock above right.
pub(super) const HAS_ABOVE_RIGHT: u16 = 0b0101_0111_0101_1111;

/// What a bit costs in units of SATD, by quantiser parameter: about 2^((qp - 12) / 6).
pub(super) const LAMBDA: [u16; 52] = {
    // 2^(k / 6) in sixteenths.
    let sixths = [16_u32, 18, 20, 23, 25, 29];
    let mut table = [1_u16; 52];
    let mut qp = 12;
    while qp < 52 {
        let k = qp - 12;
        table[qp] = (((sixths[k % 6] << (k / 6)) + 8) / 16) as u16;
        qp += 1;
    }
    table
};

/// The quantiser parameter of chroma for one of luma.
#[inline(always)]
pub(super) fn chroma_qp(qp: u8, offset: i8) -> u8 {
    CHROMA_QP[(i32::from(qp) + i32::from(offset)).clamp(0, 51) as usize]
}

/// The quantiser's step by quantiser parameter, in luma levels, rounded up: 0.625 * 2^(qp / 6).
pub(super) const STEP: [u16; 52] = {
    let first = [10_u32, 11, 13, 14, 16, 18];
    let mut table = [0; 52];
    let mut qp = 0;
    while qp < 52 {
        table[qp] = (first[qp % 6] << (qp / 6)).div_ceil(16) as u16;
        qp += 1;
    }
    table
};
