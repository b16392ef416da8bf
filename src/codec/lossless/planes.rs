//! Frames into coded planes and back, a band at a time.

use crate::frame::{Frame, PixelFormat};
use crate::kernel::Level;
use crate::kernel::checksum::{self, Checksum};
use crate::kernel::rct::{self, Order, Packing};

use super::layout::{Layout, MAX_PLANES};

/// Rows of a frame's plane `index` that lie in a band. Planes of a frame have the rows of the coded plane of that number.
fn frame_rows(layout: &Layout, index: usize, band: usize) -> std::ops::Range<usize> {
    layout.planes().get(index).map_or(0..0, |plane| layout.band_rows_of(plane, band))
}

/// Splits a band of a frame into coded planes, and sums its bytes.
pub(super) fn split(level: Level, layout: &Layout, frame: &Frame<'_>, band: usize, data: &mut [u8]) -> u32 {
    let mut sum = Checksum::new();
    let mut parts = layout.split_band_mut(band, data);
    for (index, plane) in frame.planes().iter().enumerate() {
        for (at, y) in frame_rows(layout, index, band).enumerate() {
            let row = plane.row(y);
            sum.update(level, row);
            split_row(level, layout, index, row, rows_at(layout, &mut parts, at));
        }
    }
    sum.value()
}

fn rows_at<'a>(layout: &Layout, parts: &'a mut [&mut [u8]; MAX_PLANES], at: usize) -> [&'a mut [u8]; MAX_PLANES] {
    let mut rows = [(); MAX_PLANES].map(|()| &mut [][..]);
    for ((row, part), plane) in rows.iter_mut().zip(parts).zip(layout.planes()) {
        *row = part.get_mut(at * plane.row_bytes..(at + 1) * plane.row_bytes).unwrap_or_default();
    }
    rows
}

/// Splits one row of a frame's plane `index`.
fn split_row(level: Level, layout: &Layout, index: usize, row: &[u8], planes: [&mut [u8]; MAX_PLANES]) {
    let [a, b, c, d] = planes;
    match (layout.format, index) {
        (PixelFormat::Rgb8, _) => rct::split_rgb(level, Order::Rgb, row, [a, b, c]),
        (PixelFormat::Bgr8, _) => rct::split_rgb(level, Order::Bgr, row, [a, b, c]),
        (PixelFormat::Rgba8, _) => rct::split_rgba(level, Order::Rgb, row, [a, b, c, d]),
        (PixelFormat::Bgra8, _) => rct::split_rgba(level, Order::Bgr, row, [a, b, c, d]),
        (PixelFormat::Yuyv, _) => rct::split_422(level, Packing::Yuyv, row, [a, b, c]),
        (PixelFormat::Uyvy, _) => rct::split_422(level, Packing::Uyvy, row, [a, b, c]),
        (PixelFormat::Nv12, 1) => rct::split_pairs(level, row, [b, c]),
        (_, 1) => b.copy_from_slice(row),
        (_, 2) => c.copy_from_slice(row),
        _ => a.copy_from_slice(row),
    }
}

/// Merges a band of coded planes into the rows of a frame's plane `index` (without padding), and sums their bytes.
pub(super) fn merge(
    level: Level,
    layout: &Layout,
    index: usize,
    band: usize,
    data: &[u8],
    out: &mut [u8],
    sum: &mut Checksum,
) {
    let parts = layout.split_band(band, data);
    let row_bytes = layout.format.plane_size(index, layout.width, layout.height).row_bytes;
    for (at, row) in out.chunks_exact_mut(row_bytes.max(1)).enumerate() {
        let mut rows = [&[][..]; MAX_PLANES];
        for ((row, part), plane) in rows.iter_mut().zip(parts).zip(layout.planes()) {
            *row = part.get(at * plane.row_bytes..(at + 1) * plane.row_bytes).unwrap_or_default();
        }
        merge_row(level, layout, index, rows, row);
        sum.update(level, row);
    }
}

fn merge_row(level: Level, layout: &Layout, index: usize, planes: [&[u8]; MAX_PLANES], row: &mut [u8]) {
    let [a, b, c, d] = planes;
    match (layout.format, index) {
        (PixelFormat::Rgb8, _) => rct::merge_rgb(level, Order::Rgb, [a, b, c], row),
        (PixelFormat::Bgr8, _) => rct::merge_rgb(level, Order::Bgr, [a, b, c], row),
        (PixelFormat::Rgba8, _) => rct::merge_rgba(level, Order::Rgb, [a, b, c, d], row),
        (PixelFormat::Bgra8, _) => rct::merge_rgba(level, Order::Bgr, [a, b, c, d], row),
        (PixelFormat::Yuyv, _) => rct::merge_422(level, Packing::Yuyv, [a, b, c], row),
        (PixelFormat::Uyvy, _) => rct::merge_422(level, Packing::Uyvy, [a, b, c], row),
        (PixelFormat::Nv12, 1) => rct::merge_pairs(level, [b, c], row),
        (_, 1) => row.copy_from_slice(b),
        (_, 2) => row.copy_from_slice(c),
        _ => row.copy_from_slice(a),
    }
}

/// The checksum of a picture, from those of its bands.
pub(super) fn picture_sum(bands: impl Iterator<Item = u32>) -> u32 {
    checksum::fold(bands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameBuf;

    #[test]
    fn every_format_comes_back_with_the_same_sum() {
        for format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (2, 2), (17, 33), (40, 18)] {
                let pixels: Vec<u8> = (0..format.frame_bytes(width, height)).map(|i| (i * i / 5 + i) as u8).collect();
                let frame = Frame::new(format, width, height, &pixels).unwrap();
                let layout = Layout::with_band_rows(format, width, height, 16);
                let mut back = FrameBuf::zeroed(format, width, height).unwrap();
                for band in 0..layout.bands() {
                    let mut data = vec![0; layout.band_bytes()];
                    let sum = split(Level::new(), &layout, &frame, band, &mut data);
                    let mut back_sum = Checksum::new();
                    let mut rest = back.data_mut();
                    for index in 0..format.planes() {
                        let size = format.plane_size(index, width, height);
                        let (plane, after) = rest.split_at_mut(size.row_bytes * size.rows);
                        rest = after;
                        let rows = frame_rows(&layout, index, band);
                        let out = &mut plane[rows.start * size.row_bytes..rows.end * size.row_bytes];
                        merge(Level::new(), &layout, index, band, &data, out, &mut back_sum);
                    }
                    assert_eq!(back_sum.value(), sum);
                }
                assert_eq!(back.data(), pixels, "{format} {width}x{height}");
            }
        }
    }
}
