//! Pictures to code, all in RGB.

use std::path::{Path, PathBuf};

use auralink::frame::y4m;
use auralink::{FrameBuf, Limits, PixelFormat, images};

use crate::Result;

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/bigbuckbunny_640x360_25.mjpeg");
const KODAK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/images/kodak");
/// Frames taken from a film, evenly spaced.
const FILM_FRAMES: usize = 10;

pub struct Picture {
    pub frame: FrameBuf,
    pub width: u32,
    pub height: u32,
}

impl Picture {
    pub fn pixels(&self) -> usize {
        self.width as usize * self.height as usize
    }

    pub fn rgb(&self) -> &[u8] {
        self.frame.data()
    }
}

/// The pictures of these files, or of the default ones.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Picture>> {
    let mut files = paths.to_vec();
    if files.is_empty() {
        files.push(CLIP.into());
        match std::fs::read_dir(KODAK) {
            Ok(entries) => files.extend(entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?),
            Err(_) => eprintln!("SKIPPED: the Kodak pictures, which are not beside this repository"),
        }
        files.sort();
    }
    let mut pictures = Vec::new();
    for file in &files {
        let frames = read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        pictures.extend(frames.into_iter().map(|frame| {
            let (width, height) = (frame.as_frame().width(), frame.as_frame().height());
            Picture { frame, width, height }
        }));
    }
    if pictures.is_empty() { Err("no pictures".into()) } else { Ok(pictures) }
}

fn read(path: &Path) -> Result<Vec<FrameBuf>> {
    let data = std::fs::read(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("y4m") => spaced(&read_y4m(&data)?).into_iter().map(|frame| rgb(&frame)).collect(),
        Some("mjpeg" | "mjpg") => spaced(&split(&data)).into_iter().map(|file| opened(&file)).collect(),
        _ => Ok(vec![opened(&data)?]),
    }
}

/// Binary PPMs one after another, as ffmpeg pipes them.
pub fn read_ppms(mut data: &[u8]) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    while !data.is_empty() {
        // Three lines: P6, the size, 255.
        let ends: Vec<usize> =
            data.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).take(3).collect();
        let [first, second, third] = ends[..] else { return Err("a PPM is cut off".into()) };
        let (width, height) =
            std::str::from_utf8(&data[first + 1..second])?.split_once(' ').ok_or("a PPM has no size")?;
        let (width, height): (u32, u32) = (width.parse()?, height.parse()?);
        let bytes = PixelFormat::Rgb8.frame_bytes(width, height);
        let pixels = data.get(third + 1..third + 1 + bytes).ok_or("a PPM is cut off")?;
        pictures.push(Picture {
            frame: FrameBuf::new(PixelFormat::Rgb8, width, height, pixels.to_vec())?,
            width,
            height,
        });
        data = &data[third + 1 + bytes..];
    }
    Ok(pictures)
}

fn spaced<T: Clone>(all: &[T]) -> Vec<T> {
    all.iter().step_by(all.len().div_ceil(FILM_FRAMES).max(1)).cloned().collect()
}

fn read_y4m(data: &[u8]) -> Result<Vec<FrameBuf>> {
    let mut parser = y4m::Parser::default();
    parser.feed(data);
    let mut frame = FrameBuf::zeroed(PixelFormat::Gray8, 1, 1)?;
    let mut frames = Vec::new();
    while parser.next_frame(&mut frame)? {
        frames.push(frame.clone());
    }
    Ok(frames)
}

/// The files of an MJPEG stream: an end and a start of image follow each other nowhere else.
fn split(stream: &[u8]) -> Vec<Vec<u8>> {
    let ends =
        stream.windows(4).enumerate().filter(|(_, bytes)| *bytes == [0xFF, 0xD9, 0xFF, 0xD8]).map(|(at, _)| at + 2);
    let mut start = 0;
    let mut files: Vec<_> = ends.map(|end| stream[std::mem::replace(&mut start, end)..end].to_vec()).collect();
    files.push(stream[start..].to_vec());
    files
}

fn opened(file: &[u8]) -> Result<FrameBuf> {
    rgb(&images::decode(file, &Limits::ENGINE)?)
}

/// The frame in RGB: what the engine writes as PNG, read back.
fn rgb(frame: &FrameBuf) -> Result<FrameBuf> {
    let mut png = Vec::new();
    images::encode_png(&frame.as_frame(), &mut png)?;
    let picture = image::load_from_memory(&png)?.into_rgb8();
    Ok(FrameBuf::new(PixelFormat::Rgb8, picture.width(), picture.height(), picture.into_raw())?)
}
