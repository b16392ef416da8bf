//! The lossless codec from outside: the same pixels back, the same bytes everywhere, and no harm from a stranger's bytes.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail where tests may")]

mod skip;

use auralink::codec::lossless::{HEADER_BYTES, Header, LosslessConfig, LosslessDecoder, LosslessEncoder};
use auralink::{ColorSpace, Frame, FrameBuf, Limits, Matrix, PixelFormat, Range, kernel};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

const STILL: LosslessConfig = LosslessConfig { temporal: false, keyframe: true };
const STREAM: LosslessConfig = LosslessConfig { temporal: true, keyframe: false };

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn two_threads() -> &'static ThreadPool {
    static POOL: std::sync::OnceLock<ThreadPool> = std::sync::OnceLock::new();
    POOL.get_or_init(|| pool(2))
}

fn random(seed: &mut u32) -> u32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *seed >> 8
}

/// A picture with flat, smooth and noisy parts.
fn picture(format: PixelFormat, width: u32, height: u32, seed: u32) -> FrameBuf {
    let mut state = seed;
    let mut data = vec![0; format.frame_bytes(width, height)];
    let row = format.plane_size(0, width, height).row_bytes;
    for (at, byte) in data.iter_mut().enumerate() {
        let (x, y) = (at % row, at / row);
        *byte = match (x / 24 + y / 20 + seed as usize) % 3 {
            0 => 200,
            1 => (x + 2 * y) as u8,
            _ => random(&mut state) as u8,
        };
    }
    FrameBuf::new(format, width, height, data).unwrap()
}

/// Changes a picture as time does: some bytes, a moved part, or nothing.
fn advance(frame: &mut FrameBuf, kind: u32, seed: u32) {
    let mut state = seed;
    let row = frame.as_frame().plane(0).row_bytes();
    let data = frame.data_mut();
    match kind % 4 {
        0 => {}
        1 => (0..data.len() / 50 + 1).for_each(|_| {
            let at = random(&mut state) as usize % data.len();
            data[at] = random(&mut state) as u8;
        }),
        2 => data.iter_mut().for_each(|byte| *byte = byte.wrapping_add((random(&mut state) >> 10 & 1) as u8)),
        _ => data.copy_within(0..data.len().saturating_sub(4 * row), (4 * row).min(data.len())),
    }
}

fn round_trip(
    encoder: &mut LosslessEncoder,
    decoder: &mut LosslessDecoder,
    frame: &Frame<'_>,
    config: &LosslessConfig,
) -> Vec<u8> {
    let pool = two_threads();
    let mut packet = vec![0xAB; 3];
    let stats = encoder.encode(frame, config, pool, &mut packet).unwrap();
    assert_eq!(packet[..3], [0xAB; 3]);
    let packet = packet.split_off(3);
    assert_eq!(packet.len(), stats.bytes);
    let header = Header::parse(&packet).unwrap();
    assert_eq!((header.packet_bytes as usize, header.keyframe), (stats.bytes, stats.keyframe));
    assert_eq!((header.width, header.height, header.format), (frame.width(), frame.height(), frame.format()));
    let back = decoder.decode(&packet, pool).unwrap();
    assert!(*back == FrameBuf::from(frame), "{} {}x{} differs", frame.format(), frame.width(), frame.height());
    packet
}

fn pair() -> (LosslessEncoder, LosslessDecoder) {
    (LosslessEncoder::new(kernel::detect()), LosslessDecoder::new(kernel::detect(), Limits::ENGINE))
}

#[test]
fn every_format_and_small_size_comes_back() {
    for format in PixelFormat::ALL {
        let (mut encoder, mut decoder) = pair();
        for (width, height) in [(1, 1), (1, 2), (2, 1), (3, 5), (16, 16), (17, 15), (31, 33), (300, 40), (64, 1100)] {
            let mut frame = picture(format, width, height, 1);
            for kind in 0..6 {
                let packet = round_trip(&mut encoder, &mut decoder, &frame.as_frame(), &STREAM);
                assert_eq!(Header::parse(&packet).unwrap().keyframe, kind == 0);
                advance(&mut frame, kind, kind);
            }
        }
    }
}

