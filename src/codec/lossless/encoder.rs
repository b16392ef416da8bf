//! The encoder: frames into packets.

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::codec::Cancel;
use crate::error::Result;
use crate::frame::Frame;

use super::header::{HEADER_BYTES, Header};
use super::layout::{Layout, MAX_PLANES};
use super::planes;
use super::residual::BandContext;
use super::scroll::ScrollFinder;
use super::stream::{Packer, packed_bound};
use super::tiles::{Chooser, Reference, SPATIAL};
use super::workers::{each_band, fit};
use super::{LosslessConfig, LosslessStats};

/// A lossless encoder with the frame before and its working memory.
#[derive(Debug)]
pub struct LosslessEncoder {
    level: Level,
    /// The cut of the last frame, if there was one.
    layout: Option<Layout>,
    /// Coded planes of the frame at hand.
    picture: Vec<u8>,
    /// Coded planes of the frame before.
    reference: Vec<u8>,
    /// Checksum of the frame before; none where it can't be predicted from.
    reference_sum: Option<u32>,
    /// Modes of all tiles.
    modes: Vec<u8>,
    bands: Vec<Band>,
    zeros: Vec<u8>,
    scroll: ScrollFinder,
    index: Vec<u8>,
    packed_index: Vec<u8>,
    workers: Vec<Worker>,
    cancel: Cancel,
}

/// What coding a band gives.
#[derive(Debug, Default)]
struct Band {
    sum: u32,
    /// Bytes of each stream.
    stream_bytes: [usize; MAX_PLANES],
    /// The streams, and room for more.
    packed: Vec<u8>,
}

/// What a thread needs to code a band.
#[derive(Debug)]
struct Worker {
    packer: Packer,
    residuals: Vec<u8>,
}

/// What all bands of a packet share.
#[derive(Clone, Copy, Debug)]
struct Job<'a> {
    level: Level,
    layout: &'a Layout,
    frame: &'a Frame<'a>,
    reference: Reference<'a>,
    zeros: &'a [u8],
}

/// A band's memory within the encoder's.
struct Slot<'a> {
    index: usize,
    data: &'a mut [u8],
    modes: &'a mut [u8],
    band: &'a mut Band,
}

