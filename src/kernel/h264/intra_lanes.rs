//! Look-ups that put a block's intra modes side by side, eight to a vector: all but DC, whose prediction is flat and whose
//! distance is found from the source alone.

use super::intra_taps::{DC, DC_8, HALF, HALF_8, MODES, QUARTER, QUARTER_8, TAPS_4X4, TAPS_8X8};

/// Modes that lie in lanes.
pub(super) const LANES: usize = 8;

/// The mode of a lane: DC is left out.
pub(super) const fn mode_of(lane: usize) -> usize {
    lane + (lane >= 2) as usize
}

/// By the bits above, left and corner of what is available: what to set in the costs of modes that may not be used.
pub(super) const NEVER: [[u16; LANES]; 8] = {
    let mut never = [[0; LANES]; 8];
    let mut bits = 0;
    while bits < 8 {
        let available = super::intra::Available { above: bits & 1 != 0, left: bits & 2 != 0, corner: bits & 4 != 0 };
        let mut lane = 0;
        while lane < LANES {
            if available.modes() >> mode_of(lane) & 1 == 0 {
                never[bits][lane] = u16::MAX;
            }
            lane += 1;
        }
        bits += 1;
    }
    never
};

/// Byte shuffles give zero for this index.
const NOTHING: u8 = 0x80;

/// The shuffle that takes from table `part` of 16 bytes what `place` asks for, if it lies there.
const fn shuffle(place: usize, part: usize) -> u8 {
    if place / 16 == part { (place % 16) as u8 } else { NOTHING }
}

/// By row of a 4x4 block and table (neighbours, means of two, means of three): samples 0, 1 in the lower and 2, 3 in the upper
/// 128 bits, eight modes each.
pub(super) const SHUFFLES_4X4: [[[u8; 32]; 3]; 4] = {
    let mut all = [[[0; 32]; 3]; 4];
    let mut at = 0;
    while at < 4 * 3 * 32 {
        let (y, part, byte) = (at / 96, at / 32 % 3, at % 32);
        all[y][part][byte] = shuffle(TAPS_4X4[mode_of(byte % 8)][4 * y + byte / 8] as usize, part);
        at += 1;
    }
    all
};

/// By mode and table: a whole 4x4 block.
pub(super) const BLOCKS_4X4: [[[u8; 16]; 3]; MODES] = {
    let mut all = [[[0; 16]; 3]; MODES];
    let mut at = 0;
    while at < MODES * 3 * 16 {
        let (mode, part, byte) = (at / 48, at / 16 % 3, at % 16);
        all[mode][part][byte] = shuffle(TAPS_4X4[mode][byte] as usize, part);
        at += 1;
    }
    all
};

/// As [`SHUFFLES_4X4`], by quarter of an 8x8 block, row of the quarter, and table.
pub(super) const SHUFFLES_8X8: [[[[u8; 32]; 6]; 4]; 4] = {
    let mut all = [[[[0; 32]; 6]; 4]; 4];
    let mut at = 0;
    while at < 4 * 4 * 6 * 32 {
        let (quarter, row, part, byte) = (at / 768, at / 192 % 4, at / 32 % 6, at % 32);
        let (x, y) = (4 * (quarter % 2) + byte / 8, 4 * (quarter / 2) + row);
        all[quarter][row][part][byte] = shuffle(TAPS_8X8[mode_of(byte % 8)][8 * y + x] as usize, part);
        at += 1;
    }
    all
};

/// By mode, half and table: a whole 8x8 block.
pub(super) const BLOCKS_8X8: [[[[u8; 32]; 6]; 2]; MODES] = {
    let mut all = [[[[0; 32]; 6]; 2]; MODES];
    let mut at = 0;
    while at < MODES * 2 * 6 * 32 {
        let (mode, half, part, byte) = (at / 384, at / 192 % 2, at / 32 % 6, at % 32);
        all[mode][half][part][byte] = shuffle(TAPS_8X8[mode][32 * half + byte] as usize, part);
        at += 1;
    }
    all
};

// What the shuffles above take for granted.
const _: () = assert!(DC < 16 && HALF == 16 && QUARTER == 32 && DC_8 == 31 && HALF_8 == 32 && QUARTER_8 == 64);
