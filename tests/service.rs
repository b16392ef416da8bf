//! The service as its callers meet it: a real server, real clients, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helpers may fail the test")]
#![allow(clippy::print_stdout, reason = "figures are told to whoever asks for them")]

#[path = "service/abbreviated.rs"]
mod abbreviated;
#[path = "service/access.rs"]
mod access;
#[path = "service/attacks.rs"]
mod attacks;
#[path = "service/calls.rs"]
mod calls;
#[path = "service/drain.rs"]
mod drain;
#[path = "service/h264.rs"]
mod h264;
#[path = "service/harness.rs"]
mod harness;
#[path = "service/health.rs"]
mod health;
#[path = "service/hostile.rs"]
mod hostile;
#[path = "service/http.rs"]
mod http;
#[path = "service/ledger.rs"]
mod ledger;
#[path = "service/limits.rs"]
mod limits;
#[path = "service/metrics.rs"]
mod metrics;
#[path = "service/openapi.rs"]
mod openapi;
#[path = "service/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;
#[path = "service/programs.rs"]
mod programs;
#[path = "service/redis.rs"]
mod redis;
#[path = "service/redis_faults.rs"]
mod redis_faults;
#[path = "service/sessions.rs"]
mod sessions;
#[path = "service/shedding.rs"]
mod shedding;
mod skip;
#[path = "service/streams.rs"]
mod streams;
#[path = "service/tls.rs"]
mod tls;
#[path = "service/tokens.rs"]
mod tokens;
#[path = "support/wire.rs"]
mod wire;
