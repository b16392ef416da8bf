//! What every request passes, gRPC or HTTP: its id, the pages that may call, and the time until its answer begins.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use uuid::Uuid;

use crate::service::config::Config;

/// A caller's own name for a request, or ours; it is given back with the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone, Copy, Debug)]
struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _request: &Request<B>) -> Option<RequestId> {
        HeaderValue::try_from(Uuid::new_v4().to_string()).ok().map(RequestId::new)
    }
}

/// Puts what every request passes around the routes.
pub(crate) fn around(router: Router, config: &Config) -> Router {
    // Twice the time of the work itself, which has its own deadline: what remains is a request that is never sent whole.
    let patience = 2 * Duration::from_millis(config.request_timeout_ms.into());
    let router = router.layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, patience));
    cors(router, &config.allowed_origins)
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, RandomId))
}

/// Lets web pages of these origins call; none, where there are none.
fn cors(router: Router, origins: &[String]) -> Router {
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect();
    if origins.is_empty() {
        return router;
    }
    let taken = ["content-type", "x-grpc-web", "x-user-agent", "grpc-timeout", "x-request-id"];
    let shown = [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "x-request-id",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "retry-after",
    ];
    router.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT])
            .allow_headers(taken.map(HeaderName::from_static))
            .expose_headers(shown.map(HeaderName::from_static)),
    )
}
