//! Lossless packets that follow each other, as a `.alz` file holds them.

use std::io::Read;

use auralink::codec::lossless::{HEADER_BYTES, Header};

use super::{Bytes, limits};
use crate::cli::exit::{Failure, Result};

/// Reads lossless packets that follow each other.
pub(crate) struct PacketReader {
    bytes: Bytes,
    pub(crate) packet: Vec<u8>,
}

impl PacketReader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, packet: Vec::new() }
    }

    /// Reads the next packet to `packet`; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Header>> {
        self.packet.clear();
        if self.read_to(HEADER_BYTES)? == 0 {
            return Ok(None);
        }
        let header = Header::parse(&self.packet)?;
        let length = header.packet_bytes as usize;
        limits().check_encoded(length)?;
        let read = self.read_to(length)?;
        if read < length {
            return Err(Failure::data(format!("lossless: a packet of {length} bytes ends after {read}")));
        }
        Ok(Some(header))
    }

    /// Reads until the packet has `length` bytes, or the input ends. Memory grows with what is really there.
    fn read_to(&mut self, length: usize) -> Result<usize> {
        let missing = length.saturating_sub(self.packet.len());
        let read = self.bytes.by_ref().take(missing as u64).read_to_end(&mut self.packet);
        read.map_err(|error| Failure::io(self.bytes.name.clone(), error))?;
        Ok(self.packet.len())
    }
}
