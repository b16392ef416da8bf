//! Weighted prediction: what a fade or a camera's exposure does to all samples alike is told once, for the whole picture
//! (ITU-T H.264 8.4.2.3).

use crate::frame::Frame;
use crate::kernel::Level;
use crate::kernel::h264::source::SourceRows;
use crate::kernel::h264::weigh::{Weight, distance, moments, weigh_all};

use super::motion::Base;
use super::picture::{Picture, Plane};
use super::source::Size;

/// Most pairs of rows of a picture that are looked at.
const PAIRS: usize = 16;
/// Differences to what is predicted from under which a frame is like it: one level in so many samples.
const ALIKE: u64 = 4;
/// By how much weighing must bring it nearer, one part in so many.
const WORTHWHILE: u64 = 10;

/// The weights of a picture's samples, of Cb and Cr alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    pub(super) luma: Weight,
    pub(super) chroma: Option<Weight>,
}

/// Some rows of a picture.
#[derive(Debug, Default)]
struct Rows {
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Rows {
    /// Room for pairs of luma rows, each with their row of chroma, in some of a picture's rows of macroblocks; with the first of
    /// their rows.
    fn places(&mut self, size: Size) -> impl Iterator<Item = (usize, [&mut [u8]; 2])> {
        let (stride, step) = (16 * size.columns, size.rows.div_ceil(PAIRS).max(1));
        let pairs = size.rows.div_ceil(step);
        self.luma.resize(2 * stride * pairs, 0);
        self.chroma.resize(stride * pairs, 0);
        let places = self.luma.chunks_exact_mut(2 * stride).zip(self.chroma.chunks_exact_mut(stride));
        (0..).step_by(16 * step).zip(places.map(|(luma, chroma)| [luma, chroma]))
    }
}

/// Finds out how the light of a frame differs from that of the picture it is predicted from, as the decoder has it: what
/// rounding did to the frames before is made good as well.
#[derive(Debug, Default)]
pub(super) struct Light {
    reader: SourceRows,
    now: Rows,
    before: Rows,
    weights: Option<Weights>,
    /// What is predicted from, weighted.
    weighted: Plane,
}

impl Light {
    /// Settles how a frame is predicted from a picture.
    pub(super) fn settle(&mut self, level: Level, frame: &Frame<'_>, picture: &Picture, size: Size) {
        for (y, [luma, chroma]) in self.now.places(size) {
            self.reader.load(level, frame, y, 16 * size.columns, [luma, chroma]);
        }
        for (y, [luma, chroma]) in self.before.places(size) {
            picture.luma.copy_rows(y, luma, 16 * size.columns);
            picture.chroma.copy_rows(y / 2, chroma, 16 * size.columns);
        }
        self.weights = self.change(level);
        // Memory is taken at the start, not when the light first changes.
        if self.changes() || self.weighted.samples.len() != picture.luma.samples.len() {
            self.weighted.copy(&picture.luma);
        }
        if let Some(weights) = self.weights {
            weigh_all(level, &mut self.weighted.samples, weights.luma);
        }
    }

    /// Whether the frame is predicted from samples that are weighted.
    pub(super) fn changes(&self) -> bool {
        self.weights.is_some()
    }

    /// The picture, to be predicted from as was settled.
    pub(super) fn base<'a>(&'a self, picture: &'a Picture) -> Base<'a> {
        let searched = if self.changes() { &self.weighted } else { &picture.luma };
        Base { picture, weights: self.weights, searched }
    }

    /// The weights by mean and contrast, if they bring the picture so much nearer to the frame that they are worth their while.
    fn change(&self, level: Level) -> Option<Weights> {
        let (now, before) = (&self.now, &self.before);
        if distance(level, &now.luma, &before.luma, None) < now.luma.len() as u64 / ALIKE {
            return None;
        }
        let [mean, contrast] = mean_and_contrast(level, &now.luma);
        let [mean_before, contrast_before] = mean_and_contrast(level, &before.luma);
        let ratio = if contrast_before < 1.0 { 1.0 } else { contrast / contrast_before };
        let is_worthwhile = |now: &[u8], before: &[u8], weight| {
            let apart = distance(level, now, before, None);
            distance(level, now, before, Some(weight)) < apart - apart.div_ceil(WORTHWHILE)
        };
        let luma =
            weight(ratio, [mean_before, mean]).filter(|&weight| is_worthwhile(&now.luma, &before.luma, weight))?;
        // Colours fade to grey.
        let chroma = weight(ratio, [128.0; 2]).filter(|&weight| is_worthwhile(&now.chroma, &before.chroma, weight));
        Some(Weights { luma, chroma })
    }
}

/// Mean and standard deviation.
fn mean_and_contrast(level: Level, samples: &[u8]) -> [f64; 2] {
    let count = samples.len().max(1) as f64;
    let [sum, squares] = moments(level, samples).map(|sum| sum as f64);
    let mean = sum / count;
    [mean, (squares / count - mean * mean).max(0.0).sqrt()]
}

/// The weight of a ratio, as exact as it can be written, that turns one mean into the other.
fn weight(ratio: f64, [from, to]: [f64; 2]) -> Option<Weight> {
    let shift = (1..=7).rev().find(|&shift| ratio * f64::from(1 << shift) < 127.0)?;
    let factor = (ratio * f64::from(1 << shift)).round();
    let offset = (to - from * factor / f64::from(1 << shift)).round();
    let is_something = factor != f64::from(1 << shift) || offset != 0.0;
    let weight = Weight { factor: factor as i16, shift, offset: offset as i16 };
    (is_something && (-128.0..=127.0).contains(&offset)).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameBuf, PixelFormat};
    use crate::kernel::detect;

