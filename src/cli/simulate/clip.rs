//! Frames of a clip through the bare encoder, at the budget that a controller gives.

use std::time::Duration;

use auralink::codec::h264::{FrameOrder, H264Config, H264Encoder};
use auralink::netem::{Encoded, Receipt, Score, Source};
use auralink::{Error, kernel};
use rayon::ThreadPool;

use super::Args;
use super::frames::Frames;
use super::history::{Eye, History, Sent};
use crate::cli::exit::{Failure, Result};
use crate::cli::thread_pool;

/// The finest quantiser: bytes beyond it buy nothing that is seen.
const LEAST_QP: u8 = 12;
/// Slices of a frame, whatever the number of threads: the bytes depend on them.
const SLICES: usize = 2;
/// What a frame aims for of its budget, so that it needn't be coded twice to keep it.
const AIM: f64 = 0.95;

/// A clip, its encoder, and what is on the way and on the screen.
pub(super) struct Clip {
    encode_time: Duration,
    pool: ThreadPool,
    encoder: H264Encoder,
    packet: Vec<u8>,
    eye: Eye,
    history: History,
    failure: Option<Failure>,
}

impl Clip {
    pub(super) fn new(frames: Frames, args: &Args) -> Result<Self> {
        let level = kernel::detect();
        let config = H264Config { slices: SLICES, recovery: true, ..H264Config::default() };
        Ok(Self {
            encode_time: args.encode_time(),
            pool: thread_pool(args.threads)?,
            encoder: H264Encoder::new(level, config)?,
            packet: Vec::new(),
            eye: Eye::new(frames, level),
            history: History::default(),
            failure: None,
        })
    }

    /// What went wrong while coding, if something did.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn code(&mut self, frame_number: u64, budget: u32) -> auralink::Result<Option<Encoded>> {
        let Some(frame) = self.eye.frames.get(frame_number) else { return Ok(None) };
        let predicted_from = self.history.reference();
        let order = FrameOrder {
            qp: LEAST_QP,
            target_bytes: Some((f64::from(budget) * AIM) as usize),
            max_bytes: Some(budget as usize),
            keyframe: false,
        };
        self.packet.clear();
        let stats = match self.encoder.encode(&frame, &order, &self.pool, &mut self.packet) {
            Ok(stats) => stats,
            Err(Error::Budget { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let predicted_from = predicted_from.filter(|_| !stats.keyframe);
        if let Some(decoded) = self.encoder.reconstruction()
            && let Some(seen) = self.eye.look(frame_number, &decoded, &self.pool)?
        {
            self.history.push(Sent::new(frame_number, stats.id, predicted_from, seen));
        }
        let bytes = u32::try_from(stats.bytes).unwrap_or(u32::MAX);
        Ok(Some(Encoded { bytes, predicted_from, encode_time: self.encode_time }))
    }
}

impl Source for Clip {
    fn encode(&mut self, frame_number: u64, budget: u32, _now: Duration) -> Option<Encoded> {
        self.code(frame_number, budget).unwrap_or_else(|error| {
            self.failure.get_or_insert(error.into());
            None
        })
    }

    fn received(&mut self, receipt: &Receipt, _now: Duration) {
        let acknowledged = self.history.find(receipt.frame_number).filter(|sent| receipt.is_whole && !sent.is_lost);
        if let Some(id) = acknowledged.map(|sent| sent.id) {
            self.encoder.acknowledge(id);
        }
    }

    fn lost(&mut self, frame_number: u64, _now: Duration) {
        if let Some(id) = self.history.lose(frame_number) {
            self.encoder.lose(id);
        }
    }

    fn displayed(&mut self, frame_number: u64, _now: Duration) -> Option<Score> {
        self.history.find(frame_number).map(|sent| sent.score)
    }

    fn on_screen(&mut self, shown: u64, captured: u64) -> Option<Score> {
        self.eye.compare(self.history.find(shown)?, captured, &self.pool)
    }
}
