//! Another configuration for a server that runs.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::service::Shared;
use crate::service::auth::Authenticator;
use crate::service::config::{Config, ConfigError, fault};
use crate::service::tls::Encryption;

/// Gives a running server another configuration.
#[derive(Clone, Debug)]
pub struct Reloader(pub(super) Arc<Shared>);

impl Reloader {
    /// Takes over what can change while the server runs: limits, rates and the Redis that shares them, keys,
    /// certificates, origins. Gives the keys of the settings that
    /// can't and would have; each is told in the log too.
    ///
    /// # Errors
    /// Settings or files at fault; then nothing has changed.
    pub fn reload(&self, config: Config) -> Result<Vec<String>, ConfigError> {
        let shared = &self.0;
        config.validate()?;
        let (config, refused) = shared.config().reloaded(config);
        // What was kept of the old configuration and what came with the new one must fit together too.
        config.validate()?;
        let auth = Authenticator::load(&config, Some(&shared.auth()))?;
        let limits = shared.limiter.prepare(&config.rates, &config.redis);
        let limits = limits.map_err(|told| ConfigError { faults: vec![fault("redis.url", told)] })?;
        if let Some(encryption) = &shared.encryption {
            encryption.reload(&config.tls)?;
        }
        for key in &refused {
            tracing::warn!(key, "this setting can't change while the server runs: it stays as it is");
        }
        shared.limiter.take_over(limits);
        shared.registry.limit_to(config.limits.max_sessions);
        *shared.auth.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(auth);
        *shared.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        shared.auth_changed.send_modify(|generation| *generation += 1);
        tracing::info!("the configuration was taken over");
        Ok(refused)
    }
}

/// Reads the keys and certificates that `config` names, as a server would.
///
/// # Errors
/// Every file at fault.
pub fn check_files(config: &Config) -> Result<(), ConfigError> {
    let read = [Authenticator::load(config, None).map(drop), Encryption::load(&config.tls).map(drop)];
    let faults: Vec<_> = read.into_iter().filter_map(Result::err).flat_map(|error| error.faults).collect();
    if faults.is_empty() { Ok(()) } else { Err(ConfigError { faults }) }
}

/// Reads certificates again when their files have changed, for ever.
pub(super) async fn follow_certificates(shared: Arc<Shared>) {
    let Some(encryption) = &shared.encryption else { return };
    loop {
        let seconds = shared.config().tls.check_files_s;
        // Zero is for never, but a new configuration may say otherwise.
        tokio::time::sleep(Duration::from_secs(if seconds == 0 { 60 } else { seconds.into() })).await;
        if seconds != 0 && encryption.is_outdated() {
            follow(encryption, &shared);
        }
    }
}

fn follow(encryption: &Encryption, shared: &Shared) {
    let tls = &shared.config().tls;
    let file = tls.cert_file.clone().unwrap_or_default();
    match encryption.reload(tls) {
        Ok(()) => tracing::info!(file = %file.display(), "the certificates were read again"),
        Err(error) => tracing::error!(%error, "the certificates have changed and can't be read: the old ones stay"),
    }
}
