//! All codecs on 1080p frames of the bundled clip, on one thread and on all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use auralink::codec::h264::{FrameOrder, H264Config, H264Encoder, Preset};
use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::codec::lossless::{LosslessConfig, LosslessDecoder, LosslessEncoder};
use auralink::{FrameBuf, Limits, PixelFormat, kernel};
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
    let config = JpegConfig { restart_rows: 4, ..JpegConfig::default() };
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

/// A film as H.264, frame after frame, forth and back.
fn h264(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("h264");
    group.throughput(Throughput::Elements(u64::from(WIDTH * HEIGHT)));
    let motion = common::clip::film(PixelFormat::I420, WIDTH, HEIGHT, 8);
    let screen = common::made::screen(WIDTH, HEIGHT, 8);
    let call = common::made::call(&motion[0], WIDTH, HEIGHT, 8);
    let mut case = |name: String, film: &[FrameBuf], config: H264Config, threads| {
        let pool = common::pool(threads);
        let mut encoder = H264Encoder::new(kernel::detect(), config).unwrap();
        let mut out = Vec::new();
        let mut frames = film.iter().chain(film.iter().rev()).cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let order = FrameOrder::at(27);
                frames.next().map(|frame| encoder.encode(&frame.as_frame(), &order, &pool, &mut out).unwrap())
            });
        });
    };
    for (content, film) in [("motion", &motion), ("screen", &screen), ("call", &call)] {
        for preset in Preset::ALL {
            case(format!("{content}_{preset}/1_slices"), film, H264Config { preset, ..H264Config::default() }, 1);
        }
    }
    for slices in [2, 4] {
        let config = H264Config { slices, ..H264Config::default() };
        case(format!("motion_balanced/{slices}_slices_1_threads"), &motion, config, 1);
        case(format!("motion_balanced/{slices}_slices_{slices}_threads"), &motion, config, slices);
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = jpeg, lossless, h264 }
criterion_main!(benches);
