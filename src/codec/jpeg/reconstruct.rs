//! What a decoder will see: dequantised and transformed back as the "islow" decoder does.

use super::group::Placed;
use super::layout::Layout;
use crate::frame::{Frame, PixelFormat};
use crate::kernel::Simd;
use crate::kernel::dct::inverse;
use crate::kernel::quantise::Quantiser;

/// The decoded planes of a band's rows.
#[derive(Debug, Default)]
pub(super) struct BandPicture {
    planes: [BandPlane; 3],
}

#[derive(Debug, Default)]
struct BandPlane {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    /// Row of the component where the band begins.
    first_row: usize,
}

impl BandPicture {
    /// Makes room for the MCU rows from `first` to before `end`.
    pub(super) fn prepare(&mut self, layout: &Layout, first: usize, end: usize) {
        for (plane, component) in self.planes.iter_mut().zip(layout.components()) {
            plane.first_row = first * 8 * component.vertical;
            plane.height = (end * 8 * component.vertical).min(component.height) - plane.first_row;
            plane.width = component.width;
            plane.samples.resize(plane.width * plane.height, 0);
        }
    }

    /// Decodes blocks into their places; what lies outside the picture is dropped.
    #[inline(always)]
    pub(super) fn add<'a, S: Simd>(
        &mut self,
        simd: S,
        quantisers: &[Quantiser; 2],
        blocks: impl Iterator<Item = Placed<'a>>,
    ) {
        for block in blocks {
            let plane = &mut self.planes[block.component];
            let samples = decode(simd, &quantisers[block.component.min(1)], block.coefficients);
            let (x, y) = (8 * block.column, 8 * block.row - plane.first_row);
            let columns = plane.width.saturating_sub(x).min(8);
            for (row, samples) in plane.samples.chunks_exact_mut(plane.width).skip(y).zip(&samples) {
                if columns > 0 {
                    row[x..x + columns].copy_from_slice(&samples[..columns]);
                }
            }
        }
    }

    /// Appends one plane's rows.
    pub(super) fn append_plane(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.planes[index].samples);
    }
}

#[fearless_simd_macros::simd]
fn decode<S: Simd>(_simd: S, quantiser: &Quantiser, coefficients: &[i16; 64]) -> [[u8; 8]; 8] {
    inverse(&quantiser.dequantise(coefficients))
}

/// The whole decoded picture.
#[derive(Debug, Default)]
pub(super) struct Reconstruction {
    pub(super) samples: Vec<u8>,
    /// Format and size, where there is a picture.
    pub(super) kind: Option<(PixelFormat, u32, u32)>,
}

impl Reconstruction {
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        let (format, width, height) = self.kind?;
        let frame = Frame::new(format, width, height, &self.samples).ok()?;
        Some(frame.with_color(crate::frame::ColorSpace::JFIF))
    }

    /// Joins the bands' planes.
    pub(super) fn gather<'a>(&mut self, layout: &Layout, bands: impl Iterator<Item = &'a BandPicture> + Clone) {
        self.samples.clear();
        for index in 0..layout.components().len() {
            bands.clone().for_each(|band| band.append_plane(index, &mut self.samples));
        }
        let luma = layout.components()[0];
        let format = match (layout.components().len(), luma.horizontal, luma.vertical) {
            (1, ..) => PixelFormat::Gray8,
            (_, 2, 2) => PixelFormat::I420,
            (_, 2, _) => PixelFormat::I422,
            _ => PixelFormat::I444,
        };
        self.kind = Some((format, layout.width as u32, layout.height as u32));
    }
}
