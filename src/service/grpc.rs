//! The calls of `auralink.aic.v1.FrameCompression`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::Stream as AsyncStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::codec::Codec;
use crate::kernel;
use crate::limits::{self, MAX_BATCH_FRAMES};
use crate::rate;
use crate::service::admission::Intake;
use crate::service::auth::Lease;
use crate::service::auth::policy::Need;
use crate::service::caller::Caller;
use crate::service::edge::REQUEST_ID;
use crate::service::proto::{self, frame_compression_server::FrameCompression};
use crate::service::refusal::Refusal;
use crate::service::registry::Entry;
use crate::service::stills::{self, Compressed, Who};
use crate::service::stream::{MAX_ANSWERS, Stream};
use crate::service::wire;
use crate::service::{Shared, deadline};

type Answers<T> = Pin<Box<dyn AsyncStream<Item = Result<T, Status>> + Send>>;

/// The calls, over what the server shares.
#[derive(Clone, Debug)]
pub(crate) struct Calls(pub(crate) Arc<Shared>);

impl Calls {
    /// When a call must be answered: as its caller says, or by the server's own limit.
    fn deadline(&self, metadata: &MetadataMap) -> Instant {
        let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(deadline::parse);
        let most = Duration::from_millis(self.0.config().limits.request_timeout_ms.into());
        Instant::now() + asked.map_or(most, |asked| asked.min(most))
    }

    /// What a request's bytes arrived in.
    fn intake(&self, extensions: &Extensions) -> Arc<Intake> {
        extensions
            .get::<Arc<Intake>>()
            .cloned()
            .unwrap_or_else(|| self.0.admission.intake(None, None, Default::default()))
    }

    /// Counts a refusal on its way out.
    fn refuse(&self, refusal: Refusal) -> Status {
        self.0.telemetry.refused(refusal.code);
        refusal.into()
    }

    /// A running session that the caller `may` do something with.
    fn entry(&self, id: &str, may: impl Fn(&str) -> bool) -> Result<Arc<Entry>, Status> {
        let found = wire::session_id(id, "session_id").and_then(|id| self.0.registry.find(id));
        let allowed = found.and_then(|entry| if may(entry.owner()) { Ok(entry) } else { Err(Refusal::forbidden()) });
        allowed.map_err(|refusal| self.refuse(refusal))
    }

    /// A session that the caller of a request may look at.
    fn seen_entry<T>(&self, request: &Request<T>, id: &str) -> Result<Arc<Entry>, Status> {
        let caller = caller(request.extensions())?;
        self.entry(id, |owner| caller.may_see(owner))
    }

    /// Codes the frames of a batch side by side; each is answered by itself.
    async fn batch(
        &self,
        who: Who<'_>,
        frames: Vec<proto::CompressFrameRequest>,
        deadline: Instant,
    ) -> Vec<proto::BatchResult> {
        let jobs: Vec<_> = frames
            .into_iter()
            .map(|frame| {
                let number = frame.frame_number;
                let still = wire::still(frame, &self.0.config().limits.picture);
                (number, still.map(|still| stills::compress(&self.0, who, still, None, deadline, "picture")))
            })
            .collect();
        let mut results = Vec::with_capacity(jobs.len());
        for (number, job) in jobs {
            let done = match job {
                Ok(job) => job.await,
                Err(refusal) => {
                    self.0.telemetry.refused(refusal.code);
                    Err(refusal)
                }
            };
            let result = match done {
                Ok(compressed) => proto::batch_result::Result::Packet(packet(compressed)),
                Err(refusal) => proto::batch_result::Result::Error(refusal.into_frame_error(number)),
            };
            results.push(proto::BatchResult { result: Some(result) });
        }
        results
    }
}

fn packet(compressed: Compressed) -> proto::Packet {
    let Compressed { info, data, decode_us, queued } = compressed;
    wire::packet(&info, data, [decode_us, queued.as_micros() as u64])
}

/// Who calls, as the gate has found out.
fn caller(extensions: &Extensions) -> Result<Caller, Refusal> {
    extensions.get().cloned().ok_or_else(Refusal::unauthenticated)
}

/// The opening that a stream must begin with.
async fn opening(inbound: &mut Streaming<proto::CompressStreamRequest>) -> Result<proto::Open, Status> {
    use proto::compress_stream_request::Message;
    match inbound.message().await? {
        Some(proto::CompressStreamRequest { message: Some(Message::Open(open)) }) => Ok(open),
        _ => Err(Refusal::field("open", "missing: the first message of a stream opens it").into()),
    }
}

