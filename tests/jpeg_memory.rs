//! What coding a 4K frame takes beside the frame and the file: everything the allocator ever gave meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod jpeg_common;

use std::alloc::System;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::{ColorSpace, FrameBuf, Matrix, PixelFormat, Range, kernel};
use jpeg_common::{SUBSAMPLINGS, pool};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MOST_BYTES: usize = 2 << 20;
/// Room that the caller gives for the file.
const OUT_BYTES: usize = 24 << 20;
const FORMATS: [PixelFormat; 5] =
    [PixelFormat::I420, PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::Nv12, PixelFormat::Yuyv];

// One test: another one beside it would be counted too.
#[test]
fn a_4k_frame_takes_two_mebibytes_at_most() {
    let (width, height, mut most) = (3840, 2160, 0);
    let jfif = ColorSpace { matrix: Matrix::Bt601, range: Range::Full };
    let mut out = Vec::with_capacity(OUT_BYTES);
    for format in FORMATS {
        let bytes = format.frame_bytes(width, height);
        let data = (0..bytes).map(|at| ((at % 97) * (at / 911 % 7 + 1)) as u8).collect();
        let frame = FrameBuf::new(format, width, height, data).unwrap().with_color(jfif);
        for subsampling in SUBSAMPLINGS {
            for (restart_rows, threads) in [(0, 1), (4, 2)] {
                let pool = pool(threads);
                let config = JpegConfig { subsampling, restart_rows, train: true, ..JpegConfig::default() };
                let region = Region::new(ALLOCATOR);
                let mut encoder = JpegEncoder::new(kernel::detect());
                for _ in 0..2 {
                    out.clear();
                    encoder.encode(&frame.as_frame(), &config, &pool, &mut out).unwrap();
                }
                let given = region.change().bytes_allocated;
                // Bands code to buffers of their own, which grow by doubling up to the file.
                let files = if threads == 1 { 0 } else { 4 * out.len() };
                assert!(out.capacity() == OUT_BYTES, "the file moved");
                assert!(given <= MOST_BYTES + files, "{format} {subsampling:?}, {threads} threads: {given} bytes");
                if threads == 1 {
                    most = most.max(given);
                }
            }
        }
    }
    eprintln!("{} KiB at most on one thread", most >> 10);
    assert!(most > 64 << 10, "{most} bytes: the rows alone are more");
}
