//! One frame to one packet, with whichever codec, and its quality where asked. What stills and sessions share.

use std::time::Duration;

use rayon::ThreadPool;
use std::sync::Arc;

use crate::codec::h264::{FrameOrder, H264Config, H264Encoder, H264Stats};
use crate::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use crate::codec::lossless::{LosslessConfig, LosslessEncoder};
use crate::codec::{Cancel, Codec};
use crate::error::{Error, Result};
use crate::frame::{Frame, PixelFormat, Plane};
use crate::kernel::Level;
use crate::kernel::rows::RowReader;
use crate::quality::Quality;
use crate::rate::{Scale, qp_of_quality, quality_of_qp};
use crate::session::screen::Screen;

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
    /// SSIM at the size that the frame is coded at, where measured.
    pub coded_ssim: Option<f64>,
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
    screen: Screen,
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
            screen: Screen::new(),
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
        self.code_for(frame, frame, order, out)
    }

    /// As [`Coder::code`], of a frame that was brought to another size than its `source` has: what is measured is what a screen of the
    /// source's size shows.
    pub(crate) fn code_for(
        &mut self,
        source: &Frame<'_>,
        frame: &Frame<'_>,
        order: &Order,
        out: &mut Vec<u8>,
    ) -> Result<Coded> {
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
            let shown = self.measure(source, order.codec)?;
            let is_same_size = (source.width(), source.height()) == (frame.width(), frame.height());
            let coded_size = if is_same_size { shown } else { self.measure(frame, order.codec)? };
            (coded.measured, coded.coded_ssim) = (Some(shown), Some(coded_size.ssim));
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
            coded_ssim: None,
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
            coded_ssim: None,
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
            coded_ssim: None,
            times: Default::default(),
        })
    }

    /// Compares the luma a screen will show with the source's: as it is where H.264 takes it so, else as JFIF has it.
    fn measure(&mut self, source: &Frame<'_>, codec: Codec) -> Result<Quality> {
        if codec == Codec::Lossless {
            return Ok(Quality { psnr_db: f64::INFINITY, ssim: 1.0 });
        }
        let mut luma = std::mem::take(&mut self.luma);
        let measured = self.luma(source, codec, &mut luma).and_then(|source| {
            let seen = match codec {
                Codec::Jpeg => self.jpeg.reconstruction(),
                Codec::H264 => self.h264.as_ref().and_then(|encoder| encoder.reconstruction()),
                Codec::Lossless => None,
            };
            let seen = seen.ok_or_else(|| Error::Internal {
                what: "quality",
                detail: "the encoder kept no reconstruction".to_owned(),
            })?;
            self.screen.compare(self.level, source, seen.plane(0), &self.pool)
        });
        self.luma = luma;
        measured
    }

    /// SSIM that a source keeps at a size, before anything is coded.
    pub(crate) fn ssim_of_size(&mut self, source: &Frame<'_>, codec: Codec, scale: Scale) -> Result<f64> {
        let mut luma = std::mem::take(&mut self.luma);
        let measured = self
            .luma(source, codec, &mut luma)
            .and_then(|source| self.screen.ssim_of_size(self.level, source, scale, &self.pool));
        self.luma = luma;
        measured
    }

    /// Luma of a frame: its own, or in `converted`.
    fn luma<'a>(&mut self, frame: &Frame<'a>, codec: Codec, converted: &'a mut Vec<u8>) -> Result<Plane<'a>> {
        if codec == Codec::H264 && matches!(frame.format(), PixelFormat::I420 | PixelFormat::Nv12) {
            return Ok(frame.plane(0));
        }
        self.rows.luma_plane(self.level, frame, converted)?;
        Ok(Frame::new(PixelFormat::Gray8, frame.width(), frame.height(), converted)?.plane(0))
    }
}
