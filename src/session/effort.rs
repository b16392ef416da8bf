//! How hard H.264 tries, by the time that frames take against the time they have.

use std::time::Duration;

use crate::codec::h264::Preset;

/// Part of the deadline, in percent, over which the next frame is coded with less effort.
const BUSY_PERCENT: u32 = 80;
/// Part of the deadline, in percent, under which a frame leaves room for more effort. A step makes frames less than twice as
/// slow, so what was calm before it isn't busy after it.
const CALM_PERCENT: u32 = 35;
/// Calm frames in a row before more effort is tried.
const CALM_FRAMES: u32 = 30;

/// Steps between presets so that frames are coded within a deadline: down as soon as one nearly missed it, up again once many
/// in a row left plenty of room, never above the preset that was asked for.
///
/// It has no clock: without times, which are then zero, it stays where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    ceiling: Preset,
    preset: Preset,
    deadline_ms: Option<u32>,
    /// Calm frames in a row.
    calm: u32,
    /// Whether the machine has too much to do for any effort.
    spared: bool,
}

impl Effort {
    /// Begins at the preset `ceiling`, and stays there if there is no deadline.
    pub const fn new(ceiling: Preset, deadline_ms: Option<u32>) -> Self {
        Self { ceiling, preset: ceiling, deadline_ms, calm: 0, spared: false }
    }

    /// The preset for the next frame.
    pub const fn preset(&self) -> Preset {
        if self.spared { Preset::Fast } else { self.preset }
    }

    /// Makes the least effort for as long as this is set, whatever the deadline leaves room for.
    pub const fn spare(&mut self, spared: bool) {
        self.spared = spared;
    }

    /// Takes how long coding a frame took, all passes together.
    pub fn note(&mut self, took: Duration) {
        let Some(deadline_ms) = self.deadline_ms else { return };
        let percent = |percent: u32| Duration::from_millis(u64::from(deadline_ms)) * percent / 100;
        if took > percent(BUSY_PERCENT) {
            self.step(faster(self.preset));
        } else if took < percent(CALM_PERCENT) {
            self.calm += 1;
            if self.calm == CALM_FRAMES {
                self.step(slower(self.preset).min(self.ceiling));
            }
        } else {
            self.calm = 0;
        }
    }

    fn step(&mut self, preset: Preset) {
        (self.preset, self.calm) = (preset, 0);
    }
}

/// The preset with the next less effort.
const fn faster(preset: Preset) -> Preset {
    match preset {
        Preset::Fast | Preset::Balanced => Preset::Fast,
        Preset::Best => Preset::Balanced,
    }
}

/// The preset with the next more effort.
const fn slower(preset: Preset) -> Preset {
    match preset {
        Preset::Fast => Preset::Balanced,
        Preset::Balanced | Preset::Best => Preset::Best,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Preset::{Balanced, Best, Fast};

    /// Frames in a row that take so many milliseconds, and the preset for the frame after them.
    type Script<'a> = &'a [(u32, f64, Preset)];

    fn play(mut effort: Effort, script: Script<'_>) {
        for (line, &(frames, ms, expected)) in script.iter().enumerate() {
            (0..frames).for_each(|_| effort.note(Duration::from_secs_f64(ms / 1000.0)));
            assert_eq!(effort.preset(), expected, "line {line}: {frames} frames of {ms} ms");
        }
    }

    #[test]
    fn busy_frames_step_down_at_once_as_far_as_it_goes() {
        play(
            Effort::new(Best, Some(10)),
            &[(1, 8.0, Best), (1, 8.001, Balanced), (1, 100.0, Fast), (5, 100.0, Fast), (29, 1.0, Fast)],
        );
    }

    #[test]
    fn thirty_calm_frames_step_up_by_one() {
        play(
            Effort::new(Best, Some(10)),
            &[
                (2, 9.0, Fast),
                (29, 3.4, Fast),
                (1, 3.4, Balanced),
                (29, 3.4, Balanced),
                (1, 3.4, Best),
                (1, 9.0, Balanced),
            ],
        );
    }

    #[test]
    fn one_frame_that_is_not_calm_starts_the_count_anew() {
        play(
            Effort::new(Balanced, Some(10)),
            &[(1, 9.0, Fast), (29, 1.0, Fast), (1, 3.5, Fast), (29, 1.0, Fast), (1, 9.0, Fast), (29, 1.0, Fast)],
        );
        let between: Script<'_> = &[(1, 9.0, Fast), (500, 5.0, Fast), (29, 0.0, Fast), (1, 0.0, Balanced)];
        play(Effort::new(Balanced, Some(10)), between);
    }

    #[test]
    fn the_preset_asked_for_is_never_passed() {
        for ceiling in Preset::ALL {
            play(Effort::new(ceiling, Some(10)), &[(100, 0.0, ceiling), (9, 10.0, Fast), (1_000, 1.0, ceiling)]);
        }
    }

    #[test]
    fn spared_effort_comes_back() {
        let mut effort = Effort::new(Best, None);
        effort.spare(true);
        assert_eq!(effort.preset(), Fast);
        effort.spare(false);
        assert_eq!(effort.preset(), Best);
    }

    #[test]
    fn without_a_deadline_nothing_steps() {
        play(Effort::new(Balanced, None), &[(100, 1e6, Balanced), (100, 0.0, Balanced)]);
    }

    #[test]
    fn the_longest_deadline_and_time_are_taken() {
        let mut effort = Effort::new(Best, Some(u32::MAX));
        effort.note(Duration::MAX);
        assert_eq!(effort.preset(), Balanced);
    }
}
