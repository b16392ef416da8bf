//! The client's side of CompressStream: frames out as credits allow, answers back, all counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use auralink::service::proto::compress_stream_request::Message as Request;
use auralink::service::proto::compress_stream_response::Message as Response;
use auralink::service::proto::frame_compression_client::FrameCompressionClient;
use auralink::service::proto::{
    Ack, CompressStreamRequest, CompressStreamResponse, DropReason, NetworkConditions, Open, Packet, StreamFrame,
};
use auralink::{ColorSpace, Matrix, PixelFormat, Range, limits};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use super::access::{Access, Credentials};
use super::exit::{Exit, Failure, Result};

/// Time a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for the largest packet: a lossless one of the largest frame, and its description.
const MAX_MESSAGE_BYTES: usize = 128 << 20;
/// Flow-control windows of HTTP/2, as the service has them: raw frames are large.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// A connection on which each call says who calls.
pub(crate) type Line = InterceptedService<Channel, Credentials>;

/// Connects to `http://host:port`, `host:port`, `https://host:port` or `unix:/path`; `grpc://` and `grpcs://` are as good.
pub(crate) async fn connect(server: &str, access: &Access) -> Result<Line> {
    let credentials = access.credentials()?;
    let schemes = [("grpc://", "http://"), ("grpcs://", "https://")];
    let other = schemes.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", server.strip_prefix(ours)?)));
    let address = match other {
        Some(address) => address,
        None if server.contains("://") || server.starts_with("unix:") => server.to_owned(),
        None => format!("http://{server}"),
    };
    let is_encrypted = address.starts_with("https:");
    let mut endpoint = Endpoint::from_shared(address)
        .map_err(|error| {
            Failure::usage(format!("{server}: not an address such as http://127.0.0.1:50051")).because(error)
        })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    if is_encrypted {
        endpoint = endpoint.tls_config(access.tls()?).map_err(|error| Failure::usage("TLS").because(error))?;
    }
    let connected = endpoint.connect().await;
    let channel = connected.map_err(|error| Failure::unavailable(format!("server {server}")).because(error))?;
    Ok(InterceptedService::new(channel, credentials))
}

/// A client for calls of any size.
pub(crate) fn caller(line: Line) -> FrameCompressionClient<Line> {
    FrameCompressionClient::new(line)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// What a refused call means for the exit code.
pub(crate) fn refused(status: &Status) -> Failure {
    let exit = match status.code() {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::AlreadyExists => Exit::Data,
        Code::Internal | Code::DataLoss => Exit::Internal,
        _ => Exit::Unavailable,
    };
    let mut text = format!("server: {} ({:?})", status.message(), status.code());
    for violation in status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default() {
        if !text.contains(&violation.description) {
            text += &format!("; {}: {}", violation.field, violation.description);
        }
    }
    Failure::new(exit, text)
}

/// The contract's number for a format.
pub(crate) fn format_number(format: PixelFormat) -> Result<i32> {
    let name = format!("PIXEL_FORMAT_{}", format.name().to_ascii_uppercase());
    let number = auralink::service::proto::PixelFormat::from_str_name(&name);
    number.map(i32::from).ok_or_else(|| Failure::usage(format!("{format}: the service doesn't take this format")))
}

/// The contract's words for a colour space.
pub(crate) fn color(space: ColorSpace) -> auralink::service::proto::ColorSpace {
    use auralink::service::proto;
    auralink::service::proto::ColorSpace {
        matrix: match space.matrix {
            Matrix::Bt601 => proto::Matrix::Bt601,
            Matrix::Bt709 => proto::Matrix::Bt709,
        }
        .into(),
        range: match space.range {
            Range::Limited => proto::Range::Limited,
            Range::Full => proto::Range::Full,
        }
        .into(),
    }
}

/// A frame's answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A packet, and the time from sending its frame.
    Packet(Box<Packet>, Duration),
    Dropped {
        frame_number: u64,
        reason: DropReason,
    },
    Failed {
        frame_number: u64,
        message: String,
    },
    /// The server says something that is no frame's answer.
    Notice(String),
}

/// An open stream.
pub(crate) struct Stream {
    /// None once nothing more will be sent.
    requests: Option<mpsc::Sender<CompressStreamRequest>>,
    responses: Streaming<CompressStreamResponse>,
    /// Frames that may be unanswered.
    window: usize,
    /// Unanswered frames, oldest first, and when they were sent.
    in_flight: VecDeque<(u64, Instant)>,
    /// Whether acknowledgements tell times, as was said when the stream was opened.
    tells_times: bool,
    /// Whether packets are acknowledged as they come.
    acknowledges: bool,
    start: Instant,
}

