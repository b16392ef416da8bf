//! A frame through a session: plan, resize, codec, promise and statistics; 1080p I420.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use std::time::Duration;

use auralink::{Codec, Engine, NetworkConditions, Output, PixelFormat, SessionConfig, Stamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

fn session(criterion: &mut Criterion) {
    let film = common::clip::film(PixelFormat::I420, WIDTH, HEIGHT, 8);
    let fast = NetworkConditions::new(100_000.0, 20.0, 0.0, 2.0).unwrap();
    let slow = NetworkConditions::new(2_000.0, 80.0, 1.0, 10.0).unwrap();
    let base = SessionConfig::new(Codec::Jpeg, PixelFormat::I420, WIDTH, HEIGHT);
    let cases = [
        ("jpeg", base),
        ("jpeg_measured", SessionConfig { measure_quality: true, ..base }),
        ("jpeg_100_mbps", SessionConfig { network: Some(fast), ..base }),
        ("jpeg_2_mbps", SessionConfig { network: Some(slow), ..base }),
        ("lossless", SessionConfig { codec: Codec::Lossless, ..base }),
        ("h264", SessionConfig { codec: Codec::H264, ..base }),
        ("h264_2_mbps", SessionConfig { codec: Codec::H264, network: Some(slow), ..base }),
    ];
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(1));
    for (name, config) in cases {
        let engine = Engine::new(common::pool(std::thread::available_parallelism().map_or(2, usize::from)));
        let mut session = engine.session(config).unwrap();
        let mut frame_number = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                frame_number += 1;
                let frame = &film[frame_number as usize % film.len()];
                // A second a frame keeps even the slow link free, so that every frame is coded.
                let now = Duration::from_secs(frame_number);
                session.push(Stamp { frame_number, timestamp_us: 0 }, &frame.as_frame(), now).unwrap();
                while !matches!(session.poll(now), Output::Wait(_)) {}
            });
        });
        assert_eq!(session.stats().failed, 0);
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = session }
criterion_main!(benches);
