//! The JPEG encoder seen from outside: every kind of file is read by zune-jpeg, and nothing depends on level or threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod jpeg_common;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use auralink::{ColorSpace, Frame, FrameBuf, Matrix, PixelFormat, Range, kernel};
use jpeg_common::{SUBSAMPLINGS, busy_data, encode, pool, psnr, soft, soft_frame, ycc};
use proptest::prelude::*;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace as Decoded;
use zune_jpeg::zune_core::options::DecoderOptions;

const COLOR_SPACES: [ColorSpace; 4] = [
    ColorSpace::JFIF,
    ColorSpace { matrix: Matrix::Bt601, range: Range::Limited },
    ColorSpace { matrix: Matrix::Bt709, range: Range::Full },
    ColorSpace { matrix: Matrix::Bt709, range: Range::Limited },
];

fn formats() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|&format| format != PixelFormat::Gray16)
}

/// Decodes with zune-jpeg to luma and chroma at full size (or luma alone), interleaved.
fn decode(file: &[u8], width: u32, height: u32, is_grey: bool) -> Vec<u8> {
    let to = if is_grey { Decoded::Luma } else { Decoded::YCbCr };
    let options = DecoderOptions::default().jpeg_set_out_colorspace(to).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    let pixels = decoder.decode().unwrap();
    assert_eq!(decoder.dimensions(), Some((width as usize, height as usize)));
    pixels
}

/// Encodes the soft picture and compares what zune-jpeg makes of it with the picture's definition.
fn check_soft(format: PixelFormat, width: u32, height: u32, color: ColorSpace, config: &JpegConfig) {
    let buffer = soft_frame(format, width, height, color);
    let file = encode(&buffer.as_frame(), config);
    let is_grey = format == PixelFormat::Gray8;
    let channels = if is_grey { 1 } else { 3 };
    let decoded = decode(&file, width, height, is_grey);
    for channel in 0..channels {
        let errors = decoded.chunks_exact(channels).enumerate().map(|(i, pixel)| {
            let (x, y) = (i % width as usize, i / width as usize);
            f64::from(pixel[channel]) - ycc(soft(x as f64, y as f64), Matrix::Bt601)[channel]
        });
        let psnr = psnr(errors);
        // Chroma of halved formats is compared at full size, where its resampling costs most.
        let least = if channel == 0 { 37.0 } else { 31.0 };
        assert!(psnr > least, "{format} {width}x{height} {color:?} {config:?}: channel {channel} at {psnr:.1} dB");
    }
}

#[test]
fn every_format_subsampling_and_size_is_read_by_zune_jpeg() {
    let mut turn = 0_usize;
    for (width, height) in (1..=67).flat_map(|width| (1..=67).map(move |height| (width, height))) {
        for (i, format) in formats().enumerate() {
            for (j, subsampling) in SUBSAMPLINGS.into_iter().enumerate() {
                turn += 1;
                // A stride through the space that is prime to each of its sides.
                if !turn.is_multiple_of(37) {
                    continue;
                }
                let color = COLOR_SPACES[(turn / 37 + i + j) % 4];
                let restart_rows = (turn / 37 % 3) as u16;
                let config = JpegConfig {
                    quality: 92,
                    subsampling,
                    optimise: turn.is_multiple_of(2),
                    restart_rows,
                    reconstruct: false,
                    ..JpegConfig::default()
                };
                check_soft(format, width, height, color, &config);
            }
        }
    }
}

#[test]
fn every_format_color_space_and_subsampling_keeps_its_colours() {
    for format in formats() {
        for color in COLOR_SPACES {
            for subsampling in SUBSAMPLINGS {
                for (width, height) in [(130, 75), (64, 64)] {
                    check_soft(
                        format,
                        width,
                        height,
                        color,
                        &JpegConfig { quality: 95, subsampling, ..JpegConfig::default() },
                    );
                }
            }
        }
    }
}

