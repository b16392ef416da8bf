//! What an encoder is opened with, and what is asked of each frame.

use super::encoder::MAX_RETRIES;
use super::nal::Framing;
use super::params::Profile;
use super::tools::Preset;
use crate::error::Result;
use crate::limits::check;

/// Smallest and largest sides, in samples.
pub(super) const MIN_SIDE: u32 = 16;
/// Largest width and height, in samples.
pub(super) const MAX_SIDE: u32 = 8192;
/// Most slices of a frame.
pub(super) const MAX_SLICES: usize = 16;
/// The coarsest quantiser.
pub(super) const MAX_QP: u8 = 51;

/// What an [`H264Encoder`](super::H264Encoder) is opened with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct H264Config {
    /// What decoders must know.
    pub profile: Profile,
    /// Speed against size.
    pub preset: Preset,
    /// Slices of a frame, which threads share: 1..=16, at most one a macroblock row. They begin at rows that divide the work as the
    /// frame before had it. The bytes depend on their number, not on that of the threads.
    pub slices: usize,
    /// How NAL units are delimited.
    pub framing: Framing,
    /// Frames per second as a fraction, written into the stream for players; none leaves it out.
    pub frame_rate: Option<(u32, u32)>,
    /// Keep acknowledged pictures to predict from after a loss, rather than send a keyframe.
    pub recovery: bool,
    /// Start anew with a keyframe when the content changes altogether.
    pub scene_cut: bool,
    /// Quantise flat macroblocks finer and busy ones coarser, as eyes and SSIM have it. PSNR would rather have all alike.
    pub adaptive_quantisation: bool,
    /// Make the picture anew column by column over so many frames, for receivers that join or lose packets without feedback;
    /// none leaves it to keyframes.
    pub intra_refresh_frames: Option<u32>,
}

impl Default for H264Config {
    /// High profile, balanced, one slice, Annex B.
    fn default() -> Self {
        Self {
            profile: Profile::High,
            preset: Preset::Balanced,
            slices: 1,
            framing: Framing::AnnexB,
            frame_rate: None,
            recovery: false,
            scene_cut: true,
            adaptive_quantisation: false,
            intra_refresh_frames: None,
        }
    }
}

impl H264Config {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) with the field and its bounds.
    pub fn validate(&self) -> Result<()> {
        check("slices", self.slices as f64, &(1.0..=MAX_SLICES as f64))?;
        if let Some(frames) = self.intra_refresh_frames {
            check("intra_refresh_frames", f64::from(frames), &(2.0..=600.0))?;
        }
        if let Some((numerator, denominator)) = self.frame_rate {
            check("frame_rate", f64::from(numerator) / f64::from(denominator), &(0.001..=1000.0))?;
        }
        Ok(())
    }
}

/// What is asked of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameOrder {
    /// Quantiser parameter of P frames, 0..=51: 6 more halve the bits, about. Keyframes take a little less. With
    /// `target_bytes` the lowest that may be used.
    pub qp: u8,
    /// Bytes to aim for: the quantiser moves from row to row to come near.
    pub target_bytes: Option<usize>,
    /// Bytes that are never exceeded; the quantiser rises as it must.
    pub max_bytes: Option<usize>,
    /// The frame must stand alone.
    pub keyframe: bool,
}

impl FrameOrder {
    /// At a quantiser parameter, without a cap.
    pub const fn at(qp: u8) -> Self {
        Self { qp, target_bytes: None, max_bytes: None, keyframe: false }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check("qp", f64::from(self.qp), &(0.0..=f64::from(MAX_QP)))
    }
}

/// What coding a frame gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct H264Stats {
    /// Bytes appended.
    pub bytes: usize,
    /// Whether the frame stands alone.
    pub keyframe: bool,
    /// Number of the frame in its stream, to acknowledge it or report it lost by.
    pub id: u64,
    /// The preset it was coded with.
    pub preset: Preset,
    /// Mean quantiser parameter.
    pub qp: f32,
    /// Share of macroblocks that were skipped, 0..=1.
    pub skipped: f32,
    /// Share of macroblocks that were intra coded, 0..=1.
    pub intra: f32,
    /// Times the frame was coded again to come near its target or to keep within its bytes.
    pub retries: u32,
}

impl H264Stats {
    /// Whether even the coarsest picture was over its bytes, so that hardly anything of it was coded.
    pub fn is_blank(&self) -> bool {
        self.retries > MAX_RETRIES
    }
}

pub(super) fn check_size(width: u32, height: u32) -> Result<()> {
    for (field, side) in [("width", width), ("height", height)] {
        check(field, f64::from(side), &(f64::from(MIN_SIDE)..=f64::from(MAX_SIDE)))?;
    }
    Ok(())
}
