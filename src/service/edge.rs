//! What every request passes, gRPC or HTTP: its id, and the pages that may call.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Request};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone, Copy, Debug)]
struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _request: &Request<B>) -> Option<RequestId> {
        HeaderValue::try_from(Uuid::new_v4().to_string()).ok().map(RequestId::new)
    }
}

/// Takes a caller's `x-request-id`, or makes one, and gives it back with the answer.
pub(crate) fn request_ids(router: Router) -> Router {
    router.layer(PropagateRequestIdLayer::new(REQUEST_ID)).layer(SetRequestIdLayer::new(REQUEST_ID, RandomId))
}

/// Lets web pages of these origins call; none, where there are none.
pub(crate) fn cors(router: Router, origins: &[String]) -> Router {
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect();
    if origins.is_empty() {
        return router;
    }
    let taken = ["content-type", "x-grpc-web", "x-user-agent", "grpc-timeout", "x-request-id"];
    let shown = ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"];
    router.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(taken.map(HeaderName::from_static))
            .expose_headers(shown.map(HeaderName::from_static)),
    )
}
