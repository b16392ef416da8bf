//! What a stream has done on the compute pool: a picture opened, pushed and coded, with everything the session answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::Engine;
use crate::error::Error;
use crate::frame::Frame as Pixels;
use crate::limits::Limits;
use crate::service::admission::{Intake, Room};
use crate::service::lane::Running;
use crate::service::refusal::Refusal;
use crate::service::stream::inbox::Frame;
use crate::session::{Dropped, Feedback, Output, PacketInfo, Session, SessionConfig, Stamp};

/// An answer to a frame.
pub(super) enum Answer {
    Packet { info: PacketInfo, data: Bytes, room: Room, times: Times },
    Dropped(Dropped),
    Refused { stamp: Stamp, refusal: Refusal },
}

/// What a frame took before it was coded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) decode_us: u64,
    pub(super) queued: Duration,
}

/// Room of a session's own memory, for as long as its stream or one of its jobs lives.
pub(super) type Lodging = Arc<Mutex<Room>>;

/// Takes the room of a session that is opened as `config` says.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` where there is none.
pub(super) fn lodge(lodging: &Lodging, intake: &Intake, config: &SessionConfig) -> Result<(), Refusal> {
    let room = intake.budgets().lodge(config.memory_bytes())?;
    *lodging.lock().unwrap_or_else(PoisonError::into_inner) = room;
    Ok(())
}

/// A job: the session, and a frame for it unless it only asked to be polled.
pub(super) struct Work {
    pub(super) session: Option<Box<Session>>,
    pub(super) config: SessionConfig,
    pub(super) engine: Engine,
    pub(super) intake: Arc<Intake>,
    pub(super) lodging: Lodging,
    pub(super) limits: Limits,
    pub(super) frame: Option<Frame>,
    /// Whether effort is to be spared.
    pub(super) spare: bool,
    pub(super) begun: Instant,
    pub(super) max_wait: Duration,
}

/// What came of it.
pub(super) struct Done {
    pub(super) session: Option<Box<Session>>,
    pub(super) answers: Vec<Answer>,
    /// When the session wants to be polled again, since the stream began.
    pub(super) wake: Option<Duration>,
}

impl Work {
    pub(super) fn run(mut self, running: &Running) -> Done {
        let mut answers = Vec::new();
        let mut times = Times { decode_us: 0, queued: running.queued };
        let mut room = Room::default();
        if let Some(session) = &mut self.session {
            session.heed(&running.cancel);
        }
        if let Some(frame) = self.frame.take() {
            let mut decoded = None;
            let decoding = Instant::now();
            let opened = if frame.arrived.elapsed() > self.max_wait {
                Err(Refusal::late())
            } else {
                frame.picture.open(&self.limits, &mut decoded).map_err(|error| Refusal::engine("frame", &error))
            };
            if frame.picture.is_encoded() {
                times.decode_us = decoding.elapsed().as_micros() as u64;
            }
            let pushed = opened.and_then(|pixels| self.push(frame.stamp, &pixels, running));
            if let Err(refusal) = pushed {
                answers.push(Answer::Refused { stamp: frame.stamp, refusal });
            }
            room = frame.room;
        }
        let now = self.begun.elapsed();
        let wake = match &mut self.session {
            Some(session) => collect(session, now, &mut answers, times, |bytes| self.intake.convert(&mut room, bytes)),
            None => None,
        };
        Done { session: self.session, answers, wake }
    }

    fn push(&mut self, stamp: Stamp, pixels: &Pixels<'_>, running: &Running) -> Result<(), Refusal> {
        let refuse = |error: Error| Refusal::engine("frame", &error);
        let session = match &mut self.session {
            Some(session) => session,
            None => {
                let config = first_config(&self.config, pixels).map_err(refuse)?;
                lodge(&self.lodging, &self.intake, &config)?;
                let mut opened = self.engine.session(config).map_err(refuse)?;
                opened.heed(&running.cancel);
                self.session.insert(Box::new(opened))
            }
        };
        session.spare_effort(self.spare);
        session.push(stamp, pixels, self.begun.elapsed()).map_err(refuse)
    }
}

/// The session of a stream of encoded pictures is as its first picture is: format, colours, and size where none was agreed.
fn first_config(config: &SessionConfig, pixels: &Pixels<'_>) -> crate::Result<SessionConfig> {
    let (width, height) = (pixels.width(), pixels.height());
    if config.width != 0 && (config.width, config.height) != (width, height) {
        let expected = format!("{}x{}", config.width, config.height);
        return Err(Error::Mismatch { field: "size", actual: format!("{width}x{height}"), expected });
    }
    Ok(SessionConfig { format: pixels.format(), color: pixels.color(), width, height, ..*config })
}

/// Everything the session has to tell; gives the time at which it wants to be polled again. Packets take their room from `room`; one
/// that gets none is lost, and the session is told so.
pub(super) fn collect(
    session: &mut Session,
    now: Duration,
    answers: &mut Vec<Answer>,
    times: Times,
    mut room: impl FnMut(usize) -> Result<Room, Refusal>,
) -> Option<Duration> {
    loop {
        let answer = match session.poll(now) {
            Output::Packet(packet) => match room(packet.data.len()) {
                Ok(room) => {
                    Answer::Packet { info: packet.info, data: Bytes::copy_from_slice(packet.data), room, times }
                }
                Err(refusal) => {
                    let stamp = packet.info.stamp;
                    lose(session, stamp, now);
                    Answer::Refused { stamp, refusal }
                }
            },
            Output::Dropped(dropped) => Answer::Dropped(dropped),
            Output::Failed(failed) => {
                Answer::Refused { stamp: failed.stamp, refusal: Refusal::engine("frame", &failed.error) }
            }
            Output::Wait(wake) => return wake,
        };
        answers.push(answer);
    }
}

/// Nobody will ever have this frame's packet.
fn lose(session: &mut Session, stamp: Stamp, now: Duration) {
    if let Err(error) = session.feedback(Feedback::Lost { frame_number: stamp.frame_number }, now) {
        tracing::error!(%error, "a lost packet has been refused");
    }
}
