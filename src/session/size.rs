//! The size that frames are coded at: the usual one, and another where a stream begins, its link is silent, or pictures keep missing
//! their floor.

use std::time::Duration;

use crate::rate::{Ladder, Scale};

/// Pictures that miss their floor before a smaller size is wanted, and what is left of their number after another picture.
const MANY_MISSES: f64 = 2.5;
const MISSES_LEFT: f64 = 0.97;

/// The size of the frames of late.
#[derive(Debug)]
pub(super) struct Size {
    ladder: Ladder,
    /// That of the last frame, where it was made for a silent link.
    makeshift: Option<Scale>,
    /// Pictures of late that missed their floor for want of bytes.
    misses: f64,
}

/// What size a frame came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// The one that is wanted in the long run.
    pub(super) wanted: Scale,
    /// The one that it was planned at, and that it is coded at.
    pub(super) planned: Scale,
    pub(super) scale: Scale,
    /// Whether it asks a silent link.
    pub(super) for_silence: bool,
}

impl Size {
    pub(super) const fn new() -> Self {
        Self { ladder: Ladder::new(), makeshift: None, misses: 0.0 }
    }

    /// The usual size.
    pub(super) const fn usual(&self) -> Scale {
        self.ladder.scale()
    }

    /// The size of the last frame.
    pub(super) fn last(&self) -> Scale {
        self.makeshift.unwrap_or(self.usual())
    }

    /// Whether the last frame was made for a silent link.
    pub(super) const fn is_makeshift(&self) -> bool {
        self.makeshift.is_some()
    }

    /// Whether pictures of the usual size keep missing their floor.
    pub(super) fn misses_often(&self) -> bool {
        self.misses >= MANY_MISSES
    }

    /// The usual size for a frame for which `wanted` is wanted, on a link that carries `kbps`.
    pub(super) fn step(&self, wanted: Scale, kbps: f64, now: Duration) -> Scale {
        self.ladder.step(wanted, kbps, now)
    }

    /// Counts a measured picture by whether it missed its floor for want of bytes.
    pub(super) fn note_picture(&mut self, has_missed: bool) {
        if !self.is_makeshift() {
            self.misses = MISSES_LEFT * self.misses + f64::from(u8::from(has_missed));
        }
    }

    /// Keeps in mind what size a frame came to, on a link that carries `kbps`.
    pub(super) fn settle(&mut self, settled: &Settled, kbps: f64, now: Duration) {
        let Settled { wanted, planned, scale, for_silence } = *settled;
        let usual = self.usual();
        if (for_silence || self.is_makeshift()) && scale < self.step(wanted, kbps, now) {
            self.makeshift = Some(scale);
            self.ladder.note(wanted, usual, kbps, now);
            return;
        }
        self.makeshift = None;
        if scale < planned && planned > usual {
            self.ladder.refuse(planned, kbps, now);
        }
        self.ladder.note(wanted, scale, kbps, now);
        if scale != usual {
            self.misses = 0.0;
        }
    }
}
