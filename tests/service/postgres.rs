//! Usage in a real PostgreSQL, which is killed and stopped under load.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auralink::service::{Config, StoreConfig};
use serde_json::Value;

use crate::harness::{PATIENCE, Running, Talk, config, http, i420, open_i420, start};
use crate::ledger::{session, sum};
use crate::limits::{metric, metrics};
use crate::programs::{Program, find, free_port, signal, wait_for};

/// A PostgreSQL of the test's own.
struct Postgres {
    port: u16,
    server: PathBuf,
    data: PathBuf,
    running: Program,
    _folder: tempfile::TempDir,
}

/// A command as a user that PostgreSQL agrees to run as.
fn unprivileged(program: &Path) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Postgres {
    fn start() -> Option<Self> {
        let mut places: Vec<String> = Vec::new();
        for version in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
            places.push(version.path().join("bin").display().to_string());
        }
        places.sort();
        places.reverse();
        let places: Vec<_> = places.iter().map(String::as_str).collect();
        let (server, initdb) = (find("postgres", &places)?, find("initdb", &places)?);
        let folder = tempfile::tempdir().unwrap();
        // Whoever runs it must reach it.
        let open = Command::new("chmod").arg("777").arg(folder.path()).status().unwrap();
        assert!(open.success());
        let data = folder.path().join("data");
        let made = unprivileged(&initdb)
            .args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let running = Self::run(&server, &data, port);
        Some(Self { port, server, data, running, _folder: folder })
    }

    fn run(server: &Path, data: &Path, port: u16) -> Program {
        let mut command = unprivileged(server);
        command.arg("-D").arg(data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-c", "fsync=on"]);
        let running = Program::start(&mut command);
        wait_for(port);
        running
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn kill(&mut self) {
        self.running.kill();
    }

    fn restart(&mut self) {
        // What the killed one has left behind ends first.
        let began = Instant::now();
        while !processes_in(&self.data).is_empty() {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(50));
        }
        self.running = Self::run(&self.server, &self.data, self.port);
    }

    /// Sends a signal to the server and all its processes.
    fn signal(&self, name: &str) {
        for process in processes_in(&self.data) {
            signal(process, name);
        }
    }
}

/// Processes that work in a folder, as all of one PostgreSQL do in its data.
fn processes_in(folder: &Path) -> Vec<u32> {
    let folder = folder.canonicalize().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let here = all.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    here.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

fn stored(postgres: &Postgres) -> Config {
    let database_url = Some(postgres.url());
    Config { store: StoreConfig { database_url, checkpoint_ms: 300, ..StoreConfig::default() }, ..config() }
}

/// Streams and short sessions without a pause, none of whose frames may fail.
struct Load {
    stop: Arc<AtomicBool>,
    frames: Arc<AtomicU64>,
    sessions: Arc<AtomicU64>,
    slowest_us: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn on(server: &Running) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let [frames, sessions, slowest_us] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let mut client = server.client().await;
            let (stop, frames, sessions) = (Arc::clone(&stop), Arc::clone(&frames), Arc::clone(&sessions));
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    session(&mut client, 2).await.unwrap();
                    frames.fetch_add(2, Ordering::Relaxed);
                    sessions.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        let mut client = server.client().await;
        let (stopped, counted, opened) = (Arc::clone(&stop), Arc::clone(&frames), Arc::clone(&sessions));
        let slowest = Arc::clone(&slowest_us);
        tasks.push(tokio::spawn(async move {
            let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
            opened.fetch_add(1, Ordering::Relaxed);
            for frame in 1.. {
                let began = Instant::now();
                talk.frame(frame, i420(320, 180, frame as u32)).await;
                assert_eq!(talk.packet().await.frame_number, frame);
                slowest.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                counted.fetch_add(1, Ordering::Relaxed);
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
            assert!(talk.finish().await.unwrap().is_empty());
        }));
        Self { stop, frames, sessions, slowest_us, tasks }
    }

    /// Sessions and frames in all.
    async fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let slowest = self.slowest_us.load(Ordering::Relaxed) as f64 / 1_000.0;
        println!("the slowest frame of the long stream took {slowest:.1} ms");
        (self.sessions.load(Ordering::Relaxed), self.frames.load(Ordering::Relaxed))
    }
}

/// Nothing while the database isn't there.
async fn usage(addr: SocketAddr) -> Value {
    let answer = http(addr, "GET", "/v1/usage?from=2020-01-01", "", b"").await;
    if answer.status == 200 { answer.json() } else { Value::Null }
}

async fn until(told: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "never: {told}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_and_stopped_under_load_loses_nothing() {
    let Some(mut postgres) = Postgres::start() else { return };
    let server = start(stored(&postgres)).await;
    let load = Load::on(&server).await;
    let addr = server.http;
    let up = async || metric(addr, "auralink_ledger_up").await == 1.0;
    until("records are written", async || sum(&usage(addr).await, "sessions") > 5).await;
    for _ in 0..2 {
        postgres.kill();
        until("the store is down", async || !up().await).await;
        let waiting = metric(addr, "auralink_ledger_waiting").await;
        until("records wait", async || metric(addr, "auralink_ledger_waiting").await > waiting + 5.0).await;
        assert_eq!(http(addr, "GET", "/v1/usage", "", b"").await.status, 503);
        postgres.restart();
        until("the store is back", async || up().await).await;

        postgres.signal("STOP");
        until("the store is stopped", async || !up().await).await;
        postgres.signal("CONT");
        until("the store goes on", async || up().await).await;
    }
    let (sessions, frames) = load.end().await;
    let mut told = Value::Null;
    until("everything is written", async || {
        told = usage(addr).await;
        sum(&told, "sessions") >= sessions && sum(&told, "frames") >= frames
    })
    .await;
    assert_eq!((sum(&told, "sessions"), sum(&told, "frames")), (sessions, frames), "each once");
    let lost = |line: &&str| line.contains("ledger_records_total{reason=\"lost\"}") && !line.ends_with(" 0");
    assert_eq!(metrics(addr).await.lines().find(lost), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_a_database_and_start_without_it() {
    let Some(mut postgres) = Postgres::start() else { return };
    let servers = [start(stored(&postgres)).await, start(stored(&postgres)).await];
    for server in &servers {
        session(&mut server.client().await, 3).await.unwrap();
    }
    until("both are written", async || sum(&usage(servers[1].http).await, "sessions") == 2).await;
    assert_eq!(sum(&usage(servers[0].http).await, "frames"), 6);
    let body = br#"{"codec":"jpeg","monthly_bytes":1000000}"#;
    let kind = "content-type: application/json\r\n";
    assert_eq!(http(servers[0].http, "PUT", "/v1/settings", kind, body).await.status, 200);
    for server in servers {
        server.stop().await;
    }
    postgres.kill();
    let server = start(stored(&postgres)).await;
    session(&mut server.client().await, 2).await.unwrap();
    assert_eq!(http(server.http, "PUT", "/v1/settings", kind, body).await.status, 503);
    assert_eq!(http(server.http, "GET", "/readyz", "", b"").await.status, 200);
    postgres.restart();
    until("what waited is written", async || sum(&usage(server.http).await, "sessions") == 3).await;
    server.stop().await;
}
