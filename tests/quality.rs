//! PSNR and SSIM against ffmpeg's filters and a plain reading of the formula, for any number of threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod skip;

use std::path::Path;
use std::process::{Command, Stdio};

use auralink::frame::y4m::{FrameRate, Header, write_frame, write_header};
use auralink::quality::{Quality, compare};
use auralink::{Frame, FrameBuf, Level, PixelFormat, Range, kernel};
use rayon::{ThreadPool, ThreadPoolBuilder};

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// A generator of the same numbers in every run.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }
}

/// A picture with edges, gradients and grain, and a damaged copy of it.
fn pair(format: PixelFormat, width: u32, height: u32, strength: u8) -> [FrameBuf; 2] {
    let mut random = Random(u64::from(width * 31 + height));
    let mut source = Vec::new();
    for plane in 0..format.planes() {
        let size = format.plane_size(plane, width, height);
        for y in 0..size.rows {
            for x in 0..size.row_bytes {
                let edge = if (x / 11 + y / 7) % 3 == 0 { 90 } else { 0 };
                source.push((x + 2 * y) as u8 / 2 + edge + random.byte() % 16);
            }
        }
    }
    let damaged = source.iter().map(|&sample| sample.saturating_add(random.byte() % strength).min(250)).collect();
    [source, damaged].map(|data| FrameBuf::new(format, width, height, data).unwrap())
}

fn measure(a: &FrameBuf, b: &FrameBuf, plane: usize, threads: usize) -> Quality {
    compare(Level::new(), a.as_frame().plane(plane), b.as_frame().plane(plane), &pool(threads)).unwrap()
}

