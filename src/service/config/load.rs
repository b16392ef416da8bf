//! Settings from everywhere: defaults, then a file, then the environment, then flags, the later over the earlier.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::service::config::{Config, ConfigError, keys_of};
use crate::service::refusal::Violation;

/// Names from before there was a section to each.
const ALIASES: [(&str, &str); 6] = [
    ("GRPC_PORT", "listen.grpc_port"),
    ("HTTP_PORT", "listen.http_port"),
    ("AURALINK_LOG", "log.level"),
    ("REDIS_URL", "redis.url"),
    ("DATABASE_URL", "store.database_url"),
    ("AURALINK_STORE", "store.path"),
];
/// What the environment's other names begin with; the section and the key follow.
const PREFIX: &str = "AURALINK_";
/// Longest file that is read, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Names and values of the environment; those that are no settings are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags: as they were given, the key they set, such as `limits.max_sessions`, and its value.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

/// Where one setting came from.
#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf, usize),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

#[derive(Default)]
struct Layers {
    settings: BTreeMap<String, (Value, Origin)>,
    faults: Vec<Violation>,
}

impl Sources {
    /// The settings of all sources, checked as a whole.
    ///
    /// # Errors
    /// Every setting at fault, each with its key, value, limit and where it came from.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        if let Some(path) = &self.file {
            layers.file(path);
        }
        layers.environment(&self.environment);
        for (flag, key, value) in &self.flags {
            layers.set((*key).to_owned(), value.clone(), Origin::Flag(flag));
        }
        layers.finish()
    }
}

impl Layers {
    fn fault(&mut self, field: &str, description: String) {
        self.faults.push(Violation { field: field.to_owned(), description });
    }

    /// Takes a setting that fits its key, and complains of one that doesn't.
    fn set(&mut self, key: String, value: Value, origin: Origin) {
        match fits(&key, &value) {
            Ok(()) => drop(self.settings.insert(key, (value, origin))),
            Err(why) => self.fault(&key, format!("{why} ({origin})")),
        }
    }

    fn file(&mut self, path: &Path) {
        let text = match read(path) {
            Ok(text) => text,
            Err(why) => return self.fault("config", format!("{}: {why}", path.display())),
        };
        let (lines, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            self.fault("config", format!("{} ({}:{line})", error.message(), path.display()));
        }
        // What can be read of a file that is broken would only be half of what was meant.
        let Ok(table) = text.parse::<toml::Table>() else { return };
        let mut places = BTreeMap::new();
        note_lines(lines.get_ref(), "", &text, &mut places);
        let mut found = Vec::new();
        leaves(Value::Table(table), String::new(), &mut found);
        for (key, value) in found {
            let line = places.get(&key).copied().unwrap_or(1);
            self.set(key, value, Origin::File(path.to_owned(), line));
        }
    }

    fn environment(&mut self, environment: &[(String, String)]) {
        let known = keys_of(&Config::default());
        let sections: Vec<_> = known.iter().filter_map(|key| key.split('.').next()).collect();
        for (name, text) in environment.iter().filter(|(_, text)| !text.is_empty()) {
            let alias = ALIASES.iter().find(|(alias, _)| alias == name).map(|(_, key)| (*key).to_owned());
            let key = alias.or_else(|| known.iter().find(|key| variable(key) == *name).cloned());
            let origin = Origin::Environment(name.clone());
            if let Some(key) = key {
                match typed(&key, text) {
                    Ok(value) => self.set(key, value, origin),
                    Err(why) => self.fault(&key, format!("{why} ({origin})")),
                }
            } else if let Some(rest) = name.strip_prefix(PREFIX) {
                let rest = rest.to_ascii_lowercase();
                if sections.iter().any(|section| rest.strip_prefix(section).is_some_and(|rest| rest.starts_with('_'))) {
                    self.fault(name, format!("no setting has this name ({origin})"));
                }
            }
        }
    }

