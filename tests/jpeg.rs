//! The JPEG encoder seen from outside: other people's decoders read its files, and its bytes are libjpeg-turbo's.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use auralink::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use auralink::{ColorSpace, Error, Frame, FrameBuf, Matrix, PixelFormat, Range, kernel};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace as Decoded;
use zune_jpeg::zune_core::options::DecoderOptions;

const SUBSAMPLINGS: [Subsampling; 3] = [Subsampling::S420, Subsampling::S422, Subsampling::S444];
const COLOR_SPACES: [ColorSpace; 4] = [
    ColorSpace::JFIF,
    ColorSpace { matrix: Matrix::Bt601, range: Range::Limited },
    ColorSpace { matrix: Matrix::Bt709, range: Range::Full },
    ColorSpace { matrix: Matrix::Bt709, range: Range::Limited },
];

fn formats() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|&format| format != PixelFormat::Gray16)
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn encode(frame: &Frame<'_>, config: &JpegConfig) -> Vec<u8> {
    let mut out = Vec::new();
    let stats = JpegEncoder::new(kernel::detect()).encode(frame, config, &pool(1), &mut out).unwrap();
    assert_eq!(stats.bytes, out.len());
    out
}

/// Red, green and blue of a soft picture, 0..=255 each.
fn soft(x: f64, y: f64) -> [f64; 3] {
    let wave =
        |step: f64, phase: f64| 127.5 + 100.0 * ((x * step + phase).sin() + (y * step * 0.7 - phase).cos()) / 2.0;
    [wave(0.045, 0.0), wave(0.037, 1.0), wave(0.051, 2.0)]
}

/// Luma and chroma of red, green and blue with the given weights, at full range.
fn ycc([r, g, b]: [f64; 3], matrix: Matrix) -> [f64; 3] {
    let (red, blue) = if matrix == Matrix::Bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let luma = red * r + (1.0 - red - blue) * g + blue * b;
    [luma, 128.0 + (b - luma) / (2.0 - 2.0 * blue), 128.0 + (r - luma) / (2.0 - 2.0 * red)]
}

/// The soft picture in any format and colour space.
fn soft_frame(format: PixelFormat, width: u32, height: u32, color: ColorSpace) -> FrameBuf {
    let sample = |x: f64, y: f64| -> [u8; 3] {
        let [luma, cb, cr] = ycc(soft(x, y), color.matrix);
        let full =
            if format == PixelFormat::Gray8 { [ycc(soft(x, y), Matrix::Bt601)[0], cb, cr] } else { [luma, cb, cr] };
        let scaled = match color.range {
            Range::Full => full,
            Range::Limited => {
                let chroma = |value: f64| 128.0 + (value - 128.0) * 224.0 / 255.0;
                [16.0 + full[0] * 219.0 / 255.0, chroma(full[1]), chroma(full[2])]
            }
        };
        scaled.map(|value| value.round().clamp(0.0, 255.0) as u8)
    };
    let (w, h) = (width as usize, height as usize);
    let mut data = Vec::with_capacity(format.frame_bytes(width, height));
    let (wide, high) = match format {
        PixelFormat::I420 | PixelFormat::Nv12 => (2, 2),
        PixelFormat::I422 | PixelFormat::Yuyv | PixelFormat::Uyvy => (2, 1),
        _ => (1, 1),
    };
    let luma = |x: usize, y: usize| sample(x as f64, y as f64)[0];
    let middle = |at: usize, factor: usize| (at * factor) as f64 + (factor as f64 - 1.0) / 2.0;
    let chroma = |x: usize, y: usize| -> [u8; 2] {
        let [_, cb, cr] = sample(middle(x, wide), middle(y, high));
        [cb, cr]
    };
    match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy => {
            for (y, x) in (0..h).flat_map(|y| (0..w.div_ceil(2)).map(move |x| (y, x))) {
                let (first, second, [cb, cr]) = (luma(2 * x, y), luma(2 * x + 1, y), chroma(x, y));
                data.extend(if format == PixelFormat::Yuyv {
                    [first, cb, second, cr]
                } else {
                    [cb, first, cr, second]
                });
            }
        }
        _ if format.is_yuv() || format == PixelFormat::Gray8 => {
            data.extend((0..h).flat_map(|y| (0..w).map(move |x| luma(x, y))));
            let places = || (0..h.div_ceil(high)).flat_map(|y| (0..w.div_ceil(wide)).map(move |x| (x, y)));
            match format {
                PixelFormat::Gray8 => {}
                PixelFormat::Nv12 => data.extend(places().flat_map(|(x, y)| chroma(x, y))),
                _ => (0..2).for_each(|plane| data.extend(places().map(|(x, y)| chroma(x, y)[plane]))),
            }
        }
        _ => {
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                let [r, g, b] = soft(x as f64, y as f64).map(|value| value.round() as u8);
                let (ends, bytes) = match format {
                    PixelFormat::Rgb8 => ([r, b], 3),
                    PixelFormat::Bgr8 => ([b, r], 3),
                    PixelFormat::Rgba8 => ([r, b], 4),
                    _ => ([b, r], 4),
                };
                data.extend_from_slice(&[ends[0], g, ends[1], (x * y) as u8][..bytes]);
            }
        }
    }
    FrameBuf::new(format, width, height, data).unwrap().with_color(color)
}

