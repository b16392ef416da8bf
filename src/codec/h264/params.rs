//! Parameter sets: what holds for all pictures of a stream (ITU-T H.264 7.3.2.1, 7.3.2.2, Annex E).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Matrix, Range};

use super::bits::BitWriter;
use super::level::{Demand, Level};
use super::nal;

/// pic_parameter_set_id of pictures with weights.
pub(super) const WEIGHTED: u32 = 1;
/// Bits of frame_num in slice headers.
pub(super) const LOG2_MAX_FRAME_NUM: u32 = 8;

/// The coding tools a stream uses (ITU-T H.264 Annex A.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// CAVLC, 4x4 transforms: every decoder there is, and what WebRTC must take.
    ConstrainedBaseline,
    /// CABAC besides, 10 to 15 % fewer bytes, and fades by weighted prediction.
    Main,
    /// 8x8 transforms besides: fewer bytes again, most of all in large and sharp pictures.
    #[default]
    High,
}

impl Profile {
    /// All profiles, simplest first.
    pub const ALL: [Self; 3] = [Self::ConstrainedBaseline, Self::Main, Self::High];

    /// The name used on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConstrainedBaseline => "baseline",
            Self::Main => "main",
            Self::High => "high",
        }
    }

    /// Whether syntax elements are coded arithmetically (CABAC) rather than by tables (CAVLC).
    pub const fn has_cabac(self) -> bool {
        !matches!(self, Self::ConstrainedBaseline)
    }

    /// Whether predicted samples may be weighted.
    pub const fn has_weights(self) -> bool {
        !matches!(self, Self::ConstrainedBaseline)
    }

    /// Whether luma may be transformed in 8x8 blocks.
    pub const fn has_transform_8x8(self) -> bool {
        matches!(self, Self::High)
    }

    /// profile_idc, and the byte of constraint flags: Constrained Baseline streams can be read by Baseline, Main and
    /// Extended decoders, Main streams by Main decoders.
    const fn codes(self) -> [u8; 2] {
        match self {
            Self::ConstrainedBaseline => [66, 0xE0],
            Self::Main => [77, 0x40],
            Self::High => [100, 0],
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("constrained-baseline") {
            return Ok(Self::ConstrainedBaseline);
        }
        Self::ALL.into_iter().find(|profile| profile.name().eq_ignore_ascii_case(text)).ok_or(Error::Unsupported {
            field: "profile",
            value: text.to_owned(),
            supported: "baseline, main, high",
        })
    }
}

/// What a stream's parameter sets say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) profile: Profile,
    /// Luma samples of a row that are shown; even. What is coded is rounded up to macroblocks.
    pub(super) width: u32,
    /// Rows that are shown; even.
    pub(super) height: u32,
    /// What the samples mean, where known.
    pub(super) color: Option<ColorSpace>,
    /// Frames per second as a fraction, where known. Frames may come slower.
    pub(super) frame_rate: Option<(u32, u32)>,
    /// max_num_ref_frames: short-term and long-term references together, 1..=16.
    pub(super) references: u8,
    /// Most bits per second over time, where known: it can raise the level.
    pub(super) max_bitrate_bps: Option<u64>,
    /// chroma_qp_index_offset of Cb and Cr, -12..=12.
    pub(super) chroma_qp_offset: i8,
}

impl Sequence {
    /// Columns and rows of macroblocks.
    pub(super) const fn size_macroblocks(&self) -> (usize, usize) {
        (self.width.div_ceil(16) as usize, self.height.div_ceil(16) as usize)
    }

