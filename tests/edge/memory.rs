//! What callers who only occupy can make the server's process hold: its budget, and little more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auralink::proto::compress_stream_request::Message as In;
use auralink::proto::{self, Codec, PixelFormat, StreamFrame};
use bytes::Bytes;
use h2::client::SendRequest;
use tempfile::tempdir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::attackers::attackers;
use crate::harness::PATIENCE;
use crate::instance::Instance;
use crate::victim::{Victim, open};
use crate::wire::{call, connect, end, framed, send};

const BUDGET_MIB: f64 = 64.0;
const SESSIONS_MIB: f64 = 64.0;
/// Beyond the idle process.
const MOST_MIB: f64 = BUDGET_MIB * 1.15;
const MOST_WITH_SESSIONS_MIB: f64 = (BUDGET_MIB + SESSIONS_MIB) * 1.15;

const STRICT: &str = "[compute]\nthreads = 2\n[limits]\nmax_in_flight_mib = 64\nmax_session_mib = 64\nstall_timeout_ms = 1000\n\
                      [admission]\nprogress_ms = 1000\nroom_ms = 5000\nconnection_mib = 48\n\
                      stream_window_kib = 1024\nconnection_window_kib = 2048\n";

/// Watches memory, bytes in flight and those of sessions until told to stop; gives the most of each, MiB.
fn watch(server: &Arc<Instance>) -> (Arc<AtomicBool>, JoinHandle<[f64; 3]>) {
    let (stop, server) = (Arc::new(AtomicBool::new(false)), Arc::clone(server));
    let stopped = Arc::clone(&stop);
    let watching = tokio::task::spawn_blocking(move || {
        let mut most = [0.0_f64; 3];
        while !stopped.load(Ordering::Relaxed) {
            let mib = |name| server.metric(name) / 1_048_576.0;
            let now = [server.resident_mib(), mib("auralink_in_flight_bytes"), mib("auralink_session_bytes")];
            most.iter_mut().zip(now).for_each(|(most, now)| *most = most.max(now));
            std::thread::sleep(Duration::from_millis(5));
        }
        most
    });
    (stop, watching)
}

