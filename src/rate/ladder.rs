//! Sizes that don't flicker: down soon, up only when it has been wanted for long.

use std::time::Duration;

use crate::rate::Scale;

/// How long a smaller size must have been wanted, and how long after the last change.
const DOWN_AFTER: Duration = Duration::from_millis(100);
const DOWN_REST: Duration = Duration::from_secs(1);
/// The same of a larger one.
const UP_AFTER: Duration = Duration::from_secs(3);
const UP_REST: Duration = Duration::from_secs(10);
/// A larger size that was given up so soon was taken for nothing: the rest before the next one is so many times as long, up to a
/// bound.
const FOR_NOTHING: Duration = Duration::from_secs(40);
const REST_GROWTH: u32 = 3;
const MAX_UP_REST: Duration = Duration::from_secs(120);

/// The size that frames are coded at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    scale: Scale,
    has_begun: bool,
    changed: Option<Duration>,
    /// How long after the last change a larger size must wait, and when one was last taken.
    up_rest: Duration,
    went_up: Option<Duration>,
    /// Since when every plan has wanted a smaller size, or a larger one, and the nearest of those wanted.
    wish: Option<(Scale, Duration)>,
}

impl Ladder {
    pub(crate) const fn new() -> Self {
        Self { scale: Scale::FULL, has_begun: false, changed: None, up_rest: UP_REST, went_up: None, wish: None }
    }

    /// The size of the last frame.
    pub(crate) const fn scale(&self) -> Scale {
        self.scale
    }

    /// The size of a frame for which a plan wants `wanted`.
    pub(crate) fn step(&self, wanted: Scale, now: Duration) -> Scale {
        if !self.has_begun {
            return wanted;
        }
        let (after, rest) = if wanted < self.scale { (DOWN_AFTER, DOWN_REST) } else { (UP_AFTER, self.up_rest) };
        let has_rested = self.changed.is_none_or(|changed| now.saturating_sub(changed) >= rest);
        match self.wish(wanted, now) {
            Some((wish, since)) if has_rested && now.saturating_sub(since) >= after => wish,
            _ => self.scale,
        }
    }

    /// A frame was planned for which `wanted` was wanted, and is coded at `scale`.
    pub(crate) fn note(&mut self, wanted: Scale, scale: Scale, now: Duration) {
        self.wish = self.wish(wanted, now);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.scale = scale;
        }
        if scale != self.scale {
            self.note_change(scale > self.scale, now);
            (self.scale, self.changed, self.wish) = (scale, Some(now), None);
        }
    }

    fn note_change(&mut self, is_up: bool, now: Duration) {
        if is_up {
            self.went_up = Some(now);
            return;
        }
        let was_for_nothing = self.went_up.take().is_some_and(|went_up| now.saturating_sub(went_up) < FOR_NOTHING);
        self.up_rest = if was_for_nothing { (REST_GROWTH * self.up_rest).min(MAX_UP_REST) } else { UP_REST };
    }

    fn wish(&self, wanted: Scale, now: Duration) -> Option<(Scale, Duration)> {
        if wanted == self.scale {
            return None;
        }
        let is_same_way = |wish: Scale| (wish < self.scale) == (wanted < self.scale);
        match self.wish {
            Some((wish, since)) if is_same_way(wish) => {
                let nearest = if wanted < self.scale { wish.max(wanted) } else { wish.min(wanted) };
                Some((nearest, since))
            }
            _ => Some((wanted, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays seconds at which a size is wanted, a plan every 100 ms; returns the sizes, each with the second it began.
    fn play(script: &[(f64, usize)]) -> Vec<(f64, usize)> {
        let mut ladder = Ladder::new();
        let (mut tenth, mut seen) = (0_u32, vec![(0.0, 0)]);
        for &(until, wanted) in script {
            while f64::from(tenth) / 10.0 < until {
                let now = Duration::from_millis(100) * tenth;
                let scale = ladder.step(Scale::LADDER[wanted], now);
                ladder.note(Scale::LADDER[wanted], scale, now);
                let rung = Scale::LADDER.iter().position(|&s| s == scale).unwrap();
                if seen.last().unwrap().1 != rung {
                    seen.push((f64::from(tenth) / 10.0, rung));
                }
                tenth += 1;
            }
        }
        seen
    }

    #[test]
    fn down_soon_and_up_late() {
        assert_eq!(play(&[(5.0, 0), (10.0, 2), (30.0, 0)]), [(0.0, 0), (5.1, 2), (15.1, 0)]);
    }

    #[test]
    fn the_first_frame_is_as_wanted() {
        assert_eq!(play(&[(5.0, 3), (9.0, 0)]), [(0.0, 0), (0.0, 3), (8.0, 0)]);
    }

    #[test]
    fn a_moment_changes_nothing() {
        assert_eq!(play(&[(5.0, 0), (5.1, 3), (20.0, 0)]), [(0.0, 0)]);
        let flicker: Vec<_> = (1..60).map(|k| (f64::from(k), k as usize % 2)).collect();
        assert_eq!(play(&flicker).len(), 2, "down once and then never long enough wanted up");
    }

    #[test]
    fn what_was_taken_for_nothing_is_tried_less_often() {
        // Wanted up for as long as it is small, and down as soon as it is large.
        let mut ladder = Ladder::new();
        let mut changes = Vec::new();
        for second in 0..600_u64 {
            let now = Duration::from_secs(second);
            let wanted = if ladder.scale() == Scale::FULL { Scale::LADDER[1] } else { Scale::FULL };
            let (before, scale) = (ladder.scale(), ladder.step(wanted, now));
            ladder.note(wanted, scale, now);
            if second > 0 && scale != before {
                changes.push(second);
            }
        }
        assert!(changes.len() <= 14, "{changes:?}");
    }

    #[test]
    fn the_least_of_what_was_wanted_is_done() {
        assert_eq!(play(&[(1.0, 0), (9.0, 2), (12.0, 0), (22.0, 1)])[2], (12.0, 1));
        assert_eq!(play(&[(1.0, 1), (9.0, 4)]), [(0.0, 0), (0.0, 1), (1.1, 4)]);
    }
}
