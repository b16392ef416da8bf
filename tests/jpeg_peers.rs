//! JPEG files in other people's programs, where they are installed: djpeg and ffmpeg read them, and cjpeg of libjpeg-turbo
//! writes the same bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod jpeg_common;
mod skip;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use auralink::codec::jpeg::{JpegConfig, JpegEncoder, Subsampling};
use auralink::{ColorSpace, Frame, Matrix, PixelFormat, kernel};
use jpeg_common::{SUBSAMPLINGS, busy_data, encode, pool, psnr, soft_frame, ycc};

/// Runs a program with `input`; none, loudly, where it isn't installed.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        skip::say(format_args!("{program} is not installed"));
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

/// A stride through the sizes that is prime to their number, 67 squared.
const SIZE_STRIDE: usize = 101;

#[test]
fn djpeg_and_ffmpeg_read_every_format_and_subsampling_at_sizes_up_to_67() {
    let sizes = (1..=67).flat_map(|width| (1..=67).map(move |height| (width, height)));
    for (width, height) in sizes.step_by(SIZE_STRIDE).chain([(130, 61)]) {
        let (mut film, mut lumas) = (Vec::new(), Vec::new());
        for format in PixelFormat::ALL.into_iter().filter(|&format| format != PixelFormat::Gray16) {
            for (i, subsampling) in SUBSAMPLINGS.into_iter().enumerate() {
                let restart_rows = i as u16;
                let config = JpegConfig {
                    quality: 93,
                    subsampling,
                    restart_rows,
                    optimise: i == 1,
                    reconstruct: true,
                    ..JpegConfig::default()
                };
                let buffer = soft_frame(format, width, height, ColorSpace::JFIF);
                let (mut encoder, mut file) = (JpegEncoder::new(kernel::detect()), Vec::new());
                encoder.encode(&buffer.as_frame(), &config, &pool(1), &mut file).unwrap();
                let luma = encoder.reconstruction().unwrap().plane(0).data().to_vec();
                // Grey from any file: its luma, exactly as the reference transform gives it.
                let arguments = ["-dct", "int", "-nosmooth", "-grayscale", "-pnm"];
                if let Some(pgm) = piped("djpeg", &arguments, &file) {
                    assert_eq!(pnm_samples(&pgm, luma.len()), luma, "{format} {width}x{height} {config:?}");
                }
                film.extend_from_slice(&file);
                lumas.push((format, config, luma));
            }
        }
        // A program's start is most of its time on pictures so small: ffmpeg reads those of a size as one film.
        let arguments = [
            "-v",
            "error",
            "-f",
            "mjpeg",
            "-i",
            "-",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ];
        let Some(rgb) = piped("ffmpeg", &arguments, &film) else { continue };
        let pixels = width as usize * height as usize;
        assert_eq!(rgb.len(), 3 * pixels * lumas.len(), "{width}x{height}");
        for ((format, config, luma), rgb) in lumas.iter().zip(rgb.chunks_exact(3 * pixels)) {
            let errors = luma
                .iter()
                .zip(rgb.as_chunks::<3>().0)
                .map(|(&luma, &rgb)| f64::from(luma) - ycc(rgb.map(f64::from), Matrix::Bt601)[0]);
            let psnr = psnr(errors);
            assert!(psnr > 35.0, "{format} {width}x{height} {config:?}: ffmpeg is {psnr:.1} dB away");
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
        skip::say(format_args!("no cjpeg of libjpeg-turbo to compare with"));
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
                    let config = JpegConfig {
                        quality,
                        subsampling,
                        optimise: i % 2 == 1,
                        restart_rows,
                        reconstruct: false,
                        ..JpegConfig::default()
                    };
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
        skip::say(format_args!("no photographs at {}", images.display()));
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
