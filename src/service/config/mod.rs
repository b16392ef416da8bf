//! What the server is told: one tree of settings, from defaults, a file, the environment and flags, checked as a whole.

mod load;
mod reload;
mod secret;
mod sections;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use validator::Validate;

use crate::limits::MAX_SIDE;
use crate::service::admission::Admission;
use crate::service::ledger::StoreConfig;
use crate::service::limits::{RateLimits, RedisConfig};
use crate::service::refusal::Violation;
use crate::service::wire::violations_of;

pub use load::Sources;
pub use secret::Secret;
pub use sections::{
    Algorithm, ApiKey, Auth, Certificate, ClientCertificates, Compute, Cors, Jwt, JwtKey, Listen, Log, LogForm, Role,
    ServiceLimits, Telemetry, Tls,
};

/// Room in a message beside the largest frame: field tags, strides, the rest of a request.
const MESSAGE_SLACK_BYTES: usize = 64 * 1024;
/// Most bytes a pixel takes in any format.
const MAX_PIXEL_BYTES: usize = 4;
/// Shortest secret of HS256, bytes: as long as what it makes (RFC 7518, 3.2).
pub(crate) const MIN_SECRET_BYTES: usize = 32;
/// Longest name of a caller, bytes.
pub(crate) const MAX_ID_BYTES: usize = 64;

/// Configuration of a [`Server`](crate::service::Server). Its file is the same tree in TOML.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server is reached.
    #[validate(nested)]
    pub listen: Listen,
    /// Who may call.
    #[validate(nested)]
    pub auth: Auth,
    /// How connections are encrypted.
    #[validate(nested)]
    pub tls: Tls,
    /// How much.
    #[validate(nested)]
    pub limits: ServiceLimits,
    /// What frames are coded with.
    #[validate(nested)]
    pub compute: Compute,
    /// What is told on standard error.
    pub log: Log,
    /// What is told to a collector of traces.
    #[validate(nested)]
    pub telemetry: Telemetry,
    /// Which web pages may call.
    pub cors: Cors,
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

