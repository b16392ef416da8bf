//! Where requests meet the limits: before any route, of gRPC and of HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tonic::{Code, Status};

use super::verdict::Verdict;
use super::{Call, Limiter};
use crate::service::Shared;
use crate::service::caller::Caller;
use crate::service::edge::is_grpc;
use crate::service::refusal::Refusal;
use crate::service::transport::Peer;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What watches the server isn't limited: it must be answered most of all when there is much to do.
const FREE: [&str; 8] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/livez",
    "/readyz",
    "/health",
    "/health/ready",
    "/metrics",
    "/openapi.json",
];
/// Where callers prove who they are.
const AUTH: [&str; 1] = ["/v1/auth/token"];

/// Whether a path isn't limited.
pub(crate) fn is_free(path: &str) -> bool {
    FREE.contains(&path)
}

/// Counts a request, and lets it on or refuses it; either way the answer tells how the limits stand.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if is_free(path) {
        return next.run(request).await;
    }
    let limiter = &shared.limiter;
    let caller = request.extensions().get::<Caller>().filter(|caller| **caller != Caller::anonymous());
    let own = caller.and_then(|caller| shared.ledger.settings(&caller.id).limits);
    let call = Call { caller, ip: address(limiter, &request), method: path, is_auth: AUTH.contains(&path), own };
    let Some((verdict, scope)) = limiter.check(&call).await else { return next.run(request).await };
    let is_grpc = is_grpc(request.headers());
    let told = headers(&verdict);
    let mut response = if verdict.allowed {
        let response = next.run(request).await;
        if is_grpc { with_trailers(response, told.clone()) } else { response }
    } else {
        shared.telemetry.refused(Code::ResourceExhausted);
        let refusal = refusal(&verdict, scope);
        if is_grpc { Status::from(refusal).into_http() } else { refusal.into_response() }
    };
    // Last, since they know better than the refusal's own.
    response.headers_mut().extend(told);
    response
}

/// The address a request is counted for.
pub(crate) fn address(limiter: &Limiter, request: &Request) -> Option<std::net::IpAddr> {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.addr).map(|addr| addr.ip());
    let forwarded = request.headers().get_all(FORWARDED).iter().next_back().and_then(|hops| hops.to_str().ok());
    limiter.address(peer, forwarded)
}

fn refusal(verdict: &Verdict, scope: &str) -> Refusal {
    let told = format!("the limit of {} calls of this {scope} is reached", verdict.limit);
    Refusal { retry_after: Some(verdict.retry_after), ..Refusal::new(Code::ResourceExhausted, told) }
}

/// What somebody is told whose attempts at authentication have failed too often.
pub(crate) fn too_many_failures(verdict: &Verdict) -> Refusal {
    let told = format!("the limit of {} failed attempts at authentication from this address is reached", verdict.limit);
    Refusal { retry_after: Some(verdict.retry_after), ..Refusal::new(Code::ResourceExhausted, told) }
}

fn headers(verdict: &Verdict) -> HeaderMap {
    let whole_seconds = |time: Duration| time.as_millis().div_ceil(1_000) as u64;
    let mut told = HeaderMap::new();
    told.insert(LIMIT, verdict.limit.into());
    told.insert(REMAINING, verdict.remaining.into());
    told.insert(RESET, whole_seconds(verdict.reset).into());
    if !verdict.allowed {
        told.insert(header::RETRY_AFTER, whole_seconds(verdict.retry_after).max(1).into());
    }
    told
}

/// Adds `told` to the trailers of an answer, where it has any.
fn with_trailers(response: Response, told: HeaderMap) -> Response {
    response.map(|body| {
        Body::new(body.map_frame(move |mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                trailers.extend(told.clone());
            }
            frame
        }))
    })
}
