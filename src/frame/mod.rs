//! Pixels, validated: a [`Frame`] exists only if its format, size, strides and length were checked.
//!
//! Codecs take `&Frame` or its [`Plane`]s, never a slice with a width and a height beside it.

mod color;
mod format;
pub mod y4m;

pub use color::{ColorSpace, Matrix, Range};
pub use format::{PixelFormat, PlaneSize};

use crate::error::{Error, Result};
use crate::limits::{Limits, MAX_STRIDE_BYTES};

/// One plane of a frame: rows of `row_bytes`, `stride` bytes apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
    row_bytes: usize,
    rows: usize,
}

impl<'a> Plane<'a> {
    /// A plane over `data`, which must hold `rows` rows of `row_bytes`, `stride` apart (the last may lack its padding).
    pub fn new(data: &'a [u8], stride: usize, size: PlaneSize) -> Result<Self> {
        let PlaneSize { row_bytes, rows } = size;
        if stride < row_bytes || stride > MAX_STRIDE_BYTES {
            return Err(Error::OutOfRange {
                field: "stride",
                value: stride as f64,
                min: row_bytes as f64,
                max: MAX_STRIDE_BYTES as f64,
            });
        }
        let needed = if rows == 0 { 0 } else { stride * (rows - 1) + row_bytes };
        match data.get(..needed) {
            Some(data) => Ok(Self { data, stride, row_bytes, rows }),
            None => Err(Error::Length {
                field: "data",
                actual: data.len() as u64,
                expected: needed as u64,
                why: format!("{rows} rows of {row_bytes} bytes, {stride} apart"),
            }),
        }
    }

    /// All bytes, from the first pixel to the last, padding between rows included.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Bytes from one row's start to the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of a row that carry pixels.
    pub const fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Number of rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Row `y`, without padding. Rows beyond the last repeat it, as block codecs need at the bottom edge; a plane without
    /// rows has only empty ones.
    #[inline]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y.min(self.rows.saturating_sub(1)) * self.stride;
        self.data.get(start..start + self.row_bytes).unwrap_or_default()
    }
}

/// A picture in the caller's memory.
///
/// ```
/// use auralink::{Frame, PixelFormat};
///
/// let pixels = vec![0_u8; 640 * 360 * 3];
/// let frame = Frame::new(PixelFormat::Rgb8, 640, 360, &pixels)?;
/// assert_eq!(frame.raw_bytes(), 691_200);
/// assert!(Frame::new(PixelFormat::Rgb8, 640, 361, &pixels).is_err());
/// # Ok::<(), auralink::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    color: ColorSpace,
    planes: [Plane<'a>; 3],
}

impl<'a> Frame<'a> {
    /// A frame without padding: `data` must be exactly [`PixelFormat::frame_bytes`] long, planes one after another.
    ///
    /// YUV and grey samples are read as BT.601 in limited range unless [`Frame::with_color`] says otherwise.
    ///
    /// # Errors
    /// A side outside 1..=16384, or a length that isn't what format and size need.
    pub fn new(format: PixelFormat, width: u32, height: u32, data: &'a [u8]) -> Result<Self> {
        Limits::ENGINE.check_size(width, height)?;
        let expected = format.frame_bytes(width, height);
        if data.len() != expected {
            return Err(Error::Length {
                field: "data",
                actual: data.len() as u64,
                expected: expected as u64,
                why: format!("{width}x{height} {format}"),
            });
        }
        let mut parts = [(data, 0); 3];
        let mut rest = data;
        for (index, part) in parts.iter_mut().enumerate().take(format.planes()) {
            let size = format.plane_size(index, width, height);
            let (plane, after) = rest.split_at(size.row_bytes * size.rows);
            *part = (plane, size.row_bytes);
            rest = after;
        }
        Self::from_planes(format, width, height, &parts[..format.planes()])
    }

