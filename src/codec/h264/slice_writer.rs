//! Slices: macroblocks in, NAL units out, by whichever entropy coder the profile has.

use super::bits::BitWriter;
use super::cabac_syntax::CabacWriter;
use super::cavlc::CavlcWriter;
use super::header::SliceHeader;
use super::macroblock::Macroblock;
use super::nal::{self, Framing};
use super::params::Sequence;

/// More than any slice header has.
const HEADER_BYTES: usize = 64;

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
            header: BitWriter::with_capacity(HEADER_BYTES),
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crate::codec::h264::header::{Deblocking, Marking, Reference};
    use crate::codec::h264::macroblock::{Kind, Levels, Partition};
    use crate::codec::h264::params::Profile;

    use super::*;

    const SEQUENCE: Sequence = Sequence {
        profile: Profile::Main,
        width: 1280,
        height: 720,
        color: None,
        frame_rate: None,
        references: 1,
        max_bitrate_bps: None,
        chroma_qp_offset: 0,
    };
    const HEADER: SliceHeader = SliceHeader {
        first_macroblock: 0,
        intra: false,
        idr: None,
        frame_num: 1,
        reference: Reference::Newest,
        weights: None,
        marking: Marking::Sliding,
        qp: 26,
        deblocking: Deblocking { idc: 0, alpha_offset_div2: 0, beta_offset_div2: 0 },
        cabac_init_idc: 0,
    };

    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    /// A level that is rarer the later it comes, and mostly small.
    fn level(seed: &mut u64, at: usize, size: usize, density: u64) -> i16 {
        let reach = density * (size - at) as u64 / size as u64;
        if random(seed) % 16 >= reach {
            return 0;
        }
        let magnitude = 1 + (random(seed) % 4096).leading_zeros().saturating_sub(52) as i16;
        if random(seed).is_multiple_of(2) { magnitude } else { -magnitude }
    }

    fn dense(seed: &mut u64, density: u64, transform_8x8: bool) -> Macroblock {
        let mut levels = Levels { luma_mask: u16::MAX, chroma_mask: [15; 2], ..Levels::default() };
        for block in &mut levels.luma {
            *block = std::array::from_fn(|at| level(seed, at, 16, density));
            block[0] |= 1;
        }
        for block in &mut levels.luma8 {
            *block = std::array::from_fn(|at| level(seed, at, 64, density));
            block[0] |= 1;
        }
        for block in levels.chroma_ac.as_flattened_mut() {
            *block = std::array::from_fn(|at| level(seed, at, 16, density));
            block[1] |= 1;
        }
        let kind = Kind::Inter(Partition::Whole);
        Macroblock { kind, cbp: 47, transform_8x8, mvd: [[1, -2]; 4], levels, ..Macroblock::default() }
    }

    #[test]
    #[ignore = "prints figures: run with --release --nocapture"]
    fn macroblocks_per_second() {
        let mut seed = 3;
        let mut writer = SliceWriter::new();
        let mut out = Vec::new();
        for (profile, transform_8x8) in
            [(Profile::ConstrainedBaseline, false), (Profile::Main, false), (Profile::High, true)]
        {
            let sequence = Sequence { profile, ..SEQUENCE };
            for density in [2, 6, 16] {
                let row: Vec<Macroblock> = (0..80).map(|_| dense(&mut seed, density, transform_8x8)).collect();
                measure(&mut writer, &sequence, &mut out, &format!("density {density}"), |writer| {
                    row.iter().enumerate().for_each(|(x, mb)| writer.macroblock(x, mb));
                });
            }
            measure(&mut writer, &sequence, &mut out, "skips", |writer| (0..80).for_each(|x| writer.skip(x)));
        }
    }

    fn measure(
        writer: &mut SliceWriter,
        sequence: &Sequence,
        out: &mut Vec<u8>,
        what: &str,
        mut row: impl FnMut(&mut SliceWriter),
    ) {
        let mut best = f64::MAX;
        for _ in 0..500 {
            out.clear();
            let started = Instant::now();
            writer.start(sequence, &HEADER);
            (0..2).for_each(|_| row(writer));
            writer.finish(Framing::AnnexB, out);
            best = best.min(started.elapsed().as_secs_f64());
        }
        let (each_ns, bits) = (best / 160.0 * 1e9, (8 * out.len()) as f64);
        let (rate, profile) = (bits / best / 1e6, sequence.profile);
        println!("{profile} {what}: {each_ns:.0} ns a macroblock of {:.0} bits, {rate:.0} Mbit/s", bits / 160.0);
    }
}
