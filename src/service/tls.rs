//! TLS of both listeners, with certificates that change while it runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::service::auth::name_of;
use crate::service::config::{ClientCertificates, ConfigError, Tls, fault};
use crate::service::refusal::Violation;
use crate::service::transport::Certificate;

/// What connections are opened with from now on; those that are open stay as they are.
#[derive(Debug)]
pub(crate) struct Encryption {
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    server: Arc<ServerConfig>,
    files: Vec<(PathBuf, Option<SystemTime>)>,
    patience: Duration,
}

impl Encryption {
    /// As `tls` says; none where there is no certificate.
    ///
    /// # Errors
    /// Every file at fault.
    pub(crate) fn load(tls: &Tls) -> Result<Option<Self>, ConfigError> {
        let current = Current::load(tls)?;
        Ok(current.map(|current| Self { current: RwLock::new(current) }))
    }

    /// Takes other files, or the same ones again.
    ///
    /// # Errors
    /// Every file at fault; then nothing has changed.
    pub(crate) fn reload(&self, tls: &Tls) -> Result<(), ConfigError> {
        if let Some(current) = Current::load(tls)? {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        }
        Ok(())
    }

    /// Whether a file isn't the one that was read.
    pub(crate) fn is_outdated(&self) -> bool {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.files.iter().any(|(path, written)| modified(path) != *written)
    }

    /// Shakes hands with whoever has connected, in time. None where it didn't come to anything.
    pub(crate) async fn accept(&self, socket: TcpStream) -> Option<(TlsStream<TcpStream>, Option<Certificate>)> {
        let (server, patience) = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&current.server), current.patience)
        };
        match tokio::time::timeout(patience, TlsAcceptor::from(server).accept(socket)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let certificate = shown.map(|der| Certificate { name: name_of(der).map(Arc::from) });
                Some((stream, certificate))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|file| file.modified()).ok()
}

impl Current {
    fn load(tls: &Tls) -> Result<Option<Self>, ConfigError> {
        let (Some(cert_file), Some(key_file)) = (&tls.cert_file, &tls.key_file) else { return Ok(None) };
        let authority = tls.client_ca_file.as_ref().filter(|_| tls.clients != ClientCertificates::Off);
        // The times come first: a file that is written meanwhile is read again.
        let names = [Some(cert_file), Some(key_file), authority];
        let files = names.into_iter().flatten().map(|path| (path.clone(), modified(path))).collect();
        let mut faults = Vec::new();
        let chain = certificates("tls.cert_file", cert_file, &mut faults);
        let key =
            PrivateKeyDer::from_pem_file(key_file).map_err(|error| faults.push(told("tls.key_file", key_file, &error)));
        let roots = authority.map(|path| roots(path, &mut faults));
        let (Ok(key), true) = (key, faults.is_empty()) else { return Err(ConfigError { faults }) };
        match server(chain, key, roots, tls.clients) {
            Ok(server) => {
                let patience = Duration::from_millis(tls.handshake_timeout_ms.into());
                Ok(Some(Self { server: Arc::new(server), files, patience }))
            }
            Err((field, why)) => Err(ConfigError { faults: vec![fault(field, why)] }),
        }
    }
}

fn told(field: &str, path: &Path, error: &dyn std::fmt::Display) -> Violation {
    fault(field, format!("{}: {error}", path.display()))
}

fn certificates(field: &str, path: &Path, faults: &mut Vec<Violation>) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>);
    match read {
        Ok(chain) if chain.is_empty() => faults.push(told(field, path, &"holds no certificate")),
        Ok(chain) => return chain,
        Err(error) => faults.push(told(field, path, &error)),
    }
    Vec::new()
}

fn roots(path: &Path, faults: &mut Vec<Violation>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.client_ca_file", path, faults) {
        if let Err(error) = roots.add(certificate) {
            faults.push(told("tls.client_ca_file", path, &error));
        }
    }
    roots
}

/// TLS 1.2 and 1.3 by ring, HTTP/2 before HTTP/1.1; the key at fault where it can't be.
fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Option<RootCertStore>,
    clients: ClientCertificates,
) -> Result<ServerConfig, (&'static str, String)> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ("tls", error.to_string()))?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier =
                if clients == ClientCertificates::Optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|error| ("tls.client_ca_file", error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| ("tls.key_file", error.to_string()))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}
