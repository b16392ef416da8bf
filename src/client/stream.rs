//! A stream that outlives its connection.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout_at;
use tonic::{Code, Status};

use super::line::Server;
use super::seek::{Found, Seek, Session, refused, said};
use super::unanswered::Unanswered;
use super::{Access, Error, Retry};
use crate::proto::compress_stream_request::Message as Request;
use crate::proto::compress_stream_response::Message as Response;
use crate::proto::{
    Ack, CompressStreamRequest, DropReason, FrameError, KeyframeRequest, Lost, NetworkConditions, Open, Packet,
    Reconfigure, StreamFrame, notice,
};

/// How often a frame is sent before it is taken for the cause of the streams that are lost with it.
const MAX_SENDS: u32 = 8;
/// Time a frame may be on its way before the stream is taken for lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time a stream must have been open for its loss not to be the same trouble as the one before.
const HEALTHY: Duration = Duration::from_secs(5);

/// Where a stream goes, who opens it, and what is done when it's lost.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// One or more of `http://host:port`, `host:port`, `https://host:port` or `unix:/path`: where one doesn't answer, the next is
    /// tried.
    pub addresses: Vec<String>,
    /// How the service knows who calls.
    pub access: Access,
    /// What is done when a stream is lost.
    pub retry: Retry,
}

/// What comes back of a stream.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A frame's packet, and the time since its frame was given.
    Packet(Box<Packet>, Duration),
    /// A frame that was dropped.
    Dropped {
        /// Which.
        frame_number: u64,
        /// Why.
        reason: DropReason,
    },
    /// A frame, or something said (0), that was refused.
    Failed {
        /// Which.
        frame_number: u64,
        /// Why, as gRPC has it.
        code: Code,
        /// Why, and the fields at fault.
        message: String,
    },
    /// The server says something that is no frame's answer.
    Notice(String),
    /// The stream was lost and goes on. The next packet is a keyframe.
    Resumed {
        /// Where.
        address: String,
        /// Frames that are sent again.
        frames: usize,
        /// Time without a stream.
        after: Duration,
    },
}

type Seeking = Pin<Box<dyn Future<Output = Result<Found, Error>> + Send>>;

enum State {
    Open { session: Box<Session>, draining: bool },
    Seeking(Seeking),
    Ended,
}

/// A stream, both ways. See the [module](super) for what it promises.
pub struct Stream {
    servers: Arc<[Server]>,
    retry: Retry,
    /// What the next stream is opened with: as the first was, with what has changed since.
    open: Open,
    unanswered: Unanswered,
    state: State,
    /// What is handed over before the frames' answers.
    remarks: VecDeque<Answer>,
    at: usize,
    round: u32,
    /// Since when it has been lost without an answer in between.
    trouble: Option<Instant>,
    finished: bool,
    /// Whether packets are acknowledged as they come.
    acknowledges: bool,
    start: Instant,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_open = matches!(self.state, State::Open { .. });
        out.debug_struct("Stream").field("is_open", &is_open).field("unanswered", &self.unanswered.len()).finish()
    }
}

impl Stream {
    /// Opens a stream and waits until a server agrees.
    ///
    /// # Errors
    /// Addresses or credentials that can't be used; no server that answers; a server that refuses.
    pub async fn open(target: &Target, open: Open) -> Result<Self, Error> {
        let servers = target.addresses.iter().map(|address| Server::new(address, &target.access));
        let servers: Arc<[Server]> = servers.collect::<Result<Vec<_>, _>>()?.into();
        if servers.is_empty() {
            return Err(Error::Address { address: String::new() });
        }
        let since = Instant::now();
        let seek = Seek {
            servers: Arc::clone(&servers),
            retry: target.retry,
            open: open.clone(),
            at: 0,
            round: 0,
            since,
            again: false,
        };
        let found = seek.run().await?;
        let mut stream = Self {
            servers,
            retry: target.retry,
            open,
            unanswered: Unanswered::new(),
            state: State::Ended,
            remarks: VecDeque::new(),
            at: found.at,
            round: 0,
            trouble: None,
            finished: false,
            acknowledges: true,
            start: since,
        };
        stream.take(found);
        Ok(stream)
    }

    /// What is done when it is lost.
    pub const fn retry(&self) -> Retry {
        self.retry
    }

    /// Whether another frame may be given now.
    pub fn has_credit(&self) -> bool {
        self.unanswered.has_room() && !self.finished
    }

    /// Whether every frame's answer was handed over.
    pub fn is_idle(&self) -> bool {
        self.unanswered.len() == 0
    }

    /// Gives a frame to be sent, which takes a credit until its answer is handed over. It goes out at once where a stream is open;
    /// until it is answered it is kept, to be sent again.
    ///
    /// # Errors
    /// No credit; a number that doesn't ascend; a stream that was finished.
    pub fn send(&mut self, frame: StreamFrame) -> Result<(), Error> {
        if self.finished {
            return Err(Error::Finished);
        }
        self.unanswered.push(frame)?;
        self.flush();
        Ok(())
    }

