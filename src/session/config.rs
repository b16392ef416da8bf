//! What a session is opened with, and what can change while it runs.

use crate::codec::Codec;
use crate::codec::h264::H264Config;
use crate::codec::jpeg::Subsampling;
use crate::error::{Error, Result};
use crate::frame::{ColorSpace, PixelFormat};
use crate::limits::{self, Limits, check};
use crate::rate::{Mode, NetworkConditions};

/// What a session is opened with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionConfig {
    /// Codec of its packets.
    pub codec: Codec,
    /// Format of its frames.
    pub format: PixelFormat,
    /// Width of its frames, pixels.
    pub width: u32,
    /// Height of its frames, pixels.
    pub height: u32,
    /// How luma and chroma of its frames are to be read.
    pub color: ColorSpace,
    /// Frames a second, 1..=120.
    pub fps: f64,
    /// What it promises.
    pub mode: Mode,
    /// Fraction of the raw bytes to save, 0.1..=0.95, instead of the mode's.
    pub target_reduction: Option<f64>,
    /// Lowest SSIM of luma, 0.5..=1, instead of the mode's.
    pub min_quality: Option<f64>,
    /// Time a frame may take in the session, 5..=100 ms.
    pub max_latency_ms: u32,
    /// Declared network; a link without limits where absent.
    pub network: Option<NetworkConditions>,
    /// The receiver will tell when packets come ([`Feedback::Received`](crate::Feedback::Received)): frames wait for its word from the
    /// first one on. Without it they go as if a network that nobody declared had no limits, until such word comes.
    pub receipts: bool,
    /// PSNR and SSIM with every packet. Without it they are measured only now and then, to keep the quality floor.
    pub measure_quality: bool,
    /// Chroma sampling of JPEG packets.
    pub subsampling: Subsampling,
    /// What the H.264 encoder is opened with. The session sets the frame rate where it is none.
    pub h264: H264Config,
    /// Constant bit rate of H.264 packets, kbit/s, over [`BITRATE_BUFFER_MS`]; a declared network may take it lower.
    pub bitrate_kbps: Option<f64>,
    /// Time that coding an H.264 frame may take, 1..=10000 ms: by the times measured, frames are coded with less effort than
    /// `h264.preset` where they must be, and with more again where they may. The packets then depend on the speed of the machine.
    /// Without a clock ([`Engine::with_clock`](crate::Engine::with_clock)) there are no times, and the preset stays.
    pub deadline_ms: Option<u32>,
    /// JPEG packets leave out the tables that were sent before ([`Completer`](crate::codec::jpeg::Completer) gives them back):
    /// smaller, and no longer standing alone but where [`PacketInfo::keyframe`](crate::PacketInfo::keyframe) says so.
    pub abbreviate: bool,
}

/// What a session's constant bit rate evens out over, milliseconds.
pub const BITRATE_BUFFER_MS: f64 = 500.0;

