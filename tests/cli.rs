//! The program itself: what it reads, writes, says, and ends with.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod skip;
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use auralink::{FrameBuf, PixelFormat};
use support::{CLIP, Run, auralink, data, ffmpeg, have, run, run_with, y4m_clip};

const USAGE: i32 = 64;
const DATA: i32 = 65;
const UNAVAILABLE: i32 = 69;
const IO: i32 = 74;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn help_and_version_succeed_and_tell_the_exit_codes() {
    for args in [vec!["--help"], vec!["encode", "--help"], vec!["stream", "--help"], vec!["demo", "--help"]] {
        let told = run(&args);
        assert_eq!(told.code, Some(0));
        for code in [" 0 ", "64", "65", "69", "74"] {
            assert!(told.stdout_text().contains(code), "{args:?} doesn't tell {code}");
        }
    }
    assert!(run(&["--version"]).stdout_text().starts_with("auralink "));
}

#[test]
fn nonsense_is_a_usage_error_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 1);
    let out = folder.path().join("out.mjpeg");
    let (clip, out) = (path(&clip), path(&out));
    for args in [
        vec![],
        vec!["frobnicate"],
        vec!["encode"],
        vec!["encode", clip, "-o", out, "--quality", "0"],
        vec!["encode", clip, "-o", out, "--quality", "80", "--max-bytes", "1000"],
        vec!["encode", clip, "-o", out, "--bitrate-kbps", "NaN"],
        vec!["encode", clip, "-o", out, "--target-reduction", "0.99"],
        vec!["encode", clip, "-o", out, "--size", "0x4"],
        vec!["encode", clip, "-o", out, "--raw", "p010:4x4"],
        vec!["encode", clip, "-o", out, "--codec", "lossless"],
        vec!["encode", clip, "-o", "out.mp4"],
        vec!["encode", clip, "-o", out, "--codec", "h264"],
        vec!["encode", clip, "-o", out, "--qp", "30"],
        vec!["encode", clip, "-o", out, "--preset", "fast"],
        vec!["encode", clip, "-o", "out.h264", "--preset", "wild"],
        vec!["encode", clip, "-o", "out.h264", "--slices", "17"],
        vec!["encode", clip, "-o", "out.h264", "--deadline-ms", "0"],
        vec!["encode", clip, "-o", out, "--deadline-ms", "10"],
        vec!["stream", clip, "--server", "http://127.0.0.1:1", "-o", "out.mjpeg", "--deadline-ms", "10"],
        vec!["encode", clip, "-o", "out.h264", "--intra-refresh=1"],
        vec!["encode", clip, "-o", "out.h264", "--qp", "30", "--bitrate-kbps", "500"],
        vec!["encode", clip, "-o", "out.alz", "--quality", "50"],
        vec!["encode", clip, "-o", "out.xyz"],
        vec!["encode", clip, "-o", "-", "--stats", "-"],
        vec!["encode", clip, "-o", clip, "--codec", "jpeg"],
        vec!["decode", clip, "-o", "out.xyz"],
        vec!["stream", clip, "--server", "http://127.0.0.1:1", "--rtt-ms", "5"],
        vec!["stream", clip, "--server", "http://127.0.0.1:1", "--bandwidth-kbps", "1"],
        vec!["serve", "--bind", "0.0.0.0", "--check"],
        vec!["probe", "ftp://127.0.0.1"],
    ] {
        let failed = run(&args);
        assert_eq!(failed.code, Some(USAGE), "{args:?}: {}", failed.stderr_text());
        assert!(!failed.stderr.is_empty() && !failed.stderr_text().contains("panicked"), "{args:?}");
    }
    let container = run(&["encode", clip, "-o", "out.mp4"]).stderr_text();
    assert!(container.contains("ffmpeg") && container.lines().count() == 1, "{container}");
}

