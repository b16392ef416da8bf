//! What quantisation needs of a quantiser parameter (ITU-T H.264 8.5.9, flat scaling matrices), computed once.

/// normAdjust4x4: of positions with even coordinates, odd coordinates, and the rest.
const STEPS_4X4: [[i32; 3]; 6] = [[10, 16, 13], [11, 18, 14], [13, 20, 16], [14, 23, 18], [16, 25, 20], [18, 29, 23]];

/// normAdjust8x8, by the six classes of positions.
const STEPS_8X8: [[i32; 6]; 6] = [
    [20, 18, 32, 19, 25, 24],
    [22, 19, 35, 21, 28, 26],
    [26, 23, 42, 24, 33, 31],
    [28, 25, 45, 26, 35, 33],
    [32, 28, 51, 30, 40, 38],
    [36, 32, 58, 34, 46, 43],
];

/// The class of a position of a 4x4 block.
const fn class_4x4(position: usize) -> usize {
    match (position % 2, position / 4 % 2) {
        (0, 0) => 0,
        (1, 1) => 1,
        _ => 2,
    }
}

/// The class of a position of an 8x8 block.
const fn class_8x8(x: usize, y: usize) -> usize {
    match (x % 4, y % 4) {
        (0, 0) => 0,
        (1 | 3, 1 | 3) => 1,
        (2, 2) => 2,
        (0, 1 | 3) | (1 | 3, 0) => 3,
        (0, 2) | (2, 0) => 4,
        _ => 5,
    }
}

/// Where levels begin, in 64ths of a step that are added before rounding down: 32 would round to the nearest, less makes a dead
/// zone about zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounding {
    /// At the lowest frequency, and how much less at the highest. Levels are the rarer the higher their frequency, so they take
    /// more bits, and the zeros before them, too.
    pub(crate) low: u32,
    pub(crate) fall: u32,
}

impl Rounding {
    /// The same everywhere.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn even(offset_64ths: u32) -> Self {
        Self { low: offset_64ths, fall: 0 }
    }

    /// At the frequency that is `part` of `whole`.
    const fn at(self, part: usize, whole: usize) -> u32 {
        self.low - self.fall * part as u32 / whole as u32
    }

    /// For levels of the second transform, whose frequencies are all low.
    const fn middle(self) -> u32 {
        self.at(1, 2)
    }
}

/// What is added to a coefficient before it is divided, as u16: `offset_64ths` of the step a factor stands for.
fn bias(factor: u16, offset_64ths: u32) -> u16 {
    ((offset_64ths << 10) / u32::from(factor).max(1)) as u16
}

/// The largest magnitude that becomes zero.
fn limit(factor: u16, bias: u16) -> u16 {
    (65535 / u32::from(factor).max(1)).saturating_sub(u32::from(bias)) as u16
}

/// 4x4 blocks at one quantiser parameter. The level of a coefficient `c` is `((|c| + bias) * factor) >> 16` with its sign; a
/// level stands for `level * step`.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Quantiser {
    /// By position, 4 * y + x.
    pub(super) factor: [u16; 16],
    pub(super) bias: [u16; 16],
    pub(super) limit: [u16; 16],
    pub(super) step: [i16; 16],
    /// Of the second transform's coefficients: `(|c| * dc_factor + dc_offset) >> dc_shift`.
    pub(super) dc_factor: u32,
    pub(super) dc_offset: u32,
    pub(super) dc_shift: u32,
    /// LevelScale4x4 of position 0, and qP / 6.
    pub(super) dc_scale: i32,
    pub(super) octave: u32,
    /// The most that differences of a 4x4 block may add up to, signs aside, for all its levels to be zero whatever they are;
    /// and those of a colour, for its second transform's.
    pub(crate) sad_limit: u16,
    pub(crate) dc_sad_limit: u16,
}

/// The most that a difference of one weighs in the coefficient of a position.
const fn gain(position: usize) -> u16 {
    [1, 4, 2][class_4x4(position)]
}

