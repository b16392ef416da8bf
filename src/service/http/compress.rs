//! `POST /v1/compress`: an image file in, a packet out.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tonic::Code;
use utoipa::IntoParams;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use validator::Validate;

use super::openapi::{codec_name, mode_name};
use super::problem::Problem;

use crate::codec::Codec;
use crate::codec::jpeg::Subsampling;
use crate::error::Error;
use crate::limits::Limits;
use crate::rate::Mode;
use crate::service::Shared;
use crate::service::admission::Intake;
use crate::service::caller::Caller;
use crate::service::refusal::{Refusal, Violation};
use crate::service::stills::{self, Compressed, Who};
use crate::service::wire::{Layout, Picture, Still, violations_of};
use crate::session::{Order, Stamp};

/// What the query may ask for.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `jpeg` where none is named.
    #[param(schema_with = codec_name)]
    codec: Option<String>,
    /// Decides the quality where none is given.
    #[param(schema_with = mode_name)]
    mode: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    #[validate(range(min = 1, max = 100, message = "1..=100"))]
    quality: Option<u32>,
    /// Bytes that the packet may have, not for `lossless`; the best quality that fits is taken.
    #[param(minimum = 1, maximum = 4_294_967_295_u32)]
    #[validate(range(min = 1, message = "1..=4294967295"))]
    max_bytes: Option<u32>,
    /// Of JPEG's chroma: 420, 422 or 444.
    #[param(schema_with = subsampling)]
    subsampling: Option<u32>,
    /// Code with tables made for this picture: smaller, and slower.
    optimise: Option<bool>,
    /// Tell PSNR and SSIM.
    measure: Option<bool>,
    /// `WIDTHxHEIGHT` to scale to, pixels.
    size: Option<String>,
}

/// The headers that say what became of the picture.
pub(crate) const TOLD: [&str; 13] = [
    "x-auralink-codec",
    "x-auralink-width",
    "x-auralink-height",
    "x-auralink-quality",
    "x-auralink-input-bytes",
    "x-auralink-original-bytes",
    "x-auralink-compressed-bytes",
    "x-auralink-reduction",
    "x-auralink-psnr-db",
    "x-auralink-ssim",
    "x-auralink-decode-us",
    "x-auralink-queue-us",
    "x-auralink-encode-us",
];

fn subsampling() -> Schema {
    ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([420, 422, 444])).build().into()
}

/// Sizes that may be scaled to, as a schema.
pub(super) fn size(limits: &Limits) -> Object {
    let (width, height) = (between(limits.min_width, limits.max_width), between(limits.min_height, limits.max_height));
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^({width})x({height})$"))).build()
}

/// A pattern of the decimal numbers from `min` to `max`.
fn between(min: u32, max: u32) -> String {
    let mut parts = Vec::new();
    let mut from = min;
    while from <= max {
        // The longest run from here that one part tells: some digits as they are, one in a range, and any after it.
        let runs = (0..=9).map(|digits| 10_u32.pow(digits));
        let fits = |&unit: &u32| from.is_multiple_of(unit) && from.saturating_add(unit - 1) <= max;
        let unit = runs.take_while(|&unit| unit <= from.max(1)).filter(fits).last().unwrap_or(1);
        let digit = from / unit % 10;
        let more = (9 - digit).min((max - from - (unit - 1)) / unit);
        let head = from / unit / 10;
        let head = if head == 0 { String::new() } else { head.to_string() };
        let any = "[0-9]".repeat(unit.ilog10() as usize);
        parts.push(format!("{head}[{digit}-{}]{any}", digit + more));
        let Some(next) = from.checked_add((more + 1).saturating_mul(unit)) else { break };
        from = next;
    }
    parts.join("|")
}

/// A query in the engine's words.
struct Asked {
    order: Order,
    size: Option<(u32, u32)>,
}

impl Wanted {
    fn parse(&self, limits: &Limits) -> Result<Asked, Refusal> {
        let mut faults = violations_of(self, "");
        let codec: Codec = named(self.codec.as_deref(), "codec", &mut faults);
        let mode: Mode = named(self.mode.as_deref(), "mode", &mut faults);
        let subsampling = match self.subsampling {
            None | Some(420) => Subsampling::S420,
            Some(422) => Subsampling::S422,
            Some(444) => Subsampling::S444,
            Some(other) => {
                faults.push(fault("subsampling", format!("{other} is none of 420, 422, 444")));
                Subsampling::S420
            }
        };
        if let (Some(max_bytes), Codec::Lossless) = (self.max_bytes, codec) {
            faults.push(fault("max_bytes", format!("{max_bytes} was given, but lossless has no budget")));
        }
        let size = self.size.as_deref().and_then(|text| {
            let size = parse_size(text);
            match size.map(|(width, height)| limits.check_size(width, height)) {
                Some(Ok(())) => {}
                Some(Err(error)) => faults.push(fault("size", error.to_string())),
                None => faults.push(fault("size", format!("{text:?} is not WIDTHxHEIGHT, such as 640x360"))),
            }
            size
        });
        if !faults.is_empty() {
            return Err(Refusal::invalid(faults));
        }
        let order = Order {
            quality: self.quality.map_or(mode.quality(), |quality| quality as u8),
            subsampling,
            optimise: self.optimise.unwrap_or(false),
            max_bytes: self.max_bytes.map(|bytes| bytes as usize),
            measure: self.measure.unwrap_or(false),
            ..Order::still(codec)
        };
        Ok(Asked { order, size })
    }
}

