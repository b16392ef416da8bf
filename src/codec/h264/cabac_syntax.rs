//! The macroblock layer under CABAC: binarisation and contexts of each syntax element (ITU-T H.264 7.3.5, 9.3.2,
//! 9.3.3.1).

use super::cabac::{Engine, MAX_BYPASS_BITS};
use super::cabac_neighbours::{Neighbour, coded};
use super::cabac_residual::{
    CHROMA_AC, CHROMA_DC, LUMA_4X4, LUMA_8X8, LUMA_AC, LUMA_DC, block, coded_block_flag, exp_golomb, nonzero,
};
use super::header::SliceHeader;
use super::macroblock::{CODING_ORDER, Kind, MOST_PROBABLE, Macroblock, Partition};
use super::params::Sequence;
use super::pcm;

// ctxIdxOffset of syntax elements (Table 9-34).
const MB_TYPE_I: usize = 3;
const MB_SKIP_FLAG: usize = 11;
const MB_TYPE_P: usize = 14;
const MB_TYPE_INTRA_IN_P: usize = 17;
const SUB_MB_TYPE: usize = 21;
const MVD: [usize; 2] = [40, 47];
const MB_QP_DELTA: usize = 60;
const INTRA_CHROMA_PRED_MODE: usize = 64;
const PREV_INTRA_PRED_MODE_FLAG: usize = 68;
const REM_INTRA_PRED_MODE: usize = 69;
const CBP_LUMA: usize = 73;
const CBP_CHROMA: usize = 77;
const TRANSFORM_SIZE_8X8_FLAG: usize = 399;

/// Differences of motion vectors from here on have a suffix (uCoff of mvd).
const MVD_CUT_OFF: u32 = 9;

/// Writes macroblocks of one slice, and knows those around.
#[derive(Debug)]
pub(super) struct CabacWriter {
    engine: Engine,
    left: Neighbour,
    /// The newest macroblock of each column.
    above: Vec<Neighbour>,
    is_intra_slice: bool,
    has_transform_8x8_mode: bool,
    /// A macroblock was written, and not yet whether the slice ends after it.
    has_begun: bool,
    /// The macroblock before had an mb_qp_delta other than zero.
    had_qp_delta: bool,
}

impl Default for CabacWriter {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            left: Neighbour::NONE,
            above: Vec::new(),
            is_intra_slice: true,
            has_transform_8x8_mode: false,
            has_begun: false,
            had_qp_delta: false,
        }
    }
}

impl CabacWriter {
    /// Starts a slice after its written header, which ends on a whole byte.
    pub(super) fn start(&mut self, sequence: &Sequence, header: &SliceHeader, written: &[u8]) {
        self.engine.start(written, (!header.intra).then_some(header.cabac_init_idc), header.qp);
        self.above.clear();
        self.above.resize(sequence.size_macroblocks().0, Neighbour::NONE);
        self.is_intra_slice = header.intra;
        self.has_transform_8x8_mode = sequence.profile.has_transform_8x8();
        (self.has_begun, self.had_qp_delta) = (false, false);
    }

    pub(super) fn len_bits(&self) -> usize {
        self.engine.len_bits()
    }