impl Config {
    /// Checks every setting.
    ///
    /// # Errors
    /// All settings at fault, each with its value and limit.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = violations_of(self, "");
        self.check_addresses(&mut faults);
        self.check_limits(&mut faults);
        self.check_keys(&mut faults);
        self.check_token_keys(&mut faults);
        self.check_tls(&mut faults);
        self.check_telemetry(&mut faults);
        if let Err(error) = EnvFilter::try_new(&self.log.level) {
            faults.push(fault("log.level", format!("{:?}: {error}", self.log.level)));
        }
        for origin in &self.cors.allowed_origins {
            let is_origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if is_origin.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
                let told = format!("{origin:?} is not an origin such as https://example.org");
                faults.push(fault("cors.allowed_origins", told));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(ConfigError { faults }) }
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        SocketAddr::new(self.listen.address, self.listen.grpc_port)
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        SocketAddr::new(self.listen.http_address.unwrap_or(self.listen.address), self.listen.http_port)
    }

    /// Whether callers have to say who they are: there is a way to.
    pub fn authenticates(&self) -> bool {
        let auth = &self.auth;
        auth.keys_file.is_some()
            || !auth.keys.is_empty()
            || !auth.jwt.keys.is_empty()
            || self.tls.clients != ClientCertificates::Off
    }

    /// The largest message taken: the largest raw frame, or encoded payload, and some room. An encoded payload over its limit
    /// still fits, and is told so without the end of its stream.
    pub fn max_message_bytes(&self) -> usize {
        let limits = &self.limits.picture;
        let raw = limits.max_width as usize * limits.max_height as usize * MAX_PIXEL_BYTES;
        raw.max(limits.max_encoded_bytes.saturating_mul(2)).saturating_add(MESSAGE_SLACK_BYTES)
    }

    /// The configuration as a file, secrets hidden.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# {error}\n"))
    }

    fn check_addresses(&self, faults: &mut Vec<Violation>) {
        let (grpc, http) = (self.grpc_addr(), self.http_addr());
        let http_key = if self.listen.http_address.is_some() { "listen.http_address" } else { "listen.address" };
        for (key, addr) in [("listen.address", grpc), (http_key, http)] {
            let is_told = faults.iter().any(|fault| fault.field == key);
            if !addr.ip().is_loopback() && !self.listen.insecure && !self.authenticates() && !is_told {
                let told = format!(
                    "{} is reachable from other machines and callers aren't authenticated; set listen.insecure if that is meant",
                    addr.ip()
                );
                faults.push(fault(key, told));
            }
        }
        if grpc.port() != 0 && grpc == http {
            faults.push(fault("listen.http_port", format!("{} is that of gRPC too; each needs its own", http.port())));
        }
    }

    fn check_limits(&self, faults: &mut Vec<Violation>) {
        let limits = &self.limits.picture;
        for (key, min, max) in [
            ("limits.picture.min_width", limits.min_width, limits.max_width),
            ("limits.picture.min_height", limits.min_height, limits.max_height),
        ] {
            if min == 0 || min > max {
                faults.push(fault(key, format!("{min} is outside 1..={max}")));
            }
        }
        let sides = [("limits.picture.max_width", limits.max_width), ("limits.picture.max_height", limits.max_height)];
        for (key, side) in sides {
            if side > MAX_SIDE {
                faults.push(fault(key, format!("{side} is over {MAX_SIDE}")));
            }
        }
        let message = self.max_message_bytes();
        // Half of the whole is for messages of any size: the rest is for what lies around them, and for those who hold little.
        for (key, mib, needed) in [
            ("limits.max_in_flight_mib", self.limits.max_in_flight_mib, 2 * message),
            ("admission.connection_mib", self.admission.connection_mib, message),
            ("admission.caller_mib", self.admission.caller_mib, message),
        ] {
            if needed > mib as usize * (1 << 20) {
                faults.push(fault(key, format!("{mib} is under the {needed} bytes that the largest message needs")));
            }
        }
    }

    fn check_keys(&self, faults: &mut Vec<Violation>) {
        let mut ids = HashSet::new();
        for (index, key) in self.auth.keys.iter().enumerate() {
            key.check(&format!("auth.keys[{index}]"), faults);
            if !ids.insert(&key.id) {
                faults.push(fault(&format!("auth.keys[{index}].id"), format!("{:?} is there twice", key.id)));
            }
        }
    }

    fn check_token_keys(&self, faults: &mut Vec<Violation>) {
        let jwt = &self.auth.jwt;
        for (key, text) in [("auth.jwt.issuer", &jwt.issuer), ("auth.jwt.audience", &jwt.audience)] {
            if text.is_empty() {
                faults.push(fault(key, "empty, and required".to_owned()));
            }
        }
        let mut kids = HashSet::new();
        for (index, key) in jwt.keys.iter().enumerate() {
            let path = format!("auth.jwt.keys[{index}]");
            if key.kid.is_empty() || key.kid.len() > MAX_ID_BYTES {
                let told = format!("{} bytes are outside 1..={MAX_ID_BYTES}", key.kid.len());
                faults.push(fault(&format!("{path}.kid"), told));
            }
            if !kids.insert(&key.kid) {
                faults.push(fault(&format!("{path}.kid"), format!("{:?} is there twice", key.kid)));
            }
            key.check(&path, faults);
        }
        if let Some(kid) = &jwt.sign_with {
            let named = jwt.keys.iter().find(|key| key.kid == *kid);
            if !named.is_some_and(|key| key.algorithm == Algorithm::HS256 || key.private_key_file.is_some()) {
                faults.push(fault("auth.jwt.sign_with", format!("{kid:?} is no key of auth.jwt.keys that can sign")));
            }
        }
    }

    fn check_telemetry(&self, faults: &mut Vec<Violation>) {
        let Some(endpoint) = &self.telemetry.otlp_endpoint else { return };
        let is_one = endpoint.parse::<axum::http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http"));
        if !is_one || endpoint.contains('@') {
            let told = "not an address such as http://127.0.0.1:4317".to_owned();
            faults.push(fault("telemetry.otlp_endpoint", told));
        } else if cfg!(not(feature = "otel")) {
            let told = format!("{endpoint:?}, but this program was built without the feature otel");
            faults.push(fault("telemetry.otlp_endpoint", told));
        }
    }

    fn check_tls(&self, faults: &mut Vec<Violation>) {
        let tls = &self.tls;
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            let key = if tls.cert_file.is_some() { "tls.key_file" } else { "tls.cert_file" };
            faults.push(fault(key, "missing: certificate and key come together".to_owned()));
        }
        let asks = tls.clients != ClientCertificates::Off;
        if asks && tls.client_ca_file.is_none() {
            faults.push(fault("tls.client_ca_file", "missing, though tls.clients asks for certificates".to_owned()));
        }
        if asks && !tls.is_on() {
            faults.push(fault("tls.clients", "asks for certificates, but there is no tls.cert_file".to_owned()));
        }
    }
}

