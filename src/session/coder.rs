//! One frame to one packet, with whichever codec, and its quality where asked. What stills and sessions share.

use std::time::Duration;

use rayon::ThreadPool;
use std::sync::Arc;

use crate::codec::h264::{FrameOrder, H264Config, H264Encoder, H264Stats};
use crate::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use crate::codec::lossless::{LosslessConfig, LosslessEncoder};
use crate::codec::{Cancel, Codec};
use crate::error::{Error, Result};
use crate::frame::{Frame, PixelFormat};
use crate::kernel::Level;
use crate::kernel::rows::RowReader;
use crate::quality::{self, Quality};
use crate::rate::{qp_of_quality, quality_of_qp};

/// Pixels from which a JPEG is cut into restart intervals that threads share. Small frames aren't worth a hop.
const BAND_PIXELS: usize = 256 * 1024;
/// MCU rows of a restart interval: a marker's few bytes are lost among a band's many, and threads end at about the same time.
const BAND_MCU_ROWS: u16 = 4;

/// What is wanted of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// Codec.
    pub codec: Codec,
    /// Quality, 1..=100 on JPEG's scale; the highest one where `max_bytes` or `target_bytes` is given.
    pub quality: u8,
    /// JPEG chroma sampling.
    pub subsampling: Subsampling,
    /// JPEG Huffman tables made for this frame.
    pub optimise: bool,
    /// What the H.264 encoder is opened with; a change opens another, which begins with a keyframe. The preset alone may change
    /// from frame to frame.
    pub h264: H264Config,
    /// Quantiser parameter of H.264, 0..=51, instead of the one that `quality` stands for.
    pub qp: Option<u8>,
    /// Bytes that H.264 is to come near.
    pub target_bytes: Option<usize>,
    /// JPEG and H.264: bytes that are never exceeded.
    pub max_bytes: Option<usize>,
    /// Take from the frames before what makes packets smaller: lossless predicts from them, JPEG trains its Huffman tables on
    /// them.
    pub temporal: bool,
    /// The packet must stand alone. Without it lossless packets need the frame before, and JPEG leaves out the tables that
    /// were sent ([`JpegConfig::abbreviate`]).
    pub keyframe: bool,
    /// Measure PSNR and SSIM of luma.
    pub measure: bool,
}

impl Order {
    /// A packet that stands alone, at quality 75.
    pub fn still(codec: Codec) -> Self {
        Self {
            codec,
            quality: 75,
            subsampling: Subsampling::S420,
            optimise: false,
            h264: H264Config::default(),
            qp: None,
            target_bytes: None,
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
    /// Quality used, of H.264 the one that its mean quantiser parameter stands for; 100 for lossless.
    pub quality: u8,
    /// Whether the packet stands alone.
    pub keyframe: bool,
    /// What the H.264 encoder tells besides.
    pub h264: Option<H264Stats>,
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
    /// Made when first needed: its pictures are large.
    h264: Option<Box<H264Encoder>>,
    luma: Vec<u8>,
    rows: RowReader,
    cancel: Cancel,
}

impl Coder {
    pub(crate) fn new(pool: Arc<ThreadPool>, level: Level, clock: fn() -> Duration) -> Self {
        Self {
            pool,
            level,
            clock,
            jpeg: JpegEncoder::new(level),
            lossless: LosslessEncoder::new(level),
            h264: None,
            luma: Vec::new(),
            rows: RowReader::default(),
            cancel: Cancel::default(),
        }
    }

    /// Gives frames up from now on where `cancel` is raised. Streams go on with the next frame, under another flag: where the next
    /// packet must stand alone to be decoded, it does.
    pub fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
        self.jpeg.heed(cancel);
        self.lossless.heed(cancel);
        if let Some(encoder) = &mut self.h264 {
            encoder.heed(cancel);
        }
    }

    /// The time, by the engine's clock.
    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Codes `frame`, appending the packet to `out`.
    ///
    /// # Errors
    /// What the codec can't take, or [`Error::Abandoned`]; `out` is then as it was.
    pub fn code(&mut self, frame: &Frame<'_>, order: &Order, out: &mut Vec<u8>) -> Result<Coded> {
        let start = self.now();
        #[cfg(test)]
        super::faults::provoke(frame, order.codec, &self.pool)?;
        let mut coded = match order.codec {
            Codec::Jpeg => self.code_jpeg(frame, order, out)?,
            Codec::Lossless => self.code_lossless(frame, order, out)?,
            Codec::H264 => self.code_h264(frame, order, out)?,
        };
        let coding_ended = self.now();
        // The packet is whole, and the next one may be predicted from it: it is too late to give it up.
        if order.measure && !self.cancel.is_raised() {
            coded.measured = Some(match order.codec {
                Codec::Jpeg | Codec::H264 => self.measure(frame, order.codec)?,
                Codec::Lossless => Quality { psnr_db: f64::INFINITY, ssim: 1.0 },
            });
        }
        coded.times = [coding_ended.saturating_sub(start), self.now().saturating_sub(coding_ended)];
        Ok(coded)
    }

    /// What a decoder will see of the last packet: of JPEG where it was measured, of H.264 always, of lossless never, since it
    /// sees the frame itself.
    pub fn reconstruction(&self, codec: Codec) -> Option<Frame<'_>> {
        match codec {
            Codec::Jpeg => self.jpeg.reconstruction(),
            Codec::H264 => self.h264.as_ref()?.reconstruction(),
            Codec::Lossless => None,
        }
    }