    /// Ends the slice and gives its bytes.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.engine.end();
        &self.engine.bytes
    }

    /// Writes a P_Skip macroblock.
    #[inline]
    pub(super) fn skip(&mut self, x: usize) {
        self.open(x, true);
        self.had_qp_delta = false;
        self.left = Neighbour::SKIPPED;
        self.above[x] = Neighbour::SKIPPED;
    }

    /// Writes a macroblock.
    pub(super) fn macroblock(&mut self, x: usize, mb: &Macroblock) {
        if mb.kind == Kind::Skip {
            return self.skip(x);
        }
        self.open(x, false);
        let (left, above) = (self.left, self.above[x]);
        let around = Around { left: &left, above: &above };
        let mut own = match mb.kind {
            Kind::Pcm => {
                self.samples(mb, &around);
                Neighbour::PCM
            }
            Kind::Inter(_) => {
                let has_transform_8x8 = self.has_transform_8x8_mode && mb.transform_8x8 && mb.cbp & 15 != 0;
                Neighbour::of(mb, has_transform_8x8)
            }
            _ => Neighbour::of(mb, mb.kind == Kind::Intra8x8),
        };
        let mut bottom_mvd = own.mvd;
        match mb.kind {
            Kind::Pcm => {}
            Kind::Inter(partition) => (own.mvd, bottom_mvd) = self.inter(mb, partition, &around, &own),
            _ => self.intra(mb, &around),
        }
        if mb.kind != Kind::Pcm {
            self.coefficients(mb, &around, &own);
        }
        self.left = own;
        self.above[x] = Neighbour { mvd: bottom_mvd, ..own };
    }

    /// What comes before a macroblock: that the slice didn't end, and mb_skip_flag.
    #[inline(always)]
    fn open(&mut self, x: usize, is_skipped: bool) {
        if x == 0 {
            self.left = Neighbour::NONE;
        }
        if self.has_begun {
            self.engine.go_on();
        }
        self.has_begun = true;
        if !self.is_intra_slice {
            let context =
                MB_SKIP_FLAG + usize::from(self.left.is_not_skipped) + usize::from(self.above[x].is_not_skipped);
            self.engine.encode(context, is_skipped);
        }
    }

    /// mb_type and prediction of an intra macroblock, up to its coded_block_pattern.
    fn intra(&mut self, mb: &Macroblock, around: &Around<'_>) {
        self.intra_type(mb, around);
        let symbols = match mb.kind {
            Kind::Intra4x4 => 16,
            Kind::Intra8x8 => 4,
            _ => 0,
        };
        debug_assert!(mb.kind != Kind::Intra8x8 || self.has_transform_8x8_mode, "Intra_8x8 is for High");
        if symbols != 0 && self.has_transform_8x8_mode {
            self.transform_size(mb.kind == Kind::Intra8x8, around);
        }
        for &symbol in &mb.intra_symbols[..symbols] {
            self.engine.encode(PREV_INTRA_PRED_MODE_FLAG, symbol == MOST_PROBABLE);
            if symbol != MOST_PROBABLE {
                for bit in 0..3 {
                    self.engine.encode(REM_INTRA_PRED_MODE, symbol >> bit & 1 == 1);
                }
            }
        }
        let context = around.count(INTRA_CHROMA_PRED_MODE, |mb| mb.has_chroma_mode);
        self.engine.encode(context, mb.chroma_mode != 0);
        if mb.chroma_mode != 0 {
            self.engine.encode(INTRA_CHROMA_PRED_MODE + 3, mb.chroma_mode > 1);
            if mb.chroma_mode > 1 {
                self.engine.encode(INTRA_CHROMA_PRED_MODE + 3, mb.chroma_mode > 2);
            }
        }
        if symbols != 0 {
            self.coded_block_pattern(mb.cbp, around);
        }
    }

    /// mb_type of an intra macroblock (9.3.2.5), all but I_PCM's end.
    fn intra_type(&mut self, mb: &Macroblock, around: &Around<'_>) {
        // Contexts of the first bin, then of luma, chroma, chroma's kind and the mode's two bits.
        let (first, [luma, chroma, ac, high, low]) = if self.is_intra_slice {
            (around.count(MB_TYPE_I, |mb| mb.is_not_nxn), [3, 4, 5, 6, 7].map(|at| MB_TYPE_I + at))
        } else {
            self.engine.encode(MB_TYPE_P, true);
            (MB_TYPE_INTRA_IN_P, [1, 2, 2, 3, 3].map(|at| MB_TYPE_INTRA_IN_P + at))
        };
        let is_nxn = matches!(mb.kind, Kind::Intra4x4 | Kind::Intra8x8);
        self.engine.encode(first, !is_nxn);
        if let Kind::Intra16x16(mode) = mb.kind {
            self.engine.go_on();
            self.engine.encode(luma, mb.cbp & 15 != 0);
            self.engine.encode(chroma, mb.cbp >= 16);
            if mb.cbp >= 16 {
                self.engine.encode(ac, mb.cbp >= 32);
            }
            self.engine.encode(high, mode & 2 != 0);
            self.engine.encode(low, mode & 1 != 0);
        }
    }

    /// I_PCM.
    fn samples(&mut self, mb: &Macroblock, around: &Around<'_>) {
        self.intra_type(mb, around);
        self.engine.end();
        pcm::append(mb, &mut self.engine.bytes);
        self.had_qp_delta = false;
    }

    /// mb_type, motion and coded_block_pattern of a P macroblock. Gives the absolute mvd of its right and bottom edges.
    #[inline(always)]
    fn inter(
        &mut self,
        mb: &Macroblock,
        partition: Partition,
        around: &Around<'_>,
        own: &Neighbour,
    ) -> ([[u8; 2]; 2], [[u8; 2]; 2]) {
        let (left, above) = (&around.left.mvd, &around.above.mvd);
        self.engine.encode(MB_TYPE_P, false);
        let edges = match partition {
            Partition::Whole => {
                self.engine.encode(MB_TYPE_P + 1, false);
                self.engine.encode(MB_TYPE_P + 2, false);
                let whole = self.mvd(mb.mvd[0], left[0], above[0]);
                ([whole; 2], [whole; 2])
            }
            Partition::Rows => {
                self.engine.encode(MB_TYPE_P + 1, true);
                self.engine.encode(MB_TYPE_P + 3, true);
                let upper = self.mvd(mb.mvd[0], left[0], above[0]);
                let lower = self.mvd(mb.mvd[1], left[1], upper);
                ([upper, lower], [lower; 2])
            }
            Partition::Columns => {
                self.engine.encode(MB_TYPE_P + 1, true);
                self.engine.encode(MB_TYPE_P + 3, false);
                let first = self.mvd(mb.mvd[0], left[0], above[0]);
                let second = self.mvd(mb.mvd[1], first, above[1]);
                ([second; 2], [first, second])
            }
            Partition::Quarters => {
                self.engine.encode(MB_TYPE_P + 1, false);
                self.engine.encode(MB_TYPE_P + 2, true);
                for _ in 0..4 {
                    self.engine.encode(SUB_MB_TYPE, true);
                }
                let first = self.mvd(mb.mvd[0], left[0], above[0]);
                let second = self.mvd(mb.mvd[1], first, above[1]);
                let third = self.mvd(mb.mvd[2], left[1], first);
                let fourth = self.mvd(mb.mvd[3], third, second);
                ([second, fourth], [third, fourth])
            }
        };
        self.coded_block_pattern(mb.cbp, around);
        if self.has_transform_8x8_mode && mb.cbp & 15 != 0 {
            self.transform_size(own.has_transform_8x8, around);
        }
        edges
    }

    /// A motion vector's difference from its prediction (9.3.2.3, 9.3.3.1.1.7). Gives it without signs.
    #[inline(always)]
    fn mvd(&mut self, mvd: [i16; 2], left: [u8; 2], above: [u8; 2]) -> [u8; 2] {
        for axis in 0..2 {
            let sum = u32::from(left[axis]) + u32::from(above[axis]);
            self.mvd_component(mvd[axis].into(), MVD[axis], usize::from(sum > 2) + usize::from(sum > 32));
        }
        mvd.map(|component| component.unsigned_abs().min(255) as u8)
    }

    fn mvd_component(&mut self, value: i32, offset: usize, increment: usize) {
        let magnitude = value.unsigned_abs();
        self.engine.encode(offset + increment, magnitude != 0);
        if magnitude == 0 {
            return;
        }
        for bin in 1..magnitude.min(MVD_CUT_OFF) {
            self.engine.encode(offset + 2 + bin.min(4) as usize, true);
        }
        let (mut bins, mut len) = (0, 0);
        if magnitude < MVD_CUT_OFF {
            self.engine.encode(offset + 2 + magnitude.min(4) as usize, false);
        } else {
            (bins, len) = exp_golomb(magnitude - MVD_CUT_OFF, 3);
        }
        (bins, len) = (bins << 1 | u32::from(value < 0), len + 1);
        while len > 0 {
            let piece = len.min(MAX_BYPASS_BITS);
            len -= piece;
            self.engine.bypass(bins >> len & ((1 << piece) - 1), piece);
        }
    }

    fn transform_size(&mut self, is_8x8: bool, around: &Around<'_>) {
        self.engine.encode(around.count(TRANSFORM_SIZE_8X8_FLAG, |mb| mb.has_transform_8x8), is_8x8);
    }

    /// coded_block_pattern (9.3.2.6, 9.3.3.1.1.4).
    fn coded_block_pattern(&mut self, cbp: u8, around: &Around<'_>) {
        let (left, above) = (around.left.cbp, around.above.cbp);
        // A one where the 8x8 block to the left, or above, is not coded.
        let left_empty = !((cbp & 0b0101) << 1 | (left & 0b1010) >> 1);
        let above_empty = !((cbp & 0b0011) << 2 | (above & 0b1100) >> 2);
        for quadrant in 0..4 {
            let increment = (left_empty >> quadrant & 1) + 2 * (above_empty >> quadrant & 1);
            self.engine.encode(CBP_LUMA + usize::from(increment), cbp >> quadrant & 1 == 1);
        }
        let increment = usize::from(left >= 16) + 2 * usize::from(above >= 16);
        self.engine.encode(CBP_CHROMA + increment, cbp >= 16);
        if cbp >= 16 {
            let increment = usize::from(left >= 32) + 2 * usize::from(above >= 32);
            self.engine.encode(CBP_CHROMA + 4 + increment, cbp >= 32);
        }
    }

    /// mb_qp_delta (9.3.2.7, 9.3.3.1.1.5).
    fn qp_delta(&mut self, delta: i8) {
        let delta = i32::from(delta);
        let mapped = if delta > 0 { 2 * delta - 1 } else { -2 * delta };
        self.engine.encode(MB_QP_DELTA + usize::from(self.had_qp_delta), mapped > 0);
        if mapped > 0 {
            self.engine.encode(MB_QP_DELTA + 2, mapped > 1);
            for bin in 2..=mapped {
                self.engine.encode(MB_QP_DELTA + 3, bin < mapped);
            }
        }
        self.had_qp_delta = delta != 0;
    }

    /// mb_qp_delta and residual().
    #[inline(always)]
    fn coefficients(&mut self, mb: &Macroblock, around: &Around<'_>, own: &Neighbour) {
        let is_intra_16x16 = matches!(mb.kind, Kind::Intra16x16(_));
        if mb.cbp == 0 && !is_intra_16x16 {
            self.had_qp_delta = false;
            return;
        }
        self.qp_delta(mb.qp_delta);
        let is_intra = !matches!(mb.kind, Kind::Inter(_));
        let (left, above) = (around.left.coded_for(is_intra), around.above.coded_for(is_intra));
        if is_intra_16x16 {
            let is_coded = self.coded_flag(LUMA_DC, coded::LUMA_DC, own.coded, left, above);
            if is_coded {
                block::<LUMA_DC, 16>(&mut self.engine, &mb.levels.luma_dc, nonzero(&mb.levels.luma_dc));
            }
        }
        if own.has_transform_8x8 {
            self.luma_8x8(mb);
        } else if is_intra_16x16 {
            self.luma_4x4::<LUMA_AC>(mb, own.coded, left, above);
        } else {
            self.luma_4x4::<LUMA_4X4>(mb, own.coded, left, above);
        }
        if mb.cbp >= 16 {
            self.chroma(mb, own.coded, left, above);
        }
    }

    fn luma_8x8(&mut self, mb: &Macroblock) {
        for (quadrant, levels) in mb.levels.luma8.iter().enumerate() {
            if mb.cbp >> quadrant & 1 == 1 {
                let (quarters, _) = levels.as_chunks::<16>();
                let mask = quarters.iter().rev().fold(0, |mask, quarter| mask << 16 | nonzero(quarter));
                block::<LUMA_8X8, 64>(&mut self.engine, levels, mask);
            }
        }
    }

    #[inline(always)]
    fn luma_4x4<const CATEGORY: usize>(&mut self, mb: &Macroblock, own: u32, left: u32, above: u32) {
        let lefts = (own << 1 & 0xEEEE) | (left >> 3 & 0x1111);
        let aboves = (own << 4 & 0xFFF0) | (above >> 12 & 0x000F);
        for (at, raster) in CODING_ORDER.into_iter().enumerate() {
            if mb.cbp >> (at / 4) & 1 == 0 {
                continue;
            }
            let is_coded = self.coded_flag(CATEGORY, raster.into(), own, lefts, aboves);
            if is_coded {
                let levels = &mb.levels.luma[usize::from(raster & 15)];
                block::<CATEGORY, 16>(&mut self.engine, levels, nonzero(levels));
            }
        }
    }

    #[inline(always)]
    fn chroma(&mut self, mb: &Macroblock, own: u32, left: u32, above: u32) {
        for (at, levels) in mb.levels.chroma_dc.iter().enumerate() {
            let is_coded = self.coded_flag(CHROMA_DC, coded::CHROMA_DC + at as u32, own, left, above);
            if is_coded {
                let mask = levels.iter().rev().fold(0, |mask, &level| mask << 1 | u64::from(level != 0));
                block::<CHROMA_DC, 4>(&mut self.engine, levels, mask);
            }
        }
        if mb.cbp < 32 {
            return;
        }
        let lefts = (own << 1 & 0xAA_0000) | (left >> 1 & 0x55_0000);
        let aboves = (own << 2 & 0xCC_0000) | (above >> 2 & 0x33_0000);
        for (at, levels) in mb.levels.chroma_ac.iter().flatten().enumerate() {
            let is_coded = self.coded_flag(CHROMA_AC, coded::CHROMA_AC + at as u32, own, lefts, aboves);
            if is_coded {
                block::<CHROMA_AC, 16>(&mut self.engine, levels, nonzero(levels));
            }
        }
    }

    /// coded_block_flag of the block at `bit` (9.3.3.1.1.9), and whether it is set.
    #[inline(always)]
    fn coded_flag(&mut self, category: usize, bit: u32, own: u32, lefts: u32, aboves: u32) -> bool {
        let is_coded = own >> bit & 1 == 1;
        let increment = (lefts >> bit & 1) + 2 * (aboves >> bit & 1);
        self.engine.encode(coded_block_flag(category) + increment as usize, is_coded);
        is_coded
    }
}

/// The macroblocks that contexts depend on.
struct Around<'a> {
    left: &'a Neighbour,
    above: &'a Neighbour,
}

impl Around<'_> {
    /// A context, one further for each neighbour of which something is true.
    #[inline(always)]
    fn count(&self, context: usize, is_true: impl Fn(&Neighbour) -> bool) -> usize {
        context + usize::from(is_true(self.left)) + usize::from(is_true(self.above))
    }
}
