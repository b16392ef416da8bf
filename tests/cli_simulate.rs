//! `auralink simulate`: links it reads, figures it gives, charts it draws, clips it codes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod skip;
#[allow(dead_code, reason = "each test file uses some of it")]
mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{run, y4m_clip};

const USAGE: i32 = 64;
const DATA: i32 = 65;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a simulation and reads its JSON.
fn figures(args: &[&str]) -> Value {
    let told = run(&[&["simulate", "--json", "-"], args].concat());
    assert_eq!(told.code, Some(0), "{args:?}: {}", told.stderr_text());
    serde_json::from_str(&told.stdout_text()).unwrap()
}

#[test]
fn one_controller_gives_one_object_with_every_key() {
    let args = ["--down", "const:4000", "--controller", "fixed:2000", "--seconds", "20"];
    let report = figures(&args);
    for key in [
        "controller",
        "utilisation",
        "frame_delay_ms",
        "signal_delay_ms",
        "shown_fps",
        "freeze_count",
        "freeze_percent",
        "queue_drops",
        "ssim_mean",
        "psnr_mean",
        "budget_overshoot_percent",
        "signal_excess_ms",
        "queue_bytes_p95",
    ] {
        assert!(report.get(key).is_some(), "{key} is missing in {report}");
    }
    for delays in ["frame_delay_ms", "signal_delay_ms"] {
        assert!(["p50", "p95", "p99"].iter().all(|key| report[delays][key].is_f64()), "{report}");
    }
    assert!((report["utilisation"].as_f64().unwrap() - 0.5).abs() < 0.01);
    assert!(report["ssim_mean"].is_null());
    // What deciding cost is measured, and all else is the same again.
    let again = figures(&args);
    let without = |mut report: Value| {
        report["decisions"] = Value::Null;
        report
    };
    assert_eq!(without(report), without(again));
}

#[test]
fn all_controllers_give_a_table_and_a_list() {
    let told = run(&["simulate", "--down", "steps:6000@5,1500@5", "--up", "const:2000", "--seconds", "15"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr_text());
    let all = figures(&["--down", "steps:6000@5,1500@5", "--up", "const:2000", "--seconds", "15"]);
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["controller"].as_str().unwrap()).collect();
    assert!(names.len() > 10, "{names:?}");
    let table = told.stdout_text();
    for name in &names {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name} isn't in\n{table}");
    }
    let used = |name: &str| {
        let at = names.iter().position(|other| *other == name).unwrap();
        all[at]["utilisation"].as_f64().unwrap()
    };
    assert!(used("oracle") > 0.97 && used("fixed:25%") < 0.3);
}

#[test]
fn files_of_both_kinds_are_links() {
    let folder = tempfile::tempdir().unwrap();
    let mahimahi = folder.path().join("link.down");
    fs::write(&mahimahi, (1..=400).map(|at| format!("{}\n", at * 3)).collect::<String>()).unwrap();
    let table = folder.path().join("link.csv");
    fs::write(&table, "0,4\n1,4\n2,4\n").unwrap();
    for file in [&mahimahi, &table] {
        let report = figures(&["--down", path(file), "--up", path(file), "--controller", "oracle", "--seconds", "12"]);
        assert!((report["capacity_kbps"].as_f64().unwrap() - 4000.0).abs() < 10.0, "{report}");
    }
    fs::write(&table, "5\n4\n").unwrap();
    let told = run(&["simulate", "--down", path(&table)]);
    assert_eq!(told.code, Some(USAGE));
    assert!(told.stderr_text().contains("line 2: 4 ms comes after 5 ms"), "{}", told.stderr_text());
}

