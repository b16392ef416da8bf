//! Traces as a collector gets them: the real program, and a collector of our own that speaks OTLP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helpers may fail the test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
#[path = "service/harness.rs"]
mod harness;
#[path = "support/process.rs"]
mod process;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use auralink::service::config::Role;
use auralink::service::{KeyFile, proto};
use harness::{PATIENCE, Talk, http, i420, open_i420, with};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use process::Process;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const CANARY: &str = "canary-that-nobody-may-tell";

/// Keeps all it is sent, or never answers.
#[derive(Clone, Default)]
struct Collector {
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    hangs: bool,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.got.lock().unwrap().push(request.into_inner());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        addr
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let scopes = got.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

/// The program, which sends its spans to `collector`.
fn start(collector: SocketAddr, settings: &[(&str, &str)]) -> Process {
    Process::start(env!("CARGO_BIN_EXE_auralink"), |command| {
        command.args(["--threads", "2"]);
        command.env("AURALINK_TELEMETRY_OTLP_ENDPOINT", format!("http://{collector}"));
        command.env("AURALINK_TELEMETRY_FRAME_EVERY", "5").envs(settings.iter().copied());
    })
}

async fn client(process: &Process) -> harness::Client {
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", process.grpc)).unwrap();
    harness::Client::new(channel.connect().await.unwrap())
}

/// Tells it to stop, and waits until it has.
async fn stop(mut process: Process) {
    let told = Command::new("kill").arg("-TERM").arg(process.child.id().to_string()).status().unwrap();
    assert!(told.success());
    let ended = tokio::task::spawn_blocking(move || process.child.wait().unwrap());
    assert!(tokio::time::timeout(PATIENCE, ended).await.expect("an end in time").unwrap().success());
}

fn text(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_streams_and_frames_are_told_under_the_callers_trace() {
    let collector = Collector::default();
    let addr = collector.start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let mut keys = KeyFile::default();
    let secret = keys.add("camera", &[Role::Compress], None).unwrap();
    keys.save(&file).unwrap();
    // Nothing is drawn by chance: only what the caller traces is told.
    let settings = [("AURALINK_AUTH_KEYS_FILE", file.to_str().unwrap()), ("AURALINK_TELEMETRY_SAMPLE_RATIO", "0")];
    let process = start(addr, &settings);
    let mut client = client(&process).await;

    let (talk, _) = Talk::open_as(&mut client, open_i420(320, 180), Some(&secret)).await.unwrap();
    talk.finish().await.unwrap();
    let (say, said) = tokio::sync::mpsc::channel(32);
    let open = proto::compress_stream_request::Message::Open(open_i420(320, 180));
    say.send(proto::CompressStreamRequest { message: Some(open) }).await.unwrap();
    let mut request = with(Some(&secret), tokio_stream::wrappers::ReceiverStream::new(said));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (name, value) in [
        ("traceparent", format!("00-{trace}-b7ad6b7169203331-01")),
        ("x-request-id", "traced-1".to_owned()),
        ("x-canary", CANARY.to_owned()),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let hear = client.compress_stream(request).await.unwrap().into_inner();
    let mut talk = Talk { say, hear };
    talk.next().await.unwrap();
    for number in 1..=11 {
        talk.frame(number, i420(320, 180, number as u32)).await;
        talk.packet().await;
    }
    talk.finish().await.unwrap();
    let head =
        format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\nx-api-key: {CANARY}\r\nx-request-id: traced-2\r\n");
    assert_eq!(http(process.http, "GET", "/v1/sessions", &head, b"").await.status, 401);
    stop(process).await;

    let spans = collector.spans();
    assert!(!format!("{spans:?}").contains(CANARY) && !format!("{spans:?}").contains(&secret));
    assert!(spans.iter().all(|span| span.trace_id.iter().map(|b| format!("{b:02x}")).collect::<String>() == trace));
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let requests = named("request");
    assert_eq!(requests.len(), 2, "{spans:?}");
    let call = requests.iter().find(|span| text(span, "request_id").as_deref() == Some("traced-1")).unwrap();
    assert_eq!(call.parent_span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert_eq!(text(call, "path").as_deref(), Some("/auralink.aic.v1.FrameCompression/CompressStream"));
    let denied = requests.iter().find(|span| text(span, "request_id").as_deref() == Some("traced-2")).unwrap();
    assert_eq!(text(denied, "status").as_deref(), Some("401"));
    let [stream] = named("stream")[..] else { panic!("{spans:?}") };
    assert_eq!((&stream.parent_span_id, text(stream, "request_id").as_deref()), (&call.span_id, Some("traced-1")));
    let frames = named("frame");
    let numbers: Vec<_> = frames.iter().map(|frame| text(frame, "frame_number").unwrap()).collect();
    assert_eq!(numbers, ["1", "6", "11"]);
    for frame in frames {
        assert_eq!(frame.parent_span_id, stream.span_id);
        let stages: Vec<_> = spans.iter().filter(|span| span.parent_span_id == frame.span_id).collect();
        assert!(stages.iter().any(|stage| stage.name == "encode"), "{stages:?}");
        for stage in stages {
            let within = frame.start_time_unix_nano..=frame.end_time_unix_nano;
            assert!(within.contains(&stage.start_time_unix_nano) && within.contains(&stage.end_time_unix_nano));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_or_is_gone_costs_no_frame() {
    let hanging = Collector { hangs: true, ..Collector::default() };
    let gone = {
        // Nobody listens where somebody did.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for addr in [hanging.start().await, gone] {
        let everything = [
            ("AURALINK_TELEMETRY_SAMPLE_RATIO", "1"),
            ("AURALINK_TELEMETRY_FRAME_EVERY", "1"),
            ("AURALINK_TELEMETRY_QUEUE_SPANS", "64"),
        ];
        let process = start(addr, &everything);
        let mut client = client(&process).await;
        let open = proto::Open { codec: proto::Codec::Jpeg as i32, ..open_i420(160, 90) };
        let (mut talk, _) = Talk::open(&mut client, open).await.unwrap();
        // Each makes several spans: many more than the queue holds.
        for number in 1..=300 {
            talk.frame(number, i420(160, 90, number as u32)).await;
            assert_eq!(talk.packet().await.frame_number, number);
        }
        assert!(talk.finish().await.unwrap().is_empty());
        stop(process).await;
    }
    assert!(!hanging.spans().is_empty());
}
