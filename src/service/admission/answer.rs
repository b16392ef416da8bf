//! Answers on their way out: in pieces, so that the transport takes no more of one than its reader has room for, and with their share of
//! the bytes in flight, given back as they are written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use tokio::time::sleep;

use super::{Intake, Room};
use crate::service::Shared;

/// What the transport is given at once. A reader who takes less in `limits.stall_timeout_ms` is taken for one who doesn't read; much
/// smaller pieces cost more turns.
const PIECE_BYTES: usize = 32 << 10;

/// Time between two looks at who reads.
const LOOK: Duration = Duration::from_millis(100);

/// Ends calls whose readers have stopped reading, for as long as it is polled.
pub(crate) async fn follow_readers(shared: Arc<Shared>) {
    loop {
        sleep(LOOK).await;
        let stall = Duration::from_millis(shared.config().limits.stall_timeout_ms.into());
        let cut = shared.admission.cut_stalled(stall);
        if cut > 0 {
            tracing::warn!(calls = cut, "readers have stalled, their calls are cut");
            shared.telemetry.readers_cut(cut as u64);
        }
    }
}

/// An answer's body.
pub(super) struct Answer {
    inner: Body,
    intake: Arc<Intake>,
    /// What the transport hasn't asked for yet, of what was made at once, and its last piece.
    rest: Bytes,
    last: Option<Bytes>,
}

/// Bytes, and their room.
struct Counted {
    data: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// A piece that the transport has; dropped once it is written.
struct Piece {
    data: Bytes,
    intake: Arc<Intake>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.intake.piece_gone();
    }
}

impl Answer {
    pub(super) const fn new(inner: Body, intake: Arc<Intake>) -> Self {
        Self { inner, intake, rest: Bytes::new(), last: None }
    }

    /// The next piece of what there is.
    fn piece(&mut self) -> Option<Bytes> {
        let data =
            if self.rest.is_empty() { self.last.take()? } else { self.rest.split_to(self.rest.len().min(PIECE_BYTES)) };
        self.intake.piece_given();
        Some(Bytes::from_owner(Piece { data, intake: Arc::clone(&self.intake) }))
    }

    fn take(&mut self, mut data: Bytes) {
        let mut room = self.intake.pay(data.len());
        if data.len() > PIECE_BYTES {
            // The last piece stands by itself: nobody is left to end a call that waits for it alone, and it isn't to keep the
            // others.
            let last = data.split_off(data.len() - PIECE_BYTES);
            let kept = Counted { data: Bytes::copy_from_slice(&last), _room: room.split_bytes(PIECE_BYTES) };
            self.last = Some(Bytes::from_owner(kept));
        }
        self.rest = Bytes::from_owner(Counted { data, _room: room });
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => this.take(data),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.last.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() && self.last.is_none() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::service::admission::{Admission, Budgets};

    #[tokio::test]
    async fn room_goes_with_what_is_written() {
        let budgets = Arc::new(Budgets::new(1, 1, Admission::default()));
        let intake = budgets.intake(None, None, Default::default());
        let data: Bytes = (0..200_000_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
        intake.keep(data.len()).unwrap();
        let mut answer = Answer::new(Body::from(data.clone()), Arc::clone(&intake));
        let (mut pieces, mut sizes) = (Vec::new(), Vec::new());
        while let Some(frame) = answer.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            sizes.push(piece.len());
            pieces.push(piece);
        }
        assert_eq!(pieces.concat(), data);
        assert!(sizes.iter().all(|&size| size <= PIECE_BYTES));
        drop((answer, intake));
        assert_eq!(budgets.bytes_in_flight(), 196 * 1024);
        let last = pieces.pop();
        drop(pieces);
        assert_eq!(budgets.bytes_in_flight(), PIECE_BYTES);
        drop(last);
        assert_eq!(budgets.bytes_in_flight(), 0);
        assert!(budgets.live().is_empty());
    }
}
