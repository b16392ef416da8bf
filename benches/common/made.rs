//! Films that are made: what the bundled clip doesn't show.

use auralink::{FrameBuf, PixelFormat};

/// Text on paper, of which a half scrolls: planar 4:2:0.
pub(crate) fn screen(width: u32, height: u32, count: usize) -> Vec<FrameBuf> {
    let film = (0..count).map(|number| {
        let mut data = vec![128; PixelFormat::I420.frame_bytes(width, height)];
        let luma = (width * height) as usize;
        for (at, sample) in data[..luma].iter_mut().enumerate() {
            let (x, y) = (at % width as usize, at / width as usize);
            let y = if x < width as usize / 2 { y + 3 * number } else { y };
            let letter = ((x / 9) * 2_654_435 + (y / 17) * 40_503) >> 3;
            let is_ink = x % 9 < 7 && y % 17 < 12 && letter >> ((x % 9) / 2 + (y % 17) / 2) & 1 == 1;
            *sample = if is_ink { 30 } else { 235 };
        }
        FrameBuf::new(PixelFormat::I420, width, height, data).unwrap()
    });
    film.collect()
}

/// A picture that stands still under a little grain, but for a part in the middle that sways: planar 4:2:0.
pub(crate) fn call(picture: &FrameBuf, width: u32, height: u32, count: usize) -> Vec<FrameBuf> {
    let (columns, rows) = (width as usize, height as usize);
    let film = (0..count).map(|number| {
        let mut data = picture.data().to_vec();
        for y in rows / 4..rows {
            let (from, len) = (y * columns + columns / 3, columns / 3);
            data[from..from + len].copy_from_slice(&picture.data()[from + number..from + number + len]);
        }
        for (at, sample) in data.iter_mut().enumerate().filter(|(at, _)| (at * 31 + number * 17) % 5 == 0) {
            *sample = sample.saturating_add((at >> 3 & 1) as u8);
        }
        FrameBuf::new(PixelFormat::I420, width, height, data).unwrap()
    });
    film.collect()
}
