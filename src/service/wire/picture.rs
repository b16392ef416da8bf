//! A picture as it came: bytes, and what they claim to be.

use bytes::Bytes;

use crate::frame::{ColorSpace, Frame, FrameBuf, PixelFormat};
use crate::images;
use crate::limits::{Limits, MAX_STRIDE_BYTES};
use crate::service::proto;
use crate::service::refusal::Refusal;
use crate::service::wire::check::Faults;
use crate::service::wire::enums::{self, Source};

/// How a picture's bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A PNG, JPEG or WebP file.
    Encoded,
    /// Planes one after another.
    Raw { format: PixelFormat, width: u32, height: u32, strides: Vec<usize>, color: ColorSpace },
}

/// A picture whose length was checked; the bytes are shared with the transport's buffer.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    data: Bytes,
    layout: Layout,
}

impl Picture {
    /// Checks `data` against what it claims to be; faults are told as fields of `part`.
    pub(crate) fn new(data: Bytes, layout: Layout, limits: &Limits, part: &str) -> Result<Self, Refusal> {
        let mut faults = Faults::default();
        match &layout {
            Layout::Encoded => drop(faults.note(part, limits.check_encoded(data.len()))),
            Layout::Raw { format, width, height, strides, .. } => {
                faults.size(part, limits, *width, *height);
                check_strides(*format, *width, strides, part, &mut faults);
                if faults.is_empty() {
                    check_length(data.len(), *format, (*width, *height), strides, part, &mut faults);
                }
            }
        }
        faults.into_result(Some(Self { data, layout }))
    }

    /// Bytes it came in.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// The pixels: a view of the bytes as they came, or what they decode to, kept in `decoded`.
    pub(crate) fn open<'a>(&'a self, limits: &Limits, decoded: &'a mut Option<FrameBuf>) -> crate::Result<Frame<'a>> {
        match &self.layout {
            Layout::Encoded => Ok(decoded.insert(images::decode(&self.data, limits)?).as_frame()),
            Layout::Raw { format, width, height, strides, color } if strides.is_empty() => {
                Ok(Frame::new(*format, *width, *height, &self.data)?.with_color(*color))
            }
            Layout::Raw { format, width, height, strides, color } => {
                Ok(Frame::with_strides(*format, *width, *height, &self.data, strides)?.with_color(*color))
            }
        }
    }

    /// Pixels it has, where that is known before it is decoded.
    pub(crate) fn pixels(&self) -> Option<u64> {
        match self.layout {
            Layout::Encoded => None,
            Layout::Raw { width, height, .. } => Some(u64::from(width) * u64::from(height)),
        }
    }

    pub(crate) fn is_encoded(&self) -> bool {
        self.layout == Layout::Encoded
    }
}

fn check_strides(format: PixelFormat, width: u32, strides: &[usize], part: &str, faults: &mut Faults) {
    if !strides.is_empty() && strides.len() != format.planes() {
        let told = format!("{} given, but {format} has {} planes", strides.len(), format.planes());
        faults.push(part, "strides", told);
        return;
    }
    for (plane, &stride) in strides.iter().enumerate() {
        let least = format.plane_size(plane, width, 1).row_bytes;
        if stride < least || stride > MAX_STRIDE_BYTES {
            faults.push(
                part,
                &format!("strides[{plane}]"),
                format!("{stride} is outside {least}..={MAX_STRIDE_BYTES}"),
            );
        }
    }
}

fn check_length(
    actual: usize,
    format: PixelFormat,
    (width, height): (u32, u32),
    strides: &[usize],
    part: &str,
    faults: &mut Faults,
) {
    let expected = match strides {
        [] => format.frame_bytes(width, height),
        strides => {
            strides.iter().enumerate().map(|(i, stride)| stride * format.plane_size(i, width, height).rows).sum()
        }
    };
    if actual != expected {
        let how = if strides.is_empty() { String::new() } else { format!(" with strides {strides:?}") };
        faults.push(
            part,
            "data",
            format!("{actual} bytes, but {expected} are needed ({width}x{height} {format}{how})"),
        );
    }
}

/// A picture of a single call, with its source.
pub(crate) fn picture(
    picture: Option<proto::Picture>,
    limits: &Limits,
    part: &str,
    faults: &mut Faults,
) -> Option<(Picture, Source)> {
    let Some(picture) = picture else {
        faults.push(part, "", "missing, and required");
        return None;
    };
    let color = enums::color(picture.color.as_ref(), &format!("{part}.color"), faults);
    let source = enums::source(picture.format, part, faults)?;
    let layout = match source {
        Source::Encoded => Layout::Encoded,
        Source::Raw(format) => Layout::Raw {
            format,
            width: picture.width,
            height: picture.height,
            strides: picture.strides.iter().map(|&stride| stride as usize).collect(),
            color: color?,
        },
    };
    Some((faults.take(Picture::new(picture.data, layout, limits, part))?, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(format: PixelFormat, strides: Vec<usize>, bytes: usize) -> Result<Picture, Refusal> {
        let layout = Layout::Raw { format, width: 160, height: 91, strides, color: ColorSpace::default() };
        Picture::new(Bytes::from(vec![0; bytes]), layout, &Limits::SERVICE, "frame")
    }

    #[test]
    fn a_raw_payload_is_exactly_as_long_as_it_says() {
        let needed = 160 * 91 + 2 * 80 * 46;
        assert!(raw(PixelFormat::I420, vec![], needed).is_ok());
        for wrong in [0, needed - 1, needed + 1] {
            let refusal = raw(PixelFormat::I420, vec![], wrong).unwrap_err();
            assert_eq!(refusal.violations[0].field, "frame.data");
            assert!(refusal.violations[0].description.contains(&needed.to_string()));
        }
        let padded = 192 * 91 + 2 * 96 * 46;
        let mut decoded = None;
        let picture = raw(PixelFormat::I420, vec![192, 96, 96], padded).unwrap();
        assert_eq!(picture.open(&Limits::SERVICE, &mut decoded).unwrap().plane(2).stride(), 96);
        assert!(raw(PixelFormat::I420, vec![192, 96, 96], needed).is_err());
    }

    #[test]
    fn absurd_strides_are_named() {
        for (strides, field) in [
            (vec![192], "frame.strides"),
            (vec![159, 80, 80], "frame.strides[0]"),
            (vec![160, 80, usize::MAX], "frame.strides[2]"),
        ] {
            assert_eq!(raw(PixelFormat::I420, strides, 0).unwrap_err().violations[0].field, field);
        }
    }

    #[test]
    fn an_encoded_payload_over_its_limit_is_told_both_sizes() {
        let over = Picture::new(Bytes::from(vec![0; 11 << 20]), Layout::Encoded, &Limits::SERVICE, "frame");
        let violation = &over.unwrap_err().violations[0];
        assert_eq!(violation.field, "frame.data");
        assert_eq!(violation.description, "11534336 is over the limit of 10485760");
    }
}
