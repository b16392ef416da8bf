//! Frames of any 8-bit format to luma and interleaved chroma at half size.

use fearless_simd::Simd;

use crate::error::{Error, Result};
use crate::frame::{ColorSpace, Frame, PixelFormat};
use crate::kernel::color::{CHUNK, convert_row};
use crate::kernel::rows::{RowReader, chroma_factors, packing};
use crate::kernel::yuv::pad;
use crate::kernel::{Level, Vectorise, vectorise};

/// Working memory of the conversion.
#[derive(Debug, Default)]
pub(crate) struct SourceRows {
    reader: RowReader,
    /// Two rows of luma, of Cb and of Cr at the frame's chroma resolution.
    rows: [[Vec<u8>; 3]; 2],
}

impl SourceRows {
    /// Fills a part of planes whose rows are `stride` bytes, a multiple of 16 not under the frame's width, with the frame's rows
    /// from the even row `first` on; rows and columns beyond the frame's repeat its last.
    pub(crate) fn load(
        &mut self,
        level: Level,
        frame: &Frame<'_>,
        first: usize,
        stride: usize,
        [luma, chroma]: [&mut [u8]; 2],
    ) {
        vectorise(level, Load { reader: self, frame, first, stride, luma, chroma });
    }
}

/// The color space of the samples that a frame becomes.
pub(crate) fn loaded_color(frame: &Frame<'_>) -> Result<ColorSpace> {
    match frame.format() {
        PixelFormat::I420 | PixelFormat::Nv12 => Ok(frame.color()),
        PixelFormat::Gray16 => Err(Error::Unsupported {
            field: "format",
            value: frame.format().to_string(),
            supported: "H.264 takes formats of 8 bits",
        }),
        _ => Ok(ColorSpace::JFIF),
    }
}

struct Load<'a> {
    reader: &'a mut SourceRows,
    frame: &'a Frame<'a>,
    first: usize,
    stride: usize,
    luma: &'a mut [u8],
    chroma: &'a mut [u8],
}

impl Vectorise for Load<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.frame.format() {
            PixelFormat::I420 | PixelFormat::Nv12 => self.planar(simd),
            _ => self.converted(simd),
        }
    }
}

impl Load<'_> {
    #[inline(always)]
    fn planar<S: Simd>(self, _simd: S) {
        let width = self.frame.width() as usize;
        for (y, out) in self.luma.chunks_exact_mut(self.stride).enumerate() {
            out[..width].copy_from_slice(self.frame.plane(0).row(self.first + y));
            pad(out, width);
        }
        for (y, out) in self.chroma.chunks_exact_mut(self.stride).enumerate() {
            let y = self.first / 2 + y;
            let pairs = out.as_chunks_mut::<2>().0;
            let filled = if self.frame.format() == PixelFormat::Nv12 {
                let row = self.frame.plane(1).row(y).as_chunks::<2>().0;
                pairs[..row.len()].copy_from_slice(row);
                row.len()
            } else {
                let (cb, cr) = (self.frame.plane(1).row(y), self.frame.plane(2).row(y));
                for ((pair, &cb), &cr) in pairs.iter_mut().zip(cb).zip(cr) {
                    *pair = [cb, cr];
                }
                cb.len()
            };
            let last = pairs[filled - 1];
            pairs[filled..].fill(last);
        }
    }

    /// Row pairs as full-range BT.601, chroma averaged where it is larger than half.
    #[inline(always)]
    fn converted<S: Simd>(self, simd: S) {
        let Self { reader, frame, first, stride, luma, chroma } = self;
        let width = frame.width() as usize;
        let padded = width.next_multiple_of(2).next_multiple_of(CHUNK);
        for rows in &mut reader.rows {
            rows.iter_mut().for_each(|row| row.resize(padded.max(stride), 128));
        }
        for (y, (luma, chroma)) in luma.chunks_exact_mut(2 * stride).zip(chroma.chunks_exact_mut(stride)).enumerate() {
            for (k, out) in luma.chunks_exact_mut(stride).enumerate() {
                let [row_luma, cb, cr] = &mut reader.rows[k];
                let y = first + 2 * y + k;
                if let Some(packing) = packing(frame.format()) {
                    convert_row(simd, packing, frame.plane(0).row(y), row_luma, cb, cr);
                } else {
                    reader.reader.luma(simd, frame, y, row_luma);
                    if frame.format().is_yuv() {
                        let (_, vertical) = chroma_factors(frame.format());
                        reader.reader.chroma(simd, frame, y / vertical, [cb, cr]);
                    }
                }
                out.copy_from_slice(&row_luma[..stride]);
            }
            if frame.format() == PixelFormat::Gray8 {
                chroma.fill(128);
                continue;
            }
            let (horizontal, _) =
                if packing(frame.format()).is_some() { (1, 1) } else { chroma_factors(frame.format()) };
            let chroma_width = width.div_ceil(horizontal);
            let [above, below] = &mut reader.rows;
            for plane in 1..3 {
                pad(&mut above[plane], chroma_width);
                pad(&mut below[plane], chroma_width);
                interleave(simd, [&above[plane], &below[plane]], horizontal, plane - 1, chroma);
            }
        }
    }
}

/// Means of the samples under each chroma position, into every other byte of `out`.
#[inline(always)]
fn interleave<S: Simd>(_simd: S, rows: [&[u8]; 2], horizontal: usize, offset: usize, out: &mut [u8]) {
    let pairs = out.as_chunks_mut::<2>().0;
    if horizontal == 2 {
        for ((pair, &a), &b) in pairs.iter_mut().zip(rows[0]).zip(rows[1]) {
            pair[offset] = (u16::from(a) + u16::from(b)).div_ceil(2) as u8;
        }
    } else {
        let (above, below) = (rows[0].as_chunks::<2>().0, rows[1].as_chunks::<2>().0);
        for ((pair, a), b) in pairs.iter_mut().zip(above).zip(below) {
            let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
            pair[offset] = ((sum + 2) >> 2) as u8;
        }
    }
}
