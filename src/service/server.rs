//! The server's life: bind, run, drain.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS;
use tonic_health::pb::health_server::HealthServer;
use tonic_web::GrpcWebLayer;

use crate::service::admission::{Budgets, follow_readers, meter};
use crate::service::auth::{Authenticator, gate};
use crate::service::compute::Compute;
use crate::service::config::{Config, ConfigError};
use crate::service::drain::Drain;
use crate::service::grpc::Calls;
use crate::service::health::HealthCalls;
use crate::service::ledger::Ledger;
use crate::service::limits::{Limiter, guard};
use crate::service::proto::DESCRIPTORS;
use crate::service::proto::frame_compression_server::FrameCompressionServer;
use crate::service::registry::Registry;
use crate::service::reload::{Reloader, follow_certificates};
use crate::service::telemetry::Telemetry;
use crate::service::tls::Encryption;
use crate::service::transport::{Listener, Transport};
use crate::service::turns::Share;
use crate::service::{Shared, edge, http, selftest};

/// Why a server couldn't start or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Settings at fault.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// An address or a path that couldn't be listened on.
    #[error("{key}: can't listen on {place}: {error}")]
    Bind {
        /// The setting.
        key: &'static str,
        /// Its value.
        place: String,
        /// What the system said.
        error: io::Error,
    },
    /// Threads or services that couldn't be started.
    #[error("{what} couldn't be started: {detail}")]
    Start {
        /// What was started.
        what: &'static str,
        /// What went wrong.
        detail: String,
    },
}

impl ServeError {
    fn start(what: &'static str, error: &dyn std::error::Error) -> Self {
        Self::Start { what, detail: error.to_string() }
    }
}

/// A server with open sockets and a warm pool.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    grpc: TcpListener,
    http: std::net::TcpListener,
    addrs: [SocketAddr; 2],
    #[cfg(unix)]
    uds: Option<(tokio::net::UnixListener, SocketPath)>,
}

/// A socket's path, removed with the server.
#[derive(Debug)]
struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Someone may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Server {
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Checks `config`, opens the sockets, starts the compute pool and codes a known frame. Connections wait until
    /// [`Server::run`].
    ///
    /// # Errors
    /// Settings at fault, addresses in use, threads that can't be started. A self-test that fails is no error here: the
    /// server then says it isn't ready.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        config.validate()?;
        let auth = Authenticator::load(&config, None)?;
        let encryption = Encryption::load(&config.tls)?;
        let telemetry = Arc::new(Telemetry::default());
        let limiter = Limiter::new(&config.rates, &config.redis, &telemetry);
        let limiter = limiter.map_err(|detail| ServeError::Start { what: "rate limits", detail })?;
        let ledger = Ledger::open(&config.store, &telemetry).await;
        let ledger = ledger.map_err(|detail| ServeError::Start { what: "the store", detail })?;
        let compute = Compute::new(config.compute.threads, &config.admission)
            .map_err(|error| ServeError::start("the compute pool", &error))?;
        let lane = compute.lane(None);
        let engine = lane.engine().clone();
        let tested = lane
            .run(Share::default(), move |_| selftest::run(&mut engine.coder(), engine.level(), engine.pool()))
            .await;
        let self_test = tested.unwrap_or_else(|refusal| Err(refusal.message));
        if let Err(error) = &self_test {
            tracing::error!(error, "the self-test failed: the server won't be ready");
        }
        let (grpc_addr, http_addr) = (config.grpc_addr(), config.http_addr());
        let bind = |key, place: SocketAddr| move |error| ServeError::Bind { key, place: place.to_string(), error };
        let grpc = TcpListener::bind(grpc_addr).await.map_err(bind("listen.grpc_port", grpc_addr))?;
        let http = std::net::TcpListener::bind(http_addr).map_err(bind("listen.http_port", http_addr))?;
        http.set_nonblocking(true).map_err(bind("listen.http_port", http_addr))?;
        let addrs = [
            grpc.local_addr().map_err(bind("listen.grpc_port", grpc_addr))?,
            http.local_addr().map_err(bind("listen.http_port", http_addr))?,
        ];
        #[cfg(unix)]
        let uds = config.listen.uds.as_deref().map(bind_unix).transpose()?;
        Ok(Self {
            grpc,
            http,
            addrs,
            #[cfg(unix)]
            uds,
            shared: Arc::new(Shared {
                compute: Arc::new(compute),
                registry: Arc::new(Registry::new(config.limits.max_sessions)),
                admission: Arc::new(Budgets::new(
                    counted_mib(config.limits.max_in_flight_mib),
                    config.limits.max_session_mib,
                    config.admission.clone(),
                )),
                limiter,
                ledger,
                telemetry,
                drain: Drain::default(),
                self_test,
                auth: RwLock::new(Arc::new(auth)),
                auth_changed: watch::Sender::new(0),
                encryption,
                config: RwLock::new(Arc::new(config)),
            }),
        })
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.addrs[1]
    }

    /// A way to give it another configuration while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` ends, then drains: readiness goes at once, new streams are refused, running ones are told and
    /// their accepted frames answered, and everything is closed after `drain_ms` at the latest.
    ///
    /// # Errors
    /// The HTTP thread or the reflection service that couldn't be started.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let shared = self.shared;
        let routes = grpc_routes(&shared)?;
        let transport = Transport::new(&shared, shared.telemetry.connections().clone());
        let http = serve_http(Arc::clone(&shared), self.http)?;
        tokio::spawn(transport.clone().serve(Listener::Tcp(self.grpc), routes.clone()));
        #[cfg(unix)]
        let _socket_path = self.uds.map(|(listener, path)| {
            tokio::spawn(transport.clone().serve(Listener::Unix(listener), routes));
            path
        });
        let follower = tokio::spawn(follow_certificates(Arc::clone(&shared)));
        let readers = tokio::spawn(follow_readers(Arc::clone(&shared)));
        tracing::info!(grpc = %self.addrs[0], http = %self.addrs[1], "serving");
        shutdown.await;
        follower.abort();

        let until = Instant::now() + Duration::from_millis(shared.config().limits.drain_ms.into());
        tracing::info!(streams = shared.registry.len(), "stopping");
        shared.drain.start();
        if timeout_at(until - MARGIN, shared.drain.calls_ended()).await.is_err() {
            tracing::warn!(streams = shared.registry.len(), "calls are still open, and are cut");
        }
        shared.drain.stop.cancel();
        if timeout_at(until, async { tokio::join!(transport.closed(), http) }).await.is_err() {
            tracing::warn!("connections are still open, and are dropped");
        }
        readers.abort();
        shared.ledger.close(until.max(Instant::now() + MARGIN)).await;
        Ok(())
    }
}

