//! What callers ask for, checked, in the engine's types.

use std::time::Duration;

use uuid::{Uuid, Version};

use crate::codec::Codec;
use crate::codec::jpeg::Subsampling;
use crate::frame::PixelFormat;
use crate::limits::Limits;
use crate::rate::{Appearance, Complexity, Goal, NetworkConditions, Receipt, Scale};
use crate::service::proto;
use crate::service::refusal::Refusal;
use crate::service::wire::check::{self, Faults, network_faults};
use crate::service::wire::enums::{self, Source};
use crate::service::wire::h264;
use crate::service::wire::picture::{self, Layout, Picture};
use crate::session::{Changes, Order, SessionConfig, Stamp};

/// Codec of streams and of hints for them; single frames are JPEG.
const STREAM_CODEC: Codec = Codec::H264;
const DEFAULT_FPS: f64 = 30.0;
const DEFAULT_LATENCY_MS: u32 = 20;
const DEFAULT_WINDOW_FRAMES: u32 = 2;
const DEFAULT_INTERVAL_MS: u32 = 1_000;
const MAX_SAMPLES: usize = 1_024;

/// A stream's opening.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) id: Uuid,
    pub(crate) source: Source,
    /// For encoded pictures, a width and height of 0 mean those of the first one; its format isn't known yet either.
    pub(crate) config: SessionConfig,
    pub(crate) window: usize,
}

/// A single frame's order.
#[derive(Clone, Debug)]
pub(crate) struct Still {
    pub(crate) picture: Picture,
    pub(crate) order: Order,
    pub(crate) stamp: Stamp,
}

/// What hints are wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HintQuery {
    pub(crate) goal: Goal,
    pub(crate) network: Option<NetworkConditions>,
}

/// A session's name: a UUID of version 4.
pub(crate) fn session_id(text: &str, field: &str) -> Result<Uuid, Refusal> {
    match Uuid::try_parse(text) {
        Ok(id) if id.get_version() == Some(Version::Random) => Ok(id),
        _ => Err(Refusal::field(field, format!("{:?} is not a UUID of version 4", shorten(text)))),
    }
}

/// A stranger's text, short enough to be repeated.
fn shorten(text: &str) -> &str {
    let end = text.char_indices().nth(64).map_or(text.len(), |(index, _)| index);
    text.get(..end).unwrap_or_default()
}

fn network_in(network: &proto::NetworkConditions, part: &str, faults: &mut Faults) -> Option<NetworkConditions> {
    let mut found = Faults::default();
    network_faults(network, part, &mut found);
    faults.take(found.into_result(Some(())))?;
    // The check above tells all faults at once; the engine makes its own, and has the last word.
    let checked = match network.network_condition {
        Some(score) => NetworkConditions::from_score(score),
        None => NetworkConditions::new(
            network.bandwidth_kbps,
            network.rtt_ms,
            network.packet_loss_percent,
            network.jitter_ms,
        ),
    };
    checked.map_err(|error| faults.push(part, "", error.to_string())).ok()
}

/// A declared network.
pub(crate) fn network(network: &proto::NetworkConditions, part: &str) -> Result<NetworkConditions, Refusal> {
    let mut faults = Faults::default();
    let network = network_in(network, part, &mut faults);
    faults.into_result(network)
}

