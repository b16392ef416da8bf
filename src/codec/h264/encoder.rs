//! Frames to packets: what kind each is, its slices, and the pictures it leaves behind.

use std::ops::Range;
use std::sync::Arc;

use rayon::ThreadPool;

use super::bits::BitWriter;
use super::config::{FrameOrder, H264Config, H264Stats, MAX_QP, MAX_SLICES, check_size};
use super::displacement::{DISPLACEMENTS, displacements};
use super::fade::Light;
use super::header::{Deblocking, Marking, Reference, SliceHeader};
use super::mv::Mv;
use super::nal::{Framing, append, append_unit, avcc, header};
use super::params::{LOG2_MAX_FRAME_NUM, Sequence};
use super::past::Past;
use super::picture::Picture;
use super::references::{Choice, LONG_TERM_SLOTS, References};
use super::slice::{FramePlan, Refresh, SliceCoder, SliceJob, SliceStats};
use super::source::{Size, Source};
use super::tools::{Preset, Tools};
use crate::codec::Cancel;
use crate::codec::parallel::each_on;
use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Frame, PixelFormat};
use crate::kernel::h264::quantiser::{Quantisers, Rounding};
use crate::kernel::{Level, vectorise};

/// How coefficients of intra and of inter prediction are rounded.
const INTRA_ROUNDING: Rounding = Rounding { low: 27, fall: 10 };
const INTER_ROUNDING: Rounding = Rounding { low: 20, fall: 16 };
/// chroma_qp_index_offset.
const CHROMA_QP_OFFSET: i8 = 0;
/// How much finer keyframes are quantised: everything after is predicted from them.
const KEYFRAME_QP_OFFSET: u8 = 3;
/// Share of intra macroblocks in a P frame from which a keyframe is the better start.
const SCENE_CUT_SHARE: f32 = 0.75;
/// The type of the recovery point message, and of the NAL units that carry messages.
const RECOVERY_POINT: u8 = 6;
const SUPPLEMENT: u8 = 6;
/// What a frame with a cap aims to stay under it by: one part in so many.
const CAP_MARGIN: usize = 16;
/// How far a P frame may be from what it aims for, one part in so many, before it is coded again by what was learned.
const TARGET_TOLERANCE: usize = 10;
/// Times a frame is coded again to come nearer.
const TARGET_RETRIES: u32 = 2;
/// Times a frame is coded again before it is given up to the least there is.
pub(super) const MAX_RETRIES: u32 = 3;

/// Encodes a stream of frames as H.264. Its packets are access units in decoding order, which is display order.
#[derive(Debug)]
pub struct H264Encoder {
    level: Level,
    config: H264Config,
    stream: Option<Stream>,
    source: Source,
    references: References,
    past: Past,
    quantisers: Quantisers,
    coders: Vec<SliceCoder>,
    /// Sequence and picture parameter sets, framed, and after them the recovery point message of intra refresh.
    parameter_sets: Vec<u8>,
    parameter_sets_len: usize,
    /// Columns that were made anew since the last keyframe or round of intra refresh.
    refreshed: usize,
    /// The frame whose source is held, once it is coded, and the one before.
    source_of: Option<u64>,
    before: Option<u64>,
    /// Frames coded so far.
    frames: u64,
    /// Where parts of the screen that is being coded came from, and the macroblocks that are looked up for it.
    displacements: [Mv; DISPLACEMENTS],
    changed: Vec<(u16, u16)>,
    light: Light,
    cancel: Cancel,
}

/// What a decoder was told, and where in its numbering the stream is.
#[derive(Debug)]
struct Stream {
    width: u32,
    height: u32,
    color: ColorSpace,
    sequence: Sequence,
    frame_num: u32,
    idr_pic_id: u16,
}

