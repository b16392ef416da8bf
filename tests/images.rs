//! Image files: what comes out of each kind, what goes into PNG, and files made to break decoders.
#![cfg(feature = "images")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod skip;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use auralink::images::{decode, encode_png};
use auralink::{ColorSpace, Error, Frame, FrameBuf, Limits, Matrix, PixelFormat, Range};
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

const MIB: u64 = 1 << 20;

/// The engine's sizes with the service's memory.
fn tight() -> Limits {
    let mut limits = Limits::ENGINE;
    limits.max_decoder_bytes = Limits::SERVICE.max_decoder_bytes;
    limits
}

fn png(samples: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(samples, width, height, color).unwrap();
    file
}

fn round_trip(frame: &Frame<'_>) -> FrameBuf {
    let mut file = Vec::new();
    encode_png(frame, &mut file).unwrap();
    decode(&file, &Limits::ENGINE).unwrap()
}

/// Files under a folder of the data, or none, which is said.
fn files(test: &str, folder: &str) -> Vec<PathBuf> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(folder);
    if !root.exists() {
        skip::say(format_args!("{test}: {} is absent", root.display()));
        return Vec::new();
    }
    let (mut folders, mut files) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// The most memory this process ever held, in bytes; none where the system doesn't tell.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

#[test]
fn each_kind_of_png_has_its_format() {
    use ExtendedColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    let wide: Vec<u8> = [0x0102_u16, 0xFF00, 0x8080, 0x0000].iter().flat_map(|v| v.to_ne_bytes()).collect();
    for (samples, color, format, expected) in [
        (vec![7, 8], L8, PixelFormat::Gray8, vec![7, 8]),
        (wide[..4].to_vec(), L16, PixelFormat::Gray16, vec![0x02, 0x01, 0x00, 0xFF]),
        (vec![7, 200, 8, 100], La8, PixelFormat::Rgba8, vec![7, 7, 7, 200, 8, 8, 8, 100]),
        (wide.clone(), La16, PixelFormat::Rgba8, vec![1, 1, 1, 254, 128, 128, 128, 0]),
        (vec![1, 2, 3, 4, 5, 6], Rgb8, PixelFormat::Rgb8, vec![1, 2, 3, 4, 5, 6]),
        ([&wide[..6], &wide[..6]].concat(), Rgb16, PixelFormat::Rgb8, vec![1, 254, 128, 1, 254, 128]),
        (vec![1, 2, 3, 4, 5, 6, 7, 8], Rgba8, PixelFormat::Rgba8, vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ([&wide[..], &wide[..]].concat(), Rgba16, PixelFormat::Rgba8, vec![1, 254, 128, 0, 1, 254, 128, 0]),
    ] {
        let picture = decode(&png(&samples, 2, 1, color), &Limits::ENGINE).unwrap();
        assert_eq!((picture.as_frame().format(), picture.data()), (format, expected.as_slice()), "{color:?}");
        assert_eq!(picture.as_frame().color(), ColorSpace::JFIF);
    }
}

#[test]
fn content_tells_the_kind_not_a_name() {
    let pixels: Vec<u8> = (0..16 * 16 * 3).map(|i| (i / 3) as u8).collect();
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).write_image(&pixels, 16, 16, ExtendedColorType::Rgb8).unwrap();
    assert_eq!(decode(&webp, &Limits::ENGINE).unwrap().data(), pixels);

    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.write_image(&[90; 64], 8, 8, ExtendedColorType::L8).unwrap();
    let picture = decode(&jpeg, &Limits::ENGINE).unwrap();
    assert_eq!((picture.as_frame().format(), picture.data()), (PixelFormat::Gray8, [90; 64].as_slice()));

    assert_eq!(decode(b"GIF89a", &Limits::ENGINE).unwrap_err().field(), "image");
    assert_eq!(decode(b"", &Limits::ENGINE).unwrap_err().field(), "image");
    assert_eq!(decode(&webp[..webp.len() / 2], &Limits::ENGINE).unwrap_err().field(), "webp");
    assert_eq!(decode(&jpeg[..20], &Limits::ENGINE).unwrap_err().field(), "jpeg");
}

