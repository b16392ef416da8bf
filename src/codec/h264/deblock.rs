//! Where and how strongly edges are filtered (ITU-T H.264 8.7.2.1).

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::block::Trace;
use super::mv::{Cell, Field};
use super::picture::Band;
use super::tables::chroma_qp;
use crate::kernel::h264::array;
use crate::kernel::h264::deblock::{Edge, Offsets, deblock_chroma, deblock_luma};

/// Bits of a macroblock's mask in its left column, and in its top row.
const LEFT_COLUMN: u16 = 0x1111;
const TOP_ROW: u16 = 0x000F;

/// The filter's thresholds are the standard's, as the slice header says.
const OFFSETS: Offsets = Offsets { alpha: 0, beta: 0 };

/// Strength between two blocks that aren't intra.
#[inline(always)]
fn strength(is_coded: bool, p: Cell, q: Cell) -> u8 {
    if is_coded { 2 } else { u8::from(p.mv().is_far_from(q.mv())) }
}

/// Filters a row of a slice, given what is known of its macroblocks and of those above it.
#[simd]
pub(super) fn filter_row<S: Simd>(
    simd: S,
    band: &mut Band<'_>,
    y: usize,
    columns: usize,
    traces: &[Trace],
    field: &Field,
    chroma_offset: i8,
) {
    let (before, rest) = traces.split_at(y * columns);
    let above = before.get(before.len().saturating_sub(columns)..).unwrap_or_default();
    let mut left: Option<Trace> = None;
    for (x, trace) in rest.iter().take(columns).enumerate() {
        let edges = Edges::of(x, y, *trace, left, above.get(x).copied(), field);
        left = Some(*trace);
        if edges.is_none() {
            continue;
        }
        let (vertical, horizontal) = edges.luma();
        let at = band.luma_at(x, y);
        deblock_luma(simd, band.luma, at, band.stride, &vertical, &horizontal, OFFSETS);
        let (vertical, horizontal) = edges.chroma(chroma_offset);
        let at = band.chroma_at(x, y);
        deblock_chroma(simd, band.chroma, at, band.stride, &vertical, &horizontal, OFFSETS);
    }
}

/// Strengths of a macroblock's edges, and the quantiser parameters on their sides.
struct Edges {
    vertical: [[u8; 4]; 4],
    horizontal: [[u8; 4]; 4],
    qp: u8,
    left_qp: u8,
    above_qp: u8,
}

impl Edges {
    #[inline(always)]
    fn of(x: usize, y: usize, here: Trace, left: Option<Trace>, above: Option<Trace>, field: &Field) -> Self {
        let mut edges = Self {
            vertical: [[0; 4]; 4],
            horizontal: [[0; 4]; 4],
            qp: here.qp,
            left_qp: left.map_or(0, |left| left.qp),
            above_qp: above.map_or(0, |above| above.qp),
        };
        if here.is_intra {
            let inner = if here.transform_8x8 { [4, 0, 3, 0] } else { [4, 3, 3, 3] };
            edges.vertical = inner.map(|strength| [strength; 4]);
            edges.horizontal = edges.vertical;
            if left.is_none() {
                edges.vertical[0] = [0; 4];
            }
            if above.is_none() {
                edges.horizontal[0] = [0; 4];
            }
            return edges;
        }
        let (x8, y8) = (2 * x as isize, 2 * y as isize);
        let mut cells = [[Cell::Unavailable; 3]; 3];
        for (v, row) in cells.iter_mut().enumerate() {
            for (h, cell) in row.iter_mut().enumerate() {
                *cell = field.at(x8 + h as isize - 1, y8 + v as isize - 1);
            }
        }
        if let Some(left) = left {
            edges.vertical[0] = if left.is_intra {
                [4; 4]
            } else {
                let coded = (here.mask & LEFT_COLUMN) | ((left.mask >> 3) & LEFT_COLUMN);
                array(|k| strength(coded >> (4 * k) & 1 != 0, cells[1 + k / 2][0], cells[1 + k / 2][1]))
            };
        }
        if let Some(above) = above {
            edges.horizontal[0] = if above.is_intra {
                [4; 4]
            } else {
                let coded = (here.mask & TOP_ROW) | (above.mask >> 12);
                array(|k| strength(coded >> k & 1 != 0, cells[0][1 + k / 2], cells[1][1 + k / 2]))
            };
        }
        edges.fill_inner(here, &cells);
        edges
    }

    #[inline(always)]
    fn fill_inner(&mut self, here: Trace, cells: &[[Cell; 3]; 3]) {
        if here.mask == 0 && cells[1][1] == cells[1][2] && cells[2][1] == cells[2][2] && cells[1][1] == cells[2][1] {
            return;
        }
        // Bit b: block b or its left neighbour (its upper one) has coefficients.
        let (across, down) = (here.mask | (here.mask << 1), here.mask | (here.mask << 4));
        for edge in 1..4 {
            if here.transform_8x8 && edge != 2 {
                continue;
            }
            for k in 0..4 {
                let (p, q) =
                    if edge == 2 { (cells[1 + k / 2][1], cells[1 + k / 2][2]) } else { (cells[1][1], cells[1][1]) };
                self.vertical[edge][k] = strength(across >> (4 * k + edge) & 1 != 0, p, q);
                let (p, q) =
                    if edge == 2 { (cells[1][1 + k / 2], cells[2][1 + k / 2]) } else { (cells[1][1], cells[1][1]) };
                self.horizontal[edge][k] = strength(down >> (4 * edge + k) & 1 != 0, p, q);
            }
        }
    }

    fn is_none(&self) -> bool {
        self.vertical == [[0; 4]; 4] && self.horizontal == [[0; 4]; 4]
    }

    fn luma(&self) -> ([Edge; 4], [Edge; 4]) {
        let edge = |strengths: [[u8; 4]; 4], outer_qp: u8| {
            array(|k| Edge {
                strength: strengths[k],
                qp: if k == 0 { (self.qp + outer_qp).div_ceil(2) } else { self.qp },
            })
        };
        (edge(self.vertical, self.left_qp), edge(self.horizontal, self.above_qp))
    }

    fn chroma(&self, offset: i8) -> ([Edge; 2], [Edge; 2]) {
        let chroma = |qp: u8| chroma_qp(qp, offset);
        let edge = |strengths: [[u8; 4]; 4], outer_qp: u8| {
            array(|k| Edge {
                strength: strengths[2 * k],
                qp: if k == 0 { (chroma(self.qp) + chroma(outer_qp)).div_ceil(2) } else { chroma(self.qp) },
            })
        };
        (edge(self.vertical, self.left_qp), edge(self.horizontal, self.above_qp))
    }
}
