//! The macroblock layer under CAVLC (ITU-T H.264 7.3.4, 7.3.5, 9.1, 9.2.1).

use super::bits::BitWriter;
use super::cavlc_residual::{block, chroma_dc};
use super::cavlc_tables::{CBP_INTER, CBP_INTRA};
use super::header::SliceHeader;
use super::macroblock::{CODING_ORDER, Kind, MOST_PROBABLE, Macroblock, Partition};
use super::params::Sequence;
use super::pcm;

/// mb_type of I_PCM in I slices.
const I_PCM: u32 = 25;
/// What mb_type of intra macroblocks is raised by in P slices.
const INTRA_IN_P: u32 = 5;

/// Stands for the number of coefficients of a block outside the slice.
const NONE: u8 = 64;

/// How many coefficients the blocks at an edge of a macroblock have.
#[derive(Clone, Copy, Debug)]
struct Edge {
    luma: [u8; 4],
    /// Of Cb, then of Cr.
    chroma: [[u8; 2]; 2],
}

impl Edge {
    const fn all(count: u8) -> Self {
        Self { luma: [count; 4], chroma: [[count; 2]; 2] }
    }
}

/// Writes macroblocks of one slice, and knows those around.
#[derive(Debug)]
pub(super) struct CavlcWriter {
    bits: BitWriter,
    left: Edge,
    /// The newest macroblock of each column.
    above: Vec<Edge>,
    is_intra_slice: bool,
    /// P_Skip macroblocks since the last that wasn't.
    skip_run: u32,
}

impl Default for CavlcWriter {
    fn default() -> Self {
        let left = Edge::all(NONE);
        Self { bits: BitWriter::default(), left, above: Vec::new(), is_intra_slice: true, skip_run: 0 }
    }
}

impl CavlcWriter {
    /// Starts a slice with its header.
    pub(super) fn start(&mut self, sequence: &Sequence, header: &SliceHeader) {
        self.bits.clear();
        header.write(sequence, &mut self.bits);
        self.above.clear();
        self.above.resize(sequence.size_macroblocks().0, Edge::all(NONE));
        self.is_intra_slice = header.intra;
        self.skip_run = 0;
    }

    pub(super) fn len_bits(&self) -> usize {
        // What is pending is less than a byte and a half.
        self.bits.len_bits() + 2 * (32 - self.skip_run.leading_zeros()) as usize
    }

    /// Ends the slice and gives its bytes.
    pub(super) fn finish(&mut self) -> &[u8] {
        if self.skip_run > 0 {
            self.bits.ue(self.skip_run);
        }
        self.bits.trailing();
        self.bits.bytes()
    }

    /// Writes a P_Skip macroblock.
    #[inline]
    pub(super) fn skip(&mut self, x: usize) {
        debug_assert!(!self.is_intra_slice, "P_Skip in an I slice");
        self.skip_run += 1;
        self.left = Edge::all(0);
        self.above[x] = Edge::all(0);
    }

    /// Writes a macroblock.
    pub(super) fn macroblock(&mut self, x: usize, mb: &Macroblock) {
        if mb.kind == Kind::Skip {
            return self.skip(x);
        }
        debug_assert!(!mb.transform_8x8 || mb.cbp & 15 == 0, "8x8 transforms are for High, which has CABAC");
        if x == 0 {
            self.left = Edge::all(NONE);
        }
        if !self.is_intra_slice {
            self.bits.ue(self.skip_run);
            self.skip_run = 0;
        }
        match mb.kind {
            Kind::Pcm => {
                self.intra_type(I_PCM);
                self.bits.align(false);
                pcm::append(mb, self.bits.aligned());
                self.left = Edge::all(16);
                self.above[x] = Edge::all(16);
                return;
            }
            Kind::Inter(partition) => self.inter(mb, partition),
            _ => self.intra(mb),
        }
        self.coefficients(x, mb);
    }

    fn intra_type(&mut self, mb_type: u32) {
        self.bits.ue(mb_type + if self.is_intra_slice { 0 } else { INTRA_IN_P });
    }

    /// mb_type and prediction of an intra macroblock, and its coded_block_pattern.
    fn intra(&mut self, mb: &Macroblock) {
        debug_assert!(mb.kind != Kind::Intra8x8, "8x8 transforms are for High, which has CABAC");
        if let Kind::Intra16x16(mode) = mb.kind {
            let luma = if mb.cbp & 15 != 0 { 12 } else { 0 };
            self.intra_type(1 + u32::from(mode) + 4 * u32::from(mb.cbp >> 4) + luma);
            self.bits.ue(mb.chroma_mode.into());
            return;
        }
        self.intra_type(0);
        for symbol in mb.intra_symbols {
            if symbol == MOST_PROBABLE {
                self.bits.put(1, 1);
            } else {
                self.bits.put(symbol.into(), 4);
            }
        }
        self.bits.ue(mb.chroma_mode.into());
        self.bits.ue(CBP_INTRA[usize::from(mb.cbp).min(47)].into());
    }

