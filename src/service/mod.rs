//! The streaming service: gRPC for frames on one listener, HTTP for people and probes on another.
//!
//! [`Server::bind`] checks the configuration, opens the sockets, starts the compute pool and codes a known frame;
//! [`Server::run`] serves until told to stop, and then lets every accepted frame be answered.

mod admission;
mod caller;
mod compute;
mod config;
mod deadline;
mod drain;
mod edge;
mod grpc;
mod health;
mod http;
mod ledger;
mod limits;
mod random;
mod refusal;
mod registry;
mod selftest;
mod server;
mod stills;
mod stream;
mod telemetry;
mod transport;
pub(crate) mod wire;

use std::sync::Arc;

pub use admission::Admission;
pub use config::{Config, ConfigError};
pub use ledger::StoreConfig;
pub use limits::{RateLimits, RedisConfig, Windows};
pub use server::{ServeError, Server};

/// The wire contract's types, client and server, as generated from `proto/`.
pub mod proto {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]

    tonic::include_proto!("auralink.aic.v1");

    /// The contract's descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// What all calls, streams and probes of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
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