#[test]
fn conditions_of_the_link_are_felt() {
    let base = ["--down", "const:3000", "--controller", "fixed:1000", "--seconds", "20"];
    let p50 = |more: &[&str]| figures(&[&base, more].concat())["frame_delay_ms"]["p50"].as_f64().unwrap();
    let plain = p50(&[]);
    assert!((p50(&["--rtt-ms", "240"]) - plain - 100.0).abs() < 2.0);
    assert!(p50(&["--jitter-ms", "30"]) > plain + 10.0);
    assert!((p50(&["--encode-ms", "8", "--decode-ms", "5"]) - plain - 13.0).abs() < 3.0);
    let lossy = figures(&[&base, &["--loss-percent", "5", "--loss-burst", "4"] as &[&str]].concat());
    assert!(lossy["lost_packets"].as_u64().unwrap() > 20, "{lossy}");
    let tcp = figures(&[&base, &["--loss-percent", "2", "--tcp"] as &[&str]].concat());
    assert!(tcp["frames_sent"].as_u64().unwrap() - tcp["frames_shown"].as_u64().unwrap() < 20, "{tcp}");
}

#[test]
fn a_run_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("run.svg");
    let args = ["--down", "steps:6000@5,1500@5", "--controller", "twotimescale", "--seconds", "30"];
    figures(&[&args[..], &["--plot", path(&plot)]].concat());
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("Mbit/s") && svg.contains("signal delay") && !svg.contains("NaN"));
    assert!(svg.contains("prefers-color-scheme:dark"));
    let told = run(&["simulate", "--down", "const:1000", "--plot", path(&plot)]);
    assert_eq!(told.code, Some(USAGE));
}

/// Adds what no prediction foresees to the samples of a clip of 160x90.
fn add_grain(clip: &Path) {
    let mut bytes = fs::read(clip).unwrap();
    let (header, frame) = (bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1, "FRAME\n".len());
    let mut seed = 1_u32;
    for picture in bytes[header..].chunks_exact_mut(frame + 160 * 90 * 3 / 2) {
        for sample in &mut picture[frame..] {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample += (seed >> 28) as u8;
        }
    }
    fs::write(clip, bytes).unwrap();
}

#[test]
fn a_clip_is_coded_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 12);
    add_grain(&clip);
    let with = |kbps: &str| {
        let down = format!("const:{kbps}");
        let args =
            ["--down", &down, "--controller", "twotimescale", "--clip", path(&clip), "--fps", "30", "--seconds", "12"];
        figures(&args)
    };
    let (wide, narrow) = (with("3000"), with("150"));
    let ssim = |report: &Value| report["ssim_mean"].as_f64().unwrap();
    assert!(ssim(&wide) > 0.95 && ssim(&wide) > ssim(&narrow) && ssim(&narrow) > 0.3, "{wide}\n{narrow}");
    // What is on the screen is older than what is before the camera.
    assert!(wide["ssim_on_screen_mean"].as_f64().unwrap() < ssim(&wide));
    assert!(wide["budget_overshoot_percent"].as_f64().unwrap() == 0.0);
    let empty = folder.path().join("empty.y4m");
    fs::write(&empty, "YUV4MPEG2 W16 H16 F25:1\n").unwrap();
    assert_eq!(run(&["simulate", "--down", "const:1000", "--clip", path(&empty)]).code, Some(DATA));
}

#[test]
fn losses_are_seen_until_the_encoder_knows_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 12);
    let args = ["--down", "const:2000", "--controller", "fixed:800", "--clip", path(&clip), "--fps", "30"];
    let report = figures(&[&args[..], &["--seconds", "20", "--loss-percent", "3"]].concat());
    assert!(report["frames_undecodable"].as_u64().unwrap() > 10, "{report}");
    assert!(report["shown_fps"].as_f64().unwrap() > 15.0, "{report}");
}

