//! Why a call or a frame was refused: one form for gRPC statuses, answers within streams and HTTP problems.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::error::Error;
use crate::service::proto;

/// When a caller who was turned away for load should come back.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// A field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Path as in the wire contract, such as `open.network.rtt_ms`.
    pub(crate) field: String,
    /// The value and the limit.
    pub(crate) description: String,
}

/// A refusal and its reasons.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) violations: Vec<Violation>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), violations: Vec::new(), retry_after: None }
    }

    /// Fields out of bounds.
    pub(crate) fn invalid(violations: Vec<Violation>) -> Self {
        let told: Vec<_> = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
        Self { violations, ..Self::new(Code::InvalidArgument, told.join("; ")) }
    }

    /// One field out of bounds.
    pub(crate) fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// What the engine said of a message part called `part`.
    pub(crate) fn engine(part: &str, error: &Error) -> Self {
        match error {
            Error::Abandoned => Self::late(),
            Error::Internal { .. } => {
                tracing::error!(%error, "the engine failed");
                Self::new(Code::Internal, error.to_string())
            }
            _ => Self::invalid(vec![Violation::engine(part, error)]),
        }
    }

    /// No room now.
    pub(crate) fn busy(what: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(Code::ResourceExhausted, what) }
    }

    /// Nobody knows the caller. The same for every reason, so that nobody learns which it was.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            Code::Unauthenticated,
            "the caller isn't known: an API key, a token or a certificate that is good is needed",
        )
    }

    /// The caller is known, and may not.
    pub(crate) fn forbidden() -> Self {
        Self::new(Code::PermissionDenied, "the caller may not do this")
    }

    /// The server is going away.
    pub(crate) fn draining() -> Self {
        Self::new(Code::Unavailable, "the server is shutting down")
    }

    /// It wouldn't have been done in time.
    pub(crate) fn late() -> Self {
        Self::new(Code::DeadlineExceeded, "the deadline passed before the work was done")
    }
}

impl Violation {
    /// What the engine said of a field, as a field of `part`.
    pub(crate) fn engine(part: &str, error: &Error) -> Self {
        let field = error.field();
        let text = error.to_string();
        let description = match text.strip_prefix(field).and_then(|rest| rest.strip_prefix(": ")) {
            // A format at fault rather than a field: the payload isn't what it should be.
            Some(rest) if !matches!(error, Error::Malformed { .. }) => rest.to_owned(),
            _ => text,
        };
        let field = if matches!(error, Error::Malformed { .. }) { "data" } else { field };
        Self { field: join(part, field), description }
    }
}

/// A path of two parts, either of which may be empty.
pub(crate) fn join(part: &str, field: &str) -> String {
    match (part, field) {
        ("", field) => field.to_owned(),
        (part, "") => part.to_owned(),
        (part, field) => format!("{part}.{field}"),
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut details = ErrorDetails::new();
        if !refusal.violations.is_empty() {
            let fields = refusal.violations.into_iter().map(|v| FieldViolation::new(v.field, v.description));
            details.set_bad_request(fields.collect::<Vec<_>>());
        }
        if refusal.retry_after.is_some() {
            details.set_retry_info(refusal.retry_after);
        }
        Self::with_error_details(refusal.code, refusal.message, details)
    }
}

impl Refusal {
    /// As an answer within a stream or a batch.
    pub(crate) fn into_frame_error(self, frame_number: u64) -> proto::FrameError {
        let violations = self.violations.into_iter();
        proto::FrameError {
            frame_number,
            code: self.code as i32,
            message: self.message,
            violations: violations
                .map(|v| proto::FieldViolation { field: v.field, description: v.description })
                .collect(),
        }
    }
}
