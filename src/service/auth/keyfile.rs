//! The file of API keys, and what `auralink keys` does to it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::service::auth::{hex, keys};
use crate::service::config::{ApiKey, Role};

/// Longest file that is read, bytes: some fifty thousand keys.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// API keys of a file, in TOML, `[[keys]]` after `[[keys]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// In the order in which they were added.
    #[serde(default)]
    pub keys: Vec<ApiKey>,
}

/// What is wrong with a file of keys, or with what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file can't be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file isn't one of keys.
    #[error("{path}: {detail}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        detail: String,
    },
    /// Another change is being written, or was cut short.
    #[error("{path} is there: another change is under way, or was cut short; remove it then")]
    Busy {
        /// The file that stands in the way.
        path: PathBuf,
    },
    /// A key that can't be added or found.
    #[error("{field}: {detail}")]
    Key {
        /// What of it.
        field: String,
        /// The value and the limit.
        detail: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that can't be read, or whose keys aren't what they should be.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let io = |error| KeyFileError::Io { path: path.to_owned(), error };
        let malformed = |detail| KeyFileError::Malformed { path: path.to_owned(), detail };
        let bytes = fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(malformed(format!("{bytes} bytes are over the limit of {MAX_FILE_BYTES}")));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        let file: Self = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|&b| b == b'\n').count());
            malformed(format!("line {line}: {}", error.message()))
        })?;
        let mut faults = Vec::new();
        for (index, key) in file.keys.iter().enumerate() {
            key.check(&format!("keys[{index}]"), &mut faults);
        }
        match faults.first() {
            Some(fault) => Err(malformed(format!("{}: {}", fault.field, fault.description))),
            None => Ok(file),
        }
    }

    /// Adds a key, and gives it: it is nowhere else.
    ///
    /// # Errors
    /// A name that is taken or can't be one, no roles.
    pub fn add(&mut self, id: &str, roles: &[Role], expires: Option<SystemTime>) -> Result<String, KeyFileError> {
        if self.keys.iter().any(|key| key.id == id) {
            return Err(KeyFileError::Key { field: "id".to_owned(), detail: format!("{id:?} is there already") });
        }
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| KeyFileError::Random)?;
        let key = format!("{}{id}_{}", keys::PREFIX, hex::encode(&secret));
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        let entry = ApiKey {
            id: id.to_owned(),
            sha256: hex::encode(&keys::hash(&key)),
            roles: roles.to_vec(),
            created: seconds(SystemTime::now()),
            expires: expires.and_then(seconds),
            revoked: false,
        };
        let mut faults = Vec::new();
        entry.check("", &mut faults);
        if let Some(fault) = faults.into_iter().next() {
            let field = fault.field.trim_start_matches('.').to_owned();
            return Err(KeyFileError::Key { field, detail: fault.description });
        }
        self.keys.push(entry);
        Ok(key)
    }

    /// Revokes the key of this name; its name isn't given again.
    ///
    /// # Errors
    /// That there is none.
    pub fn revoke(&mut self, id: &str) -> Result<(), KeyFileError> {
        let found = self.keys.iter_mut().find(|key| key.id == id);
        let missing = || KeyFileError::Key { field: "id".to_owned(), detail: format!("no key is called {id:?}") };
        found.ok_or_else(missing)?.revoked = true;
        Ok(())
    }

    /// Writes the file whole or not at all, for its owner alone.
    ///
    /// # Errors
    /// A folder that can't be written, or another change under way.
    pub fn save(&self, path: &Path) -> Result<(), KeyFileError> {
        let io = |error| KeyFileError::Io { path: path.to_owned(), error };
        let text = toml::to_string(self).map_err(|error| io(io::Error::other(error)))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Busy { path: new.clone() },
            _ => KeyFileError::Io { path: new.clone(), error },
        })?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        let moved = written.and_then(|()| fs::rename(&new, path));
        moved.map_err(|error| {
            // What is half there helps nobody.
            let _ = fs::remove_file(&new);
            io(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_found_again_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let mut file = KeyFile::default();
        let key = file.add("camera-1", &[Role::Compress], None).unwrap();
        let other = file.add("watcher", &[Role::Observe, Role::Admin], Some(UNIX_EPOCH)).unwrap();
        assert!(key.starts_with("alk_camera-1_") && key.len() == 4 + 8 + 1 + 64 && key != other);
        for (id, roles) in
            [("camera-1", &[Role::Compress][..]), ("a_b", &[Role::Compress]), ("c", &[]), ("", &[Role::Admin])]
        {
            assert!(file.add(id, roles, None).is_err(), "{id}");
        }
        file.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&key) && !text.contains(&key[14..]), "the file holds the secret");
        let mut again = KeyFile::load(&path).unwrap();
        assert_eq!(again, file);
        again.revoke("camera-1").unwrap();
        assert!(again.revoke("nobody").unwrap_err().to_string().contains("nobody"));
        again.save(&path).unwrap();
        assert!(KeyFile::load(&path).unwrap().keys[0].revoked);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(folder.path().join("keys.toml.new"), "").unwrap();
        assert!(matches!(again.save(&path), Err(KeyFileError::Busy { .. })));
    }

    #[test]
    fn a_broken_file_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        for (text, told) in [
            ("[[keys]]\nid = 5\n", "line 2"),
            ("[[keys]]\nid = \"a\"\nsha256 = \"00\"\nroles = [\"compress\"]\n", "keys[0].sha256"),
            ("[[keys]]\nid = \"a\"\nroles = [\"root\"]\n", "line 3"),
            ("[[key]]\n", "line 1"),
        ] {
            fs::write(&path, text).unwrap();
            let error = KeyFile::load(&path).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("keys.toml"), "{error}");
        }
    }
}
