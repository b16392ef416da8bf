//! `POST /v1/auth/token`: a short token for an API key.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::service::Shared;
use crate::service::auth::Identity;
use crate::service::refusal::Refusal;

/// Answers as OAuth 2.0 does (RFC 6749, 5.1). A token isn't traded again: its end would never come.
pub(super) async fn trade(
    State(shared): State<Arc<Shared>>,
    Extension(identity): Extension<Arc<Identity>>,
) -> Result<Json<Value>, Refusal> {
    let (token, seconds) = shared.auth().trade(&identity).ok_or_else(Refusal::forbidden)?;
    tracing::info!(caller = %identity.caller.id, seconds, "a token was given for a key");
    Ok(Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds })))
}
