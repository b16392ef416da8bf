//! What a running server takes over of a new configuration.

use crate::service::config::{Config, ServiceLimits, Tls, keys_of, value_of};

/// What is fixed while the server runs: sockets, threads and what every connection was opened with.
const FIXED: [&str; 13] = [
    "listen.",
    "compute.",
    "log.",
    "telemetry.",
    "limits.picture.",
    "limits.max_connections",
    "limits.max_streams_per_connection",
    "limits.max_in_flight_mib",
    "limits.max_session_mib",
    "limits.keepalive_ms",
    "tls.cert_file",
    "admission.",
    "store.",
];

impl Config {
    /// `new` but for what is fixed, and the keys of fixed settings that `new` would have changed.
    pub(crate) fn reloaded(&self, new: Self) -> (Self, Vec<String>) {
        let kept = Self {
            listen: self.listen.clone(),
            compute: self.compute.clone(),
            log: self.log.clone(),
            telemetry: self.telemetry.clone(),
            admission: self.admission.clone(),
            store: self.store.clone(),
            limits: ServiceLimits {
                picture: self.limits.picture,
                max_connections: self.limits.max_connections,
                max_streams_per_connection: self.limits.max_streams_per_connection,
                max_in_flight_mib: self.limits.max_in_flight_mib,
                max_session_mib: self.limits.max_session_mib,
                keepalive_ms: self.limits.keepalive_ms,
                ..new.limits.clone()
            },
            // Another certificate may come, but not the first, nor may the last go.
            tls: if self.tls.is_on() == new.tls.is_on() {
                new.tls.clone()
            } else {
                Tls { cert_file: self.tls.cert_file.clone(), key_file: self.tls.key_file.clone(), ..new.tls.clone() }
            },
            ..new.clone()
        };
        let refused = keys_of(&new).into_iter().filter(|key| {
            FIXED.iter().any(|fixed| key.starts_with(fixed)) && value_of(&new, key) != value_of(&kept, key)
        });
        let refused = refused.collect();
        (kept, refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn limits_and_callers_change_and_sockets_do_not() {
        let old = Config::default();
        let mut new = Config::default();
        new.limits.max_sessions = 7;
        new.auth.token_ttl_s = 60;
        new.rates.caller.per_minute = 7;
        new.redis.url = Some("redis://127.0.0.1:6379/0".to_owned());
        new.cors.allowed_origins = vec!["https://example.org".to_owned()];
        assert_eq!(old.reloaded(new.clone()), (new.clone(), Vec::new()));
        new.listen.grpc_port = 1;
        new.limits.picture.max_width = 640;
        new.limits.keepalive_ms = 2_000;
        new.compute.threads = 3;
        new.tls.cert_file = Some(PathBuf::from("cert.pem"));
        let (kept, refused) = old.reloaded(new);
        assert_eq!(
            refused,
            ["compute.threads", "limits.keepalive_ms", "limits.picture.max_width", "listen.grpc_port", "tls.cert_file"]
        );
        assert_eq!((kept.limits.max_sessions, kept.listen.grpc_port), (7, old.listen.grpc_port));
        assert!(!kept.tls.is_on());
    }
}
