//! Programs that are not ours, started on free ports and ended with the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;

/// Where a program is, or None once it was said that its tests are skipped.
pub(crate) fn find(name: &str, places: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(places.iter().map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        crate::skip::say(format_args!("{name} isn't installed: what needs it isn't tested"));
    }
    found
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running program.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap() }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap();
    assert!(done.success(), "kill -{name} {process}");
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something listens.
pub(crate) fn wait_for(port: u16) {
    let began = Instant::now();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE, "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A Redis that keeps nothing.
pub(crate) struct Redis {
    pub(crate) port: u16,
    program: PathBuf,
    running: Program,
}

impl Redis {
    pub(crate) fn start() -> Option<Self> {
        let program = find("redis-server", &["/usr/bin"])?;
        let port = free_port();
        Some(Self { port, running: Self::run(&program, port), program })
    }

    fn run(program: &Path, port: u16) -> Program {
        let port_text = port.to_string();
        let arguments = ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let running = Program::start(Command::new(program).args(arguments).current_dir(std::env::temp_dir()));
        wait_for(port);
        running
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn kill(&mut self) {
        self.running.kill();
    }

    pub(crate) fn restart(&mut self) {
        self.running = Self::run(&self.program, self.port);
    }

    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }
}
