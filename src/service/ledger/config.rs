//! Where usage is written down, as configured.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

use crate::service::limits::{hide_password, show_url};

/// Where usage and settings last: in a directory, in PostgreSQL, or, where neither is given, as long as the process.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields, default)]
#[validate(schema(function = check_one))]
pub struct StoreConfig {
    /// Directory of the embedded store; one process at a time may use it.
    pub path: Option<PathBuf>,
    /// PostgreSQL instead, such as `postgres://user:password@host/database`. TLS isn't spoken to it.
    #[validate(custom(function = check_url))]
    #[serde(serialize_with = "show_url")]
    pub database_url: Option<String>,
    /// Records that wait while the store is down, 1000..=10000000; beyond them, they are lost and counted.
    #[validate(range(min = 1_000, max = 10_000_000, message = "1000..=10000000"))]
    pub queue_records: u32,
    /// Time after which a session that runs on, and what single frames add up to, is written down so far, ms, 100..=3600000.
    #[validate(range(min = 100, max = 3_600_000, message = "100..=3600000"))]
    pub checkpoint_ms: u32,
}

fn check_url(url: &str) -> Result<(), ValidationError> {
    let fault = |told: &'static str| ValidationError::new("url").with_message(told.into());
    match url.parse::<tokio_postgres::Config>() {
        Err(_) => Err(fault("not a URL such as postgres://user@host/database")),
        Ok(parsed) if parsed.get_ssl_mode() == tokio_postgres::config::SslMode::Require => {
            Err(fault("sslmode=require, but TLS isn't spoken to PostgreSQL"))
        }
        Ok(_) => Ok(()),
    }
}

fn check_one(config: &StoreConfig) -> Result<(), ValidationError> {
    let both = config.path.is_some() && config.database_url.is_some();
    let fault = || ValidationError::new("store").with_message("path and database_url are both given".into());
    if both { Err(fault()) } else { Ok(()) }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: None, database_url: None, queue_records: 100_000, checkpoint_ms: 60_000 }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("path", &self.path)
            .field("database_url", &self.database_url.as_deref().map(hide_password))
            .field("queue_records", &self.queue_records)
            .field("checkpoint_ms", &self.checkpoint_ms)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_store_is_used_and_its_password_hidden() {
        assert!(StoreConfig::default().validate().is_ok());
        let url = Some("postgres://me:canary@host/usage".to_owned());
        let config = StoreConfig { database_url: url, ..StoreConfig::default() };
        assert!(config.validate().is_ok() && !format!("{config:?}").contains("canary"));
        assert!(StoreConfig { path: Some("x".into()), ..config.clone() }.validate().is_err());
        for bad in ["mysql://host/usage", "postgres://host/usage?sslmode=require"] {
            let config = StoreConfig { database_url: Some(bad.to_owned()), ..StoreConfig::default() };
            assert!(config.validate().is_err(), "{bad}");
        }
    }
}
