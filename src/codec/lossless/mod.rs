//! The lossless codec.
//!
//! ```
//! use auralink::codec::lossless::{LosslessConfig, LosslessDecoder, LosslessEncoder};
//! use auralink::{Frame, Limits, PixelFormat};
//!
//! let pool = rayon::ThreadPoolBuilder::new().build()?;
//! let level = auralink::kernel::detect();
//! let pixels: Vec<u8> = (0..64 * 48 * 3).map(|i| (i / 7) as u8).collect();
//! let frame = Frame::new(PixelFormat::Rgb8, 64, 48, &pixels)?;
//!
//! let mut packet = Vec::new();
//! let config = LosslessConfig { temporal: true, keyframe: false };
//! LosslessEncoder::new(level).encode(&frame, &config, &pool, &mut packet)?;
//! let mut decoder = LosslessDecoder::new(level, Limits::ENGINE);
//! assert_eq!(decoder.decode(&packet, &pool)?.data(), pixels);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
#![doc = include_str!("FORMAT.md")]

mod decoder;
mod encoder;
mod header;
mod layout;
mod planes;
mod residual;
mod scroll;
mod stream;
mod tiles;
mod workers;

pub use decoder::LosslessDecoder;
pub use encoder::LosslessEncoder;
pub use header::{HEADER_BYTES, Header};

/// How a frame is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LosslessConfig {
    /// Whether the frame may be predicted from the one before it, where that is smaller.
    pub temporal: bool,
    /// Code the frame on its own, so that a decoder can start with it.
    pub keyframe: bool,
}

/// What coding a frame gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LosslessStats {
    /// Bytes appended to the output.
    pub bytes: usize,
    /// Whether the packet stands alone.
    pub keyframe: bool,
}
