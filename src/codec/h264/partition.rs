//! Macroblocks cut in parts that move differently.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::block::Here;
use super::macroblock::Partition;
use super::motion::{Base, Parts, Search, Window, part_chroma, part_luma};
use super::mv::{Cell, Field, Mv};
use crate::kernel::h264::{Chroma, Luma};

/// Bits of the types of macroblocks and, for quarters, of their sub-macroblocks.
const TYPE_BITS: [u32; 4] = [1, 3, 3, 7];

/// How a macroblock is predicted by motion.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    pub(super) partition: Partition,
    /// Vectors of the quadrants.
    pub(super) mvs: [Mv; 4],
    /// What is coded of each part's vector.
    pub(super) mvd: [[i16; 2]; 4],
    /// SATD and bits.
    pub(super) cost: u32,
    pub(super) luma: Luma,
}

/// Bits of a partition's type.
pub(super) const fn type_bits(partition: Partition) -> u32 {
    TYPE_BITS[partition as usize]
}

/// The partition that looks better than the whole by the search for whole samples, if one does by enough to be looked into.
pub(super) fn promising(parts: &Parts, lambda: u32) -> Option<Partition> {
    let sum = |range: std::ops::Range<usize>| parts.cost[range].iter().sum::<u32>();
    let costs = [(Partition::Rows, sum(1..3)), (Partition::Columns, sum(3..5)), (Partition::Quarters, sum(5..9))];
    let cost = |&(partition, cost): &(Partition, u32)| cost + type_bits(partition) * lambda;
    let best = costs.iter().min_by_key(|candidate| cost(candidate))?;
    (cost(best) + parts.cost[0] / 20 < parts.cost[0]).then_some(best.0)
}

/// Refines a partition's vectors. `field` must have the neighbours; its cells of this macroblock are used.
#[simd]
pub(super) fn refine<S: Simd>(
    simd: S,
    here: &Here,
    field: &mut Field,
    partition: Partition,
    parts: &Parts,
    search: &mut Search<'_>,
) -> Motion {
    let mut motion = Motion {
        partition,
        mvs: [Mv::ZERO; 4],
        mvd: [[0; 2]; 4],
        cost: type_bits(partition) * here.lambda,
        luma: [[0; 16]; 16],
    };
    let (x8, y8) = (2 * here.x, 2 * here.y);
    for part in 0..partition.vectors() {
        let (sx, sy) = (part % 2, part / 2);
        let found = match partition {
            Partition::Rows => {
                let near = field.neighbours(x8, y8 + part, 2, part == 0);
                search.prediction = near.preferring(if part == 0 { near.b } else { near.a });
                search.part_fraction::<S, 16, 8>(simd, here, [0, 8 * part], parts.at[1 + part], &mut motion.luma)
            }
            Partition::Columns => {
                let near = field.neighbours(x8 + part, y8, 1, true);
                search.prediction = near.preferring(if part == 0 { near.a } else { near.c });
                search.part_fraction::<S, 8, 16>(simd, here, [8 * part, 0], parts.at[3 + part], &mut motion.luma)
            }
            _ => {
                search.prediction = field.neighbours(x8 + sx, y8 + sy, 1, part != 3).median();
                search.part_fraction::<S, 8, 8>(simd, here, [8 * sx, 8 * sy], parts.at[5 + part], &mut motion.luma)
            }
        };
        motion.cost += found.cost;
        motion.mvd[part] = found.mv.minus(search.prediction);
        match partition {
            Partition::Rows => motion.mvs[2 * part..2 * part + 2].fill(found.mv),
            Partition::Columns => [motion.mvs[part], motion.mvs[part + 2]] = [found.mv; 2],
            _ => motion.mvs[part] = found.mv,
        }
        field.set(here.x, here.y, motion.mvs.map(Cell::Inter));
    }
    motion
}

/// Luma as the motion predicts it from samples that are weighted after interpolation, as decoders do; it was searched for in
/// samples weighted before.
#[simd]
pub(super) fn weighted_luma<S: Simd>(simd: S, base: Base<'_>, window: &Window, motion: &mut Motion) {
    for (k, &mv) in motion.mvs.iter().enumerate() {
        part_luma::<S, 8, 8>(simd, base.picture, window, [8 * (k % 2), 8 * (k / 2)], mv, &mut motion.luma);
    }
    base.weigh_luma(simd, &mut motion.luma);
}

/// Chroma as the motion predicts it.
#[simd]
pub(super) fn chroma<S: Simd>(simd: S, base: Base<'_>, window: &Window, motion: &Motion, out: &mut Chroma) {
    let (picture, mvs) = (base.picture, &motion.mvs);
    match motion.partition {
        Partition::Whole => part_chroma::<S, 8, 8>(simd, picture, window, [0, 0], mvs[0], out),
        Partition::Rows => {
            part_chroma::<S, 8, 4>(simd, picture, window, [0, 0], mvs[0], out);
            part_chroma::<S, 8, 4>(simd, picture, window, [0, 4], mvs[2], out);
        }
        Partition::Columns => {
            part_chroma::<S, 4, 8>(simd, picture, window, [0, 0], mvs[0], out);
            part_chroma::<S, 4, 8>(simd, picture, window, [4, 0], mvs[1], out);
        }
        Partition::Quarters => {
            for (k, &mv) in mvs.iter().enumerate() {
                part_chroma::<S, 4, 4>(simd, picture, window, [4 * (k % 2), 4 * (k / 2)], mv, out);
            }
        }
    }
    base.weigh_chroma(simd, out);
}