    const SIDE: u32 = 96;

    /// Waves that moved by `moved` samples, `ratio` as bright, `more` levels brighter.
    fn frame(moved: u32, ratio: f32, more: f32) -> FrameBuf {
        let luma = (0..SIDE * SIDE).map(|i| {
            let (x, y) = ((i % SIDE + moved) as f32, (i / SIDE) as f32);
            100.0 + 60.0 * (x * 0.13).sin() * (y * 0.07).cos() + 20.0 * (x * 0.9).sin()
        });
        let chroma = (0..SIDE * SIDE / 2).map(|i| 128.0 + ratio * 50.0 * (i as f32 * 0.01).sin());
        let data = luma.map(|sample| ratio * sample + more).chain(chroma).map(|sample| sample.round() as u8);
        FrameBuf::new(PixelFormat::I420, SIDE, SIDE, data.collect()).unwrap()
    }

    /// The weights from a frame, as if it had been coded without loss, to another.
    fn weights([from, to]: [FrameBuf; 2]) -> Option<Weights> {
        let (size, mut picture, mut reader) =
            (Size::of(SIDE, SIDE), Picture::new(Size::of(SIDE, SIDE)), SourceRows::default());
        let (stride, at) = (picture.luma.stride, [picture.luma.row_start(0), picture.chroma.row_start(0)]);
        let side = SIDE as usize;
        let [mut luma, mut chroma] = [vec![0; side * side], vec![0; side * side / 2]];
        reader.load(detect(), &from.as_frame(), 0, side, [&mut luma, &mut chroma]);
        for (y, row) in luma.chunks_exact(side).enumerate() {
            picture.luma.samples[at[0] + y * stride..][..side].copy_from_slice(row);
        }
        for (y, row) in chroma.chunks_exact(side).enumerate() {
            picture.chroma.samples[at[1] + y * stride..][..side].copy_from_slice(row);
        }
        let mut light = Light::default();
        light.settle(detect(), &to.as_frame(), &picture, size);
        assert_eq!(light.changes(), light.base(&picture).weights.is_some());
        light.weights
    }

    #[test]
    fn fades_are_told_by_factor_and_offset() {
        for (ratio, more) in [(0.9, 0.0), (0.97, 0.5), (1.2, 0.0), (1.0, 3.0), (1.0, -7.0), (0.5, 60.0), (0.02, 0.0)] {
            let found = weights([frame(0, 1.0, 0.0), frame(0, ratio, more)]).unwrap().luma;
            let told = f32::from(found.factor) / f32::from(1_i16 << found.shift);
            assert!((told - ratio).abs() < 0.02, "{ratio}: {found:?}");
            let at_100 = 100.0 * told + f32::from(found.offset);
            assert!((at_100 - 100.0 * ratio - more).abs() < 1.5, "{ratio} {more}: {found:?}");
        }
    }

    #[test]
    fn colours_fade_with_brightness() {
        let chroma = weights([frame(0, 1.0, 0.0), frame(0, 0.8, 0.0)]).unwrap().chroma.unwrap();
        assert_eq!(128, ((128 * i32::from(chroma.factor)) >> chroma.shift) + i32::from(chroma.offset));
        assert_eq!(weights([frame(0, 1.0, 0.0), frame(0, 1.0, 9.0)]).unwrap().chroma, None);
    }

    #[test]
    fn what_stands_still_or_moves_has_no_weights() {
        assert_eq!(weights([frame(0, 1.0, 0.0), frame(0, 1.0, 0.0)]), None);
        assert_eq!(weights([frame(0, 1.0, 0.0), frame(3, 1.0, 0.0)]), None);
    }
}