#[test]
fn files_that_are_not_there_are_io_and_wrong_ones_data() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.mjpeg");
    let missing = run(&["encode", "no/such/file.y4m", "-o", path(&out)]);
    assert_eq!(missing.code, Some(IO));
    assert!(missing.stderr_text().contains("no/such/file.y4m"));

    let wrong = folder.path().join("wrong.y4m");
    fs::write(&wrong, "this is not video").unwrap();
    for command in ["encode", "decode"] {
        let to = folder.path().join(if command == "encode" { "out.mjpeg" } else { "out.y4m" });
        let failed = run(&[command, path(&wrong), "-o", path(&to)]);
        assert_eq!(failed.code, Some(DATA), "{}", failed.stderr_text());
        assert!(!to.exists(), "a bad input must not create its output");
    }
    assert_eq!(run(&["inspect", path(&wrong)]).code, Some(DATA));

    let clip = y4m_clip(folder.path(), 1);
    let failed = run(&["encode", path(&clip), "-o", "/dev/full", "--codec", "jpeg"]);
    if Path::new("/dev/full").exists() {
        assert_eq!(failed.code, Some(IO), "{}", failed.stderr_text());
    }
    let unwritable = folder.path().join("no/such/folder/out.mjpeg");
    assert_eq!(run(&["encode", path(&clip), "-o", path(&unwritable)]).code, Some(IO));
}

#[test]
fn a_truncated_stream_keeps_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 3);
    let mut bytes = fs::read(&clip).unwrap();
    bytes.truncate(bytes.len() - 10);
    let failed = run_with(&["encode", "-", "-o", "-"], &bytes);
    assert_eq!(failed.code, Some(DATA));
    assert!(failed.stderr_text().contains("frame 2"), "{}", failed.stderr_text());
    assert_eq!(support::pictures(&failed.stdout), 2);
}

#[test]
fn everything_goes_through_pipes() {
    let folder = tempfile::tempdir().unwrap();
    let clip = fs::read(y4m_clip(folder.path(), 4)).unwrap();
    let packets = run_with(&["encode", "-", "-o", "-", "--codec", "lossless"], &clip);
    assert_eq!(packets.code, Some(0), "{}", packets.stderr_text());
    assert!(packets.stderr_text().contains("4 frames"), "words go to standard error: {}", packets.stderr_text());
    let frames = run_with(&["decode", "-", "-o", "-"], &packets.stdout);
    assert_eq!(frames.code, Some(0), "{}", frames.stderr_text());
    assert_eq!(support::y4m_frames(&frames.stdout), support::y4m_frames(&clip), "lossless must be exact");

    let pictures = run_with(&["encode", "-", "-o", "-"], &clip);
    assert_eq!(support::pictures(&pictures.stdout), 4, "standard output is MJPEG without --codec");
    let frames = run_with(&["decode", "-", "-o", "-", "--frames", "2"], &pictures.stdout);
    assert_eq!(support::y4m_frames(&frames.stdout).len(), 2);
}

#[test]
fn every_raw_format_survives_lossless_exactly() {
    for format in PixelFormat::ALL {
        let (width, height) = (37, 19);
        let raw: Vec<u8> = (0..2 * format.frame_bytes(width, height)).map(|i| (i * i / 7) as u8).collect();
        let spec = format!("{format}:{width}x{height}");
        let packets = run_with(&["encode", "-", "-o", "-", "--codec", "lossless", "--raw", &spec], &raw);
        assert_eq!(packets.code, Some(0), "{format}: {}", packets.stderr_text());
        let back = run_with(&["decode", "-", "-o", "-", "--to", "raw"], &packets.stdout);
        assert!(back.stdout == raw, "{format}: {}", back.stderr_text());
    }
}

