//! What a stream's opening says of H.264, checked, and the name that players know its streams by.

use crate::codec::h264::{Framing, H264Config, Preset, Profile};
use crate::limits;
use crate::service::proto;
use crate::service::wire::check::{Faults, within};
use crate::service::wire::enums::known;

/// What a session takes from an opening's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) config: H264Config,
    pub(crate) bitrate_kbps: Option<f64>,
    pub(crate) deadline_ms: Option<u32>,
}

/// The settings in the engine's types; zeros stand for defaults.
pub(crate) fn settings(
    settings: &proto::H264Settings,
    defaults: H264Config,
    part: &str,
    faults: &mut Faults,
) -> Option<Settings> {
    let profile = known(settings.profile, proto::H264Profile::High, part, "profile", faults);
    let preset = known(settings.preset, proto::H264Preset::Best, part, "preset", faults);
    let framing = known(settings.framing, proto::H264Framing::LengthPrefixed, part, "framing", faults);
    let config = H264Config {
        profile: match profile? {
            proto::H264Profile::ConstrainedBaseline => Profile::ConstrainedBaseline,
            proto::H264Profile::Main => Profile::Main,
            proto::H264Profile::Unspecified | proto::H264Profile::High => Profile::High,
        },
        preset: match preset? {
            proto::H264Preset::Fast => Preset::Fast,
            proto::H264Preset::Unspecified | proto::H264Preset::Balanced => Preset::Balanced,
            proto::H264Preset::Best => Preset::Best,
        },
        framing: match framing? {
            proto::H264Framing::Unspecified | proto::H264Framing::AnnexB => Framing::AnnexB,
            proto::H264Framing::LengthPrefixed => Framing::LengthPrefixed,
        },
        slices: if settings.slices == 0 { defaults.slices } else { settings.slices as usize },
        intra_refresh_frames: (settings.intra_refresh_frames > 0).then_some(settings.intra_refresh_frames),
        ..defaults
    };
    faults.note(part, config.validate());
    let bitrate_kbps = (settings.bitrate_kbps != 0.0).then_some(settings.bitrate_kbps);
    if let Some(fault) = bitrate_kbps.and_then(|kbps| within(kbps, &limits::BITRATE_KBPS).err()) {
        faults.push(part, "bitrate_kbps", fault.message.unwrap_or_default());
    }
    let deadline_ms = (settings.deadline_ms != 0).then_some(settings.deadline_ms);
    if let Some(ms) = deadline_ms.filter(|ms| !limits::DEADLINE_MS.contains(ms)) {
        let (least, most) = (limits::DEADLINE_MS.start(), limits::DEADLINE_MS.end());
        faults.push(part, "deadline_ms", format!("{ms} is outside {least}..={most}"));
    }
    Some(Settings { config, bitrate_kbps, deadline_ms })
}

pub(crate) fn preset_to_wire(preset: Preset) -> proto::H264Preset {
    match preset {
        Preset::Fast => proto::H264Preset::Fast,
        Preset::Balanced => proto::H264Preset::Balanced,
        Preset::Best => proto::H264Preset::Best,
    }
}

/// What WebCodecs and HTML call a stream that starts with this keyframe: "avc1." and profile, constraints and level of its
/// sequence parameter set (RFC 6381, 3.3). Empty where the packet doesn't begin with one.
pub(crate) fn codec_string(keyframe: &[u8]) -> String {
    /// First byte of a sequence parameter set, its nal_ref_idc apart.
    const SEQUENCE_PARAMETERS: u8 = 7;
    match keyframe.get(4..8) {
        Some([header, profile, constraints, level]) if header & 31 == SEQUENCE_PARAMETERS => {
            format!("avc1.{profile:02X}{constraints:02X}{level:02X}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        let bad = proto::H264Settings {
            profile: 9,
            preset: -1,
            framing: 7,
            slices: 99,
            intra_refresh_frames: 1,
            bitrate_kbps: f64::NAN,
            deadline_ms: 10_001,
        };
        let found = |bad: &proto::H264Settings| {
            let mut faults = Faults::default();
            settings(bad, H264Config::default(), "open.h264", &mut faults);
            let refusal = faults.into_result(Some(())).unwrap_err();
            refusal.violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
        };
        assert_eq!(found(&bad), ["open.h264.profile", "open.h264.preset", "open.h264.framing"]);
        let numbers = proto::H264Settings { profile: 0, preset: 0, framing: 0, ..bad };
        assert_eq!(found(&numbers), ["open.h264.slices", "open.h264.bitrate_kbps", "open.h264.deadline_ms"]);
        assert_eq!(found(&proto::H264Settings { intra_refresh_frames: 1, ..Default::default() }).len(), 1);
    }

    #[test]
    fn keyframes_tell_their_codec_string() {
        assert_eq!(codec_string(&[0, 0, 0, 1, 0x67, 0x64, 0, 0x1F, 0xAC]), "avc1.64001F");
        assert_eq!(codec_string(&[0, 0, 0, 1, 0x65, 0x88, 0x84]), "");
    }
}
