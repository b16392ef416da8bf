//! The JPEG encoder (ITU-T T.81, baseline sequential, JFIF).
//!
//! One MCU row at a time: samples are converted into a stripe that stays in the cache, or read from the frame where they
//! already are what the file holds; transformed and quantised four blocks together; listed as symbols by the mask of their
//! coefficients that aren't zero; and coded. Restart intervals make bands that threads code side by side.
//!
//! Coefficients are those of libjpeg's "islow" transform with the same rounding throughout, so quality and size at a given
//! quality setting are what everyone expects.

mod band;
mod bits;
mod budget;
mod coder;
mod huffman;
mod layout;
mod marker;
mod reconstruct;
mod scan;
mod stripe;
mod tables;

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::frame::{Frame, PixelFormat};
use crate::kernel::quantise::Quantiser;
use crate::limits::JPEG_QUALITY;
use band::{Band, Pass};
use huffman::{Codes, Histogram};
use layout::Layout;
use reconstruct::Reconstruction;
use scan::Picture;
use tables::SpecPair;

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
    /// An interval holds 65535 MCUs at most, so very wide pictures may get shorter ones than asked for.
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
    bands: Vec<Band>,
    /// The tables of Annex K and their codes.
    standard: ([SpecPair; 2], Codes),
    /// Divisors of luma and chroma, for the quality they were made for.
    quantisers: (u8, [Quantiser; 2]),
    reconstruction: Reconstruction,
    /// The last file that met a budget, and the one being tried.
    trials: [Vec<u8>; 2],
}

impl JpegEncoder {
    /// An encoder for a SIMD level.
    pub fn new(level: Level) -> Self {
        let specs = tables::standard();
        let codes = Codes::new(&specs);
        Self {
            level,
            bands: Vec::new(),
            standard: (specs, codes),
            quantisers: (100, quantisers(100)),
            reconstruction: Reconstruction::default(),
            trials: [Vec::new(), Vec::new()],
        }
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
        check(frame, config)?;
        let bytes = self.encode_checked(frame, config, pool, out);
        Ok(JpegStats { bytes, quality: config.quality, passes: 1 })
    }

    /// Codes `frame` at the highest quality up to `config.quality` whose file is at most `max_bytes` long.
    ///
    /// The quality is searched for on the assumption that files grow with it, in eight passes at most, usually three or four
    /// (and one more for a reconstruction). The file never is over.
    ///
    /// # Errors
    /// As [`JpegEncoder::encode`]; [`Error::Budget`] where even quality 1 is larger.
    pub fn encode_within(
        &mut self,
        frame: &Frame<'_>,
        config: &JpegConfig,
        max_bytes: usize,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<JpegStats> {
        check(frame, config)?;
        budget::encode_within(self, frame, config, max_bytes, pool, out)
    }

    /// What a decoder sees of the last frame coded with [`JpegConfig::reconstruct`]: I420, I422, I444 or Gray8, full range.
    pub fn reconstruction(&self) -> Option<Frame<'_>> {
        self.reconstruction.frame()
    }

    /// Codes a frame that was checked, and gives the number of bytes appended.
    fn encode_checked(
        &mut self,
        frame: &Frame<'_>,
        config: &JpegConfig,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> usize {
        let layout = Layout::new(frame, config);
        if self.quantisers.0 != config.quality {
            self.quantisers = (config.quality, quantisers(config.quality));
        }
        let Self { level, bands, standard, quantisers: (_, quantisers), .. } = self;
        let count = band::band_count(&layout, pool);
        if bands.len() < count {
            bands.resize_with(count, Band::default);
        }
        let bands = &mut bands[..count];
        let picture = Picture { frame, layout: &layout, quantisers };
        let optimal = config.optimise.then(|| {
            band::run(bands, *level, &picture, Pass::Count, pool);
            let specs = best_specs(bands);
            let codes = Codes::new(&specs);
            (specs, codes)
        });
        let (specs, codes) = optimal.as_ref().unwrap_or(standard);

        let start = out.len();
        marker::write_headers(&layout, &quantisers.each_ref().map(Quantiser::steps), specs, out);
        let pass = Pass::Code { codes, reconstruct: config.reconstruct };
        if let [band] = bands {
            // Straight to the caller's buffer.
            std::mem::swap(out, &mut band.bytes);
            band::run(bands, *level, &picture, pass, pool);
            std::mem::swap(out, &mut bands[0].bytes);
        } else {
            bands.iter_mut().for_each(|band| band.bytes.clear());
            band::run(bands, *level, &picture, pass, pool);
            bands.iter().for_each(|band| out.extend_from_slice(&band.bytes));
        }
        marker::write_end(out);
        if config.reconstruct {
            self.reconstruction.gather(&layout, self.bands[..count].iter().map(|band| &band.seen));
        } else {
            self.reconstruction.kind = None;
        }
        out.len() - start
    }
}

fn check(frame: &Frame<'_>, config: &JpegConfig) -> Result<()> {
    if !JPEG_QUALITY.contains(&config.quality) {
        return Err(Error::OutOfRange {
            field: "quality",
            value: f64::from(config.quality),
            min: f64::from(*JPEG_QUALITY.start()),
            max: f64::from(*JPEG_QUALITY.end()),
        });
    }
    if frame.format() == PixelFormat::Gray16 {
        return Err(Error::Unsupported {
            field: "format",
            value: frame.format().to_string(),
            supported: "JPEG takes every format of 8 bits; the lossless codec takes this one",
        });
    }
    Ok(())
}

fn quantisers(quality: u8) -> [Quantiser; 2] {
    tables::steps(quality).each_ref().map(Quantiser::new)
}

/// The best tables for the symbols that all bands counted.
fn best_specs(bands: &[Band]) -> [SpecPair; 2] {
    let mut total = Histogram::EMPTY;
    bands.iter().for_each(|band| total.add(&band.histogram));
    total.best_tables()
}
