//! The door of both listeners: who calls is found out before anything else happens.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Status;

use crate::service::auth::policy::{self, Need};
use crate::service::auth::{API_KEY, Denied, Identity};
use crate::service::refusal::Refusal;
use crate::service::transport::Peer;
use crate::service::{Shared, limits};

/// Lets gRPC calls in, or answers them with a status.
pub(crate) async fn calls(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let need = policy::of_call(request.uri().path());
    match admit(&shared, &mut request, need) {
        Ok(()) => next.run(request).await,
        Err(refusal) => Status::from(refusal).into_http(),
    }
}

/// Lets HTTP requests in, or answers them with a problem.
pub(crate) async fn pages(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let open_metrics = shared.config().auth.open_metrics;
    let need = policy::of_page(request.method(), request.uri().path(), open_metrics);
    match admit(&shared, &mut request, need) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let is_unknown = refusal.code == tonic::Code::Unauthenticated;
            let mut response = refusal.into_response();
            if is_unknown {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// Notes the caller in the request's extensions; its secrets go no further.
fn admit(shared: &Shared, request: &mut Request, need: Need) -> Result<(), Refusal> {
    if need == Need::Nothing {
        forget_secrets(request);
        return Ok(());
    }
    let peer = request.extensions().get::<Peer>().cloned();
    let found = shared.auth().identify(request.headers(), peer.as_ref());
    forget_secrets(request);
    let identity = found.map_err(|denied| {
        let addr = peer.and_then(|peer| peer.addr);
        tracing::debug!(reason = denied.name(), ?addr, "a caller isn't known");
        shared.telemetry.denied(denied.name());
        refused(shared, unknown(shared, request, denied))
    })?;
    if !policy::meets(identity.caller.roles, need) {
        tracing::debug!(caller = %identity.caller.id, ?need, "a caller may not do this");
        shared.telemetry.denied("role");
        return Err(refused(shared, Refusal::forbidden()));
    }
    let extensions = request.extensions_mut();
    extensions.insert(identity.caller.clone());
    extensions.insert::<Arc<Identity>>(Arc::new(identity));
    Ok(())
}

/// What somebody is told who isn't known: after too many attempts from their address, when to come back. Whoever shows nothing
/// has attempted nothing.
fn unknown(shared: &Shared, request: &Request, denied: Denied) -> Refusal {
    if denied == Denied::Missing {
        return Refusal::unauthenticated();
    }
    let limiter = &shared.limiter;
    match limiter.failed_attempt(limits::address(limiter, request)) {
        Some(verdict) => limits::too_many_failures(&verdict),
        None => Refusal::unauthenticated(),
    }
}

fn forget_secrets(request: &mut Request) {
    request.headers_mut().remove(header::AUTHORIZATION);
    request.headers_mut().remove(API_KEY);
}

fn refused(shared: &Shared, refusal: Refusal) -> Refusal {
    shared.telemetry.refused(refusal.code);
    refusal
}
