//! Both codecs on 1080p frames of the bundled clip, on one thread and on all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::codec::lossless::{LosslessConfig, LosslessDecoder, LosslessEncoder};
use auralink::{Limits, PixelFormat, kernel};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const FORMATS: [PixelFormat; 4] = [PixelFormat::Rgb8, PixelFormat::Bgra8, PixelFormat::I420, PixelFormat::Gray8];

fn threads() -> [usize; 2] {
    [1, std::thread::available_parallelism().map_or(2, usize::from)]
}

fn jpeg(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jpeg");
    group.throughput(Throughput::Elements(u64::from(WIDTH * HEIGHT)));
    let mut case = |name: String, format, config: JpegConfig, threads| {
        let film = common::clip::film(format, WIDTH, HEIGHT, 1);
        let pool = common::pool(threads);
        let mut encoder = JpegEncoder::new(kernel::detect());
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encoder.encode(&film[0].as_frame(), &config, &pool, &mut out).unwrap()
            });
        });
    };
    let config = JpegConfig { restart_rows: 8, ..JpegConfig::default() };
    for format in FORMATS {
        for threads in threads() {
            case(format!("{format}_q75/{threads}_threads"), format, config, threads);
        }
    }
    for quality in [30, 90] {
        case(format!("i420_q{quality}/1_threads"), PixelFormat::I420, JpegConfig { quality, ..config }, 1);
    }
    case("i420_q75_optimised/1_threads".into(), PixelFormat::I420, JpegConfig { optimise: true, ..config }, 1);
    case("i420_q75_reconstructed/1_threads".into(), PixelFormat::I420, JpegConfig { reconstruct: true, ..config }, 1);
    group.finish();
}

fn lossless(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lossless");
    group.throughput(Throughput::Elements(u64::from(WIDTH * HEIGHT)));
    for format in FORMATS {
        let film = common::clip::film(format, WIDTH, HEIGHT, 2);
        for threads in threads() {
            let pool = common::pool(threads);
            for temporal in [false, true] {
                let kind = if temporal { "encode_temporal" } else { "encode" };
                let mut encoder = LosslessEncoder::new(kernel::detect());
                let mut out = Vec::new();
                group.bench_function(BenchmarkId::new(format!("{kind}_{format}"), format!("{threads}_threads")), |b| {
                    let mut frames = film.iter().cycle();
                    b.iter(|| {
                        out.clear();
                        let config = LosslessConfig { temporal, keyframe: !temporal };
                        frames.next().map(|frame| encoder.encode(&frame.as_frame(), &config, &pool, &mut out).unwrap())
                    });
                });
            }
            let mut packet = Vec::new();
            let config = LosslessConfig { temporal: false, keyframe: true };
            let mut encoder = LosslessEncoder::new(kernel::detect());
            encoder.encode(&film[0].as_frame(), &config, &pool, &mut packet).unwrap();
            let mut decoder = LosslessDecoder::new(kernel::detect(), Limits::ENGINE);
            group.bench_function(BenchmarkId::new(format!("decode_{format}"), format!("{threads}_threads")), |b| {
                b.iter(|| decoder.decode(&packet, &pool).map(|frame| frame.data().len()).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = jpeg, lossless }
criterion_main!(benches);
