//! The sections of a configuration, as they stand in its file.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use validator::Validate;

use crate::limits::Limits;
use crate::service::config::Secret;

/// `[listen]`: where the server is reached. Fixed while it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address of gRPC, and of HTTP where that has none of its own.
    pub address: IpAddr,
    /// Port of gRPC; 0 takes a free one.
    pub grpc_port: u16,
    /// Port of HTTP; 0 takes a free one.
    pub http_port: u16,
    /// Address of HTTP.
    pub http_address: Option<IpAddr>,
    /// A Unix-domain socket for gRPC beside the address, without TLS.
    pub uds: Option<PathBuf>,
    /// Listen where other machines reach it, though callers aren't authenticated.
    pub insecure: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            grpc_port: 50_051,
            http_port: 8_080,
            http_address: None,
            uds: None,
            insecure: false,
        }
    }
}

/// What a caller may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Compress, and see its own sessions.
    Compress,
    /// See all sessions and the metrics.
    Observe,
    /// Everything.
    Admin,
}

/// `[auth]`: who may call. Nobody has to say who they are while no key, token key or client authority is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A file of API keys, as `auralink keys` writes it.
    pub keys_file: Option<PathBuf>,
    /// API keys beside those of the file.
    pub keys: Vec<ApiKey>,
    /// `/metrics` is open to everybody.
    pub open_metrics: bool,
    /// Life of a token traded for a key, seconds, 60..=86400.
    #[validate(range(min = 60, max = 86_400, message = "60..=86400"))]
    pub token_ttl_s: u32,
    /// What callers with a client certificate may do, where `certificates` doesn't name them.
    pub certificate_roles: Vec<Role>,
    /// What callers with certain client certificates may do.
    pub certificates: Vec<Certificate>,
    /// Tokens.
    #[validate(nested)]
    pub jwt: Jwt,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            keys_file: None,
            keys: Vec::new(),
            open_metrics: false,
            token_ttl_s: 900,
            certificate_roles: vec![Role::Compress],
            certificates: Vec::new(),
            jwt: Jwt::default(),
        }
    }
}

/// An API key, by what it hashes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Name of the caller: letters, digits, `-` and `.`, at most 64.
    pub id: String,
    /// SHA-256 of the whole key, in hexadecimal digits.
    pub sha256: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// When it was made, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// When it ends, seconds since 1970; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Kept in the list, but not taken any more.
    #[serde(default)]
    pub revoked: bool,
}

/// A client certificate and its roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Its first URI, else its first DNS name, else its common name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<Role>,
}

/// `[auth.jwt]`: tokens, RFC 7519.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be or hold.
    pub audience: String,
    /// How far the clocks of who issues and who checks may differ, seconds, at most 60.
    #[validate(range(max = 60, message = "0..=60"))]
    pub leeway_s: u32,
    /// Key that signs the tokens which are traded for API keys; absent for one made at the start, of this process alone.
    pub sign_with: Option<String>,
    /// Keys that tokens may be signed with.
    pub keys: Vec<JwtKey>,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            issuer: "auralink".to_owned(),
            audience: "auralink".to_owned(),
            leeway_s: 60,
            sign_with: None,
            keys: Vec::new(),
        }
    }
}

/// Algorithms that tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever checks can sign.
    HS256,
    /// Ed25519.
    EdDSA,
    /// ECDSA with P-256 and SHA-256.
    ES256,
}

/// A key of tokens. HS256 has one of the secrets, the others a public key, a private key, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtKey {
    /// What `kid` is in the header of its tokens.
    pub kid: String,
    /// The only algorithm it is used with, whatever a token says.
    pub algorithm: Algorithm,
    /// At least 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// A file of at least 32 bytes; white space at its ends doesn't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// PEM, `PUBLIC KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_file: Option<PathBuf>,
    /// PEM, `PRIVATE KEY` (PKCS #8): signs too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
}

/// Whether callers show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They aren't asked.
    #[default]
    Off,
    /// A certificate is one way among others to say who calls.
    Optional,
    /// No connection without one.
    Required,
}

/// `[tls]`: both listeners speak TLS where there is a certificate. Whether they do is fixed while the server runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM, the server's certificate first, then those between it and the root.
    pub cert_file: Option<PathBuf>,
    /// PEM, the certificate's private key.
    pub key_file: Option<PathBuf>,
    /// PEM, authorities of client certificates.
    pub client_ca_file: Option<PathBuf>,
    /// Whether callers show a certificate.
    pub clients: ClientCertificates,
    /// Time a handshake may take, ms, 100..=60000.
    #[validate(range(min = 100, max = 60_000, message = "100..=60000"))]
    pub handshake_timeout_ms: u32,
    /// Time between looks at whether the files have changed, seconds, at most 86400; 0 for none.
    #[validate(range(max = 86_400, message = "0..=86400"))]
    pub check_files_s: u32,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            clients: ClientCertificates::Off,
            handshake_timeout_ms: 10_000,
            check_files_s: 30,
        }
    }
}

