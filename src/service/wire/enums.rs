//! The contract's enums and the engine's, both ways.

use crate::codec::Codec;
use crate::codec::jpeg::Subsampling;
use crate::frame::{ColorSpace, Matrix, PixelFormat, Range};
use crate::rate::{Mode, NetworkClass};
use crate::service::proto;
use crate::service::wire::check::Faults;
use crate::session::DropReason;

/// Formats of raw frames, as the contract and the engine name them.
const FORMATS: [(proto::PixelFormat, PixelFormat); 12] = [
    (proto::PixelFormat::Rgb8, PixelFormat::Rgb8),
    (proto::PixelFormat::Bgr8, PixelFormat::Bgr8),
    (proto::PixelFormat::Rgba8, PixelFormat::Rgba8),
    (proto::PixelFormat::Bgra8, PixelFormat::Bgra8),
    (proto::PixelFormat::Gray8, PixelFormat::Gray8),
    (proto::PixelFormat::Gray16, PixelFormat::Gray16),
    (proto::PixelFormat::I420, PixelFormat::I420),
    (proto::PixelFormat::I422, PixelFormat::I422),
    (proto::PixelFormat::I444, PixelFormat::I444),
    (proto::PixelFormat::Nv12, PixelFormat::Nv12),
    (proto::PixelFormat::Yuyv, PixelFormat::Yuyv),
    (proto::PixelFormat::Uyvy, PixelFormat::Uyvy),
];

/// What a frame's bytes are: pixels in a format, or a file to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Raw(PixelFormat),
    Encoded,
}

/// Every format the service takes.
pub(crate) fn all_sources() -> Vec<i32> {
    FORMATS.iter().map(|(wire, _)| *wire).chain([proto::PixelFormat::Encoded]).map(|format| format as i32).collect()
}

pub(crate) fn source(value: i32, part: &str, faults: &mut Faults) -> Option<Source> {
    if value == proto::PixelFormat::Encoded as i32 {
        return Some(Source::Encoded);
    }
    let found = FORMATS.iter().find(|(wire, _)| *wire as i32 == value).map(|(_, format)| Source::Raw(*format));
    if found.is_none() {
        faults.push(part, "format", format!("{value} is outside 1..={}", proto::PixelFormat::Encoded as i32));
    }
    found
}

pub(crate) fn source_to_wire(source: Source) -> proto::PixelFormat {
    match source {
        Source::Encoded => proto::PixelFormat::Encoded,
        Source::Raw(format) => format_to_wire(format),
    }
}

pub(crate) fn format_to_wire(format: PixelFormat) -> proto::PixelFormat {
    let found = FORMATS.iter().find(|(_, engine)| *engine == format);
    found.map_or(proto::PixelFormat::Unspecified, |(wire, _)| *wire)
}

/// A value outside an enum is a fault of its field.
pub(super) fn known<E>(value: i32, last: E, part: &str, field: &str, faults: &mut Faults) -> Option<E>
where
    E: TryFrom<i32> + Into<i32>,
{
    let known = E::try_from(value).ok();
    if known.is_none() {
        faults.push(part, field, format!("{value} is outside 0..={}", last.into()));
    }
    known
}

/// A codec, or `usual` where it is left open.
pub(crate) fn codec(value: i32, usual: Codec, part: &str, faults: &mut Faults) -> Option<Codec> {
    Some(match known(value, proto::Codec::H264, part, "codec", faults)? {
        proto::Codec::Unspecified => usual,
        proto::Codec::Jpeg => Codec::Jpeg,
        proto::Codec::Lossless => Codec::Lossless,
        proto::Codec::H264 => Codec::H264,
    })
}

pub(crate) fn codec_to_wire(codec: Codec) -> proto::Codec {
    match codec {
        Codec::Jpeg => proto::Codec::Jpeg,
        Codec::Lossless => proto::Codec::Lossless,
        Codec::H264 => proto::Codec::H264,
    }
}

pub(crate) fn mode(value: i32, part: &str, faults: &mut Faults) -> Option<Mode> {
    Some(match known(value, proto::Mode::Aggressive, part, "mode", faults)? {
        proto::Mode::Conservative => Mode::Conservative,
        proto::Mode::Unspecified | proto::Mode::Adaptive => Mode::Adaptive,
        proto::Mode::Aggressive => Mode::Aggressive,
    })
}

pub(crate) fn mode_to_wire(mode: Mode) -> proto::Mode {
    match mode {
        Mode::Conservative => proto::Mode::Conservative,
        Mode::Adaptive => proto::Mode::Adaptive,
        Mode::Aggressive => proto::Mode::Aggressive,
    }
}

pub(crate) fn subsampling(value: i32, part: &str, faults: &mut Faults) -> Option<Subsampling> {
    use proto::Subsampling as Wire;
    Some(match known(value, Wire::Subsampling444, part, "subsampling", faults)? {
        Wire::Unspecified | Wire::Subsampling420 => Subsampling::S420,
        Wire::Subsampling422 => Subsampling::S422,
        Wire::Subsampling444 => Subsampling::S444,
    })
}

pub(crate) fn color(color: Option<&proto::ColorSpace>, part: &str, faults: &mut Faults) -> Option<ColorSpace> {
    let Some(color) = color else { return Some(ColorSpace::default()) };
    let matrix = known(color.matrix, proto::Matrix::Bt709, part, "matrix", faults)?;
    let range = known(color.range, proto::Range::Full, part, "range", faults)?;
    Some(ColorSpace {
        matrix: if matrix == proto::Matrix::Bt709 { Matrix::Bt709 } else { Matrix::Bt601 },
        range: if range == proto::Range::Full { Range::Full } else { Range::Limited },
    })
}

pub(crate) fn color_to_wire(color: ColorSpace) -> proto::ColorSpace {
    let matrix = match color.matrix {
        Matrix::Bt601 => proto::Matrix::Bt601,
        Matrix::Bt709 => proto::Matrix::Bt709,
    };
    let range = match color.range {
        Range::Limited => proto::Range::Limited,
        Range::Full => proto::Range::Full,
    };
    proto::ColorSpace { matrix: matrix as i32, range: range as i32 }
}

pub(crate) fn class_to_wire(class: NetworkClass) -> proto::NetworkClass {
    match class {
        NetworkClass::Poor => proto::NetworkClass::Poor,
        NetworkClass::Fair => proto::NetworkClass::Fair,
        NetworkClass::Good => proto::NetworkClass::Good,
        NetworkClass::Excellent => proto::NetworkClass::Excellent,
    }
}

pub(crate) fn drop_reason_to_wire(reason: DropReason) -> proto::DropReason {
    match reason {
        DropReason::Superseded => proto::DropReason::Superseded,
        DropReason::FrameRate => proto::DropReason::FrameRate,
        DropReason::LinkBusy => proto::DropReason::LinkBusy,
        DropReason::Closing => proto::DropReason::Closing,
    }
}
