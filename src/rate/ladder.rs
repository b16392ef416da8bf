//! Sizes that don't flicker: down soon, up only when it has been wanted for long, and hardly ever to a size that failed.

use std::time::Duration;

use crate::rate::Scale;

/// How long a smaller size must have been wanted, and how long after the last change.
const DOWN_AFTER: Duration = Duration::from_millis(100);
const DOWN_REST: Duration = Duration::from_secs(1);
/// How long a stream begins: what is too large then is so because nothing is known yet.
const BEGINNING: Duration = Duration::from_secs(3);
/// As for a smaller one: for the full size in a stream's first second, for the first that is larger, as a stream begins small, and
/// for those after it. What is known at first is less than there is: a link that seems to carry the full size does, while another
/// size may not be the last.
const FULL_AFTER: Duration = Duration::from_millis(300);
const FIRST_UP_AFTER: Duration = Duration::from_secs(1);
const UP_AFTER: Duration = Duration::from_secs(4);
const UP_REST: Duration = Duration::from_secs(60);
const UP_REST_ON_ANOTHER_LINK: Duration = Duration::from_secs(5);
/// How long a size that was given up isn't taken again: at first, and how many times as long each time it fails again, up to a bound.
const REFUSAL: Duration = Duration::from_secs(60);
const REFUSAL_GROWTH: u32 = 3;
const MAX_REFUSAL: Duration = Duration::from_secs(1_800);
/// How many times as fast the link must have become to be another one, on which nothing is known to fail: what small frames tell of a
/// rate is uncertain by half as much.
const ANOTHER_LINK: f64 = 6.0;

/// The size that frames are coded at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    scale: Scale,
    began: Option<Duration>,
    changed: Option<Duration>,
    /// Whether a larger size was taken, or a smaller one after the beginning.
    has_settled: bool,
    /// The least that the link has carried since, kbit/s.
    least_kbps: f64,
    refused: Option<Refused>,
    wishes: Wishes,
}

/// Since when every plan has wanted at least so much more, or so much less, by rungs of the ladder.
type Wishes = [Option<Duration>; Scale::LADDER.len()];

/// A size that the link didn't carry.
#[derive(Clone, Copy, Debug)]
struct Refused {
    scale: Scale,
    since: Duration,
    lasts: Duration,
    /// The least that the link has carried since, kbit/s.
    kbps: f64,
}

impl Refused {
    /// Whether `scale` isn't to be tried yet.
    fn holds(&self, scale: Scale, kbps: f64, now: Duration) -> bool {
        scale >= self.scale && now.saturating_sub(self.since) < self.lasts && kbps < ANOTHER_LINK * self.kbps
    }
}

impl Ladder {
    pub(crate) const fn new() -> Self {
        Self {
            scale: Scale::FULL,
            began: None,
            changed: None,
            has_settled: false,
            least_kbps: f64::INFINITY,
            refused: None,
            wishes: [None; Scale::LADDER.len()],
        }
    }

    /// The size of the last frame.
    pub(crate) const fn scale(&self) -> Scale {
        self.scale
    }

    /// The size of a frame for which a plan wants `wanted`, on a link that carries `kbps`.
    pub(crate) fn step(&self, wanted: Scale, kbps: f64, now: Duration) -> Scale {
        if self.began.is_none() {
            return wanted;
        }
        let wanted = self.allowed(wanted, kbps, now);
        let wishes = self.wishes(wanted, now);
        let has_rested = |rest| self.changed.is_none_or(|changed| now.saturating_sub(changed) >= rest);
        // The furthest size that was wanted for so long.
        let wished_for = |after| {
            let lasts = |since: Option<Duration>| since.is_some_and(|since| now.saturating_sub(since) >= after);
            let lasting = Scale::LADDER.into_iter().zip(wishes).filter(|&(_, since)| lasts(since)).map(|wish| wish.0);
            if wanted < self.scale { lasting.min() } else { lasting.max() }
        };
        if wanted < self.scale {
            return wished_for(DOWN_AFTER).filter(|_| has_rested(DOWN_REST)).unwrap_or(self.scale);
        }
        if self.is_new(now) && wished_for(FULL_AFTER) == Some(Scale::FULL) {
            return Scale::FULL;
        }
        let (after, rest) = match self.has_settled {
            false => (FIRST_UP_AFTER, DOWN_REST),
            true if kbps >= ANOTHER_LINK * self.least_kbps => (UP_AFTER, UP_REST_ON_ANOTHER_LINK),
            true => (UP_AFTER, UP_REST),
        };
        // One step all the way is better than several: what is wanted more and more is waited for, and not without end.
        let is_all = |scale: &Scale| *scale >= wanted || wished_for(2 * after).is_some();
        wished_for(after).filter(|scale| has_rested(rest) && is_all(scale)).unwrap_or(self.scale)
    }

