//! Tokens that were verified lately: the second time costs a hash.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::service::auth::Identity;

/// Tokens of one generation. Two are kept, so about a megabyte at most.
const GENERATION: usize = 2_048;

type Generation = HashMap<[u8; 32], (Identity, SystemTime)>;

/// Identities by the SHA-256 of their tokens. Those used lately stay when it fills up.
#[derive(Debug, Default)]
pub(super) struct Cache {
    generations: Mutex<[Generation; 2]>,
}

impl Cache {
    pub(super) fn find(&self, token: &[u8; 32], now: SystemTime) -> Option<Identity> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if let Some((identity, until)) = young.get(token) {
            return (now < *until).then(|| identity.clone());
        }
        let (identity, until) = old.remove(token)?;
        let found = (now < until).then(|| identity.clone());
        insert(&mut generations, *token, identity, until);
        found
    }

    /// Keeps an identity `until` its token isn't good any more.
    pub(super) fn keep(&self, token: [u8; 32], identity: Identity, until: SystemTime) {
        insert(&mut self.generations.lock().unwrap_or_else(PoisonError::into_inner), token, identity, until);
    }
}

fn insert(generations: &mut [Generation; 2], token: [u8; 32], identity: Identity, until: SystemTime) {
    let [young, old] = generations;
    if young.len() >= GENERATION {
        *old = std::mem::take(young);
    }
    young.insert(token, (identity, until));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::auth::Proof;
    use crate::service::caller::Caller;
    use std::time::Duration;

    fn name(number: u32) -> [u8; 32] {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_le_bytes());
        name
    }

    #[test]
    fn it_is_bounded_keeps_what_is_used_and_forgets_in_time() {
        let cache = Cache::default();
        let identity = Identity { caller: Caller::anonymous(), proof: Proof::Nobody };
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let now = until - Duration::from_secs(1);
        for number in 0..20_000 {
            cache.keep(name(number), identity.clone(), until);
            assert!(cache.find(&name(0), now).is_some(), "used all the time, gone at {number}");
        }
        let kept: usize = cache.generations.lock().unwrap().iter().map(HashMap::len).sum();
        assert!(kept <= 2 * GENERATION, "{kept}");
        assert_eq!(cache.find(&name(1), now), None);
        assert_eq!(cache.find(&name(0), until), None);
    }
}