#[test]
fn limits_come_before_pixels() {
    let small = png(&[0; 64 * 64], 64, 64, ExtendedColorType::L8);
    assert_eq!(decode(&small, &Limits::SERVICE).unwrap_err().to_string(), "width: 64 is outside 160..=3840");
    let mut limits = Limits::ENGINE;
    limits.max_encoded_bytes = small.len() - 1;
    assert!(matches!(decode(&small, &limits), Err(Error::TooLarge { field: "data", .. })));

    // Headers that promise far more than the file holds.
    let mut huge = small;
    huge[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = decode(&huge, &tight()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { actual: 0x1000_0000, .. }), "{error}");
    let error = decode(&huge, &Limits::SERVICE).unwrap_err();
    assert_eq!(error.to_string(), "width: 16384 is outside 160..=3840");
}

/// The check of PNG chunks (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn png_keeps_what_it_can_hold() {
    for format in [PixelFormat::Rgb8, PixelFormat::Rgba8, PixelFormat::Gray16, PixelFormat::Gray8] {
        for (width, height) in [(1, 1), (37, 5), (160, 90)] {
            let data: Vec<u8> = (0..format.frame_bytes(width, height)).map(|i| (i * i / 7) as u8).collect();
            let picture = FrameBuf::new(format, width, height, data).unwrap().with_color(ColorSpace::JFIF);
            assert_eq!(round_trip(&picture.as_frame()), picture);
        }
    }
    let bgr = Frame::new(PixelFormat::Bgr8, 2, 1, &[3, 2, 1, 6, 5, 4]).unwrap();
    assert_eq!(round_trip(&bgr).data(), [1, 2, 3, 4, 5, 6]);
    let bgra = Frame::new(PixelFormat::Bgra8, 1, 2, &[3, 2, 1, 9, 6, 5, 4, 8]).unwrap();
    assert_eq!(round_trip(&bgra).data(), [1, 2, 3, 9, 4, 5, 6, 8]);
    let limited = Frame::new(PixelFormat::Gray8, 3, 1, &[16, 126, 235]).unwrap();
    assert_eq!(round_trip(&limited).data(), [0, 128, 255]);

    let mut out = b"before".to_vec();
    encode_png(&bgr, &mut out).unwrap();
    assert!(out.starts_with(b"before\x89PNG"), "appended");
}

#[test]
fn yuv_is_shown_by_its_matrix_and_range() {
    // A red and a blue pair of pixels over each other, in every layout: BT.601 limited is 81 90 240 and 41 240 110.
    let (red, blue) = ([254, 0, 0], [0, 0, 255]);
    let check = |format, data: &[u8], rows: [[u8; 3]; 2]| {
        let frame = Frame::new(format, 2, 2, data).unwrap();
        let expected: Vec<u8> = rows.iter().flat_map(|row| [*row, *row].concat()).collect();
        assert_eq!(round_trip(&frame).data(), expected, "{format}");
    };
    check(PixelFormat::I422, &[81, 81, 41, 41, 90, 240, 240, 110], [red, blue]);
    check(PixelFormat::I444, &[81, 81, 41, 41, 90, 90, 240, 240, 240, 240, 110, 110], [red, blue]);
    check(PixelFormat::Yuyv, &[81, 90, 81, 240, 41, 240, 41, 110], [red, blue]);
    check(PixelFormat::Uyvy, &[90, 81, 240, 81, 240, 41, 110, 41], [red, blue]);
    check(PixelFormat::I420, &[81, 81, 81, 81, 90, 240], [red, red]);
    check(PixelFormat::Nv12, &[41, 41, 41, 41, 240, 110], [blue, blue]);

    // Full-range BT.709 red is 54 99 255 (255 clipped from 255.5).
    let color = ColorSpace { matrix: Matrix::Bt709, range: Range::Full };
    let frame = Frame::new(PixelFormat::I444, 1, 1, &[54, 99, 255]).unwrap().with_color(color);
    let shown = round_trip(&frame);
    assert!(shown.data().iter().zip([254, 0, 0]).all(|(&a, b)| a.abs_diff(b) <= 1), "{:?}", shown.data());
}

