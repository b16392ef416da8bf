//! Rows of a frame of any 8-bit format as full-range BT.601 samples: what a JFIF file holds.

use fearless_simd::Simd;

use super::color::{CHUNK, Packing, convert_row};
use super::yuv::{FromBt709, chroma_from_bt709, double_row, expand_chroma, expand_luma, luma_from_bt709, pad, unpack};
use super::{Level, Vectorise, vectorise};
use crate::error::{Error, Result};
use crate::frame::{Frame, Matrix, PixelFormat, Range};

/// How a format of red, green and blue packs its pixels; none for the others.
pub const fn packing(format: PixelFormat) -> Option<Packing> {
    match format {
        PixelFormat::Rgb8 => Some(Packing { bytes: 3, blue_first: false }),
        PixelFormat::Bgr8 => Some(Packing { bytes: 3, blue_first: true }),
        PixelFormat::Rgba8 => Some(Packing { bytes: 4, blue_first: false }),
        PixelFormat::Bgra8 => Some(Packing { bytes: 4, blue_first: true }),
        _ => None,
    }
}

/// Horizontal and vertical factor by which a format's chroma is smaller than its luma.
pub const fn chroma_factors(format: PixelFormat) -> (usize, usize) {
    match format {
        PixelFormat::I420 | PixelFormat::Nv12 => (2, 2),
        PixelFormat::I422 | PixelFormat::Yuyv | PixelFormat::Uyvy => (2, 1),
        _ => (1, 1),
    }
}

/// Whether a frame's samples are those of a JFIF file already.
pub fn is_jfif(frame: &Frame<'_>) -> bool {
    let has_chroma = frame.format().is_yuv();
    packing(frame.format()).is_none()
        && frame.color().range == Range::Full
        && (!has_chroma || frame.color().matrix == Matrix::Bt601)
}

/// Reads rows of a YUV or grey frame as full-range BT.601 samples, padded with copies of their last.
#[derive(Debug, Default)]
pub struct RowReader {
    /// A row of packed luma, unpacked.
    luma: Vec<u8>,
    /// Rows of packed chroma, unpacked.
    chroma: [Vec<u8>; 2],
    /// Chroma at luma's resolution: a change of matrix needs it there.
    wide: [Vec<u8>; 2],
    /// Luma and chroma of a row of red, green and blue.
    converted: [Vec<u8>; 3],
}

impl RowReader {
    /// Full-range BT.601 luma of a frame: what the JPEG encoder codes, and what pictures are compared by. `out` becomes width
    /// by height samples, without padding.
    ///
    /// # Errors
    /// 16-bit formats have none.
    pub fn luma_plane(&mut self, level: Level, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
        if frame.format() == PixelFormat::Gray16 {
            return Err(Error::Unsupported {
                field: "format",
                value: frame.format().to_string(),
                supported: "formats of 8 bits have luma",
            });
        }
        out.resize(frame.width() as usize * frame.height() as usize, 0);
        vectorise(level, LumaPlane { reader: self, frame, out });
        Ok(())
    }

    /// Luma of row `y` (rows beyond the last repeat it). `out` is as long as the frame is wide, or longer.
    #[inline(always)]
    pub fn luma<S: Simd>(&mut self, simd: S, frame: &Frame<'_>, y: usize, out: &mut [u8]) {
        let width = frame.width() as usize;
        let is_limited = frame.color().range == Range::Limited;
        let Self { luma, chroma, wide, .. } = self;
        let plane = frame.plane(0).row(y);
        let raw = match frame.format() {
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                luma.resize(width, 0);
                unpack::<S, 2>(simd, plane, usize::from(frame.format() == PixelFormat::Uyvy), luma);
                luma
            }
            _ => plane,
        };
        if frame.format().is_yuv() && frame.color().matrix == Matrix::Bt709 {
            let (horizontal, vertical) = chroma_factors(frame.format());
            let mut chroma = raw_chroma(simd, chroma, frame, y / vertical);
            if horizontal == 2 {
                for (wide, chroma) in wide.iter_mut().zip(chroma) {
                    wide.resize(width.next_multiple_of(2), 0);
                    double_row(simd, chroma, wide);
                }
                chroma = [&wide[0], &wide[1]];
            }
            luma_from_bt709(simd, &FromBt709::new(is_limited), raw, chroma[0], chroma[1], &mut out[..width]);
        } else if is_limited {
            expand_luma(simd, raw, &mut out[..width]);
        } else {
            out[..width].copy_from_slice(raw);
        }
        pad(out, width);
    }

    /// Chroma of chroma row `y`, at the frame's own chroma resolution; the outputs are that wide, or wider.
    #[inline(always)]
    pub fn chroma<S: Simd>(&mut self, simd: S, frame: &Frame<'_>, y: usize, [cb, cr]: [&mut [u8]; 2]) {
        let raw = raw_chroma(simd, &mut self.chroma, frame, y);
        let width = raw[0].len();
        let is_limited = frame.color().range == Range::Limited;
        if frame.color().matrix == Matrix::Bt709 {
            chroma_from_bt709(simd, &FromBt709::new(is_limited), raw, [&mut cb[..width], &mut cr[..width]]);
        } else if is_limited {
            expand_chroma(simd, raw[0], &mut cb[..width]);
            expand_chroma(simd, raw[1], &mut cr[..width]);
        } else {
            cb[..width].copy_from_slice(raw[0]);
            cr[..width].copy_from_slice(raw[1]);
        }
        pad(cb, width);
        pad(cr, width);
    }
}