/// A noisy picture with edges, deterministic.
fn busy_data(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 24) as u8;
            match i / 97 % 4 {
                0 => noise,
                1 => 128 + noise / 16,
                2 => 255 * (noise & 1),
                _ => (i / 3) as u8,
            }
        })
        .collect()
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

fn psnr(errors: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), error| (sum + error * error, count + 1.0));
    10.0 * (255.0 * 255.0 / (sum / count).max(1e-9)).log10()
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
                        let config = JpegConfig { quality, subsampling, optimise, restart_rows, reconstruct: true };
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
                let config = JpegConfig { quality, subsampling, restart_rows, reconstruct: true, optimise: false };
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
fn budgets_are_kept() {
    let mut encoder = JpegEncoder::new(kernel::detect());
    let pool = pool(2);
    for (seed, (width, height)) in [(64, 64), (200, 120), (17, 3), (320, 240)].into_iter().enumerate() {
        let data = busy_data(PixelFormat::Rgb8.frame_bytes(width, height), seed as u32 + 1);
        let frame = Frame::new(PixelFormat::Rgb8, width, height, &data).unwrap();
        for optimise in [false, true] {
            let config =
                JpegConfig { quality: 95, optimise, restart_rows: 2, reconstruct: true, ..JpegConfig::default() };
            let sizes = [1, 95].map(|quality| encode(&frame, &JpegConfig { quality, ..config }).len());
            for part in 0..=10 {
                let max_bytes = sizes[0] + (sizes[1] - sizes[0]) * part / 10;
                let mut out = vec![7];
                let stats = encoder.encode_within(&frame, &config, max_bytes, &pool, &mut out).unwrap();
                assert_eq!((out[0], out.len()), (7, stats.bytes + 1));
                assert!(
                    stats.bytes <= max_bytes && stats.quality <= 95 && stats.passes <= 9,
                    "{stats:?} for {max_bytes}"
                );
                let same = encode(&frame, &JpegConfig { quality: stats.quality, ..config });
                assert!(out[1..] == same, "the file is that of its quality");
                assert!(encoder.reconstruction().is_some());
                if part == 10 {
                    assert_eq!((stats.quality, stats.passes), (95, 1));
                } else {
                    let next = encode(&frame, &JpegConfig { quality: stats.quality + 1, ..config }).len();
                    assert!(next > max_bytes, "quality {} + 1 fits in {max_bytes}", stats.quality);
                }
            }
            let mut out = vec![7];
            let error = encoder.encode_within(&frame, &config, sizes[0] - 1, &pool, &mut out).unwrap_err();
            let budget = (sizes[0] - 1) as u64;
            assert_eq!(error, Error::Budget { field: "max_bytes", budget, smallest: budget + 1 });
            assert_eq!(out, [7]);
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
        let config = JpegConfig { quality, subsampling, optimise, restart_rows, reconstruct: true };
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

// Other people's programs, where they are.

/// Runs a program with `input`; none, loudly, where it isn't installed.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("SKIPPED: {program} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{program} {arguments:?} warns: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// The samples of a binary PGM or PPM.
fn pnm_samples(file: &[u8], len: usize) -> &[u8] {
    &file[file.len() - len..]
}

#[test]
fn djpeg_and_ffmpeg_read_every_kind_of_file() {
    for format in [PixelFormat::Gray8, PixelFormat::Rgb8, PixelFormat::I420, PixelFormat::Uyvy] {
        for (i, subsampling) in SUBSAMPLINGS.into_iter().enumerate() {
            for (width, height) in [(1, 1), (16, 16), (67, 35), (130, 61)] {
                let restart_rows = i as u16;
                let config = JpegConfig { quality: 93, subsampling, restart_rows, optimise: i == 1, reconstruct: true };
                let buffer = soft_frame(format, width, height, ColorSpace::JFIF);
                let (mut encoder, mut file) = (JpegEncoder::new(kernel::detect()), Vec::new());
                encoder.encode(&buffer.as_frame(), &config, &pool(1), &mut file).unwrap();
                let luma = encoder.reconstruction().unwrap().plane(0).data().to_vec();
                let pixels = luma.len();
                // Grey from any file: its luma, exactly as the reference transform gives it.
                let arguments = ["-dct", "int", "-nosmooth", "-grayscale", "-pnm"];
                if let Some(pgm) = piped("djpeg", &arguments, &file) {
                    assert_eq!(pnm_samples(&pgm, pixels), luma, "{format} {width}x{height} {config:?}");
                }
                let arguments = ["-v", "error", "-f", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
                if let Some(rgb) = piped("ffmpeg", &arguments, &file) {
                    assert_eq!(rgb.len(), 3 * pixels);
                    let errors = luma
                        .iter()
                        .zip(rgb.as_chunks::<3>().0)
                        .map(|(&luma, &rgb)| f64::from(luma) - ycc(rgb.map(f64::from), Matrix::Bt601)[0]);
                    let psnr = psnr(errors);
                    assert!(psnr > 35.0, "{format} {width}x{height} {config:?}: ffmpeg is {psnr:.1} dB away");
                }
            }
        }
    }
}

/// Whether `cjpeg` is there and libjpeg-turbo's.
fn has_libjpeg_turbo() -> bool {
    let version = Command::new("cjpeg").arg("-version").output();
    let is_turbo = version.is_ok_and(|output| {
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("libjpeg-turbo")
    });
    if !is_turbo {
        eprintln!("SKIPPED: no cjpeg of libjpeg-turbo to compare with");
    }
    is_turbo
}

/// Our file is libjpeg-turbo's, byte for byte: its quality and its size at every setting.
fn assert_is_turbos(name: &str, format: PixelFormat, width: u32, height: u32, data: &[u8], config: &JpegConfig) {
    let kind = if format == PixelFormat::Gray8 { "P5" } else { "P6" };
    let mut pnm = format!("{kind}\n{width} {height}\n255\n").into_bytes();
    pnm.extend_from_slice(data);
    let quality = config.quality.to_string();
    let restart = config.restart_rows.to_string();
    let sample = match config.subsampling {
        _ if format == PixelFormat::Gray8 => "1x1",
        Subsampling::S420 => "2x2",
        Subsampling::S422 => "2x1",
        Subsampling::S444 => "1x1",
    };
    let mut arguments = vec!["-quality", &quality, "-baseline", "-dct", "int", "-sample", sample];
    if config.optimise {
        arguments.push("-optimize");
    }
    let mcu_height = if sample == "2x2" { 16 } else { 8 };
    // A restart interval that holds the whole picture isn't worth its marker.
    if config.restart_rows > 0 && u32::from(config.restart_rows) * mcu_height < height {
        arguments.extend(["-restart", &restart]);
    }
    let theirs = piped("cjpeg", &arguments, &pnm).unwrap();
    let ours = encode(&Frame::new(format, width, height, data).unwrap().with_color(ColorSpace::JFIF), config);
    assert!(ours == theirs, "{name} {format} {config:?}: {} bytes, libjpeg-turbo {}", ours.len(), theirs.len());
}

#[test]
fn files_are_those_of_libjpeg_turbo() {
    if !has_libjpeg_turbo() {
        return;
    }
    for (width, height) in [(1, 1), (64, 48), (33, 17), (131, 77)] {
        for format in [PixelFormat::Rgb8, PixelFormat::Gray8] {
            for (i, quality) in [1, 30, 75, 96, 100].into_iter().enumerate() {
                for subsampling in SUBSAMPLINGS {
                    let restart_rows = (i % 3) as u16;
                    let config =
                        JpegConfig { quality, subsampling, optimise: i % 2 == 1, restart_rows, reconstruct: false };
                    let busy = busy_data(format.frame_bytes(width, height), 77);
                    assert_is_turbos("busy", format, width, height, &busy, &config);
                    let soft = soft_frame(format, width, height, ColorSpace::JFIF);
                    assert_is_turbos("soft", format, width, height, soft.data(), &config);
                }
            }
        }
    }
}

#[test]
fn photographs_are_coded_as_libjpeg_turbo_codes_them() {
    let images = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/images/kodak"));
    if !images.is_dir() {
        eprintln!("SKIPPED: no photographs at {}", images.display());
        return;
    }
    if !has_libjpeg_turbo() {
        return;
    }
    for name in ["kodim01.png", "kodim04.png", "kodim13.png"] {
        let path = images.join(name);
        let arguments =
            ["-v", "error", "-i", path.to_str().unwrap(), "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"];
        let Some(ppm) = piped("ffmpeg", &arguments, &[]) else { return };
        let header: Vec<u32> = ppm[3..40].split(u8::is_ascii_whitespace).map_while(number).take(3).collect();
        let [width, height, 255] = header[..] else { panic!("{header:?} is not the header of a PPM") };
        let data = pnm_samples(&ppm, PixelFormat::Rgb8.frame_bytes(width, height));
        for quality in [20, 75, 95] {
            for optimise in [false, true] {
                let config = JpegConfig { quality, optimise, ..JpegConfig::default() };
                assert_is_turbos(name, PixelFormat::Rgb8, width, height, data, &config);
            }
        }
    }
}

/// A number of a PNM's header.
fn number(piece: &[u8]) -> Option<u32> {
    std::str::from_utf8(piece).ok()?.parse().ok()
}
