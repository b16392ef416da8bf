//! Refusals as `application/problem+json` (RFC 9457).

use std::any::Any;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::Code;
use utoipa::ToSchema;

use crate::service::refusal::Refusal;
use crate::service::telemetry::code_name;

/// What media type problems are of.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says which problem it is.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The code that gRPC would have answered with.
    #[schema(example = "INVALID_ARGUMENT")]
    code: &'static str,
    /// What is wrong, with value and limit.
    detail: String,
    /// The fields at fault, where it is about fields.
    violations: Vec<Fault>,
}

/// A field at fault.
#[derive(Debug, Serialize, ToSchema)]
struct Fault {
    #[schema(example = "quality")]
    field: String,
    /// Its value and the limit.
    #[schema(example = "0 is outside 1..=100")]
    description: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = status(self.code);
        answer(status, self)
    }
}

fn answer(status: StatusCode, refusal: Refusal) -> Response {
    let violations = refusal.violations.into_iter();
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        code: code_name(refusal.code),
        detail: refusal.message,
        violations: violations.map(|v| Fault { field: v.field, description: v.description }).collect(),
    };
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Some(delay) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_millis().div_ceil(1_000).max(1) as u64));
    }
    response
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Unimplemented => StatusCode::METHOD_NOT_ALLOWED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

pub(super) async fn not_found(uri: Uri) -> Refusal {
    Refusal::new(Code::NotFound, format!("nothing is at {}", uri.path()))
}

pub(super) async fn method_not_allowed(uri: Uri) -> Refusal {
    Refusal::new(Code::Unimplemented, format!("{} doesn't take this method", uri.path()))
}

/// A request that wasn't sent whole in time.
pub(crate) fn too_slow() -> Response {
    let told = Refusal::new(Code::DeadlineExceeded, "the request wasn't sent whole in time");
    answer(StatusCode::REQUEST_TIMEOUT, told)
}

/// Something that is our own fault.
pub(super) fn failed() -> Response {
    Refusal::new(Code::Internal, "the server failed").into_response()
}

/// A handler that has panicked: whoever called learns no more than that.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> axum::http::Response<Body> {
    tracing::error!("a request's handler panicked");
    failed()
}