#[test]
fn pictures_and_folders_are_read_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, grey) in [("f10.png", 200), ("f9.png", 100), ("f1.png", 50)] {
        let frame = FrameBuf::new(PixelFormat::Rgb8, 32, 16, vec![grey; 32 * 16 * 3]).unwrap();
        let mut png = Vec::new();
        auralink::images::encode_png(&frame.as_frame(), &mut png).unwrap();
        fs::write(folder.path().join(name), png).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
    let packets = run(&["encode", path(folder.path()), "-o", "-", "--codec", "lossless"]);
    let raw = run_with(&["decode", "-", "-o", "-", "--to", "raw"], &packets.stdout).stdout;
    let greys: Vec<u8> = raw.chunks(32 * 16 * 3).map(|frame| frame[0]).collect();
    assert_eq!(greys, [50, 100, 200]);

    let target = folder.path().join("out");
    fs::create_dir(&target).unwrap();
    let file = folder.path().join("packets.alz");
    fs::write(&file, &packets.stdout).unwrap();
    assert_eq!(run(&["decode", path(&file), "-o", path(&target)]).code, Some(0));
    let png = fs::read(target.join("000001.png")).unwrap();
    let back = auralink::images::decode(&png, &auralink::Limits::ENGINE).unwrap();
    assert_eq!(back.data()[0], 100);

    let still = folder.path().join("one.jpg");
    let first = folder.path().join("f1.png");
    assert_eq!(run(&["encode", path(&first), "-o", path(&still)]).code, Some(0));
    assert_eq!(support::pictures(&fs::read(&still).unwrap()), 1);
    let failed = run(&["encode", path(folder.path()), "-o", path(&still), "--frames", "3", "--size", "64x64"]);
    assert_eq!(failed.code, Some(USAGE), "a .jpg holds one picture: {}", failed.stderr_text());
}

#[test]
fn sizes_that_change_are_told_or_made_equal() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 1);
    let picture = |size: &str| run(&["encode", path(&clip), "-o", "-", "--size", size]).stdout;
    let both = [picture("160x90"), picture("80x44")].concat();
    let failed = run_with(&["decode", "-", "-o", "-"], &both);
    assert_eq!((failed.code, support::y4m_frames(&failed.stdout).len()), (Some(DATA), 1));
    assert!(failed.stderr_text().contains("--size"), "{}", failed.stderr_text());
    let made_equal = run_with(&["decode", "-", "-o", "-", "--size", "64x36"], &both);
    assert_eq!((made_equal.code, support::y4m_frames(&made_equal.stdout).len()), (Some(0), 2));
    assert_eq!(run_with(&["encode", "-", "-o", "-"], &both).code, Some(DATA));
}

#[test]
fn rates_are_kept() {
    let sizes = |args: &[&str]| -> Vec<u64> {
        let all = [&["encode", CLIP, "-o", "/dev/null", "--codec", "jpeg", "--frames", "30", "--json"], args].concat();
        let done = run(&all);
        assert_eq!(done.code, Some(0), "{}", done.stderr_text());
        done.json_lines().iter().map(|line| line["bytes"].as_u64().unwrap()).collect()
    };
    let small = sizes(&["--quality", "20"]);
    let large = sizes(&["--quality", "90"]);
    assert!(small.iter().sum::<u64>() * 2 < large.iter().sum::<u64>());
    assert!(sizes(&["--max-bytes", "9000"]).iter().all(|&bytes| bytes <= 9_000 && bytes > 4_000));
    let raw = 640 * 360 * 3;
    assert!(sizes(&["--target-reduction", "0.95"]).iter().all(|&bytes| bytes <= raw / 20 + 1));
    let rate = sizes(&["--bitrate-kbps", "2000"]);
    let total = rate.iter().sum::<u64>();
    // 2000 kbit/s at 25 frames a second are 10000 bytes a frame.
    assert!((200_000..=310_000).contains(&total), "{total} of 300000");
    assert!(sizes(&["--size", "160x90", "--quality", "75"]).iter().sum::<u64>() < small.iter().sum::<u64>());
}

