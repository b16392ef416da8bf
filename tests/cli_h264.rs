//! H.264 by the program: files and pipes that another decoder reads, and figures that hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![allow(dead_code, reason = "the helpers are shared with tests that use the others")]

mod skip;
mod support;

use std::fs;
use std::path::Path;

use support::{CLIP, data, ffmpeg, have, run, run_with, y4m_clip, y4m_frames};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn inspect(file: &Path) -> serde_json::Value {
    serde_json::from_slice(&run(&["inspect", path(file), "--json"]).stdout).unwrap()
}

/// What ffmpeg makes of a stream, as y4m's samples.
fn decoded(file: &Path) -> Vec<u8> {
    ffmpeg(&["-xerror", "-f", "h264", "-i", path(file), "-f", "rawvideo", "-"])
}

#[test]
fn what_is_written_decodes_to_what_the_encoder_says() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 6);
    let [out, recon, stats] = ["out.264", "recon.y4m", "stats.json"].map(|name| folder.path().join(name));
    let cases: [&[&str]; 6] = [
        &["--qp", "30", "--stats", path(&stats)],
        &["--qp", "24", "--profile", "baseline", "--preset", "fast", "--slices", "2"],
        &["--quality", "60", "--profile", "main", "--preset", "best"],
        &["--bitrate-kbps", "600", "--threads", "1"],
        &["--max-bytes", "4000", "--intra-refresh=4"],
        &["--size", "161x91", "--intra-refresh"],
    ];
    for options in cases {
        let args = [&["encode", path(&clip), "-o", path(&out), "--recon", path(&recon)], options].concat();
        let done = run(&args);
        assert_eq!(done.code, Some(0), "{options:?}: {}", done.stderr_text());
        assert!(done.stdout_text().contains("6 frames, h264"), "{}", done.stdout_text());
        let seen = y4m_frames(&fs::read(&recon).unwrap());
        assert_eq!(seen.len(), 6);
        let facts = inspect(&out);
        assert_eq!((&facts["what"], &facts["frames"]), (&"h264".into(), &6.into()), "{options:?}");
        let odd = options.contains(&"161x91");
        let (width, height) = if odd { (162, 92) } else { (160, 90) };
        if have("ffmpeg") {
            let theirs = decoded(&out);
            assert_eq!(theirs.len(), 6 * width * height * 3 / 2, "{options:?}");
            if !odd {
                assert!(theirs == seen.concat(), "{options:?}: ffmpeg sees other pictures");
            }
        }
    }
    let stats: serde_json::Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    assert!(stats["frames"][1]["qp"].as_f64().unwrap() > 20.0 && stats["totals"]["ssim"].as_f64().unwrap() > 0.8);
}

#[test]
fn pipes_pictures_and_raw_frames_make_the_same_stream_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let clip = fs::read(y4m_clip(folder.path(), 4)).unwrap();
    let encode = |threads: &str, input: &[u8], more: &[&str]| {
        let args = [&["encode", "-", "-o", "-", "--codec", "h264", "--qp", "28", "--threads", threads], more].concat();
        let done = run_with(&args, input);
        assert_eq!(done.code, Some(0), "{}", done.stderr_text());
        done.stdout
    };
    let one = encode("1", &clip, &[]);
    assert!(one.starts_with(&[0, 0, 0, 1]) && one == encode("3", &clip, &[]));
    let raw = y4m_frames(&clip).concat();
    for threads in ["1", "2"] {
        assert!(one == encode(threads, &raw, &["--raw", "i420:160x90"]), "raw frames, {threads} threads");
        assert!(!encode(threads, &clip, &["--frames", "2"]).is_empty());
    }
    // Frame lines with parameters, and a stream that breaks off.
    let spaced =
        [&clip[..clip.windows(6).position(|at| at == b"FRAME\n").unwrap()], &b"FRAME Ip\n"[..], &raw[..160 * 135]];
    assert!(one.starts_with(&encode("1", &spaced.concat(), &[])[..40]));
    let args = ["encode", "-", "-o", "-", "--codec", "h264", "--threads", "1"];
    let torn = run_with(&args, &clip[..clip.len() - 7]);
    assert!(torn.code == Some(65) && torn.stderr_text().contains("unfinished frame"), "{}", torn.stderr_text());
    let png = folder.path().join("pictures");
    fs::create_dir(&png).unwrap();
    for number in 0..3 {
        let file = png.join(format!("{number}.png"));
        assert_eq!(run(&["decode", CLIP, "-o", path(&file), "--frames", "1", "--size", "320x180"]).code, Some(0));
    }
    let out = folder.path().join("pictures.h264");
    assert_eq!(run(&["encode", path(&png), "-o", path(&out)]).code, Some(0));
    let facts = inspect(&out);
    assert_eq!((&facts["width"], &facts["frames"], &facts["keyframes"]), (&320.into(), &3.into(), &1.into()));
    let refused = run(&["decode", path(&out), "-o", "-"]);
    assert!(refused.code == Some(65) && refused.stderr_text().contains("ffmpeg"), "{}", refused.stderr_text());
}

#[test]
fn a_bit_rate_is_kept_over_five_seconds() {
    let Some(clips) = data("video/natural").filter(|_| have("ffmpeg")) else { return };
    let clip = clips.join("head_outdoor_1280x720_30.mp4");
    let film = ["-stream_loop", "1", "-i", path(&clip), "-frames:v", "150", "-vf", "scale=320:180"];
    let film = ffmpeg(&[&film[..], &["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]].concat());
    let frames = y4m_frames(&film).len();
    assert_eq!(frames, 150);
    for kbps in ["300", "900"] {
        let done = run_with(&["encode", "-", "-o", "-", "--codec", "h264", "--bitrate-kbps", kbps], &film);
        assert_eq!(done.code, Some(0), "{}", done.stderr_text());
        let told = done.stdout.len() as f64 * 8.0 / 1000.0 / (frames as f64 / 30.0);
        let asked: f64 = kbps.parse().unwrap();
        assert!((told / asked - 1.0).abs() < 0.02, "{kbps} kbit/s asked, {told:.0} written");
    }
}

#[test]
fn streams_are_h264_where_nothing_else_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = support::Server::start(folder.path());
    let out = folder.path().join("received.h264");
    for (output, count) in [(path(&out), 20), ("-", 5)] {
        let frames = count.to_string();
        let done = run(&["stream", CLIP, "--server", &server.grpc, "-o", output, "--frames", &frames]);
        assert_eq!(done.code, Some(0), "{}", done.stderr_text());
        if output == "-" {
            assert!(done.stdout.starts_with(&[0, 0, 0, 1]));
        }
    }
    let told = run(&["stream", CLIP, "--server", &server.grpc, "--frames", "3", "--json"]).json_lines();
    assert!(told.iter().all(|line| line["codec"] == "h264" && line["qp"].as_f64().is_some()), "{told:?}");
    let measured = run(&["stream", CLIP, "--server", &server.grpc, "--fps", "25", "--frames", "20", "--json"]);
    let reasons: Vec<_> =
        measured.json_lines().iter().filter_map(|line| Some(line["reason"].as_str()?.to_owned())).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("link measured")), "{reasons:?}");
    assert_eq!(inspect(&out)["frames"], 20);
    if have("ffmpeg") {
        assert_eq!(decoded(&out).len(), 20 * 640 * 360 * 3 / 2);
    }
    assert_eq!(server.stop(), Some(0));
}