#[test]
fn good_files_decode() {
    let mut formats = std::collections::BTreeMap::new();
    for folder in ["images/kodak", "images/photo", "images/screenshot", "images/skimage"] {
        for file in files("good_files_decode", folder) {
            let data = std::fs::read(&file).unwrap();
            let picture = decode(&data, &Limits::ENGINE).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            *formats.entry(picture.as_frame().format().name()).or_insert(0) += 1;
        }
    }
    eprintln!("decoded {formats:?}");
    for file in files("good_files_decode", "images/pngsuite") {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let decoded = decode(&std::fs::read(&file).unwrap(), &Limits::ENGINE);
        // PngSuite marks its corrupt files with an x.
        assert!(decoded.is_ok() || name.starts_with('x') || !name.ends_with(".png"), "{name}: {decoded:?}");
    }
}

#[test]
fn no_file_panics_hangs_or_takes_much_memory() {
    let mut kinds = [0, 0];
    let mut guarded = Vec::new();
    for folder in ["malformed", "images/jpeg-variants"] {
        for file in files("no_file_panics_hangs_or_takes_much_memory", folder) {
            let data = std::fs::read(&file).unwrap();
            for limits in [Limits::SERVICE, tight()] {
                let start = Instant::now();
                let decoded = decode(&data, &limits);
                let took = start.elapsed();
                assert!(took < Duration::from_secs(20), "{} took {took:?}", file.display());
                kinds[usize::from(decoded.is_err())] += 1;
                if took > Duration::from_secs(1) {
                    eprintln!("{} took {took:?}", file.display());
                }
                if decoded.is_err_and(|error| error.to_string().contains("gave up")) {
                    guarded.push(file.clone());
                }
            }
        }
    }
    eprintln!("{} decoded, {} refused; the decoder panicked on {guarded:?}", kinds[0], kinds[1]);
    match peak_bytes() {
        Some(peak) => assert!(peak < 256 * MIB, "{} MiB at the most", peak / MIB),
        None => skip::say(format_args!("the peak of memory is not told by this system")),
    }
}

#[test]
fn every_cut_and_flipped_byte_of_small_files_is_survived() {
    let pixels: Vec<u8> = (0..24 * 20 * 3).map(|i| (i * i / 11) as u8).collect();
    let (mut webp, mut jpeg) = (Vec::new(), Vec::new());
    WebPEncoder::new_lossless(&mut webp).write_image(&pixels, 24, 20, ExtendedColorType::Rgb8).unwrap();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 80);
    encoder.write_image(&pixels, 24, 20, ExtendedColorType::Rgb8).unwrap();
    for file in [png(&pixels, 24, 20, ExtendedColorType::Rgb8), webp, jpeg] {
        for cut in 0..file.len() {
            let _ = decode(&file[..cut], &tight());
            let mut flipped = file.clone();
            for mask in [0x01, 0x80, 0xFF] {
                flipped[cut] = file[cut] ^ mask;
                if let Ok(picture) = decode(&flipped, &tight()) {
                    assert!(!picture.data().is_empty());
                }
            }
        }
    }
}

/// An 8x8 picture as WebP's lossy coding has it.
const VP8: [u8; 28] =
    [112, 1, 0, 157, 1, 42, 8, 0, 8, 0, 7, 64, 150, 37, 148, 2, 116, 1, 64, 0, 0, 254, 238, 161, 231, 14, 0, 0];

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = vec![0; data.len() % 2];
    [name, (data.len() as u32).to_le_bytes().as_slice(), data, &padding].concat()
}

#[test]
fn a_decoder_that_panics_gives_an_error() {
    // An animation with alpha whose frame says 4x4 while its picture is 8x8.
    let alpha = chunk(b"ALPH", &[&[0][..], &[128; 16]].concat());
    let frame = [&[0, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0, 0, 1, 0, 0, 0][..], &alpha, &chunk(b"VP8 ", &VP8)].concat();
    let chunks = [chunk(b"VP8X", &[0x12, 0, 0, 0, 3, 0, 0, 3, 0, 0]), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)];
    let file = chunk(b"RIFF", &[b"WEBP".to_vec(), chunks.concat()].concat());
    let error = decode(&file, &Limits::ENGINE).unwrap_err();
    assert_eq!(error.to_string(), "webp: the decoder gave up on this file");
}
