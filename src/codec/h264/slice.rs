//! A slice: its macroblocks in order, each decided, made and written, and each row filtered once it is complete.

use std::ops::Range;

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::adapt::qp_offset;
use super::block::{Around, DC_MODE, Here, Made, NO_MODE, Trace};
use super::budget::{Content, Steering};
use super::config::MAX_QP;
use super::deblock::filter_row;
use super::displacement::DISPLACEMENTS;
use super::header::SliceHeader;
use super::macroblock::{Kind, Macroblock};
use super::motion::{Base, Window};
use super::mv::{Field, Mv};
use super::nal::Framing;
use super::params::Sequence;
use super::past::{Past, row_work};
use super::pcm;
use super::picture::Band;
use super::slice_writer::SliceWriter;
use super::source::{Size, SourceBand};
use super::tables::LAMBDA;
use super::tools::Tools;
use crate::codec::Cancel;
use crate::frame::Frame;
use crate::kernel::h264::copy::{load_chroma, load_luma, store_chroma, store_luma};
use crate::kernel::h264::interpolate::HalfSamples;
use crate::kernel::h264::quantiser::{QuantiserPair, Quantisers};
use crate::kernel::h264::source::SourceRows;
use crate::kernel::h264::{Luma, array};
use crate::kernel::{Level, Vectorise};

/// What a frame's slices share.
pub(super) struct FramePlan<'a> {
    pub(super) level: Level,
    pub(super) size: Size,
    /// What is to be coded, unless the slices have loaded it already.
    pub(super) frame: Option<&'a Frame<'a>>,
    pub(super) past: &'a Past,
    /// What P slices predict from.
    pub(super) base: Option<Base<'a>>,
    pub(super) sequence: &'a Sequence,
    pub(super) header: SliceHeader,
    pub(super) tools: Tools,
    pub(super) quantisers: &'a Quantisers,
    pub(super) framing: Framing,
    pub(super) chroma_qp_offset: i8,
    /// Columns that are made anew without the pictures before.
    pub(super) refresh: Option<Refresh>,
    /// Bits the frame aims for, if any; the header has the least quantiser parameter then.
    pub(super) target_bits: Option<u64>,
    /// Whether macroblocks' quantiser parameters follow how busy they are.
    pub(super) adapts_qp: bool,
    /// How far up and down vectors may point at the stream's level, in samples.
    pub(super) vertical_reach: u16,
    /// Whether what is predicted from is the frame before, as it is, so that what hasn't changed since needs no second look.
    pub(super) follows: bool,
    /// Where parts of a screen came from.
    pub(super) displacements: [Mv; DISPLACEMENTS],
    /// Code the least there is: P_Skip, or flat macroblocks.
    pub(super) is_least: bool,
    /// Ends slices in their middle.
    pub(super) cancel: &'a Cancel,
}

impl FramePlan<'_> {
    /// The quantisers of intra macroblocks: in P slices with the dead zone of the others, unless they are to make the picture
    /// anew, as the frames after predict from them no more than from those.
    #[inline(always)]
    pub(super) fn intra_quantisers(&self, qp: u8) -> &QuantiserPair {
        let is_alone = self.base.is_some() && self.refresh.is_none();
        if is_alone { self.quantisers.inter(qp) } else { self.quantisers.intra(qp) }
    }
}

/// A frame's share of making the picture anew, column by column from the left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh {
    /// First column to be intra coded, and the one after the last.
    pub(super) columns: [usize; 2],
    /// Columns of the frame before that were made anew already: those left of `columns` are predicted from nothing else.
    pub(super) clean: usize,
}

impl Refresh {
    /// Samples at the right of what is clean that interpolation, fractions and deblocking mix with what isn't.
    const MARGIN: i32 = 7;

    pub(super) fn holds(&self, x: usize) -> bool {
        (self.columns[0]..self.columns[1]).contains(&x)
    }
}

/// What coding a slice gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SliceStats {
    pub(super) bits: usize,
    pub(super) intra: u32,
    pub(super) skipped: u32,
    pub(super) qp_sum: u64,
}

