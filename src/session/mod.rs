//! One stream as a value: frames and network facts in, packets out, time as an argument.
//!
//! A session does no IO, reads no clock and starts no thread. The caller pushes frames, hands in what the receiver and the
//! network report, and polls until there is nothing more:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use auralink::{Codec, Engine, Frame, Output, PixelFormat, SessionConfig, Stamp};
//!
//! let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build()?);
//! let mut session = Engine::new(pool).session(SessionConfig::new(Codec::Jpeg, PixelFormat::I420, 320, 180))?;
//! let pixels = vec![128; 320 * 180 * 3 / 2];
//! for frame_number in 0..3 {
//!     let now = Duration::from_millis(33 * frame_number);
//!     let stamp = Stamp { frame_number, timestamp_us: now.as_micros() as u64 };
//!     session.push(stamp, &Frame::new(PixelFormat::I420, 320, 180, &pixels)?, now)?;
//!     loop {
//!         match session.poll(now) {
//!             Output::Packet(packet) => println!("{} bytes, {}", packet.data.len(), packet.info.plan),
//!             Output::Dropped(frame) => println!("dropped: {}", frame.reason),
//!             Output::Failed(frame) => println!("failed: {}", frame.error),
//!             Output::Wait(_) => break,
//!         }
//!     }
//! }
//! assert_eq!(session.stats().packets_out, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod coder;
mod compress;
mod config;
mod effort;
#[cfg(test)]
mod faults;
mod link;
mod output;
mod promise;
mod screen;
mod sent;
mod stats;

use std::collections::VecDeque;
use std::time::Duration;

pub use coder::{Coded, Coder, Order};
pub use config::{BITRATE_BUFFER_MS, Changes, SessionConfig};
pub use effort::Effort;
#[cfg(all(test, feature = "server"))]
pub(crate) use faults::{FAILS, PANICS};
pub use output::{DropReason, Dropped, Failed, Fallback, Output, Packet, PacketInfo, StageTimes, Stamp};
pub use stats::{Recent, Stats};

use crate::codec::{Cancel, Codec};
use crate::error::{Error, Result};
use crate::frame::{Frame, FrameBuf};
use crate::rate::{Cbr, Complexity, Controller, Goal, Hints, Ladder, NetworkConditions, Plan, Receipt, Scale};
use crate::resize::Resizer;
use link::Link;
use promise::Promise;
use sent::{Found, Sent};

/// Answers that may wait for a poll; a caller who never polls is refused further frames.
const MAX_EVENTS: usize = 64;

/// Silence of the link after which no frame waits for more room.
const SILENCE: Duration = Duration::from_millis(100);
/// Part of what may be in flight at most for which a frame waits.
const NEARLY_ALL: f64 = 0.8;

/// What the receiver, the network or the user says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Feedback {
    /// The receiver has a packet.
    Ack {
        /// Number of its frame.
        frame_number: u64,
    },
    /// The receiver has a packet or a part of it, and tells when. Three of these, and what they say of the network counts for more
    /// than any declaration.
    Received(Receipt),
    /// The receiver will never have a packet. What comes next is made without it: predicted from an older packet that was
    /// acknowledged, or standing alone.
    Lost {
        /// Number of its frame.
        frame_number: u64,
    },
    /// The network is now so.
    Network(NetworkConditions),
    /// The receiver needs a packet that stands alone.
    Keyframe,
    /// The session is to go on otherwise.
    Reconfigure(Changes),
}

/// A stream of frames on its way to packets. See the [module](self).
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    coder: Coder,
    resizer: Resizer,
    scaled: FrameBuf,
    link: Link,
    controller: Controller,
    promise: Promise,
    effort: Effort,
    bitrate: Option<Cbr>,
    complexity: f64,
    h264: Complexity,
    ladder: Ladder,
    sent: Sent,
    /// When the last packet was made.
    sent_at: Option<Duration>,
    keyframe_wanted: bool,
    /// Frames until one is coded, where the plan sheds some.
    until_coded: u32,
    last_number: Option<u64>,
    held: Option<Stamp>,
    held_frame: FrameBuf,
    events: VecDeque<Event>,
    ready: Option<PacketInfo>,
    data: Vec<u8>,
    stats: Stats,
}

