//! PNG, JPEG and WebP in and PNG out, through the image crate.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageResult};

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Frame, FrameBuf, Matrix, PixelFormat, Range};
use crate::kernel::convert::YuvToRgb;
use crate::limits::Limits;

/// Bytes a pixel that the JPEG and WebP decoders may take beside the picture they return: coefficients of four
/// components of a progressive JPEG; planes, alpha, a canvas of an animated WebP. Measured at 3840x2160: 8.6 and 9.5.
const WORKING_BYTES_PER_PIXEL: u64 = 10;

/// Decodes a PNG, JPEG or WebP file, told apart by its content; the header's size is checked against `limits` before
/// anything is allocated for pixels.
///
/// Gives Rgb8, Rgba8 (only where the file has alpha), Gray8 or Gray16 (only where a PNG has 16-bit grey without alpha).
/// Palettes are expanded, other 16-bit pictures rounded to 8 bits, CMYK converted without a profile. Grey is in full
/// range. Of an animation the first picture is taken. Orientation tags and profiles are not applied.
///
/// # Errors
/// A payload or picture beyond `limits`, an unknown format, or a damaged file.
pub fn decode(data: &[u8], limits: &Limits) -> Result<FrameBuf> {
    limits.check_encoded(data.len())?;
    let what = match image::guess_format(data) {
        Ok(ImageFormat::Png) => "png",
        Ok(ImageFormat::Jpeg) => "jpeg",
        Ok(ImageFormat::WebP) => "webp",
        _ => return Err(Error::Malformed { what: "image", detail: "not a PNG, JPEG or WebP file".to_owned() }),
    };
    // The WebP decoder indexes out of bounds on damaged animations: a stranger's file must not take the service down.
    let decoded = catch_unwind(AssertUnwindSafe(|| match what {
        "png" => {
            check_ihdr(data, limits)?;
            read(PngDecoder::with_limits(Cursor::new(data), image_limits(limits)), what, 0, limits)
        }
        "jpeg" => read(JpegDecoder::new(Cursor::new(data)), what, WORKING_BYTES_PER_PIXEL, limits),
        _ => read(WebPDecoder::new(Cursor::new(data)), what, WORKING_BYTES_PER_PIXEL, limits),
    }));
    decoded.unwrap_or_else(|_| Err(Error::Malformed { what, detail: "the decoder gave up on this file".to_owned() }))
}

/// Codes a frame as PNG, appended to `out`, with settings made for speed.
///
/// YUV is converted to RGB by the frame's matrix and range, chroma repeated; Gray8 in limited range is stretched to the full
/// range that PNG has; Gray16 is written as it stands.
///
/// # Errors
/// A failure of the encoder (memory); `out` is as it was.
pub fn encode_png(frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
    let (color, samples) = png_samples(frame);
    let before = out.len();
    let encoder = PngEncoder::new_with_quality(&mut *out, CompressionType::Fast, FilterType::Adaptive);
    encoder.write_image(&samples, frame.width(), frame.height(), color).map_err(|error| {
        out.truncate(before);
        Error::Internal { what: "png", detail: error.to_string() }
    })
}

/// Checks the size in a PNG's first chunk, of which the decoder would only say that it is too large.
fn check_ihdr(data: &[u8], limits: &Limits) -> Result<()> {
    match data.get(12..24).and_then(|chunk| chunk.strip_prefix(b"IHDR")).map(|size| size.as_chunks::<4>().0) {
        Some(&[width, height]) => limits.check_size(u32::from_be_bytes(width), u32::from_be_bytes(height)),
        _ => Ok(()),
    }
}

fn image_limits(limits: &Limits) -> image::Limits {
    let mut inner = image::Limits::no_limits();
    inner.max_image_width = Some(limits.max_width);
    inner.max_image_height = Some(limits.max_height);
    inner.max_alloc = Some(limits.max_decoder_bytes as u64);
    inner
}

/// Reads the picture of an opened decoder.
fn read<D: ImageDecoder>(
    opened: ImageResult<D>,
    what: &'static str,
    working: u64,
    limits: &Limits,
) -> Result<FrameBuf> {
    let fail = |error| failure(error, what, limits);
    let mut decoder = opened.map_err(fail)?;
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    decoder.set_limits(image_limits(limits)).map_err(fail)?;
    let color = decoder.color_type();
    let Some((format, result_bytes)) = result_format(color) else {
        return Err(Error::Malformed { what, detail: format!("pixels of type {color:?} are not taken") });
    };
    let pixels = u64::from(width) * u64::from(height);
    let needed = decoder.total_bytes() + pixels * (working + result_bytes);
    if needed > limits.max_decoder_bytes as u64 {
        let limit = limits.max_decoder_bytes as u64;
        return Err(Error::TooLarge { field: "decoder memory", actual: needed, limit });
    }
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(fail)?;
    // Stills are in full range, grey as well as colour.
    Ok(FrameBuf::new(format, width, height, convert(color, samples))?.with_color(ColorSpace::JFIF))
}

