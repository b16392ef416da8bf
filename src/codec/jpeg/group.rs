//! Four MCUs: their blocks' coefficients, and the order that the scan has them in.

use super::layout::Layout;
use super::luma_error::LumaError;
use super::picture::Picture;
use super::stripe::Stripe;
use crate::kernel::Simd;
use crate::kernel::block::{BLOCKS, forward, quantise, squared_error, transform};
use crate::kernel::symbols::{ROWS, SymbolList};

/// MCUs of a group: four, so that the blocks of each component fill whole vectors.
pub(super) const GROUP_MCUS: usize = BLOCKS;
/// Most blocks of an MCU: 4:2:0.
const MCU_BLOCKS: usize = 6;
/// Blocks a group has room for: a power of two, so that an index is masked rather than checked.
const GROUP_BLOCKS: usize = (GROUP_MCUS * MCU_BLOCKS).next_power_of_two();

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
    pub(super) fn transform<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        stripe: &Stripe,
        mcu_row: usize,
        group: usize,
    ) {
        stripe.prefetch(picture, mcu_row + 1, group, false);
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
        stripe.prefetch(picture, mcu_row + 1, group, true);
    }

    /// Transforms without quantising.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &mut self,
        simd: S,
        picture: &Picture<'_>,
        stripe: &Stripe,
        mcu_row: usize,
        group: usize,
    ) {
        stripe.prefetch(picture, mcu_row + 1, group, false);
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
        stripe.prefetch(picture, mcu_row + 1, group, true);
    }

    /// Quantises what [`Group::forward`] gave.
    #[inline(always)]
    pub(super) fn quantise<S: Simd>(&mut self, simd: S, picture: &Picture<'_>) {
        let luma_blocks = BLOCKS * picture.layout.luma_blocks();
        let blocks = self.exact.iter().zip(&mut self.coefficients).zip(&mut self.masks).enumerate();
        for (at, ((exact, out), mask)) in blocks.take(BLOCKS * self.mcu_blocks) {
            *mask = quantise(simd, exact, &picture.quantisers[usize::from(at >= luma_blocks)], out);
        }
    }

    /// Quantises a group that was kept.
    #[inline(always)]
    pub(super) fn quantise_from<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, kept: &[[i16; 64]]) {
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
    pub(super) fn luma_error<S: Simd>(
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
    pub(super) fn whole_mcus(&mut self, layout: &Layout, mcu_row: usize, index: usize) -> usize {
        let first_mcu = index * GROUP_MCUS;
        let mcus = GROUP_MCUS.min(layout.mcus_wide - first_mcu);
        if first_mcu + GROUP_MCUS >= layout.mcus_wide || mcu_row + 1 == layout.mcus_high {
            self.empty_outside(layout, mcu_row, first_mcu, mcus);
        }
        mcus
    }

    /// Blocks of the group.
    pub(super) fn blocks(&self) -> usize {
        GROUP_MCUS * self.mcu_blocks
    }

    /// The blocks as the transform gave them, where the picture is measured or kept.
    pub(super) fn exact(&self) -> &[[i16; 64]] {
        &self.exact[..self.blocks()]
    }

    /// The first DC coefficient of each component.
    pub(super) fn first_dcs(&self, layout: &Layout) -> [i16; 3] {
        let luma = layout.luma_blocks();
        [0, luma, luma + 1].map(|call| self.coefficients[BLOCKS * call % GROUP_BLOCKS][0])
    }

    /// Lists the symbols of the first `mcus` MCUs; `before` has each component's last DC coefficient.
    #[inline(always)]
    pub(super) fn list<S: Simd>(&self, simd: S, mcus: usize, before: &mut [i16; 3], symbols: &mut SymbolList) {
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
    pub(super) fn placed<'a>(
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