#[test]
fn color_is_carried() {
    for matrix in [Matrix::Bt601, Matrix::Bt709] {
        for range in [Range::Limited, Range::Full] {
            let (mut encoder, mut decoder) = pair();
            let frame = picture(PixelFormat::I420, 20, 20, 3);
            let color = ColorSpace { matrix, range };
            round_trip(&mut encoder, &mut decoder, &frame.as_frame().with_color(color), &STILL);
        }
    }
}

#[test]
fn bytes_are_the_same_at_every_level_and_thread_count() {
    for format in PixelFormat::ALL {
        let mut frames = vec![picture(format, 1500, 400, 9)];
        for kind in 1..4 {
            let mut next = frames[kind - 1].clone();
            advance(&mut next, kind as u32, 5);
            frames.push(next);
        }
        let encode = |level, threads| {
            let (mut encoder, pool, mut out) = (LosslessEncoder::new(level), pool(threads), Vec::new());
            frames.iter().for_each(|frame| {
                encoder.encode(&frame.as_frame(), &STREAM, &pool, &mut out).unwrap();
            });
            out
        };
        let wanted = encode(kernel::detect(), 1);
        for level in kernel::levels() {
            assert!(encode(level, 3) == wanted, "{format} at {}", kernel::name(level));
            let (mut decoder, pool, mut rest) =
                (LosslessDecoder::new(level, Limits::ENGINE), pool(3), wanted.as_slice());
            for frame in &frames {
                let (packet, after) = rest.split_at(Header::parse(rest).unwrap().packet_bytes as usize);
                assert!(decoder.decode(packet, &pool).unwrap() == frame);
                rest = after;
            }
        }
    }
}

#[test]
fn unchanged_and_scrolled_screens_cost_next_to_nothing() {
    for format in [PixelFormat::Bgra8, PixelFormat::I420] {
        let (mut encoder, mut decoder) = pair();
        let tall = picture(format, 640, 400, 2);
        let page = |first: u32| {
            let (frame, mut data) = (tall.as_frame(), Vec::new());
            for plane in frame.planes() {
                let rows = plane.rows() as u32;
                let skip = first * rows / 400;
                (skip..skip + rows * 9 / 10).for_each(|y| data.extend_from_slice(plane.row(y as usize)));
            }
            FrameBuf::new(format, 640, 360, data).unwrap()
        };
        let still = round_trip(&mut encoder, &mut decoder, &page(0).as_frame(), &STREAM).len();
        assert!(round_trip(&mut encoder, &mut decoder, &page(0).as_frame(), &STREAM).len() < 100);
        let scrolled = round_trip(&mut encoder, &mut decoder, &page(10).as_frame(), &STREAM);
        assert_eq!(Header::parse(&scrolled).unwrap().scrolls[0], -10);
        assert!(scrolled.len() * 5 < still, "{} of {still}", scrolled.len());
    }
}