impl LosslessEncoder {
    /// An encoder for a SIMD level.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            layout: None,
            picture: Vec::new(),
            reference: Vec::new(),
            reference_sum: None,
            modes: Vec::new(),
            bands: Vec::new(),
            zeros: Vec::new(),
            scroll: ScrollFinder::default(),
            index: Vec::new(),
            packed_index: Vec::new(),
            workers: Vec::new(),
            cancel: Cancel::default(),
        }
    }

    /// Gives frames up from now on where `cancel` is raised.
    pub fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    /// Codes `frame` as one packet, appended to `out`.
    ///
    /// The packet stands alone if the configuration says so, or if there is no frame before of the same size and format.
    ///
    /// # Errors
    /// A zstd failure (memory), or a frame that was given up; `out` is then as it was and the next packet is a keyframe.
    pub fn encode(
        &mut self,
        frame: &Frame<'_>,
        config: &LosslessConfig,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<LosslessStats> {
        let layout = self.fit(frame, pool)?;
        let reference_sum = self.reference_sum.take().filter(|_| config.temporal && !config.keyframe);
        let mut scrolls = [0; 2];
        if reference_sum.is_some() {
            self.each_band(&layout, frame, scrolls, pool, |job, _, slot| job.split(slot))?;
            scrolls = self.scroll.find(&layout, &self.reference, &self.picture, &self.cancel)?;
            self.each_band(&layout, frame, scrolls, pool, |job, worker, slot| job.choose_and_code(worker, slot))?;
        } else {
            self.modes.fill(SPATIAL);
            self.each_band(&layout, frame, scrolls, pool, |job, worker, slot| {
                job.split(slot)?;
                job.code(worker, slot)
            })?;
        }
        let bytes = self.write(&layout, frame, reference_sum, scrolls, out)?;
        std::mem::swap(&mut self.picture, &mut self.reference);
        Ok(LosslessStats { bytes, keyframe: reference_sum.is_none() })
    }

    /// Makes the memory fit a frame. Nothing is done for a frame like the one before.
    fn fit(&mut self, frame: &Frame<'_>, pool: &ThreadPool) -> Result<Layout> {
        fit(&mut self.workers, pool, || Ok(Worker { packer: Packer::new()?, residuals: Vec::new() }))?;
        let layout = Layout::new(frame.format(), frame.width(), frame.height());
        if self.layout != Some(layout) {
            self.reference_sum = None;
            self.picture.resize(layout.picture_bytes(), 0);
            self.reference.resize(layout.picture_bytes(), 0);
            self.modes.resize(layout.tiles(), SPATIAL);
            self.zeros.resize(layout.planes().iter().map(|plane| plane.row_bytes).max().unwrap_or(0), 0);
            self.bands.resize_with(layout.bands(), Band::default);
            let bound =
                layout.planes().iter().map(|plane| packed_bound(plane.row_bytes * (layout.band_rows >> plane.shift_y)));
            let bound = bound.sum::<usize>() + if layout.is_wide() { packed_bound(0) } else { 0 };
            self.bands.iter_mut().for_each(|band| band.packed.resize(bound, 0));
            self.layout = Some(layout);
        }
        Ok(layout)
    }

    /// Runs `work` on each band, in parallel where there are several.
    fn each_band(
        &mut self,
        layout: &Layout,
        frame: &Frame<'_>,
        scrolls: [i16; 2],
        pool: &ThreadPool,
        work: impl Fn(&Job<'_>, &mut Worker, &mut Slot<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let reference = Reference { picture: &self.reference, scrolls };
        let (job, cancel) = (Job { level: self.level, layout, frame, reference, zeros: &self.zeros }, &self.cancel);
        let data = self.picture.chunks_mut(layout.band_bytes());
        let slots = data.zip(self.modes.chunks_mut(layout.band_tiles())).zip(&mut self.bands).enumerate();
        each_band(pool, &mut self.workers, layout.bands(), slots, |worker, (index, ((data, modes), band))| {
            cancel.check()?;
            work(&job, worker, &mut Slot { index, data, modes, band })
        })
    }

    /// Appends the packet; returns its bytes.
    fn write(
        &mut self,
        layout: &Layout,
        frame: &Frame<'_>,
        reference_sum: Option<u32>,
        scrolls: [i16; 2],
        out: &mut Vec<u8>,
    ) -> Result<usize> {
        self.index.clear();
        if reference_sum.is_some() {
            self.index.extend_from_slice(&self.modes);
        }
        for band in &self.bands {
            let lengths = band.stream_bytes.iter().take(layout.streams());
            self.index.extend(lengths.flat_map(|&bytes| (bytes as u32).to_le_bytes()));
        }
        self.packed_index.resize(packed_bound(self.index.len()), 0);
        let index_bytes = self.workers[0].packer.pack_index(&self.index, &mut self.packed_index)?;
        let streams =
            self.bands.iter().map(|band| band.packed.get(..band.stream_bytes.iter().sum()).unwrap_or_default());
        let packet_bytes = HEADER_BYTES + index_bytes + streams.clone().map(<[u8]>::len).sum::<usize>();
        let checksum = planes::picture_sum(self.bands.iter().map(|band| band.sum));
        let header = Header {
            packet_bytes: packet_bytes as u32,
            width: layout.width,
            height: layout.height,
            format: layout.format,
            color: frame.color(),
            keyframe: reference_sum.is_none(),
            band_rows: layout.band_rows as u16,
            checksum,
            reference: reference_sum.unwrap_or(0),
            scrolls,
            index_bytes: index_bytes as u32,
        };
        out.reserve(packet_bytes);
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(&self.packed_index[..index_bytes]);
        streams.for_each(|stream| out.extend_from_slice(stream));
        self.reference_sum = Some(checksum);
        Ok(packet_bytes)
    }
}

impl Job<'_> {
    /// Fills the coded planes of a band.
    fn split(&self, slot: &mut Slot<'_>) -> Result<()> {
        slot.band.sum = planes::split(self.level, self.layout, self.frame, slot.index, slot.data);
        Ok(())
    }

    /// Chooses the modes of a band's tiles and codes them.
    fn choose_and_code(&self, worker: &mut Worker, slot: &mut Slot<'_>) -> Result<()> {
        let Self { level, layout, reference, .. } = *self;
        Chooser { level, layout, band: slot.index, data: slot.data, reference }.choose(slot.modes);
        self.code(worker, slot)
    }

    /// Codes a band under the modes of its tiles.
    fn code(&self, worker: &mut Worker, slot: &mut Slot<'_>) -> Result<()> {
        let Self { level, layout, reference, zeros, .. } = *self;
        let context = BandContext { level, layout, band: slot.index, modes: slot.modes, reference, zeros };
        let parts = layout.split_band(slot.index, slot.data);
        let Band { stream_bytes, packed, .. } = &mut *slot.band;
        *stream_bytes = [0; MAX_PLANES];
        let mut used = 0;
        let mut stream = 0;
        for (index, part) in parts.into_iter().enumerate().take(layout.planes().len()) {
            if worker.residuals.len() < part.len() {
                worker.residuals.resize(part.len(), 0);
            }
            let count = context.residuals(index, part, &mut worker.residuals);
            let halves = if layout.is_wide() { 2 } else { 1 };
            for half in worker.residuals[..count].chunks((count / halves).max(1)) {
                let bytes = worker.packer.pack(half, &mut packed[used..])?;
                stream_bytes[stream] = bytes;
                used += bytes;
                stream += 1;
            }
            if count == 0 {
                stream += halves;
            }
        }
        Ok(())
    }
}
