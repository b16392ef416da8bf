//! Raw frames: samples without any header, in a format and size that the user states.

use std::io::{ErrorKind, Read};
use std::str::FromStr;

use auralink::{ColorSpace, FrameBuf, Limits, PixelFormat};

use super::{Bytes, Frames};
use crate::cli::exit::{Failure, Result};
use crate::cli::parse;

/// Format and size of raw frames, `FORMAT:WxH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawFormat {
    format: PixelFormat,
    width: u32,
    height: u32,
}

impl FromStr for RawFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, size) = text.split_once(':').ok_or("not FORMAT:WxH, such as i420:1280x720")?;
        let format = format.parse::<PixelFormat>().map_err(|error| error.to_string())?;
        let (width, height) = parse::size(size)?;
        Limits::ENGINE.check_size(width, height).map_err(|error| error.to_string())?;
        Ok(Self { format, width, height })
    }
}

/// Frames of raw samples, one after another without padding.
pub(super) struct Raw {
    bytes: Bytes,
    format: RawFormat,
    frames: u64,
}

impl Raw {
    pub(super) fn new(bytes: Bytes, format: RawFormat) -> Self {
        Self { bytes, format, frames: 0 }
    }
}

impl Frames for Raw {
    fn next(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let RawFormat { format, width, height } = self.format;
        let samples = out.reshape(format, width, height, ColorSpace::default())?;
        let mut filled = 0;
        while filled < samples.len() {
            match self.bytes.read(&mut samples[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::io(self.bytes.name.clone(), error)),
            }
        }
        if filled == samples.len() {
            self.frames += 1;
            return Ok(true);
        }
        if filled == 0 {
            return Ok(false);
        }
        Err(Failure::data(format!(
            "{}, frame {}: the input ends after {filled} bytes, but {} are needed ({width}x{height} {format})",
            self.bytes.name,
            self.frames,
            samples.len()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_and_faults_are_named() {
        let expected = RawFormat { format: PixelFormat::Bgra8, width: 640, height: 480 };
        assert_eq!("bgra:640x480".parse(), Ok(expected));
        for bad in ["i420", "i420:640", "p010:64x64", "i420:0x64", "i420:64x99999", "i420:64x-1"] {
            assert!(bad.parse::<RawFormat>().is_err(), "{bad}");
        }
    }
}
