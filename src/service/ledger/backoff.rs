//! How long to wait before something that failed is tried again.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(2);

/// The wait before try number `attempt` after the first (from 0): twice as long each time, up to two seconds, of which `chance`
/// (0..1) takes its part, so that those who failed together don't come back together.
pub(crate) fn wait(attempt: u32, chance: f64) -> Duration {
    let most = BASE.saturating_mul(2_u32.saturating_pow(attempt)).min(MOST);
    most.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_their_bound_and_vary_whole() {
        let most: Vec<_> = (0..8).map(|attempt| wait(attempt, 1.0).as_millis()).collect();
        assert_eq!(most, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(wait(u32::MAX, 0.5), Duration::from_secs(1));
        assert_eq!(wait(3, 0.0), Duration::ZERO);
    }
}