/// What ffmpeg says of the planes of two frames: PSNR and SSIM of each; none, which is said, where it isn't installed.
fn ffmpeg(test: &str, [a, b]: [&FrameBuf; 2]) -> Option<Vec<Quality>> {
    let folder = tempfile::tempdir().unwrap();
    for (frame, name) in [(a, "a.y4m"), (b, "b.y4m")] {
        let view = frame.as_frame();
        let (width, height, format) = (view.width(), view.height(), view.format());
        let mut stream = Vec::new();
        write_header(&Header { width, height, rate: FrameRate::DEFAULT, format, range: Range::Limited }, &mut stream)
            .unwrap();
        write_frame(&view, &mut stream).unwrap();
        std::fs::write(folder.path().join(name), stream).unwrap();
    }
    let filter = "[0][1]psnr=stats_file=psnr.txt:stats_version=1;[0][1]ssim=stats_file=ssim.txt";
    let run = Command::new("ffmpeg")
        // Without SIMD: ffmpeg 5.1's has a fault of its own where the windows of a row are one more than a multiple of four.
        .args(["-v", "error", "-cpuflags", "0", "-i", "a.y4m", "-i", "b.y4m", "-lavfi", filter, "-f", "null", "-"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .status();
    if run.is_err() {
        skip::say(format_args!("{test}: ffmpeg is not installed"));
        return None;
    }
    assert!(run.unwrap().success());
    let [psnr, ssim] = ["psnr.txt", "ssim.txt"].map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
    let value = |text: &str, key: String| -> f64 {
        let found = text.split_whitespace().find_map(|word| word.strip_prefix(&key).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no {key} in {text}")).parse().unwrap()
    };
    let names = [["psnr_y:", "Y:"], ["psnr_u:", "U:"], ["psnr_v:", "V:"]];
    let planes = &names[..a.as_frame().format().planes()];
    Some(
        planes
            .iter()
            .map(|[p, s]| Quality { psnr_db: value(&psnr, (*p).into()), ssim: value(&ssim, (*s).into()) })
            .collect(),
    )
}

fn assert_agree(ours: Quality, theirs: Quality, what: &str) {
    // ffmpeg prints two decimals of PSNR and six of SSIM.
    let near_psnr = ours.psnr_db == theirs.psnr_db || (ours.psnr_db - theirs.psnr_db).abs() < 0.00501;
    let near = near_psnr && (ours.ssim - theirs.ssim).abs() < 0.000_01;
    assert!(near, "{what}: {ours:?}, ffmpeg says {theirs:?}");
}

#[test]
fn ffmpeg_agrees_on_synthetic_frames() {
    for (format, width, height, strength) in [
        (PixelFormat::I420, 320, 180, 4),
        (PixelFormat::I420, 337, 211, 60),
        (PixelFormat::I422, 65, 33, 9),
        (PixelFormat::I444, 1_100, 40, 2),
        (PixelFormat::I420, 1_920, 1_080, 20),
        (PixelFormat::Gray8, 8, 8, 30),
        (PixelFormat::Gray8, 4_099, 67, 120),
        (PixelFormat::Gray8, 64, 64, 1),
    ] {
        let [a, b] = pair(format, width, height, strength);
        let Some(theirs) = ffmpeg("ffmpeg_agrees_on_synthetic_frames", [&a, &b]) else { return };
        for (plane, theirs) in theirs.into_iter().enumerate() {
            assert_agree(measure(&a, &b, plane, 2), theirs, &format!("{format} {width}x{height} plane {plane}"));
        }
    }
}

#[test]
fn ffmpeg_agrees_on_clips_it_compressed() {
    let test = "ffmpeg_agrees_on_clips_it_compressed";
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/video"));
    for clip in [
        "natural/foreman_cif_352x288_30_vp9.ivf",
        "natural/bigbuckbunny_1280x720_25.mp4",
        "screen/screen_doc_scroll_1280x720_30.mkv",
    ] {
        let path = data.join(clip);
        if !path.exists() {
            skip::say(format_args!("{test}: {} is absent", path.display()));
            continue;
        }
        let decode = |quality: &str| {
            let folder = tempfile::tempdir().unwrap();
            let run = |input: &str, output: &[&str]| {
                let mut command = Command::new("ffmpeg");
                command
                    .args(["-v", "error", "-y", "-i", input, "-frames:v", "1"])
                    .args(output)
                    .current_dir(folder.path());
                command.status().is_ok_and(|status| status.success())
            };
            let path = path.to_str().unwrap();
            let jpeg = ["-vf", "scale=out_range=full", "-pix_fmt", "yuvj420p", "-q:v", quality, "x.jpg"];
            let raw = ["-f", "rawvideo", "-pix_fmt", "yuvj420p", "x.yuv"];
            if !(run(path, &jpeg) && run("x.jpg", &raw)) {
                return None;
            }
            let probe = std::fs::read(folder.path().join("x.yuv")).unwrap();
            let (width, height) = if clip.contains("352x288") { (352, 288) } else { (1_280, 720) };
            Some(FrameBuf::new(PixelFormat::I420, width, height, probe).unwrap())
        };
        let (Some(fine), Some(coarse)) = (decode("1"), decode("12")) else {
            skip::say(format_args!("{test}: ffmpeg is not installed"));
            return;
        };
        let theirs = ffmpeg(test, [&fine, &coarse]).unwrap();
        for (plane, theirs) in theirs.into_iter().enumerate() {
            let ours = measure(&fine, &coarse, plane, 2);
            assert!(ours.psnr_db < 60.0, "{clip} was not damaged");
            assert_agree(ours, theirs, &format!("{clip} plane {plane}"));
        }
    }
}

#[test]
fn levels_threads_and_strides_do_not_matter() {
    for (width, height) in [(8, 8), (67, 41), (1_500, 700)] {
        let [a, b] = pair(PixelFormat::Gray8, width, height, 40);
        let first = measure(&a, &b, 0, 1);
        for threads in [1, 2, 5] {
            let pool = pool(threads);
            for level in kernel::levels() {
                let quality = compare(level, a.as_frame().plane(0), b.as_frame().plane(0), &pool).unwrap();
                assert_eq!(quality, first, "{width}x{height}, {} threads, {}", threads, kernel::name(level));
            }
        }
        let padded: Vec<u8> =
            a.data().chunks(width as usize).flat_map(|row| row.iter().chain(&[0xEE; 9]).copied()).collect();
        let strided = Frame::with_strides(PixelFormat::Gray8, width, height, &padded, &[width as usize + 9]).unwrap();
        let quality = compare(Level::new(), strided.plane(0), b.as_frame().plane(0), &pool(1)).unwrap();
        assert_eq!(quality, first);
    }
}

#[test]
fn equal_planes_are_perfect_at_every_size() {
    for width in [1, 2, 3, 7, 8, 9, 15, 16, 64, 1_029, 2_060] {
        for height in [1, 3, 7, 8, 12, 65, 300] {
            let [a, _] = pair(PixelFormat::Gray8, width, height, 5);
            let perfect = Quality { psnr_db: f64::INFINITY, ssim: 1.0 };
            assert_eq!(measure(&a, &a, 0, 1), perfect, "{width}x{height}");
        }
    }
}

#[test]
fn small_planes_have_windows_of_their_size() {
    for (width, height) in [(1, 1), (1, 300), (5, 2), (7, 7), (300, 3), (4, 8), (8, 4)] {
        let [a, b] = pair(PixelFormat::Gray8, width, height, 60);
        let quality = measure(&a, &b, 0, 1);
        assert!(quality.ssim.is_finite() && quality.ssim < 1.0 && quality.ssim > -1.0, "{width}x{height}: {quality:?}");
    }
    // One window over opposite checkerboards: nothing in common but the mean.
    let [a, b] = [[0, 255, 0, 255], [255, 0, 255, 0]]
        .map(|data| FrameBuf::new(PixelFormat::Gray8, 4, 1, data.to_vec()).unwrap());
    let quality = measure(&a, &b, 0, 1);
    assert!(quality.ssim < -0.9, "{quality:?}");
    assert_eq!(quality.psnr_db, 0.0);
}

#[test]
fn planes_of_different_sizes_are_refused() {
    let [a, _] = pair(PixelFormat::Gray8, 16, 16, 5);
    let [b, _] = pair(PixelFormat::Gray8, 16, 15, 5);
    let error = compare(Level::new(), a.as_frame().plane(0), b.as_frame().plane(0), &pool(1)).unwrap_err();
    assert_eq!(error.to_string(), "plane: 16x15, but 16x16 was agreed");
    let none = a.as_frame().plane(2);
    assert_eq!(compare(Level::new(), none, none, &pool(1)).unwrap().ssim, 1.0);
}
