//! Whether the server is well: `grpc.health.v1`, and the checks that HTTP's `/readyz` lists.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::service::Shared;

/// Jobs waiting for each compute thread from which the server calls itself overloaded.
const MAX_WAITING_JOBS: usize = 64;

/// One readiness check.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

impl Check {
    fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into() }
    }
}

/// Every readiness check as it stands.
pub(crate) fn checks(shared: &Shared) -> Vec<Check> {
    let tested = shared.self_test.as_ref().err();
    let threads = shared.compute.threads();
    let waiting = shared.compute.waiting();
    let sessions = shared.registry.len();
    let overloaded =
        shared.registry.is_full() || shared.admission.is_nearly_full() || waiting > MAX_WAITING_JOBS * threads;
    let load = format!(
        "{sessions} of {} sessions, {} bytes in flight, {waiting} jobs waiting for {threads} threads",
        shared.config().limits.max_sessions,
        shared.admission.bytes_in_flight(),
    );
    let draining = shared.drain.is_draining();
    vec![
        Check::new("pool", threads > 0, format!("{threads} compute threads")),
        Check::new("self_test", tested.is_none(), tested.map_or("the known frame became the known bytes", |e| e)),
        Check::new("not_draining", !draining, if draining { "shutting down" } else { "running" }),
        Check::new("not_overloaded", !overloaded, load),
    ]
}

/// Whether every check passes.
pub(crate) fn is_ready(shared: &Shared) -> bool {
    checks(shared).iter().all(|check| check.ok)
}

/// The health protocol. Load doesn't show here: a busy server still serves what it has taken, and refuses the rest itself.
#[derive(Clone, Debug)]
pub(crate) struct HealthCalls {
    shared: Arc<Shared>,
    known: [&'static str; 2],
}

impl HealthCalls {
    /// The health of the server as a whole, named "", and of `service`.
    pub(crate) fn new(shared: Arc<Shared>, service: &'static str) -> Self {
        Self { shared, known: ["", service] }
    }

    fn status(&self, service: &str) -> ServingStatus {
        if !self.known.contains(&service) {
            return ServingStatus::ServiceUnknown;
        }
        if self.shared.drain.is_draining() || self.shared.self_test.is_err() {
            return ServingStatus::NotServing;
        }
        ServingStatus::Serving
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for HealthCalls {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no service of this name")),
            status => Ok(Response::new(response(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Tells the status at once and whenever it changes, until the server closes; a name that isn't known is told so and
    /// watched on, as the protocol asks.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let (told, statuses) = mpsc::channel(2);
        let this = self.clone();
        tokio::spawn(async move {
            let first = this.status(&service);
            if told.send(Ok(response(first))).await.is_err() {
                return;
            }
            let drain = &this.shared.drain;
            if first == ServingStatus::Serving {
                tokio::select! {
                    () = drain.started.cancelled() => {}
                    () = told.closed() => return,
                }
                if told.send(Ok(response(this.status(&service)))).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = drain.stop.cancelled() => {}
                () = told.closed() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(statuses))))
    }
}
