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
mod completer;
mod group;
mod huffman;
mod layout;
mod luma_error;
mod marker;
mod picture;
mod reconstruct;
mod scan;
mod stripe;
mod tables;

pub use completer::Completer;

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::codec::Cancel;
use crate::error::{Error, Result};
use crate::frame::{Frame, PixelFormat};
use crate::kernel::quantise::Quantiser;
use crate::limits::JPEG_QUALITY;
use band::{Band, From, Pass, Worker};
use budget::Budget;
use huffman::{Codes, Histogram};
use layout::Layout;
use luma_error::LumaError;
use marker::FileTables;
use picture::Picture;
use reconstruct::Reconstruction;
use tables::{Coarseness, SpecPair};

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
    /// Tell the PSNR of luma, from what quantising took from the coefficients: the transform keeps squares (Parseval's
    /// theorem), so nothing need be decoded. For pictures from cameras it is within 0.05 dB of what a decoder's samples give.
    /// Where ringing beside sharp edges would leave 0..=255 decoders do better than told, as they cut it off: on screens, with
    /// text on white, by up to 1.7 dB. What it takes is a tenth of the time or so, in which coefficients are stored unquantised.
    pub measure: bool,
    /// Huffman tables from a sample of the frames that this encoder coded before, which this frame adds to where it is due:
    /// nearly as small as [`JpegConfig::optimise`] (which goes before it) for hardly any time. With
    /// [`JpegConfig::abbreviate`] tables change only where that pays, and files are smaller than optimised ones.
    pub train: bool,
    /// Leave out the tables that the decoder has from the files this encoder gave before: an abbreviated stream (ITU-T T.81
    /// B.5), to be read in order from a file with all its tables on. [`Completer`] makes its files whole again.
    pub abbreviate: bool,
}

impl Default for JpegConfig {
    fn default() -> Self {
        Self {
            quality: 75,
            subsampling: Subsampling::S420,
            optimise: false,
            restart_rows: 0,
            reconstruct: false,
            measure: false,
            train: false,
            abbreviate: false,
        }
    }
}

/// What coding a frame gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JpegStats {
    /// Bytes appended to the output.
    pub bytes: usize,
    /// The quality used: the configured one, or the one nearest to where a byte budget led.
    pub quality: u8,
    /// Times the frame was coded to meet its budget, 1 where there was none.
    pub passes: u32,
    /// PSNR of the luma that a decoder will see, dB, where [`JpegConfig::measure`] asks for it. Taken from the error of the
    /// coefficients; see there.
    pub psnr_db: Option<f64>,
    /// Whether the file has all its tables, and so stands alone.
    pub is_whole: bool,
}

/// A JPEG encoder with its working memory, which is kept from frame to frame.
#[derive(Debug)]
pub struct JpegEncoder {
    level: Level,
    workers: Vec<Worker>,
    bands: Vec<Band>,
    /// The tables of Annex K.
    standard: Tables,
    /// Divisors of luma and chroma, for the coarseness they were made for.
    quantisers: (Coarseness, [Quantiser; 2]),
    reconstruction: Reconstruction,
    budget: Budget,
    training: Training,
    /// The tables of the last file.
    wrote: FileTables,
    /// The tables that a decoder of all files so far has.
    sent: Option<FileTables>,
    cancel: Cancel,
}

/// Huffman tables and their codes.
#[derive(Debug)]
struct Tables {
    specs: [SpecPair; 2],
    codes: Codes,
}

impl Tables {
    fn new(specs: [SpecPair; 2]) -> Self {
        Self { codes: Codes::new(&specs), specs }
    }
}

/// What was learned from frames before.
#[derive(Debug)]
struct Training {
    histogram: Histogram,
    tables: Option<Tables>,
    /// Frames from one that is learned from to the next, and until that comes.
    gap: u32,
    until_due: u32,
}

/// Fewest and most frames between two that are learned from: gaps grow to where so many samples are coded in one, which takes long
/// beside making the tables.
const FEWEST_GAP: u32 = 4;
const MOST_GAP: u32 = 64;
const GAP_SAMPLES: usize = 1 << 21;
/// Bytes of new tables, where files leave out what was sent, and frames in which they must have saved them.
const TABLES_BYTES: u64 = 432;
const PAYING_FRAMES: u64 = 16;

