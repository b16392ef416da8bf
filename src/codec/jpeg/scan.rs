//! A band of the picture from samples to coefficients, four MCUs at a time.

use std::ops::Range;

use super::layout::Layout;
use super::reconstruct::BandPicture;
use super::stripe::Stripe;
use crate::frame::Frame;
use crate::kernel::Simd;
use crate::kernel::block::{BLOCKS, transform};
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
    /// Takes the symbols of some blocks in the order of the scan.
    fn take(&mut self, symbols: &mut SymbolList);

    /// Ends restart interval `interval`; another follows unless it is the last.
    fn end_interval(&mut self, interval: usize, is_last: bool);
}

/// Quantised coefficients of four MCUs.
#[derive(Debug)]
pub(super) struct Group {
    coefficients: [[i16; 64]; GROUP_BLOCKS],
    masks: [u64; GROUP_BLOCKS],
    /// The blocks of each MCU in the order of the scan.
    order: [[Unit; MCU_BLOCKS]; GROUP_MCUS],
    mcu_blocks: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self {
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
    pub(super) coefficients: &'a [i16; 64],
}

/// The working memory of a band's scan.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    stripe: Stripe,
    group: Group,
    symbols: SymbolList,
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
        mut seen: Option<&mut BandPicture>,
    ) {
        let layout = picture.layout;
        self.stripe.prepare(layout);
        self.group.prepare(layout);
        for interval in intervals {
            let mut before = [0; 3];
            let first_row = interval * layout.interval_rows;
            for mcu_row in first_row..(first_row + layout.interval_rows).min(layout.mcus_high) {
                self.stripe.load(simd, picture.frame, layout, mcu_row);
                for group in 0..layout.mcus_wide.div_ceil(GROUP_MCUS) {
                    self.group.transform(simd, picture, &self.stripe, mcu_row, group);
                    let first_mcu = group * GROUP_MCUS;
                    let mcus = GROUP_MCUS.min(layout.mcus_wide - first_mcu);
                    if first_mcu + GROUP_MCUS >= layout.mcus_wide || mcu_row + 1 == layout.mcus_high {
                        self.group.empty_outside(layout, mcu_row, first_mcu, mcus);
                    }
                    self.group.list(simd, mcus, &mut before, &mut self.symbols);
                    sink.take(&mut self.symbols);
                    if let Some(seen) = seen.as_deref_mut() {
                        seen.add(simd, picture.quantisers, self.group.placed(layout, mcu_row, first_mcu, mcus));
                    }
                }
            }
            sink.end_interval(interval, interval + 1 == layout.intervals());
        }
    }
}
