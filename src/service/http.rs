//! HTTP for people, probes and scrapers, on a listener and a thread of its own.

mod compress;
mod problem;
mod token;
mod usage;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::service::admission::meter;
use crate::service::auth::gate;
use crate::service::caller::Caller;
use crate::service::limits::guard;
use crate::service::telemetry::Now;
use crate::service::{Shared, edge, health};

/// Headers of every answer: nothing here is to be framed, sniffed, cached or scripted.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cache-control", "no-store"),
];

/// All routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let body_limit = shared.config().limits.picture.max_encoded_bytes;
    let router = Router::new()
        .route("/livez", get(live))
        .route("/health", get(live))
        .route("/readyz", get(ready))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/sessions", get(sessions))
        .route("/v1/auth/token", post(token::trade))
        .route("/v1/usage", get(usage::usage))
        .route("/v1/settings", get(usage::settings).put(usage::put_settings))
        .route("/v1/compress", post(compress::compress).layer(DefaultBodyLimit::max(body_limit)))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&shared), meter))
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .layer(from_fn_with_state(Arc::clone(&shared), gate::pages))
        .with_state(Arc::clone(&shared));
    // Browsers that have been here encrypted come back so.
    let secure = SetResponseHeaderLayer::if_not_present(
        header::STRICT_TRANSPORT_SECURITY,
        shared.encryption.is_some().then(|| HeaderValue::from_static("max-age=31536000")),
    );
    let router = SECURITY_HEADERS.into_iter().fold(router, |router, (name, value)| {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        router.layer(SetResponseHeaderLayer::if_not_present(name, value))
    });
    edge::around(router.layer(secure).layer(CatchPanicLayer::new()), &shared)
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let checks = health::checks(&shared);
    let ready = checks.iter().all(|check| check.ok);
    let told: Vec<_> =
        checks.iter().map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail })).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ready" } else { "not ready" };
    (status, Json(json!({ "status": word, "checks": told }))).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let now = Now {
        streams: shared.registry.len(),
        bytes_in_flight: shared.admission.bytes_in_flight(),
        jobs_waiting: shared.compute.waiting(),
        ledger_waiting: shared.ledger.waiting(),
        shed: shared.compute.shed(),
        limiter_keys: shared.limiter.keys_remembered(),
        ready: health::is_ready(&shared),
    };
    match shared.telemetry.scrape(now) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn sessions(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let all: Vec<_> = shared
        .registry
        .all()
        .iter()
        .filter(|entry| caller.may_see(entry.owner()))
        .map(|entry| {
            let live = entry.live();
            let (fps, kbps) = live.pace.rates(entry.age());
            json!({
                "session_id": entry.id().to_string(),
                "codec": live.config.codec.name(),
                "width": live.config.width,
                "height": live.config.height,
                "mode": live.config.mode.name(),
                "age_ms": entry.age().as_millis() as u64,
                "frames_in": live.stats.frames_in,
                "packets_out": live.stats.packets_out,
                "frames_dropped": live.stats.dropped_total(),
                "frame_errors": live.stats.failed,
                "bytes_in": live.stats.bytes_in,
                "bytes_out": live.stats.bytes_out,
                "reduction": live.stats.reduction(),
                "fps": fps,
                "kbps": kbps,
                "psnr_db": live.stats.psnr_db(),
                "ssim": live.stats.ssim(),
                "latency_p50_ms": live.latency_us.quantile(0.5) as f64 / 1_000.0,
                "latency_p95_ms": live.latency_us.quantile(0.95) as f64 / 1_000.0,
                "plan": live.plan.map(|plan| plan.to_string()),
            })
        })
        .collect();
    Json(json!({ "sessions": all }))
}
