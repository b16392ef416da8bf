//! What is to be shed, by how long jobs wait for a thread. It has no clock.
//!
//! A queue that empties now and then does no harm, however long it gets in between; one that never does is a delay for
//! everyone. So it is the least wait of each tenth of a second that counts (as CoDel has it, RFC 8289), and the longer that is,
//! the more is shed.

use std::time::Duration;

/// Time over which the least wait is taken.
const INTERVAL: Duration = Duration::from_millis(100);
/// Time without any job after which nothing waits; until then, jobs may just take long.
const SILENCE: Duration = Duration::from_secs(1);
/// Time that the wait must be over its bound before new streams are refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is shed; each level sheds what those below it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shed {
    #[default]
    Nothing,
    /// Frames that a newer one of their stream waits behind.
    Stale,
    /// Effort of encoders that have some to spare.
    Effort,
    /// New streams.
    Streams,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Delay {
    /// Standing waits beyond which each level begins.
    bounds: [Duration; 3],
    began: Duration,
    least: Option<Duration>,
    /// The least wait of the last whole interval; none where nothing waited.
    standing: Option<Duration>,
    /// Since when it has been over the last bound.
    over: Option<Duration>,
    shed: Shed,
}

impl Delay {
    /// Nothing waits. `bounds` are the standing waits from which frames, effort and streams are shed.
    pub(crate) const fn new(bounds: [Duration; 3]) -> Self {
        Self { bounds, began: Duration::ZERO, least: None, standing: None, over: None, shed: Shed::Nothing }
    }

    /// Takes how long a job has waited that began at `now`.
    pub(crate) fn note(&mut self, waited: Duration, now: Duration) {
        self.pass(now);
        self.least = Some(self.least.map_or(waited, |least| least.min(waited)));
    }

    /// What is to be shed at `now`.
    pub(crate) fn shed(&mut self, now: Duration) -> Shed {
        self.pass(now);
        self.shed
    }

    /// How long a job has to wait at least, going by the last interval.
    pub(crate) fn standing(&mut self, now: Duration) -> Duration {
        self.pass(now);
        self.standing.unwrap_or_default()
    }

    /// Ends the interval where its time has come.
    fn pass(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.began);
        if elapsed < INTERVAL || (self.least.is_none() && elapsed < SILENCE) {
            return;
        }
        // What was noted long ago says nothing about now.
        self.standing = self.least.take().filter(|_| elapsed < 2 * SILENCE);
        let standing = self.standing.unwrap_or_default();
        let [stale, effort, streams] = self.bounds;
        self.over = (standing > streams).then(|| self.over.unwrap_or(self.began));
        self.began = now;
        let wanted = match standing {
            _ if self.over.is_some_and(|since| now.saturating_sub(since) >= PATIENCE) => Shed::Streams,
            wait if wait > effort => Shed::Effort,
            wait if wait > stale => Shed::Stale,
            _ => Shed::Nothing,
        };
        self.shed = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn delay() -> Delay {
        Delay::new([ms(5), ms(20), ms(100)])
    }

    /// Jobs every 10 ms from `from` to `to`, each having waited so long.
    fn play(delay: &mut Delay, from: u64, to: u64, waited: impl Fn(u64) -> u64) {
        (from..to).step_by(10).for_each(|at| delay.note(ms(waited(at)), ms(at)));
    }

    #[test]
    fn bursts_that_drain_shed_nothing() {
        let mut delay = delay();
        // Up to 90 ms of waiting, and none once in each interval.
        play(&mut delay, 0, 10_000, |at| at % 100);
        assert_eq!(delay.shed(ms(10_000)), Shed::Nothing);
    }

    #[test]
    fn a_standing_wait_sheds_more_the_longer_it_is() {
        for (waited, expected) in [(4, Shed::Nothing), (6, Shed::Stale), (30, Shed::Effort), (150, Shed::Streams)] {
            let mut delay = delay();
            play(&mut delay, 0, 3_000, |_| waited);
            assert_eq!((delay.shed(ms(3_000)), delay.standing(ms(3_000))), (expected, ms(waited)));
        }
    }

    #[test]
    fn streams_are_refused_only_after_a_second_of_it() {
        let mut delay = delay();
        play(&mut delay, 0, 900, |_| 500);
        assert_eq!(delay.shed(ms(900)), Shed::Effort);
        play(&mut delay, 900, 1_200, |_| 500);
        assert_eq!(delay.shed(ms(1_200)), Shed::Streams);
    }

    #[test]
    fn jobs_that_take_longer_than_an_interval_are_no_silence() {
        let mut delay = delay();
        (0..20).for_each(|job| delay.note(ms(900), ms(job * 180)));
        assert_eq!(delay.shed(ms(3_500)), Shed::Streams);
    }

    #[test]
    fn it_ends_with_the_wait() {
        let mut delay = delay();
        play(&mut delay, 0, 5_000, |_| 500);
        assert_eq!(delay.shed(ms(5_000)), Shed::Streams);
        play(&mut delay, 5_000, 5_250, |_| 1);
        assert_eq!(delay.shed(ms(5_250)), Shed::Nothing);
        play(&mut delay, 6_000, 8_000, |_| 500);
        // Nobody asks for a thread any more.
        assert_eq!(delay.shed(ms(8_200)), Shed::Streams);
        assert_eq!(delay.shed(ms(9_300)), Shed::Nothing);
    }
}
