//! One stream: an actor that owns its session, hands it one job at a time on the compute pool, and answers every frame.

mod inbox;
mod job;
mod outbox;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tonic::{Code, Status};

use crate::codec::Codec;
use crate::limits::Limits;
use crate::service::Shared;
use crate::service::admission::{Intake, Room, Shed};
use crate::service::auth::Lease;
use crate::service::lane::Lane;
use crate::service::ledger::Tally;
use crate::service::proto::{self, compress_stream_response::Message as Out};
use crate::service::refusal::Refusal;
use crate::service::registry::{Command, Place};
use crate::service::traces::FrameTraces;
use crate::service::turns::Share;
use crate::service::wire::{Opening, Source};
use crate::session::{Changes, DropReason, Dropped, Feedback, Session, SessionConfig, Stamp};
use inbox::Frame;
use job::{Done, Lodging, Times};

/// Answers that may wait for the transport. While so many do, the next frame waits too.
pub(crate) const MAX_ANSWERS: usize = 2;
/// Messages about the session that may wait for a job to end; reading stops until it has.
const MAX_FEEDBACK: usize = 64;

/// Time for answering accepted frames when the caller's right has ended.
const EXPIRY_GRACE: Duration = Duration::from_secs(2);

type Answers = mpsc::Sender<Result<proto::CompressStreamResponse, Status>>;
type Job = Pin<Box<dyn Future<Output = Result<Done, Refusal>> + Send>>;

/// Where the session is.
enum Home {
    /// No picture has told its format yet.
    Unopened,
    Here(Box<Session>),
    /// With the job that runs.
    Away,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The server is going away; frames are refused from here on.
    Draining,
    /// The caller has sent everything.
    HalfClosed,
}

/// A frame handed to the session and not answered yet.
struct Owed {
    stamp: Stamp,
    arrived: Instant,
}

pub(crate) struct Stream {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    share: Share,
    lease: Lease,
    intake: Arc<Intake>,
    tally: Tally,
    /// When the session is written down again, so far as it has come.
    next_part: Instant,
    place: Place,
    answers: Answers,
    commands: mpsc::Receiver<Command>,
    source: Source,
    config: SessionConfig,
    window: usize,
    home: Home,
    lodging: Lodging,
    job: Option<Job>,
    waiting: VecDeque<Frame>,
    owed: Vec<Owed>,
    feedback: Vec<(Feedback, Option<Command>)>,
    last_number: Option<u64>,
    wake: Option<Duration>,
    phase: Phase,
    traced: FrameTraces,
    begun: Instant,
}

/// The caller is gone, or reads nothing: there is nobody to answer.
struct Gone;

impl Stream {
    /// A stream as `opening` says; the session of raw frames is opened at once.
    pub(crate) fn open(
        shared: Arc<Shared>,
        lease: Lease,
        intake: Arc<Intake>,
        opening: &Opening,
        answers: Answers,
    ) -> Result<Self, Refusal> {
        let pixels = match opening.source {
            Source::Raw(_) => Some(u64::from(opening.config.width) * u64::from(opening.config.height)),
            Source::Encoded => None,
        };
        let lane = Arc::clone(shared.compute.lane(pixels));
        if lane.shed() == Shed::Streams {
            shared.telemetry.shed("stream");
            return Err(Refusal::busy("frames already wait too long for a thread: no other stream is taken now"));
        }
        let lodging = Lodging::default();
        let home = match opening.source {
            Source::Encoded => Home::Unopened,
            Source::Raw(_) => {
                job::lodge(&lodging, &intake, &opening.config)?;
                let session = lane.engine().session(opening.config);
                Home::Here(Box::new(session.map_err(|error| Refusal::engine("open", &error))?))
            }
        };
        let (place, commands) =
            shared.registry.enter(opening.id, &lease.caller().id, opening.source, opening.config)?;
        shared.telemetry.stream_opened();
        let checkpoint = Duration::from_millis(shared.config().store.checkpoint_ms.into());
        Ok(Self {
            traced: FrameTraces::new(shared.config().telemetry.frame_every),
            shared,
            lane,
            share: Share::default(),
            tally: Tally::new(opening.id.to_string(), lease.caller().id.to_string()),
            lease,
            intake,
            next_part: Instant::now() + checkpoint,
            place,
            answers,
            commands,
            source: opening.source,
            config: opening.config,
            window: opening.window,
            home,
            lodging,
            job: None,
            waiting: VecDeque::with_capacity(opening.window),
            owed: Vec::with_capacity(2),
            feedback: Vec::new(),
            last_number: None,
            wake: None,
            phase: Phase::Running,
            begun: Instant::now(),
        })
    }