impl Training {
    fn learn(&mut self, bands: &[Band], layout: &Layout, is_abbreviated: bool) {
        if self.until_due > 0 {
            self.until_due -= 1;
            return;
        }
        let sample = total(bands);
        self.histogram.fade();
        self.histogram.add(&sample);
        let tables = Tables::new(self.histogram.complete_tables());
        let pays = |now: &Tables| {
            let saved_bits = sample.bits(&now.codes).saturating_sub(sample.bits(&tables.codes));
            saved_bits / 8 * scan::sampled_every(layout) as u64 * PAYING_FRAMES > TABLES_BYTES
        };
        if !is_abbreviated || self.tables.as_ref().is_none_or(pays) {
            self.tables = Some(tables);
        }
        let most = (GAP_SAMPLES / (layout.width * layout.height)) as u32;
        self.gap = (2 * self.gap).min(most).clamp(FEWEST_GAP, MOST_GAP);
        self.until_due = self.gap - 1;
    }
}

/// A frame to be coded, however often.
#[derive(Clone, Copy, Debug)]
struct Job<'a> {
    frame: &'a Frame<'a>,
    layout: &'a Layout,
    config: &'a JpegConfig,
    pool: &'a ThreadPool,
}

impl JpegEncoder {
    /// An encoder for a SIMD level.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            workers: Vec::new(),
            bands: Vec::new(),
            standard: Tables::new(tables::standard()),
            quantisers: (Coarseness::MOST, quantisers(Coarseness::MOST)),
            reconstruction: Reconstruction::default(),
            budget: Budget::default(),
            training: Training { histogram: Histogram::EMPTY, tables: None, gap: 0, until_due: 0 },
            wrote: FileTables { steps: Coarseness::MOST.steps(), specs: tables::standard(), kinds: 0 },
            sent: None,
            cancel: Cancel::default(),
        }
    }

    /// Gives frames up from now on where `cancel` is raised.
    pub fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    /// Codes `frame` as one whole JFIF file, appended to `out`.
    ///
    /// # Errors
    /// A quality outside 1..=100, a format JPEG hasn't (16-bit grey), or a frame that was given up. `out` is then as it was.
    pub fn encode(
        &mut self,
        frame: &Frame<'_>,
        config: &JpegConfig,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<JpegStats> {
        check(frame, config)?;
        let job = Job { frame, layout: &Layout::new(frame, config), config, pool };
        let (coarseness, start) = (Coarseness::of_quality(config.quality), out.len());
        let coded = self.code(&job, coarseness, From::Frame, config.reconstruct, out);
        let bytes = coded.inspect_err(|_| out.truncate(start))?;
        let stats = self.stats(&job, bytes, config.quality, 1);
        self.finish(&job, self.wrote.clone());
        Ok(stats)
    }

    /// Codes `frame` within `max_bytes`: at `config.quality` where that fits, otherwise with about the finest quantiser tables
    /// that do, also between those of two qualities. It never is over, and nearly always within 3 % under.
    ///
    /// The frame is transformed once. Its coefficients are kept, two bytes for each sample of the file (25 MB for 4K at
    /// 4:2:0); a sample of them tells how coarse to quantise; a file that is over is quantised and coded again from them.
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
        let job = Job { frame, layout: &Layout::new(frame, config), config, pool };
        budget::encode_within(self, &job, max_bytes, out)
    }

    /// What a decoder sees of the last frame coded with [`JpegConfig::reconstruct`]: I420, I422, I444 or Gray8, full range.
    pub fn reconstruction(&self) -> Option<Frame<'_>> {
        self.reconstruction.frame()
    }

    /// Codes a frame that was checked, and gives the number of bytes appended.
    fn code(
        &mut self,
        job: &Job<'_>,
        coarseness: Coarseness,
        from: From,
        reconstruct: bool,
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        let Job { layout, config, pool, .. } = *job;
        self.prepare(job, coarseness);
        let Self {
            level, workers, bands, standard, quantisers: (_, quantisers), training, wrote, sent, cancel, ..
        } = self;
        let bands = &mut bands[..band::band_count(layout, pool)];
        let picture = Picture { frame: job.frame, layout, quantisers, measure: config.measure, cancel };
        let is_trained = config.train && !config.optimise;
        let usual = training.tables.as_ref().filter(|_| is_trained).unwrap_or(standard);
        let optimal = if config.optimise {
            band::run(workers, bands, *level, &picture, Pass::Count(from), pool)?;
            Some(Tables::new(total(bands).best_tables()))
        } else {
            None
        };
        let Tables { specs, codes } = optimal.as_ref().unwrap_or(usual);

        let start = out.len();
        wrote.steps = quantisers.each_ref().map(|quantiser| *quantiser.steps());
        wrote.specs.clone_from(specs);
        wrote.kinds = layout.kinds();
        marker::write_headers(layout, wrote, sent.as_ref().filter(|_| config.abbreviate), out);
        let learn = is_trained && training.until_due == 0;
        let pass = Pass::Code { from, codes, reconstruct, learn };
        if let [band] = bands {
            // Straight to the caller's buffer.
            std::mem::swap(out, &mut band.bytes);
            let done = band::run(workers, bands, *level, &picture, pass, pool);
            std::mem::swap(out, &mut bands[0].bytes);
            done?;
        } else {
            bands.iter_mut().for_each(|band| band.bytes.clear());
            band::run(workers, bands, *level, &picture, pass, pool)?;
            bands.iter().for_each(|band| out.extend_from_slice(&band.bytes));
        }
        marker::write_end(out);
        if reconstruct {
            self.reconstruction.gather(layout, bands.iter().map(|band| &band.seen));
        } else {
            self.reconstruction.kind = None;
        }
        Ok(out.len() - start)
    }

    /// Makes workers, bands and divisors ready.
    fn prepare(&mut self, job: &Job<'_>, coarseness: Coarseness) {
        if self.quantisers.0 != coarseness {
            self.quantisers = (coarseness, quantisers(coarseness));
        }
        let count = band::band_count(job.layout, job.pool);
        if self.bands.len() < count {
            self.bands.resize_with(count, Band::default);
        }
        let threads = count.min(job.pool.current_num_threads());
        if self.workers.len() < threads {
            self.workers.resize_with(threads, Worker::default);
        }
    }

    /// Runs a pass that gives no file.
    fn run(&mut self, job: &Job<'_>, coarseness: Coarseness, pass: Pass<'_>) -> Result<()> {
        self.prepare(job, coarseness);
        let bands = &mut self.bands[..band::band_count(job.layout, job.pool)];
        let (quantisers, cancel) = (&self.quantisers.1, &self.cancel);
        let picture = Picture { frame: job.frame, layout: job.layout, quantisers, measure: false, cancel };
        band::run(&mut self.workers, bands, self.level, &picture, pass, job.pool)
    }

    /// Bits that the symbols counted by the last pass take.
    fn counted_bits(&self, job: &Job<'_>) -> u64 {
        let histogram = total(&self.bands[..band::band_count(job.layout, job.pool)]);
        if job.config.optimise {
            return histogram.bits(&Codes::new(&histogram.best_tables()));
        }
        histogram.bits(&self.training.tables.as_ref().filter(|_| job.config.train).unwrap_or(&self.standard).codes)
    }

    /// Takes it that the file will have the usual tables.
    fn expect_usual_tables(&mut self, job: &Job<'_>) {
        let tables = self.training.tables.as_ref().filter(|_| job.config.train).unwrap_or(&self.standard);
        self.wrote.specs.clone_from(&tables.specs);
        self.wrote.kinds = job.layout.kinds();
    }

    /// Bytes of a file before its scan, as the last one was; `headers` is overwritten.
    fn header_bytes(&self, job: &Job<'_>, headers: &mut Vec<u8>) -> usize {
        headers.clear();
        marker::write_headers(job.layout, &self.wrote, self.sent.as_ref().filter(|_| job.config.abbreviate), headers);
        headers.len()
    }

    /// Takes note of the file that the caller gets, and learns from it.
    fn finish(&mut self, job: &Job<'_>, wrote: FileTables) {
        // A grey picture doesn't make a decoder forget the tables of chroma.
        match &mut self.sent {
            Some(sent) if job.config.abbreviate && wrote.kinds < sent.kinds => {
                sent.steps[0] = wrote.steps[0];
                sent.specs[0].clone_from(&wrote.specs[0]);
            }
            sent => *sent = Some(wrote),
        }
        if job.config.train && !job.config.optimise {
            let count = band::band_count(job.layout, job.pool);
            self.training.learn(&self.bands[..count], job.layout, job.config.abbreviate);
        }
    }

    fn stats(&self, job: &Job<'_>, bytes: usize, quality: u8, passes: u32) -> JpegStats {
        let is_whole = !job.config.abbreviate || self.sent.is_none();
        let psnr_db = job.config.measure.then(|| {
            let mut error = LumaError::default();
            let count = band::band_count(job.layout, job.pool);
            self.bands.iter().take(count).for_each(|band| error.add(band.error));
            error.psnr_db()
        });
        JpegStats { bytes, quality, passes, psnr_db, is_whole }
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

fn quantisers(coarseness: Coarseness) -> [Quantiser; 2] {
    coarseness.steps().each_ref().map(Quantiser::new)
}

/// The symbols that all bands counted.
fn total(bands: &[Band]) -> Histogram {
    let mut total = Histogram::EMPTY;
    bands.iter().for_each(|band| total.add(&band.histogram));
    total
}
