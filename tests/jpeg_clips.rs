//! The JPEG encoder on real clips: budgets that are used, tables that pay, and the PSNR that is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod jpeg_common;
mod skip;

use std::path::Path;
use std::process::Command;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use auralink::{Error, Frame, FrameBuf, PixelFormat, kernel, quality};
use jpeg_common::{encode, pool};

/// Clips, and the frames that are taken of each.
const CLIPS: [(&str, &str); 6] = [
    ("natural/basketballpass_416x240_50.mkv", "416x240"),
    ("natural/highway_960x540_60.mp4", "960x540"),
    ("natural/sintel_trailer_1280x720_24.mp4", "1280x720"),
    ("natural/head_outdoor_1280x720_30.mp4", "1280x720"),
    ("screen/screen_terminal_1280x720_30.mkv", "1280x720"),
    ("natural/vid4_calendar_25.mkv", "720x576"),
];
const CLIP_FRAMES: usize = 4;

/// Frames of a clip in I420, by ffmpeg; none, loudly, where it or the clip isn't there.
fn clip(name: &str, size: &str) -> Vec<FrameBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/video")).join(name);
    if !path.is_file() {
        skip::say(format_args!("no clip at {}", path.display()));
        return Vec::new();
    }
    let frames = CLIP_FRAMES.to_string();
    let arguments = ["-frames:v", &frames, "-vf", "select=not(mod(n\\,7)),format=yuv420p", "-vsync", "0"];
    let command = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(&path)
        .args(arguments)
        .args(["-f", "rawvideo", "-"])
        .output();
    let Ok(output) = command else {
        skip::say(format_args!("ffmpeg is not installed"));
        return Vec::new();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (width, height) = size.split_once('x').unwrap();
    let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
    let frame_bytes = PixelFormat::I420.frame_bytes(width, height);
    let frames = output.stdout.chunks_exact(frame_bytes);
    frames.map(|data| FrameBuf::new(PixelFormat::I420, width, height, data.to_vec()).unwrap()).collect()
}

#[test]
fn frames_of_clips_take_nearly_all_of_their_budgets() {
    let (mut near, mut all, mut passes, mut misses) = (0, 0, 0, Vec::new());
    let pool = pool(2);
    for (name, size) in CLIPS {
        let mut encoder = JpegEncoder::new(kernel::detect());
        for frame in clip(name, size) {
            for max_bytes in [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 500_000] {
                for subsampling in [Subsampling::S420, Subsampling::S444] {
                    let config = JpegConfig { quality: 100, subsampling, restart_rows: 8, ..JpegConfig::default() };
                    let mut out = Vec::new();
                    let stats = match encoder.encode_within(&frame.as_frame(), &config, max_bytes, &pool, &mut out) {
                        Ok(stats) => stats,
                        Err(Error::Budget { .. }) => continue,
                        Err(error) => panic!("{name}: {error}"),
                    };
                    assert!(stats.bytes <= max_bytes && out.len() == stats.bytes);
                    let is_near = stats.bytes * 100 >= max_bytes * 97;
                    // Nothing is finer than quality 100.
                    if stats.quality == 100 && !is_near && encode(&frame.as_frame(), &config).len() <= max_bytes {
                        continue;
                    }
                    (near, all, passes) = (near + u32::from(is_near), all + 1, passes + stats.passes);
                    if !is_near {
                        misses.push(format!("{name}: {stats:?} of {max_bytes}"));
                    }
                }
            }
        }
    }
    if all > 0 {
        eprintln!("{near} of {all} files within 3 % under their budgets, {passes} passes");
        assert!(near * 100 >= all * 95, "{near} of {all}:\n{}", misses.join("\n"));
    }
}

#[test]
fn trained_tables_make_every_clip_smaller() {
    // Annex K's tables are made for pictures from cameras, where little is left to gain.
    let mut total = [0; 2];
    let pool = pool(2);
    for (name, size) in CLIPS {
        let (mut standard, mut trained) = (JpegEncoder::new(kernel::detect()), JpegEncoder::new(kernel::detect()));
        let mut sizes = [0; 2];
        for (index, frame) in clip(name, size).iter().enumerate() {
            let config = JpegConfig { restart_rows: 8, ..JpegConfig::default() };
            let stats = standard.encode(&frame.as_frame(), &config, &pool, &mut Vec::new()).unwrap();
            let config = JpegConfig { train: true, ..config };
            let trained = trained.encode(&frame.as_frame(), &config, &pool, &mut Vec::new()).unwrap();
            // The first frame has none before it.
            if index > 0 {
                sizes = [sizes[0] + stats.bytes, sizes[1] + trained.bytes];
            }
        }
        assert!(sizes[1] <= sizes[0], "{name}: {sizes:?}");
        eprintln!("{name}: {:.2} %", 100.0 - 100.0 * sizes[1] as f64 / sizes[0].max(1) as f64);
        total = [total[0] + sizes[0], total[1] + sizes[1]];
    }
    assert!(total[1] * 100 <= total[0] * 97, "{total:?}");
}

#[test]
fn the_psnr_told_is_what_decoders_give() {
    let pool = pool(2);
    // Where the picture is black or white decoders cut errors off; the other clips have none of it to speak of.
    for (name, size) in [CLIPS[0], CLIPS[1], ("natural/bigbuckbunny_1280x720_25.mp4", "1280x720")] {
        for frame in clip(name, size).iter().take(2) {
            for quality in [10, 25, 50, 75, 90, 95] {
                let config = JpegConfig { quality, measure: true, reconstruct: true, ..JpegConfig::default() };
                let mut encoder = JpegEncoder::new(kernel::detect());
                let told = encoder.encode(&frame.as_frame(), &config, &pool, &mut Vec::new()).unwrap().psnr_db.unwrap();
                let (frame, mut luma) = (frame.as_frame(), Vec::new());
                kernel::rows::luma_plane(kernel::detect(), &frame, &mut luma).unwrap();
                let source = Frame::new(PixelFormat::Gray8, frame.width(), frame.height(), &luma).unwrap();
                let seen = encoder.reconstruction().unwrap();
                let exact = quality::compare(kernel::detect(), source.plane(0), seen.plane(0), &pool).unwrap().psnr_db;
                assert!((told - exact).abs() < 0.05, "{name} at {quality}: {told:.3} dB for {exact:.3}");
            }
        }
    }
}