fn named<T: FromStr<Err = Error> + Default>(text: Option<&str>, field: &str, faults: &mut Vec<Violation>) -> T {
    match text.map(T::from_str).transpose() {
        Ok(value) => value.unwrap_or_default(),
        Err(error) => {
            faults.push(Violation { field: field.to_owned(), ..Violation::engine("", &error) });
            T::default()
        }
    }
}

fn fault(field: &str, description: String) -> Violation {
    Violation { field: field.to_owned(), description }
}

fn parse_size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// An image file in, a packet out: JPEG, lossless, or a key frame of H.264.
#[utoipa::path(
    post, path = "/v1/compress", tag = "frames", params(Wanted),
    request_body(
        description = "PNG, JPEG or WebP, whatever the media type says",
        content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")),
    ),
    responses(
        (
            status = 200,
            description = "The packet",
            content(
                (Vec<u8> = "image/jpeg"),
                (Vec<u8> = "application/vnd.auralink.lossless"),
                (Vec<u8> = "video/h264"),
            ),
            headers(
                ("x-auralink-codec" = String), ("x-auralink-width" = u32), ("x-auralink-height" = u32),
                ("x-auralink-quality" = u32), ("x-auralink-input-bytes" = u64), ("x-auralink-original-bytes" = u64),
                ("x-auralink-compressed-bytes" = u64),
                ("x-auralink-reduction" = f64, description = "Fraction of the raw bytes saved"),
                ("x-auralink-psnr-db" = f64, description = "Where `measure` asks for it; absent where nothing was lost"),
                ("x-auralink-ssim" = f64, description = "Where `measure` asks for it"),
                ("x-auralink-decode-us" = u64), ("x-auralink-queue-us" = u64), ("x-auralink-encode-us" = u64),
            ),
        ),
        (status = 400, description = "The query or the picture is at fault", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "The server is shutting down", body = Problem,
            content_type = "application/problem+json"),
        (status = 504, description = "It wouldn't have been done in time", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn compress(
    State(shared): State<Arc<Shared>>,
    Extension(intake): Extension<Arc<Intake>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Wanted>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let _call = shared.drain.enter()?;
    let config = shared.config();
    let limits = &config.limits.picture;
    let asked = match query {
        Ok(Query(wanted)) => wanted.parse(limits),
        Err(rejection) => Err(Refusal::field("query", rejection.body_text())),
    };
    let asked = asked.inspect_err(|refusal| shared.telemetry.refused(refusal.code))?;
    let body = body.map_err(|rejection| match rejection.status() {
        _ if intake.refusal().is_some() => intake.refusal().unwrap_or_else(Refusal::late),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::field("body", format!("longer than the limit of {} bytes", limits.max_encoded_bytes))
        }
        _ => Refusal::new(Code::InvalidArgument, rejection.body_text()),
    });
    let picture = body.and_then(|body| Picture::new(body, Layout::Encoded, limits, "body"));
    let picture = picture.inspect_err(|refusal| shared.telemetry.refused(refusal.code))?;
    let input_bytes = picture.len();
    let still = Still { picture, order: asked.order, stamp: Stamp::default() };
    let deadline = Instant::now() + Duration::from_millis(config.limits.request_timeout_ms.into());
    let compressed =
        stills::compress(&shared, Who { caller: &caller, intake: &intake }, still, asked.size, deadline, "body")
            .await?;
    Ok(answer(compressed, input_bytes))
}

fn answer(compressed: Compressed, input_bytes: usize) -> Response {
    let Compressed { info, data, decode_us, queued } = compressed;
    let kind = match info.codec {
        Codec::Jpeg => "image/jpeg",
        Codec::Lossless => "application/vnd.auralink.lossless",
        Codec::H264 => "video/h264",
    };
    let optional = |value: Option<f64>| value.map(|value| format!("{value:.4}"));
    // In the order of their names.
    let told = [
        Some(info.codec.name().to_owned()),
        Some(info.width.to_string()),
        Some(info.height.to_string()),
        Some(info.quality.to_string()),
        Some(input_bytes.to_string()),
        Some(info.original_bytes.to_string()),
        Some(info.compressed_bytes.to_string()),
        Some(format!("{:.4}", info.reduction())),
        optional(info.psnr_db),
        optional(info.ssim),
        Some(decode_us.to_string()),
        Some(queued.as_micros().to_string()),
        Some(info.times.encode_us.to_string()),
    ];
    let mut response = ([(header::CONTENT_TYPE, kind)], data).into_response();
    for (name, value) in TOLD.into_iter().zip(told) {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pattern of [`between`] tells a number: alternatives of digits and ranges of digits.
    fn tells(pattern: &str, number: u32) -> bool {
        let digits = number.to_string().into_bytes();
        pattern.split('|').any(|part| {
            let (mut rest, mut at) = (part.as_bytes(), 0);
            while let Some((&first, more)) = rest.split_first() {
                let (low, high, after) = match (first, more) {
                    (b'[', [low, b'-', high, b']', after @ ..]) => (*low, *high, after),
                    _ => (first, first, more),
                };
                if !digits.get(at).is_some_and(|digit| (low..=high).contains(digit)) {
                    return false;
                }
                (rest, at) = (after, at + 1);
            }
            at == digits.len()
        })
    }

    #[test]
    fn patterns_tell_exactly_the_numbers_between() {
        for (min, max) in
            [(160, 3_840), (90, 2_160), (1, 16_384), (16, 8_192), (999, 1_000), (7, 7), (640, 640), (1, 9)]
        {
            let pattern = between(min, max);
            for number in 0..20_000 {
                assert_eq!(tells(&pattern, number), (min..=max).contains(&number), "{number} by {pattern}");
            }
        }
    }
}
