//! What the metrics tell after traffic of every kind.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use auralink::service::config::Role;
use auralink::service::{Config, KeyFile, RateLimits, Windows, proto};

use crate::harness::{PATIENCE, Talk, config, http, i420, open_i420, start, with};
use crate::limits::metrics;

/// Every name that the service registers.
fn registered() -> Vec<&'static str> {
    let source = include_str!("../../src/service/telemetry.rs");
    source.split("r.register(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Samples by their series.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').map(|(series, value)| (series, value.parse().unwrap())).unwrap()).collect()
}

/// A server that knows callers and limits them, and the key of one.
fn watched() -> (Config, String) {
    let mut keys = KeyFile::default();
    let secret = keys.add("ann", &[Role::Admin], None).unwrap();
    let per_minute = |calls| Windows { per_minute: calls, ..Windows::NONE };
    let rates = RateLimits { loopback: true, caller: per_minute(7), failures: per_minute(2), ..RateLimits::default() };
    let mut config = Config { rates, ..config() };
    (config.auth.keys, config.auth.open_metrics) = (keys.keys, true);
    (config, secret)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_there_and_tells_what_happened() {
    let (config, secret) = watched();
    let server = start(config).await;
    let before = metrics(server.http).await;
    let known = Some(secret.as_str());
    let mut client = server.client().await;
    for codec in [proto::Codec::Jpeg, proto::Codec::Lossless, proto::Codec::H264] {
        let measure = codec == proto::Codec::Jpeg;
        let open = proto::Open { codec: codec as i32, measure_quality: measure, ..open_i420(320, 180) };
        let (mut talk, _) = Talk::open_as(&mut client, open, known).await.unwrap();
        talk.frame(1, i420(320, 180, 1)).await;
        talk.packet().await;
        // One frame that isn't one.
        talk.frame(2, bytes::Bytes::from_static(b"short")).await;
        talk.error().await;
        talk.finish().await.unwrap();
    }
    let picture = proto::Picture { format: 1, width: 320, height: 180, data: i420(320, 180, 2), ..Default::default() };
    let still = proto::CompressFrameRequest { picture: Some(picture), codec: 1, ..Default::default() };
    client.compress_frame(with(known, still)).await.map(drop).unwrap_or_default();
    for _ in 0..5 {
        let head = "authorization: Bearer no.such.token\r\n";
        assert!([401, 429].contains(&http(server.http, "GET", "/v1/sessions", head, b"").await.status));
        let head = format!("x-api-key: {secret}\r\n");
        assert!([200, 429].contains(&http(server.http, "GET", "/v1/sessions", &head, b"").await.status));
    }
    let began = std::time::Instant::now();
    let text = loop {
        let text = metrics(server.http).await;
        if text.contains("auralink_ledger_records_total{reason=\"written\"} 3\n") {
            break text;
        }
        assert!(began.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let told = samples(&text);
    let names = registered();
    assert!(names.len() > 35, "{names:?}");
    for name in names {
        let begins = format!("auralink_{name}");
        let ends = |rest: &str| ["", "_total", "_bucket", "_sum", "_count"].contains(&rest.split('{').next().unwrap());
        assert!(told.keys().any(|series| series.strip_prefix(&begins).is_some_and(ends)), "{name} is nowhere");
    }
    for (series, least) in [
        ("auralink_packets_total{codec=\"h264\"}", 1.0),
        ("auralink_packets_total{codec=\"jpeg\"}", 1.0),
        ("auralink_packet_bytes_total{codec=\"lossless\"}", 100.0),
        ("auralink_raw_bytes_total", 3.0 * 86_400.0),
        ("auralink_frames_in_total", 6.0),
        ("auralink_streams_opened_total", 3.0),
        ("auralink_errors_total{code=\"INVALID_ARGUMENT\"}", 3.0),
        ("auralink_auth_denied_total{reason=\"token\"}", 5.0),
        ("auralink_limit_decisions_total{decision=\"refused\",scope=\"failed attempts\"}", 3.0),
        ("auralink_limit_decisions_total{decision=\"refused\",scope=\"caller\"}", 1.0),
        ("auralink_stage_seconds_count{stage=\"measure\"}", 1.0),
        ("auralink_queue_seconds_count", 3.0),
        ("auralink_plan_quality_count", 3.0),
        ("auralink_plan_scale_count", 3.0),
        ("auralink_pool_threads", 2.0),
        ("auralink_in_flight_limit_bytes", 1e6),
        ("auralink_ready", 1.0),
    ] {
        let value = told.get(series).copied().unwrap_or_else(|| panic!("no {series} in\n{text}"));
        assert!(value >= least, "{series} is {value}, not {least}");
    }
    if cfg!(target_os = "linux") {
        assert!(told["auralink_resident_bytes"] > 1e6);
    }
    // What is counted from the beginning begins at nothing.
    assert!(before.contains("auralink_frames_dropped_total{reason=\"superseded\"} 0\n"), "{before}");
    lint(&text);
    server.stop().await;
}

/// Has Prometheus' own tool look at a scrape. It reads the older text format, where a counter is called `..._total` in its help
/// too.
fn lint(text: &str) {
    let counters: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let lines = text.lines().map(|line| match line.split(' ').nth(2) {
        Some(name) if line.starts_with('#') && counters.contains(&name) => {
            line.replacen(name, &format!("{name}_total"), 1) + "\n"
        }
        _ => format!("{line}\n"),
    });
    let text: String = lines.collect();
    let Some(promtool) = crate::programs::find("promtool", &["/usr/bin"]) else { return };
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
