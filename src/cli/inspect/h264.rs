//! H.264 in Annex B framing: its NAL units, and what a sequence parameter set tells (ITU-T H.264 7.3.1, 7.3.2.1 and Annex B).

use std::io::{ErrorKind, Read};

use crate::cli::exit::{Failure, Result};

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;
/// A slice of a picture that isn't an IDR picture, one of an IDR picture, and parameters of sequences.
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
/// Profiles whose parameter sets name the chroma format.
const HIGH_PROFILES: [u8; 7] = [44, 100, 110, 122, 244, 118, 128];

/// One NAL unit, without its start code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a> {
    pub(crate) bytes: &'a [u8],
}

impl Unit<'_> {
    /// nal_unit_type.
    pub(crate) fn kind(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default() & 31
    }

    /// What that type holds.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind() {
            SLICE => "slice",
            2..=4 => "slice partition",
            IDR_SLICE => "IDR slice",
            6 => "SEI",
            SEQUENCE_PARAMETERS => "SPS",
            8 => "PPS",
            9 => "access unit delimiter",
            10 => "end of sequence",
            11 => "end of stream",
            12 => "filler",
            _ => "other",
        }
    }

    /// Whether it begins a picture: the slice with the first macroblock.
    pub(crate) fn begins_picture(&self) -> bool {
        // first_mb_in_slice of 0 is a single 1 bit.
        matches!(self.kind(), SLICE | IDR_SLICE) && self.bytes.get(1).is_some_and(|byte| byte & 0x80 != 0)
    }

    /// Whether it is part of a picture that stands alone.
    pub(crate) fn is_key(&self) -> bool {
        self.kind() == IDR_SLICE
    }

    /// What it tells, where it is a sequence parameter set in one piece.
    pub(crate) fn sequence(&self) -> Option<Sequence> {
        if self.kind() == SEQUENCE_PARAMETERS { Sequence::parse(self.bytes.get(1..)?) } else { None }
    }
}

/// What a sequence parameter set tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    profile_idc: u8,
    constraints: u8,
    level_idc: u8,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Sequence {
    fn parse(payload: &[u8]) -> Option<Self> {
        let payload = unprotected(payload);
        let [profile_idc, constraints, level_idc] = *payload.first_chunk()?;
        let mut bits = Bits { bytes: &payload, at: 24 };
        bits.exp_golomb()?; // seq_parameter_set_id
        let mut chroma = 1;
        if HIGH_PROFILES.contains(&profile_idc) {
            chroma = bits.exp_golomb()?;
            bits.skip(u32::from(chroma == 3)); // separate_colour_plane_flag
            bits.exp_golomb()?; // bit_depth_luma_minus8
            bits.exp_golomb()?; // bit_depth_chroma_minus8
            bits.skip(1); // qpprime_y_zero_transform_bypass_flag
            // seq_scaling_matrix_present_flag: the lists that would follow are nobody's here.
            if bits.bit()? {
                return None;
            }
        }
        bits.exp_golomb()?; // log2_max_frame_num_minus4
        match bits.exp_golomb()? {
            0 => drop(bits.exp_golomb()?), // log2_max_pic_order_cnt_lsb_minus4
            1 => return None,
            _ => {}
        }
        bits.exp_golomb()?; // max_num_ref_frames
        bits.skip(1); // gaps_in_frame_num_value_allowed_flag
        let columns = bits.exp_golomb()?.checked_add(1)?;
        let map_units = bits.exp_golomb()?.checked_add(1)?;
        let is_progressive = bits.bit()?;
        bits.skip(1 + u32::from(!is_progressive)); // mb_adaptive_frame_field_flag, direct_8x8_inference_flag
        let mut crop = [0; 4];
        if bits.bit()? {
            for side in &mut crop {
                *side = bits.exp_golomb()?;
            }
        }
        let (across, down) = match chroma {
            0 | 3 => (1, 1),
            2 => (2, 1),
            _ => (2, 2),
        };
        let fields = if is_progressive { 1 } else { 2 };
        let side = |blocks: u32, unit: u32, [first, second]: [u32; 2]| {
            let cropped = unit.checked_mul(first.checked_add(second)?)?;
            blocks.checked_mul(16)?.checked_sub(cropped)
        };
        let width = side(columns, across, [crop[0], crop[1]])?;
        let height = side(map_units.checked_mul(fields)?, down * fields, [crop[2], crop[3]])?;
        Some(Self { profile_idc, constraints, level_idc, width, height })
    }

    /// The profile's name, or its number.
    pub(crate) fn profile(&self) -> String {
        match (self.profile_idc, self.constraints & 0x40 != 0) {
            (66, true) => "constrained baseline".to_owned(),
            (66, false) => "baseline".to_owned(),
            (77, _) => "main".to_owned(),
            (88, _) => "extended".to_owned(),
            (100, _) => "high".to_owned(),
            (244, _) => "high 4:4:4 predictive".to_owned(),
            (other, _) => other.to_string(),
        }
    }

    pub(crate) fn level(&self) -> String {
        format!("{}.{}", self.level_idc / 10, self.level_idc % 10)
    }
}