impl Quantiser {
    /// For quantiser parameter `qp`, 0..=51.
    pub(crate) fn new(qp: u8, rounding: Rounding) -> Self {
        let qp = usize::from(qp.min(51));
        let octave = (qp / 6) as u32;
        let step: [i16; 16] = std::array::from_fn(|p| (STEPS_4X4[qp % 6][class_4x4(p)] << octave) as i16);
        // 2^16 times 64 over the basis function's squared length, 16, 100 or 40, in the inverse transform's scale.
        let factor: [u16; 16] = std::array::from_fn(|p| {
            let (numerator, denominator) = [(1, 1), (16, 25), (4, 5)][class_4x4(p)];
            let divisor = denominator * u32::from(step[p] as u16);
            (((numerator << 18) + divisor / 2) / divisor) as u16
        });
        let bias: [u16; 16] = std::array::from_fn(|p| bias(factor[p], rounding.at(p % 4 + p / 4, 6)));
        let limit: [u16; 16] = std::array::from_fn(|p| limit(factor[p], bias[p]));
        let scale = STEPS_4X4[qp % 6][0];
        let dc_factor = ((1 << 17) + scale as u32 / 2) / scale as u32;
        let (dc_offset, dc_shift) = (rounding.middle() << (10 + octave), 16 + octave);
        let sad_limits: [u16; 16] = std::array::from_fn(|p| limit[p] / gain(p));
        Self {
            factor,
            bias,
            limit,
            step,
            sad_limit: sad_limits.into_iter().fold(u16::MAX, u16::min),
            dc_sad_limit: (((1 << dc_shift) - 1 - dc_offset) / dc_factor).min(u32::from(u16::MAX)) as u16,
            dc_factor,
            dc_offset,
            dc_shift,
            dc_scale: 16 * scale,
            octave,
        }
    }
}

/// 8x8 blocks at one quantiser parameter, as [`Quantiser`]: by row of a block, two blocks side by side. A level stands for
/// `(level * step + rounding) >> shift`.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Quantiser8 {
    pub(super) factor: [[u16; 16]; 8],
    pub(super) bias: [[u16; 16]; 8],
    pub(super) step: [[i16; 16]; 8],
    /// 2, 1 and then 0 for quantiser parameters 0..=5, 6..=11 and from 12 on.
    pub(super) shift: u32,
}

impl Quantiser8 {
    /// As [`Quantiser::new`].
    pub(crate) fn new(qp: u8, rounding: Rounding) -> Self {
        /// Squared lengths of the basis functions of one dimension, 64 times.
        const LENGTHS: [u64; 4] = [512, 578, 320, 578];
        let qp = usize::from(qp.min(51));
        let octave = qp / 6;
        let norm = |x: usize, y: usize| STEPS_8X8[qp % 6][class_8x8(x, y)];
        let each = |of: &dyn Fn(usize, usize) -> u16| -> [[u16; 16]; 8] {
            std::array::from_fn(|y| std::array::from_fn(|x| of(x % 8, y)))
        };
        let factor = each(&|x, y| {
            let divisor = LENGTHS[x % 4] * LENGTHS[y % 4] * ((norm(x, y) as u64) << octave);
            (((1 << 36) + divisor / 2) / divisor) as u16
        });
        Self {
            factor,
            bias: each(&|x, y| bias(factor[y][x], rounding.at(x + y, 14))),
            step: each(&|x, y| (norm(x, y) << octave.saturating_sub(2)) as u16).map(|row| row.map(|step| step as i16)),
            shift: 2_usize.saturating_sub(octave) as u32,
        }
    }
}

/// Both block sizes at one quantiser parameter and dead zone.
#[derive(Clone, Debug)]
pub(crate) struct QuantiserPair {
    pub(crate) four: Quantiser,
    pub(crate) eight: Quantiser8,
}

/// The quantisers of all quantiser parameters, for intra and inter prediction.
#[derive(Clone, Debug)]
pub(crate) struct Quantisers {
    intra: Vec<QuantiserPair>,
    inter: Vec<QuantiserPair>,
}

impl Quantisers {
    /// With the rounding of intra and of inter prediction.
    pub(crate) fn new(intra: Rounding, inter: Rounding) -> Self {
        let all = |rounding: Rounding| {
            let pair = |qp| QuantiserPair { four: Quantiser::new(qp, rounding), eight: Quantiser8::new(qp, rounding) };
            (0..=51).map(pair).collect()
        };
        Self { intra: all(intra), inter: all(inter) }
    }

    /// For intra prediction at `qp`; what lies above 51 is taken for 51.
    #[inline(always)]
    pub(crate) fn intra(&self, qp: u8) -> &QuantiserPair {
        &self.intra[usize::from(qp.min(51))]
    }

    /// For inter prediction at `qp`; what lies above 51 is taken for 51.
    #[inline(always)]
    pub(crate) fn inter(&self, qp: u8) -> &QuantiserPair {
        &self.inter[usize::from(qp.min(51))]
    }
}
