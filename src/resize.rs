//! Frames to another size, through `fast_image_resize`.
//!
//! The filter is a triangle as wide as the scale asks for (bilinear with anti-aliasing): downscaled video neither shimmers
//! nor rings, at two taps a pixel and axis where the size grows. Every channel is scaled alone, as a plane of samples:
//! alpha isn't multiplied in. Besides being one path for all formats, that leaves the crate two pixel types to be compiled
//! for instead of four, which is most of this crate's compile time.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U16};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};

use crate::error::{Error, Result};
use crate::frame::{Frame, FrameBuf, PixelFormat, Plane, PlaneSize};

/// A resizer with its working memory; one a worker.
///
/// Once warm it allocates only the tables of filter weights, a few kilobytes a plane.
#[derive(Debug, Default)]
pub struct Resizer {
    inner: fast_image_resize::Resizer,
    /// A source channel without padding or interleaving.
    packed: Vec<u8>,
    /// A result channel before it is interleaved with the others.
    scaled: Vec<u8>,
    /// 16-bit samples of source and result in the machine's own order and alignment.
    wide: [Vec<U16>; 2],
}

/// Where the samples of one channel lie: every `step`-th byte of a plane from `offset` on.
#[derive(Clone, Copy)]
struct Samples {
    plane: usize,
    offset: usize,
    step: usize,
}

impl Resizer {
    /// Scales `frame` to `width` x `height` into `out`, in the same format and colour space, keeping the memory of `out`
    /// where it suffices. Packed YUYV and UYVY come out as I422, NV12 as I420.
    ///
    /// # Errors
    /// A side outside 1..=16384.
    pub fn resize(&mut self, frame: &Frame<'_>, width: u32, height: u32, out: &mut FrameBuf) -> Result<()> {
        let format = match frame.format() {
            PixelFormat::Yuyv | PixelFormat::Uyvy => PixelFormat::I422,
            PixelFormat::Nv12 => PixelFormat::I420,
            same => same,
        };
        let mut rest = out.reshape(format, width, height, frame.color())?;
        for index in 0..format.planes() {
            let channels = channels(format);
            let from = per_channel(format.plane_size(index, frame.width(), frame.height()), channels);
            let to = per_channel(format.plane_size(index, width, height), channels);
            let (target, after) = rest.split_at_mut(to.row_bytes * to.rows * channels);
            rest = after;
            if format == PixelFormat::Gray16 {
                self.scale_wide((frame.plane(0), from), (target, to))?;
                continue;
            }
            for channel in 0..channels {
                let samples = samples(frame.format(), index, channel);
                let source = pack(frame.plane(samples.plane), samples, from, &mut self.packed);
                if channels == 1 {
                    scale(&mut self.inner, (source, from), (target, to))?;
                } else {
                    self.scaled.resize(to.row_bytes * to.rows, 0);
                    scale(&mut self.inner, (source, from), (&mut self.scaled, to))?;
                    spread(&self.scaled, target, channel, channels);
                }
            }
        }
        Ok(())
    }

    /// Scales little-endian 16-bit samples, which bytes in memory need not be aligned for.
    fn scale_wide(
        &mut self,
        (source, from): (Plane<'_>, PlaneSize),
        (target, to): (&mut [u8], PlaneSize),
    ) -> Result<()> {
        let [wide_source, wide_target] = &mut self.wide;
        wide_source.clear();
        for y in 0..from.rows {
            let (pairs, _) = source.row(y).as_chunks::<2>();
            wide_source.extend(pairs.iter().map(|&pair| U16::new(u16::from_le_bytes(pair))));
        }
        wide_target.clear();
        wide_target.resize(target.len() / 2, U16::new(0));
        let view = TypedImageRef::new((from.row_bytes / 2) as u32, from.rows as u32, wide_source).map_err(internal)?;
        let mut view_mut =
            TypedImage::from_pixels_slice((to.row_bytes / 2) as u32, to.rows as u32, wide_target).map_err(internal)?;
        self.inner.resize_typed(&view, &mut view_mut, &options()).map_err(internal)?;
        for (pair, sample) in target.as_chunks_mut::<2>().0.iter_mut().zip(wide_target) {
            *pair = sample.0.to_le_bytes();
        }
        Ok(())
    }
}

/// Scales one plane of samples.
fn scale(
    inner: &mut fast_image_resize::Resizer,
    (source, from): (&[u8], PlaneSize),
    (target, to): (&mut [u8], PlaneSize),
) -> Result<()> {
    let view = TypedImageRef::<U8>::from_buffer(from.row_bytes as u32, from.rows as u32, source).map_err(internal)?;
    let mut view_mut = TypedImage::<U8>::from_buffer(to.row_bytes as u32, to.rows as u32, target).map_err(internal)?;
    inner.resize_typed(&view, &mut view_mut, &options()).map_err(internal)
}

fn options() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false)
}

