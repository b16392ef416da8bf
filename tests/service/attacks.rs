//! Callers who occupy memory and give nothing: what they hold is bounded, they are cut, and others don't notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auralink::service::proto;
use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::{Admission, Config};
use bytes::Bytes;
use h2::Reason;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Running, Talk, config_with, i420, noise, open_i420, start};
use crate::limits::{labelled, metric};
use crate::wire::{call, connect, end, framed, send};

const BUDGET_MIB: u32 = 64;
const BUDGET: f64 = BUDGET_MIB as f64 * 1024.0 * 1024.0;

fn strict() -> Config {
    let admission = Admission { progress_ms: 1_000, room_ms: 5_000, connection_mib: 48, ..Admission::default() };
    config_with(|config| {
        config.admission = admission;
        config.limits.max_in_flight_mib = BUDGET_MIB;
        (config.limits.stall_timeout_ms, config.limits.drain_ms) = (1_000, 2_000);
    })
}

/// A caller who does everything right for as long as the others attack.
struct Victim {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(u64, Duration)>,
}

impl Victim {
    async fn of(server: &Running) -> Self {
        let mut client = server.client().await;
        let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut frames, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) || frames < 10 {
                frames += 1;
                let began = Instant::now();
                talk.frame(frames, i420(320, 180, frames as u32)).await;
                assert_eq!(talk.packet().await.frame_number, frames);
                slowest = slowest.max(began.elapsed());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(talk.finish().await.unwrap().is_empty());
            (frames, slowest)
        });
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (frames, slowest) = self.task.await.expect("a victim without an error");
        println!("the victim's {frames} frames took {:.1} ms at most", slowest.as_secs_f64() * 1e3);
    }
}

