//! What a stream of JPEG files shares: trained Huffman tables, and tables that are sent once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod jpeg_common;

use std::time::Duration;

use auralink::codec::jpeg::{Completer, JpegConfig, JpegEncoder};
use auralink::{Codec, Engine, Feedback, Frame, FrameBuf, Output, PixelFormat, SessionConfig, Stamp, kernel, quality};
use jpeg_common::{busy_data, pool, soft};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

/// A soft picture with a noisy part that moves.
fn frame(width: u32, height: u32, t: u32) -> FrameBuf {
    let noise = busy_data((width * height * 3) as usize, t + 1);
    let mut data = Vec::new();
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let [r, g, b] = soft(f64::from(x + 3 * t), f64::from(y));
        let rough =
            if ((x + 5 * t) / 40).is_multiple_of(3) { f64::from(noise[(y * width + x) as usize] % 24) } else { 0.0 };
        data.extend([r, g, b].map(|value| (value + rough).clamp(0.0, 255.0) as u8));
    }
    FrameBuf::new(PixelFormat::Rgb8, width, height, data).unwrap()
}

fn decoded(file: &[u8]) -> Vec<u8> {
    JpegDecoder::new(ZCursor::new(file)).decode().unwrap()
}

#[test]
fn trained_tables_keep_the_picture_and_save_bytes() {
    let (mut plain, mut trained) = (JpegEncoder::new(kernel::detect()), JpegEncoder::new(kernel::detect()));
    let (pool, mut sizes) = (pool(1), [0; 2]);
    for t in 0..6 {
        let picture = frame(320, 200, t);
        let mut files = [Vec::new(), Vec::new()];
        let config = JpegConfig::default();
        plain.encode(&picture.as_frame(), &config, &pool, &mut files[0]).unwrap();
        let config = JpegConfig { train: true, ..config };
        let stats = trained.encode(&picture.as_frame(), &config, &pool, &mut files[1]).unwrap();
        assert!(stats.is_whole && decoded(&files[0]) == decoded(&files[1]));
        assert_eq!(files[0] == files[1], t == 0, "the first frame has nothing to be trained on");
        if t > 0 {
            (sizes[0], sizes[1]) = (sizes[0] + files[0].len(), sizes[1] + files[1].len());
        }
    }
    assert!(sizes[1] * 100 < sizes[0] * 96, "{sizes:?}");
}

#[test]
fn streams_depend_neither_on_level_nor_on_threads() {
    for (restart_rows, abbreviate, max_bytes) in [(0, false, None), (2, true, None), (1, false, Some(14_000))] {
        let config = JpegConfig { train: true, abbreviate, restart_rows, measure: true, ..JpegConfig::default() };
        let mut expected: Option<Vec<(Vec<u8>, Option<f64>)>> = None;
        for level in kernel::levels() {
            for threads in [1, 2, 7] {
                let (pool, mut encoder) = (pool(threads), JpegEncoder::new(level));
                let stream = (0..7).map(|t| {
                    let (picture, mut file) = (frame(250, 170, t), Vec::new());
                    let stats = match max_bytes {
                        Some(max) => encoder.encode_within(&picture.as_frame(), &config, max, &pool, &mut file),
                        None => encoder.encode(&picture.as_frame(), &config, &pool, &mut file),
                    };
                    (file, stats.unwrap().psnr_db)
                });
                let stream: Vec<_> = stream.collect();
                assert!(*expected.get_or_insert_with(|| stream.clone()) == stream, "{threads} threads");
            }
        }
    }
}

#[test]
fn abbreviated_files_are_the_whole_ones_without_their_tables() {
    let (mut whole, mut short) = (JpegEncoder::new(kernel::detect()), JpegEncoder::new(kernel::detect()));
    let (pool, mut completer, mut completed) = (pool(1), Completer::default(), Vec::new());
    let (mut sizes, mut changes) = ([0; 2], 0);
    for t in 0..80 {
        let picture = frame(96, 64, t / 8);
        let gray = vec![t as u8; 64 * 64];
        let (color, gray) = (picture.as_frame(), Frame::new(PixelFormat::Gray8, 64, 64, &gray).unwrap());
        let picture = if t % 9 == 5 { &gray } else { &color };
        let config = JpegConfig { quality: 60 + (t / 7 % 3) as u8, ..JpegConfig::default() };
        let mut files = [Vec::new(), Vec::new()];
        whole.encode(picture, &config, &pool, &mut files[0]).unwrap();
        let config = JpegConfig { abbreviate: true, train: t >= 40, ..config };
        let stats = short.encode(picture, &config, &pool, &mut files[1]).unwrap();
        assert_eq!(stats.is_whole, t == 0);
        changes += u32::from(files[1].windows(2).any(|bytes| bytes == [0xFF, 0xDB]));
        completer.complete(&files[1], &mut completed).unwrap();
        assert!(decoded(&completed) == decoded(&files[0]), "{t}");
        (sizes[0], sizes[1]) = (sizes[0] + files[0].len(), sizes[1] + files[1].len());
    }
    assert!(changes < 16 && sizes[1] + 70 * 400 < sizes[0], "{changes} changes, {sizes:?}");
}