#[test]
fn a_delta_needs_its_reference_and_a_refused_packet_does_no_harm() {
    let (mut encoder, mut decoder) = pair();
    let pool = pool(1);
    let mut frame = picture(PixelFormat::Rgb8, 100, 80, 4);
    let packets: Vec<_> = (1..=3)
        .map(|kind| {
            let mut packet = Vec::new();
            encoder.encode(&frame.as_frame(), &STREAM, &pool, &mut packet).unwrap();
            let coded = frame.clone();
            advance(&mut frame, kind, 8);
            (packet, coded)
        })
        .collect();
    let error = decoder.decode(&packets[1].0, &pool).unwrap_err();
    assert_eq!(error.to_string(), "lossless: predicted from a frame that wasn't the last one decoded");
    assert!(decoder.decode(&packets[0].0, &pool).is_ok());
    assert!(decoder.decode(&packets[2].0, &pool).is_err(), "a frame is missing between");
    let mut broken = packets[1].0.clone();
    broken[16] ^= 1;
    assert!(decoder.decode(&broken, &pool).unwrap_err().to_string().contains("checksum"));
    for (packet, coded) in &packets[1..] {
        assert!(decoder.decode(packet, &pool).unwrap() == coded);
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    let pool = pool(1);
    let (mut encoder, mut packet) = (LosslessEncoder::new(kernel::detect()), Vec::new());
    encoder.encode(&picture(PixelFormat::Rgb8, 160, 90, 1).as_frame(), &STILL, &pool, &mut packet).unwrap();
    let mut decoder = LosslessDecoder::new(kernel::detect(), Limits::SERVICE);
    assert!(decoder.decode(&packet, &pool).is_ok());
    let mut huge = packet.clone();
    huge[8..12].copy_from_slice(&[0, 0x40, 0, 0x40]);
    assert_eq!(decoder.decode(&huge, &pool).unwrap_err().field(), "width");
    let mut decoder = LosslessDecoder::new(kernel::detect(), Limits::ENGINE);
    assert_eq!(
        decoder.decode(&huge, &pool).unwrap_err().to_string(),
        "lossless: 3221225472 is over the limit of 2147483648"
    );
    let mut limits = Limits::ENGINE;
    limits.max_encoded_bytes = 20;
    assert!(LosslessDecoder::new(kernel::detect(), limits).decode(&packet, &pool).is_err());
}

/// Packets of a short stream, small enough to break at every offset.
fn small_stream(format: PixelFormat) -> Vec<Vec<u8>> {
    let (mut encoder, mut decoder) = pair();
    let mut frame = picture(format, 40, 35, 7);
    (0..4)
        .map(|kind| {
            let packet = round_trip(&mut encoder, &mut decoder, &frame.as_frame(), &STREAM);
            advance(&mut frame, 3 - kind, 3);
            packet
        })
        .collect()
}

#[test]
fn truncations_and_flips_at_every_offset_are_errors_or_pictures() {
    let pool = pool(1);
    for format in [PixelFormat::Rgb8, PixelFormat::Gray16, PixelFormat::I420] {
        let packets = small_stream(format);
        let mut limits = Limits::ENGINE;
        limits.max_decoder_bytes = 1 << 20;
        for (number, packet) in packets.iter().enumerate() {
            let fresh = || {
                let mut decoder = LosslessDecoder::new(kernel::detect(), limits);
                packets[..number].iter().for_each(|packet| assert!(decoder.decode(packet, &pool).is_ok()));
                decoder
            };
            let mut decoder = fresh();
            for length in 0..packet.len() {
                assert!(decoder.decode(&packet[..length], &pool).is_err());
                // With a header that admits to the length, the loss must be found further in.
                if length >= HEADER_BYTES {
                    let mut short = packet[..length].to_vec();
                    short[4..8].copy_from_slice(&(length as u32).to_le_bytes());
                    assert!(decoder.decode(&short, &pool).is_err());
                }
            }
            let wanted = fresh().decode(packet, &pool).unwrap().clone();
            for at in 0..packet.len() {
                for bit in [0, 3, 7] {
                    let mut flipped = packet.clone();
                    flipped[at] ^= 1 << bit;
                    // Some bits carry nothing (an unused scroll, a band's rows beyond the picture): then the pixels are right.
                    if let Ok(frame) = decoder.decode(&flipped, &pool) {
                        assert!(frame.data() == wanted.data(), "bit {bit} of byte {at}");
                        decoder = fresh();
                    }
                }
            }
            assert!(decoder.decode(packet, &pool).is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_sequences_come_back(
        format in prop::sample::select(PixelFormat::ALL.to_vec()),
        (width, height) in (1..=80_u32, 1..=80_u32),
        padding in 0..40_usize,
        steps in prop::collection::vec((0..4_u32, any::<u32>(), any::<bool>(), any::<bool>()), 1..5),
    ) {
        let (mut encoder, mut decoder) = pair();
        let mut frame = picture(format, width, height, padding as u32);
        for (kind, seed, temporal, keyframe) in steps {
            let (mut padded, mut strides) = (Vec::new(), Vec::new());
            for plane in frame.as_frame().planes() {
                strides.push(plane.row_bytes() + padding);
                for y in 0..plane.rows() {
                    padded.extend_from_slice(plane.row(y));
                    padded.extend(std::iter::repeat_n(seed as u8, padding));
                }
            }
            let strided = Frame::with_strides(format, width, height, &padded, &strides).unwrap();
            round_trip(&mut encoder, &mut decoder, &strided, &LosslessConfig { temporal, keyframe });
            advance(&mut frame, kind, seed);
        }
    }

    #[test]
    fn random_bytes_after_a_header_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        format in 0..12_u8,
        (width, height) in (1..100_u8, 1..100_u8),
        index in 0..60_u8,
    ) {
        let mut packet = b"ALZ\x01\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        packet.extend(bytes);
        let length = packet.len() as u32;
        packet[4..8].copy_from_slice(&length.to_le_bytes());
        (packet[8], packet[10], packet[12], packet[28]) = (width, height, format, index);
        let mut decoder = LosslessDecoder::new(kernel::detect(), Limits::ENGINE);
        prop_assert!(decoder.decode(&packet, two_threads()).is_err());
    }
}

#[test]
fn python_decodes_the_same_pixels() {
    use std::process::Command;
    let modules = Command::new("python3").args(["-c", "import numpy, zstandard"]).output();
    if !modules.is_ok_and(|output| output.status.success()) {
        skip::say(format_args!("python3 with numpy and zstandard isn't there"));
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python/decode_lossless.py");
    let folder = tempfile::tempdir().unwrap();
    for format in PixelFormat::ALL {
        let (mut encoder, mut decoder) = pair();
        let (mut file, mut wanted) = (Vec::new(), Vec::new());
        for (width, height) in [(67, 45), (1, 1), (640, 230)] {
            let mut frame = picture(format, width, height, 6);
            for kind in [1, 3, 2, 0] {
                file.extend(round_trip(&mut encoder, &mut decoder, &frame.as_frame(), &STREAM));
                wanted.extend_from_slice(frame.data());
                advance(&mut frame, kind, 11);
            }
        }
        let (input, output) = (folder.path().join("in.alz"), folder.path().join("out.raw"));
        std::fs::write(&input, file).unwrap();
        let run = Command::new("python3").arg(script).args([&input, &output]).output().unwrap();
        assert!(run.status.success(), "{format}: {}", String::from_utf8_lossy(&run.stderr));
        assert!(std::fs::read(&output).unwrap() == wanted, "{format} differs");
    }
}

#[cfg(feature = "images")]
mod images {
    use super::*;
    use std::path::{Path, PathBuf};

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/images");

    fn pngs(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pngs(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "png") {
                found.push(path);
            }
        }
        found.sort();
    }

    fn frames(picture: image::DynamicImage) -> Vec<FrameBuf> {
        let (width, height) = (picture.width(), picture.height());
        let new = |format, data| FrameBuf::new(format, width, height, data).unwrap();
        let deep = picture.to_luma16().into_raw().into_iter().flat_map(u16::to_le_bytes).collect();
        vec![
            new(PixelFormat::Rgb8, picture.to_rgb8().into_raw()),
            new(PixelFormat::Bgra8, picture.to_rgba8().into_raw()),
            new(PixelFormat::Gray16, deep),
        ]
    }

    #[test]
    fn every_image_of_the_data_folder_comes_back() {
        let mut paths = Vec::new();
        pngs(Path::new(FOLDER), &mut paths);
        if paths.is_empty() {
            skip::say(format_args!("no images in {FOLDER}"));
            return;
        }
        let (mut encoder, mut decoder) = pair();
        let mut count = 0;
        for path in &paths {
            // Files that are broken on purpose are somebody else's test.
            let Ok(picture) = image::open(path) else { continue };
            for frame in frames(picture) {
                round_trip(&mut encoder, &mut decoder, &frame.as_frame(), &STILL);
                count += 1;
            }
        }
        assert!(count >= 3 * paths.len() * 9 / 10, "{count} of {} pictures could be read", paths.len());
    }

    #[test]
    fn photographs_take_at_most_10_8_bits_a_pixel() {
        let mut paths = Vec::new();
        pngs(&Path::new(FOLDER).join("kodak"), &mut paths);
        if paths.is_empty() {
            skip::say(format_args!("no Kodak images in {FOLDER}"));
            return;
        }
        let (mut encoder, mut decoder) = pair();
        let bits = paths.iter().map(|path| {
            let frame = frames(image::open(path).unwrap()).swap_remove(0);
            let packet = round_trip(&mut encoder, &mut decoder, &frame.as_frame(), &STILL);
            8.0 * packet.len() as f64 / f64::from(frame.as_frame().width() * frame.as_frame().height())
        });
        let mean = bits.sum::<f64>() / paths.len() as f64;
        assert!(mean <= 10.8, "{mean} bits a pixel");
    }
}
