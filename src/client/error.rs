//! Why a stream couldn't be opened, or couldn't go on.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What ends a [`Stream`](super::Stream), or refuses what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No address, or one that is none.
    #[error("{address:?} is not an address such as http://127.0.0.1:50051")]
    Address {
        /// What was given.
        address: String,
    },
    /// A key or token, an authority or a certificate that can't be used.
    #[error("{what}: {detail}")]
    Credentials {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// No server answered in the time that [`Retry`](super::Retry) gives.
    #[error("server {address}: {detail}{}", tried(*attempts, *after))]
    Unavailable {
        /// The last that was tried.
        address: String,
        /// What it failed with.
        detail: String,
        /// Connections that were tried.
        attempts: u32,
        /// Since the last answer, or the beginning.
        after: Duration,
    },
    /// A server has refused the call; another try would come to the same.
    #[error("server: {} ({:?}){}", .0.message(), .0.code(), violations(.0))]
    Refused(Box<Status>),
    /// The same frame was on its way each time that the stream was lost.
    #[error("frame {frame_number}: the stream was lost {times} times while it was on its way: {detail}")]
    Deadly {
        /// The oldest that wasn't answered.
        frame_number: u64,
        /// How often it was sent.
        times: u32,
        /// What the last stream ended with.
        detail: String,
    },
    /// More frames than may be unanswered. Take answers first.
    #[error("{window} frames are unanswered already")]
    WindowFull {
        /// The most that may be.
        window: usize,
    },
    /// Frame numbers that don't ascend.
    #[error("frame.frame_number: {frame_number} doesn't ascend: the frame before was {last}")]
    Order {
        /// The one that was given.
        frame_number: u64,
        /// The one before.
        last: u64,
    },
    /// A frame after the last one.
    #[error("the stream was finished: no more frames can be sent")]
    Finished,
}

impl Error {
    /// The status that a server has refused the call with.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused(status) => Some(status),
            _ => None,
        }
    }
}

fn tried(attempts: u32, after: Duration) -> String {
    if attempts < 2 {
        return String::new();
    }
    format!(" (tried {attempts} times in {:.1} s)", after.as_secs_f64())
}

/// The fields at fault that the message doesn't name.
fn violations(status: &Status) -> String {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let untold = violations.iter().filter(|violation| !status.message().contains(&violation.description));
    untold.map(|violation| format!("; {}: {}", violation.field, violation.description)).collect()
}

/// Whether a stream that ended so may do better another time, or elsewhere.
pub(super) fn is_passing(status: &Status) -> bool {
    match status.code() {
        // A connection that breaks is told as one of these, depending on where it did.
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted => true,
        // Too many streams, bytes or calls just now; a message that didn't come whole in time.
        Code::ResourceExhausted | Code::DeadlineExceeded => true,
        // The session that was lost is still being ended.
        Code::AlreadyExists => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_caller_is_final() {
        for code in [Code::InvalidArgument, Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented] {
            assert!(!is_passing(&Status::new(code, "")), "{code:?}");
        }
        for code in [Code::Unavailable, Code::ResourceExhausted, Code::Unknown] {
            assert!(is_passing(&Status::new(code, "")), "{code:?}");
        }
    }

    #[test]
    fn messages_tell_what_was_tried() {
        let refused = |attempts| Error::Unavailable {
            address: "http://127.0.0.1:1".to_owned(),
            detail: "connection refused".to_owned(),
            attempts,
            after: Duration::from_millis(1_250),
        };
        assert_eq!(refused(1).to_string(), "server http://127.0.0.1:1: connection refused");
        assert!(refused(4).to_string().ends_with("(tried 4 times in 1.2 s)"));
    }
}
