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
use validator::Validate;

use crate::codec::Codec;
use crate::codec::jpeg::Subsampling;
use crate::error::Error;
use crate::limits::Limits;
use crate::rate::Mode;
use crate::service::Shared;
use crate::service::admission::Intake;
use crate::service::refusal::{Refusal, Violation};
use crate::service::stills::{self, Compressed};
use crate::service::wire::{Layout, Picture, Still, violations_of};
use crate::session::{Order, Stamp};

/// What the query may ask for.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    codec: Option<String>,
    mode: Option<String>,
    #[validate(range(min = 1, max = 100, message = "1..=100"))]
    quality: Option<u32>,
    #[validate(range(min = 1, message = "1..=4294967295"))]
    max_bytes: Option<u32>,
    /// 420, 422 or 444.
    subsampling: Option<u32>,
    optimise: Option<bool>,
    measure: Option<bool>,
    /// `WIDTHxHEIGHT` to scale to.
    size: Option<String>,
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

pub(super) async fn compress(
    State(shared): State<Arc<Shared>>,
    Extension(intake): Extension<Arc<Intake>>,
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
    let compressed = stills::compress(&shared, &intake, still, asked.size, deadline, "body").await?;
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
    let told = [
        ("x-auralink-codec", Some(info.codec.name().to_owned())),
        ("x-auralink-width", Some(info.width.to_string())),
        ("x-auralink-height", Some(info.height.to_string())),
        ("x-auralink-quality", Some(info.quality.to_string())),
        ("x-auralink-input-bytes", Some(input_bytes.to_string())),
        ("x-auralink-original-bytes", Some(info.original_bytes.to_string())),
        ("x-auralink-compressed-bytes", Some(info.compressed_bytes.to_string())),
        ("x-auralink-reduction", Some(format!("{:.4}", info.reduction()))),
        ("x-auralink-psnr-db", optional(info.psnr_db)),
        ("x-auralink-ssim", optional(info.ssim)),
        ("x-auralink-decode-us", Some(decode_us.to_string())),
        ("x-auralink-queue-us", Some(queued.as_micros().to_string())),
        ("x-auralink-encode-us", Some(info.times.encode_us.to_string())),
    ];
    let mut response = ([(header::CONTENT_TYPE, kind)], data).into_response();
    for (name, value) in told {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