/// 8-bit channels interleaved in the planes of a format.
const fn channels(format: PixelFormat) -> usize {
    match format {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => 3,
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
        _ => 1,
    }
}

const fn per_channel(size: PlaneSize, channels: usize) -> PlaneSize {
    PlaneSize { row_bytes: size.row_bytes / channels, rows: size.rows }
}

/// Where the source has the samples of a result's plane and channel.
fn samples(format: PixelFormat, plane: usize, channel: usize) -> Samples {
    let (plane, offset, step) = match (format, plane) {
        (PixelFormat::Nv12, 1) => (1, 0, 2),
        (PixelFormat::Nv12, 2) => (1, 1, 2),
        (PixelFormat::Yuyv, 0) => (0, 0, 2),
        (PixelFormat::Yuyv, 1) => (0, 1, 4),
        (PixelFormat::Yuyv, 2) => (0, 3, 4),
        (PixelFormat::Uyvy, 0) => (0, 1, 2),
        (PixelFormat::Uyvy, 1) => (0, 0, 4),
        (PixelFormat::Uyvy, 2) => (0, 2, 4),
        _ => (plane, channel, channels(format)),
    };
    Samples { plane, offset, step }
}

/// The samples as rows of `size` one after another: the plane itself where it already is so, else copied to `packed`.
fn pack<'a>(plane: Plane<'a>, samples: Samples, size: PlaneSize, packed: &'a mut Vec<u8>) -> &'a [u8] {
    if samples.step == 1 && plane.stride() == size.row_bytes {
        return plane.data();
    }
    packed.clear();
    for y in 0..size.rows {
        let row = plane.row(y);
        match samples.step {
            1 => packed.extend_from_slice(row),
            2 => packed.extend(pick::<2>(row, samples.offset).take(size.row_bytes)),
            3 => packed.extend(pick::<3>(row, samples.offset).take(size.row_bytes)),
            _ => packed.extend(pick::<4>(row, samples.offset).take(size.row_bytes)),
        }
    }
    packed
}

fn pick<const STEP: usize>(row: &[u8], offset: usize) -> impl Iterator<Item = u8> {
    row.as_chunks::<STEP>().0.iter().map(move |group| group[offset])
}

