//! Chance for jitter; nothing that has to stay secret.

use std::hash::{BuildHasher, RandomState};

/// A number in 0..1.
pub(crate) fn unit() -> f64 {
    // Each state has keys of its own, so the hash of nothing is random.
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_varies_within_its_range() {
        let drawn: Vec<_> = (0..1_000).map(|_| unit()).collect();
        assert!(drawn.iter().all(|chance| (0.0..1.0).contains(chance)));
        let low = drawn.iter().filter(|&&chance| chance < 0.5).count();
        assert!((350..650).contains(&low), "{low} of 1000 are low");
    }
}