/// A stream's opening; the server makes an id where none is given.
pub(crate) fn open(open: &proto::Open, limits: &Limits) -> Result<Opening, Refusal> {
    let part = "open";
    let mut faults = Faults::default();
    let id = if open.session_id.is_empty() {
        Some(Uuid::new_v4())
    } else {
        faults.take(session_id(&open.session_id, "open.session_id"))
    };
    let codec = enums::codec(open.codec, STREAM_CODEC, part, &mut faults);
    let source = enums::source(open.format, part, &mut faults);
    let mode = enums::mode(open.mode, part, &mut faults);
    let subsampling = enums::subsampling(open.subsampling, part, &mut faults);
    let color = enums::color(open.color.as_ref(), "open.color", &mut faults);
    let network = open.network.as_ref().map(|network| network_in(network, "open.network", &mut faults));
    let numbers = check::OpenNumbers {
        fps: if open.fps == 0.0 { DEFAULT_FPS } else { open.fps },
        target_reduction: open.target_reduction,
        max_latency_ms: f64::from(or_default(open.max_latency_ms, DEFAULT_LATENCY_MS)),
        min_quality: open.min_quality,
        window: or_default(open.window, DEFAULT_WINDOW_FRAMES),
    };
    faults.absorb(part, &numbers);
    let size_is_open = source == Some(Source::Encoded) && open.width == 0 && open.height == 0;
    if !size_is_open {
        faults.size(part, limits, open.width, open.height);
    }
    if codec.is_some_and(|codec| codec != Codec::Lossless) && source == Some(Source::Raw(PixelFormat::Gray16)) {
        faults.push(part, "format", "gray16 is coded by lossless alone");
    }
    let usual = SessionConfig::new(codec.unwrap_or_default(), PixelFormat::Rgb8, open.width, open.height);
    let h264 = match &open.h264 {
        Some(_) if codec.is_some_and(|codec| codec != Codec::H264) => {
            faults.push(part, "h264", format!("was given, but the codec is {}", codec.unwrap_or_default()));
            None
        }
        Some(settings) => h264::settings(settings, usual.h264, "open.h264", &mut faults),
        None => Some(h264::Settings { config: usual.h264, bitrate_kbps: None, deadline_ms: None }),
    };
    let opening = (|| {
        let source = source?;
        let format = if let Source::Raw(format) = source { format } else { PixelFormat::Rgb8 };
        let h264 = h264?;
        Some(Opening {
            id: id?,
            source,
            config: SessionConfig {
                color: color?,
                fps: numbers.fps,
                mode: mode?,
                target_reduction: open.target_reduction,
                min_quality: open.min_quality,
                max_latency_ms: numbers.max_latency_ms as u32,
                network: network.map_or(Some(None), |network| network.map(Some))?,
                measure_quality: open.measure_quality,
                subsampling: subsampling?,
                abbreviate: open.abbreviated,
                receipts: open.receipts,
                codec: codec?,
                format,
                h264: h264.config,
                bitrate_kbps: h264.bitrate_kbps,
                deadline_ms: h264.deadline_ms,
                ..usual
            },
            window: numbers.window as usize,
        })
    })();
    faults.into_result(opening)
}

fn or_default(value: u32, default: u32) -> u32 {
    if value == 0 { default } else { value }
}

/// A stream's frame, as its opening said.
pub(crate) fn stream_frame(
    frame: proto::StreamFrame,
    source: Source,
    config: &SessionConfig,
    limits: &Limits,
) -> Result<Picture, Refusal> {
    let layout = match source {
        Source::Encoded => Layout::Encoded,
        Source::Raw(format) => Layout::Raw {
            format,
            width: config.width,
            height: config.height,
            strides: frame.strides.iter().map(|&stride| stride as usize).collect(),
            color: config.color,
        },
    };
    Picture::new(frame.data, layout, limits, "frame")
}

/// Changes to a running stream.
pub(crate) fn changes(reconfigure: &proto::Reconfigure) -> Result<Changes, Refusal> {
    let part = "reconfigure";
    let mut faults = Faults::default();
    let mode = reconfigure.mode.map(|mode| enums::mode(mode, part, &mut faults));
    faults.absorb(
        part,
        &check::ChangeNumbers {
            target_reduction: reconfigure.target_reduction,
            min_quality: reconfigure.min_quality,
            fps: reconfigure.fps,
        },
    );
    faults.into_result(Some(Changes {
        mode: mode.flatten(),
        target_reduction: reconfigure.target_reduction,
        min_quality: reconfigure.min_quality,
        fps: reconfigure.fps,
        measure_quality: reconfigure.measure_quality,
    }))
}