/// Payload bytes without those that keep it from looking like a start code (7.4.1).
fn unprotected(payload: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let mut out = Vec::with_capacity(payload.len());
    for &byte in payload {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Bits, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn skip(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// ue(v), 9.1.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value = 1_u32;
        for _ in 0..zeros {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value - 1)
    }
}

/// Cuts a stream at its start codes.
pub(crate) struct Units<R> {
    reader: R,
    max_bytes: usize,
    buffer: Vec<u8>,
    /// Where the unit that comes next begins, and from where on its end wasn't looked for.
    start: usize,
    searched: usize,
    has_started: bool,
    has_ended: bool,
}

impl<R: Read> Units<R> {
    pub(crate) fn new(reader: R, max_bytes: usize) -> Self {
        Self { reader, max_bytes, buffer: Vec::new(), start: 0, searched: 0, has_started: false, has_ended: false }
    }

    /// The next unit; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Unit<'_>>> {
        loop {
            let found = self.buffer[self.searched..].windows(3).position(|window| window == [0, 0, 1]);
            let end = match found {
                Some(at) => self.searched + at,
                None if self.has_ended => self.buffer.len(),
                None => {
                    self.searched = self.buffer.len().saturating_sub(2).max(self.start);
                    self.more()?;
                    continue;
                }
            };
            let unit = self.start..end;
            let is_last = found.is_none();
            self.start = if is_last { end } else { end + 3 };
            self.searched = self.start;
            if is_last && unit.is_empty() {
                return Ok(None);
            }
            // Zeros before a start code belong to it or to nobody.
            let zeros = self.buffer[unit.clone()].iter().rev().take_while(|&&byte| byte == 0).count();
            let unit = unit.start..unit.end - zeros;
            let is_first = !std::mem::replace(&mut self.has_started, true);
            if is_first && !unit.is_empty() {
                return Err(Failure::data("h264: it doesn't begin with a start code"));
            }
            if !unit.is_empty() {
                return Ok(Some(Unit { bytes: &self.buffer[unit] }));
            }
        }
    }

    fn more(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.len() > self.max_bytes {
            return Err(Failure::data(format!("h264: a NAL unit over the limit of {} bytes", self.max_bytes)));
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + PIECE_BYTES, 0);
        let count = loop {
            match self.reader.read(&mut self.buffer[filled..]) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::io("reading", error)),
            }
        };
        self.buffer.truncate(filled + count);
        self.has_ended = count == 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(1);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn units(stream: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        let mut units = Units::new(stream, 1 << 20);
        while let Some(unit) = units.next().unwrap() {
            whole.push(unit.bytes.to_vec());
        }
        let mut drops = Units::new(Drops(stream), 1 << 20);
        let mut count = 0;
        while let Some(unit) = drops.next().unwrap() {
            assert_eq!(unit.bytes, whole[count]);
            count += 1;
        }
        assert_eq!(count, whole.len());
        whole
    }

    #[test]
    fn units_are_cut_at_start_codes_of_either_length() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 0, 3, 0, 0, 0, 0, 1, 0x65, 0x88];
        assert_eq!(units(&stream), [vec![0x67, 1, 2], vec![0x68, 0, 3], vec![0x65, 0x88]]);
        assert!(units(&[]).is_empty() && units(&[0, 0, 1]).is_empty());
        assert!(Units::new([1, 2, 0, 0, 1, 5].as_slice(), 1 << 20).next().is_err());
        let slice = Unit { bytes: &[0x65, 0x88] };
        assert!(slice.begins_picture() && slice.is_key() && slice.name() == "IDR slice");
        assert!(!Unit { bytes: &[0x41, 0x20] }.begins_picture());
    }

    #[test]
    fn parameter_sets_tell_profile_level_and_cropped_size() {
        // 1920x1080 High at level 4.0: 120 x 68 macroblocks, eight rows cropped; up to the VUI flag.
        let sps = Unit { bytes: &[0x67, 0x64, 0x00, 0x28, 0xAC, 0xB4, 0x03, 0xC0, 0x11, 0x3F, 0x2A] };
        let sequence = sps.sequence().unwrap();
        assert_eq!((sequence.width, sequence.height), (1920, 1080));
        assert_eq!((sequence.profile(), sequence.level()), ("high".to_owned(), "4.0".to_owned()));
        for end in 1..11 {
            assert!(Unit { bytes: &sps.bytes[..end] }.sequence().is_none(), "{end}");
        }
    }
}