    /// Tells the network's conditions, to this stream and those that follow it.
    pub fn declare(&mut self, network: NetworkConditions) {
        self.open.network = Some(network);
        self.say(Request::Network(network));
    }

    /// Changes what the stream promises, and those that follow it.
    pub fn reconfigure(&mut self, changes: Reconfigure) {
        self.open.mode = changes.mode.unwrap_or(self.open.mode);
        self.open.target_reduction = changes.target_reduction.or(self.open.target_reduction);
        self.open.min_quality = changes.min_quality.or(self.open.min_quality);
        self.open.fps = changes.fps.unwrap_or(self.open.fps);
        self.open.measure_quality = changes.measure_quality.unwrap_or(self.open.measure_quality);
        self.say(Request::Reconfigure(changes));
    }

    /// Asks for a packet that stands alone.
    pub fn request_keyframe(&mut self) {
        self.say(Request::Keyframe(KeyframeRequest {}));
    }

    /// Tells that a packet has been lost beyond this stream, on its way to whoever shows it. Returns whether there was room to.
    pub fn lost(&mut self, frame_number: u64) -> bool {
        self.say(Request::Lost(Lost { frame_number }))
    }

    /// Leaves it to the caller to say what has come, by [`Stream::acknowledge`]: where packets go on from here by another link.
    pub fn leave_acknowledging(&mut self) {
        self.acknowledges = false;
    }

    /// Tells what has come of a frame. Returns whether there was room to.
    pub fn acknowledge(&mut self, ack: Ack) -> bool {
        self.say(Request::Ack(ack))
    }

    /// No more frames come; answers still do, until [`Stream::next`] gives none.
    pub fn finish(&mut self) {
        self.finished = true;
        self.flush();
    }

    /// The next answer, in the order of the frames; none after the last one of a stream that was finished. Packets are
    /// acknowledged. May be cancelled: nothing is lost. Only while it is awaited are answers taken and lost streams sought again.
    ///
    /// # Errors
    /// The stream was lost, and [`Retry`] gives it up; or the server has ended it for a reason that trying again won't change.
    pub async fn next(&mut self) -> Result<Option<Answer>, Error> {
        loop {
            self.flush();
            if let Some(answer) = self.remarks.pop_front().or_else(|| self.unanswered.pop()) {
                return Ok(Some(answer));
            }
            let until = self.unanswered.oldest_sent().map(|sent| sent + ANSWER_TIMEOUT);
            let wants_room = self.unanswered.has_unsent();
            let heard = match &mut self.state {
                State::Ended => return Ok(None),
                State::Seeking(seeking) => {
                    let found = seeking.as_mut().await.inspect_err(|_| self.state = State::Ended)?;
                    self.resume(found);
                    continue;
                }
                State::Open { session, draining } => {
                    let wanting = session.requests.as_ref().filter(|_| wants_room && !*draining);
                    let late = until.unwrap_or_else(|| Instant::now() + ANSWER_TIMEOUT).into();
                    tokio::select! {
                        // The next turn sends it.
                        () = has_room(wanting) => continue,
                        heard = timeout_at(late, session.responses.message()) => heard,
                    }
                }
            };
            match heard {
                Ok(Ok(Some(response))) => response.message.into_iter().for_each(|message| self.hear(message)),
                Ok(Ok(None)) => self.ended(&Status::unavailable("the stream ended early"))?,
                Ok(Err(status)) => self.ended(&status)?,
                Err(_) if until.is_none() => {}
                Err(_) => self.ended(&Status::unavailable(format!(
                    "a frame wasn't answered within {} s",
                    ANSWER_TIMEOUT.as_secs()
                )))?,
            }
        }
    }

    /// Sends what waits to be sent, as far as there is room; and the end, after the last frame.
    fn flush(&mut self) {
        let State::Open { session, draining } = &mut self.state else { return };
        let Some(requests) = &session.requests else { return };
        while !*draining && self.unanswered.has_unsent() {
            let Ok(place) = requests.try_reserve() else { return };
            let Some(frame) = self.unanswered.send() else { return };
            place.send(CompressStreamRequest { message: Some(Request::Frame(frame)) });
        }
        // A server that goes away needn't wait for us once it has answered what it took.
        let is_over = if *draining { self.unanswered.oldest_sent().is_none() } else { self.unanswered.all_sent() };
        if is_over && (*draining || self.finished) {
            session.requests = None;
        }
    }

    /// Says something that isn't said again: what a new stream has to know stands in what it is opened with.
    fn say(&mut self, message: Request) -> bool {
        let State::Open { session, .. } = &self.state else { return false };
        let Some(requests) = &session.requests else { return false };
        // A full queue means that newer news are on their way; waiting here could hold both sides up.
        requests.try_send(CompressStreamRequest { message: Some(message) }).is_ok()
    }

