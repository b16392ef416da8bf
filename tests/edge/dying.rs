//! Stopped and killed at random moments under load: nothing that was accepted is lost, nothing that was told is forgotten.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auralink::client::{Answer, Error, Retry, Stream};
use auralink::proto::compress_stream_request::Message as In;
use auralink::proto::compress_stream_response::Message as Out;
use auralink::proto::frame_compression_client::FrameCompressionClient;
use auralink::proto::{Codec, CompressStreamRequest, DropReason};
use tempfile::tempdir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

use crate::client::{Taken, run};
use crate::harness::PATIENCE;
use crate::instance::{Instance, quantiles, rounds};
use crate::victim::{frame, i420, open, target};

/// Moments that differ, the same in each run.
struct Moments(u64);

impl Moments {
    fn next(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Duration::from_millis(least_ms + (self.0 >> 33) % (most_ms - least_ms))
    }
}

/// What a caller without any library sees of a server that is stopped.
#[derive(Debug, Default)]
struct Seen {
    sent: u64,
    packets: u64,
    /// Dropped, or refused, with the reason.
    refused: u64,
    /// Sent, and refused by the stream's end.
    unread: u64,
    notices: u64,
    status: Option<Code>,
}

/// Keeps three frames unanswered until the stream ends, and then knows of each what became of it.
async fn talk(url: String) -> Option<Seen> {
    let channel = Channel::from_shared(url).unwrap().connect().await.ok()?;
    let (say, said) = mpsc::channel(16);
    let first = In::Open(auralink::proto::Open { window: 4, ..open(Codec::H264, 320, 180) });
    say.send(CompressStreamRequest { message: Some(first) }).await.unwrap();
    let mut hear =
        FrameCompressionClient::new(channel).compress_stream(ReceiverStream::new(said)).await.ok()?.into_inner();
    hear.message().await.ok()??;
    let pictures: Vec<_> = (0..8).map(|time| i420(320, 180, time)).collect();
    let (mut seen, mut open) = (Seen::default(), std::collections::BTreeSet::new());
    loop {
        while open.len() < 3 && seen.notices == 0 {
            let message = In::Frame(frame(seen.sent + 1, pictures[seen.sent as usize % 8].clone()));
            if say.send(CompressStreamRequest { message: Some(message) }).await.is_err() {
                break;
            }
            seen.sent += 1;
            open.insert(seen.sent);
        }
        let number = match hear.message().await {
            Ok(Some(answer)) => match answer.message.unwrap() {
                Out::Packet(packet) => {
                    seen.packets += 1;
                    packet.frame_number
                }
                Out::Dropped(dropped) => {
                    assert_ne!(dropped.reason(), DropReason::Unspecified);
                    seen.refused += 1;
                    dropped.frame_number
                }
                Out::Error(error) => {
                    assert_eq!(error.code, Code::Unavailable as i32, "{error:?}");
                    seen.refused += 1;
                    error.frame_number
                }
                Out::Notice(_) => {
                    seen.notices += 1;
                    continue;
                }
                Out::Opened(_) => panic!("opened twice"),
            },
            Ok(None) => break,
            Err(status) => {
                seen.status = Some(status.code());
                break;
            }
        };
        assert!(open.remove(&number), "frame {number} was answered before");
    }
    let told = seen.status == Some(Code::Unavailable) && seen.notices == 1;
    assert!(told, "{seen:?}, without an answer: {open:?}");
    // What was sent as the stream ended, and never read by the server, is refused by the stream's status: the newest alone.
    seen.unread = open.len() as u64;
    let newest = seen.sent - seen.unread + 1..=seen.sent;
    assert!(open.into_iter().eq(newest), "accepted and never answered, of {seen:?}");
    Some(seen)
}

/// Frames that the server says it has taken, summed over its streams.
fn accepted(folder: &Path) -> u64 {
    let log = std::fs::read_to_string(folder.join("server.log")).unwrap();
    let ended = log.lines().filter(|line| line.contains("stream ended"));
    let frames = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["frames"].as_u64();
    ended.map(|line| frames(line).expect("a count of frames")).sum()
}

