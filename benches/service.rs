//! 1080p I420 frames through `CompressStream` on loopback, client and server in one process.
//!
//! `round_trip` is a frame at a time, `own_overhead` the part of it that isn't decoding, resizing, encoding or measuring (so:
//! gRPC, copies, queues, and waking threads), `pipelined` the time a frame takes with four in flight. `call_by_...` is a small call
//! of somebody who is known by nothing, by an API key, or by a token, the same or a new one each time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use std::time::{Duration, Instant};

use auralink::PixelFormat;
use auralink::service::config::{Algorithm, JwtKey, Role, Secret};
use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::proto::compress_stream_response::Message as Response;
use auralink::service::proto::frame_compression_client::FrameCompressionClient;
use auralink::service::proto::{self, CompressStreamRequest, CompressStreamResponse, Open, Packet, StreamFrame};
use auralink::service::{Config, KeyFile, Server, Windows, mint_token};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const WINDOW: u32 = 4;

/// An open stream of the service, and the film that goes through it.
struct Stream {
    requests: mpsc::Sender<CompressStreamRequest>,
    responses: Streaming<CompressStreamResponse>,
    film: Vec<Bytes>,
    frame_number: u64,
}

impl Stream {
    async fn open(address: String, codec: proto::Codec) -> Self {
        let mut client = FrameCompressionClient::connect(address).await.unwrap().max_decoding_message_size(64 << 20);
        let (requests, queue) = mpsc::channel(WINDOW as usize);
        let open = Open {
            codec: codec.into(),
            format: proto::PixelFormat::I420.into(),
            width: WIDTH,
            height: HEIGHT,
            max_latency_ms: 100,
            window: WINDOW,
            ..Open::default()
        };
        requests.send(CompressStreamRequest { message: Some(In::Open(open)) }).await.unwrap();
        let responses = client.compress_stream(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let film = common::clip::film(PixelFormat::I420, WIDTH, HEIGHT, 8);
        let film = film.into_iter().map(|frame| Bytes::from(frame.into_data())).collect();
        let mut stream = Self { requests, responses, film, frame_number: 0 };
        let opened = stream.response().await;
        assert!(matches!(opened, Response::Opened(_)), "{opened:?}");
        stream
    }

    async fn response(&mut self) -> Response {
        self.responses.message().await.unwrap().unwrap().message.unwrap()
    }

    async fn send(&mut self) {
        self.frame_number += 1;
        let data = self.film[self.frame_number as usize % self.film.len()].clone();
        let frame = StreamFrame { frame_number: self.frame_number, data, ..StreamFrame::default() };
        self.requests.send(CompressStreamRequest { message: Some(In::Frame(frame)) }).await.unwrap();
    }

    async fn packet(&mut self) -> Packet {
        match self.response().await {
            Response::Packet(packet) => packet,
            other => panic!("not a packet: {other:?}"),
        }
    }

    /// Time of `count` frames one after another, and how much of it the stages took.
    async fn one_by_one(&mut self, count: u64) -> (Duration, Duration) {
        let start = Instant::now();
        let mut stages_us = 0;
        for _ in 0..count {
            self.send().await;
            let times = self.packet().await.times.unwrap();
            stages_us += times.decode_us + times.resize_us + times.encode_us + times.measure_us;
        }
        (start.elapsed(), Duration::from_micros(stages_us))
    }

    /// Time of `count` frames with the whole window in flight.
    async fn pipelined(&mut self, count: u64) -> Duration {
        let start = Instant::now();
        let ahead = count.min(u64::from(WINDOW));
        for _ in 0..ahead {
            self.send().await;
        }
        for sent in ahead..ahead + count {
            self.packet().await;
            if sent < count {
                self.send().await;
            }
        }
        start.elapsed()
    }
}

/// A server, where it is, and a way to end it.
fn serve(runtime: &Runtime, mut config: Config) -> (String, impl FnOnce()) {
    (config.listen.grpc_port, config.listen.http_port) = (0, 0);
    let server = runtime.block_on(Server::bind(config)).unwrap();
    let address = format!("http://{}", server.grpc_addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = runtime.spawn(server.run(async {
        let _ = stopped.await;
    }));
    (address, move || {
        drop(stop);
        runtime.block_on(serving).unwrap().unwrap();
    })
}

fn service(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let (address, stop) = serve(&runtime, Config::default());
    let mut group = criterion.benchmark_group("service");
    group.throughput(Throughput::Elements(1));
    for (name, codec) in
        [("jpeg", proto::Codec::Jpeg), ("lossless", proto::Codec::Lossless), ("h264", proto::Codec::H264)]
    {
        let mut stream = runtime.block_on(Stream::open(address.clone(), codec));
        group.bench_function(format!("round_trip_{name}_1080p_i420"), |bencher| {
            bencher.iter_custom(|count| runtime.block_on(stream.one_by_one(count)).0);
        });
        group.bench_function(format!("own_overhead_{name}_1080p_i420"), |bencher| {
            bencher.iter_custom(|count| {
                let (whole, stages) = runtime.block_on(stream.one_by_one(count));
                whole.saturating_sub(stages)
            });
        });
        group.bench_function(format!("pipelined_{name}_1080p_i420"), |bencher| {
            bencher.iter_custom(|count| runtime.block_on(stream.pipelined(count)));
        });
    }
    group.finish();
    stop();
}

/// What knowing the caller costs: the same call, by nobody and by somebody.
fn callers(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut known = Config::default();
    // What they cost is measured, and not how soon they are refused.
    let many = Windows { per_minute: 1_000_000, per_hour: 1_000_000, per_day: 1_000_000 };
    (known.rates.caller, known.rates.ip, known.rates.method) = (many, many, many);
    let mut keys = KeyFile::default();
    let key = keys.add("camera", &[Role::Compress], None).unwrap();
    known.auth.keys = keys.keys;
    known.auth.jwt.sign_with = Some("a".to_owned());
    known.auth.jwt.keys = vec![JwtKey {
        kid: "a".to_owned(),
        algorithm: Algorithm::HS256,
        secret: Some(Secret::new("0123456789abcdef0123456789abcdef")),
        secret_file: None,
        public_key_file: None,
        private_key_file: None,
    }];
    let mint = |name: &str| mint_token(&known, name, &[Role::Compress], 3_600).unwrap();
    let tokens: Vec<_> = (0..6_000).map(|index| mint(&format!("camera-{index}"))).collect();
    let cases = [
        ("nothing", Config::default(), Vec::new()),
        ("key", known.clone(), vec![key]),
        ("token", known.clone(), vec![mint("camera")]),
        ("new_token", known.clone(), tokens),
    ];
    let mut group = criterion.benchmark_group("service");
    for (name, config, secrets) in cases {
        let (address, stop) = serve(&runtime, config);
        let mut client = runtime.block_on(FrameCompressionClient::connect(address)).unwrap();
        let mut secrets = secrets.iter().cycle();
        group.bench_function(format!("call_by_{name}"), |bencher| {
            bencher.iter(|| {
                let mut request = Request::new(proto::DescribeRequest {});
                if let Some(secret) = secrets.next() {
                    request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
                }
                runtime.block_on(client.describe(request)).unwrap()
            });
        });
        drop(client);
        stop();
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = service, callers }
criterion_main!(benches);