/// Waits until nothing is held any more, and gives the most that ever was.
async fn until_nothing_is_held(server: &Running) {
    let began = Instant::now();
    for name in ["auralink_in_flight_bytes", "auralink_jobs_waiting", "auralink_streams_open"] {
        while metric(server.http, name).await != 0.0 {
            assert!(began.elapsed() < PATIENCE, "{name} is {}", metric(server.http, name).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_messages_hold_no_more_than_the_budget() {
    let server = start(strict()).await;
    let victim = Victim::of(&server).await;
    let before = resident_mib();
    let part = Bytes::from(vec![0; 12 << 20]);
    let mut attackers = Vec::new();
    for _ in 0..64 {
        let client = connect(server.grpc, 1 << 20).await;
        let part = part.clone();
        attackers.push(tokio::spawn(async move {
            let (response, mut body) = call(&client, open_i420(640, 360)).await;
            let mut prefix = vec![0];
            prefix.extend((16_u32 << 20).to_be_bytes());
            // Three quarters of a message of 16 MiB, and then nothing.
            let _ = send(&mut body, prefix.into()).await && send(&mut body, part).await;
            timeout(PATIENCE, end(response)).await.expect("half a message is cut")
        }));
    }
    let mut most: f64 = 0.0;
    let mut resident: f64 = 0.0;
    while !attackers.iter().all(JoinHandle::is_finished) {
        most = most.max(metric(server.http, "auralink_in_flight_bytes").await);
        resident = resident.max(resident_mib() - before);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(most > BUDGET / 4.0 && most <= BUDGET, "{most} of {BUDGET} bytes");
    let mut statuses = Vec::new();
    for attacker in attackers {
        statuses.extend(attacker.await.unwrap());
    }
    // DEADLINE_EXCEEDED where it made no progress, RESOURCE_EXHAUSTED where there was no room or another needed it.
    assert!(statuses.iter().all(|status| status == "4" || status == "8"), "{statuses:?}");
    victim.end().await;
    until_nothing_is_held(&server).await;
    println!("768 MiB sent, {:.1} of {BUDGET_MIB} MiB held, {resident:.0} MiB more resident", most / 1048576.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_byte_by_byte_is_cut() {
    let server = start(strict()).await;
    let victim = Victim::of(&server).await;
    let mut attackers = Vec::new();
    for _ in 0..8 {
        let client = connect(server.grpc, 1 << 20).await;
        for _ in 0..25 {
            let client = client.clone();
            attackers.push(tokio::spawn(async move {
                let (response, mut body) = call(&client, open_i420(640, 360)).await;
                let slow = async {
                    let mut prefix = vec![0];
                    prefix.extend(345_600_u32.to_be_bytes());
                    let _ = send(&mut body, prefix.into()).await;
                    while send(&mut body, Bytes::from_static(b"x")).await {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    ended = timeout(PATIENCE, end(response)) => ended.expect("it is cut"),
                    () = slow => unreachable!("it never ends by itself"),
                }
            }));
        }
    }
    for attacker in attackers {
        let status = attacker.await.unwrap();
        assert!(status.as_deref().is_none_or(|status| status == "4"), "{status:?}");
    }
    assert!(labelled(server.http, "auralink_messages_cut_total{reason=\"no progress\"}").await >= 200.0);
    victim.end().await;
    until_nothing_is_held(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_who_never_read_are_cut() {
    let server = start(strict()).await;
    let victim = Victim::of(&server).await;
    let frame = noise(160 * 90 * 3, 5);
    let open = proto::Open {
        codec: proto::Codec::Lossless as i32,
        format: proto::PixelFormat::Rgb8 as i32,
        width: 160,
        height: 90,
        ..Default::default()
    };
    let mut attackers = Vec::new();
    for _ in 0..8 {
        // A window too small for one packet, and never opened.
        let client = connect(server.grpc, 1 << 10).await;
        for _ in 0..8 {
            let (client, open, frame) = (client.clone(), open.clone(), frame.clone());
            attackers.push(tokio::spawn(async move {
                let (response, mut body) = call(&client, open).await;
                let mut number = 0;
                let sending = async {
                    loop {
                        number += 1;
                        let frame =
                            proto::StreamFrame { frame_number: number, data: frame.clone(), ..Default::default() };
                        if !send(&mut body, framed(In::Frame(frame))).await {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                // The stream is no more read from once it is cut: what is sent then stays in its window.
                let _ = timeout(Duration::from_secs(4), sending).await;
                drop(response);
                body.send_reset(Reason::CANCEL);
            }));
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    // The victim's alone is left.
    while metric(server.http, "auralink_streams_open").await > 1.0 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    victim.end().await;
    for attacker in attackers {
        attacker.await.unwrap();
    }
    until_nothing_is_held(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cancelled_streams_leaves_nothing_behind() {
    let server = start(strict()).await;
    let victim = Victim::of(&server).await;
    let frame = i420(640, 360, 1);
    let mut seed = 7_u64;
    let mut attackers = Vec::new();
    for round in 0..25 {
        let client = connect(server.grpc, 1 << 20).await;
        for _ in 0..20 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pause = Duration::from_millis((seed >> 33) % 30);
            let (client, frame) = (client.clone(), frame.clone());
            attackers.push(tokio::spawn(async move {
                let (response, mut body) = call(&client, open_i420(640, 360)).await;
                let frame = proto::StreamFrame { frame_number: 1, data: frame, ..Default::default() };
                let _ = timeout(pause, send(&mut body, framed(In::Frame(frame)))).await;
                tokio::time::sleep(pause).await;
                body.send_reset(Reason::CANCEL);
                drop(response);
            }));
        }
        if round % 5 == 4 {
            for attacker in attackers.drain(..) {
                attacker.await.unwrap();
            }
        }
    }
    victim.end().await;
    until_nothing_is_held(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_over_http_that_stands_still_is_cut() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = start(strict()).await;
    let mut socket = TcpStream::connect(server.http).await.unwrap();
    let head = b"POST /v1/compress HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n";
    socket.write_all(head).await.unwrap();
    socket.write_all(&noise(200_000, 1)).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("an answer in time");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("DEADLINE_EXCEEDED"), "{answer}");
    until_nothing_is_held(&server).await;
    server.stop().await;
}
