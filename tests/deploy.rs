//! What is deployed around the service knows its metrics by their names.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of metrics that the service registers, as Prometheus sees them but for what is appended by kind.
fn registered() -> BTreeSet<String> {
    let source = include_str!("../src/service/telemetry.rs");
    let names = source.split("r.register(\"").skip(1).filter_map(|rest| rest.split('"').next());
    names.map(|name| format!("auralink_{name}")).collect()
}

/// Names that a text asks Prometheus for.
fn asked(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("auralink_"));
    let plain =
        words.map(|word| ["_total", "_bucket", "_count", "_sum"].iter().fold(word, |w, end| w.trim_end_matches(end)));
    plain.map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboards_ask_for_what_is_there() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let known = registered();
    assert!(known.len() > 20, "{known:?}");
    for file in ["prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/auralink.json", "OPERATIONS.md"] {
        let names = asked(&fs::read_to_string(deploy.join(file)).unwrap());
        let strange: Vec<_> = names.difference(&known).collect();
        assert!(!names.is_empty() && strange.is_empty(), "{file}: {strange:?}");
    }
}

#[test]
fn every_alert_is_explained() {
    let alerts = include_str!("../deploy/prometheus/alerts.yml");
    let operations = include_str!("../deploy/OPERATIONS.md");
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(operations.contains(&format!("| {name} |")), "{name}");
    }
}
