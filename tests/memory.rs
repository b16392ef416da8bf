//! What a session holds: everything the allocator gave and hasn't had back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use auralink::{Codec, Engine, FrameBuf, Output, PixelFormat, SessionConfig, Stamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Most that a session of 1080p may hold, bytes.
const MOST_BYTES: isize = 40 << 20;
const FRAMES: u64 = 12;

// One test: another one beside it would be counted too.
#[test]
fn a_session_of_1080p_keeps_within_its_memory() {
    let (width, height) = (1920, 1080);
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let engine = Engine::new(pool);
    let film: Vec<FrameBuf> = (0..2)
        .map(|number: usize| {
            let bytes = PixelFormat::I420.frame_bytes(width, height);
            let data = (0..bytes).map(|at| ((at % 97) * (at / 911 % 7 + 1) + 3 * number) as u8).collect();
            FrameBuf::new(PixelFormat::I420, width, height, data).unwrap()
        })
        .collect();
    for measure_quality in [false, true] {
        let region = Region::new(ALLOCATOR);
        let config =
            SessionConfig { measure_quality, ..SessionConfig::new(Codec::H264, PixelFormat::I420, width, height) };
        let mut session = engine.session(config).unwrap();
        for frame_number in 0..FRAMES {
            let now = Duration::from_millis(33 * frame_number);
            let frame = film[frame_number as usize % film.len()].as_frame();
            session.push(Stamp { frame_number, timestamp_us: 0 }, &frame, now).unwrap();
            while let Output::Packet(packet) = session.poll(now) {
                assert!(!packet.data.is_empty());
            }
        }
        let change = region.change();
        // What was reallocated is counted in both.
        let held = change.bytes_allocated as isize - change.bytes_deallocated as isize;
        eprintln!("measured {measure_quality}: {:.1} MiB", held as f64 / f64::from(1 << 20));
        assert!(held > 8 << 20, "{held} bytes: two pictures alone are more");
        assert!(held <= MOST_BYTES, "{held} bytes, measured {measure_quality}");
    }
}
