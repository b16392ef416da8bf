//! The times of an empty path, as windowed minima: what of a round trip isn't queue.

/// Length of half a window, ms, or as many round trips where those are longer.
const HALF_MS: f64 = 10_000.0;
const HALF_ROUND_TRIPS: f64 = 25.0;
/// Time over the minimum by which a path counts as empty, ms.
const EMPTY_MS: f64 = 2.0;

/// Least times, ms. The one way is between two clocks: only its differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Times {
    pub(crate) one_way_ms: f64,
    pub(crate) round_trip_ms: f64,
}

/// Minima over the half window that runs and the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    before: Option<Times>,
    running: Option<Times>,
    since_ms: f64,
}

impl Times {
    fn least(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            one_way_ms: self.one_way_ms.min(other.one_way_ms),
            round_trip_ms: self.round_trip_ms.min(other.round_trip_ms),
        })
    }
}

impl Base {
    pub(crate) const fn new() -> Self {
        Self { before: None, running: None, since_ms: 0.0 }
    }

    /// The least of late; `None` before the first receipt.
    pub(crate) fn times(&self) -> Option<Times> {
        self.running.map_or(self.before, |running| Some(running.least(self.before)))
    }

    /// Takes the times of a receipt. Returns whether a queue has stood all through a half window: the path must then be emptied
    /// once, or the minima become those of the queue.
    pub(crate) fn note(&mut self, times: Times, now_ms: f64) -> bool {
        let known = self.times();
        let half_ms = known.map_or(HALF_MS, |known| HALF_MS.max(HALF_ROUND_TRIPS * known.round_trip_ms));
        let mut queue_stood = false;
        if self.running.is_some() && now_ms - self.since_ms > half_ms {
            queue_stood = matches!((self.running, known), (Some(running), Some(known))
                if running.round_trip_ms > known.round_trip_ms + EMPTY_MS);
            (self.before, self.running, self.since_ms) = (self.running, None, now_ms);
        }
        self.running = Some(times.least(self.running));
        queue_stood
    }

    /// Forgets the one-way time: the clocks have moved against each other.
    pub(crate) fn forget(&mut self) {
        (self.before, self.running) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(ms: f64) -> Times {
        Times { one_way_ms: ms - 1_000.0, round_trip_ms: ms }
    }

    #[test]
    fn minima_last_for_one_to_two_halves() {
        let mut base = Base::new();
        assert_eq!(base.times(), None);
        assert!(!base.note(times(40.0), 0.0));
        let stood: Vec<i32> = (1..45).filter(|&s| base.note(times(50.0), f64::from(s) * 1_000.0)).collect();
        assert_eq!(base.times(), Some(times(50.0)));
        // The first half had the 40 itself, in the second the queue stood against it, and then 50 is what is known.
        assert_eq!(stood, [22]);
    }

    #[test]
    fn long_round_trips_have_long_windows() {
        let mut base = Base::new();
        base.note(times(5_000.0), 0.0);
        assert!(!(1..120).any(|s| base.note(times(6_000.0), f64::from(s) * 1_000.0)));
        assert_eq!(base.times(), Some(times(5_000.0)));
    }
}
