//! `auralink probe`: whether a service is ready, for health checks of containers and for scripts.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::access::Access;
use super::client::connect;
use super::console::Console;
use super::exit::{Failure, Result};
use super::runtime;

/// Longest answer that is read, bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Ask a service whether it is ready; exit code 0 or 69.
///
/// An http:// or https:// URL is asked for /readyz (or the path given), a grpc:// or grpcs:// URL or unix:/path through
/// grpc.health.v1.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// Such as http://127.0.0.1:8080 or grpc://127.0.0.1:50051.
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    access: Access,
    /// Ask over HTTP, whatever the URL begins with.
    #[arg(long, conflicts_with = "grpc")]
    http: bool,
    /// Ask over gRPC, whatever the URL begins with.
    #[arg(long)]
    grpc: bool,
    /// Longest wait for an answer.
    #[arg(long, value_name = "MS", default_value = "2000", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    timeout_ms: u32,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let timeout = Duration::from_millis(args.timeout_ms.into());
    let looks_grpc =
        args.url.starts_with("grpc://") || args.url.starts_with("grpcs://") || args.url.starts_with("unix:");
    let status = if args.grpc || looks_grpc && !args.http {
        runtime()?.block_on(async {
            let asked = tokio::time::timeout(timeout, ask_grpc(&args.url, &args.access)).await;
            asked.unwrap_or_else(|_| Err(late(&args.url, timeout)))
        })?
    } else {
        ask_http(&args.url, &args.access, timeout)?
    };
    Console::Stdout.line(format_args!("{}: {status}", args.url))
}

async fn ask_grpc(url: &str, access: &Access) -> Result<&'static str> {
    let mut client = HealthClient::new(connect(url, access).await?);
    let answer = client.check(HealthCheckRequest { service: String::new() }).await;
    let answer = answer.map_err(|status| Failure::unavailable(format!("{url}: {}", status.message())))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok("serving"),
        other => Err(Failure::unavailable(format!("{url}: {}", other.as_str_name()))),
    }
}

/// One GET by hand: a health check needs no HTTP library.
fn ask_http(url: &str, access: &Access, timeout: Duration) -> Result<&'static str> {
    let (rest, port, tls) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443, Some(tls(access)?)),
        None => (url.strip_prefix("http://").unwrap_or(url), 80, None),
    };
    if rest.contains("://") {
        return Err(Failure::usage(format!("{url}: not an http://, https://, grpc:// or grpcs:// URL")));
    }
    let (authority, path) = match rest.find('/') {
        Some(at) if rest.len() > at + 1 => rest.split_at(at),
        Some(at) => (&rest[..at], "/readyz"),
        None => (rest, "/readyz"),
    };
    let host = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    };
    let answer = get(&Ask { host: &host, authority, path, fields: "", most_bytes: MAX_ANSWER_BYTES }, tls, timeout);
    let answer = answer.map_err(|error| Failure::unavailable(url).because(error))?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok("ready"),
        Some(code) => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
            Err(Failure::unavailable(format!(
                "{url}{}: status {code} {body}",
                if path == "/readyz" { path } else { "" }
            )))
        }
        None => Err(Failure::unavailable(format!("{url}: not an HTTP answer"))),
    }
}

/// What a GET asks for.
pub(crate) struct Ask<'a> {
    /// With its port.
    pub(crate) host: &'a str,
    pub(crate) authority: &'a str,
    pub(crate) path: &'a str,
    /// Further lines of its head, each ended by CRLF.
    pub(crate) fields: &'a str,
    /// Longest answer that is read.
    pub(crate) most_bytes: u64,
}

/// Trusts the authorities that `access` names.
pub(crate) fn tls(access: &Access) -> Result<Arc<ClientConfig>> {
    let told = |error: &dyn std::fmt::Display| Failure::usage(format!("--tls-ca: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&access.authorities()?) {
        // Bundles hold some that are too odd to be used; the others do.
        let _ = roots.add(certificate.map_err(|error| told(&error))?);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| told(&error))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

pub(crate) fn get(ask: &Ask<'_>, tls: Option<Arc<ClientConfig>>, timeout: Duration) -> std::io::Result<String> {
    let Ask { host, authority, path, fields, most_bytes } = ask;
    let deadline = Instant::now() + timeout;
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut last = std::io::Error::other("the name has no address");
    for address in host.to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, left()) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(left()))?;
        stream.set_write_timeout(Some(left()))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{fields}\r\n");
        let Some(tls) = tls else { return exchange(&mut stream, &request, *most_bytes) };
        let name = host.rsplit_once(':').map_or(*host, |(name, _)| name).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let session = ClientConnection::new(tls, name).map_err(std::io::Error::other)?;
        return exchange(&mut StreamOwned::new(session, stream), &request, *most_bytes);
    }
    Err(last)
}

fn exchange(stream: &mut (impl Read + Write), request: &str, most_bytes: u64) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let read = stream.take(most_bytes).read_to_end(&mut answer);
    // Whoever closes without saying so in TLS has still answered.
    read.map(drop).or_else(|error| if answer.is_empty() { Err(error) } else { Ok(()) })?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn late(url: &str, timeout: Duration) -> Failure {
    Failure::unavailable(format!("{url}: no answer within {} ms", timeout.as_millis()))
}
