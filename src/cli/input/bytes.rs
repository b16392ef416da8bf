//! A file or standard input as bytes, with its beginning looked at.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::Extent;
use crate::cli::exit::{At, Failure, Result};

/// Bytes looked at to tell what a file is.
const HEAD_BYTES: usize = 16;

/// What bytes seem to be, by how they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Y4m,
    Jpeg,
    Png,
    WebP,
    Lossless,
    /// In Annex B framing.
    H264,
    Unknown,
}

impl Kind {
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [b'Y', b'U', b'V', b'4', b'M', b'P', b'E', b'G', b'2', ..] => Self::Y4m,
            [0xFF, 0xD8, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Self::Png,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::WebP,
            [0, 0, 0, 1, unit, ..] | [0, 0, 1, unit, ..] if is_h264(*unit) => Self::H264,
            head if head.starts_with(&LOSSLESS_MAGIC) => Self::Lossless,
            _ => Self::Unknown,
        }
    }
}

/// Whether a NAL unit so begun may be a stream's first: a slice, SEI, a parameter set or a delimiter.
fn is_h264(header: u8) -> bool {
    header & 0x80 == 0 && matches!(header & 31, 1 | 5..=9)
}

/// How a lossless packet begins.
const LOSSLESS_MAGIC: [u8; 3] = *b"ALZ";

/// Bytes to read, counted, with the first of them known before they are read.
pub(crate) struct Bytes {
    reader: Box<dyn Read + Send>,
    head: Vec<u8>,
    /// Bytes of `head` that were read already.
    taken: usize,
    /// For messages.
    pub(crate) name: String,
    pub(crate) extent: Extent,
}

impl Bytes {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let mut bytes = Self::new(Box::new(io::stdin()), "standard input".to_owned(), None);
            bytes.look().at(Path::new("standard input"))?;
            return Ok(bytes);
        }
        let file = File::open(path).at(path)?;
        let metadata = file.metadata().at(path)?;
        let total = metadata.is_file().then_some(metadata.len());
        let mut bytes = Self::new(Box::new(file), path.display().to_string(), total);
        bytes.look().at(path)?;
        Ok(bytes)
    }

    pub(super) fn new(reader: Box<dyn Read + Send>, name: String, total: Option<u64>) -> Self {
        Self { reader, head: Vec::new(), taken: 0, name, extent: Extent::of(total) }
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of(&self.head)
    }

    /// Reads everything, up to a limit in bytes.
    pub(crate) fn read_all(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let read = self.by_ref().take(limit as u64 + 1).read_to_end(&mut data);
        read.map_err(|error| Failure::io(self.name.clone(), error))?;
        if data.len() > limit {
            return Err(Failure::data(format!("{}: over the limit of {limit} bytes for one picture", self.name)));
        }
        Ok(data)
    }

    fn look(&mut self) -> io::Result<()> {
        let mut head = [0; HEAD_BYTES];
        let mut filled = 0;
        while filled < HEAD_BYTES {
            match self.reader.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.head = head[..filled].to_vec();
        Ok(())
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pending = &self.head[self.taken..];
        let count = if pending.is_empty() {
            self.reader.read(buffer)?
        } else {
            let count = pending.len().min(buffer.len());
            buffer[..count].copy_from_slice(&pending[..count]);
            self.taken += count;
            count
        };
        self.extent.advance(count as u64);
        Ok(count)
    }
}
