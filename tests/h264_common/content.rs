//! Films made from numbers: each kind provokes its own part of an encoder.

use std::f32::consts::TAU;

use auralink::{FrameBuf, PixelFormat};

/// What a film shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Every sample by chance.
    Noise,
    /// One level, which changes every few frames.
    Flat,
    /// Black and white in turn, sample by sample, the phase alternating.
    Checkerboard,
    /// Blocks and single samples of 0 and 255 by chance: the largest residuals there are.
    Extremes,
    /// A slope that moves by fractions of a sample.
    Gradient,
    /// Waves that drift by quarter samples, with a little grain.
    Texture,
    /// Another picture altogether every three frames.
    Cuts,
    /// Thin strokes on a flat ground that scroll, beside some that stand still.
    Text,
    /// Textured objects that run in and out of a standing picture.
    Objects,
    /// Objects in a light that goes and comes, to the dark or to the bright.
    Fade,
}

impl Content {
    /// All kinds.
    pub(crate) const ALL: [Self; 10] = [
        Self::Noise,
        Self::Flat,
        Self::Checkerboard,
        Self::Extremes,
        Self::Gradient,
        Self::Texture,
        Self::Cuts,
        Self::Text,
        Self::Objects,
        Self::Fade,
    ];

    /// Frame `number` of a film, planar 4:2:0.
    pub(crate) fn frame(self, width: u32, height: u32, seed: u32, number: u32) -> FrameBuf {
        let (w, h) = (width as i32, height as i32);
        let (wide, high) = ((w + 1) / 2, (h + 1) / 2);
        let mut data = Vec::with_capacity(PixelFormat::I420.frame_bytes(width, height));
        data.extend((0..h).flat_map(|y| (0..w).map(move |x| self.sample(0, x, y, seed, number))));
        for plane in 1..3 {
            let at = |x, y| self.sample(plane, 2 * x, 2 * y, seed, number);
            data.extend((0..high).flat_map(|y| (0..wide).map(move |x| at(x, y))));
        }
        FrameBuf::new(PixelFormat::I420, width, height, data).unwrap()
    }

    fn sample(self, plane: u32, x: i32, y: i32, seed: u32, number: u32) -> u8 {
        let chance = |a: i32, b: i32, c: u32| hash([seed + 77 * plane, a as u32, b as u32, c]);
        let (column, line, time) = (x as f32, y as f32, number as f32);
        match self {
            Self::Noise => chance(x, y, number) as u8,
            Self::Flat => chance(0, 0, number / 4) as u8,
            Self::Checkerboard => 255 * (((x >> plane.min(1)) + (y >> plane.min(1)) + number as i32) & 1) as u8,
            Self::Extremes => {
                let block = chance(x / 8, y / 8, number);
                let bits = if block & 6 == 0 { chance(x, y, number) } else { block };
                255 * (bits & 1) as u8
            }
            Self::Gradient => {
                let [across, down] = [seed & 15, seed >> 4 & 15].map(|slope| (slope as f32 - 7.0) / 3.0);
                let level = (column + 0.37 * time) * across + (line - 0.81 * time) * down;
                (128.0 + level * if plane == 0 { 1.0 } else { 0.4 }).rem_euclid(256.0) as u8
            }
            Self::Texture => {
                let grain = (chance(x, y, number) & 3) as u8;
                waves(column + 1.75 * time, line - 0.5 * time, seed + plane).saturating_add(grain)
            }
            Self::Cuts => {
                let scene = number / 3;
                let kinds = [Self::Texture, Self::Noise, Self::Text, Self::Gradient, Self::Objects];
                kinds[(hash([seed, scene, 5, 5]) % 5) as usize].sample(plane, x, y, seed + scene, number)
            }
            Self::Text => {
                let (ink, paper) = if plane == 0 { (20, 235) } else { (128, 120 + 16 * (plane as u8 - 1)) };
                let scrolled = if x & 128 == 0 { y + 3 * number as i32 } else { y };
                let letter = chance(x / 7, scrolled.div_euclid(11), 1);
                let (across, down) = ((x % 7) as u32, scrolled.rem_euclid(11) as u32);
                let is_ink =
                    letter & 3 != 0 && down < 9 && across < 6 && letter >> ((across * 3 + down * 2) % 29) & 1 == 1;
                if is_ink { ink } else { paper }
            }
            Self::Objects => {
                let object = (0..3_u32).find(|&k| {
                    let speed = [19, -31, 7][k as usize] * number as i32;
                    let left = (hash([seed, k, 0, 0]) & 127) as i32 + speed;
                    let top = (hash([seed, k, 1, 0]) & 63) as i32 + speed / 2;
                    (x - left).rem_euclid(190) < 34 && (y - top).rem_euclid(120) < 29
                });
                match object {
                    Some(k) => {
                        let speed = [19.0, -31.0, 7.0][k as usize] * time;
                        waves(2.3 * (column - speed), 1.9 * (line - (speed / 2.0).floor()), seed + k + plane)
                    }
                    None => waves(column, line, seed + 9 + plane),
                }
            }
            Self::Fade => {
                let light = ((9 * number + seed) % 200) as f32 / 100.0 - 1.0;
                let end = [16.0, 235.0][(seed & 1) as usize];
                let ground = if plane == 0 { end } else { 128.0 };
                let object = f32::from(Self::Objects.sample(plane, x, y, seed, number / 2));
                (ground + light.abs() * (object - ground)) as u8
            }
        }
    }
}

fn waves(x: f32, y: f32, seed: u32) -> u8 {
    let step = |k: u32| (hash([seed, k, 3, 3]) % 1000) as f32 / 9000.0 + 0.01;
    let wave = |k: u32| (TAU * (x * step(k) + y * step(k + 1)) + k as f32).sin();
    (128.0 + 60.0 * wave(0) + 40.0 * wave(2) * wave(4)).clamp(0.0, 255.0) as u8
}

/// Chance that is the same everywhere.
pub(crate) fn hash(words: [u32; 4]) -> u32 {
    words.into_iter().fold(0x9E37_79B9_u32, |state, word| {
        let mixed = (state ^ word).wrapping_mul(0x85EB_CA6B);
        (mixed ^ (mixed >> 13)).wrapping_mul(0xC2B2_AE35).rotate_left(15)
    })
}
