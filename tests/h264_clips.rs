//! Real films through the H.264 encoder: the reconstruction is what ffmpeg shows, bit for bit.
//!
//! By default a few small frames of each clip of the development data. More, by variables: `AURALINK_H264_FRAMES=1000`,
//! `AURALINK_H264_SIZES=native,161x91,3840x2160`, `AURALINK_H264_QPS=0,22,51`, `AURALINK_H264_SLICES=1,2,8`,
//! `AURALINK_H264_CLIPS=carphone,screen_` (parts of names). Each clip is then coded with every combination, in all profiles.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail where tests may")]

mod h264_common;
mod skip;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use auralink::codec::h264::{FrameOrder, H264Config, H264Encoder, Preset, Profile};
use auralink::{FrameBuf, PixelFormat, kernel};
use h264_common::ffmpeg::Oracle;
use h264_common::{encode_frame, pool};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/video");
/// Frames of each clip, and their size, where nothing else is asked for.
const FRAMES: usize = 4;
const SIZE: &str = "176x122";

/// The parts of a variable that is a list.
fn list(name: &str) -> Option<Vec<String>> {
    Some(std::env::var(name).ok()?.split(',').map(str::to_owned).collect())
}

fn numbers(name: &str) -> Option<Vec<usize>> {
    list(name).map(|words| words.iter().map(|word| word.parse().unwrap()).collect())
}

fn clips() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["natural", "screen"] {
        let Ok(entries) = std::fs::read_dir(Path::new(DATA).join(folder)) else { continue };
        found.extend(entries.map(|entry| entry.unwrap().path()));
    }
    if let Some(parts) = list("AURALINK_H264_CLIPS") {
        found.retain(|path| parts.iter().any(|part| path.to_string_lossy().contains(part)));
    }
    found.sort();
    found
}

/// The first frames of a clip, planar 4:2:0.
fn frames(clip: &Path, size: &str, count: usize) -> Vec<FrameBuf> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(clip).args(["-map", "0:v:0", "-frames:v", &count.to_string()]);
    if size != "native" {
        command.args(["-s", size]);
    }
    command.args(["-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-strict", "-1", "-f", "yuv4mpegpipe", "-"]);
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}: {}", clip.display(), String::from_utf8_lossy(&done.stderr));
    let mut parser = auralink::frame::y4m::Parser::default();
    parser.feed(&done.stdout);
    let mut frame = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1).unwrap();
    let mut all = Vec::new();
    while parser.next_frame(&mut frame).unwrap() {
        all.push(frame.clone());
    }
    all
}

#[test]
fn clips_are_shown_as_they_are_reconstructed() {
    let clips = clips();
    if clips.is_empty() {
        return skip::say(format_args!("no clips in {DATA}: real films are not encoded as H.264"));
    }
    let count = numbers("AURALINK_H264_FRAMES").map_or(FRAMES, |counts| counts[0]);
    let sizes = list("AURALINK_H264_SIZES").unwrap_or_else(|| vec![SIZE.to_owned()]);
    let (qps, slices) = (numbers("AURALINK_H264_QPS"), numbers("AURALINK_H264_SLICES"));
    let profiles = if qps.is_some() || slices.is_some() { Profile::ALL.to_vec() } else { Vec::new() };
    let (mut oracle, pool) = (Oracle::new(), pool(2));
    for (index, clip) in clips.iter().enumerate() {
        for size in &sizes {
            let film = frames(clip, size, count);
            let one = |all: &[Profile]| if all.is_empty() { vec![Profile::ALL[index % 3]] } else { all.to_vec() };
            for profile in one(&profiles) {
                for &qp in qps.as_deref().unwrap_or(&[18 + index % 16]) {
                    for &slices in slices.as_deref().unwrap_or(&[1 + index % 4]) {
                        let preset = Preset::ALL[(index / 3 + qp) % 3];
                        let config = H264Config { profile, preset, slices, ..H264Config::default() };
                        let mut encoder = H264Encoder::new(kernel::detect(), config).unwrap();
                        let units = film.iter().enumerate().map(|(number, frame)| {
                            let order = FrameOrder::at(qp as u8);
                            encode_frame(&mut encoder, &frame.as_frame(), &order, number, &pool).unwrap()
                        });
                        let name = clip.file_name().unwrap().to_string_lossy();
                        let name = format!("{name} {size} {profile} {preset}, {slices} slices at {qp}");
                        let units = units.collect();
                        oracle.feed(&name, config.framing, units);
                    }
                }
            }
            oracle.settle();
            eprintln!("{} {size}: {} pictures", clip.display(), oracle.pictures);
        }
    }
    eprintln!("{} streams, {} pictures", oracle.streams, oracle.pictures);
}