    /// The receiver has an H.264 frame, by [`H264Stats::id`].
    pub fn acknowledge(&mut self, id: u64) {
        if let Some(encoder) = &mut self.h264 {
            encoder.acknowledge(id);
        }
    }

    /// The receiver will never have an H.264 frame, by [`H264Stats::id`].
    pub fn lose(&mut self, id: u64) {
        if let Some(encoder) = &mut self.h264 {
            encoder.lose(id);
        }
    }

    fn code_jpeg(&mut self, frame: &Frame<'_>, order: &Order, out: &mut Vec<u8>) -> Result<Coded> {
        let pixels = frame.width() as usize * frame.height() as usize;
        let config = JpegConfig {
            quality: order.quality,
            subsampling: order.subsampling,
            optimise: order.optimise,
            restart_rows: if pixels < BAND_PIXELS { 0 } else { BAND_MCU_ROWS },
            reconstruct: order.measure,
            measure: false,
            train: order.temporal,
            abbreviate: order.temporal && !order.keyframe,
        };
        let stats = match order.max_bytes {
            Some(max_bytes) => self.jpeg.encode_within(frame, &config, max_bytes, &self.pool, out)?,
            None => self.jpeg.encode(frame, &config, &self.pool, out)?,
        };
        Ok(Coded {
            bytes: stats.bytes,
            quality: stats.quality,
            keyframe: stats.is_whole,
            h264: None,
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
            h264: None,
            measured: None,
            times: Default::default(),
        })
    }

    fn code_h264(&mut self, frame: &Frame<'_>, order: &Order, out: &mut Vec<u8>) -> Result<Coded> {
        let preset = order.h264.preset;
        let serves = |opened: &H264Config| H264Config { preset, ..*opened } == order.h264;
        let encoder = match self.h264.take().filter(|encoder| serves(encoder.config())) {
            Some(encoder) => encoder,
            None => Box::new(H264Encoder::new(self.level, order.h264)?),
        };
        let encoder = self.h264.insert(encoder);
        encoder.set_preset(preset);
        encoder.heed(&self.cancel);
        let frame_order = FrameOrder {
            qp: order.qp.unwrap_or_else(|| qp_of_quality(order.quality)),
            target_bytes: order.target_bytes,
            max_bytes: order.max_bytes,
            keyframe: order.keyframe,
        };
        let stats = encoder.encode(frame, &frame_order, &self.pool, out)?;
        Ok(Coded {
            bytes: stats.bytes,
            quality: if stats.is_blank() { 1 } else { quality_of_qp(stats.qp) },
            keyframe: stats.keyframe,
            h264: Some(stats),
            measured: None,
            times: Default::default(),
        })
    }

    /// Compares the luma a decoder will see with the source's: as it is where H.264 takes it so, else as JFIF has it.
    fn measure(&mut self, frame: &Frame<'_>, codec: Codec) -> Result<Quality> {
        let is_taken_as_it_is = codec == Codec::H264 && matches!(frame.format(), PixelFormat::I420 | PixelFormat::Nv12);
        if !is_taken_as_it_is {
            self.rows.luma_plane(self.level, frame, &mut self.luma)?;
        }
        let seen = self.reconstruction(codec).ok_or_else(|| Error::Internal {
            what: "quality",
            detail: "the encoder kept no reconstruction".to_owned(),
        })?;
        let source = if is_taken_as_it_is {
            *frame
        } else {
            Frame::new(PixelFormat::Gray8, frame.width(), frame.height(), &self.luma)?
        };
        quality::compare(self.level, source.plane(0), seen.plane(0), &self.pool)
    }
}
