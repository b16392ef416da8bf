//! The command line: one file a command, on top of the public library.

mod access;
mod client;
mod console;
mod decode;
mod demo;
mod encode;
mod exit;
mod input;
mod inspect;
mod keys;
mod log;
mod output;
mod parse;
mod probe;
mod progress;
mod pump;
mod serve;
mod shape;
mod simulate;
mod stop;
mod stream;
mod tally;
mod top;
mod usage;
mod yuv;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rayon::{ThreadPool, ThreadPoolBuilder};

use console::remark;
use exit::{Exit, Failure, Result};

/// Compress frames for networks that are never good enough.
#[derive(Debug, Parser)]
#[command(name = "auralink", version, after_help = exit::HELP, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Keys(keys::Args),
    Token(keys::TokenArgs),
    Encode(encode::Args),
    Decode(decode::Args),
    Stream(stream::Args),
    Inspect(inspect::Args),
    Probe(probe::Args),
    Simulate(simulate::Args),
    Top(top::Args),
    Usage(usage::Args),
    Demo(demo::Args),
}

/// Parses the arguments, runs the command, and says what went wrong.
pub(crate) fn run() -> ExitCode {
    clock();
    let result = match Arguments::try_parse() {
        Ok(Arguments { command }) => match command {
            Command::Serve(args) => serve::run(&args),
            Command::Keys(args) => keys::run(&args),
            Command::Token(args) => keys::run_token(&args),
            Command::Encode(args) => encode::run(&args),
            Command::Decode(args) => decode::run(&args),
            Command::Stream(args) => stream::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Probe(args) => probe::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Top(args) => top::run(&args),
            Command::Usage(args) => usage::run(&args),
            Command::Demo(args) => demo::run(&args),
        },
        Err(error) => {
            // Help and versions come this way too. Where the reader is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage } else { Exit::Success } as u8);
        }
    };
    let Err(failure) = result else { return ExitCode::SUCCESS };
    if let Some(line) = failure.line() {
        remark(format_args!("auralink: {line}"));
    }
    ExitCode::from(failure.exit as u8)
}

/// Time since the program started.
fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A pool of `threads`, or of one a core.
fn thread_pool(threads: Option<u16>) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, usize::from))
        .build()
        .map_err(|error| Failure::new(Exit::Internal, "starting threads").because(error))
}

/// A runtime for the commands that speak over a network.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("starting a runtime", error))
}