/// Chroma row `y` as the frame has it: of a plane, or unpacked to `buffers`.
#[inline(always)]
fn raw_chroma<'a, S: Simd>(simd: S, buffers: &'a mut [Vec<u8>; 2], frame: &Frame<'a>, y: usize) -> [&'a [u8]; 2] {
    let width = (frame.width() as usize).div_ceil(2);
    match frame.format() {
        PixelFormat::Nv12 => {
            for (offset, buffer) in buffers.iter_mut().enumerate() {
                buffer.resize(width, 0);
                unpack::<S, 2>(simd, frame.plane(1).row(y), offset, buffer);
            }
        }
        PixelFormat::Yuyv | PixelFormat::Uyvy => {
            let first = usize::from(frame.format() == PixelFormat::Yuyv);
            for (offset, buffer) in buffers.iter_mut().enumerate() {
                buffer.resize(width, 0);
                unpack::<S, 4>(simd, frame.plane(0).row(y), first + 2 * offset, buffer);
            }
        }
        _ => return [frame.plane(1).row(y), frame.plane(2).row(y)],
    }
    [&buffers[0], &buffers[1]]
}

struct LumaPlane<'a, 'b> {
    reader: &'b mut RowReader,
    frame: &'a Frame<'a>,
    out: &'b mut [u8],
}

impl Vectorise for LumaPlane<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.frame.width() as usize;
        for (y, out) in self.out.chunks_exact_mut(width).enumerate() {
            if let Some(packing) = packing(self.frame.format()) {
                let [luma, cb, cr] = &mut self.reader.converted;
                for row in [&mut *luma, &mut *cb, &mut *cr] {
                    row.resize(width.next_multiple_of(CHUNK), 0);
                }
                convert_row(simd, packing, self.frame.plane(0).row(y), luma, cb, cr);
                out.copy_from_slice(&luma[..width]);
            } else {
                self.reader.luma(simd, self.frame, y, out);
            }
        }
    }
}

/// As [`RowReader::luma_plane`], with working memory for this once.
///
/// # Errors
/// 16-bit formats have none.
pub fn luma_plane(level: Level, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<()> {
    RowReader::default().luma_plane(level, frame, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ColorSpace;
    use crate::kernel::each_level;

    #[test]
    fn luma_is_the_same_at_each_level_for_every_format() {
        for format in PixelFormat::ALL.into_iter().filter(|&format| format != PixelFormat::Gray16) {
            for (width, height) in [(1, 1), (5, 3), (64, 4), (131, 9)] {
                let data: Vec<u8> = (0..format.frame_bytes(width, height)).map(|i| (i * 37 + i / 11) as u8).collect();
                for matrix in [Matrix::Bt601, Matrix::Bt709] {
                    for range in [Range::Full, Range::Limited] {
                        let frame =
                            Frame::new(format, width, height, &data).unwrap().with_color(ColorSpace { matrix, range });
                        let mut expected = Vec::new();
                        luma_plane(Level::baseline(), &frame, &mut expected).unwrap();
                        if is_jfif(&frame) && matches!(format, PixelFormat::I420 | PixelFormat::Gray8) {
                            assert_eq!(expected, data[..expected.len()]);
                        }
                        each_level!(level => {
                            let mut luma = vec![1, 2, 3];
                            luma_plane(level, &frame, &mut luma).unwrap();
                            assert_eq!(luma, expected, "{format} {width}x{height}");
                        });
                    }
                }
            }
        }
    }

    #[test]
    fn deep_grey_has_no_bytes_of_luma() {
        let frame = Frame::new(PixelFormat::Gray16, 1, 1, &[0, 0]).unwrap();
        assert_eq!(luma_plane(Level::baseline(), &frame, &mut Vec::new()).unwrap_err().field(), "format");
    }
}
