//! What the engine gave, in the contract's messages.

use bytes::Bytes;

use crate::codec::Codec;
use crate::frame::FrameBuf;
use crate::rate::{Hints, Mode, NetworkClass, NetworkConditions, NetworkSummary, Plan};
use crate::service::proto;
use crate::service::registry::{Entry, Live};
use crate::service::wire::{enums, h264};
use crate::session::{Dropped, PacketInfo};

/// A packet; `waited` is the time of decoding and of waiting for a thread, microseconds.
pub(crate) fn packet(info: &PacketInfo, data: Bytes, [decode_us, queue_us]: [u64; 2]) -> proto::Packet {
    let starts_h264 = info.codec == Codec::H264 && info.keyframe;
    proto::Packet {
        frame_number: info.stamp.frame_number,
        timestamp_us: info.stamp.timestamp_us,
        codec_string: if starts_h264 { h264::codec_string(&data) } else { String::new() },
        data,
        codec: enums::codec_to_wire(info.codec) as i32,
        width: info.width,
        height: info.height,
        keyframe: info.keyframe,
        original_bytes: info.original_bytes as u64,
        compressed_bytes: info.compressed_bytes as u64,
        reduction: info.reduction(),
        plan: Some(plan(&info.plan)),
        quality: u32::from(info.quality),
        qp: info.qp,
        preset: info.preset.map_or(0, |preset| h264::preset_to_wire(preset) as i32),
        psnr_db: info.psnr_db,
        ssim: info.ssim,
        times: Some(proto::StageTimes {
            decode_us,
            queue_us,
            resize_us: info.times.resize_us,
            encode_us: info.times.encode_us,
            measure_us: info.times.measure_us,
        }),
        fallback_used: info.fallback.is_some(),
        fallback_reason: info.fallback.map(|fallback| fallback.name().to_owned()).unwrap_or_default(),
    }
}

pub(crate) fn plan(plan: &Plan) -> proto::Plan {
    proto::Plan {
        codec: enums::codec_to_wire(plan.codec) as i32,
        scale: plan.scale.factor(),
        frame_divisor: plan.frame_divisor,
        quality: u32::from(plan.quality),
        target_bytes: plan.target_bytes,
        budget_bytes: plan.budget_bytes,
        keyframe: plan.keyframe,
        reason: plan.reason.to_string(),
    }
}

pub(crate) fn dropped(dropped: &Dropped) -> proto::Dropped {
    proto::Dropped {
        frame_number: dropped.stamp.frame_number,
        timestamp_us: dropped.stamp.timestamp_us,
        reason: enums::drop_reason_to_wire(dropped.reason) as i32,
    }
}

/// Decoded pixels; their memory becomes the message's.
pub(crate) fn picture_response(frame: FrameBuf) -> proto::Picture {
    let view = frame.as_frame();
    let (format, width, height, color) = (view.format(), view.width(), view.height(), view.color());
    proto::Picture {
        format: enums::format_to_wire(format) as i32,
        width,
        height,
        data: Bytes::from(frame.into_data()),
        strides: Vec::new(),
        color: Some(enums::color_to_wire(color)),
    }
}

pub(crate) fn hints(hints: &Hints) -> proto::GetCompressionHintsResponse {
    proto::GetCompressionHintsResponse {
        plan: Some(plan(&hints.plan)),
        predicted_bytes: hints.bytes as u64,
        predicted_reduction: hints.reduction,
        predicted_ssim: hints.ssim,
        predicted_latency_ms: hints.latency_ms,
    }
}

/// A network summed up, and the mode it calls for.
pub(crate) fn analysis(summary: &NetworkSummary) -> proto::AnalyzeNetworkConditionsResponse {
    let mode = match summary.class {
        NetworkClass::Poor | NetworkClass::Fair => Mode::Aggressive,
        NetworkClass::Good => Mode::Adaptive,
        NetworkClass::Excellent => Mode::Conservative,
    };
    let typical = &summary.typical;
    proto::AnalyzeNetworkConditionsResponse {
        available_kbps: summary.available_kbps,
        predicted_kbps: summary.predicted_kbps,
        stability: summary.stability,
        network_class: enums::class_to_wire(summary.class) as i32,
        recommended_mode: enums::mode_to_wire(mode) as i32,
        recommendation: format!(
            "{mode}: {:.0} kbit/s now, {:.0} to plan for, {:.0} ms round trip, {:.1} % loss, {:.0} ms jitter, stability {:.2}",
            summary.available_kbps,
            summary.predicted_kbps,
            typical.rtt_ms(),
            typical.packet_loss_percent(),
            typical.jitter_ms(),
            summary.stability,
        ),
    }
}

fn network(network: &NetworkConditions) -> proto::NetworkConditions {
    proto::NetworkConditions {
        bandwidth_kbps: network.bandwidth_kbps(),
        rtt_ms: network.rtt_ms(),
        packet_loss_percent: network.packet_loss_percent(),
        jitter_ms: network.jitter_ms(),
        network_condition: None,
    }
}

/// A session as it stands.
pub(crate) fn session(entry: &Entry) -> proto::Session {
    let age = entry.age();
    let Live { config, stats, latency_us, pace, plan: next, .. } = &*entry.live();
    let (fps, kbps) = pace.rates(age);
    proto::Session {
        session_id: entry.id().to_string(),
        codec: enums::codec_to_wire(config.codec) as i32,
        format: enums::source_to_wire(entry.source()) as i32,
        width: config.width,
        height: config.height,
        mode: enums::mode_to_wire(config.mode) as i32,
        age_ms: age.as_millis() as u64,
        frames_in: stats.frames_in,
        packets_out: stats.packets_out,
        frames_dropped: stats.dropped_total(),
        frame_errors: stats.failed,
        fallbacks: stats.fallbacks_total(),
        bytes_in: stats.bytes_in,
        bytes_out: stats.bytes_out,
        reduction: stats.reduction(),
        fps,
        kbps,
        psnr_db: stats.psnr_db(),
        ssim: stats.ssim(),
        latency_p50_ms: latency_us.quantile(0.5) as f64 / 1_000.0,
        latency_p95_ms: latency_us.quantile(0.95) as f64 / 1_000.0,
        plan: next.as_ref().map(plan),
        acked_packets: stats.acked,
        lost_packets: stats.lost,
        keyframes: stats.keyframes,
        network: config.network.as_ref().map(network),
    }
}
