//! Frames of a clip through a session, as the service has one: its controller, its sizes, its promises.

use std::sync::Arc;
use std::time::Duration;

use auralink::netem::{Encoded, Endpoint, Outgoing, Receipt, Score};
use auralink::{Codec, Engine, Feedback, Mode, Output, PacketInfo, PixelFormat, Session, SessionConfig, Stamp, kernel};
use rayon::ThreadPool;

use super::Args;
use super::frames::Frames;
use super::history::{Eye, History, Sent};
use super::promises::{Promises, Seen};
use crate::cli::exit::{Failure, Result};
use crate::cli::thread_pool;

/// A session, what it has sent, and what is on the screen.
pub(super) struct SessionEnd {
    encode_time: Duration,
    pool: Arc<ThreadPool>,
    session: Session,
    promises: Promises,
    eye: Eye,
    history: History,
    failure: Option<Failure>,
}

impl SessionEnd {
    /// A session of H.264 that hears of its network by receipts alone, and measures every packet. It has no clock, so time that
    /// coding takes breaks no promise.
    pub(super) fn new(frames: Frames, mode: Mode, args: &Args) -> Result<Self> {
        let first = frames.get(0).ok_or_else(|| Failure::data("the clip has no frame"))?;
        let config = SessionConfig {
            color: first.color(),
            fps: args.fps,
            mode,
            receipts: true,
            measure_quality: true,
            ..SessionConfig::new(Codec::H264, PixelFormat::I420, first.width(), first.height())
        };
        let pool = Arc::new(thread_pool(args.threads)?);
        Ok(Self {
            encode_time: args.encode_time(),
            session: Engine::new(Arc::clone(&pool)).session(config)?,
            pool,
            promises: Promises::default(),
            eye: Eye::new(frames.clone(), kernel::detect()),
            history: History::default(),
            failure: None,
        })
    }

    /// What went wrong while coding, if something did.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    pub(super) fn promises(&self) -> &Promises {
        &self.promises
    }

    fn fail(&mut self, error: auralink::Error) {
        self.failure.get_or_insert(error.into());
    }

    /// Takes note of a packet: what of it will be seen, and what it kept.
    fn send(&mut self, info: &PacketInfo) -> auralink::Result<Outgoing> {
        let frame_number = info.stamp.frame_number;
        let predicted_from = self.history.reference().filter(|_| !info.keyframe);
        let source = self.eye.frames.clone();
        let decoded = self.session.reconstruction(info.codec).or_else(|| source.get(frame_number));
        if let Some(decoded) = decoded
            && let Some(seen) = self.eye.look(frame_number, &decoded, &self.pool)?
        {
            self.history.push(Sent::new(frame_number, 0, predicted_from, seen));
        }
        let config = self.session.config();
        self.promises.count(&Seen::of(info), config.floor(), config.reduction());
        let bytes = u32::try_from(info.compressed_bytes).unwrap_or(u32::MAX);
        let encoded = Encoded { bytes, predicted_from, encode_time: self.encode_time };
        Ok(Outgoing { frame_number, encoded, budget: info.plan.budget_bytes.unwrap_or(bytes) })
    }
}

impl Endpoint for SessionEnd {
    fn captured(&mut self, frame_number: u64, now: Duration) {
        let stamp = Stamp { frame_number, timestamp_us: now.as_micros() as u64 };
        let pushed = match self.eye.frames.get(frame_number) {
            Some(frame) => self.session.push(stamp, &frame, now),
            None => Ok(()),
        };
        if let Err(error) = pushed {
            self.fail(error);
        }
    }

    fn next(&mut self, now: Duration) -> Option<Outgoing> {
        loop {
            let info = match self.session.poll(now) {
                Output::Packet(packet) => packet.info,
                Output::Dropped(_) => continue,
                Output::Failed(failed) => {
                    self.fail(failed.error);
                    continue;
                }
                Output::Wait(_) => return None,
            };
            match self.send(&info) {
                Ok(outgoing) => return Some(outgoing),
                Err(error) => self.fail(error),
            }
        }
    }

    fn received(&mut self, receipt: &Receipt, now: Duration) {
        // What came whole and can't be decoded is no frame to predict from.
        let is_lost = self.history.find(receipt.frame_number).is_some_and(|sent| sent.is_lost);
        let receipt = Receipt { is_whole: receipt.is_whole && !is_lost, ..*receipt };
        if let Err(error) = self.session.feedback(Feedback::Received(receipt), now) {
            self.fail(error);
        }
    }

    fn lost(&mut self, frame_number: u64, now: Duration) {
        self.history.lose(frame_number);
        if let Err(error) = self.session.feedback(Feedback::Lost { frame_number }, now) {
            self.fail(error);
        }
    }

    fn displayed(&mut self, frame_number: u64, _now: Duration) -> Option<Score> {
        self.history.find(frame_number).map(|sent| sent.score)
    }

    fn on_screen(&mut self, shown: u64, captured: u64) -> Option<Score> {
        self.eye.compare(self.history.find(shown)?, captured, &self.pool)
    }
}
