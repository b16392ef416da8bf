//! One MCU row of samples, ready to be transformed.
//!
//! Planes that already hold what the file needs are read in place; everything else is converted, row by row, into a stripe
//! that stays in the cache.

use crate::frame::{Frame, PixelFormat, Plane};
use crate::kernel::Simd;
use crate::kernel::block::ROW_SAMPLES;
use crate::kernel::color::{CHUNK, Packing, convert_row, halve_both, halve_row};
use crate::kernel::prefetch::prefetch;
use crate::kernel::rows::{RowReader, chroma_factors, is_jfif, packing};
use crate::kernel::yuv::{double_row, mean_rows, pad};

use super::layout::{Component, Layout};
use super::picture::Picture;

/// The samples of an MCU row, by component.
#[derive(Debug, Default)]
pub(super) struct Stripe {
    planes: [StripePlane; 3],
    reader: RowReader,
    /// Chroma rows at the frame's resolution, before they are resampled: of two rows, Cb and Cr.
    full: [[Vec<u8>; 2]; 2],
}

#[derive(Debug, Default)]
struct StripePlane {
    samples: Vec<u8>,
    stride: usize,
    /// Groups of four MCUs, from the left, that are read from the frame itself.
    direct_groups: usize,
}

impl StripePlane {
    fn row(&mut self, y: usize) -> &mut [u8] {
        &mut self.samples[y * self.stride..(y + 1) * self.stride]
    }
}

/// Whether the frame's plane for this component is what the file holds.
fn is_direct(frame: &Frame<'_>, layout: &Layout, index: usize) -> bool {
    let luma = layout.components()[0];
    let is_planar = matches!(frame.format(), PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444);
    is_jfif(frame)
        && match index {
            0 => is_planar || matches!(frame.format(), PixelFormat::Nv12 | PixelFormat::Gray8),
            _ => is_planar && chroma_factors(frame.format()) == (luma.horizontal, luma.vertical),
        }
}

/// Touches rows that are about to be read in place: row by row the processor fetches ahead, block by block it doesn't.
fn read_ahead(plane: Plane<'_>, first: usize, rows: usize) {
    for y in first..first + rows {
        std::hint::black_box(plane.row(y).iter().step_by(64).fold(0, |sum, byte| sum ^ byte));
    }
}

impl Stripe {
    /// Makes room for a frame's MCU rows.
    pub(super) fn prepare(&mut self, layout: &Layout) {
        let luma_width = layout.width.next_multiple_of(CHUNK);
        for (plane, component) in self.planes.iter_mut().zip(layout.components()) {
            plane.stride = component.horizontal * luma_width / layout.components()[0].horizontal;
            plane.samples.resize(plane.stride * 8 * component.vertical, 0);
        }
        for row in self.full.as_flattened_mut() {
            row.resize(luma_width, 0);
        }
    }