    /// A frame of one buffer whose planes follow each other, with a stride in bytes for each plane.
    ///
    /// # Errors
    /// As [`Frame::new`]; also a stride shorter than a row, or of a number that isn't the format's number of planes.
    pub fn with_strides(
        format: PixelFormat,
        width: u32,
        height: u32,
        data: &'a [u8],
        strides: &[usize],
    ) -> Result<Self> {
        let mut parts = [(data, 0); 3];
        let mut rest = data;
        for (index, (part, &stride)) in parts.iter_mut().zip(strides).enumerate() {
            let whole = stride.saturating_mul(format.plane_size(index, width, height).rows);
            *part = (rest, stride);
            rest = rest.get(whole..).unwrap_or_default();
        }
        Self::from_planes(format, width, height, parts.get(..strides.len()).unwrap_or(&parts))
    }

    /// A frame of planes that lie anywhere, each with its stride in bytes.
    ///
    /// # Errors
    /// A side outside 1..=16384, a number of planes that isn't the format's, a stride shorter than a row, or a plane too
    /// short for its rows.
    pub fn from_planes(format: PixelFormat, width: u32, height: u32, parts: &[(&'a [u8], usize)]) -> Result<Self> {
        Limits::ENGINE.check_size(width, height)?;
        if parts.len() != format.planes() {
            return Err(Error::Mismatch {
                field: "planes",
                actual: parts.len().to_string(),
                expected: format!("{} for {format}", format.planes()),
            });
        }
        let mut planes = [Plane::default(); 3];
        for (index, (plane, &(data, stride))) in planes.iter_mut().zip(parts).enumerate() {
            *plane = Plane::new(data, stride, format.plane_size(index, width, height))?;
        }
        Ok(Self { format, width, height, color: ColorSpace::default(), planes })
    }

    /// The same pixels, read in another colour space.
    pub const fn with_color(mut self, color: ColorSpace) -> Self {
        self.color = color;
        self
    }

    /// Pixel format.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width in pixels, 1..=16384.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, 1..=16384.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// How luma and chroma are to be read.
    pub const fn color(&self) -> ColorSpace {
        self.color
    }

    /// Plane `index`; one that the format hasn't is empty.
    pub fn plane(&self, index: usize) -> Plane<'a> {
        self.planes.get(index).copied().unwrap_or_default()
    }

    /// The format's planes.
    pub fn planes(&self) -> &[Plane<'a>] {
        &self.planes[..self.format.planes()]
    }

    /// Bytes of the picture without padding: what a reduction is counted against.
    pub const fn raw_bytes(&self) -> usize {
        self.format.frame_bytes(self.width, self.height)
    }
}

/// A picture in memory of its own, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameBuf {
    format: PixelFormat,
    width: u32,
    height: u32,
    color: ColorSpace,
    data: Vec<u8>,
}

impl FrameBuf {
    /// Takes over a buffer that must be exactly as long as format and size need.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn new(format: PixelFormat, width: u32, height: u32, data: Vec<u8>) -> Result<Self> {
        let color = Frame::new(format, width, height, &data)?.color();
        Ok(Self { format, width, height, color, data })
    }

    /// A black-code (all zero) picture.
    ///
    /// # Errors
    /// A side outside 1..=16384.
    pub fn zeroed(format: PixelFormat, width: u32, height: u32) -> Result<Self> {
        Limits::ENGINE.check_size(width, height)?;
        Self::new(format, width, height, vec![0; format.frame_bytes(width, height)])
    }

    /// A placeholder without memory: a pixel's sides and no pixel, to be filled by [`FrameBuf::copy_from`].
    pub(crate) const fn empty(format: PixelFormat) -> Self {
        let color = ColorSpace { matrix: Matrix::Bt601, range: Range::Limited };
        Self { format, width: 1, height: 1, color, data: Vec::new() }
    }

    /// The same pixels, read in another colour space.
    pub fn with_color(mut self, color: ColorSpace) -> Self {
        self.color = color;
        self
    }

    /// Makes this buffer a copy of `frame`, keeping its memory where that is large enough.
    pub fn copy_from(&mut self, frame: &Frame<'_>) {
        self.data.clear();
        for plane in frame.planes() {
            for y in 0..plane.rows() {
                self.data.extend_from_slice(plane.row(y));
            }
        }
        (self.format, self.width, self.height, self.color) = (frame.format, frame.width, frame.height, frame.color);
    }

    /// Gives this buffer another format and size, keeping its memory where that is large enough. The bytes, which are
    /// returned to be filled, are whatever was there, or zero.
    ///
    /// # Errors
    /// A side outside 1..=16384; the buffer is as it was.
    pub fn reshape(&mut self, format: PixelFormat, width: u32, height: u32, color: ColorSpace) -> Result<&mut [u8]> {
        Limits::ENGINE.check_size(width, height)?;
        self.data.resize(format.frame_bytes(width, height), 0);
        (self.format, self.width, self.height, self.color) = (format, width, height, color);
        Ok(&mut self.data)
    }

    /// A borrowed view.
    pub fn as_frame(&self) -> Frame<'_> {
        let mut planes = [Plane::default(); 3];
        let mut rest = self.data.as_slice();
        for (index, plane) in planes.iter_mut().enumerate().take(self.format.planes()) {
            let PlaneSize { row_bytes, rows } = self.format.plane_size(index, self.width, self.height);
            let (data, after) = rest.split_at_checked(row_bytes * rows).unwrap_or_default();
            *plane = Plane { data, stride: row_bytes, row_bytes, rows };
            rest = after;
        }
        Frame { format: self.format, width: self.width, height: self.height, color: self.color, planes }
    }

    /// All bytes, planes one after another.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All bytes, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Gives the memory back.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}

