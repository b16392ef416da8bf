//! A band of the picture from samples to coefficients, four MCUs at a time.

use std::ops::Range;

use super::layout::Layout;
use super::reconstruct::BandPicture;
use super::stripe::Stripe;
use crate::frame::Frame;
use crate::kernel::Simd;
use crate::kernel::block::{BLOCKS, forward, quantise, squared_error, transform};
use crate::kernel::quantise::Quantiser;
use crate::kernel::symbols::{ROWS, SymbolList};

/// MCUs of a group: four, so that the blocks of each component fill whole vectors.
pub(super) const GROUP_MCUS: usize = BLOCKS;
/// Most blocks of an MCU: 4:2:0.
const MCU_BLOCKS: usize = 6;
/// Blocks a group has room for: a power of two, so that an index is masked rather than checked.
const GROUP_BLOCKS: usize = (GROUP_MCUS * MCU_BLOCKS).next_power_of_two();

/// What all bands of a frame share.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    pub(super) frame: &'a Frame<'a>,
    pub(super) layout: &'a Layout,
    /// Of luma and of chroma.
    pub(super) quantisers: &'a [Quantiser; 2],
    /// Whether the error of luma is summed up.
    pub(super) measure: bool,
}

/// Groups that give their symbols to the histogram that the next frame's tables are made from, where a picture has as many.
const SAMPLED_GROUPS: usize = 64;
/// One group in so many does at least.
const MOST_SPARSE: usize = 8;

/// One group in this many is in the sample of a picture.
pub(super) fn sampled_every(layout: &Layout) -> usize {
    (layout.groups_wide() * layout.mcus_high / SAMPLED_GROUPS).clamp(1, MOST_SPARSE)
}

/// Whether a group is one of those, which lie scattered over the picture.
const fn is_sampled(mcu_row: usize, group: usize, every: usize) -> bool {
    (group + 3 * mcu_row).is_multiple_of(every)
}

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
    fn of_block(squares: u32) -> Self {
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

/// A block of a group, as the scan codes it.
#[derive(Clone, Copy, Debug, Default)]
struct Unit {
    component: usize,
    /// Place of the block's coefficients in the group.
    block: usize,
    /// Place within its component's part of the MCU.
    block_row: usize,
    block_column: usize,
}

/// Where symbols go: to a code stream, or into a histogram.
pub(super) trait Sink {
    /// Takes the symbols of some blocks in the order of the scan; those of some groups are a sample of the picture.
    fn take<S: Simd>(&mut self, simd: S, symbols: &mut SymbolList, is_sample: bool);

    /// Ends restart interval `interval`; another follows unless it is the last.
    fn end_interval<S: Simd>(&mut self, simd: S, interval: usize, is_last: bool);
}

/// Where the coefficients of a band come from.
pub(super) trait Source {
    /// Makes an MCU row ready.
    fn load_row<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, mcu_row: usize);

    /// Quantises group `index` of the row.
    fn quantise_group<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        group: &mut Group,
        mcu_row: usize,
        index: usize,
    );
}

/// Straight from the frame.
impl Source for Stripe {
    #[inline(always)]
    fn load_row<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, mcu_row: usize) {
        self.load(simd, picture.frame, picture.layout, mcu_row);
    }

    #[inline(always)]
    fn quantise_group<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        group: &mut Group,
        mcu_row: usize,
        index: usize,
    ) {
        let luma = picture.layout.components()[0];
        self.prefetch(picture.frame, luma, mcu_row + 1, index, false);
        if picture.measure {
            group.forward(simd, picture, self, mcu_row, index);
            group.quantise(simd, picture);
        } else {
            group.transform(simd, picture, self, mcu_row, index);
        }
        self.prefetch(picture.frame, luma, mcu_row + 1, index, true);
    }
}

/// A band's coefficients as the transform gave them, group by group: two bytes for each sample of the file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    blocks: Vec<[i16; 64]>,
    /// The next group to be read.
    at: usize,
}

impl Source for Kept {
    #[inline(always)]
    fn load_row<S: Simd>(&mut self, _simd: S, _picture: &Picture<'_>, _mcu_row: usize) {}

    #[inline(always)]
    fn quantise_group<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        group: &mut Group,
        _row: usize,
        _index: usize,
    ) {
        let count = group.mcu_blocks * GROUP_MCUS;
        group.quantise_from(simd, picture, &self.blocks[self.at..self.at + count]);
        self.at += count;
    }
}

