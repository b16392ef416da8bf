//! One frame to one packet, with whichever codec, and its quality where asked. What stills and sessions share.

use std::time::Duration;

use rayon::ThreadPool;
use std::sync::Arc;

use crate::codec::Codec;
use crate::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use crate::codec::lossless::{LosslessConfig, LosslessEncoder};
use crate::error::{Error, Result};
use crate::frame::{Frame, PixelFormat};
use crate::kernel::Level;
use crate::kernel::rows::RowReader;
use crate::quality::{self, Quality};

/// Pixels from which a JPEG is cut into restart intervals that threads share. Small frames aren't worth a hop.
const BAND_PIXELS: usize = 256 * 1024;
/// MCU rows of a restart interval: a marker's few bytes are lost among a band's many.
const BAND_MCU_ROWS: u16 = 8;

/// What is wanted of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Codec.
    pub codec: Codec,
    /// JPEG quality, 1..=100; the highest one where `max_bytes` is given.
    pub quality: u8,
    /// JPEG chroma sampling.
    pub subsampling: Subsampling,
    /// JPEG Huffman tables made for this frame.
    pub optimise: bool,
    /// JPEG bytes that are never exceeded.
    pub max_bytes: Option<usize>,
    /// Lossless: predict from the frame before where that is smaller.
    pub temporal: bool,
    /// The packet must stand alone.
    pub keyframe: bool,
    /// Measure PSNR and SSIM of luma.
    pub measure: bool,
}

impl Order {
    /// A packet that stands alone, at quality 75.
    pub const fn still(codec: Codec) -> Self {
        Self {
            codec,
            quality: 75,
            subsampling: Subsampling::S420,
            optimise: false,
            max_bytes: None,
            temporal: false,
            keyframe: true,
            measure: false,
        }
    }
}

/// What coding a frame gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coded {
    /// Bytes appended.
    pub bytes: usize,
    /// JPEG quality used; 100 for lossless.
    pub quality: u8,
    /// Whether the packet stands alone.
    pub keyframe: bool,
    /// PSNR and SSIM, where measured.
    pub measured: Option<Quality>,
    /// Time of coding and of measuring, zero without a clock.
    pub times: [Duration; 2],
}

/// Encoders of every codec with their working memory, made by [`Engine::coder`](crate::Engine::coder).
#[derive(Debug)]
pub struct Coder {
    pool: Arc<ThreadPool>,
    level: Level,
    clock: fn() -> Duration,
    jpeg: JpegEncoder,
    lossless: LosslessEncoder,
    luma: Vec<u8>,
    rows: RowReader,
}

impl Coder {
    pub(crate) fn new(pool: Arc<ThreadPool>, level: Level, clock: fn() -> Duration) -> Self {
        Self {
            pool,
            level,
            clock,
            jpeg: JpegEncoder::new(level),
            lossless: LosslessEncoder::new(level),
            luma: Vec::new(),
            rows: RowReader::default(),
        }
    }

    /// The time, by the engine's clock.
    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Codes `frame`, appending the packet to `out`.
    ///
    /// # Errors
    /// What the codec can't take; `out` is then as it was.
    pub fn code(&mut self, frame: &Frame<'_>, order: &Order, out: &mut Vec<u8>) -> Result<Coded> {
        let start = self.now();
        let mut coded = match order.codec {
            Codec::Jpeg => self.code_jpeg(frame, order, out)?,
            Codec::Lossless => self.code_lossless(frame, order, out)?,
        };
        let coding_ended = self.now();
        if order.measure {
            coded.measured = Some(match order.codec {
                Codec::Jpeg => self.measure_jpeg(frame)?,
                Codec::Lossless => Quality { psnr_db: f64::INFINITY, ssim: 1.0 },
            });
        }
        coded.times = [coding_ended.saturating_sub(start), self.now().saturating_sub(coding_ended)];
        Ok(coded)
    }

    /// What a decoder will see of the last JPEG that was measured.
    pub fn reconstruction(&self) -> Option<Frame<'_>> {
        self.jpeg.reconstruction()
    }

    fn code_jpeg(&mut self, frame: &Frame<'_>, order: &Order, out: &mut Vec<u8>) -> Result<Coded> {
        let pixels = frame.width() as usize * frame.height() as usize;
        let config = JpegConfig {
            quality: order.quality,
            subsampling: order.subsampling,
            optimise: order.optimise,
            restart_rows: if pixels < BAND_PIXELS { 0 } else { BAND_MCU_ROWS },
            reconstruct: order.measure,
        };
        let stats = match order.max_bytes {
            Some(max_bytes) => self.jpeg.encode_within(frame, &config, max_bytes, &self.pool, out)?,
            None => self.jpeg.encode(frame, &config, &self.pool, out)?,
        };
        Ok(Coded {
            bytes: stats.bytes,
            quality: stats.quality,
            keyframe: true,
            measured: None,
            times: Default::default(),
        })
    }

    fn code_lossless(&mut self, frame: &Frame<'_>, order: &Order, out: &mut Vec<u8>) -> Result<Coded> {
        let config = LosslessConfig { temporal: order.temporal, keyframe: order.keyframe };
        let stats = self.lossless.encode(frame, &config, &self.pool, out)?;
        Ok(Coded {
            bytes: stats.bytes,
            quality: 100,
            keyframe: stats.keyframe,
            measured: None,
            times: Default::default(),
        })
    }

    /// Compares the luma a decoder will see with the source's, both as JFIF has them.
    fn measure_jpeg(&mut self, frame: &Frame<'_>) -> Result<Quality> {
        let seen = self.jpeg.reconstruction().ok_or_else(|| Error::Internal {
            what: "quality",
            detail: "the encoder kept no reconstruction".to_owned(),
        })?;
        self.rows.luma_plane(self.level, frame, &mut self.luma)?;
        let source = Frame::new(PixelFormat::Gray8, frame.width(), frame.height(), &self.luma)?;
        quality::compare(self.level, source.plane(0), seen.plane(0), &self.pool)
    }
}
