//! How a macroblock is coded: the choice between its kinds.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::block::{Here, Made};
use super::intra::{ALL_MODES, NOT_ABOVE_RIGHT, Small, code_4x4, code_8x8, neighbours_16x16, neighbours_chroma};
use super::macroblock::{Kind, Partition};
use super::motion::{Base, Search, Window, predict_chroma, predict_luma};
use super::mv::Mv;
use super::partition::{self, Motion, promising, refine, type_bits};
use super::residual::{Coded, chroma, is_all_zero, luma_cbp, luma_levels, luma4, luma8, luma16};
use super::slice::SliceJob;
use super::tables::{STEP, chroma_qp};
use crate::kernel::h264::intra::{intra_chroma, intra16};
use crate::kernel::h264::intra_search::{search_16x16, search_chroma};
use crate::kernel::h264::sad::sad_quadrants;
use crate::kernel::h264::{Chroma, Luma};

/// Bits that Intra_4x4 and Intra_8x8 take beyond their modes', against Intra_16x16.
const SMALL_INTRA_BITS: u32 = 4;
/// As [`SMALL_INTRA_BITS`] in P slices, whose neighbours and contexts favour motion.
const SMALL_INTRA_IN_P_BITS: u32 = 24;
/// SAD of a quadrant, in steps of the quantiser, beyond which some coefficient is all but sure to be coded: the exact test isn't
/// worth its time.
const SKIP_STEPS: u32 = 28;
/// What 8x8 transforms may leave, in quarters of a bit, for 4x4 ones not to be tried.
const SPARSE: u32 = 200;
/// What motion must cost, in bits' worth, before intra prediction is tried against it.
const INTRA_TRIAL_BITS: u32 = 40;
/// What an intra macroblock's type costs in a P slice, bits.
const INTRA_IN_P_BITS: u32 = 5;

/// The luma prediction that an intra macroblock settled on.
enum IntraLuma {
    Whole { mode: u8, prediction: Luma },
    Small { kind: Kind, small: Small },
}