/// Working memory of a slice, kept from frame to frame.
#[derive(Debug)]
pub(super) struct SliceCoder {
    pub(super) rows: Range<usize>,
    pub(super) bytes: Vec<u8>,
    pub(super) stats: SliceStats,
    pub(super) writer: SliceWriter,
    pub(super) field: Field,
    pub(super) traces: Vec<Trace>,
    /// What the past will have of this frame: at which quantiser parameter macroblocks were settled, the work of each row, and
    /// what it held.
    pub(super) settling: Vec<u8>,
    pub(super) work: Vec<u64>,
    pub(super) now: Content,
    pub(super) macroblock: Box<Macroblock>,
    pub(super) half: Box<HalfSamples>,
    /// The lowest reconstructed row of the macroblocks above, before deblocking.
    above_luma: Vec<u8>,
    above_chroma: Vec<u8>,
    above_modes: Vec<[u8; 4]>,
    /// What its rows are expected to hold.
    expected: Content,
    steering: Option<Steering>,
    pub(super) reader: SourceRows,
    /// Macroblocks that are what they were in the frame before.
    pub(super) unchanged: usize,
    qp: u8,
    /// Quantiser parameter of the macroblock before, which the next one's is coded against.
    pub(super) last_qp: u8,
}

impl Default for SliceCoder {
    fn default() -> Self {
        Self {
            rows: 0..0,
            bytes: Vec::new(),
            stats: SliceStats::default(),
            writer: SliceWriter::new(),
            field: Field::default(),
            traces: Vec::new(),
            settling: Vec::new(),
            work: Vec::new(),
            now: Content::default(),
            macroblock: Box::default(),
            half: Box::new(HalfSamples::new()),
            above_luma: Vec::new(),
            above_chroma: Vec::new(),
            above_modes: Vec::new(),
            expected: Content::default(),
            steering: None,
            reader: SourceRows::default(),
            unchanged: 0,
            qp: 0,
            last_qp: 0,
        }
    }
}

impl SliceCoder {
    fn start(&mut self, plan: &FramePlan<'_>) {
        let Size { columns, .. } = plan.size;
        self.field.reset(columns, self.rows.len());
        self.traces.clear();
        self.settling.clear();
        self.work.clear();
        self.above_luma.resize(16 * columns + 8, 0);
        self.above_chroma.resize(16 * columns, 0);
        self.above_modes.clear();
        self.above_modes.resize(columns, [NO_MODE; 4]);
        self.bytes.clear();
        self.stats = SliceStats::default();
        let content = plan.past.content(plan.header.intra);
        self.expected.copy_rows(content, self.rows.clone());
        self.now.copy_rows(content, self.rows.clone());
        self.steering = plan.target_bits.map(|bits| {
            let share = u128::from(bits) * u128::from(self.expected.total()) / u128::from(content.total().max(1));
            Steering::new(&self.expected, share as u64, plan.header.qp)
        });
        self.qp = self.steering.as_ref().map_or(plan.header.qp, Steering::qp);
        self.last_qp = self.qp;
        let first_macroblock = (self.rows.start * columns) as u32;
        self.writer.start(plan.sequence, &SliceHeader { first_macroblock, qp: self.qp, ..plan.header });
    }

    /// Takes note of row `y`, which took `bits`.
    fn end_row(&mut self, y: usize, bits: u64) {
        self.now.note(y, bits, self.qp);
        if let Some(steering) = &mut self.steering {
            steering.end_row(&self.expected, y, bits);
            self.qp = steering.qp();
        }
    }
}

/// Codes one slice.
pub(super) struct SliceJob<'a> {
    pub(super) coder: &'a mut SliceCoder,
    pub(super) plan: &'a FramePlan<'a>,
    pub(super) source: SourceBand<'a>,
    pub(super) band: Band<'a>,
}

