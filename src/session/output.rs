//! What comes out of a session.

use std::fmt;
use std::time::Duration;

use crate::codec::Codec;
use crate::codec::h264::Preset;
use crate::error::Error;
use crate::rate::Plan;

/// Who a frame is: the caller's number and time, handed back with its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The caller's number, ascending within a session.
    pub frame_number: u64,
    /// The caller's time of the frame, microseconds.
    pub timestamp_us: u64,
}

/// What [`Session::poll`](crate::Session::poll) has to tell.
#[derive(Debug)]
pub enum Output<'a> {
    /// A packet; its bytes stay until the session is next used.
    Packet(Packet<'a>),
    /// A frame that won't be coded.
    Dropped(Dropped),
    /// A frame that couldn't be coded. The session goes on.
    Failed(Failed),
    /// Nothing now. With a time: a frame is held back until then, so poll again at that time.
    Wait(Option<Duration>),
}

/// A coded frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What is known of it.
    pub info: PacketInfo,
    /// Its bytes.
    pub data: &'a [u8],
}

/// What is known of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketInfo {
    /// Whose it is.
    pub stamp: Stamp,
    /// Codec it is coded with: the plan's, or lossless where that failed.
    pub codec: Codec,
    /// Width it is coded at, pixels. H.264 has none that are odd: decoders show the last column twice.
    pub width: u32,
    /// Height it is coded at, pixels; the same holds for rows.
    pub height: u32,
    /// Whether it stands alone.
    pub keyframe: bool,
    /// Bytes of the raw frame without padding.
    pub original_bytes: usize,
    /// Bytes of the packet.
    pub compressed_bytes: usize,
    /// Quality used, on JPEG's scale; 100 for lossless.
    pub quality: u8,
    /// Mean quantiser parameter of H.264.
    pub qp: Option<f32>,
    /// Preset of H.264 it was coded with: the configured one, or a faster one where a deadline called for it.
    pub preset: Option<Preset>,
    /// The decision it came from.
    pub plan: Plan,
    /// PSNR of luma on a screen of the source's size, dB: a smaller picture is enlarged bilinearly. `None` where not measured, or infinite.
    pub psnr_db: Option<f64>,
    /// SSIM of luma there; `None` where not measured.
    pub ssim: Option<f64>,
    /// Time it took; zero where the engine was given no clock.
    pub times: StageTimes,
    /// The promise that gave way, where one did.
    pub fallback: Option<Fallback>,
}

impl PacketInfo {
    /// 1 - compressed / original; negative where the packet is larger.
    pub fn reduction(&self) -> f64 {
        1.0 - self.compressed_bytes as f64 / self.original_bytes.max(1) as f64
    }
}

/// Microseconds of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Scaling the frame.
    pub resize_us: u64,
    /// Coding it, all passes.
    pub encode_us: u64,
    /// Measuring its quality.
    pub measure_us: u64,
}

impl StageTimes {
    /// All stages.
    pub fn total_us(&self) -> u64 {
        self.resize_us + self.encode_us + self.measure_us
    }
}

/// Why a promise gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fallback {
    /// The picture would have been under its floor, so the packet is larger than promised.
    QualityFloor,
    /// The budget was too small for the floor, or for any packet at all.
    Budget,
    /// The frame took longer than it may; the next one is coded with less effort.
    Latency,
    /// The codec failed, so the packet is lossless.
    CodecError,
}

impl Fallback {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::QualityFloor, Self::Budget, Self::Latency, Self::CodecError];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QualityFloor => "quality floor",
            Self::Budget => "budget",
            Self::Latency => "latency",
            Self::CodecError => "codec error",
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A frame that won't be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Whose it was.
    pub stamp: Stamp,
    /// Why.
    pub reason: DropReason,
}

/// Why a frame won't be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A newer frame took its place before it was coded.
    Superseded,
    /// The plan codes one frame in several.
    FrameRate,
    /// The link was still busy with earlier packets when a newer frame came.
    LinkBusy,
    /// The stream ended first.
    Closing,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Superseded, Self::FrameRate, Self::LinkBusy, Self::Closing];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::FrameRate => "frame rate",
            Self::LinkBusy => "link busy",
            Self::Closing => "closing",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A frame that couldn't be coded.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Whose it was.
    pub stamp: Stamp,
    /// What went wrong.
    pub error: Error,
}
