//! How a content looks on the screen of its receiver: what coding takes of its SSIM, and what a smaller size takes.
//!
//! On a screen a picture has the size of its source, whatever it was coded at:
//!
//! `SSIM = (1 - coarseness * usual loss at the quality) * (1 - detail) ^ loss of the size`
//!
//! Contents differ in two numbers: how many times the usual is lost by coding, and how much of what is to be seen is too fine for
//! three quarters of the size.

use super::{Scale, model};

/// Of a usual content.
const USUAL_DETAIL: f64 = 0.03;
/// How much more than 3/4 of the sides the other sizes lose, in logarithms of SSIM: geometric means over fifteen clips of people, sport,
/// animation and screens.
const SIZE_LOSS: [(Scale, f64); 5] = {
    let [full, three_quarters, half, three_eighths, quarter] = Scale::LADDER;
    [(full, 0.0), (three_quarters, 1.0), (half, 2.3), (three_eighths, 3.1), (quarter, 4.8)]
};
/// Bounds of what is believed.
const COARSENESS: (f64, f64) = (0.02, 20.0);
const DETAIL: (f64, f64) = (0.0, 0.6);
/// How fast coarseness is followed up and down, and detail: what is coarser than thought is seen.
const COARSENESS_SPEEDS: (f64, f64) = (0.1, 0.05);
const DETAIL_SPEED: f64 = 0.3;

/// What is known of a content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Appearance {
    coarseness: f64,
    detail: f64,
    is_measured: [bool; 2],
}

impl Default for Appearance {
    fn default() -> Self {
        Self { coarseness: 1.0, detail: USUAL_DETAIL, is_measured: [false; 2] }
    }
}

impl Appearance {
    /// SSIM on the screen of pictures coded at a quality and a size.
    pub fn ssim(&self, quality: u8, scale: Scale) -> f64 {
        (1.0 - self.coarseness * (1.0 - model::ssim(quality))).max(0.0) * self.ssim_of_size(scale)
    }

    /// The least quality at which pictures of a size come to `ssim` on the screen; `None` where none does.
    pub fn quality_for(&self, ssim: f64, scale: Scale) -> Option<u8> {
        let (mut low, mut high) = (0, 101);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.ssim(middle, scale) >= ssim { high = middle } else { low = middle }
        }
        (high <= 100).then_some(high)
    }

    /// Takes what a picture coded at a quality came to at the size that it is coded at.
    pub(crate) fn learn_coding(&mut self, quality: u8, ssim: f64) {
        let seen = ((1.0 - ssim) / (1.0 - model::ssim(quality))).clamp(COARSENESS.0, COARSENESS.1);
        let speed = if seen > self.coarseness { COARSENESS_SPEEDS.0 } else { COARSENESS_SPEEDS.1 };
        follow(&mut self.coarseness, seen, speed, &mut self.is_measured[0]);
    }

    /// Takes what a picture came to on the screen that was never coded, and only brought to a smaller size and back.
    pub(crate) fn learn_size(&mut self, scale: Scale, ssim: f64) {
        let loss = loss(scale);
        if loss > 0.0 {
            let seen = (1.0 - ssim.max(0.0).powf(loss.recip())).clamp(DETAIL.0, DETAIL.1);
            follow(&mut self.detail, seen, DETAIL_SPEED, &mut self.is_measured[1]);
        }
    }

    /// What a size keeps of SSIM.
    pub(crate) fn ssim_of_size(&self, scale: Scale) -> f64 {
        (1.0 - self.detail).powf(loss(scale))
    }
}

/// The first that is seen counts wholly.
fn follow(value: &mut f64, seen: f64, speed: f64, is_measured: &mut bool) {
    *value += if std::mem::replace(is_measured, true) { speed } else { 1.0 } * (seen - *value);
}

fn loss(scale: Scale) -> f64 {
    SIZE_LOSS.iter().find(|row| row.0 == scale).map_or(0.0, |row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(coarseness: f64, detail: f64) -> Appearance {
        let truth = Appearance { coarseness, detail, ..Appearance::default() };
        let mut appearance = Appearance::default();
        appearance.learn_size(Scale::LADDER[2], truth.ssim_of_size(Scale::LADDER[2]));
        appearance.learn_coding(30, truth.ssim(30, Scale::FULL));
        appearance
    }

    #[test]
    fn what_was_seen_once_is_known_at_every_quality_and_size() {
        for (coarseness, detail) in [(0.5, 0.003), (1.0, 0.03), (4.5, 0.19)] {
            let (truth, appearance) =
                (Appearance { coarseness, detail, ..Appearance::default() }, learned(coarseness, detail));
            for (scale, quality) in Scale::LADDER.into_iter().zip([80, 50, 30, 15, 5]) {
                assert!((appearance.ssim(quality, scale) - truth.ssim(quality, scale)).abs() < 1e-9, "{appearance:?}");
            }
        }
    }

    #[test]
    fn a_quality_is_the_least_that_reaches_what_is_asked_or_there_is_none() {
        let appearance = learned(2.0, 0.1);
        for scale in Scale::LADDER {
            for asked in [0.5, 0.7, 0.85, 0.95, 0.99] {
                match appearance.quality_for(asked, scale) {
                    Some(quality) => {
                        assert!(appearance.ssim(quality, scale) >= asked);
                        assert!(quality == 1 || appearance.ssim(quality - 1, scale) < asked);
                    }
                    None => assert!(appearance.ssim(100, scale) < asked),
                }
            }
        }
        assert_eq!(appearance.quality_for(0.95, Scale::LADDER[4]), None);
    }

    #[test]
    fn one_coarse_picture_counts_for_more_than_one_fine_one() {
        let (before, mut coarse, mut fine) = (learned(1.0, 0.03), learned(1.0, 0.03), learned(1.0, 0.03));
        coarse.learn_coding(50, learned(2.0, 0.03).ssim(50, Scale::FULL));
        fine.learn_coding(50, learned(0.1, 0.03).ssim(50, Scale::FULL));
        let at = |appearance: &Appearance| appearance.ssim(50, Scale::FULL);
        assert!(at(&before) - at(&coarse) > 1.5 * (at(&fine) - at(&before)) && at(&fine) > at(&before));
    }

    #[test]
    fn nothing_that_is_seen_makes_nonsense() {
        for ssim in [-1.0, 0.0, 0.5, 1.0] {
            let mut appearance = Appearance::default();
            for scale in Scale::LADDER {
                appearance.learn_size(scale, ssim);
                appearance.learn_coding(1, ssim);
                appearance.learn_coding(100, ssim);
                assert!((0.0..=1.0).contains(&appearance.ssim(50, scale)), "{appearance:?}");
            }
        }
    }
}