/// A server that has worked a little, so that what it takes once is taken.
async fn warm(settings: &str) -> (tempfile::TempDir, Arc<Instance>, f64) {
    let folder = tempdir().unwrap();
    let server = Arc::new(Instance::start_as(folder.path(), settings));
    Victim::alone(&server, Duration::from_millis(500)).await;
    server.until_nothing_is_held().await;
    let idle = server.resident_mib();
    (folder, server, idle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_messages_keep_to_the_budget() {
    let (_folder, server, idle) = warm(STRICT).await;
    let alone = Victim::alone(&server, Duration::from_secs(3)).await;
    let victim = Victim::of(&server).await;
    let (stop, watching) = watch(&server);
    let part = Bytes::from(vec![0x5A; 12 << 20]);
    let attackers = (0..64).map(|_| {
        let (grpc, part) = (server.grpc, part.clone());
        attackers().spawn(async move {
            let client = connect(grpc, 1 << 20).await;
            let (response, mut body) = call(&client, open(Codec::H264, 640, 360)).await;
            let mut prefix = vec![0];
            prefix.extend((16_u32 << 20).to_be_bytes());
            // Three quarters of a message of 16 MiB, and then nothing.
            let _ = send(&mut body, prefix.into()).await && send(&mut body, part).await;
            timeout(PATIENCE, end(response)).await.expect("half a message is cut")
        })
    });
    let attackers: Vec<_> = attackers.collect();
    for attacker in attackers {
        // DEADLINE_EXCEEDED where it made no progress, RESOURCE_EXHAUSTED where there was no room, or a reset.
        let status = attacker.await.unwrap();
        assert!(status.as_deref().is_none_or(|status| status == "4" || status == "8"), "{status:?}");
    }
    let beside = victim.end().await;
    server.until_nothing_is_held().await;
    stop.store(true, Ordering::Relaxed);
    let [resident, held, _] = watching.await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!(
        "64 half-sent messages: idle {idle:.1} MiB, at most {:.1} MiB more, {held:.1} of {BUDGET_MIB} MiB held, {:.1} MiB more \
         after it",
        resident - idle,
        server.resident_mib() - idle
    );
    println!("the victim: {beside}; alone: {alone}");
    assert!(held > BUDGET_MIB / 4.0 && held <= BUDGET_MIB, "{held} MiB in flight");
    assert!(resident - idle <= MOST_MIB, "{:.1} MiB beyond the idle process", resident - idle);
}

/// A stream whose frames are sent as they are taken, and whose answers nobody makes room for. Gives how the server ended it: by a
/// status, or by a reset.
async fn unread(client: SendRequest<Bytes>, open: proto::Open, data: Bytes) -> Option<String> {
    let (response, mut body) = call(&client, open).await;
    let sending = tokio::spawn(async move {
        for frame_number in 1.. {
            let frame = StreamFrame { frame_number, data: data.clone(), ..StreamFrame::default() };
            if !send(&mut body, framed(In::Frame(frame))).await {
                return;
            }
        }
    });
    let ended = async {
        let mut answers = response.await.ok()?.into_body();
        while let Some(data) = answers.data().await {
            data.ok()?;
        }
        let trailers = answers.trailers().await.ok()??;
        Some(trailers.get("grpc-status")?.to_str().ok()?.to_owned())
    };
    let ended = timeout(PATIENCE, ended).await.expect("a stream that nobody reads is ended");
    sending.abort();
    ended
}

/// 64 streams of frames of noise, eight a connection, none of which is read.
async fn never_read(width: u32, height: u32) {
    let (_folder, server, idle) = warm(STRICT).await;
    let alone = Victim::alone(&server, Duration::from_secs(3)).await;
    let victim = Victim::of(&server).await;
    let (stop, watching) = watch(&server);
    let noise = (0..width * height * 3).map(|at| (at.wrapping_mul(2_654_435_761) >> 15) as u8);
    let data = Bytes::from(noise.collect::<Vec<_>>());
    let open = proto::Open {
        codec: Codec::Lossless.into(),
        format: PixelFormat::Rgb8.into(),
        window: 8,
        ..open(Codec::Lossless, width, height)
    };
    let attackers = (0..8).map(|_| {
        let (grpc, data, open) = (server.grpc, data.clone(), open.clone());
        attackers().spawn(async move {
            // A window too small for one packet, and never opened.
            let client = connect(grpc, 1 << 10).await;
            let calls: Vec<_> =
                (0..8).map(|_| tokio::spawn(unread(client.clone(), open.clone(), data.clone()))).collect();
            let mut ended = Vec::new();
            for call in calls {
                ended.push(call.await.unwrap());
            }
            // The connection is open until the last has ended.
            drop(client);
            ended
        })
    });
    let attackers: Vec<_> = attackers.collect();
    let mut ended = Vec::new();
    for attacker in attackers {
        ended.extend(attacker.await.unwrap());
    }
    let beside = victim.end().await;
    server.until_nothing_is_held().await;
    stop.store(true, Ordering::Relaxed);
    let [resident, held, sessions] = watching.await.unwrap();
    let refused = ended.iter().filter(|status| status.as_deref() == Some("8")).count();
    println!(
        "64 streams of {width}x{height} that nobody reads, {refused} of them refused: idle {idle:.1} MiB, at most {:.1} MiB \
         more, {held:.1} of {BUDGET_MIB} MiB in flight, {sessions:.1} of {SESSIONS_MIB} MiB of sessions; the victim: {beside}; \
         alone: {alone}",
        resident - idle
    );
    assert!(ended.iter().flatten().all(|status| status == "8"), "{ended:?}");
    assert!(held <= BUDGET_MIB && sessions <= SESSIONS_MIB);
    assert!(resident - idle <= MOST_WITH_SESSIONS_MIB, "{:.1} MiB beyond the idle process", resident - idle);
    assert_eq!(server.metric("auralink_session_bytes"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_streams_that_nobody_reads_keep_to_the_budgets() {
    never_read(640, 360).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_streams_that_nobody_reads_keep_to_the_budgets() {
    never_read(320, 180).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_cost_little() {
    const CONNECTIONS: usize = 1_000;
    let (_folder, server, idle) = warm("[compute]\nthreads = 2\n").await;
    let victim = Victim::of(&server).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(server.grpc, 1 << 20).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let more = server.resident_mib() - idle;
    let [files, _] = server.held();
    let beside = victim.end().await;
    println!("{CONNECTIONS} idle connections: {more:.1} MiB, {files} files; the victim: {beside}");
    assert!(files > CONNECTIONS, "they are open");
    assert!(more * 1024.0 / (CONNECTIONS as f64) < 64.0, "{more} MiB");
    drop(clients);
    let began = std::time::Instant::now();
    while server.held()[0] > 100 {
        assert!(began.elapsed() < PATIENCE, "{} files stay open", server.held()[0]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
