//! Where requests are measured as they arrive: their bodies take room before anybody sees them, and must make progress.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status};

use super::answer::Answer;
use super::framing::Framing;
use super::parked::Parked;
use super::valve::Hold;
use super::{Intake, Room, Valve};
use crate::service::Shared;
use crate::service::call;
use crate::service::caller::Caller;
use crate::service::refusal::Refusal;
use crate::service::telemetry::Telemetry;
use crate::service::transport::Peer;

/// Time between two looks at a message that doesn't go on.
const TICK: Duration = Duration::from_millis(25);

/// What a body gives.
type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;
type Taking = Pin<Box<dyn Future<Output = Result<Room, Refusal>> + Send>>;

/// A body that is measured.
struct Metered {
    inner: Body,
    intake: Arc<Intake>,
    telemetry: Arc<Telemetry>,
    framing: Framing,
    /// What has arrived, whether a message ends with it, and the room it waits for; none where it has it.
    waiting: Option<(Bytes, bool, Option<Taking>)>,
    /// A message that isn't whole, while others need their room; and whether it is by now.
    parked: Parked,
    flows: bool,
    has_ended: bool,
    /// The connection's, and while this waits for room, its hold on it.
    valve: Valve,
    hold: Option<Hold>,
    /// When the progress is looked at again, and what has arrived since it was last.
    due: Option<(Instant, usize)>,
    tick: Option<Pin<Box<Sleep>>>,
}