impl H264Encoder {
    /// An encoder at a SIMD level; the level doesn't change its bytes.
    ///
    /// # Errors
    /// As [`H264Config::validate`].
    pub fn new(level: Level, config: H264Config) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            level,
            config,
            stream: None,
            source: Source::default(),
            references: References::default(),
            past: Past::default(),
            quantisers: Quantisers::new(INTRA_ROUNDING, INTER_ROUNDING),
            coders: Vec::new(),
            parameter_sets: Vec::new(),
            parameter_sets_len: 0,
            refreshed: 0,
            source_of: None,
            before: None,
            frames: 0,
            displacements: Default::default(),
            changed: Vec::new(),
            light: Light::default(),
            cancel: Cancel::default(),
        })
    }

    /// Gives frames up from now on where `cancel` is raised.
    pub fn heed(&mut self, cancel: &Cancel) {
        self.cancel = cancel.clone();
    }

    /// What it was opened with, and its preset of now.
    pub fn config(&self) -> &H264Config {
        &self.config
    }

    /// Takes another preset from the next frame on. Decoders needn't be told, so the stream goes on without a keyframe.
    pub fn set_preset(&mut self, preset: Preset) {
        self.config.preset = preset;
    }

    /// Codes `frame` and appends its access unit to `out`: a keyframe with its parameter sets where asked for, at the start,
    /// and whenever size or color space change; otherwise the difference to a frame before.
    ///
    /// # Errors
    /// A quantiser parameter out of range, a side under 16 or over 8192, a 16-bit format, a byte cap that no frame of this
    /// size can keep, or a frame that was given up. `out` is then as it was, and the stream can go on.
    pub fn encode(
        &mut self,
        frame: &Frame<'_>,
        order: &FrameOrder,
        pool: &ThreadPool,
        out: &mut Vec<u8>,
    ) -> Result<H264Stats> {
        order.validate()?;
        check_size(frame.width(), frame.height())?;
        self.before = self.source_of.take();
        let color = self.source.begin(frame)?;
        let is_new = self
            .stream
            .as_ref()
            .is_none_or(|stream| (stream.width, stream.height, stream.color) != (frame.width(), frame.height(), color));
        if is_new {
            self.restart(frame.width(), frame.height(), color)?;
        }
        let choice = if order.keyframe { None } else { self.references.choose() };
        let slices = self.past.slices(self.coders.len());
        self.coders.iter_mut().zip(slices).for_each(|(coder, rows)| coder.rows = rows);
        if let Some(choice) = choice.as_ref().filter(|_| self.config.profile.has_weights()) {
            self.light.settle(self.level, frame, &choice.picture, self.source.size);
        }
        let mut picture = self.references.spare();
        let coded = self.code_within(frame, order, choice, &mut picture, pool);
        let (stats, choice) = match coded {
            Ok(coded) => coded,
            Err(error) => {
                self.references.give_back(picture);
                return Err(error);
            }
        };
        self.write(choice.is_none(), out);
        self.settle(picture, choice.as_ref());
        Ok(stats)
    }

    /// Codes the slices, again where the picture turns out to be a new scene or over its bytes.
    fn code_within(
        &mut self,
        frame: &Frame<'_>,
        order: &FrameOrder,
        mut choice: Option<Choice>,
        picture: &mut Arc<Picture>,
        pool: &ThreadPool,
    ) -> Result<(H264Stats, Option<Choice>)> {
        let mut retries = 0;
        let mut frame = Some(frame);
        let mut target = order.target_bytes;
        if let (Some(bytes), Some(max_bytes)) = (target, order.max_bytes) {
            target = Some(bytes.min(max_bytes - max_bytes / CAP_MARGIN));
        }
        loop {
            let effort = if retries > MAX_RETRIES { Effort::Least } else { Effort::Aim(target) };
            let stats = self.attempt(frame.take(), choice.as_ref(), order.qp, effort, picture, pool)?;
            let is_cut =
                stats.intra > SCENE_CUT_SHARE && order.max_bytes.is_none_or(|bytes| bytes >= self.least_keyframe());
            if self.config.scene_cut && choice.is_some() && is_cut && retries == 0 {
                choice = None;
                continue;
            }
            let is_keyframe = choice.is_none();
            let bytes = self.bytes(is_keyframe);
            self.coders.iter().for_each(|coder| self.past.learn(coder, is_keyframe));
            let Some(max_bytes) = order.max_bytes.filter(|&max_bytes| bytes > max_bytes) else {
                if !is_keyframe && retries < TARGET_RETRIES && is_astray(bytes, target, &stats, order.qp) {
                    retries += 1;
                    continue;
                }
                return Ok((H264Stats { bytes, retries, ..stats }, choice));
            };
            if retries > MAX_RETRIES {
                return Err(Error::Budget { field: "max_bytes", budget: max_bytes as u64, smallest: bytes as u64 });
            }
            // What was learned of the rows makes the next attempt come nearer; how far this one was off is left out of it.
            let aim = target.unwrap_or(max_bytes).min(max_bytes);
            target = Some(if retries == 0 { aim - aim / CAP_MARGIN } else { aim * max_bytes / bytes * 7 / 8 });
            retries += 1;
        }
    }

    /// Bytes without which a keyframe is hardly a picture: one a macroblock.
    fn least_keyframe(&self) -> usize {
        self.source.size.columns * self.source.size.rows
    }

    /// The receiver has a frame: it may be predicted from after a loss.
    pub fn acknowledge(&mut self, id: u64) {
        self.references.acknowledge(id);
    }

    /// The receiver will never have a frame, nor can it show those predicted from it: the next is predicted from an older one
    /// that has arrived, if the configuration keeps such, or becomes a keyframe.
    pub fn lose(&mut self, id: u64) {
        self.references.lose(id);
    }

    /// The stream's `codecs` parameter, as MIME types and WebCodecs have it, such as "avc1.64001F"; none before the first frame.
    pub fn codec_string(&self) -> Option<String> {
        self.stream.as_ref()?.sequence.codec_string().ok()
    }

    /// The stream's AVCDecoderConfigurationRecord, which MP4 holds in `avcC` and WebCodecs takes as `description` where units
    /// are length-prefixed; none before the first frame.
    pub fn decoder_configuration(&self) -> Option<Vec<u8>> {
        let sequence = &self.stream.as_ref()?.sequence;
        Some(avcc(&sequence.sps().ok()?, &sequence.picture_sets().collect::<Vec<_>>()))
    }

    /// What a decoder shows for the last frame, as luma and interleaved chroma.
    pub fn reconstruction(&self) -> Option<Frame<'_>> {
        let stream = self.stream.as_ref()?;
        let picture = self.references.newest()?;
        let luma = (picture.luma.visible(), picture.luma.stride);
        let chroma = (picture.chroma.visible(), picture.chroma.stride);
        let frame = Frame::from_planes(PixelFormat::Nv12, stream.width, stream.height, &[luma, chroma]).ok()?;
        Some(frame.with_color(stream.color))
    }

    /// Begins a stream of another size.
    fn restart(&mut self, width: u32, height: u32, color: ColorSpace) -> Result<()> {
        let size = Size::of(width, height);
        let references = 1 + if self.config.recovery { LONG_TERM_SLOTS as u8 } else { 0 };
        let sequence = Sequence {
            profile: self.config.profile,
            width: width.next_multiple_of(2),
            height: height.next_multiple_of(2),
            color: Some(color),
            frame_rate: self.config.frame_rate,
            references,
            max_bitrate_bps: None,
            chroma_qp_offset: CHROMA_QP_OFFSET,
        };
        self.parameter_sets.clear();
        for unit in std::iter::once(sequence.sps()?).chain(sequence.picture_sets()) {
            append_unit(&unit, self.config.framing, &mut self.parameter_sets);
        }
        self.parameter_sets_len = self.parameter_sets.len();
        if let Some(frames) = self.config.intra_refresh_frames {
            append_recovery_point(frames, self.config.framing, &mut self.parameter_sets);
        }
        let idr_pic_id = self.stream.as_ref().map_or(0, |stream| stream.idr_pic_id);
        self.stream = Some(Stream { width, height, color, sequence, frame_num: 0, idr_pic_id });
        self.references.reset(size);
        self.coders.resize_with(self.config.slices.min(size.rows), SliceCoder::default);
        self.past.forget(size);
        self.refreshed = 0;
        Ok(())
    }

    fn marking(&self, is_keyframe: bool) -> Marking {
        match (self.config.recovery, is_keyframe) {
            (false, _) => Marking::Sliding,
            (true, true) => Marking::LongTerm { index: 0, slots: LONG_TERM_SLOTS as u8 },
            (true, false) => self.references.marking(self.frames),
        }
    }

    /// Codes all slices into their own buffers.
    fn attempt(
        &mut self,
        mut frame: Option<&Frame<'_>>,
        choice: Option<&Choice>,
        qp: u8,
        effort: Effort,
        picture: &mut Arc<Picture>,
        pool: &ThreadPool,
    ) -> Result<H264Stats> {
        let is_keyframe = choice.is_none();
        let follows = choice.is_some_and(|choice| Some(choice.id) == self.before) && !self.light.changes();
        if frame.is_some() {
            self.displacements = Default::default();
        }
        if follows
            && self.past.is_screen()
            && let Some(screen) = frame.take()
        {
            self.load_screen(screen, pool);
        }
        let Some(stream) = &self.stream else { return Err(internal("no stream")) };
        let base = choice.map(|choice| self.light.base(&choice.picture));
        let plan = FramePlan {
            follows,
            vertical_reach: stream.sequence.level()?.vertical_reach,
            adapts_qp: self.config.adaptive_quantisation,
            level: self.level,
            size: self.source.size,
            frame,
            displacements: self.displacements,
            past: &self.past,
            base,
            sequence: &stream.sequence,
            header: SliceHeader {
                first_macroblock: 0,
                intra: is_keyframe,
                idr: is_keyframe.then_some(stream.idr_pic_id),
                frame_num: if is_keyframe { 0 } else { stream.frame_num },
                reference: choice.map_or(Reference::Newest, |choice| choice.reference),
                weights: base.and_then(|base| base.weights),
                marking: self.marking(is_keyframe),
                qp: if is_keyframe { qp.saturating_sub(KEYFRAME_QP_OFFSET) } else { qp },
                deblocking: Deblocking {
                    idc: if self.coders.len() > 1 { 2 } else { 0 },
                    alpha_offset_div2: 0,
                    beta_offset_div2: 0,
                },
                cabac_init_idc: 0,
            },
            tools: Tools::of(self.config.preset, self.config.profile),
            quantisers: &self.quantisers,
            framing: self.config.framing,
            chroma_qp_offset: CHROMA_QP_OFFSET,
            refresh: if is_keyframe { None } else { self.refresh() },
            target_bits: effort.target().map(|bytes| 8 * bytes as u64),
            is_least: effort == Effort::Least,
            cancel: &self.cancel,
        };
        let picture = Arc::get_mut(picture).ok_or_else(|| internal("the picture is shared"))?;
        let slices = slice_rows(&self.coders);
        let count = self.coders.len();
        let mut jobs: [Option<SliceJob<'_>>; MAX_SLICES] = Default::default();
        let bands = self.source.bands(&slices[..count]).zip(picture.bands(&slices[..count]));
        for ((job, coder), (source, band)) in jobs.iter_mut().zip(&mut self.coders).zip(bands) {
            *job = Some(SliceJob { coder, plan: &plan, source, band });
        }
        let level = self.level;
        each_on(pool, &mut jobs[..count], |job| vectorise(level, job));
        self.cancel.check()?;
        Ok(self.total(is_keyframe))
    }

    /// Takes a screen's samples, and finds out what moved in it.
    fn load_screen(&mut self, frame: &Frame<'_>, pool: &ThreadPool) {
        let (level, count) = (self.level, self.coders.len());
        let slices = slice_rows(&self.coders);
        let bands = self.source.bands(&slices[..count]);
        let mut jobs: [Option<_>; MAX_SLICES] = Default::default();
        for ((job, coder), band) in jobs.iter_mut().zip(&mut self.coders).zip(bands) {
            *job = Some((band, &mut coder.reader));
        }
        each_on(pool, &mut jobs[..count], |(mut band, reader)| band.load(level, frame, reader));
        let whole = 0..self.source.size.rows;
        if let Some(band) = self.source.bands(std::slice::from_ref(&whole)).next() {
            self.displacements = displacements(level, &band, &mut self.changed);
        }
    }

    /// The slices' figures, together.
    fn total(&self, is_keyframe: bool) -> H264Stats {
        let sum = |of: fn(&SliceStats) -> u64| self.coders.iter().map(|coder| of(&coder.stats)).sum::<u64>() as f32;
        let macroblocks = self.source.size.columns as f32 * self.source.size.rows as f32;
        H264Stats {
            bytes: 0,
            keyframe: is_keyframe,
            id: self.frames,
            preset: self.config.preset,
            qp: sum(|stats| stats.qp_sum) / macroblocks,
            skipped: sum(|stats| u64::from(stats.skipped)) / macroblocks,
            intra: sum(|stats| u64::from(stats.intra)) / macroblocks,
            retries: 0,
        }
    }

    /// Bytes of the access unit that was coded last.
    fn bytes(&self, is_keyframe: bool) -> usize {
        let slices: usize = self.coders.iter().map(|coder| coder.bytes.len()).sum();
        slices + self.prefix(is_keyframe).len()
    }

    /// What a decoder that begins here must know: of keyframes, and of frames that begin a round of intra refresh.
    fn prefix(&self, is_keyframe: bool) -> &[u8] {
        match (is_keyframe, self.refreshed, self.config.intra_refresh_frames) {
            (true, ..) => &self.parameter_sets[..self.parameter_sets_len],
            (false, 0, Some(_)) => &self.parameter_sets,
            _ => &[],
        }
    }

    fn write(&self, is_keyframe: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix(is_keyframe));
        self.coders.iter().for_each(|coder| out.extend_from_slice(&coder.bytes));
    }

    /// The columns that the next frame makes anew.
    fn refresh(&self) -> Option<Refresh> {
        let columns = self.source.size.columns;
        let step = columns.div_ceil(self.config.intra_refresh_frames? as usize).max(1);
        // The last column of the frame before once more: deblocking mixed it with its neighbour's samples.
        let first = self.refreshed.saturating_sub(1);
        Some(Refresh { columns: [first, (self.refreshed + step).min(columns)], clean: self.refreshed })
    }

    /// Moves on to the next frame.
    fn settle(&mut self, mut picture: Arc<Picture>, choice: Option<&Choice>) {
        if let Some(picture) = Arc::get_mut(&mut picture) {
            picture.extend();
        }
        let is_keyframe = choice.is_none();
        self.refreshed = match self.refresh() {
            Some(refresh) if !is_keyframe && refresh.columns[1] < self.source.size.columns => refresh.columns[1],
            _ => 0,
        };
        let marking = self.marking(is_keyframe);
        self.references.accept(self.frames, picture, choice, marking);
        self.source_of = Some(self.frames);
        self.frames += 1;
        self.past.settle(&self.coders);
        if let Some(stream) = &mut self.stream {
            if is_keyframe {
                stream.frame_num = 0;
                stream.idr_pic_id = stream.idr_pic_id.wrapping_add(1);
            }
            stream.frame_num = (stream.frame_num + 1) % (1 << LOG2_MAX_FRAME_NUM);
        }
    }
}