/// What frames may take of a budget: a third is for what lies around them uncounted, in buffers of sockets and of HTTP/2.
const fn counted_mib(mib: u32) -> u32 {
    mib - mib / 3
}

/// Time kept of the drain to end what is still open with a status.
const MARGIN: Duration = Duration::from_millis(50);

/// Every gRPC service, with gRPC-web, origins and request ids around them.
pub(crate) fn grpc_routes(shared: &Arc<Shared>) -> Result<Router, ServeError> {
    let most = shared.config().max_message_bytes();
    let frames = FrameCompressionServer::new(Calls(Arc::clone(shared))).max_decoding_message_size(most);
    let name = <FrameCompressionServer<Calls> as NamedService>::NAME;
    let health = HealthServer::new(HealthCalls::new(Arc::clone(shared), name)).max_decoding_message_size(1 << 10);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(HEALTH_DESCRIPTORS)
        .build_v1()
        .map_err(|error| ServeError::start("reflection", &error))?;
    let routes = Routes::new(frames).add_service(health).add_service(reflection).into_axum_router();
    let measured = routes.layer(from_fn_with_state(Arc::clone(shared), meter));
    let limited = measured.layer(from_fn_with_state(Arc::clone(shared), guard));
    let known = limited.layer(from_fn_with_state(Arc::clone(shared), gate::calls));
    Ok(edge::around(known.layer(GrpcWebLayer::new()), shared))
}

/// Serves HTTP on a thread of its own, so that probes are answered however busy the frames keep the others. The returned
/// future ends when its connections are closed.
fn serve_http(shared: Arc<Shared>, listener: std::net::TcpListener) -> Result<impl Future<Output = ()>, ServeError> {
    let failed = |error: io::Error| ServeError::start("the HTTP thread", &error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener).map_err(failed)?
    };
    let serve = move || {
        runtime.block_on(async {
            let transport = Transport::new(&shared, Gauge::default());
            transport.clone().serve(Listener::Tcp(listener), http::router(shared)).await;
            transport.closed().await;
        });
        // The server may have stopped waiting.
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(failed)?;
    Ok(async { drop(has_ended.await) })
}

/// Listens on a path. A socket that an earlier process left behind is taken over; one that somebody answers on is not.
#[cfg(unix)]
fn bind_unix(path: &Path) -> Result<(tokio::net::UnixListener, SocketPath), ServeError> {
    use std::os::unix::fs::FileTypeExt;

    let is_left_over = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err();
    if is_left_over {
        // Where it can't be removed, binding says why.
        let _ = std::fs::remove_file(path);
    }
    let failed = |error| ServeError::Bind { key: "listen.uds", place: path.display().to_string(), error };
    let listener = tokio::net::UnixListener::bind(path).map_err(failed)?;
    Ok((listener, SocketPath(path.to_owned())))
}