#[test]
fn figures_are_written_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 3);
    let [stats, recon, out] = ["stats.json", "recon.y4m", "out.mjpeg"].map(|name| folder.path().join(name));
    let args = ["encode", path(&clip), "-o", path(&out), "--stats", path(&stats), "--recon", path(&recon), "--json"];
    let done = run(&args);
    assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    let lines = done.json_lines();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["psnr_db"].as_f64().unwrap() > 20.0 && line["ssim"].as_f64().unwrap() > 0.5));

    let stats: serde_json::Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    assert_eq!(stats["frames"].as_array().unwrap().len(), 3);
    let total = stats["totals"]["bytes"].as_u64().unwrap();
    assert_eq!(total, fs::metadata(&out).unwrap().len());
    for key in ["fps", "reduction", "psnr_db", "ssim", "mpx_per_s", "kbps"] {
        assert!(stats["totals"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    let recon = fs::read(&recon).unwrap();
    assert_eq!(support::y4m_frames(&recon).len(), 3);
    if have("ffmpeg") {
        // What we say the decoder sees is what another decoder does see, but for rounding.
        let seen = ffmpeg(&["-f", "mjpeg", "-i", path(&out), "-pix_fmt", "yuvj420p", "-f", "rawvideo", "-"]);
        let ours: Vec<u8> = support::y4m_frames(&recon).concat();
        assert_eq!(seen.len(), ours.len());
        let worst = seen.iter().zip(&ours).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(4), "{worst:?}");
    }
}

#[test]
fn outputs_are_the_same_for_any_number_of_threads() {
    let encode = |threads: &str| {
        run(&["encode", CLIP, "-o", "-", "--frames", "3", "--size", "1280x720", "--threads", threads]).stdout
    };
    assert!(encode("1") == encode("4"));
}

#[test]
fn others_read_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let [still, video] = ["one.jpg", "many.mjpeg"].map(|name| folder.path().join(name));
    assert_eq!(run(&["encode", CLIP, "-o", path(&still), "--frames", "1"]).code, Some(0));
    assert_eq!(run(&["encode", CLIP, "-o", path(&video), "--frames", "10", "--subsampling", "422"]).code, Some(0));
    if have("djpeg") {
        let seen = support::run_other("djpeg", &["-ppm", path(&still)]);
        assert!(seen.starts_with(b"P6\n640 360\n255\n") && seen.len() == 15 + 640 * 360 * 3);
    }
    if have("ffmpeg") {
        let seen = ffmpeg(&["-i", path(&video), "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
        assert_eq!(seen.len(), 10 * 640 * 360);
        let y4m = folder.path().join("back.y4m");
        assert_eq!(run(&["decode", path(&video), "-o", path(&y4m)]).code, Some(0));
        let ours = ffmpeg(&["-i", path(&y4m), "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
        let mean = seen.iter().zip(&ours).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / seen.len() as f64;
        assert!(ours.len() == seen.len() && mean < 1.5, "decoded luma differs by {mean}");
    }
}

#[test]
fn inspect_tells_what_files_are() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 3);
    let look = |file: &Path| -> serde_json::Value {
        let told = run(&["inspect", path(file), "--json"]);
        assert_eq!(told.code, Some(0), "{}", told.stderr_text());
        told.json_lines().remove(0)
    };
    let seen = look(&clip);
    assert_eq!((&seen["what"], &seen["frames"], &seen["format"]), (&"y4m".into(), &3.into(), &"i420".into()));

    let [jpg, alz, png] = ["a.jpg", "a.alz", "a.png"].map(|name| folder.path().join(name));
    run(&["encode", path(&clip), "-o", path(&jpg), "--frames", "1", "--quality", "83", "--optimise"]);
    let seen = look(&jpg);
    assert_eq!((&seen["quality"], &seen["quality_exact"], &seen["width"]), (&83.into(), &true.into(), &160.into()));
    assert_eq!(seen["chroma"], "1/2 across, 1/2 down");
    run(&["encode", path(&clip), "-o", path(&alz)]);
    let seen = look(&alz);
    assert_eq!((&seen["packets"], &seen["keyframes"]), (&3.into(), &1.into()));
    run(&["decode", path(&jpg), "-o", path(&png)]);
    assert_eq!(look(&png)["color"], "Rgb8");
    let seen = look(Path::new(CLIP));
    assert_eq!((&seen["what"], &seen["frames"]), (&"mjpeg".into(), &100.into()));
    assert!(run(&["inspect", path(&jpg)]).stdout_text().contains("quality: 83\n"));
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let mut child =
        auralink(&["encode", CLIP, "-o", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = Run::wait(child);
    assert_eq!((ended.code, ended.stderr_text().as_str()), (Some(0), ""));
    let mut child = auralink(&["encode", CLIP, "-o", "/dev/null", "--codec", "jpeg", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = Run::wait(child);
    assert_eq!((ended.code, ended.stderr_text().as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_whole_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, out) = (fs::read(y4m_clip(folder.path(), 2)).unwrap(), folder.path().join("out.mjpeg"));
    let mut command = auralink(&["encode", "-", "-o", path(&out), "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The input stays open: without a signal, the program would wait for ever.
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &clip).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().is_some() && lines.next().is_some(), "two frames are coded");
    support::signal("-INT", child.id());
    let ended = Run::wait(child);
    drop(input);
    assert_eq!(ended.code, Some(130), "{}", ended.stderr_text());
    assert!(ended.stderr_text().contains("interrupted"), "{}", ended.stderr_text());
    assert_eq!(support::pictures(&fs::read(&out).unwrap()), 2);
}

#[test]
fn malformed_files_give_an_error_or_a_picture() {
    let Some(folder) = data("malformed") else { return };
    let mut files = Vec::new();
    support::files(&folder, &mut files);
    assert!(files.len() > 100, "{} files in {}", files.len(), folder.display());
    let out = tempfile::tempdir().unwrap();
    let [mjpeg, y4m] = ["out.mjpeg", "out.y4m"].map(|name| out.path().join(name));
    for file in &files {
        let bytes = fs::read(file).unwrap();
        let name = file.display();
        for (what, ended) in [
            ("encode", run(&["encode", path(file), "-o", path(&mjpeg)])),
            ("decode", run(&["decode", path(file), "-o", path(&y4m)])),
            ("inspect", run(&["inspect", path(file)])),
            ("encode -", run_with(&["encode", "-", "-o", path(&mjpeg)], &bytes)),
            ("decode -", run_with(&["decode", "-", "-o", path(&y4m)], &bytes)),
        ] {
            assert!(
                matches!(ended.code, Some(0 | USAGE | DATA)),
                "{what} {name}: {:?} {}",
                ended.code,
                ended.stderr_text()
            );
            assert!(!ended.stderr_text().contains("panicked"), "{what} {name}: {}", ended.stderr_text());
        }
    }
}

#[test]
fn damaged_packets_give_an_error_or_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let clip = y4m_clip(folder.path(), 2);
    let packets = run(&["encode", path(&clip), "-o", "-", "--codec", "lossless"]).stdout;
    for step in 0..24 {
        let mut damaged = packets.clone();
        let at = step * 977 % damaged.len();
        damaged[at] ^= 1 << (step % 8);
        damaged.truncate(packets.len() - step * 13);
        let ended = run_with(&["decode", "-", "-o", "-"], &damaged);
        assert!(matches!(ended.code, Some(0 | DATA)), "{at}: {:?} {}", ended.code, ended.stderr_text());
        assert!(!ended.stderr_text().contains("panicked"), "{}", ended.stderr_text());
    }
}

#[test]
fn serve_checks_its_configuration_and_a_missing_server_is_unavailable() {
    let told = run(&["serve", "--check", "--grpc-port", "6000", "--threads", "3"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr_text());
    assert!(told.stdout_text().contains("grpc_port = 6000"), "{}", told.stdout_text());
    let port = support::free_port();
    let url = format!("127.0.0.1:{port}");
    for args in [
        vec!["probe", "--grpc", &url],
        vec!["probe", "--http", &url],
        vec!["top", &url, "--once"],
        vec!["stream", CLIP, "--server", &url],
    ] {
        let failed = run(&args);
        assert_eq!(failed.code, Some(UNAVAILABLE), "{args:?}: {}", failed.stderr_text());
        assert_eq!(failed.stderr_text().lines().count(), 1, "{}", failed.stderr_text());
    }
}

#[test]
fn a_service_is_probed_watched_and_streamed_through() {
    let folder = tempfile::tempdir().unwrap();
    let server = support::Server::start(folder.path());
    assert_eq!(run(&["probe", &server.http]).code, Some(0));
    assert_eq!(run(&["probe", "--grpc", &server.grpc]).code, Some(0));
    assert!(run(&["top", &server.grpc, "--once"]).stdout_text().contains(": sessions 0\n"));

    let packets = folder.path().join("packets.mjpeg");
    let done = run(&["stream", CLIP, "--server", &server.grpc, "-o", path(&packets), "--frames", "20", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    let lines = done.json_lines();
    assert_eq!(lines.len(), 20, "every frame is answered: {}", done.stderr_text());
    assert!(lines.iter().all(|line| line["ssim"].as_f64().is_some_and(|ssim| ssim > 0.8)), "{:?}", lines[0]);
    assert_eq!(support::pictures(&fs::read(&packets).unwrap()), 20);
    assert!(done.stderr_text().contains("latency p50"));

    let clip = y4m_clip(folder.path(), 6);
    let lossless = folder.path().join("packets.alz");
    let done = run(&["stream", path(&clip), "--server", &server.grpc, "-o", path(&lossless)]);
    assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    let back = run(&["decode", path(&lossless), "-o", "-"]).stdout;
    assert_eq!(support::y4m_frames(&back), support::y4m_frames(&fs::read(&clip).unwrap()));

    let args = [
        "stream",
        CLIP,
        "--server",
        &server.grpc,
        "--frames",
        "25",
        "--bandwidth-kbps",
        "300",
        "--loss",
        "5",
        "--json",
    ];
    let slow = run(&args);
    assert_eq!(slow.code, Some(0), "{}", slow.stderr_text());
    let bytes: u64 = slow.json_lines().iter().filter_map(|line| line["bytes"].as_u64()).sum();
    assert!(bytes > 0 && bytes < 60_000, "{bytes} bytes in a second over 300 kbit/s");

    let small = run_with(&["stream", "-", "--server", &server.grpc, "--raw", "rgb8:16x16"], &[0; 16 * 16 * 3]);
    assert_eq!(small.code, Some(DATA), "under the smallest size: {}", small.stderr_text());
    assert!(small.stderr_text().contains("width"), "{}", small.stderr_text());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_demo_succeeds_and_its_file_plays() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = auralink(&["demo", "--seconds", "2"]);
    demo.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = Run::wait_for(demo.spawn().unwrap(), Duration::from_secs(60));
    assert_eq!(done.code, Some(0), "{}{}", done.stdout_text(), done.stderr_text());
    let file = folder.path().join("auralink-demo.h264");
    let told: serde_json::Value = serde_json::from_slice(&run(&["inspect", path(&file), "--json"]).stdout).unwrap();
    let count = told["frames"].as_u64().unwrap() as usize;
    assert!(count > 10 && told["sizes"].as_array().unwrap().len() > 1, "{told} of {}", done.stdout_text());
    if have("ffmpeg") {
        let seen = ffmpeg(&["-i", path(&file), "-vf", "scale=16:16", "-pix_fmt", "gray", "-f", "rawvideo", "-"]);
        assert_eq!(seen.len(), count * 256, "ffmpeg sees {} of {count} pictures", seen.len() / 256);
    }
}
