//! Going away without losing anything: first nothing new, then an end to what is old, then the connections.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::service::refusal::Refusal;

/// The two steps of going away, and the calls that are waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Readiness is gone, new work is refused, accepted work goes on.
    pub(crate) started: CancellationToken,
    /// Everything still open ends now.
    pub(crate) stop: CancellationToken,
    calls: TaskTracker,
}

impl Drain {
    /// Lets a call in; it is waited for until the token is dropped.
    pub(crate) fn enter(&self) -> Result<TaskTrackerToken, Refusal> {
        // The token comes first: a call is counted before it may go on.
        let token = self.calls.token();
        if self.is_draining() { Err(Refusal::draining()) } else { Ok(token) }
    }

    /// Whether the server is going away.
    pub(crate) fn is_draining(&self) -> bool {
        self.started.is_cancelled()
    }

    /// Refuses new work from here on.
    pub(crate) fn start(&self) {
        self.started.cancel();
        self.calls.close();
    }

    /// Waits for every call that was let in. Only ends once [`Drain::start`] was called.
    pub(crate) async fn calls_ended(&self) {
        self.calls.wait().await;
    }
}
