//! What every request passes, gRPC or HTTP: its id, the pages that may call, and the time until its answer begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use tonic::Status;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::{Instrument, field};
use uuid::Uuid;

use crate::service::http::{TOLD, too_slow};
use crate::service::refusal::Refusal;
use crate::service::{Shared, traces};

/// A caller's own name for a request, or ours; it is given back with the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest name that is taken, bytes.
const MAX_ID_BYTES: usize = 128;

/// Time a browser may remember what pages of an origin may do.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// Puts what every request passes around the routes.
pub(crate) fn around(router: Router, shared: &Arc<Shared>) -> Router {
    router.layer(from_fn_with_state(Arc::clone(shared), in_time)).layer(cors(shared)).layer(from_fn(named))
}

/// Names the request, for its answer and for every line of the log that has to do with it.
async fn named(mut request: Request, next: Next) -> Response {
    let id = given_id(request.headers()).unwrap_or_else(made_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let told = id.to_str().unwrap_or_default();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let span = tracing::info_span!("request", request_id = told, method, path, status = field::Empty);
    traces::adopt(&span, request.headers());
    let answer = async {
        let begun = Instant::now();
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::Span::current().record("status", status);
        tracing::debug!(status, ms = begun.elapsed().as_secs_f64() * 1e3, "answered");
        response
    };
    let mut response = answer.instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The caller's name for the request, where it is short and plain; it goes into logs.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let is_plain = id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte));
    (is_plain && (1..=MAX_ID_BYTES).contains(&id.len())).then(|| id.clone())
}

fn made_id() -> HeaderValue {
    HeaderValue::try_from(Uuid::new_v4().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unnamed"))
}

/// Whether a request speaks gRPC, or gRPC-web.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Gives up a request that is never sent whole.
async fn in_time(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // Twice the time of the work itself, which has its own deadline.
    let patience = 2 * Duration::from_millis(shared.config().limits.request_timeout_ms.into());
    let is_grpc = is_grpc(request.headers());
    let answered = tokio::time::timeout(patience, next.run(request)).await;
    answered.unwrap_or_else(|_| if is_grpc { Status::from(Refusal::late()).into_http() } else { too_slow() })
}

/// Lets web pages of the configured origins call. Their browsers send no cookies: callers are known by what they show.
fn cors(shared: &Arc<Shared>) -> CorsLayer {
    let taken =
        ["authorization", "content-type", "grpc-timeout", "x-api-key", "x-grpc-web", "x-request-id", "x-user-agent"];
    let shown = [
        "grpc-message",
        "grpc-status",
        "grpc-status-details-bin",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-request-id",
    ];
    let shared = Arc::clone(shared);
    let is_allowed = move |origin: &HeaderValue, _: &axum::http::request::Parts| {
        shared.config().cors.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers(taken.map(HeaderName::from_static))
        .expose_headers(shown.into_iter().chain(TOLD).map(HeaderName::from_static).collect::<Vec<_>>())
        .max_age(PREFLIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_names_are_taken() {
        let given = |bytes: &[u8]| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_bytes(bytes).unwrap())]);
            given_id(&headers).is_some()
        };
        assert!(given(b"7f3a-41.a:b/c+d=_") && given(&[b'a'; MAX_ID_BYTES]));
        for bad in [
            &b""[..],
            b"two words",
            b"tab\there",
            b"\"quoted\"",
            b"{\"a\":1}",
            "ü".as_bytes(),
            b"\xFF\xFE",
            &[b'a'; 129],
        ] {
            assert!(!given(bad), "{}", bad.escape_ascii());
        }
    }
}
