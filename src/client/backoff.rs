//! When to try again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long, and how patiently, a stream that was lost is sought again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Most that is waited after the first round through the addresses; twice as much after each further one.
    pub first: Duration,
    /// Most that is ever waited.
    pub most: Duration,
    /// Time after which it's given up, since the last answer, or since the opening began. Zero for not trying again.
    pub give_up_after: Duration,
    /// Whether that holds for the first connection, too. Otherwise each address is tried once.
    pub from_the_start: bool,
}

impl Default for Retry {
    /// From 100 ms to 5 s, for half a minute, once the stream was open.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
            give_up_after: Duration::from_secs(30),
            from_the_start: false,
        }
    }
}

impl Retry {
    /// No second try.
    pub const NEVER: Self =
        Self { first: Duration::ZERO, most: Duration::ZERO, give_up_after: Duration::ZERO, from_the_start: false };

    /// The wait after `round` (from 0) has failed, `chance` (0..1) of the most it may be: those who were cut off together don't
    /// come back together.
    pub(super) fn wait(&self, round: u32, chance: f64) -> Duration {
        let most = self.first.saturating_mul(2_u32.saturating_pow(round)).min(self.most);
        most.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// A number in 0..1, for nothing that has to stay secret.
pub(super) fn chance() -> f64 {
    // Each state has keys of its own, so the hash of nothing is random.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_their_bound_and_vary_whole() {
        let retry = Retry::default();
        let most: Vec<_> = (0..8).map(|round| retry.wait(round, 1.0).as_millis()).collect();
        assert_eq!(most, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(retry.wait(u32::MAX, 0.5), Duration::from_millis(2_500));
        assert_eq!(retry.wait(3, 0.0), Duration::ZERO);
        let drawn: Vec<_> = (0..1_000).map(|_| chance()).collect();
        let low = drawn.iter().filter(|&&chance| chance < 0.5).count();
        assert!(drawn.iter().all(|chance| (0.0..1.0).contains(chance)) && (350..650).contains(&low), "{low}");
    }
}