impl Vectorise for SliceJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if let Some(frame) = self.plan.frame {
            self.source.load(self.plan.level, frame, &mut self.coder.reader);
        }
        self.coder.unchanged = self.source.unchanged();
        self.coder.start(self.plan);
        let columns = self.plan.size.columns;
        for y in 0..self.coder.rows.len() {
            if self.plan.cancel.is_raised() {
                return;
            }
            let (bits, before) = (self.coder.writer.bits(), self.coder.stats);
            self.row(simd, y);
            let bits = self.coder.writer.bits().saturating_sub(bits) as u64;
            self.coder.work.push(row_work(columns, &before, &self.coder.stats, bits));
            self.coder.end_row(y, bits);
            filter_row(
                simd,
                &mut self.band,
                y,
                columns,
                &self.coder.traces,
                &self.coder.field,
                self.plan.chroma_qp_offset,
            );
            // Filtering a row changes the lowest samples of the one above.
            if y > 0 {
                self.band.extend(y - 1, columns);
            }
        }
        self.band.extend(self.coder.rows.len() - 1, columns);
        self.coder.stats.bits = self.coder.writer.bits();
        self.coder.writer.finish(self.plan.framing, &mut self.coder.bytes);
    }
}

impl SliceJob<'_> {
    #[simd]
    fn row<S: Simd>(&mut self, simd: S, y: usize) {
        let Size { columns, .. } = self.plan.size;
        let source_row = self.coder.rows.start + y;
        self.source.touch(y);
        if let Some(base) = self.plan.base {
            base.picture.touch(source_row + 1);
        }
        let mut left = Left::default();
        let mut here = Here::row(y, columns);
        for x in 0..columns {
            if self.is_settled(x, y) && self.skip_settled(simd, x, y, &mut left) {
                continue;
            }
            here.x = x;
            here.luma = self.source.luma(simd, x, y);
            here.chroma = self.source.chroma(simd, x, y);
            here.qp = self.macroblock_qp(simd, &here.luma);
            here.lambda = u32::from(LAMBDA[usize::from(here.qp)]);
            self.around(x, y, &left, &mut here.around);
            left.corner = here.around.above[15];
            left.chroma_corner = [here.around.chroma_above[14], here.around.chroma_above[15]];
            let made = self.macroblock(simd, &here);
            self.coder.settling.push(if self.plan.is_least { UNSETTLED } else { self.coder.qp.max(1) });
            self.keep(simd, [x, y], here.qp, &made, &mut left);
        }
    }

    /// The quantiser parameter of a macroblock: its row's, moved by how busy it is where that is asked for.
    #[inline(always)]
    fn macroblock_qp<S: Simd>(&self, simd: S, luma: &Luma) -> u8 {
        if !self.plan.adapts_qp {
            return self.coder.qp;
        }
        (i32::from(self.coder.qp) + qp_offset(simd, luma)).clamp(0, i32::from(MAX_QP)) as u8
    }

    #[inline(always)]
    fn settled(&self, x: usize, y: usize) -> u8 {
        self.plan.past.settled[(self.coder.rows.start + y) * self.plan.size.columns + x]
    }

    /// Whether a macroblock is what it was, and was coded no worse than it would be now.
    #[inline(always)]
    fn is_settled(&self, x: usize, y: usize) -> bool {
        let settled = self.settled(x, y);
        self.plan.follows && settled != UNSETTLED && settled <= self.coder.qp && self.source.is_unchanged(x, y)
    }

    /// Skips a macroblock that hasn't changed, if skipping means not to move. Returns whether it does.
    #[inline(always)]
    fn skip_settled<S: Simd>(&mut self, simd: S, x: usize, y: usize, left: &mut Left) -> bool {
        let Some(Base { picture, .. }) = self.plan.base else { return false };
        if self.plan.refresh.is_some() || self.coder.field.neighbours(2 * x, 2 * y, 2, true).skip() != Mv::ZERO {
            return false;
        }
        let row = self.coder.rows.start + y;
        let (luma, chroma) = (&picture.luma, &picture.chroma);
        let at = [luma.at(16 * x as isize, 16 * row as isize), chroma.at(16 * x as isize, 8 * row as isize)];
        let made = Made::inter(
            load_luma(simd, &luma.samples, at[0], luma.stride),
            load_chroma(simd, &chroma.samples, at[1], chroma.stride),
            [Mv::ZERO; 4],
        );
        left.corner = self.coder.above_luma[16 * x + 15];
        left.chroma_corner = [self.coder.above_chroma[16 * x + 14], self.coder.above_chroma[16 * x + 15]];
        self.coder.macroblock.kind = Kind::Skip;
        self.coder.macroblock.cbp = 0;
        self.coder.writer.skip(x);
        self.coder.settling.push(self.settled(x, y));
        self.keep(simd, [x, y], self.coder.qp, &made, left);
        true
    }

    /// Decides, makes and writes a macroblock.
    #[inline(always)]
    fn macroblock<S: Simd>(&mut self, simd: S, here: &Here) -> Made {
        let mut window = Window::of(here.x, self.coder.rows.start + here.y, self.plan.size, self.plan.vertical_reach);
        if let Some(refresh) = self.plan.refresh.filter(|refresh| here.x < refresh.columns[0]) {
            window.end_at(16 * refresh.clean as i32 - Refresh::MARGIN);
        }
        let mut made = match self.plan.base {
            Some(base) => self.code_p(simd, here, base, &window),
            None => self.code_i(simd, here),
        };
        if pcm::is_smaller(&self.coder.macroblock, here.qp) {
            made = self.make_raw(here);
        }
        if self.coder.macroblock.kind == Kind::Skip {
            self.coder.writer.skip(here.x);
        } else {
            self.coder.writer.macroblock(here.x, &self.coder.macroblock);
        }
        made
    }

    /// The samples and modes around a macroblock.
    #[inline(always)]
    fn around(&self, x: usize, y: usize, left: &Left, around: &mut Around) {
        let luma = &self.coder.above_luma[16 * x..16 * x + 24];
        around.corner = left.corner;
        around.chroma_corner = left.chroma_corner;
        around.above.copy_from_slice(&luma[..16]);
        around.above_right.copy_from_slice(&luma[16..]);
        around.chroma_above.copy_from_slice(&self.coder.above_chroma[16 * x..16 * x + 16]);
        around.left = left.luma;
        around.chroma_left = left.chroma;
        around.modes_above = if y > 0 { self.coder.above_modes[x] } else { [NO_MODE; 4] };
        around.modes_left = if x > 0 { left.modes } else { [NO_MODE; 4] };
    }

    /// Puts what was made where later macroblocks and deblocking find it.
    #[simd]
    fn keep<S: Simd>(&mut self, simd: S, [x, y]: [usize; 2], qp: u8, made: &Made, left: &mut Left) {
        let coder = &mut *self.coder;
        let at = self.band.luma_at(x, y);
        store_luma(simd, self.band.luma, at, self.band.stride, &made.luma);
        let at = self.band.chroma_at(x, y);
        store_chroma(simd, self.band.chroma, at, self.band.stride, &made.chroma);
        coder.above_luma[16 * x..16 * x + 16].copy_from_slice(&made.luma[15]);
        coder.above_chroma[16 * x..16 * x + 16].copy_from_slice(&made.chroma[7]);
        coder.above_modes[x] = made.modes_below;
        left.luma = array(|k| made.luma[k][15]);
        left.chroma = array(|k| made.chroma[k / 2][14 + k % 2]);
        left.modes = made.modes_right;
        coder.field.set(x, y, made.cells);
        let macroblock = &coder.macroblock;
        let has_qp = macroblock.cbp != 0 || matches!(macroblock.kind, Kind::Intra16x16(_));
        let is_coded = macroblock.kind != Kind::Skip && macroblock.kind != Kind::Pcm && has_qp;
        if is_coded {
            coder.last_qp = qp;
        }
        coder.traces.push(Trace {
            qp: if macroblock.kind == Kind::Pcm { 0 } else { coder.last_qp },
            mask: made.mask,
            transform_8x8: made.transform_8x8,
            is_intra: made.is_intra,
        });
        coder.stats.qp_sum += u64::from(coder.last_qp);
        coder.stats.intra += u32::from(made.is_intra);
        coder.stats.skipped += u32::from(macroblock.kind == Kind::Skip);
    }
}

/// Stands for the quantiser parameter of a macroblock that must be looked at.
pub(super) const UNSETTLED: u8 = 0;

/// What a macroblock leaves to the one at its right.
struct Left {
    corner: u8,
    chroma_corner: [u8; 2],
    luma: [u8; 16],
    chroma: [u8; 16],
    modes: [u8; 4],
}

impl Default for Left {
    fn default() -> Self {
        Self { corner: 0, chroma_corner: [0; 2], luma: [0; 16], chroma: [0; 16], modes: [DC_MODE; 4] }
    }
}