    /// Runs the stream to its end, however it comes.
    pub(crate) async fn run(mut self, mut inbound: tonic::Streaming<proto::CompressStreamRequest>) {
        let id = self.place.entry.id();
        tracing::info!(session = %id, caller = %self.lease.caller().id, source = ?self.source, width = self.config.width, height = self.config.height, "stream opened");
        let end = self.serve(&mut inbound).await;
        let ended = match end {
            Ok(status) => {
                let told = status.as_ref().err().map(|status| status.code());
                if let Err(status) = status {
                    let _ = self.say(Err(status)).await;
                }
                told
            }
            Err(Gone) => Some(Code::Cancelled),
        };
        let stats = self.place.entry.live().stats;
        tracing::info!(session = %id, frames = stats.frames_in, packets = stats.packets_out, code = ?ended, "stream ended");
    }

    /// The status the stream ends with, or that there is nobody to tell it to.
    async fn serve(
        &mut self,
        inbound: &mut tonic::Streaming<proto::CompressStreamRequest>,
    ) -> Result<Result<(), Status>, Gone> {
        self.greet().await?;
        let drain = self.shared.drain.clone();
        let lease = self.lease.clone();
        let mut lease_ended = std::pin::pin!(lease.ended());
        let mut grace_ended = None;
        loop {
            self.start_job_for_reader();
            if Instant::now() >= self.next_part {
                self.write_down();
            }
            let is_idle = self.job.is_none() && self.waiting.is_empty();
            if is_idle && (self.phase == Phase::HalfClosed || grace_ended.is_some_and(|at| Instant::now() >= at)) {
                self.close().await?;
                let is_cut = self.phase == Phase::Draining;
                return Ok(if is_cut { Err(Refusal::draining().into()) } else { Ok(()) });
            }
            let may_read = self.phase != Phase::HalfClosed && self.feedback.len() < MAX_FEEDBACK;
            let alarm = self.alarm(grace_ended);
            let is_pending = !self.waiting.is_empty() || self.wake.is_some();
            let waits_for_reader = self.job.is_none() && is_pending && !self.is_read();
            tokio::select! {
                () = self.answers.closed() => return Err(Gone),
                _ = async { self.answers.reserve().await.is_ok() }, if waits_for_reader => {}
                () = drain.stop.cancelled() => {
                    self.abandon().await?;
                    return Ok(Err(Refusal::draining().into()));
                }
                () = lease_ended.as_mut() => {
                    self.expire().await?;
                    return Ok(Err(Refusal::unauthenticated().into()));
                }
                () = drain.started.cancelled(), if grace_ended.is_none() => {
                    let notice = Duration::from_millis(self.shared.config().limits.drain_notice_ms.into());
                    grace_ended = Some(Instant::now() + notice);
                    self.start_draining().await?;
                }
                done = async { Some(self.job.as_mut()?.await) }, if self.job.is_some() => {
                    self.job = None;
                    self.finish_job(done).await?;
                }
                Some(command) = self.commands.recv() => self.hear_command(command),
                message = inbound.message(), if may_read => match message {
                    Ok(Some(message)) => {
                        self.hear(message).await?;
                        // What the message held and no frame took over is free again.
                        self.intake.settle();
                    }
                    Ok(None) => self.phase = Phase::HalfClosed,
                    // The message can't be read, or the caller has reset the stream: its frames are still answered.
                    Err(status) => {
                        self.finish_accepted().await?;
                        return Ok(Err(status));
                    }
                },
                () = sleep_until(alarm.unwrap_or(self.begun).into()), if alarm.is_some() => {}
            }
        }
    }

    /// Hands what the session has done to the ledger.
    fn write_down(&mut self) {
        let checkpoint = Duration::from_millis(self.shared.config().store.checkpoint_ms.into());
        self.next_part = Instant::now() + checkpoint;
        let stats = self.place.entry.live().stats;
        self.shared.ledger.note(self.tally.part(&self.config, &stats));
    }

