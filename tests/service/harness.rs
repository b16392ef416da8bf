//! A server on free ports, clients for it, and frames for them.

use std::net::SocketAddr;
use std::time::Duration;

use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::proto::compress_stream_response::Message as Out;
use auralink::service::proto::frame_compression_client::FrameCompressionClient;
use auralink::service::proto::{self, CompressStreamRequest};
use auralink::service::{Config, Reloader, ServeError, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

#[path = "../support/picture.rs"]
mod picture;

pub(crate) use picture::i420;

pub(crate) type Client = FrameCompressionClient<Channel>;

/// Longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) reloader: Reloader,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
}

/// A configuration with free ports and two threads.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    (config.listen.grpc_port, config.listen.http_port, config.compute.threads) = (0, 0, 2);
    config
}

/// That configuration, changed.
pub(crate) fn config_with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    change(&mut config);
    config
}

pub(crate) async fn start(config: Config) -> Running {
    let server = Server::bind(config).await.unwrap();
    let (grpc, http, reloader) = (server.grpc_addr(), server.http_addr(), server.reloader());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async move { drop(stopped.await) }));
    Running { grpc, http, reloader, stop, ended }
}

impl Running {
    pub(crate) async fn client(&self) -> Client {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap();
        FrameCompressionClient::new(channel).max_decoding_message_size(64 << 20)
    }

    /// Tells the server to stop without waiting for it.
    pub(crate) fn begin_stop(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).unwrap();
        self.ended
    }

    pub(crate) async fn stop(self) {
        timeout(PATIENCE, self.begin_stop()).await.expect("the server stops").unwrap().unwrap();
    }
}

/// A request of somebody with an API key or a token, or of nobody.
pub(crate) fn with<T>(secret: Option<&str>, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(secret) = secret {
        request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
    }
    request
}

/// A stream, both ways.
pub(crate) struct Talk {
    pub(crate) say: mpsc::Sender<CompressStreamRequest>,
    pub(crate) hear: Streaming<proto::CompressStreamResponse>,
}

impl Talk {
    /// Opens a stream and takes the server's greeting.
    pub(crate) async fn open(client: &mut Client, open: proto::Open) -> Result<(Self, proto::Opened), Status> {
        Self::open_as(client, open, None).await
    }

    /// As [`Talk::open`], with an API key or a token.
    pub(crate) async fn open_as(
        client: &mut Client,
        open: proto::Open,
        secret: Option<&str>,
    ) -> Result<(Self, proto::Opened), Status> {
        let (say, said) = mpsc::channel(128);
        say.send(CompressStreamRequest { message: Some(In::Open(open)) }).await.unwrap();
        let hear = client.compress_stream(with(secret, ReceiverStream::new(said))).await?.into_inner();
        let mut talk = Self { say, hear };
        match talk.next().await? {
            Some(Out::Opened(opened)) => Ok((talk, opened)),
            other => panic!("{other:?} instead of a greeting"),
        }
    }

    pub(crate) async fn say(&self, message: In) {
        self.say.send(CompressStreamRequest { message: Some(message) }).await.unwrap();
    }

    pub(crate) async fn frame(&self, frame_number: u64, data: bytes::Bytes) {
        let frame = proto::StreamFrame { frame_number, timestamp_us: frame_number * 33_333, data, strides: vec![] };
        self.say(In::Frame(frame)).await;
    }

    /// The next answer; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Out>, Status> {
        let next = timeout(PATIENCE, self.hear.message()).await.expect("an answer in time")?;
        Ok(next.map(|response| response.message.expect("answers aren't empty")))
    }

    pub(crate) async fn packet(&mut self) -> proto::Packet {
        match self.next().await.unwrap() {
            Some(Out::Packet(packet)) => packet,
            other => panic!("{other:?} instead of a packet"),
        }
    }

    pub(crate) async fn error(&mut self) -> proto::FrameError {
        match self.next().await.unwrap() {
            Some(Out::Error(error)) => error,
            other => panic!("{other:?} instead of an error"),
        }
    }

    /// Ends this side and gives every answer that is still to come.
    pub(crate) async fn finish(self) -> Result<Vec<Out>, Status> {
        let Self { say, mut hear } = self;
        drop(say);
        let mut rest = Vec::new();
        while let Some(response) = timeout(PATIENCE, hear.message()).await.expect("an end in time")? {
            rest.extend(response.message);
        }
        Ok(rest)
    }
}

pub(crate) fn open_i420(width: u32, height: u32) -> proto::Open {
    proto::Open { format: proto::PixelFormat::I420 as i32, width, height, ..Default::default() }
}

/// Bytes without any pattern, the same for the same seed.
pub(crate) fn noise(bytes: usize, seed: u32) -> bytes::Bytes {
    let mut state = seed | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect::<Vec<_>>()
        .into()
}

/// The field violations of a status.
pub(crate) fn violations(status: &Status) -> Vec<(String, String)> {
    use tonic_types::StatusExt;

    let bad = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    bad.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// An HTTP/1.1 answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own. `extra` holds further header lines, each ended by CRLF.
pub(crate) async fn http(addr: SocketAddr, method: &str, path: &str, extra: &str, body: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{extra}\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // The server may answer, and close, before it has read everything.
    let _ = socket.write_all(body).await;
    let mut raw = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut raw)).await.expect("an answer in time");
    let split = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(raw[..split].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = raw[split + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunk(&body);
    }
    Answer { status, head, body }
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = raw.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap().trim(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&raw[line + 2..line + 2 + length]);
        raw = &raw[line + 2 + length + 2..];
    }
}
