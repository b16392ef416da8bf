//! zstd, as the packets use it.

use std::fmt;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{self, CParameter, ParamSwitch, Strategy};

use crate::error::{Error, Result};

use super::header::malformed;

/// zstd's level for residuals with repetitions: screens, drawings, differences of frames. The levels above take twice the time for
/// the same size.
const MATCHING_LEVEL: i32 = 1;
/// Shortest repetition that is looked for, and bits of the table it is looked for in. Huffman codes take shorter ones for less.
const MIN_MATCH: u32 = 7;
const MATCHING_HASH_BITS: u32 = 14;
/// Bytes of the chunks whose being all zero tells of repetitions.
const CHUNK: usize = 32;
/// Repetitions are looked for where one chunk in this many is zero.
const ZERO_SHARE: usize = 4;

fn failed(error: std::io::Error) -> Error {
    Error::Internal { what: "zstd", detail: error.to_string() }
}

/// Most bytes a stream of `bytes` can be packed to.
pub(super) fn packed_bound(bytes: usize) -> usize {
    zstd_safe::compress_bound(bytes)
}

/// Packs streams, each as one zstd frame.
///
/// Residuals of photographs hold no repetitions, and what a match finder takes for some costs more than it saves: they are
/// only Huffman-coded, which is also the faster way.
pub(super) struct Packer {
    huffman: Compressor<'static>,
    matching: Compressor<'static>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

impl Packer {
    pub(super) fn new() -> Result<Self> {
        let mut huffman = Compressor::new(-1).map_err(failed)?;
        for parameter in [
            CParameter::Strategy(Strategy::ZSTD_fast),
            CParameter::HashLog(6),
            CParameter::MinMatch(MIN_MATCH),
            // The stride of the match finder: as far as it goes.
            CParameter::TargetLength(1 << 17),
            CParameter::LiteralCompressionMode(ParamSwitch::Enable),
        ] {
            huffman.set_parameter(parameter).map_err(failed)?;
        }
        let mut matching = Compressor::new(MATCHING_LEVEL).map_err(failed)?;
        for parameter in [CParameter::MinMatch(MIN_MATCH), CParameter::HashLog(MATCHING_HASH_BITS)] {
            matching.set_parameter(parameter).map_err(failed)?;
        }
        Ok(Self { huffman, matching })
    }

    /// Packs `bytes` to the beginning of `out`, which must have room for [`packed_bound`]; returns the packed bytes.
    pub(super) fn pack(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<usize> {
        let compressor = if repeats(bytes) { &mut self.matching } else { &mut self.huffman };
        compressor.compress_to_buffer(bytes, out).map_err(failed)
    }

    /// Packs an index, which is small and full of repetitions.
    pub(super) fn pack_index(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<usize> {
        self.matching.compress_to_buffer(bytes, out).map_err(failed)
    }
}

/// Whether there are enough zeros in a row that repetitions are worth looking for.
fn repeats(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    let zero = chunks.iter().filter(|chunk| **chunk == [0; CHUNK]).count();
    zero * ZERO_SHARE >= chunks.len() || chunks.is_empty() && !rest.is_empty()
}

/// Unpacks streams into buffers of the size they must have.
pub(super) struct Unpacker(Decompressor<'static>);

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpacker")
    }
}

impl Unpacker {
    pub(super) fn new() -> Result<Self> {
        Decompressor::new().map(Self).map_err(failed)
    }

    /// Unpacks a stream that must become exactly `out.len()` bytes. No bytes are packed as no stream at all.
    pub(super) fn unpack(&mut self, what: &str, packed: &[u8], out: &mut [u8]) -> Result<()> {
        let wanted = out.len();
        if wanted == 0 || packed.is_empty() {
            return match (wanted, packed.len()) {
                (0, 0) => Ok(()),
                (_, packed) => Err(malformed(format!("{what}: {packed} bytes packed, but {wanted} are needed"))),
            };
        }
        match self.0.decompress_to_buffer(packed, out) {
            Ok(bytes) if bytes == wanted => Ok(()),
            Ok(bytes) => Err(malformed(format!("{what}: {bytes} bytes, but {wanted} are needed"))),
            Err(error) => Err(malformed(format!("{what}: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_packing_come_back_and_wrong_sizes_are_refused() {
        let noise: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 29) as u8).collect();
        assert!(!repeats(&noise) && repeats(&[0; 100]) && repeats(&[1]));
        let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::new().unwrap());
        for bytes in [noise, vec![0; 5000], vec![7]] {
            let mut packed = vec![0; packed_bound(bytes.len())];
            let length = packer.pack(&bytes, &mut packed).unwrap();
            assert!(length <= bytes.len() * 5 / 8 + 100, "{length}");
            let mut back = vec![0; bytes.len()];
            unpacker.unpack("test", &packed[..length], &mut back).unwrap();
            assert_eq!(back, bytes);
            for wrong in [0, bytes.len() - 1, bytes.len() + 1] {
                assert!(unpacker.unpack("test", &packed[..length], &mut vec![0; wrong]).is_err());
            }
            assert!(unpacker.unpack("test", &[], &mut back).is_err());
            assert!(unpacker.unpack("test", &packed[..length - 1], &mut back).is_err());
        }
        unpacker.unpack("test", &[], &mut []).unwrap();
    }
}
