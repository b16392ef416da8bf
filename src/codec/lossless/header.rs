//! The fixed beginning of a packet.

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Matrix, PixelFormat, Range};
use crate::limits::Limits;

use super::layout::TILE;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 3] = *b"ALZ";
const VERSION: u8 = 1;
const DELTA: u8 = 1;
const BT709: u8 = 2;
const FULL_RANGE: u8 = 4;

/// Formats by their number in a packet.
const FORMATS: [PixelFormat; 12] = [
    PixelFormat::Rgb8,
    PixelFormat::Bgr8,
    PixelFormat::Rgba8,
    PixelFormat::Bgra8,
    PixelFormat::Gray8,
    PixelFormat::Gray16,
    PixelFormat::I420,
    PixelFormat::I422,
    PixelFormat::I444,
    PixelFormat::Nv12,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
];

/// What a packet says of itself before any picture data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Bytes of the packet, header included: where the next one begins in a stream.
    pub packet_bytes: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Format of the pixels.
    pub format: PixelFormat,
    /// How luma and chroma are to be read.
    pub color: ColorSpace,
    /// Whether the packet stands alone.
    pub keyframe: bool,
    /// Picture rows of a band, a multiple of 16.
    pub band_rows: u16,
    /// Checksum of the picture.
    pub checksum: u32,
    /// Checksum of the picture this one is predicted from; 0 in a keyframe.
    pub reference: u32,
    /// Rows by which parts of the picture moved down since the reference, for tiles copied from there.
    pub scrolls: [i16; 2],
    /// Bytes of the compressed index that follows the header.
    pub index_bytes: u32,
}

/// An error of this format.
pub(super) fn malformed(detail: impl Into<String>) -> Error {
    Error::Malformed { what: "lossless", detail: detail.into() }
}

impl Header {
    /// Reads the header at the beginning of `bytes`, which may be longer or shorter than the packet.
    ///
    /// # Errors
    /// Fewer than [`HEADER_BYTES`], or a field no encoder writes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(raw) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(malformed(format!("{} bytes, but a header has {HEADER_BYTES}", bytes.len())));
        };
        let [m0, m1, m2, version, p0, p1, p2, p3, w0, w1, h0, h1, format, flags, b0, b1, rest @ ..] = *raw;
        let [c0, c1, c2, c3, r0, r1, r2, r3, s0, s1, t0, t1, i0, i1, i2, i3] = rest;
        if [m0, m1, m2] != MAGIC {
            return Err(malformed("doesn't begin with ALZ"));
        }
        if version != VERSION {
            return Err(malformed(format!("version {version}, but only {VERSION} is known")));
        }
        let Some(&format) = FORMATS.get(usize::from(format)) else {
            return Err(malformed(format!("pixel format {format} is unknown")));
        };
        if flags & !(DELTA | BT709 | FULL_RANGE) != 0 {
            return Err(malformed(format!("flags {flags:#04x} are unknown")));
        }
        let header = Self {
            packet_bytes: u32::from_le_bytes([p0, p1, p2, p3]),
            width: u16::from_le_bytes([w0, w1]).into(),
            height: u16::from_le_bytes([h0, h1]).into(),
            format,
            color: ColorSpace {
                matrix: if flags & BT709 == 0 { Matrix::Bt601 } else { Matrix::Bt709 },
                range: if flags & FULL_RANGE == 0 { Range::Limited } else { Range::Full },
            },
            keyframe: flags & DELTA == 0,
            band_rows: u16::from_le_bytes([b0, b1]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
            reference: u32::from_le_bytes([r0, r1, r2, r3]),
            scrolls: [i16::from_le_bytes([s0, s1]), i16::from_le_bytes([t0, t1])],
            index_bytes: u32::from_le_bytes([i0, i1, i2, i3]),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<()> {
        let size = Limits::ENGINE.check_size(self.width, self.height);
        size.map_err(|error| malformed(error.to_string()))?;
        if self.band_rows == 0 || !usize::from(self.band_rows).is_multiple_of(TILE) {
            return Err(malformed(format!("bands of {} rows, which isn't a multiple of {TILE}", self.band_rows)));
        }
        if self.keyframe && (self.reference, self.scrolls) != (0, [0, 0]) {
            return Err(malformed("a keyframe with a reference"));
        }
        if u64::from(self.packet_bytes) < HEADER_BYTES as u64 + u64::from(self.index_bytes) {
            return Err(malformed(format!("{} bytes can't hold an index of {}", self.packet_bytes, self.index_bytes)));
        }
        Ok(())
    }

    /// The header as bytes. Sides are at most 16384.
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let format = FORMATS.iter().position(|&format| format == self.format).unwrap_or_default() as u8;
        let flags = if self.keyframe { 0 } else { DELTA }
            | if self.color.matrix == Matrix::Bt709 { BT709 } else { 0 }
            | if self.color.range == Range::Full { FULL_RANGE } else { 0 };
        let mut out = [0; HEADER_BYTES];
        let fields: [&[u8]; 12] = [
            &MAGIC,
            &[VERSION],
            &self.packet_bytes.to_le_bytes(),
            &(self.width as u16).to_le_bytes(),
            &(self.height as u16).to_le_bytes(),
            &[format, flags],
            &self.band_rows.to_le_bytes(),
            &self.checksum.to_le_bytes(),
            &self.reference.to_le_bytes(),
            &self.scrolls[0].to_le_bytes(),
            &self.scrolls[1].to_le_bytes(),
            &self.index_bytes.to_le_bytes(),
        ];
        for (out, &byte) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *out = byte;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_strange_ones_are_refused() {
        for (keyframe, color) in [(true, ColorSpace::default()), (false, ColorSpace::JFIF)] {
            for format in PixelFormat::ALL {
                let header = Header {
                    packet_bytes: 1000,
                    width: 16_384,
                    height: 3,
                    format,
                    color,
                    keyframe,
                    band_rows: 48,
                    checksum: 0x1234_5678,
                    reference: if keyframe { 0 } else { 9 },
                    scrolls: if keyframe { [0, 0] } else { [-5, 300] },
                    index_bytes: 77,
                };
                let bytes = header.to_bytes();
                assert_eq!(Header::parse(&bytes).unwrap(), header);
                for (at, value) in [(0, b'B'), (3, 9), (4, 1), (12, 12), (13, 8), (14, 1), (11, 255)] {
                    let mut wrong = bytes;
                    wrong[at] = value;
                    if at == 4 {
                        wrong[5] = 0;
                    }
                    assert_eq!(Header::parse(&wrong).unwrap_err().field(), "lossless", "byte {at}");
                }
                assert!(Header::parse(&bytes[..31]).is_err());
            }
        }
    }
}
