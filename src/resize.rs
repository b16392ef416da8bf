//! Frames to another size, through `fast_image_resize`.

use crate::error::Result;
use crate::frame::{Frame, FrameBuf};

/// A resizer with its working memory; one a worker.
#[derive(Debug, Default)]
pub struct Resizer {}

impl Resizer {
    /// Scales `frame` to `width` x `height` into `out`, in the same format, keeping the memory of `out` where it suffices.
    /// Packed YUYV and UYVY come out as I422, NV12 as I420.
    ///
    /// # Errors
    /// A side outside 1..=16384.
    pub fn resize(&mut self, frame: &Frame<'_>, width: u32, height: u32, out: &mut FrameBuf) -> Result<()> {
        let _ = (frame, width, height, out);
        todo!()
    }
}
