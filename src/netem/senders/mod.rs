//! Senders to compare with: what others do, and what could be done.
//!
//! Each follows the rules its authors published, as far as they concern frames that are coded when they can be sent: the window
//! or rate of the scheme becomes the budget of the next frame. Constants are theirs, unless said otherwise.

mod arrivals;
mod bbr;
mod choice;
mod copa;
mod fixed;
mod flight;
mod forecast;
mod gcc;
mod keep_alive;
mod oracle;
mod pace;
mod salsify;
mod sprout;
mod tigervnc;
mod two_timescale;
mod windowed;

pub use bbr::Bbr;
pub use choice::{Setting, by_name, names};
pub use copa::Copa;
pub use fixed::Fixed;
pub use gcc::Gcc;
pub use keep_alive::KeepAlive;
pub use oracle::Oracle;
pub use salsify::Salsify;
pub use sprout::Sprout;
pub use tigervnc::TigerVnc;
pub use two_timescale::TwoTimescale;

/// Bytes of a full packet.
const PACKET_BYTES: f64 = 1500.0;
