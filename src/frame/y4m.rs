//! YUV4MPEG2 as a pure parser and writer over bytes.

use crate::error::Result;
use crate::frame::{Frame, FrameBuf, PixelFormat, Range};

/// Frames a second as y4m writes it: a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Numerator.
    pub num: u32,
    /// Denominator, at least 1.
    pub den: u32,
}

/// The stream header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames a second.
    pub rate: FrameRate,
    /// I420, I422, I444 or Gray8.
    pub format: PixelFormat,
    /// Range, from `XCOLORRANGE`; limited where absent.
    pub range: Range,
}

/// A parser that is fed bytes as they arrive.
#[derive(Debug, Default)]
pub struct Parser {}

impl Parser {
    /// Takes over more of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        let _ = bytes;
        todo!()
    }

    /// The header, once its line is complete.
    ///
    /// # Errors
    /// Not y4m, a chroma or depth that isn't taken, or a size out of limits.
    pub fn header(&mut self) -> Result<Option<&Header>> {
        todo!()
    }

    /// Moves the next whole frame into `out`; false where more bytes are needed.
    ///
    /// # Errors
    /// As [`Parser::header`], or a frame that doesn't begin with `FRAME`.
    pub fn next_frame(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let _ = out;
        todo!()
    }

    /// Called at the end of input.
    ///
    /// # Errors
    /// Bytes of an unfinished frame.
    pub fn finish(&self) -> Result<()> {
        todo!()
    }
}

/// Appends the stream header.
pub fn write_header(header: &Header, out: &mut Vec<u8>) {
    let _ = (header, out);
    todo!()
}

/// Appends one frame, which must be in the header's format.
pub fn write_frame(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let _ = (frame, out);
    todo!()
}
