//! JPEG within a number of bytes: never over, nearly always as much as there is, the same file for every level and thread.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod jpeg_common;

use std::hint::spin_loop;
use std::thread;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::{Cancel, Error, Frame, PixelFormat, kernel};
use jpeg_common::{SUBSAMPLINGS, busy_data, encode, pool};

/// Most times a frame is coded, the first try at the quality wanted included.
const MAX_PASSES: u32 = 7;

#[test]
fn budgets_are_kept_and_used() {
    let pool = pool(2);
    for (seed, (width, height)) in [(64, 64), (200, 120), (17, 3), (320, 240)].into_iter().enumerate() {
        let data = busy_data(PixelFormat::Rgb8.frame_bytes(width, height), seed as u32 + 1);
        let frame = Frame::new(PixelFormat::Rgb8, width, height, &data).unwrap();
        for optimise in [false, true] {
            let config = JpegConfig { quality: 95, optimise, restart_rows: 2, ..JpegConfig::default() };
            let finest = encode(&frame, &config);
            let smallest = encode(&frame, &JpegConfig { quality: 1, ..config }).len();
            let mut encoder = JpegEncoder::new(kernel::detect());
            for part in 0..=10 {
                let max_bytes = smallest + (finest.len() - smallest) * part / 10;
                let mut out = vec![7];
                let with_picture = JpegConfig { reconstruct: true, ..config };
                let stats = encoder.encode_within(&frame, &with_picture, max_bytes, &pool, &mut out).unwrap();
                assert_eq!((out[0], out.len()), (7, stats.bytes + 1));
                assert!(stats.bytes <= max_bytes && stats.quality <= 95 && stats.passes <= MAX_PASSES, "{stats:?}");
                assert!(stats.bytes * 10 >= max_bytes * 9 || max_bytes < 2_000, "{stats:?} for {max_bytes}");
                assert!(encoder.reconstruction().is_some());
                if part == 10 {
                    assert!(out[1..] == finest && stats.quality == 95);
                }
            }
            let mut all = Vec::new();
            encoder.encode_within(&frame, &config, usize::MAX, &pool, &mut all).unwrap();
            assert!(all == finest);
            let mut out = vec![7];
            // Steps between may make a smaller file by chance, never by much.
            let budget = smallest as u64 * 9 / 10;
            let error = encoder.encode_within(&frame, &config, budget as usize, &pool, &mut out).unwrap_err();
            assert_eq!(error, Error::Budget { field: "max_bytes", budget, smallest: smallest as u64 });
            assert_eq!(out, [7]);
        }
    }
}

#[test]
fn the_file_depends_on_nothing_but_frame_and_budget() {
    let data = busy_data(PixelFormat::I420.frame_bytes(400, 300), 5);
    let frame = Frame::new(PixelFormat::I420, 400, 300, &data).unwrap();
    let pools = [1, 2, 7].map(pool);
    for restart_rows in [0, 2] {
        let config = JpegConfig { quality: 97, restart_rows, ..JpegConfig::default() };
        for max_bytes in [25_000, 40_000, 100_000, 1_000_000] {
            let mut expected: Option<Vec<u8>> = None;
            for level in kernel::levels() {
                for pool in &pools {
                    let mut encoder = JpegEncoder::new(level);
                    // What came before leaves no trace.
                    for before in [None, Some(24_000), Some(10_000_000)] {
                        let mut out = Vec::new();
                        if let Some(before) = before {
                            encoder.encode_within(&frame, &config, before, pool, &mut out).unwrap();
                            out.clear();
                        }
                        encoder.encode_within(&frame, &config, max_bytes, pool, &mut out).unwrap();
                        assert!(*expected.get_or_insert_with(|| out.clone()) == out, "{max_bytes} after {before:?}");
                    }
                }
            }
        }
    }
}