/// What an acknowledgement says of the network, where it tells a time.
pub(crate) fn receipt(ack: &proto::Ack) -> Result<Option<Receipt>, Refusal> {
    let mut faults = Faults::default();
    if ack.first_received_us > ack.received_us {
        let told = format!("{} is after received_us, {}", ack.first_received_us, ack.received_us);
        faults.push("ack", "first_received_us", told);
    }
    if (1..ack.received_us).contains(&ack.displayed_us) {
        let told = format!("{} is before received_us, {}", ack.displayed_us, ack.received_us);
        faults.push("ack", "displayed_us", told);
    }
    let told = |us: u64| (us > 0).then(|| Duration::from_micros(us));
    let last = told(ack.received_us);
    let receipt = last.map(|last_received| Receipt {
        frame_number: ack.frame_number,
        bytes: ack.bytes,
        is_whole: ack.bytes == 0,
        first_received: told(ack.first_received_us).unwrap_or(last_received),
        last_received,
        displayed: told(ack.displayed_us),
    });
    faults.into_result(Some(receipt))
}

/// A single frame's order.
pub(crate) fn still(request: proto::CompressFrameRequest, limits: &Limits) -> Result<Still, Refusal> {
    let mut faults = Faults::default();
    let codec = enums::codec(request.codec, Codec::Jpeg, "", &mut faults);
    let mode = enums::mode(request.mode, "", &mut faults);
    let subsampling = enums::subsampling(request.subsampling, "", &mut faults);
    let usual = u32::from(mode.unwrap_or_default().quality());
    let numbers = check::StillNumbers { quality: or_default(request.quality, usual) };
    faults.absorb("", &numbers);
    if request.max_bytes > 0 && codec == Some(Codec::Lossless) {
        faults.push("", "max_bytes", format!("{} was given, but lossless has no budget", request.max_bytes));
    }
    let picture = picture::picture(request.picture, limits, "picture", &mut faults);
    if codec.is_some_and(|codec| codec != Codec::Lossless)
        && matches!(picture, Some((_, Source::Raw(PixelFormat::Gray16))))
    {
        faults.push("picture", "format", "gray16 is coded by lossless alone");
    }
    let still = (|| {
        Some(Still {
            picture: picture?.0,
            order: Order {
                quality: numbers.quality as u8,
                subsampling: subsampling.unwrap_or(Subsampling::S420),
                optimise: request.optimise,
                max_bytes: (request.max_bytes > 0).then_some(request.max_bytes as usize),
                measure: request.measure_quality,
                ..Order::still(codec?)
            },
            stamp: Stamp { frame_number: request.frame_number, timestamp_us: request.timestamp_us },
        })
    })();
    faults.into_result(still)
}

/// Samples of a network, oldest first.
pub(crate) fn samples(request: &proto::AnalyzeNetworkConditionsRequest) -> Result<Vec<NetworkConditions>, Refusal> {
    let count = request.samples.len();
    if !(1..=MAX_SAMPLES).contains(&count) {
        return Err(Refusal::field("samples", format!("{count} samples are outside 1..={MAX_SAMPLES}")));
    }
    let mut faults = Faults::default();
    let samples = request.samples.iter().enumerate();
    let samples: Option<Vec<_>> =
        samples.map(|(index, sample)| network_in(sample, &format!("samples[{index}]"), &mut faults)).collect();
    faults.into_result(samples)
}

/// What hints are wanted for.
pub(crate) fn hint_query(request: &proto::GetCompressionHintsRequest, limits: &Limits) -> Result<HintQuery, Refusal> {
    let mut faults = Faults::default();
    let codec = enums::codec(request.codec, STREAM_CODEC, "", &mut faults);
    let mode = enums::mode(request.mode, "", &mut faults);
    let source = enums::source(request.format, "", &mut faults);
    let network = request.network.as_ref().map(|network| network_in(network, "network", &mut faults));
    let numbers = check::HintNumbers { fps: if request.fps == 0.0 { DEFAULT_FPS } else { request.fps } };
    faults.absorb("", &numbers);
    faults.size("", limits, request.width, request.height);
    let query = (|| {
        // Encoded pictures are planned for as the RGB they mostly decode to.
        let format = if let Source::Raw(format) = source? { format } else { PixelFormat::Rgb8 };
        Some(HintQuery {
            goal: Goal {
                codec: codec?,
                width: request.width,
                height: request.height,
                raw_bytes: format.frame_bytes(request.width, request.height),
                fps: numbers.fps,
                mode: mode?,
                utilisation: mode?.utilisation(),
                target_reduction: None,
                complexity: 1.0,
                h264: Complexity::default(),
                appearance: Appearance::default(),
                floor: mode?.min_ssim(),
                scale: Scale::FULL,
                keyframe: false,
            },
            network: network.map_or(Some(None), |network| network.map(Some))?,
        })
    })();
    faults.into_result(query)
}