    /// Whether the stream is in its first second, and at its first size.
    fn is_new(&self, now: Duration) -> bool {
        self.changed.is_none() && self.began.is_some_and(|began| now.saturating_sub(began) <= FIRST_UP_AFTER)
    }

    /// A frame was planned for which `wanted` was wanted, and is coded at `scale`.
    pub(crate) fn note(&mut self, wanted: Scale, scale: Scale, kbps: f64, now: Duration) {
        self.wishes = self.wishes(self.allowed(wanted, kbps, now), now);
        self.least_kbps = self.least_kbps.min(kbps);
        if let Some(refused) = &mut self.refused {
            refused.kbps = refused.kbps.min(kbps);
        }
        if self.began.is_none() {
            (self.scale, self.began) = (scale, Some(now));
        }
        if scale != self.scale {
            let is_beginning = self.began.is_some_and(|began| now.saturating_sub(began) < BEGINNING);
            if scale < self.scale && !is_beginning {
                self.refuse(self.scale, kbps, now);
            }
            self.has_settled |= scale > self.scale || !is_beginning;
            (self.scale, self.changed) = (scale, Some(now));
            self.wishes = [None; Scale::LADDER.len()];
            self.least_kbps = kbps;
        }
    }

    /// The nearest size to `wanted` that isn't refused.
    fn allowed(&self, wanted: Scale, kbps: f64, now: Duration) -> Scale {
        let Some(refused) = self.refused.filter(|refused| wanted > self.scale && refused.holds(wanted, kbps, now))
        else {
            return wanted;
        };
        Scale::LADDER.into_iter().find(|&scale| scale < refused.scale).unwrap_or(self.scale).max(self.scale)
    }

    /// The link didn't carry `scale`, or doesn't any more.
    pub(crate) fn refuse(&mut self, scale: Scale, kbps: f64, now: Duration) {
        let is_known = |before: &Refused| before.scale <= scale && kbps < ANOTHER_LINK * before.kbps;
        let lasts = self.refused.filter(is_known).map_or(REFUSAL, |before| {
            let is_over = now.saturating_sub(before.since) >= before.lasts;
            if is_over { (REFUSAL_GROWTH * before.lasts).min(MAX_REFUSAL) } else { before.lasts }
        });
        self.refused = Some(Refused { scale, since: now, lasts, kbps });
    }

