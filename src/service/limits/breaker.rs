//! A circuit breaker: leaves alone what keeps failing, and tries again later with one call at a time. It has no clock.

use std::time::Duration;

/// Successes in a row that close it again.
const SUCCESSES_TO_CLOSE: u32 = 2;
/// Part of the open time by which it varies, so that instances don't try again all at once.
const JITTER: f64 = 0.1;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// Nobody waited for its end.
    Abandoned,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Calls go through; so many have failed in a row.
    Closed { failures: u32 },
    /// No call goes through until then.
    Open { until: Duration },
    /// One call at a time goes through; so many have succeeded in a row.
    HalfOpen { probing: bool, successes: u32 },
}

/// The right to make one call, to be given back with its outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Which of the breaker's states gave it.
    period: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Breaker {
    failures_to_open: u32,
    open_for: Duration,
    state: State,
    /// Changes of state so far: a call that began before the last one says nothing about what came after.
    period: u64,
}

impl Breaker {
    /// A closed breaker that opens for about `open_for` after `failures_to_open` failures in a row.
    pub(crate) const fn new(failures_to_open: u32, open_for: Duration) -> Self {
        Self { failures_to_open, open_for, state: State::Closed { failures: 0 }, period: 0 }
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Asks whether a call may be made at `now`.
    pub(crate) fn admit(&mut self, now: Duration) -> Option<Ticket> {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.enter(State::HalfOpen { probing: false, successes: 0 });
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } | State::HalfOpen { probing: true, .. } => return None,
            State::HalfOpen { probing, .. } => *probing = true,
        }
        Some(Ticket { period: self.period })
    }

    /// Takes what became of a call. `chance` of -1..=1 says where within its variation a new open time lies.
    pub(crate) fn report(&mut self, ticket: Ticket, outcome: Outcome, now: Duration, chance: f64) {
        if ticket.period != self.period {
            return;
        }
        let open = |this: &mut Self| {
            let until = now + this.open_for.mul_f64(1.0 + JITTER * chance.clamp(-1.0, 1.0));
            this.enter(State::Open { until });
        };
        match (&mut self.state, outcome) {
            (State::Closed { failures }, Outcome::Success) => *failures = 0,
            (State::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                if *failures >= self.failures_to_open {
                    open(self);
                }
            }
            (State::HalfOpen { probing, successes }, Outcome::Success) => {
                (*probing, *successes) = (false, *successes + 1);
                if *successes >= SUCCESSES_TO_CLOSE {
                    self.enter(State::Closed { failures: 0 });
                }
            }
            (State::HalfOpen { .. }, Outcome::Failure) => open(self),
            (State::HalfOpen { probing, .. }, Outcome::Abandoned) => *probing = false,
            (State::Closed { .. }, Outcome::Abandoned) | (State::Open { .. }, _) => {}
        }
    }

    fn enter(&mut self, state: State) {
        (self.state, self.period) = (state, self.period + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(60);

    /// The same in other terms: what was reported since the last change, and whether it is open by the clock.
    #[derive(Default)]
    struct Model {
        reported: Vec<Outcome>,
        open_until: Option<Duration>,
        probing: Option<usize>,
        half_open: bool,
        changes: usize,
    }

    impl Model {
        fn change(&mut self) {
            self.changes += 1;
            self.reported.clear();
            self.probing = None;
        }

        fn admit(&mut self, now: Duration, call: usize) -> bool {
            if self.open_until.is_some_and(|until| until <= now) {
                (self.open_until, self.half_open) = (None, true);
                self.change();
            }
            if self.open_until.is_some() || (self.half_open && self.probing.is_some()) {
                return false;
            }
            if self.half_open {
                self.probing = Some(call);
            }
            true
        }

        fn report(&mut self, born: usize, outcome: Outcome, until: Duration) {
            if born != self.changes {
                return;
            }
            self.probing = None;
            if outcome != Outcome::Abandoned {
                self.reported.push(outcome);
            }
            let last_failed = self.reported.iter().rev().take_while(|&&o| o == Outcome::Failure).count();
            if last_failed >= if self.half_open { 1 } else { 5 } {
                (self.open_until, self.half_open) = (Some(until), false);
                self.change();
            } else if self.half_open && self.reported.len() >= 2 {
                self.half_open = false;
                self.change();
            }
        }
    }

    #[test]
    fn a_million_random_steps_go_as_the_model_says() {
        let mut breaker = Breaker::new(5, OPEN_FOR);
        let mut model = Model::default();
        let (mut now, mut seed) = (Duration::ZERO, 99_u64);
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed >> 11
        };
        let mut calls: Vec<(Ticket, usize)> = Vec::new();
        let (mut opened, mut closed, mut probes) = (0, 0, 0);
        for step in 0..1_000_000 {
            // Weather: whole stretches in which nearly everything fails.
            let stormy = (step / 5_000) % 2 == 0;
            now += Duration::from_millis(random() % if random() % 100 == 0 { 30_000 } else { 20 });
            if random() % 2 == 0 && calls.len() < 20 {
                let ticket = breaker.admit(now);
                assert_eq!(ticket.is_some(), model.admit(now, step), "step {step}");
                if let Some(ticket) = ticket {
                    probes += usize::from(matches!(breaker.state(), State::HalfOpen { .. }));
                    calls.push((ticket, model.changes));
                }
            } else if !calls.is_empty() {
                let (ticket, born) = calls.swap_remove(random() as usize % calls.len());
                let outcome = match (random() % 100, stormy) {
                    (0..=4, _) => Outcome::Abandoned,
                    (5..=89, true) | (5..=14, false) => Outcome::Failure,
                    _ => Outcome::Success,
                };
                let chance = (random() % 2_001) as f64 / 1_000.0 - 1.0;
                let was_open = matches!(breaker.state(), State::Open { .. });
                breaker.report(ticket, outcome, now, chance);
                model.report(born, outcome, now + OPEN_FOR.mul_f64(1.0 + 0.1 * chance));
                if let (State::Open { until }, false) = (breaker.state(), was_open) {
                    opened += 1;
                    let open_for = until - now;
                    assert!((54.0..=66.0).contains(&open_for.as_secs_f64()), "{open_for:?}");
                }
            }
            let (open, half_open) = (model.open_until.is_some(), model.half_open);
            match breaker.state() {
                State::Closed { failures } => {
                    closed += 1;
                    assert!(!open && !half_open && failures < 5, "step {step}");
                }
                State::Open { until } => assert_eq!(model.open_until, Some(until), "step {step}"),
                State::HalfOpen { probing, successes } => {
                    assert!(half_open && successes < 2 && probing == model.probing.is_some(), "step {step}");
                }
            }
        }
        assert!(opened > 100 && closed > 10_000 && probes > 100, "{opened} {closed} {probes}");
    }

    #[test]
    fn five_failures_open_it_one_probe_tries_and_two_successes_close_it() {
        let mut breaker = Breaker::new(5, OPEN_FOR);
        let at = Duration::from_secs;
        for _ in 0..5 {
            let ticket = breaker.admit(at(1)).unwrap();
            breaker.report(ticket, Outcome::Failure, at(1), 1.0);
        }
        assert_eq!(breaker.state(), State::Open { until: at(67) });
        assert_eq!(breaker.admit(at(66)), None);
        let probe = breaker.admit(at(67)).unwrap();
        assert_eq!(breaker.admit(at(67)), None, "one at a time");
        breaker.report(probe, Outcome::Success, at(67), 0.0);
        let second = breaker.admit(at(68)).unwrap();
        breaker.report(second, Outcome::Success, at(68), 0.0);
        assert_eq!(breaker.state(), State::Closed { failures: 0 });
    }
}
