//! Streams by chance: any configuration, sizes, contents and orders.

use auralink::codec::h264::{FrameOrder, Framing, H264Config, Preset, Profile};
use proptest::prelude::*;
use proptest::sample::select;

use super::content::Content;
use super::{Case, Scene};

/// Any case: up to two scenes of up to six small frames.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    (config(), prop::collection::vec(scene(), 1..=2)).prop_map(|(config, scenes)| Case { config, scenes })
}

pub(crate) fn config() -> impl Strategy<Value = H264Config> {
    let tools = (select(Profile::ALL.to_vec()), select(Preset::ALL.to_vec()), 1..=8_usize, any::<[bool; 2]>());
    let stream = (any::<bool>(), any::<bool>(), prop::option::of(2..=20_u32), prop::option::of(1..=60_u32));
    (tools, stream).prop_map(
        |((profile, preset, slices, [has_lengths, adaptive_quantisation]), (recovery, scene_cut, refresh, fps))| {
            H264Config {
                profile,
                preset,
                slices,
                framing: if has_lengths { Framing::LengthPrefixed } else { Framing::AnnexB },
                frame_rate: fps.map(|fps| (fps, 1)),
                recovery,
                scene_cut,
                adaptive_quantisation,
                intra_refresh_frames: refresh,
            }
        },
    )
}

fn scene() -> impl Strategy<Value = Scene> {
    let side = || prop_oneof![16..=40_u32, 16..=150_u32];
    let orders = prop::collection::vec(order(), 1..=6);
    (select(Content::ALL.to_vec()), side(), side(), 0..1000_u32, 0..=51_u8, any::<bool>(), orders).prop_map(
        |(content, width, height, seed, qp, is_steady, mut orders)| {
            if is_steady {
                orders.iter_mut().for_each(|order| order.qp = qp);
            }
            Scene { content, width, height, seed, orders }
        },
    )
}

fn order() -> impl Strategy<Value = FrameOrder> {
    let bytes = || prop_oneof![3 => Just(None), 1 => prop_oneof![10..400_usize, 100..8000_usize].prop_map(Some)];
    (0..=51_u8, bytes(), bytes(), prop::bool::weighted(0.1))
        .prop_map(|(qp, target_bytes, max_bytes, keyframe)| FrameOrder { qp, target_bytes, max_bytes, keyframe })
}