/// The format a decoder's pixels become, and the bytes a pixel that need a buffer beside the decoder's.
fn result_format(color: ColorType) -> Option<(PixelFormat, u64)> {
    match color {
        ColorType::L8 => Some((PixelFormat::Gray8, 0)),
        ColorType::L16 => Some((PixelFormat::Gray16, 0)),
        ColorType::La8 | ColorType::La16 => Some((PixelFormat::Rgba8, 4)),
        ColorType::Rgb8 | ColorType::Rgb16 => Some((PixelFormat::Rgb8, 0)),
        ColorType::Rgba8 | ColorType::Rgba16 => Some((PixelFormat::Rgba8, 0)),
        _ => None,
    }
}

/// Brings a decoder's samples into the layout of [`result_format`].
fn convert(color: ColorType, mut samples: Vec<u8>) -> Vec<u8> {
    match color {
        // The decoder gives the machine's byte order, a frame is little endian.
        ColorType::L16 => {
            for pair in samples.as_chunks_mut::<2>().0 {
                *pair = u16::from_ne_bytes(*pair).to_le_bytes();
            }
        }
        ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            for index in 0..samples.len() / 2 {
                let wide = u32::from(u16::from_ne_bytes([samples[2 * index], samples[2 * index + 1]]));
                samples[index] = ((wide * 255 + 32_767) / 65_535) as u8;
            }
            samples.truncate(samples.len() / 2);
        }
        _ => {}
    }
    match color {
        ColorType::La8 | ColorType::La16 => {
            samples.as_chunks::<2>().0.iter().flat_map(|&[grey, alpha]| [grey, grey, grey, alpha]).collect()
        }
        _ => samples,
    }
}

fn failure(error: ImageError, what: &'static str, limits: &Limits) -> Error {
    match error {
        // The decoder doesn't say how much it wanted: more than the limit.
        ImageError::Limits(_) => {
            let limit = limits.max_decoder_bytes as u64;
            Error::TooLarge { field: "decoder memory", actual: limit + 1, limit }
        }
        other => Error::Malformed { what, detail: other.to_string() },
    }
}

/// The samples of a frame as PNG has them, without padding.
fn png_samples(frame: &Frame<'_>) -> (ExtendedColorType, Vec<u8>) {
    let plane = frame.plane(0);
    let rows = (0..plane.rows()).map(|y| plane.row(y));
    match frame.format() {
        PixelFormat::Rgb8 => (ExtendedColorType::Rgb8, FrameBuf::from(frame).into_data()),
        PixelFormat::Rgba8 => (ExtendedColorType::Rgba8, FrameBuf::from(frame).into_data()),
        PixelFormat::Bgr8 => {
            let pixels = rows.flat_map(|row| row.as_chunks::<3>().0);
            (ExtendedColorType::Rgb8, pixels.flat_map(|&[b, g, r]| [r, g, b]).collect())
        }
        PixelFormat::Bgra8 => {
            let pixels = rows.flat_map(|row| row.as_chunks::<4>().0);
            (ExtendedColorType::Rgba8, pixels.flat_map(|&[b, g, r, a]| [r, g, b, a]).collect())
        }
        PixelFormat::Gray16 => {
            let samples = rows.flat_map(|row| row.as_chunks::<2>().0);
            let native = samples.flat_map(|&sample| u16::from_le_bytes(sample).to_ne_bytes());
            (ExtendedColorType::L16, native.collect())
        }
        PixelFormat::Gray8 => {
            let converter = converter(frame.color());
            (ExtendedColorType::L8, rows.flatten().map(|&luma| converter.gray(luma)).collect())
        }
        _ => (ExtendedColorType::Rgb8, yuv_to_rgb(frame)),
    }
}

fn converter(color: ColorSpace) -> YuvToRgb {
    let (red, blue) = match color.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    };
    YuvToRgb::new(red, blue, color.range == Range::Full)
}

/// Converts a YUV frame to RGB, each pixel with the chroma sample that covers it.
fn yuv_to_rgb(frame: &Frame<'_>) -> Vec<u8> {
    let converter = converter(frame.color());
    let [y, u, v] = [0, 1, 2].map(|index| frame.plane(index));
    let mut rgb = Vec::with_capacity(3 * frame.width() as usize * frame.height() as usize);
    for row in 0..frame.height() as usize {
        let luma = y.row(row);
        for x in 0..frame.width() as usize {
            let half = x / 2;
            let (luma, blue, red) = match frame.format() {
                PixelFormat::I420 => (luma[x], u.row(row / 2)[half], v.row(row / 2)[half]),
                PixelFormat::I422 => (luma[x], u.row(row)[half], v.row(row)[half]),
                PixelFormat::Nv12 => (luma[x], u.row(row / 2)[2 * half], u.row(row / 2)[2 * half + 1]),
                PixelFormat::Yuyv => (luma[2 * x], luma[4 * half + 1], luma[4 * half + 3]),
                PixelFormat::Uyvy => (luma[2 * x + 1], luma[4 * half], luma[4 * half + 2]),
                _ => (luma[x], u.row(row)[x], v.row(row)[x]),
            };
            rgb.extend_from_slice(&converter.rgb(luma, blue, red));
        }
    }
    rgb
}
