//! `POST /v1/auth/token`: a short token for an API key.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::service::Shared;
use crate::service::auth::Identity;
use crate::service::refusal::Refusal;

/// A token, as OAuth 2.0 gives it (RFC 6749, 5.1).
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

/// Trades an API key for a token that lasts minutes and can do what the key can. A token isn't traded again: its end would
/// never come.
#[utoipa::path(
    post, path = "/v1/auth/token", tag = "access",
    responses(
        (status = 200, body = Token),
        (status = 403, description = "The caller is known by something else than an API key", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn trade(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
) -> Result<Json<Token>, Refusal> {
    let (access_token, expires_in) = shared.auth().trade(&identity).ok_or_else(Refusal::forbidden)?;
    tracing::info!(caller = %identity.caller.id, seconds = expires_in, "a token was given for a key");
    Ok(Json(Token { access_token, token_type: "Bearer", expires_in }))
}