/// Waits for a stream's opening and runs it; the status is what an opening that fails ends it with.
async fn run_stream(
    shared: Arc<Shared>,
    lease: Lease,
    intake: Arc<Intake>,
    mut inbound: Streaming<proto::CompressStreamRequest>,
    answers: mpsc::Sender<Result<proto::CompressStreamResponse, Status>>,
    patience: Duration,
) -> Result<(), Status> {
    let open = tokio::select! {
        open = tokio::time::timeout(patience, opening(&mut inbound)) => open,
        () = shared.drain.started.cancelled() => Ok(Err(Refusal::draining().into())),
        () = answers.closed() => return Ok(()),
    };
    let mut open = open.map_err(|_| Status::from(Refusal::late()))??;
    let telemetry = Arc::clone(&shared.telemetry);
    let caller = Arc::clone(&lease.caller().id);
    let settings = shared.ledger.settings(&caller);
    settings.complete(&mut open);
    let opened = shared.ledger.check_budget(&caller, &settings);
    let opened = opened.and_then(|()| wire::open(&open, &shared.config().limits.picture));
    let opened = opened.and_then(|opening| Stream::open(shared, lease, intake, &opening, answers));
    let stream = opened.inspect_err(|refusal| telemetry.refused(refusal.code))?;
    stream.run(inbound).await;
    Ok(())
}

#[tonic::async_trait]
impl FrameCompression for Calls {
    async fn compress_frame(
        &self,
        request: Request<proto::CompressFrameRequest>,
    ) -> Result<Response<proto::CompressFrameResponse>, Status> {
        let _call = self.0.drain.enter().map_err(|refusal| self.refuse(refusal))?;
        let deadline = self.deadline(request.metadata());
        let intake = self.intake(request.extensions());
        let caller = caller(request.extensions())?;
        let still = wire::still(request.into_inner(), &self.0.config().limits.picture)
            .map_err(|refusal| self.refuse(refusal))?;
        let who = Who { caller: &caller, intake: &intake };
        let compressed = stills::compress(&self.0, who, still, None, deadline, "picture").await?;
        Ok(Response::new(proto::CompressFrameResponse { packet: Some(packet(compressed)) }))
    }

    async fn compress_batch(
        &self,
        request: Request<proto::CompressBatchRequest>,
    ) -> Result<Response<proto::CompressBatchResponse>, Status> {
        let _call = self.0.drain.enter().map_err(|refusal| self.refuse(refusal))?;
        let deadline = self.deadline(request.metadata());
        let intake = self.intake(request.extensions());
        let caller = caller(request.extensions())?;
        let frames = request.into_inner().frames;
        if frames.len() > MAX_BATCH_FRAMES {
            let told = format!("{} frames are over the limit of {MAX_BATCH_FRAMES}", frames.len());
            return Err(self.refuse(Refusal::field("frames", told)));
        }
        let who = Who { caller: &caller, intake: &intake };
        Ok(Response::new(proto::CompressBatchResponse { results: self.batch(who, frames, deadline).await }))
    }

    type CompressStreamStream = Answers<proto::CompressStreamResponse>;

