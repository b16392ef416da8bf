//! The decoder: packets, which come from strangers, into frames.

use std::slice::ChunksMut;

use fearless_simd::Level;
use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::frame::FrameBuf;
use crate::kernel::checksum::Checksum;
use crate::limits::Limits;

use super::header::{HEADER_BYTES, Header, malformed};
use super::layout::{Layout, MAX_PLANES};
use super::planes;
use super::residual::BandContext;
use super::stream::Unpacker;
use super::tiles::{self, MODES, Reference, SPATIAL};
use super::workers::{each_band, fit};

/// Most planes of a frame.
const FRAME_PLANES: usize = 3;

/// A lossless decoder with the frame before. Its input is a stranger's.
#[derive(Debug)]
pub struct LosslessDecoder {
    level: Level,
    limits: Limits,
    /// The cut of the last frame.
    layout: Option<Layout>,
    /// The last frame.
    frame: Option<FrameBuf>,
    /// Coded planes of the frame at hand.
    picture: Vec<u8>,
    /// Coded planes of the last frame.
    reference: Vec<u8>,
    /// Checksum of the last frame; none where there was none.
    reference_sum: Option<u32>,
    index: Vec<u8>,
    bands: Vec<Band>,
    zeros: Vec<u8>,
    workers: Vec<Worker>,
}

/// Where a band's streams are, and its checksum.
#[derive(Clone, Copy, Debug)]
struct Band {
    /// First byte, within all streams.
    start: usize,
    stream_bytes: [usize; MAX_PLANES],
    sum: Checksum,
}

#[derive(Debug)]
struct Worker {
    unpacker: Unpacker,
    residuals: Vec<u8>,
}

/// What all bands of a packet share.
struct Job<'a> {
    level: Level,
    layout: &'a Layout,
    modes: &'a [u8],
    streams: &'a [u8],
    reference: Reference<'a>,
    zeros: &'a [u8],
}

/// A band's place in the coded planes and in the planes of the frame.
struct Slot<'a> {
    index: usize,
    band: &'a mut Band,
    data: &'a mut [u8],
    out: [&'a mut [u8]; FRAME_PLANES],
}