/// Writes a channel among its pixels' others.
fn spread(channel: &[u8], pixels: &mut [u8], offset: usize, step: usize) {
    for (pixel, &sample) in pixels.chunks_exact_mut(step).zip(channel) {
        pixel[offset] = sample;
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal { what: "resize", detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose samples rise along both axes, in any format.
    fn ramp(format: PixelFormat, width: u32, height: u32) -> FrameBuf {
        let mut data = Vec::new();
        for plane in 0..format.planes() {
            let PlaneSize { row_bytes, rows } = format.plane_size(plane, width, height);
            data.extend((0..rows * row_bytes).map(|i| (40 * plane + i / row_bytes + i % row_bytes) as u8));
        }
        FrameBuf::new(format, width, height, data).unwrap()
    }

    fn resized(frame: &Frame<'_>, width: u32, height: u32) -> FrameBuf {
        let mut out = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1).unwrap();
        Resizer::default().resize(frame, width, height, &mut out).unwrap();
        out
    }

    #[test]
    fn flat_pictures_stay_flat_in_every_format_and_size() {
        for format in PixelFormat::ALL {
            for (from, to) in [((1, 1), (5, 3)), ((17, 9), (1, 1)), ((33, 21), (16, 31)), ((64, 48), (64, 20))] {
                let data = vec![77; format.frame_bytes(from.0, from.1)];
                let source = FrameBuf::new(format, from.0, from.1, data).unwrap().with_color(crate::ColorSpace::JFIF);
                let out = resized(&source.as_frame(), to.0, to.1);
                let frame = out.as_frame();
                assert_eq!((frame.width(), frame.height()), to);
                assert_eq!(frame.color(), crate::ColorSpace::JFIF);
                assert!(out.data().iter().all(|&sample| sample == 77), "{format} {from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn halving_a_checkerboard_of_pairs_averages_with_a_triangle() {
        // Each result pixel lies between two source pixels; the triangle is four pixels wide: weights 1, 3, 3, 1 of 8.
        let row = [0, 0, 80, 160, 160, 80, 0, 0];
        let source = Frame::new(PixelFormat::Gray8, 8, 1, &row).unwrap();
        assert_eq!(resized(&source, 4, 1).data(), [11, 110, 110, 11]);
    }

    #[test]
    fn the_same_size_is_a_copy_and_packed_formats_come_out_planar() {
        for format in PixelFormat::ALL {
            let source = ramp(format, 7, 5);
            let out = resized(&source.as_frame(), 7, 5);
            match format {
                PixelFormat::Nv12 | PixelFormat::Yuyv | PixelFormat::Uyvy => continue,
                _ => assert_eq!(out.data(), source.data(), "{format}"),
            }
        }
        let yuyv = Frame::new(PixelFormat::Yuyv, 3, 1, &[10, 1, 20, 2, 30, 3, 40, 4]).unwrap();
        let out = resized(&yuyv, 3, 1);
        assert_eq!((out.as_frame().format(), out.data()), (PixelFormat::I422, [10, 20, 30, 1, 3, 2, 4].as_slice()));
        let uyvy = Frame::new(PixelFormat::Uyvy, 3, 1, &[1, 10, 2, 20, 3, 30, 4, 40]).unwrap();
        assert_eq!(resized(&uyvy, 3, 1).data(), out.data());
        let nv12 = Frame::new(PixelFormat::Nv12, 3, 1, &[10, 20, 30, 1, 2, 3, 4]).unwrap();
        let out = resized(&nv12, 3, 1);
        assert_eq!((out.as_frame().format(), out.data()), (PixelFormat::I420, [10, 20, 30, 1, 3, 2, 4].as_slice()));
    }

    #[test]
    fn interleaved_and_strided_planes_scale_as_planar_ones() {
        let planar = ramp(PixelFormat::I420, 38, 22);
        let [y, u, v] = [0, 1, 2].map(|plane| planar.as_frame().plane(plane).data().to_vec());
        let uv: Vec<u8> = u.iter().zip(&v).flat_map(|(&u, &v)| [u, v]).collect();
        let nv12 = Frame::from_planes(PixelFormat::Nv12, 38, 22, &[(&y, 38), (&uv, 38)]).unwrap();
        assert_eq!(resized(&nv12, 20, 15), resized(&planar.as_frame(), 20, 15));

        for format in [PixelFormat::Rgb8, PixelFormat::Gray16, PixelFormat::Gray8] {
            let tight = ramp(format, 21, 13);
            let stride = tight.as_frame().plane(0).stride();
            let padded: Vec<u8> =
                tight.data().chunks(stride).flat_map(|row| row.iter().chain(&[0xEE; 3]).copied()).collect();
            let strided = Frame::with_strides(format, 21, 13, &padded, &[stride + 3]).unwrap();
            assert_eq!(resized(&strided, 9, 30), resized(&tight.as_frame(), 9, 30), "{format}");
        }
    }

    #[test]
    fn sixteen_bits_keep_their_precision() {
        let samples: Vec<u8> = [1_000_u16, 1_100, 60_000, 60_100].iter().flat_map(|s| s.to_le_bytes()).collect();
        let out = resized(&Frame::new(PixelFormat::Gray16, 2, 2, &samples).unwrap(), 1, 1);
        assert_eq!(out.data(), 30_550_u16.to_le_bytes());
    }

    #[test]
    fn alpha_is_not_multiplied_in() {
        let source = Frame::new(PixelFormat::Rgba8, 2, 1, &[200, 100, 50, 0, 100, 200, 150, 255]).unwrap();
        let out = resized(&source, 1, 1);
        assert_eq!(out.data()[..3], [150, 150, 100]);
        assert!(out.data()[3].abs_diff(127) <= 1);
    }

    #[test]
    fn buffers_are_kept_and_bad_sizes_named() {
        let source = ramp(PixelFormat::Nv12, 64, 48);
        let mut out = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1).unwrap();
        let mut resizer = Resizer::default();
        resizer.resize(&source.as_frame(), 40, 30, &mut out).unwrap();
        let (first, memory) = (out.clone(), (out.data().as_ptr(), resizer.packed.as_ptr()));
        resizer.resize(&source.as_frame(), 20, 10, &mut out).unwrap();
        resizer.resize(&source.as_frame(), 40, 30, &mut out).unwrap();
        assert_eq!(out, first);
        assert_eq!((out.data().as_ptr(), resizer.packed.as_ptr()), memory);
        assert_eq!(resizer.resize(&source.as_frame(), 0, 10, &mut out).unwrap_err().field(), "width");
        assert_eq!(resizer.resize(&source.as_frame(), 10, 16_385, &mut out).unwrap_err().field(), "height");
    }
}
