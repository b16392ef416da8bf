//! HTTP for people, probes and scrapers, on a listener and a thread of its own.

mod compress;
mod openapi;
mod probes;
mod problem;
mod sessions;
mod token;
mod usage;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

pub(crate) use self::compress::TOLD;
pub(crate) use self::openapi::{maybe_codec, maybe_mode};
pub(crate) use self::problem::too_slow;
use crate::service::admission::meter;
use crate::service::auth::gate;
use crate::service::limits::guard;
use crate::service::{Shared, edge};

/// Headers of every answer: nothing here is to be framed, sniffed, cached or scripted.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cache-control", "no-store"),
];

/// All routes, each with what it says of itself.
fn routes(shared: &Shared) -> OpenApiRouter<Arc<Shared>> {
    let body_limit = shared.config().limits.picture.max_encoded_bytes;
    OpenApiRouter::default()
        .routes(routes!(probes::livez))
        .routes(routes!(probes::health))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::health_ready))
        .routes(routes!(probes::metrics))
        .routes(routes!(openapi::openapi))
        .routes(routes!(sessions::sessions))
        .routes(routes!(token::trade))
        .routes(routes!(usage::usage))
        .routes(routes!(usage::settings, usage::put_settings))
        .routes(routes!(compress::compress).layer(DefaultBodyLimit::max(body_limit)))
}

/// All routes, and what every request passes before it meets one.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (router, described) = routes(&shared).split_for_parts();
    let router = router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(Extension(openapi::Routes::new(described)))
        .layer(from_fn_with_state(Arc::clone(&shared), meter))
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .layer(from_fn_with_state(Arc::clone(&shared), gate::pages))
        .with_state(Arc::clone(&shared))
        .layer(CatchPanicLayer::custom(problem::panicked));
    // Browsers that have been here encrypted come back so.
    let secure = SetResponseHeaderLayer::if_not_present(
        header::STRICT_TRANSPORT_SECURITY,
        shared.encryption.is_some().then(|| HeaderValue::from_static("max-age=31536000")),
    );
    let router = edge::around(router, &shared).layer(secure);
    SECURITY_HEADERS.into_iter().fold(router, |router, (name, value)| {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        router.layer(SetResponseHeaderLayer::if_not_present(name, value))
    })
}