/// Coefficients of four MCUs.
#[derive(Debug)]
pub(super) struct Group {
    /// As the transform gave them, where the picture is measured.
    exact: [[i16; 64]; GROUP_BLOCKS],
    /// Quantised.
    coefficients: [[i16; 64]; GROUP_BLOCKS],
    masks: [u64; GROUP_BLOCKS],
    /// The blocks of each MCU in the order of the scan.
    order: [[Unit; MCU_BLOCKS]; GROUP_MCUS],
    mcu_blocks: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            exact: [[0; 64]; GROUP_BLOCKS],
            coefficients: [[0; 64]; GROUP_BLOCKS],
            masks: [0; GROUP_BLOCKS],
            order: Default::default(),
            mcu_blocks: 0,
        }
    }
}

impl Group {
    /// Lists the blocks of an MCU (ITU-T T.81 A.2.3).
    pub(super) fn prepare(&mut self, layout: &Layout) {
        for (mcu, order) in self.order.iter_mut().enumerate() {
            let (mut count, mut first_call) = (0, 0);
            for (index, component) in layout.components().iter().enumerate() {
                for block_row in 0..component.vertical {
                    for block_column in 0..component.horizontal {
                        let x = mcu * component.horizontal + block_column;
                        let call = first_call + block_row * component.horizontal + x / BLOCKS;
                        let block = call * BLOCKS + x % BLOCKS;
                        order[count] = Unit { component: index, block, block_row, block_column };
                        count += 1;
                    }
                }
                first_call += component.vertical * component.horizontal;
            }
            self.mcu_blocks = count;
        }
    }

