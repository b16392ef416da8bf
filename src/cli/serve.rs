//! `auralink serve`: the service in the foreground.

use std::net::IpAddr;
use std::path::PathBuf;

use auralink::service::config::{Algorithm, Sources};
use auralink::service::{Config, ConfigError, Reloader, ServeError, Server, check_files};
use clap::ValueEnum;
use toml::Value;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::console::{Console, remark};
use super::exit::{Exit, Failure, Result};
use super::log::Log;
use super::runtime;
use super::stop::{Hangups, Signals};

/// Time that the last spans may take, once everything else has ended.
#[cfg(feature = "otel")]
const LAST_SPANS: std::time::Duration = std::time::Duration::from_secs(2);

/// Serve frames over gRPC, with health checks and metrics over HTTP.
///
/// Settings come from a file (deploy/auralink.toml shows all of them), the environment (AURALINK_SECTION_KEY, GRPC_PORT,
/// HTTP_PORT) and these flags, the later over the earlier. Runs until SIGINT or SIGTERM, then finishes what it has accepted and
/// ends with exit code 0; SIGHUP reads the settings, keys and certificates again.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) source: ConfigFile,
    /// Port of gRPC, 50051 by default; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
    /// Port of HTTP, 8080 by default; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// Address that both listen on, 127.0.0.1 by default. Others than loopback need authentication, or --insecure.
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// A Unix-domain socket for gRPC beside its port.
    #[arg(long, value_name = "PATH")]
    uds: Option<PathBuf>,
    /// Listen where other machines reach it, though callers aren't authenticated.
    #[arg(long)]
    insecure: bool,
    /// A file of API keys, as `auralink keys` writes it: callers need one of them.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The server's certificate (PEM), and those between it and the root: both listeners speak TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Threads that code; one a core by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// A Redis that shares rate limits between instances, such as redis://127.0.0.1:6379/0.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Directory in which usage and settings last.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// A PostgreSQL in which they last instead, such as postgres://user@host/database.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Check the settings and the files they name, print what comes of them, and end.
    #[arg(long)]
    check: bool,
    /// Form of the log, on standard error; text by default.
    #[arg(long, value_enum, value_name = "FORM")]
    log: Option<LogForm>,
    /// What is logged: error, warn, info, debug or trace, or a filter such as auralink=debug,info.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// Where the settings' file is.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigFile {
    /// A file of settings, in TOML.
    #[arg(long, value_name = "FILE", env = "AURALINK_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The settings of the file and of the environment, under these flags.
    pub(crate) fn sources(&self, flags: Vec<(&'static str, &'static str, Value)>) -> Sources {
        // Names and values that aren't text can't be settings.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Sources { file: self.config.clone(), environment: environment.collect(), flags }
    }
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let sources = args.source.sources(args.flags()?);
    let config = load(&sources)?;
    if args.check {
        check_files(&config).map_err(refused)?;
        return Console::Stdout.write(config.to_toml().as_bytes());
    }
    let runtime = runtime()?;
    let told = {
        let _entered = runtime.enter();
        start_log(&config)?
    };
    warn(&config);
    let served = runtime.block_on(async {
        // Caught from here on, so that a signal during the start isn't lost, nor the end.
        let (mut stops, hangups) = (Signals::catch(), Hangups::catch());
        let server = Server::bind(config).await.map_err(failed)?;
        let (grpc, http) = (server.grpc_addr(), server.http_addr());
        tokio::spawn(reload_on_hangup(hangups, server.reloader(), sources));
        Console::Stdout.line(format_args!("auralink: gRPC on {grpc}, HTTP on {http}"))?;
        server.run(async move { stops.next().await }).await.map_err(failed)
    });
    told.finish();
    served
}

/// The settings of all sources.
pub(crate) fn load(sources: &Sources) -> Result<Config> {
    sources.load().map_err(refused)
}

/// Tells every setting at fault, a line each.
pub(crate) fn refused(error: ConfigError) -> Failure {
    let count = error.faults().count();
    if count > 1 {
        for (key, why) in error.faults() {
            remark(format_args!("auralink: {key}: {why}"));
        }
        return Failure::usage(format!("configuration: {count} settings at fault"));
    }
    Failure::usage("configuration").because(error)
}

