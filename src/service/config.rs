//! What the server is told at its start, checked as a whole.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use validator::Validate;

use crate::limits::{Limits, MAX_SIDE};
use crate::service::admission::Admission;
use crate::service::ledger::StoreConfig;
use crate::service::limits::{RateLimits, RedisConfig, hide_password};
use crate::service::refusal::Violation;
use crate::service::wire::violations_of;

/// Room in a message beside the largest frame: field tags, strides, the rest of a request.
const MESSAGE_SLACK_BYTES: usize = 64 * 1024;
/// Most bytes a pixel takes in any format.
const MAX_PIXEL_BYTES: usize = 4;

/// Configuration of a [`Server`](crate::service::Server).
#[derive(Clone, Debug, PartialEq, Validate)]
pub struct Config {
    /// Where gRPC listens; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// Where HTTP listens; port 0 takes a free one.
    pub http_addr: SocketAddr,
    /// A Unix-domain socket for gRPC beside the address.
    pub uds: Option<PathBuf>,
    /// Callers aren't authenticated: must be set to listen on an address that other machines reach.
    pub insecure: bool,
    /// Compute threads, one a core where 0; at most 1024.
    #[validate(range(max = 1024, message = "at most 1024"))]
    pub threads: usize,
    /// Sizes of pictures and payloads taken.
    pub limits: Limits,
    /// Streams that may be open at once, 1..=100000.
    #[validate(range(min = 1, max = 100_000, message = "1..=100000"))]
    pub max_sessions: u32,
    /// Connections to each listener, 1..=100000; further ones wait to be accepted.
    #[validate(range(min = 1, max = 100_000, message = "1..=100000"))]
    pub max_connections: u32,
    /// Calls and streams at once on one connection, 1..=1000.
    #[validate(range(min = 1, max = 1_000, message = "1..=1000"))]
    pub max_streams_per_connection: u32,
    /// Frames in flight of all callers together, MiB, 64..=1048576.
    #[validate(range(min = 64, max = 1_048_576, message = "64..=1048576"))]
    pub max_in_flight_mib: u32,
    /// Time a call or a frame may take, ms, 100..=600000; a caller may ask for less.
    #[validate(range(min = 100, max = 600_000, message = "100..=600000"))]
    pub request_timeout_ms: u32,
    /// Time a stream's reader may take no answer before the stream is cut, ms, 100..=600000.
    #[validate(range(min = 100, max = 600_000, message = "100..=600000"))]
    pub stall_timeout_ms: u32,
    /// Time between keep-alive pings, and for their answers, ms, 1000..=600000.
    #[validate(range(min = 1_000, max = 600_000, message = "1000..=600000"))]
    pub keepalive_ms: u32,
    /// Time from the order to stop until everything is closed, ms, 100..=30000.
    #[validate(range(min = 100, max = 30_000, message = "100..=30000"))]
    pub drain_ms: u32,
    /// Time streams stay open after the notice that the server is stopping, ms, at most 30000: later frames are answered,
    /// though not taken.
    #[validate(range(max = 30_000, message = "at most 30000"))]
    pub drain_notice_ms: u32,
    /// Origins of web pages that may call, such as `https://example.org`. None by default.
    pub allowed_origins: Vec<String>,
    /// How much callers may have in flight, and what is shed when there is too much to do.
    #[validate(nested)]
    pub admission: Admission,
    /// How often callers may call.
    #[validate(nested)]
    pub rates: RateLimits,
    /// Where rate limits are shared between instances.
    #[validate(nested)]
    pub redis: RedisConfig,
    /// Where usage and settings last.
    #[validate(nested)]
    pub store: StoreConfig,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            grpc_addr: loopback(50_051),
            http_addr: loopback(8_080),
            uds: None,
            insecure: false,
            threads: 0,
            limits: Limits::SERVICE,
            max_sessions: 256,
            max_connections: 1_024,
            max_streams_per_connection: 32,
            max_in_flight_mib: 512,
            request_timeout_ms: 10_000,
            stall_timeout_ms: 10_000,
            keepalive_ms: 15_000,
            drain_ms: 25_000,
            drain_notice_ms: 250,
            allowed_origins: Vec::new(),
            admission: Admission::default(),
            rates: RateLimits::default(),
            redis: RedisConfig::default(),
            store: StoreConfig::default(),
        }
    }
}