impl SliceJob<'_> {
    /// Codes a macroblock of an I slice.
    #[simd]
    pub(super) fn code_i<S: Simd>(&mut self, simd: S, here: &Here) -> Made {
        if self.plan.is_least {
            return self.make_flat(simd, here);
        }
        let (luma, _) = self.choose_intra(simd, here, u32::MAX);
        self.make_intra(simd, here, luma)
    }

    /// The least an intra macroblock can be: DC prediction and nothing else.
    #[simd]
    fn make_flat<S: Simd>(&mut self, simd: S, here: &Here) -> Made {
        let macroblock = &mut *self.coder.macroblock;
        macroblock.kind = Kind::Intra16x16(2);
        macroblock.transform_8x8 = false;
        macroblock.cbp = 0;
        macroblock.chroma_mode = 0;
        macroblock.qp_delta = 0;
        macroblock.levels.luma_mask = 0;
        macroblock.levels.luma_dc_coded = false;
        macroblock.levels.chroma_mask = [0; 2];
        let luma = intra16(simd, 2, &neighbours_16x16(here));
        Made::intra(luma, intra_chroma(simd, 0, &neighbours_chroma(here)))
    }

    /// The macroblock's samples as they are.
    pub(super) fn make_raw(&mut self, here: &Here) -> Made {
        let macroblock = &mut *self.coder.macroblock;
        macroblock.kind = Kind::Pcm;
        *macroblock.pcm = (here.luma, here.chroma);
        Made { mask: u16::MAX, ..Made::intra(here.luma, here.chroma) }
    }

    /// The intra prediction of luma with the least cost, small blocks only if they may get under `limit`.
    #[simd]
    fn choose_intra<S: Simd>(&mut self, simd: S, here: &Here, limit: u32) -> (IntraLuma, u32) {
        let lambda = here.lambda;
        let costs = [1, 2, 2, 3].map(|bits| (bits * lambda) as u16);
        let (mode, whole_cost, prediction) = search_16x16(simd, &here.luma, &neighbours_16x16(here), &costs, limit);
        let mut best = IntraLuma::Whole { mode, prediction };
        let mut best_cost = whole_cost;
        let is_p = self.plan.base.is_some();
        // Where the whole is no match for motion, small blocks seldom are.
        if is_p && (!self.plan.tools.small_intra_in_p || whole_cost > limit) {
            return (best, best_cost);
        }
        let allowed = if self.plan.refresh.is_some() { NOT_ABOVE_RIGHT } else { ALL_MODES };
        let levels = &mut self.coder.macroblock.levels;
        let quantiser = self.plan.intra_quantisers(here.qp);
        let overhead = if is_p { SMALL_INTRA_IN_P_BITS } else { SMALL_INTRA_BITS } * lambda;
        if self.plan.tools.transform_8x8 {
            let limit = best_cost.min(limit).saturating_sub(overhead);
            if let Some(small) = code_8x8(simd, here, &quantiser.eight, lambda, allowed, limit, levels) {
                best_cost = small.cost + overhead;
                best = IntraLuma::Small { kind: Kind::Intra8x8, small };
            }
        }
        let limit = best_cost.min(limit).saturating_sub(overhead);
        if let Some(small) = code_4x4(simd, here, &quantiser.four, lambda, allowed, limit, levels) {
            best_cost = small.cost + overhead;
            best = IntraLuma::Small { kind: Kind::Intra4x4, small };
        }
        (best, best_cost)
    }

    #[simd]
    fn make_intra<S: Simd>(&mut self, simd: S, here: &Here, luma: IntraLuma) -> Made {
        let macroblock = &mut *self.coder.macroblock;
        let quantiser = &self.plan.intra_quantisers(here.qp).four;
        let mut made = Made::intra([[0; 16]; 16], [[0; 16]; 8]);
        match luma {
            IntraLuma::Whole { mode, prediction } => {
                let mask = luma16(simd, &here.luma, &prediction, quantiser, &mut macroblock.levels, &mut made.luma);
                macroblock.kind = Kind::Intra16x16(mode);
                macroblock.cbp = if mask == 0 { 0 } else { 15 };
                macroblock.transform_8x8 = false;
                made.mask = mask;
            }
            IntraLuma::Small { kind, small } => {
                macroblock.kind = kind;
                macroblock.transform_8x8 = kind == Kind::Intra8x8;
                macroblock.intra_symbols = small.symbols;
                macroblock.levels.luma_mask = small.mask;
                macroblock.cbp = luma_cbp(small.mask);
                made.luma = small.luma;
                made.mask = small.mask;
                made.modes_below = small.modes_below;
                made.modes_right = small.modes_right;
                made.transform_8x8 = macroblock.transform_8x8;
            }
        }
        let costs = [1, 3, 3, 5].map(|bits| (bits * here.lambda) as u16);
        let (mode, _, prediction) = search_chroma(simd, &here.chroma, &neighbours_chroma(here), &costs);
        macroblock.chroma_mode = mode;
        let quantiser = &self.plan.intra_quantisers(chroma_qp(here.qp, self.plan.chroma_qp_offset)).four;
        let cbp = chroma(simd, &here.chroma, &prediction, quantiser, &mut macroblock.levels, &mut made.chroma);
        macroblock.cbp |= cbp << 4;
        macroblock.qp_delta = here.qp as i8 - self.coder.last_qp as i8;
        made
    }

    /// Codes a macroblock of a P slice.
    #[simd]
    pub(super) fn code_p<S: Simd>(&mut self, simd: S, here: &Here, base: Base<'_>, window: &Window) -> Made {
        let neighbours = self.coder.field.neighbours(2 * here.x, 2 * here.y, 2, true);
        let skip = neighbours.skip();
        if self.plan.is_least {
            return self.make_skip(simd, base, window, skip);
        }
        if self.plan.refresh.is_some_and(|refresh| refresh.holds(here.x)) {
            let (luma, _) = self.choose_intra(simd, here, u32::MAX);
            return self.make_intra(simd, here, luma);
        }
        if window.holds(skip)
            && let Some(made) = self.try_skip(simd, here, base, window, skip)
        {
            return made;
        }
        let (x8, y8) = (2 * here.x as isize, 2 * (self.coder.rows.start + here.y) as isize);
        let candidates = [
            Mv::ZERO,
            neighbours.a.mv(),
            neighbours.b.mv(),
            neighbours.c.mv(),
            self.plan.past.motion.at(x8, y8).mv(),
            self.plan.displacements[0],
            self.plan.displacements[1],
            self.plan.past.motion.at(x8 + 2, y8 + 2).mv(),
        ];
        let median = neighbours.median();
        let mut search = Search {
            plane: base.searched,
            window: *window,
            prediction: median,
            lambda: here.lambda,
            steps: self.plan.tools.search_steps,
            fractions: self.plan.tools.fractions,
            has_parts: self.plan.tools.partitions,
            enough_bits: self.plan.tools.enough_bits,
        };
        let parts = search.whole(simd, here, &candidates);
        let mut luma = [[0; 16]; 16];
        let found = search.fraction(simd, here, parts.at[0], &mut self.coder.half, &mut luma);
        let mut motion = Motion {
            partition: Partition::Whole,
            mvs: [found.mv; 4],
            mvd: [found.mv.minus(median); 4],
            cost: found.cost + type_bits(Partition::Whole) * here.lambda,
            luma,
        };
        if self.plan.tools.partitions
            && let Some(partition) = promising(&parts, here.lambda)
        {
            let cut = refine(simd, here, &mut self.coder.field, partition, &parts, &mut search);
            if cut.cost < motion.cost {
                motion = cut;
            }
        }
        let intra_limit = motion.cost.saturating_sub(INTRA_IN_P_BITS * here.lambda);
        if motion.cost > INTRA_TRIAL_BITS * here.lambda {
            let (luma, cost) = self.choose_intra(simd, here, intra_limit);
            if cost < intra_limit {
                return self.make_intra(simd, here, luma);
            }
        }
        if base.weights.is_some() {
            partition::weighted_luma(simd, base, window, &mut motion);
        }
        self.make_inter(simd, here, base, window, &motion, skip)
    }

    /// The macroblock as skipped, if nothing of its residual is worth coding.
    #[simd]
    fn try_skip<S: Simd>(&mut self, simd: S, here: &Here, base: Base<'_>, window: &Window, skip: Mv) -> Option<Made> {
        let mut luma = [[0; 16]; 16];
        predict_luma(simd, base, window, skip, &mut luma);
        let sads = sad_quadrants(simd, &here.luma, luma.as_flattened(), 16);
        let zero = u32::from(self.plan.quantisers.inter(here.qp).four.sad_limit);
        let limit = SKIP_STEPS * u32::from(STEP[usize::from(here.qp)]);
        if sads.into_iter().any(|sad| sad > limit) {
            return None;
        }
        let quantiser = &self.plan.quantisers.inter(here.qp).four;
        if sads.into_iter().any(|sad| sad > zero)
            && !is_all_zero(simd, &here.luma, &luma, quantiser, self.plan.tools.strict_skip)
        {
            return None;
        }
        let mut chroma_prediction: Chroma = [[0; 16]; 8];
        predict_chroma(simd, base, window, skip, &mut chroma_prediction);
        let macroblock = &mut *self.coder.macroblock;
        let quantiser = &self.plan.quantisers.inter(chroma_qp(here.qp, self.plan.chroma_qp_offset)).four;
        let mut made_chroma = [[0; 16]; 8];
        if chroma(simd, &here.chroma, &chroma_prediction, quantiser, &mut macroblock.levels, &mut made_chroma) != 0 {
            return None;
        }
        macroblock.kind = Kind::Skip;
        macroblock.cbp = 0;
        Some(Made::inter(luma, chroma_prediction, [skip; 4]))
    }

    /// The macroblock as skipped, whatever it was.
    #[simd]
    fn make_skip<S: Simd>(&mut self, simd: S, base: Base<'_>, window: &Window, skip: Mv) -> Made {
        let (mut luma, mut chroma) = ([[0; 16]; 16], [[0; 16]; 8]);
        predict_luma(simd, base, window, skip, &mut luma);
        predict_chroma(simd, base, window, skip, &mut chroma);
        self.coder.macroblock.kind = Kind::Skip;
        self.coder.macroblock.cbp = 0;
        Made::inter(luma, chroma, [skip; 4])
    }

    #[simd]
    fn make_inter<S: Simd>(
        &mut self,
        simd: S,
        here: &Here,
        base: Base<'_>,
        window: &Window,
        motion: &Motion,
        skip: Mv,
    ) -> Made {
        let prediction = &motion.luma;
        let macroblock = &mut *self.coder.macroblock;
        let mut made = Made::inter([[0; 16]; 16], [[0; 16]; 8], motion.mvs);
        let pair = self.plan.quantisers.inter(here.qp);
        let eight = self.plan.tools.transform_8x8.then_some(&pair.eight);
        let levels = &mut macroblock.levels;
        match luma_levels(simd, &here.luma, prediction, &pair.four, eight, SPARSE) {
            Coded::Nothing => {
                levels.luma_mask = 0;
                made.luma = *prediction;
            }
            Coded::Four(planes) => made.mask = luma4(simd, prediction, planes, &pair.four, levels, &mut made.luma),
            Coded::Eight(planes) => {
                made.mask = luma8(simd, prediction, planes, &pair.eight, levels, &mut made.luma);
                made.transform_8x8 = made.mask != 0;
            }
        }
        let mut chroma_prediction = [[0; 16]; 8];
        partition::chroma(simd, base, window, motion, &mut chroma_prediction);
        let quantiser = &self.plan.quantisers.inter(chroma_qp(here.qp, self.plan.chroma_qp_offset)).four;
        let cbp = chroma(simd, &here.chroma, &chroma_prediction, quantiser, &mut macroblock.levels, &mut made.chroma);
        macroblock.cbp = luma_cbp(made.mask) | cbp << 4;
        macroblock.transform_8x8 = made.transform_8x8;
        macroblock.mvd = motion.mvd;
        macroblock.qp_delta = here.qp as i8 - self.coder.last_qp as i8;
        macroblock.kind =
            if macroblock.cbp == 0 && motion.mvs == [skip; 4] { Kind::Skip } else { Kind::Inter(motion.partition) };
        made
    }
}
