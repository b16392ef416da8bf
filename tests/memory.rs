//! What a session holds: everything the allocator gave and hasn't had back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use auralink::codec::h264::{H264Config, Preset};
use auralink::{Codec, Engine, Feedback, FrameBuf, NetworkConditions, Output, PixelFormat, SessionConfig, Stamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Most that a session of 1080p may hold, bytes.
const MOST_BYTES: usize = 42 << 20;
const FRAMES: u64 = 12;

/// Slopes that move, or noise, which packs worst.
fn picture(format: PixelFormat, (width, height): (u32, u32), number: usize, is_noise: bool) -> FrameBuf {
    let bytes = format.frame_bytes(width, height);
    let sample = |at: usize| match is_noise {
        true => ((at + number * bytes).wrapping_mul(2_654_435_761) >> 15) as u8,
        false => ((at % 97) * (at / 911 % 7 + 1) + 3 * number) as u8,
    };
    FrameBuf::new(format, width, height, (0..bytes).map(sample).collect()).unwrap()
}

/// What a session holds after some frames, bytes.
fn held(engine: &Engine, config: SessionConfig, is_noise: bool) -> usize {
    let film: Vec<_> =
        (0..2).map(|number| picture(config.format, (config.width, config.height), number, is_noise)).collect();
    let region = Region::new(ALLOCATOR);
    let mut session = engine.session(config).unwrap();
    for frame_number in 0..FRAMES {
        let now = Duration::from_millis(33 * frame_number);
        let frame = film[frame_number as usize % film.len()].as_frame();
        session.push(Stamp { frame_number, timestamp_us: 0 }, &frame, now).unwrap();
        loop {
            let frame_number = match session.poll(now) {
                Output::Packet(packet) => packet.info.stamp.frame_number,
                Output::Dropped(_) => continue,
                Output::Failed(failed) => panic!("{}", failed.error),
                Output::Wait(_) => break,
            };
            // Acknowledged pictures are kept.
            session.feedback(Feedback::Ack { frame_number }, now).unwrap();
        }
    }
    let change = region.change();
    // What was reallocated is counted in both.
    change.bytes_allocated - change.bytes_deallocated
}

// One test: another one beside it would be counted too.
#[test]
fn a_session_keeps_within_its_memory() {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let engine = Engine::new(pool);
    let narrow = NetworkConditions::new(2_000.0, 40.0, 0.0, 5.0).unwrap();
    let best = H264Config { preset: Preset::Best, slices: 8, recovery: true, ..H264Config::default() };
    let formats = [PixelFormat::I420, PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::Gray8];
    for codec in Codec::ALL {
        for (format, (width, height)) in
            formats.iter().flat_map(|&format| [(format, (1920, 1080)), (format, (320, 180))])
        {
            let plain = SessionConfig::new(codec, format, width, height);
            let measured = SessionConfig { measure_quality: true, ..plain };
            let held_back = SessionConfig { network: Some(narrow), ..measured };
            let mut runs = vec![(plain, false), (measured, true), (held_back, true)];
            if codec == Codec::H264 {
                runs.push((SessionConfig { h264: best, ..held_back }, true));
            }
            let most = runs.iter().map(|(config, is_noise)| held(&engine, *config, *is_noise)).max().unwrap();
            let told = plain.memory_bytes();
            eprintln!("{codec} of {format} {width}x{height}: {} KiB, of {} KiB", most >> 10, told >> 10);
            assert!(
                most <= told,
                "{codec} of {format} {width}x{height}: {most} bytes, more than the {told} that are told"
            );
            assert!(
                told <= 3 * most,
                "{codec} of {format} {width}x{height}: {most} bytes, far less than the {told} told"
            );
        }
    }
    let usual = SessionConfig::new(Codec::H264, PixelFormat::I420, 1920, 1080);
    assert!(usual.memory_bytes() <= MOST_BYTES, "{}", usual.memory_bytes());
}