    /// Loads MCU row `mcu_row`.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&mut self, simd: S, frame: &Frame<'_>, layout: &Layout, mcu_row: usize) {
        for plane in &mut self.planes {
            plane.direct_groups = 0;
        }
        if let Some(packing) = packing(frame.format()) {
            return self.load_rgb(simd, frame, packing, layout.components()[0], mcu_row);
        }
        for (index, &component) in layout.components().iter().enumerate() {
            if is_direct(frame, layout, index) {
                self.load_direct(frame, index, component, mcu_row);
            } else if index == 0 {
                let rows = 8 * component.vertical;
                for y in 0..rows {
                    self.reader.luma(simd, frame, mcu_row * rows + y, self.planes[0].row(y));
                }
            } else if index == 1 {
                self.load_chroma(simd, frame, layout.components()[0], mcu_row);
            }
        }
    }

    /// Asks for what group `group` of MCU row `mcu_row` will be converted from, its upper or its lower half: while another group is
    /// coded there is time for that. Planes that are read in place are as fast row by row.
    #[inline(always)]
    pub(super) fn prefetch(&self, picture: &Picture<'_>, mcu_row: usize, group: usize, is_lower: bool) {
        let Some(packing) = packing(picture.frame.format()) else { return };
        let (frame, luma) = (picture.frame, picture.layout.components()[0]);
        let (plane, bytes, rows) = (frame.plane(0), packing.bytes * ROW_SAMPLES * luma.horizontal, 4 * luma.vertical);
        let first = (2 * mcu_row + usize::from(is_lower)) * rows;
        for y in first..first + rows {
            let start = y * plane.stride() + group * bytes;
            prefetch(plane.data(), start..start + bytes);
        }
    }

    /// Copies only what can't be read in place: the last columns, or a row of MCUs that reaches below the picture.
    fn load_direct(&mut self, frame: &Frame<'_>, index: usize, component: Component, mcu_row: usize) {
        let source = frame.plane(index);
        let rows = 8 * component.vertical;
        let plane = &mut self.planes[index];
        if (mcu_row + 1) * rows <= source.rows() {
            plane.direct_groups = source.row_bytes() / (ROW_SAMPLES * component.horizontal);
        }
        read_ahead(source, mcu_row * rows, if plane.direct_groups > 0 { rows } else { 0 });
        let copied = plane.direct_groups * ROW_SAMPLES * component.horizontal;
        if copied >= plane.stride.min(source.row_bytes()) {
            return;
        }
        for y in 0..rows {
            let from = source.row(mcu_row * rows + y);
            let to = plane.row(y);
            to[copied..from.len()].copy_from_slice(&from[copied..]);
            pad(to, from.len());
        }
    }

    #[inline(always)]
    fn load_rgb<S: Simd>(&mut self, simd: S, frame: &Frame<'_>, packing: Packing, luma: Component, mcu_row: usize) {
        let source = frame.plane(0);
        let first = mcu_row * 8 * luma.vertical;
        let [luma_plane, cb_plane, cr_plane] = &mut self.planes;
        let [[cb, cr], [cb_below, cr_below]] = &mut self.full;
        for j in 0..8 {
            let y = j * luma.vertical;
            if luma.horizontal == 1 {
                convert_row(simd, packing, source.row(first + y), luma_plane.row(y), cb_plane.row(y), cr_plane.row(y));
                continue;
            }
            convert_row(simd, packing, source.row(first + y), luma_plane.row(y), cb, cr);
            if luma.vertical == 1 {
                halve_row(simd, cb, cb_plane.row(j));
                halve_row(simd, cr, cr_plane.row(j));
                continue;
            }
            convert_row(simd, packing, source.row(first + y + 1), luma_plane.row(y + 1), cb_below, cr_below);
            halve_both(simd, [cb, cb_below], cb_plane.row(j));
            halve_both(simd, [cr, cr_below], cr_plane.row(j));
        }
    }

    /// Reads chroma at the frame's resolution and brings it to the file's: means down, repetition up.
    #[inline(always)]
    fn load_chroma<S: Simd>(&mut self, simd: S, frame: &Frame<'_>, luma: Component, mcu_row: usize) {
        let (horizontal, vertical) = chroma_factors(frame.format());
        let [_, cb_plane, cr_plane] = &mut self.planes;
        for j in 0..8 {
            let y = mcu_row * 8 + j;
            let [[cb, cr], [cb_below, cr_below]] = &mut self.full;
            let out = [cb_plane.row(j), cr_plane.row(j)];
            if (horizontal, vertical) == (luma.horizontal, luma.vertical) {
                self.reader.chroma(simd, frame, y, out);
                continue;
            }
            self.reader.chroma(simd, frame, y * luma.vertical / vertical, [cb, cr]);
            let is_vertical_mean = luma.vertical > vertical;
            if is_vertical_mean {
                self.reader.chroma(simd, frame, 2 * y + 1, [cb_below, cr_below]);
            }
            for (out, [row, below]) in out.into_iter().zip([[cb, cb_below], [cr, cr_below]]) {
                match (horizontal, luma.horizontal) {
                    (1, 2) if is_vertical_mean => halve_both(simd, [row, below], out),
                    (1, 2) => halve_row(simd, row, out),
                    (2, 1) => double_row(simd, row, out),
                    _ if is_vertical_mean => mean_rows(simd, [row, below], out),
                    _ => out.copy_from_slice(&row[..out.len()]),
                }
            }
        }
    }

    /// Samples of a component from row `8 * block_row` of the stripe and from group `group`, `call` vectors further; with
    /// their stride.
    #[inline(always)]
    pub(super) fn samples<'a>(
        &'a self,
        frame: &Frame<'a>,
        (index, component): (usize, &Component),
        mcu_row: usize,
        (block_row, group, call): (usize, usize, usize),
    ) -> (&'a [u8], usize) {
        let plane = &self.planes[index];
        let x = (group * component.horizontal + call) * ROW_SAMPLES;
        if group < plane.direct_groups {
            let source = frame.plane(index);
            let y = 8 * (mcu_row * component.vertical + block_row);
            return (&source.data()[y * source.stride() + x..], source.stride());
        }
        (&plane.samples[8 * block_row * plane.stride + x..], plane.stride)
    }
}