    /// mb_type, motion and coded_block_pattern of a P macroblock.
    fn inter(&mut self, mb: &Macroblock, partition: Partition) {
        self.bits.ue(match partition {
            Partition::Whole => 0,
            Partition::Rows => 1,
            Partition::Columns => 2,
            Partition::Quarters => 3,
        });
        if partition == Partition::Quarters {
            self.bits.put(0b1111, 4); // sub_mb_type 0, four times
        }
        for component in mb.mvd[..partition.vectors()].as_flattened() {
            self.bits.se((*component).into());
        }
        self.bits.ue(CBP_INTER[usize::from(mb.cbp).min(47)].into());
    }

    /// mb_qp_delta and residual().
    fn coefficients(&mut self, x: usize, mb: &Macroblock) {
        let is_intra_16x16 = matches!(mb.kind, Kind::Intra16x16(_));
        if mb.cbp == 0 && !is_intra_16x16 {
            self.left = Edge::all(0);
            self.above[x] = Edge::all(0);
            return;
        }
        self.bits.se(mb.qp_delta.into());
        let mut luma = Grid::<5>::around(&self.left.luma, &self.above[x].luma);
        if is_intra_16x16 {
            block(&mut self.bits, if mb.levels.luma_dc_coded { &mb.levels.luma_dc } else { &[] }, luma.n_c(0, 0));
        }
        let first = usize::from(is_intra_16x16);
        for (at, raster) in CODING_ORDER.into_iter().enumerate() {
            if mb.cbp >> (at / 4) & 1 == 1 {
                let (column, row) = (usize::from(raster % 4), usize::from(raster / 4));
                let is_coded = mb.levels.luma_mask >> raster & 1 == 1;
                let levels = if is_coded { &mb.levels.luma[usize::from(raster & 15)][first..] } else { &[] };
                luma.counts[row + 1][column + 1] = block(&mut self.bits, levels, luma.n_c(column, row));
            }
        }
        let mut chroma = [0, 1].map(|at| Grid::<3>::around(&self.left.chroma[at], &self.above[x].chroma[at]));
        self.chroma(mb, &mut chroma);
        let [cb, cr] = &chroma;
        self.left = Edge { luma: luma.right(), chroma: [cb.right(), cr.right()] };
        self.above[x] = Edge { luma: luma.bottom(), chroma: [cb.bottom(), cr.bottom()] };
    }

    fn chroma(&mut self, mb: &Macroblock, counts: &mut [Grid<3>; 2]) {
        if mb.cbp >= 16 {
            for levels in &mb.levels.chroma_dc {
                chroma_dc(&mut self.bits, levels);
            }
        }
        if mb.cbp >= 32 {
            for (at, counts) in counts.iter_mut().enumerate() {
                for (raster, levels) in mb.levels.chroma_ac[at].iter().enumerate() {
                    let (column, row) = (raster % 2, raster / 2);
                    let is_coded = mb.levels.chroma_mask[at] >> raster & 1 == 1;
                    let levels = if is_coded { &levels[1..] } else { &[] };
                    counts.counts[row + 1][column + 1] = block(&mut self.bits, levels, counts.n_c(column, row));
                }
            }
        }
    }
}

/// Coefficients of a macroblock's blocks, with the blocks above in row 0 and those to the left in column 0.
struct Grid<const N: usize> {
    counts: [[u8; N]; N],
}

impl<const N: usize> Grid<N> {
    fn around(left: &[u8], above: &[u8]) -> Self {
        let mut counts = [[0; N]; N];
        counts[0][1..].copy_from_slice(above);
        for (row, &count) in counts[1..].iter_mut().zip(left) {
            row[0] = count;
        }
        Self { counts }
    }

    /// nC (9.2.1): the mean of both neighbours, or the one that is there.
    #[inline(always)]
    fn n_c(&self, column: usize, row: usize) -> u8 {
        let sum = self.counts[row + 1][column] + self.counts[row][column + 1];
        if sum < NONE { sum.div_ceil(2) } else { sum % NONE }
    }

    fn right<const M: usize>(&self) -> [u8; M] {
        std::array::from_fn(|row| self.counts[row + 1][N - 1])
    }

    fn bottom<const M: usize>(&self) -> [u8; M] {
        std::array::from_fn(|column| self.counts[N - 1][column + 1])
    }
}