    fn hear(&mut self, message: Response) {
        match message {
            Response::Packet(packet) => {
                let frame_number = packet.frame_number;
                let latency = self.unanswered.given(frame_number).map(|given| given.elapsed()).unwrap_or_default();
                if self.acknowledges {
                    let received_us = if self.open.receipts { self.start.elapsed().as_micros() as u64 } else { 0 };
                    self.acknowledge(Ack { frame_number, received_us, ..Ack::default() });
                }
                self.answered(frame_number, Answer::Packet(Box::new(packet), latency));
            }
            Response::Dropped(dropped) => {
                let (frame_number, reason) = (dropped.frame_number, dropped.reason());
                // A server that goes away gives frames up that another one takes.
                if reason == DropReason::Closing && (!self.finished || self.is_draining()) {
                    self.unanswered.recall(frame_number);
                } else {
                    self.answered(frame_number, Answer::Dropped { frame_number, reason });
                }
            }
            Response::Error(error) if error.frame_number != 0 && self.is_draining() && is_unavailable(&error) => {
                self.unanswered.recall(error.frame_number);
            }
            Response::Error(error) => {
                let frame_number = error.frame_number;
                let failed = failed(&error);
                if !self.answered(frame_number, failed.clone()) && frame_number == 0 {
                    self.remarks.push_back(failed);
                }
            }
            Response::Notice(said) => {
                if let State::Open { draining, .. } = &mut self.state {
                    *draining |= said.kind() == notice::Kind::Draining;
                }
                self.remarks.push_back(Answer::Notice(said.message));
            }
            Response::Opened(_) => {}
        }
    }

    fn is_draining(&self) -> bool {
        matches!(self.state, State::Open { draining: true, .. })
    }

    fn answered(&mut self, frame_number: u64, answer: Answer) -> bool {
        let is_news = self.unanswered.answer(frame_number, answer);
        if is_news {
            (self.trouble, self.round) = (None, 0);
        }
        is_news
    }

    /// The stream has ended: for good where everything was answered, else another one is sought.
    fn ended(&mut self, status: &Status) -> Result<(), Error> {
        let State::Open { session, draining, .. } = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(());
        };
        self.unanswered.recall_all();
        if self.finished && self.unanswered.oldest().is_none() {
            return Ok(());
        }
        // A server that goes away may end frames with whatever status; another takes them.
        if !draining && !super::error::is_passing(status) {
            return Err(refused(status.clone()));
        }
        if let Some((frame_number, times)) = self.unanswered.oldest().filter(|(_, times)| *times >= MAX_SENDS) {
            return Err(Error::Deadly { frame_number, times, detail: said(status) });
        }
        let is_other = session.since.elapsed() >= HEALTHY;
        let since = self.trouble.filter(|_| !is_other).unwrap_or_else(Instant::now);
        self.trouble = Some(since);
        if since.elapsed() >= self.retry.give_up_after {
            let address = self.servers.get(self.at).map(|server| server.address.clone()).unwrap_or_default();
            return Err(Error::Unavailable { address, detail: said(status), attempts: 1, after: since.elapsed() });
        }
        let seek = Seek {
            servers: Arc::clone(&self.servers),
            retry: self.retry,
            open: self.open.clone(),
            at: (self.at + 1) % self.servers.len(),
            round: self.round,
            since,
            again: true,
        };
        self.state = State::Seeking(Box::pin(seek.run()));
        Ok(())
    }

    fn resume(&mut self, found: Found) {
        let address = self.servers.get(found.at).map(|server| server.address.clone()).unwrap_or_default();
        let after = self.trouble.map(|since| since.elapsed()).unwrap_or_default();
        self.remarks.push_back(Answer::Resumed { address, frames: self.unanswered.len(), after });
        self.take(found);
    }

    fn take(&mut self, found: Found) {
        (self.at, self.round) = (found.at, found.round);
        self.unanswered.set_window(found.session.opened.window.max(1) as usize);
        self.state = State::Open { session: Box::new(found.session), draining: false };
    }
}

/// Waits until one more request may go out; for ever where none is to.
async fn has_room(requests: Option<&mpsc::Sender<CompressStreamRequest>>) {
    let waited = match requests {
        Some(requests) => requests.reserve().await.map(drop),
        None => Err(mpsc::error::SendError(())),
    };
    // Where the stream has ended, its answers say so.
    if waited.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_unavailable(error: &FrameError) -> bool {
    error.code == Code::Unavailable as i32
}

fn failed(error: &FrameError) -> Answer {
    let violations = error.violations.iter().map(|v| format!("; {}: {}", v.field, v.description));
    Answer::Failed {
        frame_number: error.frame_number,
        code: error.code.into(),
        message: error.message.clone() + &violations.collect::<String>(),
    }
}
