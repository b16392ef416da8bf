//! Slices: macroblocks in, NAL units out, by whichever entropy coder the profile has.

use super::bits::BitWriter;
use super::cabac_syntax::CabacWriter;
use super::cavlc::CavlcWriter;
use super::header::SliceHeader;
use super::macroblock::Macroblock;
use super::nal::{self, Framing};
use super::params::Sequence;

/// Writes slices, one after the other, and keeps its buffers.
#[derive(Debug)]
pub(super) struct SliceWriter {
    has_cabac: bool,
    nal_header: u8,
    header: BitWriter,
    cabac: CabacWriter,
    cavlc: CavlcWriter,
}

impl SliceWriter {
    pub(super) fn new() -> Self {
        Self {
            has_cabac: false,
            nal_header: 0,
            header: BitWriter::default(),
            cabac: CabacWriter::default(),
            cavlc: CavlcWriter::default(),
        }
    }

    /// Starts a slice: writes its header; the slice begins at the start of a macroblock row.
    pub(super) fn start(&mut self, sequence: &Sequence, header: &SliceHeader) {
        self.has_cabac = sequence.profile.has_cabac();
        let unit_type = if header.idr.is_some() { nal::IDR_SLICE } else { nal::SLICE };
        self.nal_header = nal::header(header.ref_idc(), unit_type);
        if self.has_cabac {
            self.header.clear();
            header.write(sequence, &mut self.header);
            self.header.align(true);
            self.cabac.start(sequence, header, self.header.bytes());
        } else {
            self.cavlc.start(sequence, header);
        }
    }

    /// Writes the macroblock at column x; macroblocks come in raster order.
    #[inline]
    pub(super) fn macroblock(&mut self, x: usize, mb: &Macroblock) {
        if self.has_cabac {
            self.cabac.macroblock(x, mb);
        } else {
            self.cavlc.macroblock(x, mb);
        }
    }

    /// As [`Self::macroblock`] for P_Skip.
    #[inline]
    pub(super) fn skip(&mut self, x: usize) {
        if self.has_cabac {
            self.cabac.skip(x);
        } else {
            self.cavlc.skip(x);
        }
    }

    /// Bits of the slice so far, to within a few bytes, before emulation prevention and without the NAL unit's framing.
    #[inline]
    pub(super) fn bits(&self) -> usize {
        if self.has_cabac { self.cabac.len_bits() } else { self.cavlc.len_bits() }
    }

    /// Ends the slice and appends its NAL unit to `out`.
    pub(super) fn finish(&mut self, framing: Framing, out: &mut Vec<u8>) {
        let payload = if self.has_cabac { self.cabac.finish() } else { self.cavlc.finish() };
        nal::append(self.nal_header, payload, framing, out);
    }
}
