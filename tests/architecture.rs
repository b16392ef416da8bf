//! The engine's rules of the house, read from its source: no runtime, no files, no sockets, no clock, no global pool, and
//! data that flows one way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of the engine, and the rooms each may use.
const ROOMS: [(&str, &[&str]); 11] = [
    ("limits.rs", &["error"]),
    ("error.rs", &[]),
    ("kernel", &["error", "limits", "frame", "kernel"]),
    ("frame", &["error", "limits", "frame"]),
    ("quality.rs", &["error", "limits", "frame", "kernel"]),
    ("resize.rs", &["error", "limits", "frame", "kernel"]),
    ("codec", &["error", "limits", "frame", "kernel", "codec"]),
    ("rate", &["error", "limits", "codec", "rate"]),
    ("netem", &["error", "limits", "codec", "rate", "netem"]),
    ("session", &["error", "limits", "frame", "kernel", "codec", "quality", "resize", "rate", "session", "engine"]),
    ("engine.rs", &["error", "limits", "frame", "kernel", "codec", "quality", "resize", "rate", "session"]),
];

const BANNED: [&str; 8] = [
    "tokio",
    "tonic",
    "std::fs",
    "std::net",
    "Instant::now",
    "SystemTime",
    "ThreadPoolBuilder::build_global",
    "rayon::spawn",
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

/// The source without its tests, comments and strings of documentation.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_engine_keeps_its_rules() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for (room, allowed) in ROOMS {
        let mut files = Vec::new();
        sources(&src.join(room), &mut files);
        assert!(!files.is_empty(), "room {room} has no source: was it moved?");
        for file in files {
            let code = code(&file);
            for banned in BANNED {
                if code.contains(banned) {
                    faults.push(format!("{}: uses {banned}", file.display()));
                }
            }
            for (_, rest) in code.match_indices("crate::").map(|(at, _)| code.split_at(at + "crate::".len())) {
                let used: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // A capitalised name is a re-export of an engine type, used in documentation links only.
                let is_module = used.chars().next().is_some_and(char::is_lowercase);
                if is_module && !allowed.contains(&used.as_str()) {
                    faults.push(format!("{}: points back to crate::{used}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "the engine's rules are broken:\n{}", faults.join("\n"));
}

#[test]
fn only_kernels_know_about_cpus() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files.iter().filter(|file| !file.starts_with(src.join("kernel"))) {
        let code = code(file);
        for arch in ["std::arch", "core::arch", "target_feature", "kernel!(", "dispatch!("] {
            assert!(!code.contains(arch), "{}: {arch} belongs in src/kernel", file.display());
        }
    }
}
