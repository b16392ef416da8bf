//! Every image at hand gives the same file at each SIMD level and for any number of threads.
#![cfg(feature = "images")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod jpeg_common;
mod skip;

use std::path::{Path, PathBuf};

use auralink::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use auralink::{FrameBuf, Limits, PixelFormat, images, kernel};
use jpeg_common::pool;

/// Pixels of one picture at most, where `AURALINK_IMAGE_PIXELS` doesn't say otherwise: the plain level is slow.
const USUAL_PIXELS: u64 = 1 << 18;

/// The files of a folder and those within.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

fn picture(path: &Path, most_pixels: u64) -> Option<FrameBuf> {
    let frame = images::decode(&std::fs::read(path).unwrap(), &Limits::ENGINE).ok()?;
    let (width, height) = (frame.as_frame().width(), frame.as_frame().height());
    (u64::from(width) * u64::from(height) <= most_pixels && frame.as_frame().format() != PixelFormat::Gray16)
        .then_some(frame)
}

#[test]
fn every_image_is_the_same_file_at_each_level_and_for_1_2_and_7_threads() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/images"));
    if !folder.is_dir() {
        return skip::say(format_args!("no images at {}", folder.display()));
    }
    let most_pixels = std::env::var("AURALINK_IMAGE_PIXELS").map_or(USUAL_PIXELS, |pixels| pixels.parse().unwrap());
    let pools = [1, 2, 7].map(pool);
    let (mut pictures, mut coded) = (0, 0);
    for path in files(folder) {
        let Some(frame) = picture(&path, most_pixels) else { continue };
        pictures += 1;
        for (quality, subsampling, restart_rows, optimise) in
            [(75, Subsampling::S420, 2, false), (90, Subsampling::S420, 1, true), (97, Subsampling::S444, 3, false)]
        {
            let config = JpegConfig { quality, subsampling, restart_rows, optimise, ..JpegConfig::default() };
            let mut expected: Option<Vec<u8>> = None;
            for level in kernel::levels() {
                for pool in &pools {
                    let mut out = Vec::new();
                    JpegEncoder::new(level).encode(&frame.as_frame(), &config, pool, &mut out).unwrap();
                    assert!(
                        *expected.get_or_insert_with(|| out.clone()) == out,
                        "{} with {config:?} at {}, {} threads",
                        path.display(),
                        kernel::name(level),
                        pool.current_num_threads(),
                    );
                    coded += 1;
                }
            }
        }
    }
    eprintln!("{pictures} images, {coded} files");
    assert!(pictures > 0, "no image of {} could be read", folder.display());
}
