//! The service in a process of its own, which can be killed and started again where it was.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::programs::signal;

/// A running service.
pub(crate) struct Instance {
    child: Child,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    folder: PathBuf,
    args: Vec<String>,
}

impl Instance {
    /// Starts it with further arguments; its log goes to a file of the folder.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let (child, [grpc, http]) = launch(folder, &args, [0, 0]);
        Self { child, grpc, http, folder: folder.to_owned(), args }
    }

    /// With settings in TOML.
    pub(crate) fn start_as(folder: &Path, settings: &str) -> Self {
        let file = folder.join("settings.toml");
        std::fs::write(&file, settings).unwrap();
        Self::start(folder, &["--config", file.to_str().unwrap()])
    }

    /// Without anybody at the other end of its standard output and error.
    pub(crate) fn start_unheard(args: &[&str]) -> Self {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut child = spawn(&args, [0, 0], Stdio::piped());
        drop(child.stderr.take());
        let [grpc, http] = greeted(&mut child).expect("it serves");
        Self { child, grpc, http, folder: PathBuf::new(), args }
    }

    /// Starts it again at the same addresses, after it has ended.
    pub(crate) fn restart(&mut self) {
        self.child = launch(&self.folder, &self.args, [self.grpc.port(), self.http.port()]).0;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; gives its exit code, or none where it was killed.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<i32> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it hasn't ended within {patience:?}");
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Waits until it is ready, and gives the time that took.
    pub(crate) fn ready(&self) -> Duration {
        let began = Instant::now();
        while !self.is_ready() {
            assert!(began.elapsed() < PATIENCE, "it never gets ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        began.elapsed()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect_timeout(&self.http, Duration::from_secs(5)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        socket
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
            .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A metric's value: the sum over all its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").expect("metrics");
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let lines = answer.lines().filter(is_it);
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// What the ledger tells of all callers.
    pub(crate) fn usage(&self) -> serde_json::Value {
        let answer = self.get("/v1/usage?from=2020-01-01").unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Memory that is resident, MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Open file descriptors, and threads.
    pub(crate) fn held(&self) -> [usize; 2] {
        ["fd", "task"]
            .map(|what| std::fs::read_dir(format!("/proc/{}/{what}", self.child.id())).map_or(0, Iterator::count))
    }

    /// Waits until no bytes are in flight and no stream is open.
    pub(crate) async fn until_nothing_is_held(&self) {
        let began = Instant::now();
        while self.metric("auralink_in_flight_bytes") > 0.0 || self.metric("auralink_streams_open") > 0.0 {
            assert!(began.elapsed() < PATIENCE, "{} bytes stay", self.metric("auralink_in_flight_bytes"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Path, args: &[String], ports: [u16; 2]) -> (Child, [SocketAddr; 2]) {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("server.log")).unwrap();
    let mut child = spawn(args, ports, log.into());
    let Some(addresses) = greeted(&mut child) else {
        panic!("it doesn't serve: {}", tail(&folder.join("server.log")));
    };
    (child, addresses)
}

/// Starts the program on these ports; 0 takes a free one.
fn spawn(args: &[String], ports: [u16; 2], log: Stdio) -> Child {
    let program = std::env::var_os("AURALINK_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_auralink").into());
    let [grpc, http] = ports.map(|port| port.to_string());
    let arguments = ["serve", "--grpc-port", &grpc, "--http-port", &http, "--log", "json"];
    let mut command = Command::new(program);
    command.args(arguments).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
}

/// Where it says that it serves; none where it doesn't.
fn greeted(child: &mut Child) -> Option<[SocketAddr; 2]> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut addresses = line.split([' ', ',', '\n']).filter_map(|word| word.parse().ok());
    Some([addresses.next()?, addresses.next()?])
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().take(3).collect::<Vec<_>>().join("\n")
}

/// A number of repetitions: `few`, or as many as were asked for.
pub(crate) fn rounds(few: usize) -> usize {
    let asked = std::env::var("AURALINK_TEST_ROUNDS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(few)
}

/// A quantile of milliseconds, 0 of none.
pub(crate) fn quantile(part: f64, ms: &mut [f64]) -> f64 {
    ms.sort_by(f64::total_cmp);
    ms.get(((part * ms.len() as f64).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Quantiles of milliseconds, in words.
pub(crate) fn quantiles(mut ms: Vec<f64>) -> String {
    let [p50, p95, p99, most] = [0.5, 0.95, 0.99, 1.0].map(|part| quantile(part, &mut ms));
    format!("p50 {p50:.0}, p95 {p95:.0}, p99 {p99:.0}, most {most:.0} ms of {}", ms.len())
}