impl Tls {
    /// Whether the listeners speak TLS.
    pub fn is_on(&self) -> bool {
        self.cert_file.is_some()
    }
}

/// `[limits]`: how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceLimits {
    /// Streams that may be open at once, 1..=100000.
    #[validate(range(min = 1, max = 100_000, message = "1..=100000"))]
    pub max_sessions: u32,
    /// Connections to each listener, 1..=100000; further ones wait to be accepted. Fixed.
    #[validate(range(min = 1, max = 100_000, message = "1..=100000"))]
    pub max_connections: u32,
    /// Calls and streams at once on one connection, 1..=1000. Fixed.
    #[validate(range(min = 1, max = 1_000, message = "1..=1000"))]
    pub max_streams_per_connection: u32,
    /// Memory for frames in flight of all callers together, MiB, 64..=1048576: half is for their bytes, a
    /// sixth for those of connections that hold little, and the rest for the buffers around them. Fixed.
    #[validate(range(min = 64, max = 1_048_576, message = "64..=1048576"))]
    pub max_in_flight_mib: u32,
    /// Memory that open sessions may take for themselves, their pictures and tables, MiB, 16..=1048576; a session for which there is none
    /// isn't opened. Fixed.
    #[validate(range(min = 16, max = 1_048_576, message = "16..=1048576"))]
    pub max_session_mib: u32,
    /// Time a call or a frame may take, ms, 100..=600000; a caller may ask for less.
    #[validate(range(min = 100, max = 600_000, message = "100..=600000"))]
    pub request_timeout_ms: u32,
    /// Time a reader may take nothing of what waits for it, not even 32 KiB of a large packet, before its call is cut, ms,
    /// 100..=600000.
    #[validate(range(min = 100, max = 600_000, message = "100..=600000"))]
    pub stall_timeout_ms: u32,
    /// Time between keep-alive pings, and for their answers, ms, 1000..=600000. Fixed.
    #[validate(range(min = 1_000, max = 600_000, message = "1000..=600000"))]
    pub keepalive_ms: u32,
    /// Time from the order to stop until everything is closed, ms, 100..=30000.
    #[validate(range(min = 100, max = 30_000, message = "100..=30000"))]
    pub drain_ms: u32,
    /// Time streams stay open after the notice that the server is stopping, ms, at most 30000: later frames are answered,
    /// though not taken.
    #[validate(range(max = 30_000, message = "0..=30000"))]
    pub drain_notice_ms: u32,
    /// Sizes of pictures and payloads taken. Fixed.
    pub picture: Limits,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            max_sessions: 256,
            max_connections: 1_024,
            max_streams_per_connection: 32,
            max_in_flight_mib: 512,
            max_session_mib: 1_024,
            request_timeout_ms: 10_000,
            stall_timeout_ms: 10_000,
            keepalive_ms: 15_000,
            drain_ms: 25_000,
            drain_notice_ms: 250,
            picture: Limits::SERVICE,
        }
    }
}

/// `[compute]`: what frames are coded with. Fixed while the server runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Compute {
    /// Threads for small frames, and as many for large ones; one a core where 0; at most 1024.
    #[validate(range(max = 1_024, message = "0..=1024"))]
    pub threads: usize,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogForm {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// `[log]`: what is told on standard error. Fixed while the server runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How.
    pub form: LogForm,
    /// How much: error, warn, info, debug or trace, or a filter such as `auralink=debug,info`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { form: LogForm::Text, level: "info".to_owned() }
    }
}

/// `[telemetry]`: traces, in a program built with the feature `otel`. Fixed while the server runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A collector that takes OTLP over gRPC, such as `http://127.0.0.1:4317`; none is told where absent. TLS isn't spoken to
    /// it.
    pub otlp_endpoint: Option<String>,
    /// What the spans call this service.
    #[validate(length(min = 1, max = 64, message = "1..=64 characters"))]
    pub service_name: String,
    /// Part of the requests that are traced, 0..=1, where the caller's `traceparent` doesn't decide.
    #[validate(range(min = 0.0, max = 1.0, message = "0..=1"))]
    pub sample_ratio: f64,
    /// Of a traced stream, one frame in so many has its stages told, at most 1000000; 0 for none.
    #[validate(range(max = 1_000_000, message = "0..=1000000"))]
    pub frame_every: u32,
    /// Spans that may wait to be sent, 64..=65536; beyond them they are dropped.
    #[validate(range(min = 64, max = 65_536, message = "64..=65536"))]
    pub queue_spans: u32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            service_name: "auralink".to_owned(),
            sample_ratio: 0.1,
            frame_every: 100,
            queue_spans: 2_048,
        }
    }
}

/// `[cors]`: which web pages may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Their origins, such as `https://example.org`. None by default; never all.
    pub allowed_origins: Vec<String>,
}
