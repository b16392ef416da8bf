//! Frames in the planar formats that y4m has. Packed formats are taken apart, RGB is converted as JFIF does it (BT.601, full
//! range), alpha is dropped.

use auralink::resize::Resizer;
use auralink::{ColorSpace, Error, Frame, FrameBuf, PixelFormat};

use super::exit::Result;

/// How chroma made from RGB is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampling {
    S420,
    S422,
    S444,
}

/// A converter with its working memory.
#[derive(Default)]
pub(crate) struct Planar {
    resizer: Resizer,
    out: Option<FrameBuf>,
}

impl Planar {
    /// The frame in I420, I422, I444 or Gray8.
    pub(crate) fn convert<'a>(&'a mut self, frame: &Frame<'a>, sampling: Sampling) -> Result<Frame<'a>> {
        let (width, height) = (frame.width(), frame.height());
        let mut out = match self.out.take() {
            Some(out) => out,
            None => FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?,
        };
        match frame.format() {
            PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 | PixelFormat::Gray8 => {
                self.out = Some(out);
                return Ok(*frame);
            }
            // At the same size it takes the samples apart and leaves them as they are.
            PixelFormat::Nv12 | PixelFormat::Yuyv | PixelFormat::Uyvy => {
                self.resizer.resize(frame, width, height, &mut out)?;
            }
            PixelFormat::Rgb8 => from_rgb(frame, 3, [0, 1, 2], sampling, &mut out)?,
            PixelFormat::Bgr8 => from_rgb(frame, 3, [2, 1, 0], sampling, &mut out)?,
            PixelFormat::Rgba8 => from_rgb(frame, 4, [0, 1, 2], sampling, &mut out)?,
            PixelFormat::Bgra8 => from_rgb(frame, 4, [2, 1, 0], sampling, &mut out)?,
            other => {
                let supported = "8-bit formats; 16-bit grey goes to .png or .raw";
                return Err(Error::Unsupported { field: "y4m format", value: other.to_string(), supported }.into());
            }
        }
        Ok(self.out.insert(out).as_frame())
    }
}

/// Converts packed pixels of `step` bytes, whose red, green and blue lie at `order`.
fn from_rgb(frame: &Frame<'_>, step: usize, order: [usize; 3], sampling: Sampling, out: &mut FrameBuf) -> Result<()> {
    let (format, across, down) = match sampling {
        Sampling::S420 => (PixelFormat::I420, 2, 2),
        Sampling::S422 => (PixelFormat::I422, 2, 1),
        Sampling::S444 => (PixelFormat::I444, 1, 1),
    };
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let planes = out.reshape(format, frame.width(), frame.height(), ColorSpace::JFIF)?;
    let (luma, chroma) = planes.split_at_mut(width * height);
    let (blue_differences, red_differences) = chroma.split_at_mut(chroma.len() / 2);
    let source = frame.plane(0);
    for (y, row) in luma.chunks_exact_mut(width).enumerate() {
        for (target, pixel) in row.iter_mut().zip(source.row(y).chunks_exact(step)) {
            *target = luma_of(order.map(|at| i32::from(pixel[at])));
        }
    }
    let columns = width.div_ceil(across);
    let rows = blue_differences.chunks_exact_mut(columns).zip(red_differences.chunks_exact_mut(columns));
    for (cy, (blue_row, red_row)) in rows.enumerate() {
        for cx in 0..columns {
            let (mut sums, mut count) = ([0; 3], 0);
            for y in cy * down..((cy + 1) * down).min(height) {
                for pixel in source.row(y).chunks_exact(step).skip(cx * across).take(across) {
                    (0..3).for_each(|channel| sums[channel] += i32::from(pixel[order[channel]]));
                    count += 1;
                }
            }
            (blue_row[cx], red_row[cx]) = chroma_of(sums.map(|sum| (sum + count / 2) / count.max(1)));
        }
    }
    Ok(())
}

const BITS: u32 = 16;
const HALF: i32 = 1 << (BITS - 1);

fn luma_of([r, g, b]: [i32; 3]) -> u8 {
    ((19_595 * r + 38_470 * g + 7_471 * b + HALF) >> BITS) as u8
}

fn chroma_of([r, g, b]: [i32; 3]) -> (u8, u8) {
    let sample = |sum: i32| (((sum + HALF) >> BITS) + 128).clamp(0, 255) as u8;
    (sample(-11_059 * r - 21_709 * g + 32_768 * b), sample(32_768 * r - 27_439 * g - 5_329 * b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours_become_their_jfif_codes() {
        // Red, green, blue and white, as ITU-T T.871 gives them.
        let pixels = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255];
        let frame = Frame::new(PixelFormat::Rgb8, 4, 1, &pixels).unwrap();
        let mut planar = Planar::default();
        let seen = planar.convert(&frame, Sampling::S444).unwrap();
        assert_eq!(seen.plane(0).row(0), [76, 150, 29, 255]);
        assert_eq!(seen.plane(1).row(0), [85, 44, 255, 128]);
        assert_eq!(seen.plane(2).row(0), [255, 21, 107, 128]);
    }

    #[test]
    fn odd_sizes_average_the_pixels_that_are_there() {
        let pixels: Vec<u8> = [100, 200, 50].iter().flat_map(|&grey| [grey, grey, grey, 9]).collect();
        for (width, height) in [(3, 1), (1, 3)] {
            let frame = Frame::new(PixelFormat::Bgra8, width, height, &pixels).unwrap();
            let mut planar = Planar::default();
            let seen = planar.convert(&frame, Sampling::S420).unwrap();
            assert_eq!(seen.plane(1).data().len(), 2);
            assert!(seen.plane(1).data().iter().all(|&sample| sample == 128));
        }
    }
}
