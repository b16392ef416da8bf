//! Auralink compresses frames for networks that are never good enough.

pub mod codec;
mod engine;
mod error;
pub mod frame;
#[cfg(feature = "images")]
pub mod images;
pub mod kernel;
pub mod limits;
pub mod quality;
pub mod rate;
pub mod resize;
#[cfg(feature = "server")]
pub mod service;
pub mod session;

pub use codec::Codec;
pub use engine::Engine;
pub use error::{Error, Result};
pub use frame::{ColorSpace, Frame, FrameBuf, Matrix, PixelFormat, Range};
pub use kernel::Level;
pub use limits::Limits;
pub use rate::{Mode, NetworkConditions, Plan};
pub use session::{Coded, Coder, Feedback, Order, Output, Packet, PacketInfo, Session, SessionConfig, Stamp};
