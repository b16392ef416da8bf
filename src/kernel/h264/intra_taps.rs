//! Where the directional modes of Intra_4x4 and Intra_8x8 (ITU-T H.264 8.3.1.2, 8.3.2.2) take each sample from.
//!
//! The neighbours of a block form one line, from the left column's bottom over the corner to the end of the row above. Every
//! mode copies a neighbour, or a mean of two, or one of three, or the mean of all: with those in one table, a prediction is a
//! look-up. Both ends of the line are thought to go on as they are.

/// Modes of Intra_4x4 and of Intra_8x8.
pub(super) const MODES: usize = 9;
/// Place of the mean of all in a 4x4 block's table, whose neighbours themselves lie from 0 on.
pub(super) const DC: usize = 13;
/// Place of the means of two, neighbours -1 and 0 first.
pub(super) const HALF: usize = 16;
/// Place of the means of three, the one about neighbour 0 first.
pub(super) const QUARTER: usize = 32;
/// As [`DC`], of an 8x8 block.
pub(super) const DC_8: usize = 31;
/// As [`HALF`], of an 8x8 block.
pub(super) const HALF_8: usize = 32;
/// As [`QUARTER`], of an 8x8 block.
pub(super) const QUARTER_8: usize = 64;

/// By mode and position, 4 * y + x: the place in a 4x4 block's table.
pub(super) const TAPS_4X4: [[u8; 16]; MODES] = taps::<16>(4, [0, DC, HALF, QUARTER]);
/// By mode and position, 8 * y + x: the place in an 8x8 block's table.
pub(super) const TAPS_8X8: [[u8; 64]; MODES] = taps::<64>(8, [0, DC_8, HALF_8, QUARTER_8]);

const fn taps<const AREA: usize>(size: usize, places: [usize; 4]) -> [[u8; AREA]; MODES] {
    let mut taps = [[0; AREA]; MODES];
    let mut mode = 0;
    while mode < MODES {
        let mut p = 0;
        while p < AREA {
            taps[mode][p] = match tap(size as isize, mode, (p % size) as isize, (p / size) as isize) {
                Tap::One(k) => places[0] as isize + k,
                Tap::All => places[1] as isize,
                Tap::Two(k) => places[2] as isize + k + 1,
                Tap::Three(k) => places[3] as isize + k,
            } as u8;
            p += 1;
        }
        mode += 1;
    }
    taps
}

enum Tap {
    One(isize),
    /// This neighbour and the next.
    Two(isize),
    /// This neighbour and those about it.
    Three(isize),
    All,
}

/// `n` is the block's size, and the corner's place on the line.
const fn tap(n: isize, mode: usize, x: isize, y: isize) -> Tap {
    match mode {
        0 => Tap::One(n + 1 + x),
        1 => Tap::One(n - 1 - y),
        2 => Tap::All,
        3 => Tap::Three(n + 2 + x + y),
        4 => Tap::Three(n + x - y),
        5 => match 2 * x - y {
            z if z < -1 => Tap::Three(n + 1 + z),
            z if z % 2 == 0 => Tap::Two(n + x - y / 2),
            _ => Tap::Three(n + x - y / 2),
        },
        6 => match 2 * y - x {
            z if z < -1 => Tap::Three(n - 1 - z),
            z if z % 2 == 0 => Tap::Two(n - 1 - y + x / 2),
            _ => Tap::Three(n - y + x / 2),
        },
        7 if y % 2 == 0 => Tap::Two(n + 1 + x + y / 2),
        7 => Tap::Three(n + 2 + x + y / 2),
        _ => match x + 2 * y {
            z if z > 2 * n - 3 => Tap::One(0),
            z if z % 2 == 0 => Tap::Two(n - 2 - y - x / 2),
            _ => Tap::Three(n - 2 - y - x / 2),
        },
    }
}
