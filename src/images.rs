//! PNG, JPEG and WebP in and PNG out, through the image crate.

use crate::error::Result;
use crate::frame::{Frame, FrameBuf};
use crate::limits::Limits;

/// Decodes a PNG, JPEG or WebP file; the header's size is checked against `limits` before anything is allocated for pixels.
/// Gives Rgb8, Rgba8 (only where the file has alpha), Gray8 or Gray16.
///
/// # Errors
/// A payload or picture beyond `limits`, an unknown format, or a damaged file.
pub fn decode(data: &[u8], limits: &Limits) -> Result<FrameBuf> {
    let _ = (data, limits);
    todo!()
}

/// Codes a frame as PNG, appended to `out`. YUV formats are converted to RGB first.
///
/// # Errors
/// A failure of the encoder (memory).
pub fn encode_png(frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
    let _ = (frame, out);
    todo!()
}