    #[inline(always)]
    fn transform<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, stripe: &Stripe, mcu_row: usize, group: usize) {
        let mut outputs =
            self.coefficients.as_chunks_mut::<BLOCKS>().0.iter_mut().zip(self.masks.as_chunks_mut::<BLOCKS>().0);
        for (index, component) in picture.layout.components().iter().enumerate() {
            for block_row in 0..component.vertical {
                for call in 0..component.horizontal {
                    let Some((coefficients, masks)) = outputs.next() else { return };
                    let (samples, stride) =
                        stripe.samples(picture.frame, (index, component), mcu_row, (block_row, group, call));
                    transform(simd, samples, stride, &picture.quantisers[index.min(1)], coefficients, masks);
                }
            }
        }
    }

    /// Transforms without quantising.
    #[inline(always)]
    fn forward<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, stripe: &Stripe, mcu_row: usize, group: usize) {
        let mut outputs = self.exact.as_chunks_mut::<BLOCKS>().0.iter_mut();
        for (index, component) in picture.layout.components().iter().enumerate() {
            for block_row in 0..component.vertical {
                for call in 0..component.horizontal {
                    let Some(exact) = outputs.next() else { return };
                    let (samples, stride) =
                        stripe.samples(picture.frame, (index, component), mcu_row, (block_row, group, call));
                    forward(simd, samples, stride, exact);
                }
            }
        }
    }

    /// Quantises what [`Group::forward`] gave.
    #[inline(always)]
    fn quantise<S: Simd>(&mut self, simd: S, picture: &Picture<'_>) {
        let luma_blocks = BLOCKS * picture.layout.luma_blocks();
        let blocks = self.exact.iter().zip(&mut self.coefficients).zip(&mut self.masks).enumerate();
        for (at, ((exact, out), mask)) in blocks.take(BLOCKS * self.mcu_blocks) {
            *mask = quantise(simd, exact, &picture.quantisers[usize::from(at >= luma_blocks)], out);
        }
    }

    /// Quantises a group that was kept.
    #[inline(always)]
    fn quantise_from<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, kept: &[[i16; 64]]) {
        if picture.measure {
            self.exact[..kept.len()].copy_from_slice(kept);
        }
        let luma_blocks = BLOCKS * picture.layout.luma_blocks();
        for (at, ((exact, out), mask)) in kept.iter().zip(&mut self.coefficients).zip(&mut self.masks).enumerate() {
            *mask = quantise(simd, exact, &picture.quantisers[usize::from(at >= luma_blocks)], out);
        }
    }

    /// Sums up the error of the luma blocks that hold samples of the picture.
    #[inline(always)]
    fn luma_error<S: Simd>(
        &self,
        simd: S,
        picture: &Picture<'_>,
        mcu_row: usize,
        first_mcu: usize,
        mcus: usize,
    ) -> LumaError {
        let luma = &picture.layout.components()[0];
        let mut error = LumaError::default();
        for block in self.placed(picture.layout, mcu_row, first_mcu, mcus) {
            if block.component == 0 && block.column < luma.blocks_wide() && block.row < luma.blocks_high() {
                let squares = squared_error(simd, block.exact, block.coefficients, &picture.quantisers[0]);
                error.add(LumaError::of_block(squares));
            }
        }
        error
    }

    /// Empties the blocks that hold no sample of the picture: they repeat the DC coefficient of the block coded before.
    fn empty_outside(&mut self, layout: &Layout, mcu_row: usize, first_mcu: usize, mcus: usize) {
        for (mcu, order) in self.order.iter().enumerate().take(mcus) {
            let mut before = 0;
            for unit in &order[..self.mcu_blocks] {
                let component = &layout.components()[unit.component];
                let column = (first_mcu + mcu) * component.horizontal + unit.block_column;
                let row = mcu_row * component.vertical + unit.block_row;
                let coefficients = &mut self.coefficients[unit.block % GROUP_BLOCKS];
                if column >= component.blocks_wide() || row >= component.blocks_high() {
                    coefficients[0] = before;
                    coefficients[1..].fill(0);
                    self.masks[unit.block % GROUP_BLOCKS] = 0;
                }
                before = coefficients[0];
            }
        }
    }

    /// Makes the group ready to be listed: empties what lies outside, and gives the number of MCUs that the row has of it.
    #[inline(always)]
    fn whole_mcus(&mut self, layout: &Layout, mcu_row: usize, index: usize) -> usize {
        let first_mcu = index * GROUP_MCUS;
        let mcus = GROUP_MCUS.min(layout.mcus_wide - first_mcu);
        if first_mcu + GROUP_MCUS >= layout.mcus_wide || mcu_row + 1 == layout.mcus_high {
            self.empty_outside(layout, mcu_row, first_mcu, mcus);
        }
        mcus
    }

    /// The first DC coefficient of each component.
    fn first_dcs(&self, layout: &Layout) -> [i16; 3] {
        let luma = layout.luma_blocks();
        [0, luma, luma + 1].map(|call| self.coefficients[BLOCKS * call % GROUP_BLOCKS][0])
    }

    /// Lists the symbols of the first `mcus` MCUs; `before` has each component's last DC coefficient.
    #[inline(always)]
    fn list<S: Simd>(&self, simd: S, mcus: usize, before: &mut [i16; 3], symbols: &mut SymbolList) {
        symbols.clear();
        for order in &self.order[..mcus] {
            for unit in &order[..self.mcu_blocks.min(MCU_BLOCKS)] {
                let coefficients = &self.coefficients[unit.block % GROUP_BLOCKS];
                let mask = self.masks[unit.block % GROUP_BLOCKS];
                let dc = coefficients[0];
                let difference = dc - std::mem::replace(&mut before[unit.component.min(2)], dc);
                symbols.push(simd, coefficients, mask, difference, ROWS * unit.component.min(1) as u8);
            }
        }
    }

    /// Each component's blocks with their column and row in it.
    fn placed<'a>(
        &'a self,
        layout: &'a Layout,
        mcu_row: usize,
        first_mcu: usize,
        mcus: usize,
    ) -> impl Iterator<Item = Placed<'a>> {
        self.order.iter().enumerate().take(mcus).flat_map(move |(mcu, order)| {
            order[..self.mcu_blocks].iter().map(move |unit| {
                let component = &layout.components()[unit.component];
                Placed {
                    component: unit.component,
                    column: (first_mcu + mcu) * component.horizontal + unit.block_column,
                    row: mcu_row * component.vertical + unit.block_row,
                    exact: &self.exact[unit.block % GROUP_BLOCKS],
                    coefficients: &self.coefficients[unit.block % GROUP_BLOCKS],
                }
            })
        })
    }
}

/// A block and its place in its component, in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) component: usize,
    pub(super) column: usize,
    pub(super) row: usize,
    /// As the transform gave it, where the picture is measured.
    exact: &'a [i16; 64],
    pub(super) coefficients: &'a [i16; 64],
}

/// The working memory of a band's scan.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    stripe: Stripe,
    group: Group,
    symbols: SymbolList,
    pub(super) error: LumaError,
}

