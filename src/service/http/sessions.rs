//! `GET /v1/sessions`: what runs, as a console shows it.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::Shared;
use crate::service::caller::Caller;
use crate::service::registry::Entry;

/// The sessions that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
}

/// A session that runs.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    #[schema(format = "uuid")]
    session_id: String,
    #[schema(schema_with = super::openapi::codec_name)]
    codec: &'static str,
    /// Pixels; 0 before the first encoded picture has come.
    width: u32,
    /// Pixels.
    height: u32,
    #[schema(schema_with = super::openapi::mode_name)]
    mode: &'static str,
    age_ms: u64,
    frames_in: u64,
    packets_out: u64,
    frames_dropped: u64,
    frame_errors: u64,
    /// Raw bytes of the frames that became packets.
    bytes_in: u64,
    bytes_out: u64,
    /// Fraction of the raw bytes saved.
    reduction: f64,
    /// Packets a second, lately.
    fps: f64,
    /// Kilobits a second, lately.
    kbps: f64,
    /// Mean of what was measured.
    psnr_db: Option<f64>,
    /// Mean of what was measured.
    ssim: Option<f64>,
    latency_p50_ms: f64,
    latency_p95_ms: f64,
    /// What the next frame would be coded like, in words.
    plan: Option<String>,
}

impl From<&Entry> for Session {
    fn from(entry: &Entry) -> Self {
        let live = entry.live();
        let (fps, kbps) = live.pace.rates(entry.age());
        Self {
            session_id: entry.id().to_string(),
            codec: live.config.codec.name(),
            width: live.config.width,
            height: live.config.height,
            mode: live.config.mode.name(),
            age_ms: entry.age().as_millis() as u64,
            frames_in: live.stats.frames_in,
            packets_out: live.stats.packets_out,
            frames_dropped: live.stats.dropped_total(),
            frame_errors: live.stats.failed,
            bytes_in: live.stats.bytes_in,
            bytes_out: live.stats.bytes_out,
            reduction: live.stats.reduction(),
            fps,
            kbps,
            psnr_db: live.stats.psnr_db(),
            ssim: live.stats.ssim(),
            latency_p50_ms: live.latency_us.quantile(0.5) as f64 / 1_000.0,
            latency_p95_ms: live.latency_us.quantile(0.95) as f64 / 1_000.0,
            plan: live.plan.map(|plan| plan.to_string()),
        }
    }
}

/// The caller's own sessions; all of them for those who watch.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", responses((status = 200, body = Sessions)))]
pub(super) async fn sessions(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Json<Sessions> {
    let all = shared.registry.all();
    let seen = all.iter().filter(|entry| caller.may_see(entry.owner()));
    Json(Sessions { sessions: seen.map(|entry| Session::from(&**entry)).collect() })
}
