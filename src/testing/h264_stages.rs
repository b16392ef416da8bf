//! The H.264 encoder's stages one at a time, over whole pictures, for benches.

use fearless_simd::Simd;

use crate::kernel::h264::copy::load_luma;
use crate::kernel::h264::deblock::{Edge, Offsets, deblock_luma};
use crate::kernel::h264::interpolate::luma_block;
use crate::kernel::h264::intra::Neighbours16;
use crate::kernel::h264::intra_search::search_16x16;
use crate::kernel::h264::quantise::{dequantise, quantise};
use crate::kernel::h264::quantiser::{Quantisers, Rounding};
use crate::kernel::h264::sad::sad_quadrants;
use crate::kernel::h264::satd::satd_16x16;
use crate::kernel::h264::transform4::{add_luma, forward, inverse, residual_luma};
use crate::kernel::h264::{Luma, Planes};
use crate::kernel::{Level, Vectorise, vectorise};

/// One thing that is done to each macroblock's luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Sums of absolute differences to a place in the reference, by quadrant.
    Sad,
    /// Sum of absolute transformed differences to a place in the reference.
    Satd,
    /// The block a quarter sample away in both directions.
    Interpolate,
    /// The best 16x16 intra mode and its prediction.
    IntraSearch,
    /// Difference, 4x4 transforms and quantisation, and all of it back.
    Transform,
    /// Edges of strength 2 all around and inside.
    Deblock,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 6] =
        [Self::Sad, Self::Satd, Self::Interpolate, Self::IntraSearch, Self::Transform, Self::Deblock];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sad => "sad",
            Self::Satd => "satd",
            Self::Interpolate => "interpolate",
            Self::IntraSearch => "intra_search",
            Self::Transform => "transform_quantise",
            Self::Deblock => "deblock",
        }
    }
}

/// Luma of two frames to work on.
pub struct Stages {
    source: Vec<u8>,
    reference: Vec<u8>,
    width: usize,
    height: usize,
    quantisers: Quantisers,
    qp: u8,
}

impl Stages {
    /// Rows without gaps, a multiple of 16 wide.
    ///
    /// # Panics
    /// Planes that aren't of that size, or a quantiser parameter over 51.
    pub fn new(source: Vec<u8>, reference: Vec<u8>, width: usize, qp: u8) -> Self {
        assert!(width.is_multiple_of(16) && source.len().is_multiple_of(width) && reference.len() == source.len());
        assert!(qp <= 51, "qp {qp}");
        let height = source.len() / width;
        Self {
            source,
            reference,
            width,
            height,
            quantisers: Quantisers::new(Rounding::even(21), Rounding::even(11)),
            qp,
        }
    }

    /// Does a stage for every macroblock that isn't at the border. Returns a sum of what came out, so that all of it is needed.
    pub fn run(&mut self, level: Level, stage: Stage) -> u64 {
        vectorise(level, Run { stages: self, stage })
    }
}

struct Run<'a> {
    stages: &'a mut Stages,
    stage: Stage,
}

impl Vectorise for Run<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        let (width, height) = (self.stages.width, self.stages.height);
        let mut sum = 0;
        for y in (16..height.saturating_sub(31)).step_by(16) {
            for x in (16..width - 16).step_by(16) {
                sum += self.stages.macroblock(simd, self.stage, y * width + x);
            }
        }
        sum
    }
}

impl Stages {
    #[inline(always)]
    fn macroblock<S: Simd>(&mut self, simd: S, stage: Stage, at: usize) -> u64 {
        let stride = self.width;
        let source = load_luma(simd, &self.source, at, stride);
        // Off the macroblock's own place, as vectors are.
        let moved = at - stride - 3;
        match stage {
            Stage::Sad => sad_quadrants(simd, &source, &self.reference[moved..], stride).map(u64::from).iter().sum(),
            Stage::Satd => u64::from(satd_16x16(simd, &source, &self.reference[moved..], stride)),
            Stage::Interpolate => {
                let mut block: Luma = [[0; 16]; 16];
                luma_block::<S, 16, 16>(simd, &self.reference, stride, at, 1, 3, block.as_flattened_mut(), 16);
                u64::from(block[15][15])
            }
            Stage::IntraSearch => {
                let neighbours = self.neighbours(at);
                let (mode, cost, block) = search_16x16(simd, &source, &neighbours, &[4, 4, 2, 8], u32::MAX);
                u64::from(mode) + u64::from(cost) + u64::from(block[15][15])
            }
            Stage::Transform => {
                let prediction = load_luma(simd, &self.reference, moved, stride);
                let quantiser = &self.quantisers.inter(self.qp).four;
                let mut levels: Planes<16> = [[0; 16]; 16];
                residual_luma(simd, &source, &prediction, &mut levels);
                forward(simd, &mut levels);
                let mask = quantise(simd, &mut levels, quantiser);
                let mut residual = levels;
                dequantise(simd, &levels, quantiser, &mut residual);
                inverse(simd, &mut residual);
                let mut block: Luma = [[0; 16]; 16];
                add_luma(simd, &prediction, &residual, &mut block);
                u64::from(mask.count_ones()) + u64::from(block[15][15])
            }
            Stage::Deblock => {
                let edges = [Edge { strength: [2; 4], qp: self.qp }; 4];
                deblock_luma(simd, &mut self.reference, at, stride, &edges, &edges, Offsets::default());
                u64::from(self.reference[at])
            }
        }
    }

    #[inline(always)]
    fn neighbours(&self, at: usize) -> Neighbours16 {
        let (above, stride) = (at - self.width, self.width);
        let (mut row, mut column) = ([0; 16], [0; 16]);
        row.copy_from_slice(&self.source[above..above + 16]);
        for (y, sample) in column.iter_mut().enumerate() {
            *sample = self.source[at + y * stride - 1];
        }
        Neighbours16 { above: Some(row), left: Some(column), corner: self.source[above - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;
    use crate::testing::{Content, picture};

    #[test]
    fn stages_give_the_same_at_every_level() {
        let luma = |number| {
            let frame = picture(Content::Waves, crate::PixelFormat::Gray8, 96, 80, number);
            frame.into_data()
        };
        for stage in Stage::ALL {
            let run = |level| Stages::new(luma(0), luma(1), 96, 28).run(level, stage);
            let expected = run(kernel::Level::baseline());
            assert!(expected > 0, "{stage:?}");
            kernel::levels().into_iter().for_each(|level| assert_eq!(run(level), expected, "{stage:?}"));
        }
    }
}
