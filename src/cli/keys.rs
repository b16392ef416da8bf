//! `auralink keys` and `auralink token`: who may call a service.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auralink::service::config::{ApiKey, Role};
use auralink::service::{KeyFile, KeyFileError, mint_token};
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::console::{Console, remark};
use super::exit::{Exit, Failure, Result};
use super::serve::{ConfigFile, load, refused};

const DAY_S: u64 = 24 * 3_600;

/// Add, list and revoke the API keys of a service.
///
/// The file holds hashes, never keys. A running service takes changes over on SIGHUP.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct Args {
    /// The file of keys, which `add` makes where it is missing.
    #[arg(long, value_name = "FILE", env = "AURALINK_AUTH_KEYS_FILE", global = true, default_value = "keys.toml")]
    file: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key and print it, once: it can't be shown again.
    Add {
        /// Name of the caller: letters, digits, dots and hyphens.
        id: String,
        /// What it may do.
        #[arg(long, value_enum, value_delimiter = ',', default_value = "compress")]
        roles: Vec<RoleName>,
        /// Days until it ends; never by default.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
    },
    /// List the keys, without their secrets.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Take a key no more.
    Revoke {
        /// Name of the caller.
        id: String,
    },
}

/// Make a token (JWT) that a service of the same configuration takes; its auth.jwt.sign_with names the key.
///
/// To trade an API key for a token, ask the service: POST /v1/auth/token.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit::HELP)]
pub(crate) struct TokenArgs {
    /// Name of the caller.
    subject: String,
    #[command(flatten)]
    source: ConfigFile,
    /// What it may do.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "compress")]
    roles: Vec<RoleName>,
    /// Life of the token.
    #[arg(long, value_name = "N", default_value = "15", value_parser = clap::value_parser!(u32).range(1..=525_600))]
    minutes: u32,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Compress,
    Observe,
    Admin,
}

fn roles(names: &[RoleName]) -> Vec<Role> {
    let role = |name: &RoleName| match name {
        RoleName::Compress => Role::Compress,
        RoleName::Observe => Role::Observe,
        RoleName::Admin => Role::Admin,
    };
    names.iter().map(role).collect()
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Add { id, roles, days } => add(&args.file, id, roles, *days),
        What::List { json } => list(&args.file, *json),
        What::Revoke { id } => {
            let mut file = KeyFile::load(&args.file).map_err(failed)?;
            file.revoke(id).map_err(failed)?;
            file.save(&args.file).map_err(failed)?;
            remark(format_args!("{id} is revoked; a running service takes this over on SIGHUP"));
            Ok(())
        }
    }
}

fn add(path: &Path, id: &str, names: &[RoleName], days: Option<u32>) -> Result<()> {
    let mut file = if path.exists() { KeyFile::load(path).map_err(failed)? } else { KeyFile::default() };
    let expires = days.map(|days| SystemTime::now() + Duration::from_secs(u64::from(days) * DAY_S));
    let key = file.add(id, &roles(names), expires).map_err(failed)?;
    file.save(path).map_err(failed)?;
    remark(format_args!("{id} is in {}; this is its key, shown only now:", path.display()));
    Console::Stdout.line(key)
}

fn list(path: &Path, as_json: bool) -> Result<()> {
    let file = KeyFile::load(path).map_err(failed)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for key in &file.keys {
        let names: Vec<_> = key.roles.iter().map(|role| format!("{role:?}").to_ascii_lowercase()).collect();
        let state = state(key, now);
        if as_json {
            let told = json!({
                "id": key.id, "roles": names, "state": state, "created": key.created, "expires": key.expires,
            });
            Console::Stdout.json(&told)?;
        } else {
            Console::Stdout.line(format_args!("{:<32}  {:<24}  {state}", key.id, names.join(",")))?;
        }
    }
    Ok(())
}

fn state(key: &ApiKey, now: u64) -> String {
    match key.expires {
        _ if key.revoked => "revoked".to_owned(),
        Some(expires) if expires <= now => "expired".to_owned(),
        Some(expires) => format!("good for {} days", (expires - now).div_ceil(DAY_S)),
        None => "good".to_owned(),
    }
}

/// Runs `auralink token`.
pub(crate) fn run_token(args: &TokenArgs) -> Result<()> {
    let config = load(&args.source.sources(Vec::new()))?;
    let seconds = u64::from(args.minutes) * 60;
    let token = mint_token(&config, &args.subject, &roles(&args.roles), seconds).map_err(refused)?;
    Console::Stdout.line(token)
}

fn failed(error: KeyFileError) -> Failure {
    let exit = match error {
        KeyFileError::Io { .. } | KeyFileError::Busy { .. } => Exit::Io,
        KeyFileError::Malformed { .. } => Exit::Data,
        KeyFileError::Key { .. } => Exit::Usage,
        _ => Exit::Internal,
    };
    Failure::new(exit, "keys").because(error)
}