impl Config {
    /// Checks every setting.
    ///
    /// # Errors
    /// All settings at fault, each with its value and limit.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = violations_of(self, "");
        for (key, addr) in [("grpc_addr", self.grpc_addr), ("http_addr", self.http_addr)] {
            if !addr.ip().is_loopback() && !self.insecure {
                faults.push(fault(
                    key,
                    format!("{addr} is reachable from other machines and callers aren't authenticated; set insecure if that is meant"),
                ));
            }
        }
        if self.grpc_addr.port() != 0 && self.grpc_addr == self.http_addr {
            faults.push(fault("http_addr", format!("{} is grpc_addr too; each needs its own", self.http_addr)));
        }
        self.check_limits(&mut faults);
        for origin in &self.allowed_origins {
            let is_origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if is_origin.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
                faults
                    .push(fault("allowed_origins", format!("{origin:?} is not an origin such as https://example.org")));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigError { faults }) }
    }

    fn check_limits(&self, faults: &mut Vec<Violation>) {
        let limits = &self.limits;
        for (key, min, max) in [
            ("limits.min_width", limits.min_width, limits.max_width),
            ("limits.min_height", limits.min_height, limits.max_height),
        ] {
            if min == 0 || min > max {
                faults.push(fault(key, format!("{min} is outside 1..={max}")));
            }
        }
        for (key, side) in [("limits.max_width", limits.max_width), ("limits.max_height", limits.max_height)] {
            if side > MAX_SIDE {
                faults.push(fault(key, format!("{side} is over {MAX_SIDE}")));
            }
        }
        let message = self.max_message_bytes();
        for (key, mib) in [
            ("max_in_flight_mib", self.max_in_flight_mib),
            ("admission.connection_mib", self.admission.connection_mib),
            ("admission.caller_mib", self.admission.caller_mib),
        ] {
            if message > mib as usize * (1 << 20) {
                faults.push(fault(key, format!("{mib} is under the {message} bytes of the largest message")));
            }
        }
    }

    /// The largest message taken: the largest raw frame, or encoded payload, and some room. An encoded payload over its limit
    /// still fits, and is told so without the end of its stream.
    pub fn max_message_bytes(&self) -> usize {
        let raw = self.limits.max_width as usize * self.limits.max_height as usize * MAX_PIXEL_BYTES;
        raw.max(2 * self.limits.max_encoded_bytes) + MESSAGE_SLACK_BYTES
    }
}

fn fault(field: &str, description: String) -> Violation {
    Violation { field: field.to_owned(), description }
}

/// The effective configuration, a `key = value` a line.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = &self.limits;
        let uds = self.uds.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let redis = self.redis.url.as_deref().map(hide_password).unwrap_or_default();
        let database = self.store.database_url.as_deref().map(hide_password).unwrap_or_default();
        let folder = self.store.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let rows: [(&str, &dyn fmt::Display); 24] = [
            ("grpc_addr", &self.grpc_addr),
            ("http_addr", &self.http_addr),
            ("uds", &uds),
            ("insecure", &self.insecure),
            ("threads", &self.threads),
            ("limits.min_width", &limits.min_width),
            ("limits.min_height", &limits.min_height),
            ("limits.max_width", &limits.max_width),
            ("limits.max_height", &limits.max_height),
            ("limits.max_encoded_bytes", &limits.max_encoded_bytes),
            ("limits.max_decoder_bytes", &limits.max_decoder_bytes),
            ("max_sessions", &self.max_sessions),
            ("max_connections", &self.max_connections),
            ("max_streams_per_connection", &self.max_streams_per_connection),
            ("max_in_flight_mib", &self.max_in_flight_mib),
            ("request_timeout_ms", &self.request_timeout_ms),
            ("stall_timeout_ms", &self.stall_timeout_ms),
            ("keepalive_ms", &self.keepalive_ms),
            ("drain_ms", &self.drain_ms),
            ("drain_notice_ms", &self.drain_notice_ms),
            ("allowed_origins", &self.allowed_origins.join(" ")),
            ("redis.url", &redis),
            ("store.path", &folder),
            ("store.database_url", &database),
        ];
        for (key, value) in rows {
            writeln!(f, "{key} = {value}")?;
        }
        Ok(())
    }
}

/// Settings at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Violation>,
}

impl ConfigError {
    /// Each key at fault, with its value and limit in words.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.faults.iter().map(|fault| (fault.field.as_str(), fault.description.as_str()))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<_> = self.faults().map(|(key, why)| format!("{key}: {why}")).collect();
        f.write_str(&told.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Config) -> Vec<String> {
        config.validate().map_or_else(|e| e.faults().map(|(key, _)| key.to_owned()).collect(), |()| Vec::new())
    }

    #[test]
    fn defaults_are_loopback_and_valid() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert!(config.grpc_addr.ip().is_loopback() && config.http_addr.ip().is_loopback());
        assert_eq!(config.max_message_bytes(), 3840 * 2160 * 4 + 65_536);
        assert!(config.to_string().contains("grpc_addr = 127.0.0.1:50051\n"));
    }

    #[test]
    fn other_machines_are_let_in_only_when_meant() {
        let open = SocketAddr::from(([0, 0, 0, 0], 50_051));
        let config = Config { grpc_addr: open, ..Config::default() };
        assert_eq!(keys(&config), ["grpc_addr"]);
        assert_eq!(keys(&Config { insecure: true, ..config }), [""; 0]);
    }

    #[test]
    fn every_fault_is_named_with_value_and_limit() {
        let mut config = Config { drain_ms: 31_000, max_sessions: 0, ..Config::default() };
        config.limits.min_width = 4_000;
        config.allowed_origins = vec!["*".to_owned()];
        let mut faults = keys(&config);
        faults.sort();
        assert_eq!(faults, ["allowed_origins", "drain_ms", "limits.min_width", "max_sessions"]);
        let text = config.validate().unwrap_err().to_string();
        assert!(text.contains("drain_ms: 31000 is outside 100..=30000"), "{text}");
    }
}
