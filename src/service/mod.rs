//! The streaming service: gRPC for frames on one listener, HTTP for people and probes on another.
//!
//! [`Server::bind`] checks the configuration, opens the sockets, starts the compute pool and codes a known frame;
//! [`Server::run`] serves until told to stop, and then lets every accepted frame be answered.

mod admission;
pub(crate) mod auth;
mod call;
mod caller;
mod compute;
pub mod config;
mod deadline;
mod drain;
mod edge;
#[cfg(test)]
mod fault_tests;
mod grpc;
mod health;
mod http;
mod lane;
mod ledger;
mod limits;
#[cfg(feature = "testing")]
pub mod overhead;
mod random;
mod refusal;
mod registry;
mod reload;
mod selftest;
mod server;
mod stills;
mod stream;
mod telemetry;
mod tls;
mod traces;
mod transport;
mod turns;
pub(crate) mod wire;

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

pub use admission::Admission;
pub use auth::{KeyFile, KeyFileError, mint_token};
pub use config::{Config, ConfigError};
pub use ledger::StoreConfig;
pub use limits::{RateLimits, RedisConfig, Windows};
pub use reload::{Reloader, check_files};
pub use server::{ServeError, Server};
#[cfg(feature = "otel")]
pub use traces::Traces;

pub use crate::proto;

/// What all calls, streams and probes of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: RwLock<Arc<Config>>,
    auth: RwLock<Arc<auth::Authenticator>>,
    /// Counts the configurations that were taken over.
    auth_changed: watch::Sender<u64>,
    /// None where the listeners don't speak TLS.
    encryption: Option<tls::Encryption>,
    compute: Arc<compute::Compute>,
    registry: Arc<registry::Registry>,
    admission: Arc<admission::Budgets>,
    limiter: limits::Limiter,
    ledger: Arc<ledger::Ledger>,
    telemetry: Arc<telemetry::Telemetry>,
    drain: drain::Drain,
    /// How coding the known frame went.
    self_test: Result<(), String>,
}

impl Shared {
    /// The configuration as it is now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What callers are known by now.
    pub(crate) fn auth(&self) -> Arc<auth::Authenticator> {
        Arc::clone(&self.auth.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes whenever callers may be known by something else.
    pub(crate) fn auth_changes(&self) -> watch::Receiver<u64> {
        self.auth_changed.subscribe()
    }
}