impl LosslessDecoder {
    /// A decoder for a SIMD level, which refuses pictures beyond `limits` before taking memory for them.
    pub fn new(level: Level, limits: Limits) -> Self {
        Self {
            level,
            limits,
            layout: None,
            frame: None,
            picture: Vec::new(),
            reference: Vec::new(),
            reference_sum: None,
            index: Vec::new(),
            bands: Vec::new(),
            zeros: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// Decodes one packet. The returned frame stays until the next call.
    ///
    /// A packet that fails leaves the decoder where it was: the next one may still be predicted from the last good frame.
    ///
    /// # Errors
    /// Anything that isn't a whole valid packet, or a packet predicted from a frame this decoder hasn't seen.
    pub fn decode(&mut self, packet: &[u8], pool: &ThreadPool) -> Result<&FrameBuf> {
        self.limits.check_encoded(packet.len())?;
        let header = Header::parse(packet)?;
        let layout = self.check(&header, packet.len())?;
        fit(&mut self.workers, pool, || Ok(Worker { unpacker: Unpacker::new()?, residuals: Vec::new() }))?;
        let (index, streams) = packet[HEADER_BYTES..].split_at(header.index_bytes as usize);
        self.read_index(&header, &layout, index, streams.len())?;
        let mut frame = self.fit(&header, &layout)?;
        let done = self.decode_bands(&header, &layout, streams, &mut frame, pool);
        let frame = self.frame.insert(frame);
        done?;
        self.reference_sum = Some(header.checksum);
        self.layout = Some(layout);
        std::mem::swap(&mut self.picture, &mut self.reference);
        Ok(frame)
    }

    /// Checks a header against the packet's length, the limits and the reference.
    fn check(&self, header: &Header, bytes: usize) -> Result<Layout> {
        if header.packet_bytes as usize != bytes {
            return Err(malformed(format!("{bytes} bytes, but the header says {}", header.packet_bytes)));
        }
        self.limits.check_size(header.width, header.height)?;
        let layout = Layout::with_band_rows(header.format, header.width, header.height, header.band_rows.into());
        // The frame, its coded planes and the reference's; residuals of all bands at most.
        let needed = 4 * layout.picture_bytes();
        if needed > self.limits.max_decoder_bytes {
            let limit = self.limits.max_decoder_bytes as u64;
            return Err(Error::TooLarge { field: "lossless", actual: needed as u64, limit });
        }
        if !header.keyframe && (self.reference_sum != Some(header.reference) || !self.is_like_the_last(&layout)) {
            return Err(malformed("predicted from a frame that wasn't the last one decoded"));
        }
        if layout.planes().iter().any(|plane| plane.shift_y > 0) && header.scrolls.iter().any(|scroll| scroll % 2 != 0)
        {
            return Err(malformed("an odd scroll of planes with half the rows"));
        }
        Ok(layout)
    }

    fn is_like_the_last(&self, layout: &Layout) -> bool {
        self.layout.as_ref() == Some(layout)
    }

    /// Unpacks the index: tile modes, and where the streams are.
    fn read_index(&mut self, header: &Header, layout: &Layout, packed: &[u8], available: usize) -> Result<()> {
        let tiles = layout.tiles();
        let coded_tiles = if header.keyframe { 0 } else { tiles };
        let streams = layout.streams();
        self.index.clear();
        self.index.resize(coded_tiles + 4 * streams * layout.bands(), 0);
        self.workers[0].unpacker.unpack("index", packed, &mut self.index)?;
        let (modes, lengths) = self.index.split_at(coded_tiles);
        if let Some(mode) = modes.iter().find(|&&mode| mode >= MODES) {
            return Err(malformed(format!("tile mode {mode} is unknown")));
        }
        self.bands.clear();
        let mut start = 0_usize;
        for lengths in lengths.as_chunks::<4>().0.chunks(streams) {
            let mut band = Band { start, stream_bytes: [0; MAX_PLANES], sum: Checksum::new() };
            for (bytes, length) in band.stream_bytes.iter_mut().zip(lengths) {
                *bytes = u32::from_le_bytes(*length) as usize;
                start = start.saturating_add(*bytes);
            }
            self.bands.push(band);
        }
        if start != available {
            return Err(malformed(format!("streams of {start} bytes, but there are {available}")));
        }
        if header.keyframe {
            self.index.clear();
            self.index.resize(tiles, SPATIAL);
        }
        Ok(())
    }

    /// Makes the memory fit; the returned frame is the last one's memory where that fits.
    fn fit(&mut self, header: &Header, layout: &Layout) -> Result<FrameBuf> {
        let (format, width, height) = (header.format, header.width, header.height);
        self.picture.resize(layout.picture_bytes(), 0);
        self.zeros.resize(layout.planes().iter().map(|plane| plane.row_bytes).max().unwrap_or(0), 0);
        let is_same = |frame: &FrameBuf| {
            let frame = frame.as_frame();
            (frame.format(), frame.width(), frame.height()) == (format, width, height)
        };
        match self.frame.take().filter(is_same) {
            Some(frame) => Ok(frame.with_color(header.color)),
            None => Ok(FrameBuf::zeroed(format, width, height)?.with_color(header.color)),
        }
    }

    /// Restores the coded planes, merges them into the frame and compares its checksum.
    fn decode_bands(
        &mut self,
        header: &Header,
        layout: &Layout,
        streams: &[u8],
        frame: &mut FrameBuf,
        pool: &ThreadPool,
    ) -> Result<()> {
        let reference = Reference { picture: &self.reference, scrolls: header.scrolls };
        let modes = self.index.get(..layout.tiles()).unwrap_or_default();
        let job = Job { level: self.level, layout, modes, streams, reference, zeros: &self.zeros };
        let mut outs = band_rows(layout, frame);
        let bands = self.picture.chunks_mut(layout.band_bytes()).zip(&mut self.bands).enumerate();
        let slots = bands.map(|(index, (data, band))| {
            let out = outs.each_mut().map(|out| out.next().unwrap_or_default());
            Slot { index, band, data, out }
        });
        each_band(pool, &mut self.workers, layout.bands(), slots, |worker, slot| job.decode(worker, slot))?;
        let sum = planes::picture_sum(self.bands.iter().map(|band| band.sum.value()));
        if sum != header.checksum {
            return Err(malformed(format!("checksum {sum:08x}, but the header says {:08x}", header.checksum)));
        }
        Ok(())
    }
}

/// The rows of each plane of a frame, band by band.
fn band_rows<'a>(layout: &Layout, frame: &'a mut FrameBuf) -> [ChunksMut<'a, u8>; FRAME_PLANES] {
    let mut rest = frame.data_mut();
    std::array::from_fn(|index| {
        let size = layout.format.plane_size(index, layout.width, layout.height);
        let rows = layout.planes().get(index).map_or(0, |plane| layout.band_rows_of(plane, 0).len());
        let (plane, after) = std::mem::take(&mut rest).split_at_mut(size.row_bytes * size.rows);
        rest = after;
        plane.chunks_mut((size.row_bytes * rows).max(1))
    })
}

impl Job<'_> {
    /// Restores the coded planes of a band, merges them into the frame's, and sums those.
    fn decode(&self, worker: &mut Worker, slot: Slot<'_>) -> Result<()> {
        let Slot { index, band, data, out } = slot;
        self.restore(worker, index, band, data)?;
        for (plane, out) in out.into_iter().enumerate() {
            planes::merge(self.level, self.layout, plane, index, data, out, &mut band.sum);
        }
        Ok(())
    }

    /// Restores the coded planes of a band.
    fn restore(&self, worker: &mut Worker, index: usize, band: &Band, data: &mut [u8]) -> Result<()> {
        let Self { level, layout, reference, zeros, .. } = *self;
        let modes = self.modes.chunks(layout.band_tiles()).nth(index).unwrap_or_default();
        let context = BandContext { level, layout, band: index, modes, reference, zeros };
        let halves = if layout.is_wide() { 2 } else { 1 };
        let mut lengths = band.stream_bytes.iter();
        let mut start = band.start;
        let parts = layout.split_band_mut(index, data);
        for ((number, part), plane) in parts.into_iter().enumerate().zip(layout.planes()) {
            let count = tiles::residual_bytes(layout, plane, index, modes);
            if worker.residuals.len() < count {
                worker.residuals.resize(count, 0);
            }
            let residuals = &mut worker.residuals[..count];
            for half in 0..halves {
                let bytes = lengths.next().copied().unwrap_or(0);
                let packed = self.streams.get(start..start + bytes).unwrap_or_default();
                start += bytes;
                let out = &mut residuals[count / halves * half..count / halves * (half + 1)];
                worker.unpacker.unpack("stream", packed, out)?;
            }
            context.restore(number, residuals, part)?;
        }
        Ok(())
    }
}