/// The rows of each slice of this frame.
fn slice_rows(coders: &[SliceCoder]) -> [Range<usize>; MAX_SLICES] {
    let mut slices: [Range<usize>; MAX_SLICES] = Default::default();
    for (range, coder) in slices.iter_mut().zip(coders) {
        *range = coder.rows.clone();
    }
    slices
}

/// Whether a frame missed its target by more than it may, and another quantiser could help it.
fn is_astray(bytes: usize, target: Option<usize>, stats: &H264Stats, least_qp: u8) -> bool {
    let Some(target) = target else { return false };
    let is_off = bytes.abs_diff(target) > target / TARGET_TOLERANCE;
    let can_move =
        if bytes > target { stats.qp < f32::from(MAX_QP) - 0.5 } else { stats.qp > f32::from(least_qp) + 0.5 };
    is_off && can_move
}

/// How a frame is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// At the order's quantiser parameter, or so that it takes about so many bytes.
    Aim(Option<usize>),
    /// As the least there is.
    Least,
}

impl Effort {
    fn target(self) -> Option<usize> {
        match self {
            Self::Aim(bytes) => bytes,
            Self::Least => None,
        }
    }
}

/// The message that the picture will be whole after so many frames, for decoders that begin here (D.1.8).
fn append_recovery_point(frames: u32, framing: Framing, out: &mut Vec<u8>) {
    let mut message = BitWriter::default();
    message.ue(frames);
    message.put(0b1000, 4);
    message.trailing();
    let payload = message.bytes();
    let mut unit = [0; 16];
    unit[..2].copy_from_slice(&[RECOVERY_POINT, payload.len() as u8]);
    let end = (2 + payload.len()).min(15);
    unit[2..end].copy_from_slice(&payload[..end - 2]);
    unit[end] = 0x80;
    append(header(0, SUPPLEMENT), &unit[..=end], framing, out);
}

fn internal(detail: &str) -> Error {
    Error::Internal { what: "h264", detail: detail.to_owned() }
}
