//! Pictures to code, and how far two pictures are apart.

#![allow(dead_code, reason = "no test needs all of it")]

use auralink::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use auralink::{ColorSpace, Frame, FrameBuf, Matrix, PixelFormat, Range, kernel};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// All of them.
pub(crate) const SUBSAMPLINGS: [Subsampling; 3] = [Subsampling::S420, Subsampling::S422, Subsampling::S444];
/// A pool of so many threads.
pub(crate) fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Codes a frame at this CPU's level.
pub(crate) fn encode(frame: &Frame<'_>, config: &JpegConfig) -> Vec<u8> {
    let mut out = Vec::new();
    let stats = JpegEncoder::new(kernel::detect()).encode(frame, config, &pool(1), &mut out).unwrap();
    assert_eq!(stats.bytes, out.len());
    out
}

/// Red, green and blue of a soft picture, 0..=255 each.
pub(crate) fn soft(x: f64, y: f64) -> [f64; 3] {
    let wave =
        |step: f64, phase: f64| 127.5 + 100.0 * ((x * step + phase).sin() + (y * step * 0.7 - phase).cos()) / 2.0;
    [wave(0.045, 0.0), wave(0.037, 1.0), wave(0.051, 2.0)]
}

/// Luma and chroma of red, green and blue with the given weights, at full range.
pub(crate) fn ycc([r, g, b]: [f64; 3], matrix: Matrix) -> [f64; 3] {
    let (red, blue) = if matrix == Matrix::Bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let luma = red * r + (1.0 - red - blue) * g + blue * b;
    [luma, 128.0 + (b - luma) / (2.0 - 2.0 * blue), 128.0 + (r - luma) / (2.0 - 2.0 * red)]
}

/// The soft picture in any format and colour space.
pub(crate) fn soft_frame(format: PixelFormat, width: u32, height: u32, color: ColorSpace) -> FrameBuf {
    let sample = |x: f64, y: f64| -> [u8; 3] {
        let [luma, cb, cr] = ycc(soft(x, y), color.matrix);
        let full =
            if format == PixelFormat::Gray8 { [ycc(soft(x, y), Matrix::Bt601)[0], cb, cr] } else { [luma, cb, cr] };
        let scaled = match color.range {
            Range::Full => full,
            Range::Limited => {
                let chroma = |value: f64| 128.0 + (value - 128.0) * 224.0 / 255.0;
                [16.0 + full[0] * 219.0 / 255.0, chroma(full[1]), chroma(full[2])]
            }
        };
        scaled.map(|value| value.round().clamp(0.0, 255.0) as u8)
    };
    let (w, h) = (width as usize, height as usize);
    let mut data = Vec::with_capacity(format.frame_bytes(width, height));
    let (wide, high) = match format {
        PixelFormat::I420 | PixelFormat::Nv12 => (2, 2),
        PixelFormat::I422 | PixelFormat::Yuyv | PixelFormat::Uyvy => (2, 1),
        _ => (1, 1),
    };
    let luma = |x: usize, y: usize| sample(x as f64, y as f64)[0];
    let middle = |at: usize, factor: usize| (at * factor) as f64 + (factor as f64 - 1.0) / 2.0;
    let chroma = |x: usize, y: usize| -> [u8; 2] {
        let [_, cb, cr] = sample(middle(x, wide), middle(y, high));
        [cb, cr]
    };
    match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy => {
            for (y, x) in (0..h).flat_map(|y| (0..w.div_ceil(2)).map(move |x| (y, x))) {
                let (first, second, [cb, cr]) = (luma(2 * x, y), luma(2 * x + 1, y), chroma(x, y));
                data.extend(if format == PixelFormat::Yuyv {
                    [first, cb, second, cr]
                } else {
                    [cb, first, cr, second]
                });
            }
        }
        _ if format.is_yuv() || format == PixelFormat::Gray8 => {
            data.extend((0..h).flat_map(|y| (0..w).map(move |x| luma(x, y))));
            let places = || (0..h.div_ceil(high)).flat_map(|y| (0..w.div_ceil(wide)).map(move |x| (x, y)));
            match format {
                PixelFormat::Gray8 => {}
                PixelFormat::Nv12 => data.extend(places().flat_map(|(x, y)| chroma(x, y))),
                _ => (0..2).for_each(|plane| data.extend(places().map(|(x, y)| chroma(x, y)[plane]))),
            }
        }
        _ => {
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                let [r, g, b] = soft(x as f64, y as f64).map(|value| value.round() as u8);
                let (ends, bytes) = match format {
                    PixelFormat::Rgb8 => ([r, b], 3),
                    PixelFormat::Bgr8 => ([b, r], 3),
                    PixelFormat::Rgba8 => ([r, b], 4),
                    _ => ([b, r], 4),
                };
                data.extend_from_slice(&[ends[0], g, ends[1], (x * y) as u8][..bytes]);
            }
        }
    }
    FrameBuf::new(format, width, height, data).unwrap().with_color(color)
}

/// A noisy picture with edges, deterministic.
pub(crate) fn busy_data(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 24) as u8;
            match i / 97 % 4 {
                0 => noise,
                1 => 128 + noise / 16,
                2 => 255 * (noise & 1),
                _ => (i / 3) as u8,
            }
        })
        .collect()
}

/// Peak signal to noise, in dB, of errors of 8-bit samples.
pub(crate) fn psnr(errors: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), error| (sum + error * error, count + 1.0));
    10.0 * (255.0 * 255.0 / (sum / count).max(1e-9)).log10()
}
