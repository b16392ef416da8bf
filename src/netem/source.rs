//! What makes packets of frames.

use std::time::Duration;

use crate::rate::Receipt;

/// A frame as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Bytes it takes, at least 1.
    pub bytes: u32,
    /// Number of the frame it can't be decoded without, if there is one.
    pub predicted_from: Option<u64>,
    /// Time that coding took.
    pub encode_time: Duration,
}

/// How near a picture is to what it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Structural similarity of luma, at most 1.
    pub ssim: f64,
    /// Peak signal-to-noise ratio of luma, dB.
    pub psnr_db: f64,
}

/// Makes packets of frames.
pub trait Source {
    /// Codes the frame captured as `frame_number` into about `budget` bytes; `None` where it was shed.
    fn encode(&mut self, frame_number: u64, budget: u32, now: Duration) -> Option<Encoded>;
    /// A receipt came back to the sender.
    fn received(&mut self, _receipt: &Receipt, _now: Duration) {}
    /// The sender learns that the receiver will never show a frame: bytes of it, or of what it needs, are lost.
    fn lost(&mut self, _frame_number: u64, _now: Duration) {}
    /// A frame came to the screen. Its quality, where the source can tell.
    fn displayed(&mut self, _frame_number: u64, _now: Duration) -> Option<Score> {
        None
    }
    /// How near `shown`, which is on the screen, is to `captured`, which is before the camera now.
    fn on_screen(&mut self, _shown: u64, _captured: u64) -> Option<Score> {
        None
    }
}

impl<S: Source + ?Sized> Source for &mut S {
    fn encode(&mut self, frame_number: u64, budget: u32, now: Duration) -> Option<Encoded> {
        (**self).encode(frame_number, budget, now)
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        (**self).received(receipt, now);
    }

    fn lost(&mut self, frame_number: u64, now: Duration) {
        (**self).lost(frame_number, now);
    }

    fn displayed(&mut self, frame_number: u64, now: Duration) -> Option<Score> {
        (**self).displayed(frame_number, now)
    }

    fn on_screen(&mut self, shown: u64, captured: u64) -> Option<Score> {
        (**self).on_screen(shown, captured)
    }
}
