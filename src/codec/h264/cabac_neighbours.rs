//! What CABAC's contexts ask of the macroblocks to the left and above (ITU-T H.264 9.3.3.1.1, 9.3.3.1.1.9).

use super::macroblock::{Kind, Macroblock};

/// Blocks whose coded_block_flag is one: 4x4 luma blocks in raster order from bit 0, AC blocks of Cb from bit 16 and of
/// Cr from bit 20, then the three DC blocks.
pub(super) mod coded {
    pub(in super::super) const CHROMA_AC: u32 = 16;
    pub(in super::super) const LUMA_DC: u32 = 24;
    pub(in super::super) const CHROMA_DC: u32 = 25;
    pub(in super::super) const ALL: u32 = (1 << 27) - 1;
}

/// The 4x4 luma blocks of the quadrants that a coded_block_pattern names.
const BLOCKS_OF_QUADRANTS: [u16; 16] = {
    let mut table = [0; 16];
    let mut cbp = 0;
    while cbp < 16 {
        let quadrants = [0x0033, 0x00CC, 0x3300, 0xCC00];
        let mut at = 0;
        while at < 4 {
            if cbp >> at & 1 == 1 {
                table[cbp] |= quadrants[at];
            }
            at += 1;
        }
        cbp += 1;
    }
    table
};

/// What is remembered of a coded macroblock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    /// See [`coded`].
    pub(super) coded: u32,
    /// Absolute mvd of the two 8x8 blocks at the edge (right, or bottom), x and y, at most 255.
    pub(super) mvd: [[u8; 2]; 2],
    /// coded_block_pattern, as the contexts see it: I_PCM has everything, what isn't there has luma but no chroma.
    pub(super) cbp: u8,
    /// It is there. So do the others, it answers false for what isn't.
    pub(super) is_available: bool,
    /// It is there and isn't P_Skip.
    pub(super) is_not_skipped: bool,
    /// It is there and neither Intra_4x4 nor Intra_8x8.
    pub(super) is_not_nxn: bool,
    /// It is intra, not I_PCM, and its intra_chroma_pred_mode isn't DC.
    pub(super) has_chroma_mode: bool,
    /// Its transform_size_8x8_flag is one.
    pub(super) has_transform_8x8: bool,
}

impl Neighbour {
    /// Outside the slice.
    pub(super) const NONE: Self = Self {
        coded: 0,
        mvd: [[0; 2]; 2],
        cbp: 0x0F,
        is_available: false,
        is_not_skipped: false,
        is_not_nxn: false,
        has_chroma_mode: false,
        has_transform_8x8: false,
    };

    /// P_Skip.
    pub(super) const SKIPPED: Self = Self { cbp: 0, is_available: true, is_not_nxn: true, ..Self::NONE };

    /// I_PCM.
    pub(super) const PCM: Self = Self { coded: coded::ALL, cbp: 0x2F, is_not_skipped: true, ..Self::SKIPPED };

    /// Any other macroblock, but for its mvd.
    pub(super) fn of(mb: &Macroblock, has_transform_8x8: bool) -> Self {
        let is_intra = !matches!(mb.kind, Kind::Inter(_));
        Self {
            coded: coded_blocks(mb, has_transform_8x8),
            mvd: [[0; 2]; 2],
            cbp: mb.cbp,
            is_available: true,
            is_not_skipped: true,
            is_not_nxn: !matches!(mb.kind, Kind::Intra4x4 | Kind::Intra8x8),
            has_chroma_mode: is_intra && mb.chroma_mode != 0,
            has_transform_8x8,
        }
    }

    /// Its blocks as a neighbour of a macroblock: what isn't there counts as coded for intra, and as not coded for
    /// inter.
    pub(super) fn coded_for(&self, is_intra: bool) -> u32 {
        if is_intra && !self.is_available { coded::ALL } else { self.coded }
    }
}

fn coded_blocks(mb: &Macroblock, has_transform_8x8: bool) -> u32 {
    if mb.cbp == 0 && !matches!(mb.kind, Kind::Intra16x16(_)) {
        return 0;
    }
    // 8x8 blocks have no coded_block_flag: it counts as one.
    let mask = if has_transform_8x8 { u16::MAX } else { mb.levels.luma_mask };
    let mut blocks = u32::from(BLOCKS_OF_QUADRANTS[usize::from(mb.cbp & 15)] & mask);
    if matches!(mb.kind, Kind::Intra16x16(_)) {
        blocks |= u32::from(mb.levels.luma_dc_coded) << coded::LUMA_DC;
    }
    if mb.cbp >= 16 {
        for (at, levels) in mb.levels.chroma_dc.iter().enumerate() {
            blocks |= u32::from(*levels != [0; 4]) << (coded::CHROMA_DC + at as u32);
        }
    }
    if mb.cbp >= 32 {
        let [cb, cr] = mb.levels.chroma_mask.map(|mask| u32::from(mask & 15));
        blocks |= (cb | cr << 4) << coded::CHROMA_AC;
    }
    blocks
}