    async fn compress_stream(
        &self,
        request: Request<Streaming<proto::CompressStreamRequest>>,
    ) -> Result<Response<Self::CompressStreamStream>, Status> {
        let call = self.0.drain.enter().map_err(|refusal| self.refuse(refusal))?;
        let (answers, answered) = mpsc::channel(MAX_ANSWERS);
        let shared = Arc::clone(&self.0);
        let patience = Duration::from_millis(shared.config().limits.request_timeout_ms.into());
        let id = request.metadata().get(REQUEST_ID.as_str()).and_then(|id| id.to_str().ok());
        let span = tracing::info_span!("stream", request_id = id.unwrap_or_default());
        let lease = Lease::new(&shared, request.extensions(), Need::Compress)?;
        let intake = self.intake(request.extensions());
        let inbound = request.into_inner();
        // The answer's headers go out at once; whatever is wrong with the opening ends the stream with its status.
        tokio::spawn(async move {
            let _call = call;
            let stream = run_stream(shared, lease, intake, inbound, answers.clone(), patience).instrument(span);
            let status = match tokio::spawn(stream).await {
                Ok(Ok(())) => return,
                Ok(Err(status)) => status,
                Err(_) => Status::new(Code::Internal, "the stream failed inside the server"),
            };
            // The caller may be gone.
            let _ = answers.send(Err(status)).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }

    async fn decompress_frame(
        &self,
        request: Request<proto::DecompressFrameRequest>,
    ) -> Result<Response<proto::DecompressFrameResponse>, Status> {
        let _call = self.0.drain.enter().map_err(|refusal| self.refuse(refusal))?;
        let deadline = self.deadline(request.metadata());
        let intake = self.intake(request.extensions());
        let frame = stills::decompress(&self.0, &intake, request.into_inner().data, deadline).await;
        let frame = frame.map_err(|refusal| self.refuse(refusal))?;
        Ok(Response::new(proto::DecompressFrameResponse { picture: Some(wire::picture_response(frame)) }))
    }

    async fn update_network_condition(
        &self,
        request: Request<proto::UpdateNetworkConditionRequest>,
    ) -> Result<Response<proto::UpdateNetworkConditionResponse>, Status> {
        let caller = caller(request.extensions())?;
        let request = request.into_inner();
        let network = request.network.ok_or_else(|| Refusal::field("network", "missing, and required"));
        let network = network.and_then(|network| wire::network(&network, "network"));
        let network = network.map_err(|refusal| self.refuse(refusal))?;
        let told = self.entry(&request.session_id, |owner| caller.may_change(owner))?.tell_network(network).await;
        let plan = told.map_err(|refusal| self.refuse(refusal))?;
        Ok(Response::new(proto::UpdateNetworkConditionResponse { plan: plan.as_ref().map(wire::plan) }))
    }

    async fn analyze_network_conditions(
        &self,
        request: Request<proto::AnalyzeNetworkConditionsRequest>,
    ) -> Result<Response<proto::AnalyzeNetworkConditionsResponse>, Status> {
        let samples = match request.get_ref().session_id.as_str() {
            "" => wire::samples(request.get_ref()).map_err(|refusal| self.refuse(refusal))?,
            id => {
                let network = self.seen_entry(&request, id)?.live().network;
                vec![network.ok_or_else(|| Refusal::field("session_id", "nothing is known of its network yet"))?]
            }
        };
        let summary = rate::summarise(&samples).ok_or_else(|| Refusal::field("samples", "none given"))?;
        Ok(Response::new(wire::analysis(&summary)))
    }

    async fn get_compression_hints(
        &self,
        request: Request<proto::GetCompressionHintsRequest>,
    ) -> Result<Response<proto::GetCompressionHintsResponse>, Status> {
        let id = request.get_ref().session_id.as_str();
        if !id.is_empty() {
            let hints = self.seen_entry(&request, id)?.live().hints;
            let hints = hints.ok_or_else(|| Refusal::field("session_id", "it has had no frame yet"))?;
            return Ok(Response::new(wire::hints(&hints)));
        }
        let query = wire::hint_query(request.get_ref(), &self.0.config().limits.picture);
        let query = query.map_err(|refusal| self.refuse(refusal))?;
        Ok(Response::new(wire::hints(&query.goal.hints(query.network.as_ref()))))
    }

    async fn get_session(
        &self,
        request: Request<proto::GetSessionRequest>,
    ) -> Result<Response<proto::Session>, Status> {
        let caller = caller(request.extensions())?;
        let entry = self.entry(&request.get_ref().session_id, |owner| caller.may_see(owner))?;
        Ok(Response::new(wire::session(&entry)))
    }

    async fn list_sessions(
        &self,
        request: Request<proto::ListSessionsRequest>,
    ) -> Result<Response<proto::ListSessionsResponse>, Status> {
        let caller = caller(request.extensions())?;
        let all = self.0.registry.all();
        let shown = all.iter().filter(|entry| caller.may_see(entry.owner()));
        let sessions = shown.map(|entry| wire::session(entry)).collect();
        Ok(Response::new(proto::ListSessionsResponse { sessions }))
    }

    type WatchSessionStream = Answers<proto::Session>;

    async fn watch_session(
        &self,
        request: Request<proto::WatchSessionRequest>,
    ) -> Result<Response<Self::WatchSessionStream>, Status> {
        let call = self.0.drain.enter().map_err(|refusal| self.refuse(refusal))?;
        let interval = wire::watch_interval(request.get_ref()).map_err(|refusal| self.refuse(refusal))?;
        let lease = Lease::new(&self.0, request.extensions(), Need::Look)?;
        let entry = self.entry(&request.get_ref().session_id, |owner| lease.caller().may_see(owner))?;
        let drain = self.0.drain.clone();
        let (reports, reported) = mpsc::channel(1);
        tokio::spawn(async move {
            let _call = call;
            let mut lease_ended = std::pin::pin!(lease.ended());
            loop {
                if reports.send(Ok(wire::session(&entry))).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    () = reports.closed() => return,
                    () = entry.ended() => break,
                    () = lease_ended.as_mut() => {
                        // The watcher may be gone.
                        let _ = reports.send(Err(Refusal::unauthenticated().into())).await;
                        return;
                    }
                    () = drain.stop.cancelled() => break,
                }
            }
            // The last word, which a watcher would otherwise miss; it may have gone.
            let _ = reports.send(Ok(wire::session(&entry))).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(reported))))
    }

    async fn describe(
        &self,
        _request: Request<proto::DescribeRequest>,
    ) -> Result<Response<proto::DescribeResponse>, Status> {
        let config = self.0.config();
        let sizes = &config.limits.picture;
        Ok(Response::new(proto::DescribeResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            codecs: Codec::ALL.map(|codec| wire::codec_to_wire(codec) as i32).to_vec(),
            formats: wire::all_sources(),
            bounds: Some(proto::Bounds {
                min_width: sizes.min_width,
                min_height: sizes.min_height,
                max_width: sizes.max_width,
                max_height: sizes.max_height,
                max_encoded_bytes: sizes.max_encoded_bytes as u64,
                max_message_bytes: config.max_message_bytes() as u64,
                min_fps: *limits::FPS.start(),
                max_fps: *limits::FPS.end(),
                max_window: *limits::WINDOW_FRAMES.end(),
                max_batch_frames: MAX_BATCH_FRAMES as u32,
                max_sessions: config.limits.max_sessions,
            }),
            cpu_level: kernel::name(self.0.compute.lane(None).engine().level()).to_owned(),
            threads: self.0.compute.threads() as u32,
        }))
    }
}