impl<'a> From<&Frame<'a>> for FrameBuf {
    fn from(frame: &Frame<'a>) -> Self {
        let mut buffer = Self {
            format: frame.format,
            width: frame.width,
            height: frame.height,
            color: frame.color,
            data: Vec::with_capacity(frame.raw_bytes()),
        };
        buffer.copy_from(frame);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_and_odd_size_round_trips_through_strides() {
        for format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (2, 2), (5, 3), (16, 9), (17, 17)] {
                let tight: Vec<u8> = (0..format.frame_bytes(width, height)).map(|i| (i * 7) as u8).collect();
                let frame = Frame::new(format, width, height, &tight).unwrap();
                let mut padded = Vec::new();
                let mut strides = Vec::new();
                for plane in frame.planes() {
                    strides.push(plane.row_bytes() + 5);
                    for y in 0..plane.rows() {
                        padded.extend_from_slice(plane.row(y));
                        padded.extend_from_slice(&[0xEE; 5]);
                    }
                }
                let strided = Frame::with_strides(format, width, height, &padded, &strides).unwrap();
                assert_eq!(FrameBuf::from(&strided).data(), tight, "{format} {width}x{height}");
            }
        }
    }

    #[test]
    fn wrong_lengths_strides_and_planes_are_named() {
        let data = [0; 12];
        let error = Frame::new(PixelFormat::Rgb8, 3, 2, &data).unwrap_err();
        assert_eq!(error.to_string(), "data: 12 bytes, but 18 are needed (3x2 rgb8)");
        assert!(Frame::new(PixelFormat::Gray8, 0, 2, &data).is_err());
        assert!(Frame::new(PixelFormat::Gray8, 16_385, 1, &data).is_err());
        assert_eq!(Frame::with_strides(PixelFormat::Rgb8, 2, 2, &data, &[5]).unwrap_err().field(), "stride");
        assert_eq!(Frame::with_strides(PixelFormat::Rgb8, 2, 2, &data, &[usize::MAX]).unwrap_err().field(), "stride");
        assert_eq!(Frame::with_strides(PixelFormat::I420, 2, 2, &data, &[2]).unwrap_err().field(), "planes");
        assert_eq!(Frame::with_strides(PixelFormat::Gray8, 2, 2, &data, &[2, 2, 2, 2]).unwrap_err().field(), "planes");
    }

    #[test]
    fn names_are_read_back() {
        for format in PixelFormat::ALL {
            assert_eq!(format.name().parse::<PixelFormat>().unwrap(), format);
        }
        assert_eq!("BGRA".parse::<PixelFormat>().unwrap(), PixelFormat::Bgra8);
        assert!("p010".parse::<PixelFormat>().is_err());
    }
}
