//! Messages of the wire contract, from a stranger's bytes to plans.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::{limits, pool};
use crate::limits::Limits;
use crate::rate::{NetworkConditions, Plan, summarise};
use crate::service::proto::compress_stream_request::Message as StreamMessage;
use crate::service::proto::{
    AnalyzeNetworkConditionsRequest, CompressFrameRequest, CompressStreamRequest, GetCompressionHintsRequest,
};
use crate::service::wire::{self, Source};
use crate::{Codec, Engine};

/// Bytes as each message of the contract that leads to a plan: refused naming a field, or the plan keeps its ranges.
pub fn wire_to_plan(data: &[u8]) {
    // One copy, which payloads are then slices of, as they are of the transport's buffer.
    let data = Bytes::copy_from_slice(data);
    stream_message(data.clone());
    if let Ok(request) = GetCompressionHintsRequest::decode(data.clone()) {
        match wire::hint_query(&request, &Limits::SERVICE) {
            Ok(query) => {
                let hints = query.goal.hints(query.network.as_ref());
                check_plan(&hints.plan);
                assert!(hints.bytes.is_finite() && hints.bytes > 0.0 && hints.latency_ms.is_finite(), "{hints:?}");
                assert!(hints.reduction < 1.0 && (0.0..=1.0).contains(&hints.ssim), "{hints:?}");
            }
            Err(refusal) => assert!(!refusal.violations.is_empty()),
        }
    }
    if let Ok(request) = AnalyzeNetworkConditionsRequest::decode(data.clone()) {
        match wire::samples(&request) {
            Ok(samples) => {
                let summary = summarise(&samples).expect("samples that are taken can be summed up");
                check_network(&summary.typical);
                assert!((0.0..=1.0).contains(&summary.stability) && summary.predicted_kbps.is_finite());
            }
            Err(refusal) => assert!(!refusal.violations.is_empty()),
        }
    }
    if let Ok(request) = CompressFrameRequest::decode(data) {
        match wire::still(request, &Limits::SERVICE) {
            Ok(still) => {
                let mut decoded = None;
                if let Ok(frame) = still.picture.open(&limits(), &mut decoded) {
                    assert!(frame.planes().iter().all(|plane| plane.row(plane.rows() - 1).len() == plane.row_bytes()));
                }
            }
            Err(refusal) => assert!(!refusal.violations.is_empty()),
        }
    }
}

fn stream_message(data: Bytes) {
    let Ok(CompressStreamRequest { message: Some(message) }) = CompressStreamRequest::decode(data) else { return };
    match message {
        StreamMessage::Open(open) => {
            let opening = match wire::open(&open, &Limits::SERVICE) {
                Ok(opening) => opening,
                Err(refusal) => return assert!(!refusal.violations.is_empty()),
            };
            if matches!(opening.source, Source::Raw(_)) {
                let session = Engine::new(Arc::clone(pool())).session(opening.config).expect("what was checked opens");
                check_plan(&session.plan(std::time::Duration::ZERO));
            }
        }
        StreamMessage::Network(network) => match wire::network(&network, "network") {
            Ok(network) => check_network(&network),
            Err(refusal) => assert!(!refusal.violations.is_empty()),
        },
        StreamMessage::Reconfigure(reconfigure) => {
            if let Err(refusal) = wire::changes(&reconfigure) {
                assert!(!refusal.violations.is_empty());
            }
        }
        StreamMessage::Ack(ack) => {
            if let Ok(Some(receipt)) = wire::receipt(&ack) {
                assert!(receipt.first_received <= receipt.last_received);
            }
        }
        StreamMessage::Frame(_) | StreamMessage::Lost(_) | StreamMessage::Keyframe(_) => {}
    }
}

fn check_plan(plan: &Plan) {
    assert!((1..=100).contains(&plan.quality) && plan.frame_divisor >= 1, "{plan}");
    assert!(plan.scale.factor() > 0.0 && plan.scale.factor() <= 1.0, "{plan}");
    assert!(plan.codec != Codec::Jpeg || plan.budget_bytes.is_none_or(|budget| budget > 0), "{plan}");
}

fn check_network(network: &NetworkConditions) {
    assert!(network.goodput_kbps() >= 1.0 && (0.0..=1.0).contains(&network.score()), "{network:?}");
}
