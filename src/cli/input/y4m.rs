//! YUV4MPEG2 read in pieces.

use std::io::{ErrorKind, Read};

use auralink::frame::y4m::{Header, Parser};
use auralink::{Error, FrameBuf};

use super::{Bytes, Frames};
use crate::cli::exit::{Failure, Result};

const PIECE_BYTES: usize = 256 << 10;

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
        let (mut parser, mut piece) = (Parser::default(), vec![0; PIECE_BYTES]);
        let name = bytes.name.clone();
        let named = |error: Error| Failure::from(error).within(&name);
        loop {
            if let Some(header) = parser.header().map_err(named)? {
                let header = header.clone();
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