/// One server, some streams, a SIGTERM; the time it took to end, and frames, packets, refusals and unread ones.
async fn stopped(folder: &Path, after: Duration) -> (f64, [u64; 4]) {
    let mut server = Instance::start(folder, &["--threads", "1"]);
    let streams: Vec<_> = (0..4).map(|_| tokio::spawn(talk(server.url()))).collect();
    tokio::time::sleep(after).await;
    let began = Instant::now();
    server.signal("TERM");
    let code = tokio::task::spawn_blocking(move || server.wait(Duration::from_secs(30))).await.unwrap();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert_eq!(code, Some(0), "exit code");
    let (mut sums, mut all) = ([0; 4], true);
    for stream in streams {
        match stream.await.expect("a stream that knows of each frame") {
            Some(seen) => {
                for (sum, count) in sums.iter_mut().zip([seen.sent, seen.packets, seen.refused, seen.unread]) {
                    *sum += count;
                }
            }
            // It was stopped before the stream was open.
            None => all = false,
        }
    }
    let [_, packets, refused, _] = sums;
    if all {
        assert_eq!(accepted(folder), packets + refused, "frames that were taken, and frames that were answered");
    }
    (took, sums)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_at_any_moment_it_answers_what_it_has_taken() {
    let all = rounds(6);
    let (mut moments, mut took, mut sums) = (Moments(11), Vec::new(), [0; 4]);
    for _ in 0..all.div_ceil(3) {
        let folders = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
        let runs = folders.iter().map(|folder| {
            let (path, after) = (folder.path().to_owned(), moments.next(0, 600));
            tokio::spawn(async move { stopped(&path, after).await })
        });
        let runs: Vec<_> = runs.collect();
        for run in runs {
            let (ms, counts) = run.await.unwrap();
            took.push(ms);
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    let [sent, packets, refused, unread] = sums;
    assert_eq!(sent, packets + refused + unread);
    assert!(packets > 0, "no frame was under way");
    println!(
        "SIGTERM: {sent} frames, {packets} packets, {refused} refused by name, {unread} by the end of their stream; exit {}",
        quantiles(took)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_and_one_before_it_is_ready_end_it_too() {
    let folder = tempdir().unwrap();
    let mut server = Instance::start(folder.path(), &["--threads", "1"]);
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(20));
    if server.is_alive() {
        server.signal("TERM");
    }
    server.wait(Duration::from_secs(30));
    for after in [0, 1, 3, 10, 30] {
        let program =
            std::env::var_os("AURALINK_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_auralink").into());
        let mut starting = std::process::Command::new(program)
            .args(["serve", "--grpc-port", "0", "--http-port", "0", "--threads", "1"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after));
        crate::programs::signal(starting.id(), "TERM");
        let until = Instant::now() + Duration::from_secs(30);
        while starting.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it doesn't end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A stream of the library's client that goes on through every kill until it is told to stop.
fn lasting(url: String, stop: Arc<AtomicBool>) -> JoinHandle<Result<(Taken, u64), Error>> {
    tokio::spawn(async move {
        let retry = Retry { most: Duration::from_millis(500), from_the_start: true, ..Retry::default() };
        let mut stream = Stream::open(&target(vec![url], retry), open(Codec::H264, 320, 180)).await?;
        let pictures: Vec<_> = (0..8).map(|time| i420(320, 180, time)).collect();
        let (mut taken, mut sent) = (Taken::default(), 0);
        loop {
            while stream.has_credit() {
                if stop.load(Ordering::Relaxed) {
                    stream.finish();
                    break;
                }
                sent += 1;
                stream.send(frame(sent, pictures[sent as usize % 8].clone()))?;
            }
            match stream.next().await? {
                Some(answer) => taken.take(answer),
                None => return Ok((taken, sent)),
            }
        }
    })
}

/// Short sessions, one after another, each of which ends up in the ledger.
fn sessions(url: String, stop: Arc<AtomicBool>, opened: Arc<AtomicU64>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let target = target(vec![url.clone()], Retry::NEVER);
            let Ok(mut stream) = Stream::open(&target, open(Codec::Jpeg, 320, 180)).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            opened.fetch_add(1, Ordering::Relaxed);
            // Whatever becomes of it.
            let _ = stream.send(frame(1, i420(320, 180, 1)));
            stream.finish();
            while let Ok(Some(Answer::Packet(..))) = stream.next().await {}
        }
    })
}

/// Sessions that the ledger tells of. After a crash its file may take longer to open than the server to be ready.
fn told(server: &Instance) -> u64 {
    let began = Instant::now();
    loop {
        if let Some(rows) = server.usage()["rows"].as_array() {
            return rows.iter().filter_map(|row| row["sessions"].as_u64()).sum();
        }
        assert!(began.elapsed() < PATIENCE, "the ledger tells nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_is_back_with_all_it_has_told() {
    let (folder, store) = (tempdir().unwrap(), tempdir().unwrap());
    let mut server = Instance::start(folder.path(), &["--threads", "1", "--store", store.path().to_str().unwrap()]);
    let (stop, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let streams: Vec<_> = (0..2).map(|_| lasting(server.url(), Arc::clone(&stop))).collect();
    let load = sessions(server.url(), Arc::clone(&stop), Arc::clone(&opened));
    let (mut moments, mut ready, mut known) = (Moments(5), Vec::new(), 0);
    let kills = rounds(8);
    for kill in 0..kills {
        tokio::time::sleep(moments.next(100, 500)).await;
        known = known.max(told(&server));
        tokio::task::block_in_place(|| {
            server.kill();
            let began = Instant::now();
            server.restart();
            server.ready();
            let took = began.elapsed();
            if took > Duration::from_secs(1) {
                println!("kill {kill}: ready again after {:.1} s", took.as_secs_f64());
            }
            ready.push(took.as_secs_f64() * 1e3);
        });
        let kept = told(&server);
        assert!(kept >= known, "{known} sessions were told before kill {kill}, {kept} are there after it");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    let (mut frames, mut gaps) = (0, Vec::new());
    for stream in streams {
        let (taken, sent) = tokio::time::timeout(PATIENCE, stream).await.expect("an end in time").unwrap().unwrap();
        assert!(!taken.resumed.is_empty());
        taken.check(sent);
        frames += sent;
        gaps.extend(taken.resumed);
    }
    assert!(told(&server) >= known && known > 0, "{known}");
    let opened = opened.load(Ordering::Relaxed);
    println!("{kills} kills: ready again {}; {known} of {opened} sessions were told and kept", quantiles(ready));
    println!("{frames} frames of two streams, none missing or doubled; resumed after {}", quantiles(gaps));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_the_library_survive_a_row_of_stops() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let mut servers = folders.each_ref().map(|folder| Instance::start(folder.path(), &["--threads", "1"]));
    let addresses = servers.iter().map(Instance::url).collect();
    let mut stream = Stream::open(&target(addresses, Retry::default()), open(Codec::H264, 320, 180)).await.unwrap();
    let taken = run(&mut stream, 150, |number| {
        let at = (number / 25 % 2) as usize;
        if number % 25 == 10 && number < 120 {
            tokio::task::block_in_place(|| {
                servers[at].signal("TERM");
                servers[at].wait(Duration::from_secs(30));
                servers[at].restart();
            });
        }
    });
    let taken = taken.await.unwrap();
    taken.check(150);
    assert!(!taken.resumed.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_reads_its_log_is_no_reason_to_stop() {
    let mut server = Instance::start_unheard(&["--threads", "1", "--log-level", "trace"]);
    let taken = {
        let mut stream =
            Stream::open(&target(vec![server.url()], Retry::NEVER), open(Codec::H264, 320, 180)).await.unwrap();
        run(&mut stream, 30, |_| {}).await.unwrap()
    };
    taken.check(30);
    // It reads its settings again, and goes on.
    server.signal("HUP");
    server.ready();
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(30)), Some(0));
}
