//! `auralink probe`: whether a service is ready, for health checks of containers and for scripts.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::connect;
use super::console::Console;
use super::exit::{Failure, Result};
use super::runtime;

/// Longest answer that is read, bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Ask a service whether it is ready; exit code 0 or 69.
///
/// An http:// URL is asked for /readyz (or the path given), a grpc:// URL or unix:/path through grpc.health.v1.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// Such as http://127.0.0.1:8080 or grpc://127.0.0.1:50051.
    #[arg(default_value = "http://127.0.0.1:8080")]
    url: String,
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
    let looks_grpc = args.url.starts_with("grpc://") || args.url.starts_with("unix:");
    let status = if args.grpc || looks_grpc && !args.http {
        runtime()?.block_on(async {
            let asked = tokio::time::timeout(timeout, ask_grpc(&args.url)).await;
            asked.unwrap_or_else(|_| Err(late(&args.url, timeout)))
        })?
    } else {
        ask_http(&args.url, timeout)?
    };
    Console::Stdout.line(format_args!("{}: {status}", args.url))
}

async fn ask_grpc(url: &str) -> Result<&'static str> {
    let mut client = HealthClient::new(connect(url).await?);
    let answer = client.check(HealthCheckRequest { service: String::new() }).await;
    let answer = answer.map_err(|status| Failure::unavailable(format!("{url}: {}", status.message())))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok("serving"),
        other => Err(Failure::unavailable(format!("{url}: {}", other.as_str_name()))),
    }
}

/// One GET by hand: a health check needs no HTTP library.
fn ask_http(url: &str, timeout: Duration) -> Result<&'static str> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    if rest.contains("://") {
        return Err(Failure::usage(format!("{url}: not an http:// or grpc:// URL")));
    }
    let (authority, path) = match rest.find('/') {
        Some(at) if rest.len() > at + 1 => rest.split_at(at),
        Some(at) => (&rest[..at], "/readyz"),
        None => (rest, "/readyz"),
    };
    let answer = get(authority, path, "", MAX_ANSWER_BYTES, timeout);
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

/// One GET; `fields` are further lines of its head, each ended by CRLF.
pub(crate) fn get(
    authority: &str,
    path: &str,
    fields: &str,
    most_bytes: u64,
    timeout: Duration,
) -> std::io::Result<String> {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { authority.to_owned() } else { format!("{authority}:80") };
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
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(most_bytes).read_to_end(&mut answer)?;
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Err(last)
}

fn late(url: &str, timeout: Duration) -> Failure {
    Failure::unavailable(format!("{url}: no answer within {} ms", timeout.as_millis()))
}