    fn finish(self) -> Result<Config, ConfigError> {
        let Self { settings, mut faults } = self;
        let mut whole = toml::Table::new();
        for (key, (value, _)) in &settings {
            put(&mut whole, key, value.clone());
        }
        let config = Config::deserialize(Value::Table(whole)).unwrap_or_else(|error| {
            faults.push(Violation { field: "config".to_owned(), description: error.message().to_owned() });
            Config::default()
        });
        if let Err(ConfigError { faults: found }) = config.validate() {
            faults.extend(found.into_iter().map(|fault| {
                let owner = settings.iter().rfind(|(key, _)| {
                    fault
                        .field
                        .strip_prefix(key.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                });
                match owner {
                    Some((_, (_, origin))) => {
                        Violation { description: format!("{} ({origin})", fault.description), ..fault }
                    }
                    None => fault,
                }
            }));
        }
        if faults.is_empty() { Ok(config) } else { Err(ConfigError { faults }) }
    }
}

/// The environment's name of a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("can't be read: {error}");
    let bytes = std::fs::metadata(path).map_err(told)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(format!("{bytes} bytes are over the limit of {MAX_FILE_BYTES}"));
    }
    std::fs::read_to_string(path).map_err(told)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

/// The line of every key.
fn note_lines(table: &DeTable<'_>, path: &str, text: &str, places: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = join(path, key.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(inner, &path, text, places);
        }
        places.insert(path, line_of(text, key.span().start));
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Every setting with its key. Lists are one setting, and so are empty tables.
fn leaves(value: Value, path: String, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                leaves(value, join(&path, &key), found);
            }
        }
        value if !path.is_empty() => found.push((path, value)),
        _ => {}
    }
}

/// Puts a value where its key says.
fn put(table: &mut toml::Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            if let Value::Table(inner) = table.entry(section).or_insert_with(|| Value::Table(toml::Table::new())) {
                put(inner, rest, value);
            }
        }
    }
}

/// Whether a configuration of this setting alone can be read, and why not.
fn fits(key: &str, value: &Value) -> Result<(), String> {
    let mut table = toml::Table::new();
    put(&mut table, key, value.clone());
    Config::deserialize(Value::Table(table)).map(drop).map_err(|error| error.message().trim().replace('\n', " "))
}