#[test]
fn strides_and_alpha_do_not_matter() {
    for format in formats() {
        let (width, height) = (83, 45);
        let tight = FrameBuf::new(format, width, height, busy_data(format.frame_bytes(width, height), 3)).unwrap();
        let tight = tight.with_color(ColorSpace::JFIF);
        let (mut padded, mut strides) = (Vec::new(), Vec::new());
        for (i, plane) in tight.as_frame().planes().iter().enumerate() {
            strides.push(plane.row_bytes() + 7 + i);
            for y in 0..plane.rows() {
                padded.extend_from_slice(plane.row(y));
                padded.resize(padded.len() + 7 + i, 0xA5);
            }
        }
        let strided =
            Frame::with_strides(format, width, height, &padded, &strides).unwrap().with_color(ColorSpace::JFIF);
        for subsampling in SUBSAMPLINGS {
            let config = JpegConfig { subsampling, ..JpegConfig::default() };
            let expected = encode(&tight.as_frame(), &config);
            assert_eq!(encode(&strided, &config), expected, "{format}");
            if matches!(format, PixelFormat::Rgba8 | PixelFormat::Bgra8) {
                let mut other = tight.clone();
                other.data_mut().chunks_exact_mut(4).for_each(|pixel| pixel[3] ^= 0x5A);
                assert_eq!(encode(&other.as_frame(), &config), expected);
            }
        }
    }
}

