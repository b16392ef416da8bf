//! What is to be done with a frame, and why, as plain data.

use std::fmt;

use crate::codec::Codec;

/// Eighths of the source's sides a frame is coded at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(u8);

impl Scale {
    /// The source's own size.
    pub const FULL: Self = Self(8);
    /// The steps, largest first: 1, 3/4, 1/2, 3/8, 1/4.
    pub const LADDER: [Self; 5] = [Self(8), Self(6), Self(4), Self(3), Self(2)];

    /// As a fraction of the source's sides.
    pub fn factor(self) -> f64 {
        f64::from(self.0) / 8.0
    }

    /// A side of the source at this scale: even where it shrinks, at least 2.
    pub fn apply(self, side: u32) -> u32 {
        if self == Self::FULL { side } else { ((side * u32::from(self.0) / 8) & !1).max(2) }
    }
}

/// Why a plan is as it is; its `Display` says it in words and numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// No network was declared: the mode's own quality.
    Unlimited,
    /// The declared link has room for the mode's quality.
    LinkHasRoom {
        /// Payload the link carries, kbit/s.
        goodput_kbps: f64,
    },
    /// The declared link sets the budget.
    LinkLimits {
        /// Payload the link carries, kbit/s.
        goodput_kbps: f64,
        /// Bytes a frame may take at this frame rate.
        budget_bytes: u32,
    },
    /// The link, as receipts tell of it, sets the budget.
    Window {
        /// What it carried in the last second, kbit/s.
        rate_kbps: f64,
        /// Bytes sent and not yet received.
        in_flight_bytes: u64,
        /// Bytes that the frame may take.
        budget_bytes: u32,
    },
    /// The constant bit rate sets the budget.
    Bitrate {
        /// The rate, kbit/s.
        kbps: f64,
        /// Bytes the frame is to take.
        target_bytes: u32,
    },
    /// The reduction asked for sets the budget.
    Reduction {
        /// Fraction of the raw frame to save.
        target: f64,
        /// Bytes a frame may take.
        budget_bytes: u32,
    },
    /// The codec keeps every bit, whatever the network.
    Lossless,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("no network declared"),
            Self::LinkHasRoom { goodput_kbps } => write!(f, "link has room: {goodput_kbps:.0} kbit/s"),
            Self::LinkLimits { goodput_kbps, budget_bytes } => {
                write!(f, "link limits: {goodput_kbps:.0} kbit/s, {budget_bytes} bytes a frame")
            }
            Self::Window { rate_kbps, in_flight_bytes, budget_bytes } => {
                write!(
                    f,
                    "link measured: {rate_kbps:.0} kbit/s, {in_flight_bytes} bytes on their way, {budget_bytes} for this frame"
                )
            }
            Self::Bitrate { kbps, target_bytes } => {
                write!(f, "{kbps:.0} kbit/s asked: about {target_bytes} bytes for this frame")
            }
            Self::Reduction { target, budget_bytes } => {
                write!(f, "{:.0} % reduction asked: {budget_bytes} bytes a frame", target * 100.0)
            }
            Self::Lossless => f.write_str("lossless"),
        }
    }
}

/// The decision for one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Codec.
    pub codec: Codec,
    /// Size the frame is coded at.
    pub scale: Scale,
    /// One frame in this many is coded, 1 for all.
    pub frame_divisor: u32,
    /// Quality wanted, 1..=100 on JPEG's scale (for H.264 see [`qp_of_quality`](super::qp_of_quality)); 100 for lossless.
    pub quality: u8,
    /// Bytes to aim for, where the codec can (H.264) and something limits them.
    pub target_bytes: Option<u32>,
    /// Bytes the packet may take, where something limits them.
    pub budget_bytes: Option<u32>,
    /// Bytes that a measured link takes now: never exceeded, whatever else is promised.
    pub link_bytes: Option<u32>,
    /// Whether the packet must stand alone.
    pub keyframe: bool,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} q{} at {:.0} %", self.codec, self.quality, self.scale.factor() * 100.0)?;
        if self.frame_divisor > 1 {
            write!(f, ", 1 frame in {}", self.frame_divisor)?;
        }
        write!(f, " ({})", self.reason)
    }
}
