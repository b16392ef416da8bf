//! The program as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A server on free ports.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Process {
    /// Runs `program serve`, with what `settings` adds, without any store or Redis of the environment's.
    pub(crate) fn start(program: &str, settings: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(program);
        command.args(["serve", "--grpc-port", "0", "--http-port", "0", "--log-level", "error"]);
        command.env_remove("DATABASE_URL").env_remove("REDIS_URL");
        settings(&mut command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut addrs = line.split([' ', ',', '\n']).filter_map(|word| word.parse().ok());
        let (grpc, http) = (addrs.next().expect(&line), addrs.next().expect(&line));
        Self { child, grpc, http }
    }
}