#[derive(Debug)]
enum Event {
    Dropped(Dropped),
    Failed(Failed),
}

impl Session {
    pub(crate) fn new(coder: Coder, config: SessionConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            link: Link::new(config.network),
            controller: Controller::new(config.mode, config.fps, config.network.as_ref()),
            promise: Promise::default(),
            effort: Effort::new(config.h264.preset, config.deadline_ms),
            bitrate: config.bitrate_kbps.map(|kbps| Cbr::new(kbps, BITRATE_BUFFER_MS)).transpose()?,
            config: config.with_frame_rate(),
            coder,
            resizer: Resizer::default(),
            scaled: FrameBuf::zeroed(config.format, 1, 1)?,
            complexity: 1.0,
            h264: Complexity::default(),
            ladder: Ladder::new(),
            sent: Sent::default(),
            sent_at: None,
            keyframe_wanted: true,
            until_coded: 0,
            last_number: None,
            held: None,
            held_frame: FrameBuf::zeroed(config.format, 1, 1)?,
            events: VecDeque::with_capacity(MAX_EVENTS),
            ready: None,
            data: Vec::new(),
            stats: Stats::default(),
        })
    }

    /// Takes a frame. It is coded at once if the link has room, without a copy; otherwise it is copied and held until there
    /// is room or a newer frame takes its place.
    ///
    /// # Errors
    /// A frame that isn't of the session's format and size, a number that doesn't ascend, or 64 answers nobody polled for. The
    /// session is then as it was.
    pub fn push(&mut self, stamp: Stamp, frame: &Frame<'_>, now: Duration) -> Result<()> {
        self.check(stamp, frame)?;
        self.last_number = Some(stamp.frame_number);
        self.stats.frames_in += 1;
        if self.until_coded > 0 {
            self.until_coded -= 1;
            self.drop_frame(stamp, DropReason::FrameRate);
            return Ok(());
        }
        if self.ready.is_none() && self.held.is_none() && self.may_send(now) {
            let frame = frame.with_color(self.config.color);
            self.compress(stamp, &frame, now);
        } else {
            if let Some(older) = self.held.replace(stamp) {
                let busy = !self.may_send(now);
                self.drop_frame(older, if busy { DropReason::LinkBusy } else { DropReason::Superseded });
            }
            self.held_frame.copy_from(frame);
        }
        Ok(())
    }

    /// Gives frames up from now on where `cancel` is raised: the one at hand fails with [`Error::Abandoned`], and those after it are
    /// coded without it.
    pub fn heed(&mut self, cancel: &Cancel) {
        self.coder.heed(cancel);
    }

    /// The next answer. Poll after every push, and at the time a [`Output::Wait`] named, until it says wait again.
    pub fn poll(&mut self, now: Duration) -> Output<'_> {
        match self.events.pop_front() {
            Some(Event::Dropped(dropped)) => return Output::Dropped(dropped),
            Some(Event::Failed(failed)) => return Output::Failed(failed),
            None => {}
        }
        if self.ready.is_none()
            && self.may_send(now)
            && let Some(stamp) = self.held.take()
        {
            let held = std::mem::replace(&mut self.held_frame, FrameBuf::empty(self.config.format));
            self.compress(stamp, &held.as_frame().with_color(self.config.color), now);
            self.held_frame = held;
        }
        if let Some(info) = self.ready.take() {
            return Output::Packet(Packet { info, data: &self.data });
        }
        if let Some(Event::Failed(failed)) = self.events.pop_front() {
            return Output::Failed(failed);
        }
        Output::Wait(self.held.is_some().then(|| self.next_chance(now)))
    }

    /// Takes what the receiver, the network or the user says; the next frame's plan follows it.
    ///
    /// # Errors
    /// A change out of its range; the session is then as it was.
    pub fn feedback(&mut self, feedback: Feedback, now: Duration) -> Result<()> {
        match feedback {
            Feedback::Ack { frame_number } => {
                self.acknowledge(frame_number);
            }
            Feedback::Received(receipt) => {
                self.controller.received(&receipt, now);
                if receipt.is_whole {
                    self.acknowledge(receipt.frame_number);
                }
            }
            Feedback::Lost { frame_number } => self.lose(frame_number),
            Feedback::Network(network) => {
                self.config.network = Some(network);
                self.link.declare(network, now);
                self.controller.declare(&network);
                // How many frames are shed was decided for the network before.
                self.until_coded = 0;
            }
            Feedback::Keyframe => self.keyframe_wanted = true,
            Feedback::Reconfigure(changes) => {
                self.config = changes.apply(&self.config)?;
                self.controller.reconfigure(self.config.mode, self.config.fps);
            }
        }
        Ok(())
    }

    /// Codes H.264 with the least effort there is for as long as this is set: for machines that have too much to do.
    pub fn spare_effort(&mut self, spare: bool) {
        self.effort.spare(spare);
    }

    /// Gives up the frame that is held, as dropped; called when the stream ends.
    pub fn close(&mut self) {
        if let Some(stamp) = self.held.take() {
            self.drop_frame(stamp, DropReason::Closing);
        }
    }

    /// The plan of the next frame at `now`, as things are.
    pub fn plan(&self, now: Duration) -> Plan {
        let wanted = self.wanted();
        let scale = if self.is_steered() { self.step(wanted.scale, now) } else { wanted.scale };
        if scale == wanted.scale { self.bind(wanted, now) } else { self.plan_at(scale, now) }
    }

    /// The plan of the next frame at `now` at a size that is decided already.
    fn plan_at(&self, scale: Scale, now: Duration) -> Plan {
        let mut plan = self.goal().plan_at(scale, self.network().as_ref());
        if self.config.codec == Codec::H264 {
            plan.keyframe = self.keyframe_wanted || scale != self.ladder.scale();
        }
        self.bind(plan, now)
    }

    /// Holds a plan to what may be sent now.
    fn bind(&self, mut plan: Plan, now: Duration) -> Plan {
        // JPEG stands alone unless it was agreed that its tables are sent once.
        if self.config.codec == Codec::Jpeg {
            plan.keyframe = self.keyframe_wanted || !self.config.abbreviate;
        }
        if self.is_steered() {
            let needed_bytes = self.goal().needed(&plan);
            let is_larger = self.sent_at.is_some() && plan.scale > self.ladder.scale();
            self.controller.bind(&mut plan, needed_bytes, is_larger, now);
        }
        if let Some(bitrate) = &self.bitrate {
            bitrate.bind(&mut plan, self.config.fps, now);
        }
        plan
    }

    /// The plan of the size that is wanted in the long run.
    fn wanted(&self) -> Plan {
        self.goal().plan(self.network().as_ref())
    }

    /// The size of a frame for which `wanted` is wanted: at first one that fits what may be sent then, and a larger one only when
    /// there is room for its first picture.
    fn step(&self, wanted: Scale, now: Duration) -> Scale {
        let goal = self.goal();
        if self.sent_at.is_none() {
            let budget = self.controller.budget(now).map_or(0.0, f64::from);
            let is_too_large = |scale: &Scale| goal.least_first_bytes(*scale) > budget;
            return std::iter::successors(Some(wanted), |scale| goal.smaller(*scale).filter(|_| is_too_large(scale)))
                .last()
                .unwrap_or(wanted);
        }
        let (scale, last) = (self.ladder.step(wanted, self.kbps(), now), self.ladder.scale());
        let budget = self.controller.budget_for_larger(now).map_or(0.0, f64::from);
        let fits = |scale: &Scale| *scale <= last || goal.least_first_bytes(*scale) <= budget;
        std::iter::successors(Some(scale), |scale| goal.smaller(*scale)).find(fits).unwrap_or(last).max(scale.min(last))
    }

    /// What the link carries, kbit/s, as far as is known.
    fn kbps(&self) -> f64 {
        self.network().map_or(f64::INFINITY, |network| network.goodput_kbps())
    }

    fn goal(&self) -> Goal {
        Goal {
            codec: self.config.codec,
            width: self.config.width,
            height: self.config.height,
            raw_bytes: self.config.format.frame_bytes(self.config.width, self.config.height),
            fps: self.config.fps,
            mode: self.config.mode,
            utilisation: if self.is_steered() { self.controller.utilisation() } else { self.config.mode.utilisation() },
            target_reduction: self.config.target_reduction,
            complexity: self.complexity,
            h264: self.h264,
            appearance: self.promise.appearance(),
            floor: self.config.floor(),
            scale: self.ladder.scale(),
            keyframe: self.keyframe_wanted,
        }
    }

    /// What the next frame at `now` is expected to give, by what was learned of content and network.
    pub fn hints(&self, now: Duration) -> Hints {
        self.goal().hints_of(self.plan(now), self.network().as_ref())
    }

    /// The network as it was measured, or else as it was declared.
    pub fn network(&self) -> Option<NetworkConditions> {
        if self.is_steered() { Some(self.controller.conditions()) } else { self.config.network }
    }

    /// Whether receipts, and not declarations, say what may be sent.
    fn is_steered(&self) -> bool {
        self.config.receipts || self.controller.is_measured()
    }

    /// Whether a frame may be sent now: as receipts say, or else the declared link.
    fn may_send(&self, now: Duration) -> bool {
        if !self.is_steered() {
            return self.link.is_free(now, self.config.fps);
        }
        let Some(budget) = self.controller.budget(now) else { return false };
        // Before the link is known, waiting only keeps it from being known; so does it once the link has been silent for long.
        let silence = self.controller.silence(now);
        !self.controller.is_measured()
            || silence.is_some_and(|silence| silence >= SILENCE)
            || (silence.is_none() && now >= self.patient_until())
            || f64::from(budget) >= self.worth_waiting_for(now)
    }

    /// Bytes for which a frame waits: what its floor needs, or nearly all that waiting can bring.
    fn worth_waiting_for(&self, now: Duration) -> f64 {
        self.goal().floor_bytes(&self.plan(now)).min(NEARLY_ALL * self.controller.most())
    }

    /// Until when a frame waits for the bytes that keep its floor.
    fn patient_until(&self) -> Duration {
        let intervals = self.goal().patience() - 0.5;
        self.sent_at.map_or(Duration::ZERO, |sent_at| sent_at + Duration::from_secs_f64(intervals / self.config.fps))
    }

    fn next_chance(&self, now: Duration) -> Duration {
        if self.is_steered() { self.controller.next_chance(now) } else { self.link.free_at(self.config.fps) }
    }

    /// What a decoder will see of the last packet, of which `codec` was: see [`Coder::reconstruction`].
    pub fn reconstruction(&self, codec: Codec) -> Option<Frame<'_>> {
        self.coder.reconstruction(codec)
    }

    /// What the session was opened with, and has been changed to.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// What it has done so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn check(&self, stamp: Stamp, frame: &Frame<'_>) -> Result<()> {
        let mismatch = |field, actual: String, expected: String| Err(Error::Mismatch { field, actual, expected });
        if frame.format() != self.config.format {
            return mismatch("format", frame.format().to_string(), self.config.format.to_string());
        }
        if (frame.width(), frame.height()) != (self.config.width, self.config.height) {
            let size = |w, h| format!("{w}x{h}");
            return mismatch("size", size(frame.width(), frame.height()), size(self.config.width, self.config.height));
        }
        if self.events.len() >= MAX_EVENTS {
            let (actual, limit) = (self.events.len() as u64 + 1, MAX_EVENTS as u64);
            return Err(Error::TooLarge { field: "answers not polled", actual, limit });
        }
        match self.last_number {
            Some(last) if stamp.frame_number <= last => {
                mismatch("frame_number", stamp.frame_number.to_string(), format!("one over {last}"))
            }
            _ => Ok(()),
        }
    }

    fn acknowledge(&mut self, frame_number: u64) {
        if self.last_number.is_some_and(|last| frame_number <= last) {
            self.stats.acked += 1;
        }
        if let Found::Sent(id) = self.sent.find(frame_number) {
            self.coder.acknowledge(id);
        }
    }

    fn lose(&mut self, frame_number: u64) {
        match self.sent.find(frame_number) {
            Found::Sent(id) => {
                self.stats.lost += 1;
                match self.config.codec {
                    Codec::H264 => self.coder.lose(id),
                    Codec::Lossless => self.keyframe_wanted = true,
                    Codec::Jpeg => {}
                }
            }
            Found::Forgotten => self.keyframe_wanted = true,
            Found::Never => {}
        }
    }

    fn drop_frame(&mut self, stamp: Stamp, reason: DropReason) {
        self.stats.count_drop(reason);
        self.events.push_back(Event::Dropped(Dropped { stamp, reason }));
    }
}
