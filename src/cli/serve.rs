//! `auralink serve`: the service in the foreground.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use auralink::service::{Config, RedisConfig, ServeError, Server, StoreConfig};
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::console::Console;
use super::exit::{Exit, Failure, Result};
use super::runtime;
use super::stop::signal;

/// Serve frames over gRPC, with health checks and metrics over HTTP.
///
/// Runs until SIGINT or SIGTERM, then finishes what it has accepted and ends with exit code 0.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// Port of gRPC; 0 takes a free one.
    #[arg(long, value_name = "PORT", env = "GRPC_PORT", default_value = "50051")]
    grpc_port: u16,
    /// Port of HTTP; 0 takes a free one.
    #[arg(long, value_name = "PORT", env = "HTTP_PORT", default_value = "8080")]
    http_port: u16,
    /// Address that both listen on. Others than loopback need --insecure: callers aren't authenticated.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// A Unix-domain socket for gRPC beside its port.
    #[arg(long, value_name = "PATH")]
    uds: Option<PathBuf>,
    /// Listen where other machines reach it, though callers aren't authenticated.
    #[arg(long)]
    insecure: bool,
    /// Threads that code; one a core by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// A Redis that shares rate limits between instances, such as redis://127.0.0.1:6379/0.
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// Directory in which usage and settings last.
    #[arg(long, value_name = "DIR", env = "AURALINK_STORE")]
    store: Option<PathBuf>,
    /// A PostgreSQL in which they last instead, such as postgres://user@host/database.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Check the configuration, print it, and end.
    #[arg(long)]
    check: bool,
    /// Form of the log, on standard error.
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    log: LogForm,
    /// What is logged: error, warn, info, debug or trace, or a filter such as auralink=debug,info.
    #[arg(long, value_name = "LEVEL", env = "AURALINK_LOG", default_value = "info")]
    log_level: String,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let config = args.config();
    config.validate().map_err(|error| Failure::usage("configuration").because(error))?;
    let filter = EnvFilter::from_str(&args.log_level)
        .map_err(|error| Failure::usage(format!("--log-level {}", args.log_level)).because(error))?;
    if args.check {
        return Console::Stdout.write(config.to_string().as_bytes());
    }
    start_log(args.log, filter)?;
    runtime()?.block_on(async {
        let server = Server::bind(config).await.map_err(failed)?;
        let (grpc, http) = (server.grpc_addr(), server.http_addr());
        Console::Stdout.line(format_args!("auralink: gRPC on {grpc}, HTTP on {http}"))?;
        server.run(signal()).await.map_err(failed)
    })
}

impl Args {
    fn config(&self) -> Config {
        Config {
            grpc_addr: SocketAddr::new(self.bind, self.grpc_port),
            http_addr: SocketAddr::new(self.bind, self.http_port),
            uds: self.uds.clone(),
            insecure: self.insecure,
            threads: self.threads.map_or(0, usize::from),
            store: StoreConfig {
                path: self.store.clone(),
                database_url: self.database_url.clone(),
                ..StoreConfig::default()
            },
            redis: RedisConfig { url: self.redis_url.clone(), ..RedisConfig::default() },
            ..Config::default()
        }
    }
}

fn start_log(form: LogForm, filter: EnvFilter) -> Result<()> {
    let colours = Console::Stderr.is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let started = match form {
        LogForm::Text => log.try_init(),
        LogForm::Json => log.json().try_init(),
    };
    started.map_err(|error| Failure::new(Exit::Internal, format!("starting the log: {error}")))
}

/// What a server that didn't start or run means for the exit code.
pub(crate) fn failed(error: ServeError) -> Failure {
    let exit = match &error {
        ServeError::Config(_) => Exit::Usage,
        ServeError::Bind { .. } => Exit::Io,
        _ => Exit::Internal,
    };
    Failure::new(exit, "serving").because(error)
}
