//! Kinds of content: photographs, video frames, screens.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::pictures::{self, Picture};

pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
/// Pictures of a kind at most: they are coded many times.
const MOST_PICTURES: usize = 8;
/// Frames that are taken of a clip, one in so many.
const FRAMES: &str = "2";
const EVERY: usize = 23;

pub struct Content {
    pub name: &'static str,
    pub pictures: Vec<Picture>,
}

const CLIPS: [&str; 5] = [
    "video/natural/bigbuckbunny_1280x720_25.mp4",
    "video/natural/head_outdoor_1280x720_30.mp4",
    "video/natural/cockatoo_1280x720_20.mp4",
    "video/natural/sintel_trailer_1280x720_24.mp4",
    "video/natural/highway_960x540_60.mp4",
];

/// All kinds whose files are at hand; without them, the bundled clip.
pub fn load() -> Result<Vec<Content>> {
    let mut contents = Vec::new();
    for (name, folder) in [("photographs", "images/kodak"), ("screens", "images/screenshot")] {
        let mut files = match std::fs::read_dir(Path::new(DATA).join(folder)) {
            Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<PathBuf>, _>>()?,
            Err(_) => {
                eprintln!("SKIPPED: {folder}, which isn't beside this repository");
                continue;
            }
        };
        files.sort();
        files.truncate(MOST_PICTURES);
        contents.push(Content { name, pictures: pictures::load(&files)? });
    }
    let pictures = clips()?;
    if !pictures.is_empty() {
        contents.insert(contents.len().min(1), Content { name: "video frames", pictures });
    }
    if contents.is_empty() {
        contents.push(Content { name: "the bundled clip", pictures: pictures::load(&[])? });
    }
    Ok(contents)
}

/// Frames of the clips as PNG, by ffmpeg.
fn clips() -> Result<Vec<Picture>> {
    let mut all = Vec::new();
    for clip in CLIPS {
        let path = Path::new(DATA).join(clip);
        let filter = format!("select=not(mod(n\\,{EVERY}))");
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(&path)
            .args(["-vf", &filter, "-vsync", "0", "-frames:v", FRAMES, "-f", "image2pipe", "-c:v", "ppm", "-"])
            .output();
        match output {
            Ok(output) if output.status.success() && path.is_file() => all.extend(pictures::read_ppms(&output.stdout)?),
            _ => eprintln!("SKIPPED: {clip}, which ffmpeg couldn't read"),
        }
    }
    Ok(all)
}
