//! What names, authentication, rate limits, metrics and logs cost together: a stream's opening through everything that a
//! connection's requests pass, against the same call alone, and what is counted of each frame. No sockets: their noise is larger
//! than what is measured.
//!
//! `cargo bench --bench overhead --features testing` prints medians over rounds that take turns.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::time::{Duration, Instant};

use auralink::service::config::Role;
use auralink::service::overhead::{FrameBooks, Ways};
use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::proto::{CompressStreamRequest, Open, PixelFormat};
use auralink::service::{Config, KeyFile, Server, Windows};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, Version};
use bytes::{BufMut, BytesMut};
use http_body_util::BodyExt;
use prost::Message;
use tower::ServiceExt;
use tracing_subscriber::EnvFilter;

/// A message as gRPC frames it.
fn opening() -> bytes::Bytes {
    let open = Open { format: PixelFormat::I420.into(), width: 320, height: 180, codec: 1, ..Open::default() };
    let message = CompressStreamRequest { message: Some(In::Open(open)) };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut framed).unwrap();
    framed.freeze()
}

/// Time from a stream's request to the first message of its answer.
async fn open(routes: &Router, body: &bytes::Bytes, key: &str) -> Duration {
    let request = Request::post("/auralink.aic.v1.FrameCompression/CompressStream")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {key}"))
        .body(Body::from(body.clone()))
        .unwrap();
    let routes = routes.clone();
    let began = Instant::now();
    let response = routes.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(first.is_data(), "{first:?}");
    while body.frame().await.is_some() {}
    took
}

/// The median and the 99th percentile, microseconds.
fn quantiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [0.5, 0.99].map(|part| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server that asks everybody who they are and limits everything, but never refuses.
fn config() -> (Config, String) {
    let mut keys = KeyFile::default();
    let key = keys.add("bench", &[Role::Admin], None).unwrap();
    let mut config = Config::default();
    (config.listen.grpc_port, config.listen.http_port) = (0, 0);
    config.auth.keys = keys.keys;
    let many = Windows { per_minute: 1_000_000, per_hour: 1_000_000, per_day: 1_000_000 };
    (config.rates.caller, config.rates.ip, config.rates.method) = (many, many, many);
    config.rates.loopback = true;
    (config, key)
}

fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let (rounds, opens, frames) = if is_measured { (9, 2_000, 1_000_000) } else { (1, 3, 10) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (config, key) = config();
    let server = runtime.block_on(Server::bind(config)).unwrap();
    let ways = Ways::of(&server).unwrap();
    let body = opening();
    // As in service: what is told at level info is written, to where nothing keeps it.
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("info")).with_writer(std::io::sink).finish();
    let log = tracing::Dispatch::new(log);

    let mut found: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        let [mut with, mut without] = [Vec::new(), Vec::new()];
        for _ in 0..opens {
            without.push(runtime.block_on(open(&ways.without, &body, &key)));
            let _logged = tracing::dispatcher::set_default(&log);
            with.push(runtime.block_on(open(&ways.with, &body, &key)));
        }
        let figures = [quantiles(without), quantiles(with)].concat();
        found.iter_mut().zip(figures).for_each(|(found, figure)| found.push(figure));
    }
    let [p50, p99, p50_with, p99_with] = found.map(median);
    println!("stream open alone: p50 {p50:.1} us, p99 {p99:.1} us");
    println!("stream open with everything: p50 {p50_with:.1} us, p99 {p99_with:.1} us");
    println!("cost of a stream open: p50 {:.1} us, p99 {:.1} us", p50_with - p50, p99_with - p99);

    let _logged = tracing::dispatcher::set_default(&log);
    let mut books = FrameBooks::open(&server).unwrap();
    let mut costs = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        (0..frames).for_each(|_| books.frame());
        costs.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(frames));
    }
    println!("cost of a frame: {:.3} us", median(costs));
}