/// Time between a watch's reports.
pub(crate) fn watch_interval(request: &proto::WatchSessionRequest) -> Result<Duration, Refusal> {
    let numbers = check::WatchNumbers { interval_ms: or_default(request.interval_ms, DEFAULT_INTERVAL_MS) };
    let mut faults = Faults::default();
    faults.absorb("", &numbers);
    faults.into_result(Some(Duration::from_millis(u64::from(numbers.interval_ms))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_random_uuids_name_sessions() {
        assert!(session_id("6f2b1d5e-8f0a-4c3e-9b57-0e1c9a3b7d21", "session_id").is_ok());
        for bad in ["", "42", "6f2b1d5e-8f0a-1c3e-9b57-0e1c9a3b7d21", "00000000-0000-0000-0000-000000000000"] {
            let refusal = session_id(bad, "open.session_id").unwrap_err();
            assert_eq!(refusal.violations[0].field, "open.session_id");
            assert!(refusal.message.contains("version 4"));
        }
        assert!(session_id(&"é".repeat(10_000), "session_id").unwrap_err().message.len() < 300);
    }

    #[test]
    fn an_opening_tells_all_its_faults() {
        let bad = proto::Open {
            session_id: "nonsense".to_owned(),
            codec: 4,
            format: 99,
            width: 100,
            height: 9_999,
            fps: f64::NAN,
            max_latency_ms: 4,
            network: Some(proto::NetworkConditions { network_condition: Some(1.5), ..Default::default() }),
            ..Default::default()
        };
        let refusal = open(&bad, &Limits::SERVICE).unwrap_err();
        let mut fields: Vec<_> = refusal.violations.iter().map(|v| v.field.as_str()).collect();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(
            fields,
            [
                "open.codec",
                "open.format",
                "open.fps",
                "open.height",
                "open.max_latency_ms",
                "open.network.network_condition",
                "open.session_id",
                "open.width",
            ]
        );
    }

    #[test]
    fn zeros_stand_for_defaults() {
        let opening = open(
            &proto::Open { format: proto::PixelFormat::I420 as i32, width: 640, height: 360, ..Default::default() },
            &Limits::SERVICE,
        )
        .unwrap();
        assert_eq!((opening.config.fps, opening.config.max_latency_ms, opening.window), (30.0, 20, 2));
        assert_eq!((opening.config.network, opening.config.codec), (None, Codec::H264));
    }

    #[test]
    fn settings_of_another_codec_are_a_mistake() {
        let mistaken = proto::Open {
            codec: proto::Codec::Jpeg as i32,
            format: proto::PixelFormat::I420 as i32,
            width: 640,
            height: 360,
            h264: Some(proto::H264Settings::default()),
            ..Default::default()
        };
        let refusal = open(&mistaken, &Limits::SERVICE).unwrap_err();
        assert_eq!(refusal.violations[0].field, "open.h264");
        let meant = proto::Open {
            codec: 0,
            h264: Some(proto::H264Settings { bitrate_kbps: 800.0, slices: 2, deadline_ms: 12, ..Default::default() }),
            ..mistaken
        };
        let config = open(&meant, &Limits::SERVICE).unwrap().config;
        assert_eq!((config.bitrate_kbps, config.h264.slices, config.deadline_ms), (Some(800.0), 2, Some(12)));
    }
}
