//! JPEG pictures one after another, cut apart by walking their markers (ITU-T T.81 B.1.1): thumbnails inside a segment and
//! stuffed bytes inside a scan don't end a picture.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use auralink::FrameBuf;

use super::{Bytes, Frames, limits};
use crate::cli::exit::{Failure, Result};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const BUFFER_BYTES: usize = 256 << 10;

/// Cuts a stream into its JPEG pictures.
pub(crate) struct Splitter<R> {
    reader: BufReader<R>,
    max_bytes: usize,
    pictures: u64,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(reader: R, max_bytes: usize) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), max_bytes, pictures: 0 }
    }

    /// Reads the next picture, from SOI to EOI, into `out`; false at the end. Bytes between pictures are skipped.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        if !self.find_start(out)? {
            return Ok(false);
        }
        loop {
            match self.marker(out)? {
                EOI => break,
                SOI => return Err(self.malformed("another picture begins inside it")),
                // Without a segment; a scan goes on after a restart marker.
                0x01 | 0xD0..=0xD7 => {}
                _ => self.segment(out)?,
            }
        }
        self.pictures += 1;
        Ok(true)
    }

    /// Skips to the next `FF D8`, which is then in `out`.
    fn find_start(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        out.clear();
        let mut last = 0;
        loop {
            let Some(&byte) = self.fill()?.first() else { return Ok(false) };
            self.reader.consume(1);
            if (last, byte) == (0xFF, SOI) {
                out.extend_from_slice(&[0xFF, SOI]);
                return Ok(true);
            }
            last = byte;
        }
    }

    /// The code of the next marker. What lies before it is the data of a scan, with its stuffed `FF 00`, or bytes that don't
    /// belong there, which a decoder may mind.
    fn marker(&mut self, out: &mut Vec<u8>) -> Result<u8> {
        loop {
            while !self.copy_to_ff(out)? {}
            let mut code = self.byte(out)?;
            while code == 0xFF {
                code = self.byte(out)?;
            }
            if code != 0 {
                return Ok(code);
            }
        }
    }

    /// A segment's length and contents.
    fn segment(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let length = u16::from_be_bytes([self.byte(out)?, self.byte(out)?]);
        let Some(mut left) = usize::from(length).checked_sub(2) else {
            return Err(self.malformed(&format!("a segment of {length} bytes, under the 2 of its length")));
        };
        while left > 0 {
            let count = self.more()?.len().min(left);
            self.take(count, out)?;
            left -= count;
        }
        Ok(())
    }

    /// Moves what is buffered, up to and with the first FF, to `out`; true where there was one.
    fn copy_to_ff(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let buffer = self.more()?;
        let found = buffer.iter().position(|&byte| byte == 0xFF);
        let count = found.map_or(buffer.len(), |at| at + 1);
        self.take(count, out)?;
        Ok(found.is_some())
    }

    fn byte(&mut self, out: &mut Vec<u8>) -> Result<u8> {
        let byte = self.more()?.first().copied().unwrap_or_default();
        self.take(1, out)?;
        Ok(byte)
    }

    /// Moves `count` buffered bytes to `out`.
    fn take(&mut self, count: usize, out: &mut Vec<u8>) -> Result<()> {
        if out.len() + count > self.max_bytes {
            return Err(self.malformed(&format!("over the limit of {} bytes for one picture", self.max_bytes)));
        }
        out.extend_from_slice(self.reader.buffer().get(..count).unwrap_or_default());
        self.reader.consume(count);
        Ok(())
    }

    /// Buffered bytes, at least one.
    fn more(&mut self) -> Result<&[u8]> {
        if self.fill()?.is_empty() {
            return Err(self.malformed("the stream ends inside it"));
        }
        Ok(self.reader.buffer())
    }

    fn fill(&mut self) -> Result<&[u8]> {
        loop {
            match self.reader.fill_buf() {
                Ok(_) => return Ok(self.reader.buffer()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::io("reading", error)),
            }
        }
    }

    fn malformed(&self, detail: &str) -> Failure {
        Failure::data(format!("mjpeg picture {}: {detail}", self.pictures))
    }
}

/// The pictures of an MJPEG stream as frames.
pub(super) struct Mjpeg {
    splitter: Splitter<Bytes>,
    name: String,
    picture: Vec<u8>,
}

impl Mjpeg {
    pub(super) fn new(bytes: Bytes) -> Self {
        let name = bytes.name.clone();
        Self { splitter: Splitter::new(bytes, limits().max_encoded_bytes), name, picture: Vec::new() }
    }
}

impl Frames for Mjpeg {
    fn next(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let index = self.splitter.pictures;
        if !self.splitter.next(&mut self.picture).map_err(|failure| failure.within(&self.name))? {
            return Ok(false);
        }
        *out = auralink::images::decode(&self.picture, &limits())
            .map_err(|error| Failure::from(error).within(format!("{}, picture {index}", self.name)))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    fn split(data: &[u8], max_bytes: usize) -> Result<Vec<Vec<u8>>> {
        let (mut splitter, mut pictures, mut picture) = (Splitter::new(data, max_bytes), Vec::new(), Vec::new());
        while splitter.next(&mut picture)? {
            pictures.push(picture.clone());
        }
        Ok(pictures)
    }

    /// A picture with everything that looks like an end and isn't one.
    const TRICKY: [u8; 29] = [
        0xFF, SOI, // an APP1 segment that holds a thumbnail
        0xFF, 0xE1, 0, 6, 0xFF, SOI, 0xFF, EOI, // fill bytes, then a scan header
        0xFF, 0xFF, 0xFF, 0xDA, 0, 4, 0xFF, EOI, // data with a stuffed FF, a restart marker and a fill byte
        0x12, 0xFF, 0x00, 0xD9, 0xFF, 0xD0, 0x34, 0xFF, 0xFF, EOI, 0x00,
    ];

    #[test]
    fn pictures_are_cut_at_their_own_ends() {
        let one = &TRICKY[..28];
        let stream = [one, &[0, 0, 0xFF], one, &[0xFF]].concat();
        let pictures = split(&stream, 100).unwrap();
        assert_eq!(pictures, [one, one]);
    }

    #[test]
    fn every_truncation_is_an_error_and_never_a_picture() {
        for end in 2..28 {
            let failure = split(&TRICKY[..end], 100).unwrap_err();
            assert_eq!(failure.exit, Exit::Data, "{end}");
        }
        assert!(split(&TRICKY[..1], 100).unwrap().is_empty());
    }

    #[test]
    fn faults_are_named() {
        let line = |data: &[u8], max| split(data, max).unwrap_err().line().unwrap();
        assert!(line(&[0xFF, SOI, 0xFF, 0xE0, 0, 1], 100).contains("a segment of 1 bytes"));
        assert!(line(&[0xFF, SOI, 0xFF, SOI], 100).contains("another picture begins"));
        assert!(line(&TRICKY, 10).contains("limit of 10 bytes"));
    }
}
