//! `GET /openapi.json`: what the routes say of themselves, and what every request passes before it meets one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::{Extension, Json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Schema};

use super::{compress, problem};
use crate::codec::Codec;
use crate::rate::Mode;
use crate::service::Shared;
use crate::service::auth::API_KEY;
use crate::service::auth::policy::{self, Need};
use crate::service::config::Config;
use crate::service::limits::is_free;

/// What the routes say of themselves.
pub(super) type Routes = Arc<OpenApi>;

/// This description, in OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = "probes",
    responses((status = 200, description = "An OpenAPI document", body = serde_json::Value)),
)]
pub(super) async fn openapi(State(shared): State<Arc<Shared>>, Extension(routes): Extension<Routes>) -> Json<OpenApi> {
    Json(complete((*routes).clone(), &shared.config()))
}

/// What a router's routes have told, with what holds for all of them as the server is configured.
fn complete(mut document: OpenApi, config: &Config) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Auralink")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(env!("CARGO_PKG_DESCRIPTION")))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key or a token (JWT)"));
    let key = ApiKeyValue::with_description(API_KEY.as_str(), "An API key");
    let schemes = [
        ("bearer", SecurityScheme::Http(bearer.build())),
        ("api_key", SecurityScheme::ApiKey(ApiKey::Header(key))),
        ("certificate", SecurityScheme::MutualTls { description: None, deprecated: None, extensions: None }),
    ];
    let taken = schemes.into_iter().filter(|(name, _)| is_asked(name, config));
    components.security_schemes.extend(taken.map(|(name, scheme)| (name.to_owned(), RefOr::T(scheme))));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            pass(path, &method, operation, config);
        }
    }
    let compress = document.paths.paths.get_mut("/v1/compress").and_then(|item| item.post.as_mut());
    let asked = compress.and_then(|operation| operation.parameters.as_mut()).into_iter().flatten();
    for parameter in asked {
        if let RefOr::T(parameter) = parameter
            && parameter.name == "size"
        {
            parameter.schema = Some(Schema::from(compress::size(&config.limits.picture)).into());
        }
    }
    document
}

/// Whether callers may say who they are in this way.
fn is_asked(scheme: &str, config: &Config) -> bool {
    let auth = &config.auth;
    match scheme {
        "certificate" => config.tls.clients != crate::service::config::ClientCertificates::Off,
        "api_key" => auth.keys_file.is_some() || !auth.keys.is_empty(),
        _ => auth.keys_file.is_some() || !auth.keys.is_empty() || !auth.jwt.keys.is_empty(),
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, .. } = item;
    let all = [(Method::GET, get), (Method::PUT, put), (Method::POST, post)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// What a request passes before it meets its route, and may be answered with there.
fn pass(path: &str, method: &Method, operation: &mut Operation, config: &Config) {
    let need = policy::of_page(method, path, config.auth.open_metrics);
    let mut refusals = vec![(408, "The request wasn't sent whole in time"), (500, "The server failed")];
    if need != Need::Nothing && config.authenticates() {
        let names = ["bearer", "api_key", "certificate"].into_iter().filter(|name| is_asked(name, config));
        operation.security = Some(names.map(|name| SecurityRequirement::new(name, [""; 0])).collect());
        refusals.push((401, "The caller isn't known"));
        if need != Need::Name {
            refusals.push((403, "The caller is known, and may not"));
        }
    }
    if !is_free(path) {
        refusals.push((429, "A limit is reached, or the server is busy: `retry-after` says when to come back"));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in refusals {
        responses.entry(status.to_string()).or_insert_with(|| RefOr::T(refusal(description)));
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            head(response, status, path);
        }
    }
}

fn refusal(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(problem::MEDIA_TYPE, body).build()
}

/// The headers that an answer has whatever the route.
fn head(response: &mut Response, status: &str, path: &str) {
    let mut told = vec![("x-request-id", "The request's name, as given or made", Type::String)];
    if !is_free(path) {
        told.extend([
            ("x-ratelimit-limit", "Calls that the window nearest to its limit may hold", Type::Integer),
            ("x-ratelimit-remaining", "Calls it has room for", Type::Integer),
            ("x-ratelimit-reset", "Seconds until it has room for more", Type::Integer),
        ]);
    }
    if status == "429" {
        told.push(("retry-after", "Seconds after which to come back", Type::Integer));
    }
    for (name, description, kind) in told {
        let schema = ObjectBuilder::new().schema_type(kind).build();
        let header = HeaderBuilder::new().schema(Some(Schema::from(schema))).description(Some(description)).build();
        response.headers.insert(name.to_owned(), header.into());
    }
}

/// One of some names.
pub(super) fn one_of(names: impl Iterator<Item = &'static str>) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.collect::<Vec<_>>())).build().into()
}

/// The codecs by their names.
pub(super) fn codec_name() -> Schema {
    one_of(Codec::ALL.iter().map(|codec| codec.name()))
}

/// The modes by their names.
pub(super) fn mode_name() -> Schema {
    one_of(Mode::ALL.iter().map(|mode| mode.name()))
}

/// The same, or null.
fn or_null(name: Schema) -> Schema {
    let Schema::Object(mut object) = name else { return name };
    object.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
    object.enum_values.get_or_insert_default().push(serde_json::Value::Null);
    Schema::Object(object)
}

/// A codec's name, or null.
pub(crate) fn maybe_codec() -> Schema {
    or_null(codec_name())
}

/// A mode's name, or null.
pub(crate) fn maybe_mode() -> Schema {
    or_null(mode_name())
}

/// A day, as the ledger reads it.
pub(super) fn day() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
        .pattern(Some("^(19[7-9][0-9]|[2-9][0-9]{3})-"))
        .build()
        .into()
}