    fn wishes(&self, wanted: Scale, now: Duration) -> Wishes {
        let mut wishes = self.wishes;
        for (scale, since) in Scale::LADDER.into_iter().zip(&mut wishes) {
            let is_wished = if scale < self.scale { wanted <= scale } else { scale > self.scale && wanted >= scale };
            *since = is_wished.then(|| since.unwrap_or(now));
        }
        wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays seconds at which a size is wanted on a link of so many kbit/s, a plan every 100 ms; returns the sizes, each with the
    /// second it began.
    fn play(script: &[(f64, usize, f64)]) -> Vec<(f64, usize)> {
        let mut ladder = Ladder::new();
        let (mut tenth, mut seen) = (0_u32, vec![(0.0, 0)]);
        for &(until, wanted, kbps) in script {
            while f64::from(tenth) / 10.0 < until {
                let now = Duration::from_millis(100) * tenth;
                let scale = ladder.step(Scale::LADDER[wanted], kbps, now);
                ladder.note(Scale::LADDER[wanted], scale, kbps, now);
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
    fn down_soon_and_up_a_minute_later() {
        let script = [(5.0, 0, 1e3), (10.0, 2, 1e3), (80.0, 0, 1e3)];
        assert_eq!(play(&script), [(0.0, 0), (5.1, 2), (65.1, 1)]);
    }

    #[test]
    fn what_was_too_large_at_the_beginning_is_tried_soon() {
        assert_eq!(play(&[(0.5, 0, 1e3), (1.0, 2, 1e3), (20.0, 0, 1e3)]), [(0.0, 0), (0.6, 2), (2.0, 0)]);
    }

    #[test]
    fn another_link_is_tried_at_once() {
        let script = [(5.0, 0, 5e3), (10.0, 2, 500.0), (30.0, 0, 5e3)];
        assert_eq!(play(&script), [(0.0, 0), (5.1, 2), (14.0, 0)]);
    }

    #[test]
    fn the_first_frame_is_as_wanted_and_the_second_size_comes_soon_and_in_one_step() {
        assert_eq!(play(&[(5.0, 3, 1e3), (9.0, 0, 1e3)]), [(0.0, 0), (0.0, 3), (6.0, 0)]);
        let rising = [(1.0, 4, 1e3), (1.3, 3, 1e3), (1.8, 2, 1e3), (9.0, 0, 1e3)];
        // The full size, where it is wanted from the first moments on.
        assert_eq!(play(&[(0.1, 3, 1e3), (9.0, 0, 1e3)]), [(0.0, 0), (0.0, 3), (0.4, 0)]);
        assert_eq!(play(&[(0.1, 3, 1e3), (0.5, 1, 1e3), (9.0, 0, 1e3)]), [(0.0, 0), (0.0, 3), (0.8, 0)]);
        assert_eq!(play(&[(0.1, 3, 1e3), (9.0, 1, 1e3)]), [(0.0, 0), (0.0, 3), (1.0, 1)]);
        assert_eq!(play(&rising), [(0.0, 0), (0.0, 4), (2.8, 0)]);
        // One that is wanted more and more isn't waited for without end.
        let slowly: Vec<_> = (0..4).map(|k| (1.0 + 0.8 * f64::from(k), 4 - k as usize, 1e3)).collect();
        assert_eq!(play(&slowly)[2], (3.0, 2));
    }

    #[test]
    fn a_moment_changes_nothing() {
        assert_eq!(play(&[(5.0, 0, 1e3), (5.1, 3, 1e3), (20.0, 0, 1e3)]), [(0.0, 0)]);
        let flicker: Vec<_> = (1..60).map(|k| (f64::from(k), k as usize % 2, 1e3)).collect();
        assert_eq!(play(&flicker).len(), 2, "down once and then never long enough wanted up");
    }

    #[test]
    fn what_failed_is_tried_less_and_less_often() {
        // Wanted up for as long as it is small, and down as soon as it is large.
        let mut ladder = Ladder::new();
        let mut changes = Vec::new();
        for second in 0..3_600_u64 {
            let now = Duration::from_secs(second);
            let wanted = if ladder.scale() == Scale::FULL { Scale::LADDER[1] } else { Scale::FULL };
            let (before, scale) = (ladder.scale(), ladder.step(wanted, 1e3, now));
            ladder.note(wanted, scale, 1e3, now);
            if second > 0 && scale != before {
                changes.push(second);
            }
        }
        let rests: Vec<u64> = changes[1..].chunks_exact(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(changes.len() <= 10 && rests[0] >= 60 && rests.windows(2).all(|pair| pair[0] < pair[1]), "{changes:?}");
    }

    #[test]
    fn sizes_under_one_that_failed_may_be_taken() {
        let mut ladder = Ladder::new();
        let at = Duration::from_secs;
        ladder.note(Scale::LADDER[4], Scale::LADDER[4], 1e3, at(0));
        ladder.refuse(Scale::LADDER[1], 1e3, at(1));
        for second in 2..5 {
            ladder.note(Scale::FULL, Scale::LADDER[4], 1e3, at(second));
        }
        assert_eq!(ladder.step(Scale::FULL, 1e3, at(5)), Scale::LADDER[2]);
    }

    #[test]
    fn the_least_of_what_was_wanted_is_done() {
        let script = [(4.0, 0, 1e3), (9.0, 2, 1e3), (12.0, 0, 9e3), (22.0, 1, 9e3)];
        assert_eq!(play(&script)[2], (13.0, 1));
        assert_eq!(play(&[(1.0, 1, 1e3), (9.0, 4, 1e3)]), [(0.0, 0), (0.0, 1), (1.1, 4)]);
    }
}
