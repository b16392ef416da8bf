//! The JPEG encoder (ITU-T T.81, baseline sequential, JFIF).

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::error::Result;
use crate::frame::Frame;

/// How chroma is sampled in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subsampling {
    /// Halved in both directions: the usual choice for pictures from cameras.
    #[default]
    S420,
    /// Halved horizontally.
    S422,
    /// At full size: coloured text stays sharp.
    S444,
}

/// How a frame is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JpegConfig {
    /// 1..=100, libjpeg's scale of the Annex K tables.
    pub quality: u8,
    /// Chroma sampling of the file; grey formats have no chroma and ignore it.
    pub subsampling: Subsampling,
    /// Huffman tables made for this frame (two passes, smaller), instead of the standard ones.
    pub optimise: bool,
    /// MCU rows between restart markers, 0 for none. Intervals are what threads work on; the bytes don't depend on threads.
    pub restart_rows: u16,
    /// Keep what a decoder will see, for [`JpegEncoder::reconstruction`].
    pub reconstruct: bool,
}

impl Default for JpegConfig {
    fn default() -> Self {
        Self { quality: 75, subsampling: Subsampling::S420, optimise: false, restart_rows: 0, reconstruct: false }
    }
}

/// What coding a frame gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JpegStats {
    /// Bytes appended to the output.
    pub bytes: usize,
    /// The quality used: the configured one, or the one a byte budget led to.
    pub quality: u8,
    /// Times the frame was coded to meet its budget, 1 where there was none.
    pub passes: u32,
}

/// A JPEG encoder with its working memory, which is kept from frame to frame.
#[derive(Debug)]
pub struct JpegEncoder {
    level: Level,
}

impl JpegEncoder {
    /// An encoder for a SIMD level.
    pub fn new(level: Level) -> Self {
        Self { level }
    }

    /// Codes `frame` as one whole JFIF file, appended to `out`.
    ///
    /// # Errors
    /// A quality outside 1..=100, or a format JPEG hasn't (16-bit grey). `out` is then as it was.
    pub fn encode(
        &mut self,
        frame: &Frame<'_>,
        config: &JpegConfig,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<JpegStats> {
        let _ = (frame, config, pool, out, self.level);
        todo!()
    }

    /// Codes `frame` at the highest quality up to `config.quality` whose file is at most `max_bytes` long.
    ///
    /// # Errors
    /// As [`JpegEncoder::encode`]; [`Error::Budget`](crate::Error::Budget) where even quality 1 is larger.
    pub fn encode_within(
        &mut self,
        frame: &Frame<'_>,
        config: &JpegConfig,
        max_bytes: usize,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<JpegStats> {
        let _ = (frame, config, max_bytes, pool, out);
        todo!()
    }

    /// What a decoder sees of the last frame coded with [`JpegConfig::reconstruct`]: I420, I422, I444 or Gray8, full range.
    pub fn reconstruction(&self) -> Option<Frame<'_>> {
        todo!()
    }
}
