//! Auralink compresses frames for networks that are never good enough.

pub mod codec;
mod error;
pub mod frame;
#[cfg(feature = "images")]
pub mod images;
pub mod kernel;
pub mod limits;
pub mod quality;
pub mod rate;
pub mod resize;

pub use codec::Codec;
pub use error::{Error, Result};
pub use frame::{ColorSpace, Frame, FrameBuf, Matrix, PixelFormat, Range};
pub use kernel::Level;
pub use limits::Limits;
