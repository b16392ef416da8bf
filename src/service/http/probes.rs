//! Whether the server lives, whether it is ready, and what it has counted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::service::telemetry::Now;
use crate::service::{Shared, health};

/// The process turns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`: a process that doesn't turn says nothing.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Every readiness check.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// `ready` where every check passes, else `not ready`.
    #[schema(example = "ready")]
    status: &'static str,
    checks: Vec<Check>,
}

/// One readiness check.
#[derive(Debug, Serialize, ToSchema)]
struct Check {
    #[schema(example = "self_test")]
    name: &'static str,
    ok: bool,
    /// What was found, in words.
    detail: String,
}

/// Whether the process turns; it asks for nothing else.
#[utoipa::path(get, path = "/livez", tag = "probes", responses((status = 200, body = Health)))]
pub(super) async fn livez() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// As `/livez`.
#[utoipa::path(get, path = "/health", tag = "probes", responses((status = 200, body = Health)))]
pub(super) async fn health() -> Json<Health> {
    livez().await
}

/// Whether the server wants traffic: the pool is warm, a known frame was coded, nothing drains or is overloaded.
#[utoipa::path(
    get, path = "/readyz", tag = "probes",
    responses((status = 200, body = Readiness), (status = 503, description = "A check fails", body = Readiness)),
)]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Readiness>) {
    let checks = health::checks(&shared);
    let is_ready = checks.iter().all(|check| check.ok);
    let checks =
        checks.into_iter().map(|check| Check { name: check.name, ok: check.ok, detail: check.detail }).collect();
    let (status, word) =
        if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (status, Json(Readiness { status: word, checks }))
}

/// As `/readyz`.
#[utoipa::path(
    get, path = "/health/ready", tag = "probes",
    responses((status = 200, body = Readiness), (status = 503, description = "A check fails", body = Readiness)),
)]
pub(super) async fn health_ready(state: State<Arc<Shared>>) -> (StatusCode, Json<Readiness>) {
    readyz(state).await
}

/// Everything that is counted, in OpenMetrics text.
#[utoipa::path(
    get, path = "/metrics", tag = "probes",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 500, description = "They couldn't be written", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let now = Now {
        pool_threads: shared.compute.threads(),
        pool_busy: shared.compute.busy(),
        bytes_limit: shared.config().limits.max_in_flight_mib as usize * 1024 * 1024,
        streams: shared.registry.len(),
        bytes_in_flight: shared.admission.bytes_in_flight(),
        session_bytes: shared.admission.session_bytes(),
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
        Err(_) => super::problem::failed(),
    }
}