impl Scanner {
    /// Transforms the restart intervals of a band, gives their symbols to `sink` and, where asked, what a decoder will make of
    /// them to `seen`.
    #[inline(always)]
    pub(super) fn scan<S: Simd, K: Sink>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        intervals: Range<usize>,
        sink: &mut K,
        seen: Option<&mut BandPicture>,
    ) {
        let Self { stripe, group, symbols, error } = self;
        stripe.prepare(picture.layout);
        let mut scan = Scan { picture, group, symbols, error, sink, seen };
        scan.run(simd, stripe, intervals);
    }

    /// The same from coefficients that were kept.
    #[inline(always)]
    pub(super) fn scan_kept<S: Simd, K: Sink>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        intervals: Range<usize>,
        kept: &mut Kept,
        sink: &mut K,
        seen: Option<&mut BandPicture>,
    ) {
        let Self { group, symbols, error, .. } = self;
        kept.at = 0;
        let mut scan = Scan { picture, group, symbols, error, sink, seen };
        scan.run(simd, kept, intervals);
    }

    /// Transforms the MCU rows of a band and keeps their coefficients.
    #[inline(always)]
    pub(super) fn keep<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, rows: Range<usize>, kept: &mut Kept) {
        let layout = picture.layout;
        self.stripe.prepare(layout);
        self.group.prepare(layout);
        kept.blocks.clear();
        kept.blocks.reserve(rows.len() * layout.groups_wide() * GROUP_MCUS * self.group.mcu_blocks);
        for mcu_row in rows {
            self.stripe.load(simd, picture.frame, layout, mcu_row);
            for index in 0..layout.groups_wide() {
                self.group.forward(simd, picture, &self.stripe, mcu_row, index);
                kept.blocks.extend_from_slice(&self.group.exact[..GROUP_MCUS * self.group.mcu_blocks]);
            }
        }
    }

    /// Gives the symbols of one kept group in `every` to `sink`, those that begin with the picture's first.
    #[inline(always)]
    pub(super) fn sample<S: Simd, K: Sink>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        rows: Range<usize>,
        kept: &Kept,
        every: usize,
        sink: &mut K,
    ) {
        let (layout, wide) = (picture.layout, picture.layout.groups_wide());
        self.group.prepare(layout);
        let count = GROUP_MCUS * self.group.mcu_blocks;
        let first = (rows.start * wide).next_multiple_of(every);
        for at in (first..rows.end * wide).step_by(every) {
            let from = (at - rows.start * wide) * count;
            self.group.quantise_from(simd, picture, &kept.blocks[from..from + count]);
            let (mcu_row, index) = (at / wide, at % wide);
            let mcus = self.group.whole_mcus(layout, mcu_row, index);
            // What the group before ended with is not known: its own first blocks say about the same.
            let mut before = self.group.first_dcs(layout);
            self.group.list(simd, mcus, &mut before, &mut self.symbols);
            sink.take(simd, &mut self.symbols, true);
        }
    }
}

/// A scan under way.
struct Scan<'a, K> {
    picture: &'a Picture<'a>,
    group: &'a mut Group,
    symbols: &'a mut SymbolList,
    error: &'a mut LumaError,
    sink: &'a mut K,
    seen: Option<&'a mut BandPicture>,
}

impl<K: Sink> Scan<'_, K> {
    #[inline(always)]
    fn run<S: Simd, B: Source>(&mut self, simd: S, source: &mut B, intervals: Range<usize>) {
        let Self { picture, group, symbols, error, sink, seen } = self;
        let layout = picture.layout;
        let every = sampled_every(layout);
        group.prepare(layout);
        **error = LumaError::default();
        for interval in intervals {
            let mut before = [0; 3];
            for mcu_row in layout.rows_of(interval..interval + 1) {
                source.load_row(simd, picture, mcu_row);
                for index in 0..layout.groups_wide() {
                    source.quantise_group(simd, picture, group, mcu_row, index);
                    let mcus = group.whole_mcus(layout, mcu_row, index);
                    group.list(simd, mcus, &mut before, symbols);
                    sink.take(simd, symbols, is_sampled(mcu_row, index, every));
                    let first_mcu = index * GROUP_MCUS;
                    if picture.measure {
                        error.add(group.luma_error(simd, picture, mcu_row, first_mcu, mcus));
                    }
                    if let Some(seen) = seen.as_deref_mut() {
                        seen.add(simd, picture.quantisers, group.placed(layout, mcu_row, first_mcu, mcus));
                    }
                }
            }
            sink.end_interval(simd, interval, interval + 1 == layout.intervals());
        }
    }
}