#[test]
fn bytes_depend_neither_on_level_nor_on_threads() {
    let pools = [1, 2, 7].map(pool);
    for format in formats() {
        for (width, height, color) in [(323, 141, ColorSpace::JFIF), (129, 66, ColorSpace::default())] {
            let data = busy_data(format.frame_bytes(width, height), 11);
            let frame = Frame::new(format, width, height, &data).unwrap().with_color(color);
            for (subsampling, quality) in SUBSAMPLINGS.into_iter().zip([40, 75, 100]) {
                for restart_rows in [0, 1, 3] {
                    for optimise in [false, true] {
                        let config = JpegConfig {
                            quality,
                            subsampling,
                            optimise,
                            restart_rows,
                            reconstruct: true,
                            ..JpegConfig::default()
                        };
                        let mut expected: Option<(Vec<u8>, FrameBuf)> = None;
                        for level in kernel::levels() {
                            let mut encoder = JpegEncoder::new(level);
                            for pool in &pools {
                                let mut out = vec![1, 2, 3];
                                encoder.encode(&frame, &config, pool, &mut out).unwrap();
                                let seen = FrameBuf::from(&encoder.reconstruction().unwrap());
                                let (file, picture) = expected.get_or_insert_with(|| (out.clone(), seen.clone()));
                                assert!(*file == out, "{format} {config:?} at {}", kernel::name(level));
                                assert!(*picture == seen, "{format} {config:?} at {}", kernel::name(level));
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn reconstruction_is_what_zune_jpeg_decodes() {
    for format in [PixelFormat::Gray8, PixelFormat::I444, PixelFormat::Rgb8, PixelFormat::I420] {
        for (width, height, restart_rows) in [(1, 1, 0), (67, 43, 0), (160, 128, 1), (33, 97, 2)] {
            let data = busy_data(format.frame_bytes(width, height), 5);
            let frame = Frame::new(format, width, height, &data).unwrap();
            for (quality, subsampling) in [(30, Subsampling::S444), (80, Subsampling::S420), (97, Subsampling::S422)] {
                let config = JpegConfig {
                    quality,
                    subsampling,
                    restart_rows,
                    reconstruct: true,
                    optimise: false,
                    ..JpegConfig::default()
                };
                let (mut encoder, mut file) = (JpegEncoder::new(kernel::detect()), Vec::new());
                encoder.encode(&frame, &config, &pool(2), &mut file).unwrap();
                let seen = encoder.reconstruction().unwrap();
                assert_eq!((seen.width(), seen.height(), seen.color()), (width, height, ColorSpace::JFIF));
                let is_grey = format == PixelFormat::Gray8;
                let decoded = decode(&file, width, height, is_grey);
                let channels = if is_grey { 1 } else { 3 };
                // Chroma that was halved is interpolated by the decoder, each in its own way.
                let compared = if subsampling == Subsampling::S444 { channels } else { 1 };
                for channel in 0..compared {
                    let expected = decoded.iter().skip(channel).step_by(channels);
                    for (&ours, &theirs) in seen.plane(channel).data().iter().zip(expected) {
                        assert!(ours.abs_diff(theirs) <= 2, "{format} {config:?}: {ours}, decoded as {theirs}");
                    }
                }
                encoder.encode(&frame, &JpegConfig { reconstruct: false, ..config }, &pool(1), &mut file).unwrap();
                assert!(encoder.reconstruction().is_none());
            }
        }
    }
}

#[test]
fn wrong_input_is_an_error_and_leaves_the_output_alone() {
    let mut encoder = JpegEncoder::new(kernel::detect());
    let (pool, mut out) = (pool(1), vec![9]);
    let data = [0; 64];
    let grey = Frame::new(PixelFormat::Gray8, 8, 8, &data).unwrap();
    for quality in [0, 101, 255] {
        let config = JpegConfig { quality, ..JpegConfig::default() };
        assert_eq!(encoder.encode(&grey, &config, &pool, &mut out).unwrap_err().field(), "quality");
        assert_eq!(encoder.encode_within(&grey, &config, 10_000, &pool, &mut out).unwrap_err().field(), "quality");
    }
    let deep = Frame::new(PixelFormat::Gray16, 8, 4, &data).unwrap();
    assert_eq!(encoder.encode(&deep, &JpegConfig::default(), &pool, &mut out).unwrap_err().field(), "format");
    assert!(encoder.encode_within(&grey, &JpegConfig::default(), 0, &pool, &mut out).is_err());
    assert_eq!(out, [9]);
}

#[test]
fn pictures_of_the_largest_side_are_read() {
    let config = JpegConfig { restart_rows: u16::MAX, subsampling: Subsampling::S444, ..JpegConfig::default() };
    for (width, height) in [(16_384, 1), (1, 16_384), (16_384, 257)] {
        let data = busy_data(PixelFormat::Gray8.frame_bytes(width, height), 1);
        let frame = Frame::new(PixelFormat::Gray8, width, height, &data).unwrap();
        decode(&encode(&frame, &config), width, height, true);
        decode(&encode(&frame, &JpegConfig { restart_rows: 1, ..config }), width, height, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_encodes_and_decodes_to_its_reconstruction(
        format in prop::sample::select(formats().collect::<Vec<_>>()),
        (width, height) in (1_u32..200, 1_u32..120),
        color in prop::sample::select(COLOR_SPACES.to_vec()),
        subsampling in prop::sample::select(SUBSAMPLINGS.to_vec()),
        (quality, optimise, restart_rows) in (1_u8..=100, any::<bool>(), 0_u16..20),
        seed in any::<u32>(),
    ) {
        let data = busy_data(format.frame_bytes(width, height), seed);
        let frame = Frame::new(format, width, height, &data).unwrap().with_color(color);
        let config = JpegConfig { quality, subsampling, optimise, restart_rows, reconstruct: true, ..JpegConfig::default() };
        let (mut encoder, mut file) = (JpegEncoder::new(kernel::detect()), Vec::new());
        encoder.encode(&frame, &config, &pool(2), &mut file).unwrap();
        let is_grey = format == PixelFormat::Gray8;
        let decoded = decode(&file, width, height, is_grey);
        let seen = encoder.reconstruction().unwrap();
        let channels = if is_grey { 1 } else { 3 };
        for (&ours, pixel) in seen.plane(0).data().iter().zip(decoded.chunks_exact(channels)) {
            prop_assert!(ours.abs_diff(pixel[0]) <= 2);
        }
        // The scalar specification gives the same file.
        let mut plain = Vec::new();
        JpegEncoder::new(kernel::Level::baseline()).encode(&frame, &config, &pool(1), &mut plain).unwrap();
        prop_assert!(plain == file);
    }
}
