//! Connections to a service, on which each call says who calls.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::Error;
use crate::proto::frame_compression_client::FrameCompressionClient;

/// Time a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two looks at whether the other side is still there, and for its answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Room for the largest packet: a lossless one of the largest frame, and its description.
const MAX_MESSAGE_BYTES: usize = 128 << 20;
/// Flow-control windows of HTTP/2, as the service has them: raw frames are large.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// How a service knows who calls, and how its certificate is known. Without any of it: nobody, over `http://`.
#[derive(Clone, Default)]
pub struct Access {
    /// An API key or a token.
    pub secret: Option<String>,
    /// Authorities, in PEM, that the certificate of an `https://` service must come from.
    pub authorities: Option<Vec<u8>>,
    /// A certificate to show, and its private key, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Access {
    /// Without secrets.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (secret, identity) = (self.secret.is_some(), self.identity.is_some());
        out.debug_struct("Access").field("secret", &secret).field("identity", &identity).finish_non_exhaustive()
    }
}

/// A connection on which each call says who calls.
pub type Line = InterceptedService<Channel, Credentials>;

/// Says on each call who calls.
#[derive(Clone, Debug)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(shown) = &self.0 {
            request.metadata_mut().insert("authorization", shown.clone());
        }
        Ok(request)
    }
}

impl Access {
    /// What every call shows.
    fn credentials(&self) -> Result<Credentials, Error> {
        let shown = self.secret.as_ref().map(|secret| {
            let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", secret.trim()).parse();
            let mut value = value.map_err(|_| Error::Credentials {
                what: "the API key or token",
                detail: "it holds characters that none has".to_owned(),
            })?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Credentials(shown.transpose()?))
    }

    fn tls(&self) -> Result<ClientTlsConfig, Error> {
        let Some(authorities) = &self.authorities else {
            let detail = "none were given that an https:// service could be known by".to_owned();
            return Err(Error::Credentials { what: "authorities", detail });
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities));
        Ok(match &self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        })
    }
}

/// A service's address, and how it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: String,
    endpoint: Endpoint,
    credentials: Credentials,
}

impl Server {
    pub(super) fn new(address: &str, access: &Access) -> Result<Self, Error> {
        let full = whole(address);
        let is_encrypted = full.starts_with("https:");
        let mut endpoint = Endpoint::from_shared(full)
            .map_err(|_| Error::Address { address: address.to_owned() })?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if is_encrypted {
            let wrong = |error: tonic::transport::Error| Error::Credentials { what: "TLS", detail: told(&error) };
            endpoint = endpoint.tls_config(access.tls()?).map_err(wrong)?;
        }
        Ok(Self { address: address.to_owned(), endpoint, credentials: access.credentials()? })
    }

    pub(super) async fn connect(&self) -> Result<Line, tonic::transport::Error> {
        Ok(InterceptedService::new(self.endpoint.connect().await?, self.credentials.clone()))
    }
}

/// Connects to `http://host:port`, `host:port`, `https://host:port` or `unix:/path`; `grpc://` and `grpcs://` are as good.
///
/// # Errors
/// An address or credentials that can't be used, and a server that doesn't answer.
pub async fn connect(address: &str, access: &Access) -> Result<Line, Error> {
    let server = Server::new(address, access)?;
    server.connect().await.map_err(|error| Error::Unavailable {
        address: address.to_owned(),
        detail: told(&error),
        attempts: 1,
        after: Duration::ZERO,
    })
}

/// A client for calls of any size.
pub fn caller(line: Line) -> FrameCompressionClient<Line> {
    FrameCompressionClient::new(line)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// The address with the scheme that the transport knows it by.
fn whole(address: &str) -> String {
    let schemes = [("grpc://", "http://"), ("grpcs://", "https://")];
    let other = schemes.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", address.strip_prefix(ours)?)));
    match other {
        Some(address) => address,
        None if address.contains("://") || address.starts_with("unix:") => address.to_owned(),
        None => format!("http://{address}"),
    }
}

/// An error and what lies below it, each once.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_several_forms() {
        for (given, expected) in [
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("grpc://a:2", "http://a:2"),
            ("grpcs://a:2", "https://a:2"),
            ("http://a:3", "http://a:3"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(whole(given), expected);
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_and_secrets_are_not() {
        assert!(matches!(Server::new("http://", &Access::default()), Err(Error::Address { .. })));
        let access = Access { secret: Some("two\nlines".to_owned()), ..Access::default() };
        let error = Server::new("a:1", &access).unwrap_err();
        assert!(matches!(error, Error::Credentials { .. }) && !error.to_string().contains("two"));
        assert!(!format!("{access:?}").contains("two"));
        assert!(Server::new("https://a:1", &Access::default()).is_err());
    }
}
