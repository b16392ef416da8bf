//! The lossless codec.

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::error::Result;
use crate::frame::{Frame, FrameBuf};
use crate::limits::Limits;

/// How a frame is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LosslessConfig {
    /// Whether the frame may be predicted from the one before it, where that is smaller.
    pub temporal: bool,
    /// Code the frame on its own, so that a decoder can start with it.
    pub keyframe: bool,
}

/// What coding a frame gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LosslessStats {
    /// Bytes appended to the output.
    pub bytes: usize,
    /// Whether the packet stands alone.
    pub keyframe: bool,
}

/// A lossless encoder with the frame before and its working memory.
#[derive(Debug)]
pub struct LosslessEncoder {
    level: Level,
}

impl LosslessEncoder {
    /// An encoder for a SIMD level.
    pub fn new(level: Level) -> Self {
        Self { level }
    }

    /// Codes `frame` as one packet, appended to `out`.
    ///
    /// # Errors
    /// A zstd failure (memory); `out` is then as it was and the next packet is a keyframe.
    pub fn encode(
        &mut self,
        frame: &Frame<'_>,
        config: &LosslessConfig,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<LosslessStats> {
        let _ = (frame, config, pool, out, self.level);
        todo!()
    }
}

/// A lossless decoder with the frame before. Its input is a stranger's.
#[derive(Debug)]
pub struct LosslessDecoder {
    level: Level,
    limits: Limits,
}

impl LosslessDecoder {
    /// A decoder for a SIMD level, which refuses pictures beyond `limits` before taking memory for them.
    pub fn new(level: Level, limits: Limits) -> Self {
        Self { level, limits }
    }

    /// Decodes one packet. The returned frame stays until the next call.
    ///
    /// # Errors
    /// Anything that isn't a whole valid packet, or a packet predicted from a frame this decoder hasn't seen.
    pub fn decode(&mut self, packet: &[u8], pool: &ThreadPool) -> Result<&FrameBuf> {
        let _ = (packet, pool, self.level, self.limits);
        todo!()
    }
}
