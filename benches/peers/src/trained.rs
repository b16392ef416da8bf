//! What trained tables, sent once, save of each clip, and what they take.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::frame::ColorSpace;
use auralink::{FrameBuf, Matrix, PixelFormat, Range, kernel};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::contents::DATA;
use crate::{Result, median};

const QUALITIES: [u8; 4] = [50, 75, 90, 95];
/// Bytes and frames of a clip that are coded.
const MOST_BYTES: usize = 128 << 20;
const MOST_FRAMES: usize = 60;

/// Percent saved, and speed in that of the standard tables.
#[derive(Clone, Copy, Default)]
struct Found {
    saved: f64,
    speed: f64,
}

/// Measures every clip and prints the table.
pub fn run(rounds: usize) -> Result<()> {
    println!("| clip | q50 | q75 | q90 | q95 |\n|---|---:|---:|---:|---:|");
    let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut all = Vec::new();
    for folder in ["natural", "screen"] {
        let mut found = Vec::new();
        for clip in clips(&Path::new(DATA).join("video").join(folder)) {
            let frames = frames(&clip)?;
            let name = clip.file_stem().unwrap_or_default().to_string_lossy();
            let mut row = [Found::default(); QUALITIES.len()];
            for (found, quality) in row.iter_mut().zip(QUALITIES) {
                *found = measure(&frames, quality, rounds, &pool)?;
            }
            print(&name, &row);
            found.push(row);
        }
        print(&format!("mean of {} {folder} clips", found.len()), &mean(&found));
        all.extend(found);
    }
    print(&format!("mean of all {} clips", all.len()), &mean(&all));
    Ok(())
}

fn clips(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        eprintln!("SKIPPED: {}, which isn't beside this repository", folder.display());
        return Vec::new();
    };
    let mut clips: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    clips.sort();
    clips
}

/// The first frames of a clip as JFIF's samples, by ffmpeg.
fn frames(clip: &Path) -> Result<Vec<FrameBuf>> {
    let probe = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(clip)
        .args(["-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"])
        .output()?;
    let Some(first) = crate::pictures::read_ppms(&probe.stdout)?.pop() else { return Err("no frame".into()) };
    let bytes = PixelFormat::I420.frame_bytes(first.width, first.height);
    let count = (MOST_BYTES / bytes).clamp(1, MOST_FRAMES).to_string();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(clip)
        .args(["-fps_mode", "passthrough", "-frames:v", &count, "-pix_fmt", "yuvj420p", "-f", "rawvideo", "-"])
        .output()?;
    let color = ColorSpace { matrix: Matrix::Bt601, range: Range::Full };
    let frames = output
        .stdout
        .chunks_exact(bytes)
        .map(|data| Ok(FrameBuf::new(PixelFormat::I420, first.width, first.height, data.to_vec())?.with_color(color)));
    frames.collect()
}

fn measure(frames: &[FrameBuf], quality: u8, rounds: usize, pool: &ThreadPool) -> Result<Found> {
    let configs = [false, true].map(|on| JpegConfig { quality, train: on, abbreviate: on, ..JpegConfig::default() });
    let (mut bytes, mut seconds, mut out) = ([0; 2], [vec![], vec![]], Vec::new());
    // A round before those that count: buffers grow and pages come in.
    for round in 0..=rounds {
        for (i, config) in configs.iter().enumerate() {
            let mut encoder = JpegEncoder::new(kernel::detect());
            let began = Instant::now();
            bytes[i] = 0;
            for frame in frames {
                out.clear();
                bytes[i] += encoder.encode(&frame.as_frame(), config, pool, &mut out)?.bytes;
            }
            if round > 0 {
                seconds[i].push(began.elapsed().as_secs_f64());
            }
        }
    }
    let [plain, trained] = seconds.each_mut().map(|seconds| median(seconds));
    Ok(Found { saved: 100.0 - 100.0 * bytes[1] as f64 / bytes[0] as f64, speed: plain / trained })
}

fn mean(rows: &[[Found; QUALITIES.len()]]) -> [Found; QUALITIES.len()] {
    let count = rows.len().max(1) as f64;
    let of = |i: usize, of: fn(&Found) -> f64| rows.iter().map(|row| of(&row[i])).sum::<f64>() / count;
    std::array::from_fn(|i| Found { saved: of(i, |found| found.saved), speed: of(i, |found| found.speed) })
}

fn print(name: &str, row: &[Found]) {
    let cells: Vec<String> = row.iter().map(|found| format!("{:.1} % at {:.2}x", found.saved, found.speed)).collect();
    println!("| {name} | {} |", cells.join(" | "));
}