/// The packets of a session, each with whether it stands alone.
fn packets(config: SessionConfig, count: u64, keyframe_at: u64) -> Vec<(bool, Vec<u8>)> {
    let pool = std::sync::Arc::new(pool(2));
    let mut session = Engine::new(pool).session(config).unwrap();
    let mut packets = Vec::new();
    for frame_number in 0..count {
        let now = Duration::from_millis(40 * frame_number);
        if frame_number == keyframe_at {
            session.feedback(Feedback::Keyframe, now).unwrap();
        }
        let stamp = Stamp { frame_number, timestamp_us: 0 };
        session.push(stamp, &frame(config.width, config.height, frame_number as u32).as_frame(), now).unwrap();
        while let Output::Packet(packet) = session.poll(now) {
            packets.push((packet.info.keyframe, packet.data.to_vec()));
        }
    }
    packets
}

#[test]
fn sessions_send_tables_once_where_that_was_agreed() {
    let standalone = SessionConfig::new(Codec::Jpeg, PixelFormat::Rgb8, 320, 200);
    let whole = packets(standalone, 12, 6);
    assert!(whole.len() == 12 && whole.iter().all(|(keyframe, _)| *keyframe));
    for floor in [None, Some(0.995)] {
        let config =
            SessionConfig { abbreviate: true, min_quality: floor, measure_quality: floor.is_some(), ..standalone };
        let short = packets(config, 12, 6);
        assert!(short[0].0 && short[6].0);
        let (mut completer, mut file) = (Completer::default(), Vec::new());
        for (keyframe, packet) in &short {
            completer.complete(packet, &mut file).unwrap();
            decoded(&file);
            if *keyframe {
                assert_eq!(&file, packet);
            }
        }
        if floor.is_none() {
            assert_eq!(short.iter().filter(|(keyframe, _)| *keyframe).count(), 2);
            for ((_, short), (_, whole)) in short.iter().zip(&whole).skip(2).take(4) {
                assert!(short.len() < whole.len(), "{} and {}", short.len(), whole.len());
            }
        }
    }
}

#[test]
fn psnr_is_told_without_decoding() {
    let pool = pool(1);
    for (quality, restart_rows) in [(20, 0), (50, 2), (75, 0), (90, 1), (95, 0)] {
        for (width, height) in [(320, 200), (333, 191)] {
            // Rough everywhere, and nowhere near black or white.
            let mut picture = frame(width, height, 3);
            let noise = busy_data(picture.data().len(), 9);
            let rough = picture.data_mut().iter_mut().zip(noise);
            rough.for_each(|(sample, noise)| *sample = 48 + *sample / 2 + noise % 24);
            let config =
                JpegConfig { quality, restart_rows, measure: true, reconstruct: true, ..JpegConfig::default() };
            let mut encoder = JpegEncoder::new(kernel::detect());
            let stats = encoder.encode(&picture.as_frame(), &config, &pool, &mut Vec::new()).unwrap();
            let mut luma = Vec::new();
            kernel::rows::luma_plane(kernel::detect(), &picture.as_frame(), &mut luma).unwrap();
            let source = Frame::new(PixelFormat::Gray8, width, height, &luma).unwrap();
            let seen = encoder.reconstruction().unwrap();
            let exact = quality::compare(kernel::detect(), source.plane(0), seen.plane(0), &pool).unwrap().psnr_db;
            let told = stats.psnr_db.unwrap();
            assert!((told - exact).abs() < 0.05, "quality {quality}: {told:.3} dB for {exact:.3}");
            let mut plain = (Vec::new(), Vec::new());
            encoder.encode(&picture.as_frame(), &config, &pool, &mut plain.0).unwrap();
            let unmeasured = JpegConfig { measure: false, ..config };
            encoder.encode(&picture.as_frame(), &unmeasured, &pool, &mut plain.1).unwrap();
            assert!(plain.0 == plain.1);
        }
    }
}
