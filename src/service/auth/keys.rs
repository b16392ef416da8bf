//! API keys: `alk_<id>_<secret>`, known by their hash alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::service::auth::{Denied, Identity, KeyFile, Proof, hex, roles_of};
use crate::service::caller::{Caller, Roles};
use crate::service::config::{ApiKey, Auth, fault};
use crate::service::refusal::Violation;

/// What every key begins with, so that scanners for leaked secrets find it.
pub(super) const PREFIX: &str = "alk_";
/// Longest key, bytes: the prefix, a name, and a secret of 32 bytes in hexadecimal digits.
const MAX_KEY_BYTES: usize = 4 + crate::service::config::MAX_ID_BYTES + 1 + 64;

/// SHA-256. A key holds 256 random bits, so nothing slower is needed against guessing.
pub(super) fn hash(key: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    bytes
}

#[derive(Debug)]
struct Entry {
    id: Arc<str>,
    hash: [u8; 32],
    roles: Roles,
    expires: Option<SystemTime>,
    revoked: bool,
}

impl Entry {
    fn is_alive(&self, now: SystemTime) -> bool {
        !self.revoked && self.expires.is_none_or(|expires| now < expires)
    }
}

/// All API keys, by name.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    entries: HashMap<Arc<str>, Entry>,
}

impl KeyRing {
    /// The keys of the configuration and of its file.
    pub(super) fn load(auth: &Auth, faults: &mut Vec<Violation>) -> Self {
        let mut ring = Self::default();
        let filed = auth.keys_file.as_ref().map(|path| KeyFile::load(path)).transpose();
        let filed = filed.unwrap_or_else(|error| {
            faults.push(fault("auth.keys_file", error.to_string()));
            None
        });
        for key in auth.keys.iter().chain(filed.iter().flat_map(|file| &file.keys)) {
            if ring.entries.contains_key(key.id.as_str()) {
                faults.push(fault("auth.keys", format!("{:?} is there twice", key.id)));
            }
            ring.insert(key);
        }
        ring
    }

    fn insert(&mut self, key: &ApiKey) {
        // What isn't a hash was complained of already.
        let Some(hash) = hex::decode(&key.sha256) else { return };
        let id: Arc<str> = Arc::from(key.id.as_str());
        let expires = key.expires.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        let entry = Entry { id: Arc::clone(&id), hash, roles: roles_of(&key.roles), expires, revoked: key.revoked };
        self.entries.insert(id, entry);
    }

    /// Whose key this is.
    pub(super) fn find(&self, key: &str, now: SystemTime) -> Result<Identity, Denied> {
        if key.len() > MAX_KEY_BYTES {
            return Err(Denied::Malformed);
        }
        let id = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).map(|(id, _)| id);
        let entry = self.entries.get(id.ok_or(Denied::Malformed)?);
        // An unknown name takes as long as a wrong secret.
        let expected = entry.map_or([0; 32], |entry| entry.hash);
        let is_same = bool::from(hash(key).ct_eq(&expected));
        match entry {
            Some(entry) if is_same && entry.is_alive(now) => {
                let caller = Caller { id: Arc::clone(&entry.id), roles: entry.roles, expires: entry.expires };
                Ok(Identity { caller, proof: Proof::Key })
            }
            _ => Err(Denied::Key),
        }
    }

    /// What the key of this name may do; none where it isn't taken.
    pub(super) fn roles(&self, id: &str, now: SystemTime) -> Option<Roles> {
        self.entries.get(id).filter(|entry| entry.is_alive(now)).map(|entry| entry.roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::config::Role;

    fn ring(change: impl FnOnce(&mut ApiKey)) -> (KeyRing, String) {
        let key = format!("{PREFIX}camera-1_{}", hex::encode(&[7; 32]));
        let sha256 = hex::encode(&hash(&key));
        let roles = vec![Role::Compress];
        let mut entry =
            ApiKey { id: "camera-1".to_owned(), sha256, roles, created: None, expires: None, revoked: false };
        change(&mut entry);
        let auth = Auth { keys: vec![entry], ..Auth::default() };
        (KeyRing::load(&auth, &mut Vec::new()), key)
    }

    #[test]
    fn a_key_is_known_whole_and_while_it_lasts() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let (known, key) = ring(|_| {});
        let identity = known.find(&key, now).unwrap();
        assert_eq!((&*identity.caller.id, identity.proof), ("camera-1", Proof::Key));
        assert!(identity.caller.roles.compress && !identity.caller.roles.admin);
        for bad in
            [&key[..key.len() - 1], &format!("{key}0"), &key.replace("camera-1", "camera-2"), &key.to_uppercase()]
        {
            assert!(known.find(bad, now).is_err(), "{bad}");
        }
        assert_eq!(known.find("alk_", now), Err(Denied::Malformed));
        assert_eq!(known.find(&"a".repeat(1_000_000), now), Err(Denied::Malformed));
        let (revoked, key) = ring(|key| key.revoked = true);
        assert_eq!(revoked.find(&key, now), Err(Denied::Key));
        let (short, key) = ring(|key| key.expires = Some(1_000));
        assert_eq!(short.find(&key, now), Err(Denied::Key));
        assert!(short.find(&key, now - Duration::from_secs(1)).is_ok());
    }
}
