//! YUV4MPEG2 read in pieces, or a frame at a time straight into its place where frames begin as they usually do.

use std::io::{ErrorKind, Read};

use auralink::frame::y4m::{Header, Parser};
use auralink::{Error, FrameBuf};

use super::{Bytes, Frames};
use crate::cli::exit::{Failure, Result};

const PIECE_BYTES: usize = 256 << 10;
/// A frame's line without parameters.
const FRAME_LINE: &[u8; 6] = b"FRAME\n";

/// A y4m stream whose header is known.
pub(crate) struct Y4m {
    bytes: Bytes,
    parser: Parser,
    piece: Vec<u8>,
    header: Header,
    frames: u64,
}

impl Y4m {
    pub(crate) fn open(mut bytes: Bytes) -> Result<Self> {
        // The header's bytes one by one, so that the parser holds nothing of the first frame.
        let (mut parser, mut piece) = (Parser::default(), vec![0; 1]);
        let name = bytes.name.clone();
        let named = |error: Error| Failure::from(error).within(&name);
        loop {
            if let Some(header) = parser.header().map_err(named)? {
                let header = header.clone();
                piece.resize(PIECE_BYTES, 0);
                return Ok(Self { bytes, parser, piece, header, frames: 0 });
            }
            if !feed(&mut bytes, &mut piece, &mut parser)? {
                parser.finish().map_err(named)?;
            }
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    fn named(&self, error: Error) -> Failure {
        Failure::from(error).within(format!("{}, frame {}", self.bytes.name, self.frames))
    }
}

impl Frames for Y4m {
    fn next(&mut self, out: &mut FrameBuf) -> Result<bool> {
        if self.parser.is_drained() && self.read_whole(out)? {
            self.frames += 1;
            return Ok(true);
        }
        loop {
            match self.parser.next_frame(out) {
                Ok(true) => {
                    self.frames += 1;
                    return Ok(true);
                }
                Ok(false) if feed(&mut self.bytes, &mut self.piece, &mut self.parser)? => {}
                Ok(false) => return self.parser.finish().map(|()| false).map_err(|error| self.named(error)),
                Err(error) => return Err(self.named(error)),
            }
        }
    }
}

impl Y4m {
    /// Reads a whole frame into its place. Whatever is otherwise than usual goes to the parser, as far as it was read.
    fn read_whole(&mut self, out: &mut FrameBuf) -> Result<bool> {
        let mut line = [0; FRAME_LINE.len()];
        let count = fill(&mut self.bytes, &mut line)?;
        if line != *FRAME_LINE {
            self.parser.feed(&line[..count]);
            return Ok(false);
        }
        let Header { format, width, height, .. } = self.header;
        let samples = out.reshape(format, width, height, self.header.color())?;
        let count = fill(&mut self.bytes, samples)?;
        if count < samples.len() {
            self.parser.feed(&line);
            self.parser.feed(&samples[..count]);
            return Ok(false);
        }
        Ok(true)
    }
}

/// Fills a buffer, unless the input ends before.
fn fill(bytes: &mut Bytes, out: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match bytes.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io(bytes.name.clone(), error)),
        }
    }
    Ok(filled)
}

/// Hands the parser the next piece; false at the end.
fn feed(bytes: &mut Bytes, piece: &mut [u8], parser: &mut Parser) -> Result<bool> {
    loop {
        match bytes.read(piece) {
            Ok(count) => {
                parser.feed(&piece[..count]);
                return Ok(count > 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io(bytes.name.clone(), error)),
        }
    }
}
