//! Pixel formats and the arithmetic of their layout.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// How pixels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue; three bytes a pixel.
    Rgb8,
    /// Blue, green, red; three bytes a pixel.
    Bgr8,
    /// Red, green, blue, alpha; four bytes a pixel.
    Rgba8,
    /// Blue, green, red, alpha; four bytes a pixel. What most screens are captured as.
    Bgra8,
    /// Luma alone; one byte a pixel.
    Gray8,
    /// Sixteen bits a pixel, little endian: depth images.
    Gray16,
    /// Planes Y, U, V; chroma halved in both directions.
    I420,
    /// Planes Y, U, V; chroma halved horizontally.
    I422,
    /// Planes Y, U, V; chroma at full size.
    I444,
    /// Planes Y and interleaved UV; chroma halved in both directions.
    Nv12,
    /// Packed Y U Y V; chroma halved horizontally.
    Yuyv,
    /// Packed U Y V Y; chroma halved horizontally.
    Uyvy,
}

/// The extent of one plane: bytes in a row that carry pixels, and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneSize {
    /// Bytes of a row that carry pixels (a stride may be larger).
    pub row_bytes: usize,
    /// Rows of the plane.
    pub rows: usize,
}

impl PixelFormat {
    /// All formats.
    pub const ALL: [Self; 12] = [
        Self::Rgb8,
        Self::Bgr8,
        Self::Rgba8,
        Self::Bgra8,
        Self::Gray8,
        Self::Gray16,
        Self::I420,
        Self::I422,
        Self::I444,
        Self::Nv12,
        Self::Yuyv,
        Self::Uyvy,
    ];

    /// Number of planes: 1, 2 or 3.
    pub const fn planes(self) -> usize {
        match self {
            Self::I420 | Self::I422 | Self::I444 => 3,
            Self::Nv12 => 2,
            _ => 1,
        }
    }

    /// The extent of plane `plane` of a picture. Odd sizes round chroma up. A plane the format hasn't is empty.
    pub const fn plane_size(self, plane: usize, width: u32, height: u32) -> PlaneSize {
        let (w, h) = (width as usize, height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let (row_bytes, rows) = match (self, plane) {
            (Self::Rgb8 | Self::Bgr8, 0) => (3 * w, h),
            (Self::Rgba8 | Self::Bgra8, 0) => (4 * w, h),
            (Self::Gray8, 0) => (w, h),
            (Self::Gray16, 0) => (2 * w, h),
            (Self::Yuyv | Self::Uyvy, 0) => (4 * cw, h),
            (Self::I420 | Self::I422 | Self::I444 | Self::Nv12, 0) => (w, h),
            (Self::I420, 1 | 2) => (cw, ch),
            (Self::I422, 1 | 2) => (cw, h),
            (Self::I444, 1 | 2) => (w, h),
            (Self::Nv12, 1) => (2 * cw, ch),
            _ => (0, 0),
        };
        PlaneSize { row_bytes, rows }
    }

    /// Bytes of a picture without padding: what sizes and reductions are counted against.
    pub const fn frame_bytes(self, width: u32, height: u32) -> usize {
        let mut total = 0;
        let mut plane = 0;
        while plane < self.planes() {
            let size = self.plane_size(plane, width, height);
            total += size.row_bytes * size.rows;
            plane += 1;
        }
        total
    }

    /// Whether samples are luma and chroma rather than red, green and blue.
    pub const fn is_yuv(self) -> bool {
        matches!(self, Self::I420 | Self::I422 | Self::I444 | Self::Nv12 | Self::Yuyv | Self::Uyvy)
    }

    /// The name used on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb8 => "rgb8",
            Self::Bgr8 => "bgr8",
            Self::Rgba8 => "rgba8",
            Self::Bgra8 => "bgra8",
            Self::Gray8 => "gray8",
            Self::Gray16 => "gray16",
            Self::I420 => "i420",
            Self::I422 => "i422",
            Self::I444 => "i444",
            Self::Nv12 => "nv12",
            Self::Yuyv => "yuyv",
            Self::Uyvy => "uyvy",
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PixelFormat {
    type Err = Error;

    /// Reads a name in any case; `rgb`, `bgra`, `gray` and the like are taken for their 8-bit formats.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| format.name() == lower || format.name().strip_suffix('8') == Some(&lower))
            .ok_or(Error::Unsupported {
                field: "format",
                value: text.to_owned(),
                supported: "rgb8, bgr8, rgba8, bgra8, gray8, gray16, i420, i422, i444, nv12, yuyv, uyvy",
            })
    }
}
