//! Pictures made from numbers: the same on every machine, of the kinds that codecs meet.

use crate::frame::{FrameBuf, PixelFormat, PlaneSize};

/// What a made picture looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// One colour.
    Flat,
    /// Smooth waves with a little grain that move from frame to frame: what cameras see.
    Waves,
    /// Hard-edged blocks and lines on a flat ground, of which a part moves: what screens show.
    Screen,
    /// Every sample by chance: the worst case.
    Noise,
}

impl Content {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Flat, Self::Waves, Self::Screen, Self::Noise];
}

/// Frame `number` of a made film, at BT.601 in limited range where that means something.
///
/// # Panics
/// A side outside 1..=16384.
pub fn picture(content: Content, format: PixelFormat, width: u32, height: u32, number: u32) -> FrameBuf {
    let mut data = Vec::with_capacity(format.frame_bytes(width, height));
    for plane in 0..format.planes() {
        let PlaneSize { row_bytes, rows } = format.plane_size(plane, width, height);
        let down = (height as usize).div_ceil(rows.max(1)) as u32;
        for y in 0..rows as u32 {
            for at in 0..row_bytes {
                let (channel, x) = place(format, plane, at, width);
                data.push(sample(content, channel, x, y * down, number));
            }
        }
    }
    FrameBuf::new(format, width, height, data).expect("the size is the caller's promise, the length follows from it")
}

/// `length` bytes by chance.
#[cfg(test)]
pub(super) fn noise(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| hash(seed, at, 0x9E37) as u8).collect()
}

/// Channel and column of the picture that byte `at` of a plane's row shows.
fn place(format: PixelFormat, plane: usize, at: usize, width: u32) -> (u32, u32) {
    let at = at as u32;
    let (channel, x) = match format {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => (at % 3, at / 3),
        PixelFormat::Rgba8 | PixelFormat::Bgra8 => (at % 4, at / 4),
        PixelFormat::Gray16 => (at % 2, at / 2),
        PixelFormat::Nv12 if plane == 1 => (1 + at % 2, at & !1),
        PixelFormat::Yuyv if at % 2 == 1 => (1 + at / 2 % 2, at / 4 * 2),
        PixelFormat::Uyvy if at.is_multiple_of(2) => (1 + at / 2 % 2, at / 4 * 2),
        PixelFormat::Yuyv | PixelFormat::Uyvy => (0, at / 2),
        PixelFormat::I420 | PixelFormat::I422 if plane > 0 => (plane as u32, 2 * at),
        _ => (plane as u32, at),
    };
    (channel, x.min(width - 1))
}

fn sample(content: Content, channel: u32, x: u32, y: u32, number: u32) -> u8 {
    match content {
        Content::Flat => 60 + 40 * channel as u8,
        Content::Waves => {
            let (x, y, phase) = (f64::from(x), f64::from(y), f64::from(number) * 0.2 + f64::from(channel));
            let wave = (x / 23.0 + phase).sin() * (y / 31.0 - phase).cos() + 0.3 * ((x + y) / 7.0 + phase).sin();
            (128.0 + 80.0 * wave) as u8 ^ (hash(x as u32, y as u32, number) & 1) as u8
        }
        Content::Screen => {
            let moved = if y / 64 % 4 == 1 { x + 8 * number } else { x };
            let is_letter = hash(moved / 9, y / 17, 1).is_multiple_of(3);
            let is_ink = hash(moved, y % 17, moved / 9).is_multiple_of(2);
            if is_letter && is_ink { 30 + 10 * channel as u8 } else { 235 }
        }
        Content::Noise => hash(x, y, number * 4 + channel) as u8,
    }
}

/// Three numbers to one without a pattern (the finaliser of MurmurHash3).
fn hash(a: u32, b: u32, c: u32) -> u32 {
    let mut h = a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_mul(0x85EB_CA77) ^ c.wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_shows_the_same_luma() {
        let planar = picture(Content::Screen, PixelFormat::I444, 21, 9, 3);
        for format in [PixelFormat::I420, PixelFormat::I422, PixelFormat::Nv12, PixelFormat::Gray8] {
            let other = picture(Content::Screen, format, 21, 9, 3);
            assert_eq!(other.data()[..21 * 9], planar.data()[..21 * 9], "{format}");
        }
        let packed = picture(Content::Screen, PixelFormat::Yuyv, 21, 9, 3);
        assert_eq!(packed.data()[4], planar.data()[2]);
    }

    #[test]
    fn films_move() {
        for content in [Content::Waves, Content::Screen, Content::Noise] {
            let frame = |number| picture(content, PixelFormat::Rgb8, 64, 96, number);
            assert_eq!(frame(1), frame(1));
            assert_ne!(frame(1), frame(2), "{content:?}");
        }
    }
}