impl ApiKey {
    /// Notes what is wrong with the key at `path`.
    pub(crate) fn check(&self, path: &str, faults: &mut Vec<Violation>) {
        let is_word = self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if self.id.is_empty() || self.id.len() > MAX_ID_BYTES || !is_word || self.id == "anonymous" {
            let told =
                format!("{:?} is not 1..={MAX_ID_BYTES} letters, digits, dots and hyphens, or is taken", self.id);
            faults.push(fault(&format!("{path}.id"), told));
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let told = format!("{} bytes, but it is 64 hexadecimal digits", self.sha256.len());
            faults.push(fault(&format!("{path}.sha256"), told));
        }
        if self.roles.is_empty() {
            faults.push(fault(&format!("{path}.roles"), "none given of compress, observe, admin".to_owned()));
        }
    }
}

impl JwtKey {
    fn check(&self, path: &str, faults: &mut Vec<Violation>) {
        let secrets = usize::from(self.secret.is_some()) + usize::from(self.secret_file.is_some());
        let pairs = usize::from(self.public_key_file.is_some()) + usize::from(self.private_key_file.is_some());
        let told = match self.algorithm {
            Algorithm::HS256 if secrets != 1 || pairs != 0 => "HS256 takes one of secret and secret_file",
            Algorithm::EdDSA | Algorithm::ES256 if secrets != 0 || pairs == 0 => {
                "EdDSA and ES256 take public_key_file, private_key_file or both"
            }
            _ => {
                let bytes = self.secret.as_ref().map_or(MIN_SECRET_BYTES, |secret| secret.reveal().len());
                if bytes < MIN_SECRET_BYTES {
                    let told = format!("{bytes} bytes are under {MIN_SECRET_BYTES}");
                    faults.push(fault(&format!("{path}.secret"), told));
                }
                return;
            }
        };
        faults.push(fault(path, told.to_owned()));
    }
}

pub(crate) fn fault(field: &str, description: String) -> Violation {
    Violation { field: field.to_owned(), description }
}