/// Given up at any moment, whatever it was doing: the next file is as if nothing had been.
#[test]
fn frames_that_are_given_up_leave_no_trace() {
    let data = busy_data(PixelFormat::Rgb8.frame_bytes(400, 300), 9);
    let frame = Frame::new(PixelFormat::Rgb8, 400, 300, &data).unwrap();
    let pool = pool(2);
    for (optimise, restart_rows) in [(false, 0), (false, 2), (true, 2)] {
        let config =
            JpegConfig { quality: 97, optimise, restart_rows, reconstruct: true, train: true, ..JpegConfig::default() };
        for max_bytes in [25_000, 10_000_000] {
            let mut encoders = [(); 2].map(|()| JpegEncoder::new(kernel::detect()));
            let mut given_up = 0;
            for moment in 0..30 {
                let [mut out, mut expected] = [vec![7], vec![7]];
                let cancel = Cancel::default();
                encoders[0].heed(&cancel);
                let coded = thread::scope(|scope| {
                    // The first are given up before they begin.
                    if moment < 2 {
                        cancel.raise();
                    } else {
                        scope.spawn(|| {
                            (0..3_000 * moment).for_each(|_| spin_loop());
                            cancel.raise();
                        });
                    }
                    encoders[0].encode_within(&frame, &config, max_bytes, &pool, &mut out)
                });
                match coded {
                    Ok(_) => drop(encoders[1].encode_within(&frame, &config, max_bytes, &pool, &mut expected).unwrap()),
                    Err(error) => {
                        assert_eq!(error, Error::Abandoned);
                        given_up += 1;
                    }
                }
                assert!(out == expected, "given up at {moment}");
                encoders[0].heed(&Cancel::default());
                let next = encoders.each_mut().map(|encoder| {
                    let mut out = Vec::new();
                    encoder.encode_within(&frame, &config, max_bytes, &pool, &mut out).unwrap();
                    out
                });
                assert!(next[0] == next[1], "after one given up at {moment}");
            }
            assert!(given_up >= 2);
        }
    }
}

/// A random number below `end`.
fn below(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % end
}

/// Cases where `AURALINK_BUDGET_CASES` doesn't say otherwise.
const USUAL_CASES: u64 = 1_500;

#[test]
fn random_frames_and_budgets_are_never_over() {
    let cases = std::env::var("AURALINK_BUDGET_CASES").map_or(USUAL_CASES, |cases| cases.parse().unwrap());
    let (pool, mut encoder, mut state) = (pool(1), JpegEncoder::new(kernel::detect()), 1);
    let formats = [PixelFormat::I420, PixelFormat::Rgb8, PixelFormat::Gray8, PixelFormat::Nv12, PixelFormat::Bgra8];
    let (mut refused, mut kept) = (0, 0);
    for case in 0..cases {
        let format = formats[below(&mut state, 5) as usize];
        let (width, height) = (1 + below(&mut state, 320) as u32, 1 + below(&mut state, 200) as u32);
        let seed = below(&mut state, 1 << 31) as u32;
        let mut data = busy_data(format.frame_bytes(width, height), seed);
        match below(&mut state, 4) {
            0 => data.iter_mut().for_each(|byte| *byte = *byte / 32 + 100),
            1 => data.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i / 7) as u8),
            2 => data.fill(seed as u8),
            _ => {}
        }
        let frame = Frame::new(format, width, height, &data).unwrap();
        let config = JpegConfig {
            quality: 1 + below(&mut state, 100) as u8,
            subsampling: SUBSAMPLINGS[below(&mut state, 3) as usize],
            optimise: below(&mut state, 4) == 0,
            restart_rows: below(&mut state, 3) as u16,
            train: below(&mut state, 2) == 0,
            abbreviate: below(&mut state, 4) == 0,
            ..JpegConfig::default()
        };
        // As many small budgets as large ones.
        let max_bytes = (below(&mut state, 1 << 10) << below(&mut state, 10)) as usize;
        let mut out = Vec::new();
        match encoder.encode_within(&frame, &config, max_bytes, &pool, &mut out) {
            Ok(stats) => {
                kept += 1;
                assert_eq!(out.len(), stats.bytes, "case {case}");
                assert!(out.len() <= max_bytes && stats.passes <= MAX_PASSES, "case {case}: {stats:?}, {max_bytes}");
            }
            Err(Error::Budget { smallest, budget, .. }) => {
                refused += 1;
                assert!(out.is_empty() && smallest > budget && budget == max_bytes as u64, "case {case}");
            }
            Err(error) => panic!("case {case}: {error}"),
        }
    }
    assert!(kept > cases / 3 && refused > cases / 50, "{kept} kept and {refused} refused of {cases}");
}
