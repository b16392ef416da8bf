//! How a command is known to a service, and how it knows the service.

use std::path::{Path, PathBuf};

use auralink::client;
use tonic::metadata::{Ascii, MetadataValue};

use super::exit::{At, Failure, Result};

/// Where systems keep the authorities they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Keys, tokens and certificates.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// Authorities (PEM) that the certificate of an https:// service must come from; those the system trusts by default.
    #[arg(long, value_name = "FILE", env = "AURALINK_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// A certificate (PEM) to show to the service.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// API key; better in the environment, where other users don't see it.
    #[arg(long, value_name = "KEY", env = "AURALINK_API_KEY", hide_env_values = true, conflicts_with = "token")]
    api_key: Option<String>,
    /// Token; better in the environment, too.
    #[arg(long, value_name = "TOKEN", env = "AURALINK_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Access {
    /// What the services of these addresses are shown, and are known by.
    pub(crate) fn known<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) -> Result<client::Access> {
        let is_encrypted = |address: &str| address.starts_with("https:") || address.starts_with("grpcs:");
        let read = |path: &Path| std::fs::read(path).at(path);
        Ok(client::Access {
            secret: self.secret().cloned(),
            authorities: addresses.into_iter().any(is_encrypted).then(|| self.authorities()).transpose()?,
            identity: match (&self.tls_cert, &self.tls_key) {
                (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
                _ => None,
            },
        })
    }

    fn secret(&self) -> Option<&String> {
        self.api_key.as_ref().or(self.token.as_ref())
    }

    /// What is shown, as a line of an HTTP request's head; nothing where there is nothing to show.
    pub(crate) fn fields(&self) -> Result<String> {
        let Some(secret) = self.secret() else { return Ok(String::new()) };
        let shown: MetadataValue<Ascii> = format!("Bearer {}", secret.trim())
            .parse()
            .map_err(|_| Failure::usage("the API key or token holds characters that none has"))?;
        let told = shown.to_str().map_err(|error| Failure::usage("the API key or token").because(error))?;
        Ok(format!("authorization: {told}\r\n"))
    }

    /// Authorities, in PEM.
    pub(crate) fn authorities(&self) -> Result<Vec<u8>> {
        if let Some(path) = &self.tls_ca {
            return std::fs::read(path).at(path);
        }
        let found = BUNDLES.iter().find_map(|path| std::fs::read(path).ok());
        found.ok_or_else(|| Failure::usage("--tls-ca: missing, and the system's authorities weren't found"))
    }
}
