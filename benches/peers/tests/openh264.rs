//! openh264 as a second oracle: its decoder shows the H.264 encoder's reconstruction bit for bit.
//!
//! ```sh
//! cargo test --release --no-default-features --test openh264
//! ```
//!
//! `AURALINK_H264_STREAMS=5000` sets the number of random streams.

#[path = "../../../tests/h264_common/mod.rs"]
mod h264_common;
#[path = "../../../tests/skip/mod.rs"]
mod skip;

use auralink::codec::h264::{Framing, H264Config, Preset, Profile};
use auralink::kernel;
use h264_common::content::Content;
use h264_common::{Case, Scene, Unit, annex_b, encode, pool, random};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use proptest::prelude::*;

/// The first picture of a stream that openh264 shows otherwise.
fn fault(framing: Framing, units: &[Unit]) -> Option<String> {
    let mut decoder = Decoder::new().unwrap();
    for (number, unit) in units.iter().enumerate() {
        let packet = annex_b(&unit.bytes, framing);
        let picture = match decoder.decode(&packet) {
            Ok(Some(picture)) => picture,
            Ok(None) => return Some(format!("frame {number} isn't shown")),
            Err(error) => return Some(format!("frame {number}: {error}")),
        };
        let (width, height) = unit.picture.shown();
        if picture.dimensions() != (width, height) {
            return Some(format!("frame {number} is shown at {:?}, not {:?}", picture.dimensions(), (width, height)));
        }
        let strides = picture.strides();
        let planes =
            [(picture.y(), strides.0, width), (picture.u(), strides.1, width / 2), (picture.v(), strides.2, width / 2)];
        let mut seen = Vec::with_capacity(unit.picture.shown_bytes());
        for (index, (plane, stride, width)) in planes.into_iter().enumerate() {
            let rows = if index == 0 { height } else { height / 2 };
            plane.chunks(stride).take(rows).for_each(|row| seen.extend_from_slice(&row[..width]));
        }
        if let Some(difference) = unit.picture.difference(&seen) {
            return Some(format!("frame {number}: {difference}"));
        }
    }
    None
}

fn check(case: &Case) -> Option<String> {
    fault(case.config.framing, &encode(case, kernel::detect(), &pool(1)))
}

#[test]
fn faults_are_seen() {
    let scenes = vec![Scene::at(Content::Texture, (80, 64), 4, 24)];
    let mut units = encode(&Case { config: H264Config::default(), scenes }, kernel::detect(), &pool(1));
    assert_eq!(fault(Framing::AnnexB, &units), None);
    units[2].picture.planes[0][777] ^= 1;
    assert!(fault(Framing::AnnexB, &units).is_some());
}

#[test]
fn every_quantiser_parameter_profile_and_number_of_slices() {
    for qp in 0..=51 {
        for profile in Profile::ALL {
            let slices = 1 + usize::from(qp) % 8;
            let content = Content::ALL[usize::from(qp) % Content::ALL.len()];
            let preset = Preset::ALL[usize::from(qp / 3) % 3];
            let config = H264Config { profile, preset, slices, ..H264Config::default() };
            let case = Case { config, scenes: vec![Scene::at(content, (112, 130), 5, qp)] };
            assert_eq!(check(&case), None, "{profile} {preset} {content:?}, {slices} slices at {qp}");
        }
    }
}

#[test]
fn odd_and_large_sizes() {
    let sizes = [(16, 16), (17, 33), (161, 91), (160, 90), (1024, 750), (1920, 1080)];
    for (size, profile) in sizes.into_iter().flat_map(|size| Profile::ALL.map(|profile| (size, profile))) {
        let config = H264Config { profile, ..H264Config::default() };
        let case = Case { config, scenes: vec![Scene::at(Content::Objects, size, 3, 26)] };
        assert_eq!(check(&case), None, "{profile} {size:?}");
    }
}

#[test]
fn random_streams() {
    let cases = std::env::var("AURALINK_H264_STREAMS").map_or(100, |count| count.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(case in random::case())| {
        prop_assert_eq!(check(&case), None);
    });
}
