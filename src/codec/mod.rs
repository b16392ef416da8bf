//! Pixels and a plan to bytes. No codec here sees the network.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

mod cancel;
pub mod h264;
pub mod jpeg;
pub mod lossless;
mod parallel;

pub use cancel::Cancel;

/// How packets are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Baseline JPEG: each packet a whole picture that every viewer opens.
    #[default]
    Jpeg,
    /// Prediction and zstd: the exact pixels back.
    Lossless,
    /// H.264: pictures predicted from those before, which every browser and player shows.
    H264,
}

impl Codec {
    /// All codecs.
    pub const ALL: [Self; 3] = [Self::Jpeg, Self::Lossless, Self::H264];

    /// The name used on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Lossless => "lossless",
            Self::H264 => "h264",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Codec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(text)).ok_or(Error::Unsupported {
            field: "codec",
            value: text.to_owned(),
            supported: "jpeg, lossless, h264",
        })
    }
}