impl Args {
    fn flags(&self) -> Result<Vec<(&'static str, &'static str, Value)>> {
        let path = |path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => match path.to_str() {
                Some(text) => Ok(Some(Value::from(text))),
                None => Err(Failure::usage(format!("{}: not a path in UTF-8", path.display()))),
            },
        };
        let port = |port: Option<u16>| port.map(|port| Value::from(i64::from(port)));
        let form = self.log.map(|form| Value::from(if form == LogForm::Json { "json" } else { "text" }));
        let flags = [
            ("--grpc-port", "listen.grpc_port", port(self.grpc_port)),
            ("--http-port", "listen.http_port", port(self.http_port)),
            ("--bind", "listen.address", self.bind.map(|address| Value::from(address.to_string()))),
            ("--uds", "listen.uds", path(&self.uds)?),
            ("--insecure", "listen.insecure", self.insecure.then(|| Value::from(true))),
            ("--keys", "auth.keys_file", path(&self.keys)?),
            ("--tls-cert", "tls.cert_file", path(&self.tls_cert)?),
            ("--tls-key", "tls.key_file", path(&self.tls_key)?),
            ("--threads", "compute.threads", port(self.threads)),
            ("--redis-url", "redis.url", self.redis_url.as_deref().map(Value::from)),
            ("--store", "store.path", path(&self.store)?),
            ("--database-url", "store.database_url", self.database_url.as_deref().map(Value::from)),
            ("--log", "log.form", form),
            ("--log-level", "log.level", self.log_level.as_deref().map(Value::from)),
        ];
        Ok(flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))).collect())
    }
}

/// Reads everything again at each SIGHUP, for ever.
async fn reload_on_hangup(mut hangups: Hangups, reloader: Reloader, sources: Sources) {
    while hangups.next().await {
        let reloaded = sources.load().and_then(|config| reloader.reload(config));
        if let Err(error) = reloaded {
            for (key, why) in error.faults() {
                tracing::error!(key, why, "a setting is at fault: the configuration stays as it was");
            }
        }
    }
}

/// What is allowed, and still worth a second thought.
fn warn(config: &Config) {
    let is_public = !config.grpc_addr().ip().is_loopback() || !config.http_addr().ip().is_loopback();
    if is_public && !config.authenticates() {
        tracing::warn!("callers aren't authenticated, and other machines reach the server");
    } else if is_public && !config.tls.is_on() {
        tracing::warn!("keys and tokens pass in clear: there is no tls.cert_file");
    }
    let shared = config.auth.jwt.keys.iter().filter(|key| key.algorithm == Algorithm::HS256 && key.secret.is_some());
    for key in shared {
        tracing::warn!(
            kid = key.kid,
            "a secret stands in the configuration itself; a secret_file can be guarded better"
        );
    }
}

/// What is to be sent before the process ends.
struct Told {
    #[cfg(feature = "otel")]
    traces: Option<auralink::service::Traces>,
}

impl Told {
    fn finish(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.finish(LAST_SPANS);
        }
    }
}

/// Starts the log, and the traces where they are built in; on a runtime.
fn start_log(config: &Config) -> Result<Told> {
    let level = &config.log.level;
    let filter =
        EnvFilter::try_new(level).map_err(|error| Failure::usage(format!("log.level {level}")).because(error))?;
    // The filter is the log's alone: what isn't logged may be traced.
    let log = Log::new(config.log.form, Console::Stderr.is_terminal()).with_filter(filter);
    let subscriber = tracing_subscriber::registry().with(log);
    #[cfg(feature = "otel")]
    let (traces, layer) = auralink::service::Traces::start(&config.telemetry)
        .map_err(|told| Failure::usage(format!("telemetry.otlp_endpoint: {told}")))?
        .unzip();
    #[cfg(feature = "otel")]
    let subscriber = subscriber.with(layer);
    let started = subscriber.try_init();
    started.map_err(|error| Failure::new(Exit::Internal, format!("starting the log: {error}")))?;
    Ok(Told {
        #[cfg(feature = "otel")]
        traces,
    })
}

/// What a server that didn't start or run means for the exit code.
pub(crate) fn failed(error: ServeError) -> Failure {
    let exit = match error {
        ServeError::Config(error) => return refused(error),
        ServeError::Bind { .. } => Exit::Io,
        _ => Exit::Internal,
    };
    Failure::new(exit, "serving").because(error)
}