/// A text of the environment as what its key wants: a number or a list as in the file, a text as it stands, or a list without
/// brackets.
fn typed(key: &str, text: &str) -> Result<Value, String> {
    let as_in_file = format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    let list = || Value::Array(text.split([',', ' ']).filter(|word| !word.is_empty()).map(Value::from).collect());
    let candidates = as_in_file.into_iter().chain([Value::from(text), list()]);
    let mut why = None;
    for value in candidates {
        match fits(key, &value) {
            Ok(()) => return Ok(value),
            Err(error) => drop(why.get_or_insert(error)),
        }
    }
    Err(why.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn with_file(text: &str) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auralink.toml");
        std::fs::write(&path, text).unwrap();
        (folder, Sources { file: Some(path), ..Sources::default() })
    }

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn later_sources_go_over_earlier_ones() {
        let (_folder, mut sources) = with_file("[listen]\ngrpc_port = 1\nhttp_port = 2\n[limits]\nmax_sessions = 3\n");
        sources.environment = environment(&[
            ("HTTP_PORT", "20"),
            ("AURALINK_LIMITS_MAX_SESSIONS", "30"),
            ("AURALINK_LIMITS_PICTURE_MAX_WIDTH", "1920"),
            ("AURALINK_CORS_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
            ("AURALINK_AUTH_JWT_ISSUER", "123"),
            ("AURALINK_LISTEN_UDS", ""),
            ("AURALINK_SERVER", "elsewhere"),
            ("AURALINK_SERVICE_HOST", "10.0.0.1"),
        ]);
        sources.flags = vec![("--grpc-port", "listen.grpc_port", Value::Integer(100))];
        let config = sources.load().unwrap();
        assert_eq!((config.listen.grpc_port, config.listen.http_port), (100, 20));
        assert_eq!((config.limits.max_sessions, config.limits.picture.max_width), (30, 1920));
        assert_eq!(config.cors.allowed_origins, ["https://a.example", "https://b.example"]);
        assert_eq!((config.auth.jwt.issuer.as_str(), config.listen.uds), ("123", None));
        assert_eq!(Sources::default().load().unwrap(), Config::default());
    }

    #[test]
    fn all_faults_are_told_with_key_value_limit_and_place() {
        let text = "[limits]\nmax_sessions = 0\ndrain_ms = \"soon\"\n\n[listen]\nport = 5\n[compute]\nthreads = 2000\n";
        let (folder, mut sources) = with_file(text);
        sources.environment =
            environment(&[("GRPC_PORT", "70000"), ("AURALINK_LIMITS_MAX_SESION", "5"), ("HTTP_PORT", "x")]);
        sources.flags = vec![("--bind", "listen.address", Value::from("0.0.0.0"))];
        let told = sources.load().unwrap_err().to_string();
        let file = folder.path().join("auralink.toml").display().to_string();
        for line in [
            format!("limits.max_sessions: 0 is outside 1..=100000 ({file}:2)"),
            format!("({file}:3)"),
            format!("({file}:6)"),
            format!("compute.threads: 2000 is outside 0..=1024 ({file}:8)"),
            "70000".to_owned(),
            "(environment GRPC_PORT)".to_owned(),
            "AURALINK_LIMITS_MAX_SESION: no setting has this name".to_owned(),
            "listen.http_port: ".to_owned(),
            "listen.address: 0.0.0.0 is reachable from other machines".to_owned(),
            "(--bind)".to_owned(),
        ] {
            assert!(told.contains(&line), "{line} is missing from\n{told}");
        }
        assert!(told.contains("unknown field `port`") && told.contains("drain_ms: invalid type: string"), "{told}");
        assert_eq!(told.lines().count(), 8, "{told}");
    }

    #[test]
    fn broken_missing_and_huge_files_are_told_apart() {
        let (folder, mut sources) = with_file("[limits]\nmax_sessions = \n[limits\n");
        let told = sources.load().unwrap_err().to_string();
        assert!(told.contains(".toml:2)") && told.contains(".toml:3)"), "{told}");
        sources.file = Some(folder.path().join("none.toml"));
        assert!(sources.load().unwrap_err().to_string().contains("none.toml: can't be read"));
        let huge = folder.path().join("huge.toml");
        std::fs::write(&huge, "#".repeat(2 << 20)).unwrap();
        sources.file = Some(huge);
        assert!(sources.load().unwrap_err().to_string().contains("2097152 bytes are over the limit of 1048576"));
    }

    #[test]
    fn every_key_has_a_name_of_its_own_in_the_environment() {
        let keys = keys_of(&Config::default());
        let names: BTreeSet<_> = keys.iter().map(|key| variable(key)).collect();
        assert!(keys.len() > 30 && names.len() == keys.len(), "{keys:?}");
        assert!(keys.iter().any(|key| key == "listen.uds") && keys.iter().any(|key| key == "auth.jwt.keys"));
    }

    #[test]
    fn secrets_are_neither_shown_nor_told_in_errors() {
        let keys = "[[auth.jwt.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\n";
        let (_folder, sources) = with_file(&format!("{keys}secret = \"canary-canary-canary-canary-canary\"\n"));
        let config = sources.load().unwrap();
        assert!(!format!("{config:?}{}", config.to_toml()).contains("canary"));
        assert!(config.to_toml().contains("<hidden>"));
        let (_folder, sources) = with_file(&format!("{keys}secret = 8675309867530986753\n"));
        let told = sources.load().unwrap_err().to_string();
        assert!(told.contains("auth.jwt.keys") && !told.contains("8675309"), "{told}");
    }
}
