//! Connections: accepted with patience, counted, and closed in peace.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::MapRequest;

use crate::service::Shared;
use crate::service::admission::{Budgets, Pool};

/// Larger frames halve the cost of receiving multi-megabyte messages; much larger ones would delay what is behind them.
const MAX_FRAME_BYTES: u32 = 64 << 10;
/// What may wait for a slow reader inside the transport, so that old packets don't queue.
const SEND_BUFFER_BYTES: usize = 64 << 10;
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Resets of a connection before it is taken for an attack.
const MAX_PENDING_RESETS: usize = 20;
const MAX_LOCAL_RESETS: usize = 64;
/// Time a new connection may take to say its first word.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Pauses after failed accepts, such as for want of file descriptors.
const BACKOFF: [Duration; 4] =
    [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(1_000)];

/// Whose connection a request came over; in the extensions of every request.
#[derive(Debug)]
pub(crate) struct Peer {
    /// None over a Unix socket.
    pub(crate) ip: Option<IpAddr>,
    /// The connection's bound on received bytes.
    pub(crate) room: Pool,
}

/// A listening socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

/// A connection's socket.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {
    /// Waits until the peer has said something.
    fn first_word(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Socket for TcpStream {
    fn first_word(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }
}

#[cfg(unix)]
impl Socket for tokio::net::UnixStream {
    fn first_word(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }
}

/// What every connection of a listener is served with.
#[derive(Clone)]
pub(crate) struct Transport {
    builder: Arc<auto::Builder<TokioExecutor>>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Gauge,
    budgets: Arc<Budgets>,
}

impl Transport {
    /// HTTP/2, and HTTP/1.1 for what can't speak it, as configured; closed when the server stops.
    pub(crate) fn new(shared: &Shared, open: Gauge) -> Self {
        let config = &shared.config;
        let keepalive = Duration::from_millis(config.keepalive_ms.into());
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(config.admission.stream_window_kib * 1024)
            .initial_connection_window_size(config.admission.connection_window_kib * 1024)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_concurrent_streams(config.max_streams_per_connection)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .keep_alive_interval(keepalive)
            .keep_alive_timeout(keepalive);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(FIRST_WORD);
        Self {
            builder: Arc::new(builder),
            places: Arc::new(Semaphore::new(config.max_connections as usize)),
            stop: shared.drain.stop.clone(),
            tasks: TaskTracker::new(),
            open,
            budgets: Arc::clone(&shared.admission),
        }
    }

    /// Accepts connections and serves them with `service` until told to stop. Never ends for an accept that failed.
    pub(crate) async fn serve(self, listener: Listener, service: Router) {
        let mut failures = 0;
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                () = self.stop.cancelled() => return,
            };
            let Err(error) = accepted.map(|connection| connection.spawn(&self, service.clone())) else {
                failures = 0;
                continue;
            };
            tracing::warn!(%error, "a connection couldn't be accepted");
            let pause = BACKOFF.get(failures).copied().unwrap_or(BACKOFF[BACKOFF.len() - 1]);
            failures += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// Ends once every connection is closed; only after `stop`.
    pub(crate) async fn closed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn accept(&self, listener: &Listener) -> io::Result<Accepted> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err(io::Error::other("no place for connections any more"));
        };
        let (socket, ip) = match listener {
            Listener::Tcp(listener) => {
                let (socket, from) = listener.accept().await?;
                socket.set_nodelay(true)?;
                (AnySocket::Tcp(socket), Some(from.ip()))
            }
            #[cfg(unix)]
            Listener::Unix(listener) => (AnySocket::Unix(listener.accept().await?.0), None),
        };
        let room = self.budgets.connection();
        Ok(Accepted { socket, peer: Arc::new(Peer { ip, room }), place })
    }
}

enum AnySocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

/// An accepted connection, with its place among those that may be open.
struct Accepted {
    socket: AnySocket,
    peer: Arc<Peer>,
    place: tokio::sync::OwnedSemaphorePermit,
}

impl Accepted {
    fn spawn(self, transport: &Transport, service: Router) {
        let this = transport.clone();
        let (place, peer) = (self.place, self.peer);
        let tasks = transport.tasks.clone();
        let run = async move {
            this.open.inc();
            match self.socket {
                AnySocket::Tcp(socket) => connection(&this, socket, peer, service).await,
                #[cfg(unix)]
                AnySocket::Unix(socket) => connection(&this, socket, peer, service).await,
            }
            this.open.dec();
            drop(place);
        };
        tasks.spawn(run);
    }
}

async fn connection(transport: &Transport, socket: impl Socket + 'static, peer: Arc<Peer>, service: Router) {
    let spoke = tokio::select! {
        spoke = tokio::time::timeout(FIRST_WORD, socket.first_word()) => matches!(spoke, Ok(Ok(()))),
        () = transport.stop.cancelled() => false,
    };
    if !spoke {
        return;
    }
    let service = MapRequest::new(service, move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&peer));
        request
    });
    let serving = transport.builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = transport.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
