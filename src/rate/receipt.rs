//! What a receiver says of a frame.

use std::time::Duration;

/// What the receiver has of a frame, as it says itself: again and again while a frame comes in, or once it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Number of the frame.
    pub frame_number: u64,
    /// Bytes of it received so far.
    pub bytes: u32,
    /// Whether that is all of it.
    pub is_whole: bool,
    /// When its first bytes came, by the receiver's clock.
    pub first_received: Duration,
    /// When the last of `bytes` came, by the receiver's clock.
    pub last_received: Duration,
    /// When it was displayed, by the receiver's clock, where the receiver tells.
    pub displayed: Option<Duration>,
}
