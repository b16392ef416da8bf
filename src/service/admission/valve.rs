//! A connection's socket isn't read while one of its requests waits for room, so that what is sent meanwhile stays with the sender
//! instead of filling the windows of HTTP/2, which nobody counts. One that talks without saying anything is ended here, too.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chatter::Chatter;

/// Bytes read before those they are for have their turn, and may find that there is no room.
const TURN_BYTES: usize = 64 << 10;
/// Longest that a request keeps its connection from being read: what else is said on it, such as that the peer is alive, must be
/// heard in time.
const MOST: Duration = Duration::from_secs(5);

/// Whether a connection may be read. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Valve(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests that keep it shut.
    shut: AtomicUsize,
    /// Bytes that were heard.
    heard: AtomicUsize,
    /// Who wants to read meanwhile.
    reader: Mutex<Option<Waker>>,
}

impl Valve {
    /// Shuts it until the hold is dropped.
    pub(super) fn shut(&self) -> Hold {
        self.0.shut.fetch_add(1, Ordering::AcqRel);
        Hold { valve: self.clone(), since: Instant::now() }
    }

    /// Bytes that were read of the connection.
    pub(crate) fn heard(&self) -> usize {
        self.0.heard.load(Ordering::Relaxed)
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        if self.0.shut.load(Ordering::Acquire) == 0 {
            return Poll::Ready(());
        }
        *self.0.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        // It may have been opened before the waker was there.
        if self.0.shut.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Keeps a valve shut.
#[derive(Debug)]
pub(super) struct Hold {
    valve: Valve,
    since: Instant,
}

impl Hold {
    /// Whether it has been shut for as long as it may.
    pub(super) fn is_over(&self) -> bool {
        self.since.elapsed() >= MOST
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.valve.0.shut.fetch_sub(1, Ordering::AcqRel) == 1 {
            let reader = self.valve.0.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }
}

/// A socket behind a valve.
#[derive(Debug)]
pub(crate) struct Valved<S> {
    socket: S,
    valve: Valve,
    /// Bytes read since others had their turn.
    read: usize,
    chatter: Chatter,
}

impl<S> Valved<S> {
    pub(crate) fn new(socket: S, valve: Valve) -> Self {
        Self { socket, valve, read: 0, chatter: Chatter::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Valved<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.valve.poll_open(context).is_pending() {
            return Poll::Pending;
        }
        if this.read >= TURN_BYTES {
            this.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(context, buffer);
        match polled {
            Poll::Ready(_) => {
                let bytes = buffer.filled().len() - before;
                this.read += bytes;
                this.valve.0.heard.fetch_add(bytes, Ordering::Relaxed);
                if !this.chatter.take(buffer.filled().get(before..).unwrap_or_default()) {
                    return Poll::Ready(Err(io::Error::other(
                        "more frames than a connection may send that carry nothing",
                    )));
                }
            }
            // Others have their turn anyway.
            Poll::Pending => this.read = 0,
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Valved<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn nothing_is_read_while_it_is_shut() {
        let (mut sender, receiver) = duplex(1 << 20);
        let valve = Valve::default();
        let mut receiver = Valved::new(receiver, valve.clone());
        sender.write_all(&[1; 400_000]).await.unwrap();
        let mut buffer = vec![0; 300_000];
        receiver.read_exact(&mut buffer).await.unwrap();
        let holds = [valve.shut(), valve.shut()];
        let shut = timeout(Duration::from_millis(20), receiver.read_u8()).await;
        assert!(shut.is_err() && !holds[0].is_over());
        receiver.write_all(b"still").await.unwrap();
        let mut heard = [0; 5];
        sender.read_exact(&mut heard).await.unwrap();
        let [one, two] = holds;
        drop(one);
        let reading = tokio::spawn(async move { receiver.read_exact(&mut buffer[..100_000]).await.map(drop) });
        tokio::task::yield_now().await;
        assert!(!reading.is_finished(), "another keeps it shut");
        drop(two);
        assert_eq!(valve.heard(), 300_000);
        timeout(Duration::from_secs(60), reading).await.unwrap().unwrap().unwrap();
    }
}