#[test]
fn nonsense_is_a_usage_error_that_says_why() {
    for (args, told) in [
        (vec!["simulate"], "--down"),
        (vec!["simulate", "--down", "const:0"], "fits through"),
        (vec!["simulate", "--down", "const:1000", "--controller", "cubic"], "controller: cubic"),
        (vec!["simulate", "--down", "const:1000", "--seconds", "0"], "seconds: 0"),
        (vec!["simulate", "--down", "const:1000", "--seconds", "NaN"], "seconds: NaN"),
        (vec!["simulate", "--down", "const:1000", "--fps", "500"], "fps"),
        (vec!["simulate", "--down", "const:1000", "--loss-percent", "101"], "loss"),
        (vec!["simulate", "--down", "const:1000", "--loss-burst", "0"], "loss_burst"),
        (vec!["simulate", "--down", "const:1000", "--min-frame-bytes", "0"], "min_frame_bytes"),
        (vec!["simulate", "--down", "const:1000", "--queue-packets", "2000000"], "queue_packets"),
    ] {
        let got = run(&args);
        assert_eq!(got.code, Some(USAGE), "{args:?}: {}", got.stderr_text());
        assert!(got.stderr_text().contains(told), "{args:?}: {}", got.stderr_text());
    }
}

#[test]
fn another_sender_shares_the_link_and_leaves_it() {
    let args = ["--down", "const:6000", "--controller", "auralink", "--seconds", "60", "--compete", "tcp@20-40"];
    let sharing = figures(&args)["sharing"].clone();
    let kbps = |key: &str| sharing[key].as_f64().unwrap();
    // A sender that fills the queue until it loses packets takes nearly all from one that keeps it short; that one lives on.
    assert!(kbps("own_kbps") > 100.0 && kbps("rival_kbps") > 1_000.0, "{sharing}");
    assert!(kbps("own_after_kbps") > 0.85 * 6_000.0, "{sharing}");
    for bad in ["cubic", "tcp@9", "tcp@40-20"] {
        let told = run(&["simulate", "--down", "const:6000", "--compete", bad]);
        assert_eq!(told.code, Some(USAGE), "{bad}: {}", told.stderr_text());
    }
}

#[test]
fn a_session_on_a_thin_link_says_what_it_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 12);
    let args = ["--down", "const:2000", "--controller", "auralink", "--fps", "25", "--seconds", "12"];
    let report = figures(&[&args[..], &["--clip", path(&clip)]].concat());
    let kept = &report["promises"];
    assert!(kept["packets"].as_u64().unwrap() > 150, "{report}");
    assert_eq!(kept["unsaid"].as_u64(), Some(0), "{report}");
    assert!(kept["floor_percent"].as_f64().unwrap() > 90.0 && report["ssim_mean"].as_f64().unwrap() > 0.7, "{report}");
    let bare = figures(&[&args[..], &["--clip", path(&clip), "--bare"]].concat());
    assert!(bare["promises"].is_null() && bare["ssim_mean"].is_f64(), "{bare}");
}

#[test]
fn a_real_stream_follows_a_simulated_link() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 250);
    let server = support::Server::start(folder.path());
    let link = ["--trace-down", "steps:3000@6,64@20", "--fps", "25", "--json"];
    let told = run(&[&["stream", path(&clip), "--server", &server.grpc][..], &link[..]].concat());
    assert_eq!(told.code, Some(0), "{}", told.stderr_text());
    let text = told.stdout_text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (report, packets) = lines.split_last().unwrap();
    assert!(report["frames_shown"].as_u64().unwrap() > 150 && report["seconds"].as_f64().unwrap() > 9.0, "{report}");
    assert_eq!(report["promises"]["unsaid"].as_u64(), Some(0), "{report}");
    // Bytes of two seconds before the step down, and of the last two.
    let bytes = |from: u64, to: u64| -> u64 {
        let within =
            packets.iter().filter(|p| p["bytes"].is_u64() && (from..to).contains(&p["frame"].as_u64().unwrap()));
        within.map(|p| p["bytes"].as_u64().unwrap()).sum()
    };
    assert!(bytes(200, 250) < 2 * 64_000 / 8 * 3 / 2, "{} bytes in two seconds of 64 kbit/s", bytes(200, 250));
    assert!(bytes(75, 125) > bytes(200, 250), "{} and {}", bytes(75, 125), bytes(200, 250));
    assert_eq!(server.stop(), Some(0));
}
