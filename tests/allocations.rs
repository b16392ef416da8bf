//! Once warm, a session takes no memory from the allocator: not on the caller's thread, not in the pool.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use auralink::{Codec, Engine, FrameBuf, Output, PixelFormat, Session, SessionConfig, Stamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_FRAMES: u64 = 40;
const FRAMES: u64 = 100;

/// A film whose every frame differs from the one before in most samples, and less so in bytes coded.
fn film(format: PixelFormat, width: u32, height: u32) -> Vec<FrameBuf> {
    let make = |number: usize| {
        let data = (0..format.frame_bytes(width, height))
            .map(|at| ((at % 97) * (at / 911 % 7 + 1) + 3 * number) as u8)
            .collect();
        FrameBuf::new(format, width, height, data).unwrap()
    };
    (0..4).map(make).collect()
}

fn run(session: &mut Session, film: &[FrameBuf], numbers: std::ops::Range<u64>) {
    for frame_number in numbers {
        let now = Duration::from_millis(33 * frame_number);
        let frame = film[frame_number as usize % film.len()].as_frame();
        session.push(Stamp { frame_number, timestamp_us: 0 }, &frame, now).unwrap();
        loop {
            match session.poll(now) {
                Output::Packet(packet) => assert!(!packet.data.is_empty()),
                Output::Wait(_) => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Allocations and reallocations of all threads over [`FRAMES`] frames, after [`WARM_FRAMES`] others.
fn allocations(config: SessionConfig) -> usize {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let film = film(config.format, config.width, config.height);
    let mut session = Engine::new(Arc::clone(&pool)).session(config).unwrap();
    // On the pool's own thread: a job from outside it would count the queue of rayon itself.
    pool.install(|| {
        run(&mut session, &film, 0..WARM_FRAMES);
        let region = Region::new(ALLOCATOR);
        run(&mut session, &film, WARM_FRAMES..WARM_FRAMES + FRAMES);
        let change = region.change();
        change.allocations + change.reallocations
    })
}

// One test: another one beside it would be counted too.
#[test]
fn a_warm_session_does_not_allocate() {
    let formats = [PixelFormat::I420, PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::Nv12, PixelFormat::Yuyv];
    let small = formats.map(|format| (format, 320, 180));
    // Large enough for bands of their own.
    let large = [(PixelFormat::I420, 640, 480)];
    let mut faults = Vec::new();
    for (format, width, height) in small.into_iter().chain(large) {
        for codec in Codec::ALL {
            // Unlimited, measured, and within a budget that takes a search.
            for (measure_quality, target_reduction) in [(false, None), (true, None), (false, Some(0.95))] {
                let config = SessionConfig {
                    measure_quality,
                    target_reduction,
                    abbreviate: measure_quality,
                    ..SessionConfig::new(codec, format, width, height)
                };
                let mut count = allocations(config);
                // The harness itself says something after a minute, but only once; a session does again what it does.
                if count > 0 {
                    count = allocations(config);
                }
                if count > 0 {
                    faults.push(format!("{codec} of {format} {width}x{height}, measured {measure_quality}: {count}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "allocations in {FRAMES} frames:\n{}", faults.join("\n"));
}
