//! The search for a server that takes the stream: from address to address, and after each round a longer wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use super::Error;
use super::backoff::{Retry, chance};
use super::error::is_passing;
use super::line::{Server, caller, told};
use crate::limits;
use crate::proto::compress_stream_request::Message as Request;
use crate::proto::compress_stream_response::Message as Response;
use crate::proto::{CompressStreamRequest, CompressStreamResponse, KeyframeRequest, Open, Opened};

/// Time a server may take to agree to a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that may wait for the transport: a whole window of frames, and what is said beside them.
const MAX_REQUESTS: usize = *limits::WINDOW_FRAMES.end() as usize + 8;

/// An open stream, both ways.
pub(super) struct Session {
    /// None once nothing more will be sent.
    pub(super) requests: Option<mpsc::Sender<CompressStreamRequest>>,
    pub(super) responses: Streaming<CompressStreamResponse>,
    pub(super) opened: Opened,
    pub(super) since: Instant,
}

/// What is sought.
pub(super) struct Seek {
    pub(super) servers: Arc<[Server]>,
    pub(super) retry: Retry,
    pub(super) open: Open,
    /// Which address is tried first.
    pub(super) at: usize,
    /// Rounds that have failed since the last answer.
    pub(super) round: u32,
    /// When it began.
    pub(super) since: Instant,
    /// Whether a stream was lost: what comes next must stand alone.
    pub(super) again: bool,
}

/// What was found, and where.
pub(super) struct Found {
    pub(super) session: Session,
    pub(super) at: usize,
    pub(super) round: u32,
}

/// Why an address wouldn't do.
enum Failed {
    Connection(String),
    Call(Status),
}

impl Seek {
    /// Tries one address after another.
    pub(super) async fn run(mut self) -> Result<Found, Error> {
        let mut attempts = 0;
        let patient = self.again || self.retry.from_the_start;
        if self.again {
            self.pause(Duration::ZERO).await;
        }
        loop {
            let mut least = Duration::ZERO;
            let mut last = None;
            for _ in 0..self.servers.len() {
                let Some(server) = self.servers.get(self.at) else { break };
                attempts += 1;
                match self.attempt(server).await {
                    Ok(session) => return Ok(Found { session, at: self.at, round: self.round }),
                    Err(Failed::Call(status)) if !is_passing(&status) => return Err(refused(status)),
                    Err(failed) => {
                        least = least.max(failed.retry_after());
                        last = Some((self.at, failed));
                    }
                }
                self.at = (self.at + 1) % self.servers.len();
            }
            let until = self.since + if patient { self.retry.give_up_after } else { Duration::ZERO };
            if Instant::now() + least >= until {
                return Err(self.given_up(last, attempts));
            }
            self.pause(least).await;
        }
    }

    async fn pause(&mut self, least: Duration) {
        sleep(self.retry.wait(self.round, chance()).max(least)).await;
        self.round = self.round.saturating_add(1);
    }

    async fn attempt(&self, server: &Server) -> Result<Session, Failed> {
        let line = server.connect().await.map_err(|error| Failed::Connection(told(&error)))?;
        let (requests, receiver) = mpsc::channel(MAX_REQUESTS);
        let mut first = vec![Request::Open(self.open.clone())];
        if self.again {
            first.push(Request::Keyframe(KeyframeRequest {}));
        }
        for message in first {
            // There is room for more than these.
            let _ = requests.try_send(CompressStreamRequest { message: Some(message) });
        }
        let opening = async {
            let mut responses = caller(line).compress_stream(ReceiverStream::new(receiver)).await?.into_inner();
            let greeting = responses.message().await?.and_then(|response| response.message);
            Ok((responses, greeting))
        };
        let (responses, greeting) = match timeout(OPEN_TIMEOUT, opening).await {
            Ok(answered) => answered.map_err(Failed::Call)?,
            Err(_) => return Err(Failed::Connection(format!("no answer within {} s", OPEN_TIMEOUT.as_secs()))),
        };
        match greeting {
            Some(Response::Opened(opened)) => {
                Ok(Session { requests: Some(requests), responses, opened, since: Instant::now() })
            }
            Some(Response::Error(error)) => Err(Failed::Call(Status::new(error.code.into(), error.message))),
            _ => Err(Failed::Connection("the stream wasn't opened".to_owned())),
        }
    }

    fn given_up(&self, last: Option<(usize, Failed)>, attempts: u32) -> Error {
        let (at, detail) = match last {
            // The first stream of all: what the server said is what the caller wants to know.
            Some((_, Failed::Call(status))) if !self.again => return refused(status),
            Some((at, Failed::Call(status))) => (at, said(&status)),
            Some((at, Failed::Connection(detail))) => (at, detail),
            None => (self.at, "no address".to_owned()),
        };
        let address = self.servers.get(at).map(|server| server.address.clone()).unwrap_or_default();
        Error::Unavailable { address, detail, attempts, after: self.since.elapsed() }
    }
}

impl Failed {
    /// The time that a server has asked for.
    fn retry_after(&self) -> Duration {
        match self {
            Self::Connection(_) => Duration::ZERO,
            Self::Call(status) => status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default(),
        }
    }
}

pub(super) fn refused(status: Status) -> Error {
    Error::Refused(Box::new(status))
}

/// A status in words.
pub(super) fn said(status: &Status) -> String {
    format!("{} ({:?})", status.message(), status.code())
}