    /// When to look again without anything having happened: a held frame's time, the end of the grace, or of a part of the
    /// session.
    fn alarm(&self, grace_ended: Option<Instant>) -> Option<Instant> {
        let held = self.wake.filter(|_| self.job.is_none() && self.is_read()).map(|wake| self.begun + wake);
        let grace = grace_ended.filter(|_| self.job.is_none() && self.waiting.is_empty());
        held.into_iter().chain(grace).chain([self.next_part]).min()
    }

    async fn greet(&mut self) -> Result<(), Gone> {
        let frame_bytes = match self.source {
            Source::Raw(format) => format.frame_bytes(self.config.width, self.config.height) as u64,
            Source::Encoded => 0,
        };
        self.answer(Out::Opened(proto::Opened {
            session_id: self.place.entry.id().to_string(),
            window: self.window as u32,
            frame_bytes,
        }))
        .await
    }

    async fn start_draining(&mut self) -> Result<(), Gone> {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
        }
        self.answer(Out::Notice(proto::Notice {
            kind: proto::notice::Kind::Draining as i32,
            message: "the server is shutting down: accepted frames are finished, new ones refused".to_owned(),
        }))
        .await
    }

    /// Tells that the right to call has ended, and answers what was accepted before.
    async fn expire(&mut self) -> Result<(), Gone> {
        tracing::info!(session = %self.place.entry.id(), "the caller's right has ended, and so does the stream");
        self.answer(Out::Notice(proto::Notice {
            kind: proto::notice::Kind::Expired as i32,
            message: "the right to call has ended: accepted frames are finished, and the stream ends".to_owned(),
        }))
        .await?;
        match timeout(EXPIRY_GRACE, self.finish_accepted()).await {
            Ok(finished) => finished,
            Err(_) => self.abandon().await,
        }
    }

    /// Whether the answers so far were taken: packets aren't made faster than they are read.
    fn is_read(&self) -> bool {
        self.answers.capacity() > 0
    }

    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.wake.is_some_and(|wake| wake <= self.begun.elapsed())
    }

    fn start_job_for_reader(&mut self) {
        if self.is_read() {
            self.start_job();
        }
    }

    /// Gives the session its next frame, or its time, on the pool.
    fn start_job(&mut self) {
        if self.job.is_some() || !self.has_work() {
            return;
        }
        let session = match std::mem::replace(&mut self.home, Home::Away) {
            Home::Here(session) => Some(session),
            Home::Unopened | Home::Away => None,
        };
        let frame = self.waiting.pop_front();
        if let Some(frame) = &frame {
            self.owed.push(Owed { stamp: frame.stamp, arrived: frame.arrived });
        }
        self.wake = None;
        let spare = self.config.codec == Codec::H264 && self.lane.shed() >= Shed::Effort;
        if spare && frame.is_some() {
            self.shared.telemetry.shed("effort");
        }
        let work = job::Work {
            spare,
            session,
            config: self.config,
            engine: self.lane.engine().clone(),
            intake: Arc::clone(&self.intake),
            lodging: Arc::clone(&self.lodging),
            limits: self.shared.config().limits.picture,
            frame,
            begun: self.begun,
            max_wait: Duration::from_millis(self.shared.config().limits.request_timeout_ms.into()),
        };
        self.job = Some(Box::pin(self.lane.run(self.share.clone(), move |running| work.run(running))));
    }

    async fn finish_job(&mut self, done: Option<Result<Done, Refusal>>) -> Result<(), Gone> {
        match done {
            Some(Ok(done)) => {
                self.home = done.session.map_or(Home::Unopened, Home::Here);
                self.wake = done.wake;
                self.apply_feedback();
                // The pool works on while the answers go out.
                self.start_job_for_reader();
                for answer in done.answers {
                    self.tell(answer).await?;
                }
            }
            // The job panicked and took the session with it: its frames are answered, and a new session goes on.
            Some(Err(refusal)) => {
                let owed = std::mem::take(&mut self.owed);
                self.reopen();
                self.apply_feedback();
                for owed in owed {
                    self.refuse_frame(owed.stamp.frame_number, refusal.clone()).await?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// A session without memory of the one that was lost; that of encoded pictures opens with the next one.
    fn reopen(&mut self) {
        let session = match self.source {
            Source::Raw(_) => self.lane.engine().session(self.config).ok(),
            Source::Encoded => None,
        };
        self.home = session.map_or(Home::Unopened, |session| Home::Here(Box::new(session)));
    }

    /// Finishes what was accepted, then gives up what the session holds back.
    async fn finish_accepted(&mut self) -> Result<(), Gone> {
        loop {
            self.start_job();
            let Some(job) = self.job.as_mut() else { break };
            let done = job.await;
            self.job = None;
            self.finish_job(Some(done)).await?;
        }
        self.close().await
    }

    async fn close(&mut self) -> Result<(), Gone> {
        if let Home::Here(session) = &mut self.home {
            session.close();
            let mut answers = Vec::new();
            let (now, intake) = (self.begun.elapsed(), &self.intake);
            job::collect(session, now, &mut answers, Times::default(), |bytes| {
                intake.convert(&mut Room::default(), bytes)
            });
            for answer in answers {
                self.tell(answer).await?;
            }
        }
        Ok(())
    }

    /// Answers everything that is open as given up.
    async fn abandon(&mut self) -> Result<(), Gone> {
        self.job = None;
        let owed = std::mem::take(&mut self.owed).into_iter().map(|owed| owed.stamp);
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|frame| frame.stamp);
        for stamp in owed.chain(waiting).collect::<Vec<_>>() {
            self.drop_frame(Dropped { stamp, reason: DropReason::Closing }).await?;
        }
        Ok(())
    }

    /// Tells the session something, now or when its job is done.
    fn give(&mut self, feedback: Feedback, asked_by: Option<Command>) {
        match feedback {
            Feedback::Network(network) => self.config.network = Some(network),
            Feedback::Reconfigure(changes) => self.config = changed(&self.config, &changes).unwrap_or(self.config),
            Feedback::Ack { .. } | Feedback::Received(_) | Feedback::Lost { .. } | Feedback::Keyframe => {}
        }
        self.feedback.push((feedback, asked_by));
        if !matches!(self.home, Home::Away) {
            self.apply_feedback();
        }
    }

    /// Tells the session what was said meanwhile, and those who look on how it stands.
    fn apply_feedback(&mut self) {
        for (feedback, asked_by) in std::mem::take(&mut self.feedback) {
            let mut plan = None;
            if let Home::Here(session) = &mut self.home {
                if let Err(error) = session.feedback(feedback, self.begun.elapsed()) {
                    tracing::error!(%error, "feedback that was checked has been refused");
                }
                plan = Some(session.plan(self.begun.elapsed()));
            }
            // There may be room now for a frame that is held.
            if matches!(feedback, Feedback::Received(_) | Feedback::Network(_)) && self.wake.is_some() {
                self.wake = Some(Duration::ZERO);
            }
            if let Some(Command::Network(_, answer)) = asked_by {
                // Whoever asked may have gone.
                let _ = answer.send(plan);
            }
        }
        let mut live = self.place.entry.live();
        if let Home::Here(session) = &self.home {
            self.config = *session.config();
            let now = self.begun.elapsed();
            live.plan = Some(session.plan(now));
            (live.hints, live.network) = (Some(session.hints(now)), session.network());
        }
        live.config = self.config;
    }

    fn hear_command(&mut self, command: Command) {
        let Command::Network(network, _) = &command;
        let feedback = Feedback::Network(*network);
        self.give(feedback, Some(command));
    }
}

impl Drop for Stream {
    /// Whatever has ended it.
    fn drop(&mut self) {
        self.write_down();
    }
}

/// A configuration with changes, checked, though the first picture may not have told its size yet.
fn changed(config: &SessionConfig, changes: &Changes) -> crate::Result<SessionConfig> {
    let SessionConfig { width, height, .. } = *config;
    let (some_width, some_height) = (Limits::SERVICE.min_width, Limits::SERVICE.min_height);
    let sized = SessionConfig {
        width: if width == 0 { some_width } else { width },
        height: if height == 0 { some_height } else { height },
        ..*config
    };
    Ok(SessionConfig { width, height, ..changes.apply(&sized)? })
}