impl SessionConfig {
    /// A session of 30 frames a second in adaptive mode, no network declared.
    pub fn new(codec: Codec, format: PixelFormat, width: u32, height: u32) -> Self {
        Self {
            codec,
            format,
            width,
            height,
            color: ColorSpace::default(),
            fps: 30.0,
            mode: Mode::default(),
            target_reduction: None,
            min_quality: None,
            max_latency_ms: 20,
            network: None,
            receipts: false,
            measure_quality: false,
            subsampling: Subsampling::default(),
            h264: H264Config { recovery: true, ..H264Config::default() },
            bitrate_kbps: None,
            deadline_ms: None,
            abbreviate: false,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field out of its range, or a format that the codec hasn't.
    pub fn validate(&self) -> Result<()> {
        Limits::ENGINE.check_size(self.width, self.height)?;
        check("fps", self.fps, &limits::FPS)?;
        check("max_latency_ms", f64::from(self.max_latency_ms), &limits::MAX_LATENCY_MS)?;
        if let Some(target) = self.target_reduction {
            check("target_reduction", target, &limits::TARGET_REDUCTION)?;
        }
        if let Some(floor) = self.min_quality {
            check("min_quality", floor, &limits::MIN_QUALITY)?;
        }
        if self.codec == Codec::H264 {
            check("width", f64::from(self.width), &limits::H264_SIDE)?;
            check("height", f64::from(self.height), &limits::H264_SIDE)?;
            self.h264.validate()?;
        }
        if let Some(kbps) = self.bitrate_kbps {
            check("bitrate_kbps", kbps, &limits::BITRATE_KBPS)?;
            if self.codec != Codec::H264 {
                return Err(Error::Unsupported {
                    field: "bitrate_kbps",
                    value: format!("{kbps} of {}", self.codec),
                    supported: "a session's constant bit rate is kept by h264; declare a network instead",
                });
            }
        }
        if let Some(ms) = self.deadline_ms {
            let (least, most) = (*limits::DEADLINE_MS.start(), *limits::DEADLINE_MS.end());
            check("deadline_ms", f64::from(ms), &(f64::from(least)..=f64::from(most)))?;
            if self.codec != Codec::H264 {
                return Err(Error::Unsupported {
                    field: "deadline_ms",
                    value: format!("{ms} of {}", self.codec),
                    supported: "h264 alone has presets to step between",
                });
            }
        }
        if self.codec != Codec::Lossless && self.format == PixelFormat::Gray16 {
            return Err(Error::Unsupported {
                field: "codec",
                value: format!("{} of gray16", self.codec),
                supported: "16-bit grey is coded by lossless alone",
            });
        }
        Ok(())
    }

    /// The same, with its frame rate told to H.264's decoders unless the caller tells another.
    pub(crate) fn with_frame_rate(mut self) -> Self {
        let rate = ((self.fps * 1000.0).round() as u32, 1000);
        self.h264.frame_rate = self.h264.frame_rate.or(Some(rate));
        self
    }

    /// Memory that a session may come to hold, bytes: pictures, tables and its last packet. An upper bound of what was measured (in
    /// `tests/memory.rs`); most sessions hold less.
    pub fn memory_bytes(&self) -> usize {
        let pixels = self.width as usize * self.height as usize;
        let raw = self.format.frame_bytes(self.width, self.height);
        match self.codec {
            // Coefficients, reconstruction, and frames held back and scaled.
            Codec::Jpeg => 12 * pixels + 3 * raw + (64 << 10),
            // Five frames' worth: that before, residuals, the packet as it grows, and what is held back.
            Codec::Lossless => raw * 11 / 2 + (320 << 10),
            // Pictures to predict from with their finer positions, what was acknowledged, and macroblocks' memory.
            Codec::H264 => 18 * pixels + raw + (512 << 10),
        }
    }

    /// Lowest SSIM of luma promised.
    pub fn floor(&self) -> f64 {
        self.min_quality.unwrap_or(self.mode.min_ssim())
    }

    /// Fraction of the raw bytes whose saving is promised.
    pub fn reduction(&self) -> f64 {
        self.target_reduction.unwrap_or(self.mode.reduction())
    }
}

/// Changes to a running session; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Changes {
    /// New mode.
    pub mode: Option<Mode>,
    /// New reduction, 0.1..=0.95.
    pub target_reduction: Option<f64>,
    /// New lowest SSIM, 0.5..=1.
    pub min_quality: Option<f64>,
    /// New frame rate, 1..=120.
    pub fps: Option<f64>,
    /// Whether every packet is measured.
    pub measure_quality: Option<bool>,
}

impl Changes {
    /// The configuration with these changes, checked.
    ///
    /// # Errors
    /// As [`SessionConfig::validate`].
    pub fn apply(&self, config: &SessionConfig) -> Result<SessionConfig> {
        let changed = SessionConfig {
            mode: self.mode.unwrap_or(config.mode),
            target_reduction: self.target_reduction.or(config.target_reduction),
            min_quality: self.min_quality.or(config.min_quality),
            fps: self.fps.unwrap_or(config.fps),
            measure_quality: self.measure_quality.unwrap_or(config.measure_quality),
            ..*config
        };
        changed.validate()?;
        Ok(changed)
    }
}