    /// The lowest level that the stream fits.
    pub(super) fn level(&self) -> Result<&'static Level> {
        let (width, height) = self.size_macroblocks();
        let per_kbps = if self.profile == Profile::High { 1250 } else { 1000 };
        Level::lowest(&Demand {
            width_macroblocks: width as u64,
            height_macroblocks: height as u64,
            frame_rate: self.frame_rate,
            references: self.references,
            bitrate_kbps: self.max_bitrate_bps.map(|bps| bps.div_ceil(per_kbps)),
        })
    }

    /// The codecs parameter of MIME types and WebCodecs (RFC 6381), such as "avc1.42E01F".
    pub(super) fn codec_string(&self) -> Result<String> {
        let [profile, constraints] = self.profile.codes();
        Ok(format!("avc1.{profile:02X}{constraints:02X}{:02X}", self.level()?.idc))
    }

    /// The sequence parameter set's NAL unit, unframed.
    pub(super) fn sps(&self) -> Result<Vec<u8>> {
        let level = self.level()?;
        let mut bits = BitWriter::default();
        bits.raw(&self.profile.codes());
        bits.raw(&[level.idc]);
        bits.ue(0); // seq_parameter_set_id
        if self.profile == Profile::High {
            bits.ue(1); // chroma_format_idc: 4:2:0
            bits.ue(0); // bit_depth_luma_minus8
            bits.ue(0); // bit_depth_chroma_minus8
            bits.flag(false); // qpprime_y_zero_transform_bypass_flag
            bits.flag(false); // seq_scaling_matrix_present_flag
        }
        bits.ue(LOG2_MAX_FRAME_NUM - 4);
        bits.ue(2); // pic_order_cnt_type: output order is decoding order
        bits.ue(self.references.into());
        bits.flag(true); // gaps_in_frame_num_value_allowed_flag: frames may be lost on the way
        let (columns, rows) = self.size_macroblocks();
        bits.ue(columns as u32 - 1);
        bits.ue(rows as u32 - 1);
        bits.flag(true); // frame_mbs_only_flag
        bits.flag(true); // direct_8x8_inference_flag
        self.write_cropping(&mut bits);
        bits.flag(true); // vui_parameters_present_flag
        self.write_vui(&mut bits);
        bits.trailing();
        Ok(nal::unit(nal::header(3, nal::SEQUENCE_PARAMETERS), bits.bytes()))
    }

    /// The picture parameter sets' NAL units, unframed: the first for pictures that are predicted as they are, the second, where
    /// the profile has it, for those whose slices have weights.
    pub(super) fn picture_sets(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..=u32::from(self.profile.has_weights())).map(|id| self.pps(id))
    }

    fn pps(&self, id: u32) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.ue(id); // pic_parameter_set_id
        bits.ue(0); // seq_parameter_set_id
        bits.flag(self.profile.has_cabac());
        bits.flag(false); // bottom_field_pic_order_in_frame_present_flag
        bits.ue(0); // num_slice_groups_minus1
        bits.ue(0); // num_ref_idx_l0_default_active_minus1
        bits.ue(0); // num_ref_idx_l1_default_active_minus1
        bits.flag(id == WEIGHTED); // weighted_pred_flag
        bits.put(0, 2); // weighted_bipred_idc
        bits.se(0); // pic_init_qp_minus26
        bits.se(0); // pic_init_qs_minus26
        bits.se(self.chroma_qp_offset.into());
        bits.flag(true); // deblocking_filter_control_present_flag
        bits.flag(false); // constrained_intra_pred_flag
        bits.flag(false); // redundant_pic_cnt_present_flag
        if self.profile.has_transform_8x8() {
            bits.flag(true); // transform_8x8_mode_flag
            bits.flag(false); // pic_scaling_matrix_present_flag
            bits.se(self.chroma_qp_offset.into());
        }
        bits.trailing();
        nal::unit(nal::header(3, nal::PICTURE_PARAMETERS), bits.bytes())
    }

    fn write_cropping(&self, bits: &mut BitWriter) {
        let beyond = [self.width, self.height].map(|side| side.next_multiple_of(16) - side);
        let [right, bottom] = beyond.map(|samples| samples / 2);
        bits.flag(beyond != [0, 0]);
        if beyond != [0, 0] {
            for offset in [0, right, 0, bottom] {
                bits.ue(offset);
            }
        }
    }

    /// vui_parameters() (E.1.1).
    fn write_vui(&self, bits: &mut BitWriter) {
        bits.flag(false); // aspect_ratio_info_present_flag
        bits.flag(false); // overscan_info_present_flag
        bits.flag(self.color.is_some());
        if let Some(color) = self.color {
            // Primaries, transfer and matrix: SMPTE 170M or BT.709.
            let code = match color.matrix {
                Matrix::Bt601 => 6,
                Matrix::Bt709 => 1,
            };
            bits.put(5, 3); // video_format: unspecified
            bits.flag(color.range == Range::Full);
            bits.flag(true); // colour_description_present_flag
            for _ in 0..3 {
                bits.put(code, 8);
            }
        }
        bits.flag(false); // chroma_loc_info_present_flag
        let rate = self.frame_rate.filter(|&(frames, seconds)| seconds > 0 && (1..=u32::MAX / 2).contains(&frames));
        bits.flag(rate.is_some());
        if let Some((frames, seconds)) = rate {
            bits.put(seconds, 32); // num_units_in_tick: a tick is half a frame
            bits.put(2 * frames, 32);
            bits.flag(false); // fixed_frame_rate_flag
        }
        bits.flag(false); // nal_hrd_parameters_present_flag
        bits.flag(false); // vcl_hrd_parameters_present_flag
        bits.flag(false); // pic_struct_present_flag
        bits.flag(true); // bitstream_restriction_flag
        bits.flag(true); // motion_vectors_over_pic_boundaries_flag
        bits.ue(0); // max_bytes_per_pic_denom: no limit
        bits.ue(0); // max_bits_per_mb_denom: no limit
        bits.ue(15); // log2_max_mv_length_horizontal
        bits.ue(15); // log2_max_mv_length_vertical
        bits.ue(0); // max_num_reorder_frames
        bits.ue(self.references.into()); // max_dec_frame_buffering
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(profile: Profile, width: u32, height: u32, frame_rate: Option<(u32, u32)>, references: u8) -> Sequence {
        let (color, max_bitrate_bps, chroma_qp_offset) = (None, None, 0);
        Sequence { profile, width, height, color, frame_rate, references, max_bitrate_bps, chroma_qp_offset }
    }

    #[test]
    fn levels_are_the_lowest_that_fit() {
        for (width, height, rate, references, idc) in [
            (176, 144, 15, 1, 10),
            (176, 144, 30, 1, 11),
            (352, 288, 30, 1, 13),
            (1280, 720, 30, 1, 31),
            (1280, 720, 60, 1, 32),
            (1280, 720, 30, 6, 40),
            (1920, 1080, 30, 1, 40),
            (1920, 1080, 60, 1, 42),
            (3840, 2160, 30, 1, 51),
            (3840, 2160, 60, 1, 52),
            // Too wide for the level that its number of macroblocks would do with.
            (640, 16, 1, 1, 11),
            (1792, 16, 1, 1, 22),
            (2048, 16, 1, 1, 31),
        ] {
            let sequence = sequence(Profile::Main, width, height, Some((rate, 1)), references);
            assert_eq!(sequence.level().unwrap().idc, idc, "{width}x{height} at {rate}, {references} references");
        }
        let mut fast = sequence(Profile::Main, 1280, 720, Some((30, 1)), 1);
        fast.max_bitrate_bps = Some(17_500_000);
        assert_eq!(fast.level().unwrap().idc, 32);
        fast.profile = Profile::High;
        assert_eq!(fast.level().unwrap().idc, 31);
        assert!(sequence(Profile::Main, 16384, 16384, None, 1).level().is_err());
    }

    #[test]
    fn codec_strings_name_profile_and_level() {
        for (profile, text) in Profile::ALL.into_iter().zip(["avc1.42E01F", "avc1.4D401F", "avc1.64001F"]) {
            let sequence = sequence(profile, 1280, 720, Some((30, 1)), 2);
            assert_eq!(sequence.codec_string().unwrap(), text);
            let (sps, pps) = (sequence.sps().unwrap(), sequence.picture_sets().collect::<Vec<_>>());
            let record = nal::avcc(&sps, &pps);
            assert_eq!(record[..4], [1, sps[1], sps[2], 31]);
            let sets: usize = pps.iter().map(|pps| 2 + pps.len()).sum();
            assert_eq!(record.len(), 9 + sps.len() + sets + if profile == Profile::High { 4 } else { 0 });
        }
    }

    #[test]
    fn profiles_are_read_by_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse::<Profile>().unwrap(), profile);
        }
        assert_eq!("Constrained-Baseline".parse::<Profile>().unwrap(), Profile::ConstrainedBaseline);
        assert_eq!("extended".parse::<Profile>().unwrap_err().field(), "profile");
    }
}
