//! What sessions have done, told by caller and day, and what callers have set.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auralink::service::proto::frame_compression_client::FrameCompressionClient;
use auralink::service::{Config, StoreConfig, proto};
use serde_json::Value;
use tonic::Code;
use tonic::transport::Channel;

use crate::harness::{Client, PATIENCE, Talk, config, http, i420, open_i420, start};
use crate::process::Process;

/// A session of so many frames.
pub(crate) async fn session(client: &mut Client, frames: u64) -> Result<(), tonic::Status> {
    let (mut talk, _) = Talk::open(client, open_i420(320, 180)).await?;
    for frame in 1..=frames {
        talk.frame(frame, i420(320, 180, frame as u32)).await;
        talk.packet().await;
    }
    assert!(talk.finish().await?.is_empty());
    Ok(())
}

/// A sum over all rows of usage.
pub(crate) fn sum(usage: &Value, name: &str) -> u64 {
    usage["rows"].as_array().unwrap_or(&Vec::new()).iter().filter_map(|row| row[name].as_u64()).sum()
}

pub(crate) async fn usage(addr: SocketAddr) -> Value {
    let began = Instant::now();
    loop {
        let answer = http(addr, "GET", "/v1/usage?from=2020-01-01", "", b"").await;
        // On a busy disk the store may still be opening.
        if answer.status == 503 && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        assert_eq!(answer.status, 200, "{}", answer.json());
        return answer.json();
    }
}