impl Metered {
    /// Looks at a message that doesn't go on; ends it where it has been given up or has been too slow.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        let config = self.intake.budgets().config();
        let patience = Duration::from_millis(config.progress_ms.into());
        loop {
            let (due, arrived) = *self.due.get_or_insert_with(|| (Instant::now() + patience, 0));
            let tick = self.tick.get_or_insert_with(|| Box::pin(sleep(TICK.min(patience))));
            ready!(tick.as_mut().poll(context));
            self.tick = None;
            let Some(late) = Instant::now().checked_duration_since(due) else { continue };
            let wanted = config.progress_kib_per_second as usize * 1024 * config.progress_ms as usize / 1_000;
            if arrived >= wanted || late > patience {
                // It has gone on; or we haven't looked for so long that it's our own fault.
                self.due = Some((Instant::now() + patience, 0));
                continue;
            }
            self.telemetry.message_cut("no progress");
            let told =
                format!("{arrived} bytes of a message came within {} ms, of at least {wanted}", config.progress_ms);
            return Poll::Ready(Refusal::new(Code::DeadlineExceeded, told));
        }
    }

    /// Takes note of `bytes` more, where `before` were there of a message: with the next one its time begins anew. Whether one
    /// has ended.
    fn arrived(&mut self, before: usize, bytes: usize) -> bool {
        let ends = !self.framing.is_within() || self.framing.partial() < before + bytes;
        if ends {
            self.due = None;
        } else if let Some((_, arrived)) = &mut self.due {
            *arrived += bytes;
        }
        ends
    }

    /// Takes what arrives next, and begins to take room for it; gives what isn't data.
    fn receive(&mut self, context: &mut Context<'_>) -> Poll<Option<Polled>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Poll::Ready(Some(Err(Status::from_error(error.into()))))));
            }
            Poll::Ready(None) => {
                // What is here is whole now, however it was framed.
                self.intake.receive(0, 0);
                (self.has_ended, self.flows) = (true, true);
                return Poll::Ready(Some(
                    self.parked.take().map_or(Poll::Ready(None), |block| Poll::Ready(Some(Ok(Frame::data(block))))),
                ));
            }
            Poll::Pending if !self.framing.is_within() => return Poll::Pending,
            Poll::Pending => {
                let refusal = ready!(self.wait(context));
                return Poll::Ready(Some(self.fail(refusal)));
            }
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Poll::Ready(Some(Poll::Ready(Some(Ok(trailers))))),
        };
        if self.parked.is_empty() {
            // Whoever asked for more has taken what was whole.
            self.intake.settle();
        }
        let before = self.framing.partial();
        self.framing.take(&data);
        let ends = self.arrived(before, data.len());
        let lacking = self.intake.receive(data.len(), self.framing.partial());
        let taking: Option<Taking> = match self.intake.take(lacking) {
            Ok(room) => {
                self.intake.hold(room);
                None
            }
            Err(_) => {
                self.hold = Some(self.valve.shut());
                Some(Box::pin(Arc::clone(&self.intake).take_in_time(lacking)))
            }
        };
        self.waiting = Some((data, ends, taking));
        Poll::Ready(None)
    }

    /// Waits for the room of what has arrived; gives it, and whether a message ends with it.
    fn take_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(Bytes, bool), Refusal>> {
        let Some((data, ends, taking)) = &mut self.waiting else { return Poll::Pending };
        if self.hold.as_ref().is_some_and(Hold::is_over) {
            self.hold = None;
        }
        let taken = match taking {
            Some(taking) => ready!(taking.as_mut().poll(context)).map(|room| self.intake.hold(room)),
            None => Ok(()),
        };
        let taken = taken.map(|()| (std::mem::take(data), *ends));
        if taken.is_err() {
            self.telemetry.message_cut("no room");
        }
        (self.waiting, self.hold) = (None, None);
        Poll::Ready(taken)
    }

    fn fail(&self, refusal: Refusal) -> Polled {
        Poll::Ready(Some(Err(self.intake.refuse(refusal).into())))
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        loop {
            if this.flows || this.parked.is_empty() {
                match this.parked.take() {
                    Some(block) => return Poll::Ready(Some(Ok(Frame::data(block)))),
                    None => this.flows = false,
                }
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            if this.intake.poll_given_up(context) {
                this.telemetry.message_cut("given up for another");
                return this.fail(Refusal::busy("the message lay half-sent, and others need its room"));
            }
            if this.waiting.is_none()
                && let Some(other) = ready!(this.receive(context))
            {
                return other;
            }
            let (data, ends) = match ready!(this.take_room(context)) {
                Ok(taken) => taken,
                Err(refusal) => return this.fail(refusal),
            };
            if this.parked.is_empty() && (ends || !this.intake.budgets().is_under_pressure()) {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            this.parked.put(&data);
            this.flows = ends;
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.parked.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.waiting.is_some() || !self.parked.is_empty() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

/// Measures a request's body, and gives its routes the [`Intake`] that it arrives in. An answer holds what was kept for it until
/// it was sent.
pub(crate) async fn meter(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>();
    let caller = parts.extensions.get::<Caller>().filter(|caller| **caller != Caller::anonymous());
    let stranger =
        peer.and_then(|peer| peer.addr).map(|addr| addr.ip()).filter(|ip| !ip.is_loopback()).map(|ip| ip.to_string());
    let who = caller.map(|caller| &*caller.id).or(stranger.as_deref());
    let connection = peer.map(|peer| peer.cut.clone()).unwrap_or_default();
    // Where a call can't be ended by itself, its connection is.
    let cuts = [call::cut().unwrap_or_else(|| connection.clone()), connection];
    let intake = shared.admission.intake(peer.and_then(|peer| peer.room.as_ref()), who, cuts);
    let kind = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let framing = if kind.starts_with(b"application/grpc") { Framing::MESSAGES } else { Framing::WHOLE };
    let valve = peer.and_then(|peer| peer.valve.clone()).unwrap_or_default();
    parts.extensions.insert(Arc::clone(&intake));
    let metered = Metered {
        inner: body,
        intake: Arc::clone(&intake),
        telemetry: Arc::clone(&shared.telemetry),
        framing,
        waiting: None,
        parked: Parked::default(),
        flows: false,
        has_ended: false,
        valve,
        hold: None,
        due: None,
        tick: None,
    };
    let response = next.run(Request::from_parts(parts, Body::new(metered))).await;
    response.map(|inner| Body::new(Answer::new(inner, intake)))
}
