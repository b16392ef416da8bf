//! How far luma is from what it was, without decoding it.

/// What quantising took from luma, as a decoder's samples show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LumaError {
    /// Sum of squares, in the transform's scale.
    squares: u64,
    blocks: u64,
}

/// Sum of squares of a block whose samples are off by one, in the transform's scale.
const UNIT_SQUARES: u32 = 64 * 64;
/// Steps of [`ROUNDED`] to a variance of one.
const ROUNDED_STEPS: u32 = 32;
/// Sums of squares after samples with errors of a normal distribution were rounded, by the variance of the errors from 0 to 1:
/// the small ones vanish, and in the end a twelfth is added.
#[rustfmt::skip]
const ROUNDED: [u32; ROUNDED_STEPS as usize + 1] = [
    0, 19, 186, 420, 645, 845, 1023, 1184, 1333, 1474, 1610, 1742, 1873, 2003, 2132, 2261, 2389, 2517, 2645,
    2773, 2901, 3029, 3157, 3285, 3413, 3541, 3669, 3797, 3925, 4053, 4181, 4309, 4437,
];

impl LumaError {
    /// Of a block, by the squares of what its coefficients lost: the transform keeps squares as they are (Parseval's theorem),
    /// and decoders round.
    #[inline(always)]
    pub(super) fn of_block(squares: u32) -> Self {
        let step = UNIT_SQUARES / ROUNDED_STEPS;
        let (at, part) = ((squares / step) as usize, squares % step);
        let rounded = match ROUNDED.get(at..at + 2) {
            Some(&[low, high]) => low + (high - low) * part / step,
            _ => squares + UNIT_SQUARES / 12,
        };
        Self { squares: u64::from(rounded), blocks: 1 }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.squares += other.squares;
        self.blocks += other.blocks;
    }

    /// Peak signal to noise of the decoded luma, dB; infinite where nothing was lost.
    pub(super) fn psnr_db(self) -> f64 {
        let mean = self.squares as f64 / f64::from(UNIT_SQUARES) / self.blocks.max(1) as f64;
        10.0 * (255.0 * 255.0 / mean).log10()
    }
}
