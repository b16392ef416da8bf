//! Frames from whatever the user names: y4m, MJPEG, pictures, a folder of pictures, or raw samples.

mod ahead;
mod bytes;
mod images;
pub(crate) mod mjpeg;
mod packets;
mod raw;
mod y4m;

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auralink::frame::y4m::FrameRate;
use auralink::{FrameBuf, Limits};

pub(crate) use ahead::ReadAhead;
pub(crate) use bytes::{Bytes, Kind};
pub(crate) use images::is_picture_name;
pub(crate) use packets::PacketReader;
pub(crate) use raw::RawFormat;
pub(crate) use y4m::Y4m;

use super::exit::{Failure, Result};

/// Memory a decoder may take for one picture of the command line, bytes.
const MAX_DECODER_BYTES: usize = 1 << 30;
/// Largest encoded picture or packet read into memory, bytes.
const MAX_ENCODED_BYTES: usize = 256 << 20;

/// What is said of H.264 where frames are wanted.
pub(crate) const H264_IS_CODED: &str = "H.264 is compressed already, and isn't decoded here; players and ffmpeg do";

/// What the command line takes: the engine's sizes, and memory that a desktop has to spare.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::ENGINE;
    limits.max_encoded_bytes = MAX_ENCODED_BYTES;
    limits.max_decoder_bytes = MAX_DECODER_BYTES;
    limits
}

/// Frames, one after another.
pub(crate) trait Frames: Send {
    /// Reads the next frame into `out`, keeping its memory where that is possible; false at the end.
    fn next(&mut self, out: &mut FrameBuf) -> Result<bool>;
}

/// How far reading has come, in bytes or pictures. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extent {
    /// None where the end isn't known, as on a pipe.
    pub(crate) total: Option<u64>,
    done: Arc<AtomicU64>,
}

impl Extent {
    pub(crate) fn of(total: Option<u64>) -> Self {
        Self { total, done: Arc::default() }
    }

    pub(crate) fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

/// An opened input.
pub(crate) struct Input {
    pub(crate) frames: Box<dyn Frames>,
    /// Frames a second, where the input says.
    pub(crate) rate: Option<FrameRate>,
    pub(crate) extent: Extent,
}

/// Opens a file, a folder, or standard input as `-`, and finds out what it holds.
pub(crate) fn open(path: &Path, raw: Option<RawFormat>) -> Result<Input> {
    if path.is_dir() {
        if raw.is_some() {
            return Err(Failure::usage(format!("--raw: {} is a folder; raw frames come from a file", path.display())));
        }
        return images::folder(path);
    }
    let bytes = Bytes::open(path)?;
    let extent = bytes.extent.clone();
    if let Some(format) = raw {
        return Ok(Input { frames: Box::new(raw::Raw::new(bytes, format)), rate: None, extent });
    }
    match bytes.kind() {
        Kind::Y4m => {
            let frames = y4m::Y4m::open(bytes)?;
            Ok(Input { rate: Some(frames.header().rate), frames: Box::new(frames), extent })
        }
        // A file that calls itself one picture is one, whatever trails it.
        Kind::Jpeg if !is_picture_name(path) => {
            Ok(Input { frames: Box::new(mjpeg::Mjpeg::new(bytes)), rate: None, extent })
        }
        Kind::Jpeg | Kind::Png | Kind::WebP => {
            Ok(Input { frames: Box::new(images::Still::new(bytes)), rate: None, extent })
        }
        Kind::Lossless => Err(Failure::data(format!(
            "{}: lossless packets are compressed already; `auralink decode` gives their frames",
            bytes.name
        ))),
        Kind::H264 => Err(Failure::data(format!("{}: {H264_IS_CODED}", bytes.name))),
        Kind::Unknown => Err(Failure::data(format!(
            "{}: not y4m, PNG, JPEG, WebP or MJPEG (raw frames need --raw FORMAT:WxH)",
            bytes.name
        ))),
    }
}

/// MJPEG that is already in memory.
pub(crate) fn from_memory(mjpeg: &'static [u8], name: &str) -> Input {
    let total = mjpeg.len() as u64;
    let bytes = Bytes::new(Box::new(Cursor::new(mjpeg)) as Box<dyn Read + Send>, name.to_owned(), Some(total));
    let extent = bytes.extent.clone();
    Input { frames: Box::new(mjpeg::Mjpeg::new(bytes)), rate: None, extent }
}