impl Stream {
    /// Opens a stream and waits until the server agrees.
    pub(crate) async fn open(line: Line, open: Open) -> Result<Self> {
        let (requests, receiver) = mpsc::channel(*limits::WINDOW_FRAMES.end() as usize + 8);
        let tells_times = open.receipts;
        let first = CompressStreamRequest { message: Some(Request::Open(open)) };
        requests.send(first).await.map_err(|_| ended())?;
        let call = caller(line).compress_stream(ReceiverStream::new(receiver)).await;
        let mut responses = call.map_err(|status| refused(&status))?.into_inner();
        match responses.message().await.map_err(|status| refused(&status))?.and_then(|response| response.message) {
            Some(Response::Opened(opened)) => Ok(Self {
                requests: Some(requests),
                responses,
                window: opened.window.max(1) as usize,
                in_flight: VecDeque::new(),
                tells_times,
                acknowledges: true,
                start: Instant::now(),
            }),
            Some(Response::Error(error)) => Err(Failure::data(format!("server: {}", error.message))),
            _ => Err(Failure::unavailable("server: the stream wasn't opened")),
        }
    }

    /// Whether another frame may be sent now.
    pub(crate) fn has_credit(&self) -> bool {
        self.in_flight.len() < self.window
    }

    /// Whether every frame was answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Sends a frame, which takes a credit until its answer comes.
    pub(crate) async fn send(&mut self, frame: StreamFrame) -> Result<()> {
        self.in_flight.push_back((frame.frame_number, Instant::now()));
        self.request(Request::Frame(frame)).await
    }

    /// Tells the network's conditions.
    pub(crate) async fn declare(&mut self, network: NetworkConditions) -> Result<()> {
        self.request(Request::Network(network)).await
    }

    /// The next answer; none where the server ended the stream. Packets are acknowledged. May be cancelled between answers.
    pub(crate) async fn next(&mut self) -> Result<Option<Answer>> {
        loop {
            let Some(response) = self.responses.message().await.map_err(|status| refused(&status))? else {
                return Ok(None);
            };
            match response.message {
                Some(Response::Packet(packet)) => {
                    let latency = self.answered(packet.frame_number).unwrap_or_default();
                    let received_us = if self.tells_times { self.start.elapsed().as_micros() as u64 } else { 0 };
                    let ack = Request::Ack(Ack { frame_number: packet.frame_number, received_us, ..Ack::default() });
                    // A full queue means that newer news are on their way; waiting here could hold both sides up.
                    if let Some(requests) = self.requests.as_ref().filter(|_| self.acknowledges) {
                        let _ = requests.try_send(CompressStreamRequest { message: Some(ack) });
                    }
                    return Ok(Some(Answer::Packet(Box::new(packet), latency)));
                }
                Some(Response::Dropped(dropped)) => {
                    self.answered(dropped.frame_number);
                    let reason = dropped.reason();
                    return Ok(Some(Answer::Dropped { frame_number: dropped.frame_number, reason }));
                }
                Some(Response::Error(error)) => {
                    self.answered(error.frame_number);
                    let violations = error.violations.iter().map(|v| format!("; {}: {}", v.field, v.description));
                    let message = error.message.clone() + &violations.collect::<String>();
                    return Ok(Some(Answer::Failed { frame_number: error.frame_number, message }));
                }
                Some(Response::Notice(notice)) => return Ok(Some(Answer::Notice(notice.message))),
                Some(Response::Opened(_)) | None => {}
            }
        }
    }

    /// Leaves it to the caller to say what has come, by [`Stream::tell`].
    pub(crate) fn leave_acknowledging(&mut self) {
        self.acknowledges = false;
    }

    /// Says something if there is room for it now.
    pub(crate) fn tell(&self, message: Request) -> bool {
        let Some(requests) = &self.requests else { return false };
        requests.try_send(CompressStreamRequest { message: Some(message) }).is_ok()
    }

    /// Tells the server that no more frames come; answers still do, until it ends the stream too.
    pub(crate) fn finish(&mut self) {
        self.requests = None;
    }

    async fn request(&mut self, message: Request) -> Result<()> {
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.send(CompressStreamRequest { message: Some(message) }).await.map_err(|_| ended())
    }

    /// Gives a frame's credit back, and tells how long it was out.
    fn answered(&mut self, frame_number: u64) -> Option<Duration> {
        let at = self.in_flight.iter().position(|(number, _)| *number == frame_number)?;
        self.in_flight.remove(at).map(|(_, sent)| sent.elapsed())
    }
}

/// The server went away while frames were on their way.
pub(crate) fn ended() -> Failure {
    Failure::unavailable("server: the stream ended early")
}
