//! How a command is known to a service, and how it knows the service.

use std::path::{Path, PathBuf};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

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
    /// What every call shows.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        let secret = self.api_key.as_ref().or(self.token.as_ref());
        let shown = secret.map(|secret| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {}", secret.trim())
                .parse()
                .map_err(|_| Failure::usage("the API key or token holds characters that none has"))?;
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        });
        Ok(Credentials(shown.transpose()?))
    }

    /// The same, as a line of an HTTP request's head; nothing where there is nothing to show.
    pub(crate) fn fields(&self) -> Result<String> {
        let shown = self.credentials()?.0;
        let told = shown.as_ref().and_then(|shown| shown.to_str().ok());
        Ok(told.map(|told| format!("authorization: {told}\r\n")).unwrap_or_default())
    }

    /// Authorities, in PEM.
    pub(crate) fn authorities(&self) -> Result<Vec<u8>> {
        if let Some(path) = &self.tls_ca {
            return std::fs::read(path).at(path);
        }
        let found = BUNDLES.iter().find_map(|path| std::fs::read(path).ok());
        found.ok_or_else(|| Failure::usage("--tls-ca: missing, and the system's authorities weren't found"))
    }

    /// How an https:// service is spoken to.
    pub(crate) fn tls(&self) -> Result<ClientTlsConfig> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authorities()?));
        let read = |path: &Path| std::fs::read(path).at(path);
        Ok(match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => tls.identity(Identity::from_pem(read(cert)?, read(key)?)),
            _ => tls,
        })
    }
}

/// Says on each call who calls.
#[derive(Clone, Debug)]
pub(crate) struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(shown) = &self.0 {
            request.metadata_mut().insert("authorization", shown.clone());
        }
        Ok(request)
    }
}
