//! Connections: accepted with patience, counted, and closed in peace.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
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
use crate::service::admission::{Pool, Valve, Valved};
use crate::service::call::Calls;

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
/// Bytes that HTTP/2 begins with. Less than that is no word yet in HTTP/1.1 either.
const WORD_BYTES: usize = 24;
/// Pauses after failed accepts, such as for want of file descriptors.
const BACKOFF: [Duration; 4] =
    [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(1_000)];

/// A listening socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

/// Who is at the other end of a connection; in the extensions of its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// None on a Unix-domain socket.
    pub(crate) addr: Option<SocketAddr>,
    /// What it has shown, verified.
    pub(crate) certificate: Option<Certificate>,
    /// The connection's bound on received bytes.
    pub(crate) room: Option<Pool>,
    /// Whether the connection is read.
    pub(crate) valve: Option<Valve>,
    /// Ends the connection.
    pub(crate) cut: CancellationToken,
}

/// A client certificate that a configured authority has signed.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// None where it holds none that can name a caller.
    pub(crate) name: Option<Arc<str>>,
}

/// A connection's socket.
trait Socket {
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
    builder: Arc<auto::Builder<Calls>>,
    places: Arc<Semaphore>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
    open: Gauge,
}

impl Transport {
    /// HTTP/2, and HTTP/1.1 for what can't speak it, as the configuration says; closed when the server stops.
    pub(crate) fn new(shared: &Arc<Shared>, open: Gauge) -> Self {
        let config = shared.config();
        let keepalive = Duration::from_millis(config.limits.keepalive_ms.into());
        let mut builder = auto::Builder::new(Calls);
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(config.admission.stream_window_kib * 1024)
            .initial_connection_window_size(config.admission.connection_window_kib * 1024)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_concurrent_streams(config.limits.max_streams_per_connection)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .keep_alive_interval(keepalive)
            .keep_alive_timeout(keepalive);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(FIRST_WORD);
        Self {
            builder: Arc::new(builder),
            places: Arc::new(Semaphore::new(config.limits.max_connections as usize)),
            stop: shared.drain.stop.clone(),
            shared: Arc::clone(shared),
            tasks: TaskTracker::new(),
            open,
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
        let socket = match listener {
            Listener::Tcp(listener) => {
                let (socket, addr) = listener.accept().await?;
                socket.set_nodelay(true)?;
                AnySocket::Tcp(socket, addr)
            }
            #[cfg(unix)]
            Listener::Unix(listener) => AnySocket::Unix(listener.accept().await?.0),
        };
        Ok(Accepted { socket, place })
    }
}

enum AnySocket {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

/// An accepted connection, with its place among those that may be open.
struct Accepted {
    socket: AnySocket,
    place: tokio::sync::OwnedSemaphorePermit,
}

impl Accepted {
    fn spawn(self, transport: &Transport, service: Router) {
        let this = transport.clone();
        let place = self.place;
        let tasks = transport.tasks.clone();
        let run = async move {
            this.open.inc();
            match self.socket {
                AnySocket::Tcp(socket, addr) => tcp_connection(&this, socket, addr, service).await,
                #[cfg(unix)]
                AnySocket::Unix(socket) => {
                    if spoke(&this, &socket).await {
                        let room = Some(this.shared.admission.connection());
                        connection(&this, socket, Peer { room, ..Peer::default() }, service).await;
                    }
                }
            }
            this.open.dec();
            drop(place);
        };
        tasks.spawn(run);
    }
}

/// Waits for a new connection's first word, though not for ever.
async fn spoke(transport: &Transport, socket: &impl Socket) -> bool {
    tokio::select! {
        spoke = tokio::time::timeout(FIRST_WORD, socket.first_word()) => matches!(spoke, Ok(Ok(()))),
        () = transport.stop.cancelled() => false,
    }
}

/// Serves a connection over TCP, encrypted where there is a certificate.
async fn tcp_connection(transport: &Transport, socket: TcpStream, addr: SocketAddr, service: Router) {
    if !spoke(transport, &socket).await {
        return;
    }
    let (addr, room) = (Some(addr), Some(transport.shared.admission.connection()));
    let Some(encryption) = &transport.shared.encryption else {
        return connection(transport, socket, Peer { addr, room, ..Peer::default() }, service).await;
    };
    let shaken = tokio::select! {
        shaken = encryption.accept(socket) => shaken,
        () = transport.stop.cancelled() => None,
    };
    if let Some((stream, certificate)) = shaken {
        connection(transport, stream, Peer { addr, certificate, room, ..Peer::default() }, service).await;
    }
}

async fn connection(
    transport: &Transport,
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    mut peer: Peer,
    service: Router,
) {
    let valve = Valve::default();
    peer.valve = Some(valve.clone());
    let cut = peer.cut.clone();
    let service = MapRequest::new(service, move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request
    });
    let serving = transport
        .builder
        .serve_connection(TokioIo::new(Valved::new(socket, valve.clone())), TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    // The protocol is found out by the first bytes, and nothing else bounds the time until they come.
    let silent = async {
        tokio::time::sleep(FIRST_WORD).await;
        if valve.heard() >= WORD_BYTES {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = silent => return,
        () = cut.cancelled() => return,
        () = transport.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