/// All keys of the tree, such as `limits.max_sessions`, in order; those of lists aren't followed.
fn keys_of(config: &Config) -> Vec<String> {
    fn walk(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, &path, found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    if let Ok(tree) = serde_json::to_value(config) {
        walk(&tree, "", &mut found);
    }
    found
}

/// The value of a key.
fn value_of(config: &Config, key: &str) -> Option<serde_json::Value> {
    let tree = serde_json::to_value(config).ok()?;
    key.split('.').try_fold(tree, |mut tree, part| tree.get_mut(part).map(serde_json::Value::take))
}

/// Settings at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(crate) faults: Vec<Violation>,
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
    use std::path::PathBuf;

    fn keys(config: &Config) -> Vec<String> {
        config.validate().map_or_else(|e| e.faults().map(|(key, _)| key.to_owned()).collect(), |()| Vec::new())
    }

    fn key() -> ApiKey {
        let sha256 = "0123456789abcdef".repeat(4);
        let roles = vec![Role::Compress];
        ApiKey { id: "camera-1".to_owned(), sha256, roles, created: None, expires: None, revoked: false }
    }

    #[test]
    fn defaults_are_loopback_and_valid() {
        let config = Config::default();
        assert_eq!(config.validate(), Ok(()));
        assert!(config.grpc_addr().ip().is_loopback() && config.http_addr().ip().is_loopback());
        assert_eq!(config.max_message_bytes(), 3840 * 2160 * 4 + 65_536);
        assert!(config.to_toml().contains("grpc_port = 50051\n"), "{}", config.to_toml());
    }

    #[test]
    fn the_example_is_the_defaults() {
        let text = include_str!("../../../deploy/auralink.toml");
        assert_eq!(toml::from_str::<Config>(text).unwrap(), Config::default());
        // Every key is there, if only in a comment.
        for key in keys_of(&Config::default()) {
            let name = key.rsplit('.').next().unwrap();
            assert!(text.lines().any(|line| line.trim_start_matches("# ").starts_with(name)), "{key}");
        }
    }

    #[test]
    fn other_machines_are_let_in_only_authenticated_or_when_meant() {
        let mut config = Config::default();
        config.listen.address = [0, 0, 0, 0].into();
        assert_eq!(keys(&config), ["listen.address"]);
        let mut insecure = config.clone();
        insecure.listen.insecure = true;
        assert_eq!(keys(&insecure), [""; 0]);
        config.auth.keys.push(key());
        assert_eq!(keys(&config), [""; 0]);
        let mut http = Config::default();
        http.listen.http_address = Some([10, 0, 0, 1].into());
        assert_eq!(keys(&http), ["listen.http_address"]);
    }

    #[test]
    fn every_fault_is_named_with_value_and_limit() {
        let mut config = Config::default();
        (config.limits.drain_ms, config.limits.max_sessions) = (31_000, 0);
        config.limits.picture.min_width = 4_000;
        config.cors.allowed_origins = vec!["*".to_owned()];
        config.log.level = "auralink=loud".to_owned();
        config.auth.jwt.leeway_s = 61;
        config.tls.clients = ClientCertificates::Required;
        let mut faults = keys(&config);
        faults.sort();
        assert_eq!(
            faults,
            [
                "auth.jwt.leeway_s",
                "cors.allowed_origins",
                "limits.drain_ms",
                "limits.max_sessions",
                "limits.picture.min_width",
                "log.level",
                "tls.client_ca_file",
                "tls.clients"
            ]
        );
        let text = config.validate().unwrap_err().to_string();
        assert!(text.contains("limits.drain_ms: 31000 is outside 100..=30000"), "{text}");
    }

    #[test]
    fn keys_are_checked() {
        let mut config = Config::default();
        config.auth.keys =
            vec![key(), key(), ApiKey { id: "a_b".to_owned(), sha256: "12".to_owned(), roles: vec![], ..key() }];
        let hs = |kid: &str, secret: &str| JwtKey {
            kid: kid.to_owned(),
            algorithm: Algorithm::HS256,
            secret: Some(Secret::new(secret)),
            secret_file: None,
            public_key_file: None,
            private_key_file: None,
        };
        let both = JwtKey { public_key_file: Some(PathBuf::from("a.pem")), ..hs("c", &"s".repeat(32)) };
        let neither = JwtKey { secret: None, algorithm: Algorithm::EdDSA, ..hs("", "") };
        config.auth.jwt.keys = vec![hs("a", "short"), both, neither];
        config.auth.jwt.sign_with = Some("none".to_owned());
        let mut faults = keys(&config);
        faults.sort();
        let expected = [
            "auth.jwt.keys[0].secret",
            "auth.jwt.keys[1]",
            "auth.jwt.keys[2]",
            "auth.jwt.keys[2].kid",
            "auth.jwt.sign_with",
            "auth.keys[1].id",
            "auth.keys[2].id",
            "auth.keys[2].roles",
            "auth.keys[2].sha256",
        ];
        assert_eq!(faults, expected);
    }
}