/// Waits until so many sessions were written down.
async fn sessions_are(addr: SocketAddr, sessions: u64) -> Value {
    let began = Instant::now();
    loop {
        let usage = usage(addr).await;
        if sum(&usage, "sessions") >= sessions {
            return usage;
        }
        assert!(began.elapsed() < PATIENCE, "{usage}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreConfig { path: Some(folder.path().join("data")), ..StoreConfig::default() };
    let stored = || Config { store: store.clone(), ..config() };
    let server = start(stored()).await;
    let mut client = server.client().await;
    for frames in [3, 4, 5] {
        session(&mut client, frames).await.unwrap();
    }
    let told = sessions_are(server.http, 3).await;
    assert_eq!((sum(&told, "sessions"), sum(&told, "frames"), sum(&told, "packets")), (3, 12, 12));
    assert_eq!(sum(&told, "bytes_in"), 12 * 320 * 180 * 3 / 2);
    let row = &told["rows"][0];
    assert!(row["caller"] == "anonymous" && row["reduction"].as_f64().unwrap() > 0.5, "{row}");

    let again = auralink::service::Server::bind(stored()).await.unwrap_err().to_string();
    assert!(again.contains("store"), "one process at a time: {again}");
    // A session that is cut by the end of the server is written down too.
    let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    talk.frame(1, i420(320, 180, 1)).await;
    talk.packet().await;
    server.stop().await;

    let server = start(stored()).await;
    let told = usage(server.http).await;
    assert_eq!((sum(&told, "sessions"), sum(&told, "frames")), (4, 13));
    let csv = http(server.http, "GET", "/v1/usage?format=csv", "", b"").await;
    assert_eq!((csv.status, csv.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    let text = String::from_utf8(csv.body).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("day,caller,sessions,") && lines[1].contains(",\"anonymous\",4,"));
    for (query, field) in [("from=soon", "from"), ("to=2026-02-30", "to"), ("format=xml", "format"), ("day=1", "query")]
    {
        let answer = http(server.http, "GET", &format!("/v1/usage?{query}"), "", b"").await;
        assert_eq!((answer.status, &answer.json()["violations"][0]["field"]), (400, &Value::from(field)), "{query}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_session_is_written_down_as_it_goes() {
    let store = StoreConfig { checkpoint_ms: 200, ..StoreConfig::default() };
    let server = start(Config { store, ..config() }).await;
    let (mut talk, _) = Talk::open(&mut server.client().await, open_i420(320, 180)).await.unwrap();
    for frame in 1..=5 {
        talk.frame(frame, i420(320, 180, frame as u32)).await;
        talk.packet().await;
    }
    let began = Instant::now();
    while sum(&usage(server.http).await, "frames") < 5 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    talk.frame(6, i420(320, 180, 6)).await;
    talk.packet().await;
    talk.finish().await.unwrap();
    while sum(&usage(server.http).await, "frames") < 6 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sum(&usage(server.http).await, "sessions"), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_begin_new_sessions_and_budgets_end_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreConfig { path: Some(folder.path().to_owned()), ..StoreConfig::default() };
    let server = start(Config { store: store.clone(), ..config() }).await;
    let put = async |addr, body: &str| {
        http(addr, "PUT", "/v1/settings", "content-type: application/json\r\n", body.as_bytes()).await
    };
    assert_eq!(http(server.http, "GET", "/v1/settings", "", b"").await.json(), serde_json::json!({}));
    for (body, field) in [
        (r#"{"mode":"wild"}"#, "mode"),
        (r#"{"codec":"h265"}"#, "codec"),
        (r#"{"limits":{"per_minute":2000000}}"#, "limits.per_minute"),
        (r#"{"colour":"red"}"#, "body"),
        ("{", "body"),
    ] {
        let answer = put(server.http, body).await;
        assert_eq!((answer.status, &answer.json()["violations"][0]["field"]), (400, &Value::from(field)), "{body}");
    }
    assert_eq!(put(server.http, r#"{"codec":"jpeg","mode":"aggressive"}"#).await.status, 200);
    server.stop().await;

    let server = start(Config { store, ..config() }).await;
    let mut client = server.client().await;
    let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    talk.frame(1, i420(320, 180, 1)).await;
    let packet = talk.packet().await;
    assert_eq!(packet.codec(), auralink::service::proto::Codec::Jpeg);
    let sessions = http(server.http, "GET", "/v1/sessions", "", b"").await.json();
    assert_eq!(sessions["sessions"][0]["mode"], "aggressive");
    talk.finish().await.unwrap();
    sessions_are(server.http, 1).await;

    assert_eq!(put(server.http, r#"{"monthly_bytes":100}"#).await.status, 200);
    let status = Talk::open(&mut client, open_i420(320, 180)).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("this month"), "{status:?}");
    assert_eq!(put(server.http, r#"{"monthly_bytes":100000000}"#).await.status, 200);
    session(&mut client, 1).await.unwrap();
    server.stop().await;
}

fn still(data: bytes::Bytes) -> proto::CompressFrameRequest {
    let format = proto::PixelFormat::I420 as i32;
    let picture = proto::Picture { format, width: 320, height: 180, data, ..Default::default() };
    let codec = proto::Codec::Jpeg as i32;
    proto::CompressFrameRequest { picture: Some(picture), codec, measure_quality: true, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_without_a_session_are_written_down_and_have_the_same_budget() {
    let folder = tempfile::tempdir().unwrap();
    let stored = |checkpoint_ms| {
        let store = StoreConfig { path: Some(folder.path().to_owned()), checkpoint_ms, ..StoreConfig::default() };
        Config { store, ..config() }
    };
    // Written down by the clock.
    let server = start(stored(100)).await;
    let mut client = server.client().await;
    client.compress_frame(still(i420(320, 180, 1))).await.unwrap();
    let frames = vec![still(i420(320, 180, 2)), still(i420(320, 180, 3)), still(i420(320, 180, 4))];
    client.compress_batch(proto::CompressBatchRequest { frames }).await.unwrap();
    let mut file = Vec::new();
    let pixels = i420(320, 360, 1);
    let frame = auralink::Frame::new(auralink::PixelFormat::Rgb8, 320, 180, &pixels[..320 * 180 * 3]).unwrap();
    auralink::images::encode_png(&frame, &mut file).unwrap();
    assert_eq!(http(server.http, "POST", "/v1/compress?codec=lossless", "", &file).await.status, 200);
    let began = Instant::now();
    while sum(&usage(server.http).await, "packets") < 5 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = usage(server.http).await;
    assert_eq!((sum(&told, "sessions"), sum(&told, "frames")), (0, 5), "{told}");
    assert_eq!(sum(&told, "bytes_in"), 4 * 320 * 180 * 3 / 2 + 320 * 180 * 3);
    assert!(told["rows"][0]["ssim"].as_f64().unwrap() > 0.9, "{told}");
    server.stop().await;

    // Written down as the server ends.
    let server = start(stored(3_600_000)).await;
    let mut client = server.client().await;
    client.compress_frame(still(i420(320, 180, 1))).await.unwrap();
    assert_eq!(sum(&usage(server.http).await, "frames"), 5);
    server.stop().await;

    let server = start(stored(3_600_000)).await;
    assert_eq!(sum(&usage(server.http).await, "frames"), 6);
    // What was used before counts for the budget, and what isn't written down yet.
    let used = sum(&usage(server.http).await, "bytes_out");
    let budget = format!("{{\"monthly_bytes\":{}}}", used + 1);
    let json = "content-type: application/json\r\n";
    assert_eq!(http(server.http, "PUT", "/v1/settings", json, budget.as_bytes()).await.status, 200);
    let mut client = server.client().await;
    client.compress_frame(still(i420(320, 180, 1))).await.unwrap();
    let status = client.compress_frame(still(i420(320, 180, 1))).await.unwrap_err();
    assert!(status.code() == Code::ResourceExhausted && status.message().contains("this month"), "{status:?}");
    let frames = vec![still(i420(320, 180, 2))];
    let batch = client.compress_batch(proto::CompressBatchRequest { frames }).await.unwrap().into_inner();
    let Some(proto::batch_result::Result::Error(error)) = &batch.results[0].result else { panic!("{batch:?}") };
    assert_eq!(error.code, Code::ResourceExhausted as i32);
    let answer = http(server.http, "POST", "/v1/compress", "", &file).await;
    assert_eq!(answer.status, 429, "{}", answer.json());
    server.stop().await;
}

fn kill(mut process: Process) {
    process.child.kill().unwrap();
    process.child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_survives_every_kill() {
    let Some(program) = option_env!("CARGO_BIN_EXE_auralink") else {
        crate::skip::say(format_args!("without the program (feature cli) it isn't killed"));
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let opened = Arc::new(AtomicU64::new(0));
    let (mut told, mut slowest) = (0, Duration::ZERO);
    let mut seed = 3_u64;
    for round in 0..50 {
        let began = Instant::now();
        let process = Process::start(program, |command| {
            command.args(["--threads", "1", "--store"]).arg(folder.path());
        });
        slowest = slowest.max(began.elapsed());
        let kept = sum(&usage(process.http).await, "sessions");
        assert!(kept >= told, "{told} sessions were told before kill {round}, {kept} are there after it");
        let mut load = Vec::new();
        for _ in 0..3 {
            let (grpc, opened) = (process.grpc, Arc::clone(&opened));
            load.push(tokio::spawn(async move {
                let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect().await.unwrap();
                let mut client = FrameCompressionClient::new(channel);
                loop {
                    opened.fetch_add(1, Ordering::Relaxed);
                    // Each ends with the server.
                    let Ok((mut talk, _)) = Talk::open(&mut client, open_i420(320, 180)).await else { return };
                    talk.frame(1, i420(320, 180, 1)).await;
                    if talk.next().await.is_err() || talk.finish().await.is_err() {
                        return;
                    }
                }
            }));
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        tokio::time::sleep(Duration::from_millis(30 + (seed >> 33) % 200)).await;
        told = sum(&usage(process.http).await, "sessions");
        kill(process);
        for task in load {
            // A frame may be under way as the server is killed.
            drop(task.await);
        }
    }
    let process = Process::start(program, |command| {
        command.args(["--threads", "1", "--store"]).arg(folder.path());
    });
    let kept = sum(&usage(process.http).await, "sessions");
    kill(process);
    let opened = opened.load(Ordering::Relaxed);
    assert!(kept >= told && told > 50 && kept <= opened, "{told} told, {kept} kept, {opened} opened");
    println!("50 kills, {kept} of {opened} sessions kept; the slowest start took {} ms", slowest.as_millis());
}
