//! The service's calls with everything around them and without, for the bench that tells what that costs (feature `testing`).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use tonic::service::Routes;
use uuid::Uuid;

use crate::codec::Codec;
use crate::frame::PixelFormat;
use crate::rate::{Plan, Reason, Scale};
use crate::service::Shared;
use crate::service::auth::{Identity, Proof};
use crate::service::caller::Caller;
use crate::service::grpc::Calls;
use crate::service::proto::frame_compression_server::FrameCompressionServer;
use crate::service::registry::Place;
use crate::service::server::{ServeError, Server, grpc_routes};
use crate::service::traces::{FrameTraces, Took};
use crate::service::wire::Source;
use crate::session::{PacketInfo, SessionConfig, StageTimes, Stamp};

/// Both ways to the same calls.
#[derive(Debug)]
pub struct Ways {
    /// As a connection meets them: names, origins, time limits, authentication, rate limits, measured bodies, gRPC-web.
    pub with: Router,
    /// The calls alone, by somebody who is known without having been asked.
    pub without: Router,
}

impl Ways {
    /// The ways of a server that doesn't run.
    ///
    /// # Errors
    /// As the server's own start.
    pub fn of(server: &Server) -> Result<Self, ServeError> {
        let shared = server.shared();
        let calls = Routes::new(FrameCompressionServer::new(Calls(Arc::clone(shared)))).into_axum_router();
        let known = from_fn(|mut request: Request, next: Next| {
            let caller = Caller::anonymous();
            let identity = Identity { caller: caller.clone(), proof: Proof::Nobody };
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(Arc::new(identity));
            next.run(request)
        });
        Ok(Self { with: grpc_routes(shared)?, without: calls.layer(known) })
    }
}

/// What is written down of each frame of a stream.
#[derive(Debug)]
pub struct FrameBooks {
    shared: Arc<Shared>,
    place: Place,
    traced: FrameTraces,
    info: PacketInfo,
}

impl FrameBooks {
    /// The books of a stream of a server that doesn't run. None where it takes no more streams.
    pub fn open(server: &Server) -> Option<Self> {
        let shared = Arc::clone(server.shared());
        let config = SessionConfig::new(Codec::H264, PixelFormat::I420, 640, 360);
        let source = Source::Raw(PixelFormat::I420);
        let (place, _) = shared.registry.enter(Uuid::new_v4(), &Arc::from("bench"), source, config).ok()?;
        Some(Self { traced: FrameTraces::new(shared.config().telemetry.frame_every), shared, place, info: info() })
    }

    /// Everything that is counted of a frame on its way in and out.
    pub fn frame(&mut self) {
        self.place.entry.live().stats.frames_in += 1;
        self.shared.telemetry.frame_taken();
        let took = Took { latency: Duration::from_millis(3), queued: Duration::from_micros(40), decode_us: 0 };
        self.place.entry.count_packet(&self.info, took.latency);
        self.shared.telemetry.packet_made(&self.info, took);
        self.traced.frame(&self.info, took);
    }
}

fn info() -> PacketInfo {
    let plan = Plan {
        codec: Codec::H264,
        scale: Scale::FULL,
        frame_divisor: 1,
        quality: 75,
        target_bytes: None,
        budget_bytes: None,
        link_bytes: None,
        keyframe: false,
        reason: Reason::Unlimited,
    };
    PacketInfo {
        stamp: Stamp::default(),
        codec: Codec::H264,
        width: 640,
        height: 360,
        keyframe: false,
        original_bytes: 345_600,
        compressed_bytes: 5_000,
        quality: 75,
        qp: Some(28.0),
        preset: None,
        plan,
        psnr_db: Some(38.0),
        ssim: Some(0.97),
        times: StageTimes { resize_us: 200, encode_us: 2_000, measure_us: 300 },
        fallback: None,
    }
}
