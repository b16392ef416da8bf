//! Kernels on 1080p, and the codecs that are made of them, at each SIMD level of this CPU and on one thread.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use auralink::codec::jpeg::{JpegConfig, JpegEncoder};
use auralink::codec::lossless::{LosslessConfig, LosslessEncoder};
use auralink::kernel::block::{self, BLOCKS, ROW_SAMPLES};
use auralink::kernel::color::{self, CHUNK, Packing};
use auralink::kernel::metric::{self, Samples};
use auralink::kernel::quantise::Quantiser;
use auralink::kernel::{self, Level, Simd, Vectorise};
use auralink::{FrameBuf, PixelFormat};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// A step that leaves a few coefficients in most blocks of real content.
const STEPS: [u8; 64] = [24; 64];

/// RGB rows to luma and chroma.
struct Convert<'a> {
    rgb: &'a [u8],
    rows: [Vec<u8>; 3],
}

impl Vectorise for &mut Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let packing = Packing { bytes: 3, blue_first: false };
        let [luma, cb, cr] = &mut self.rows;
        for row in self.rgb.chunks_exact(3 * WIDTH) {
            color::convert_row(simd, packing, row, luma, cb, cr);
        }
    }
}

/// Blocks of a plane to quantised coefficients.
struct Transform<'a> {
    plane: &'a [u8],
    quantiser: &'a Quantiser,
}

impl Vectorise for Transform<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        let (mut coefficients, mut masks, mut any) = ([[0; 64]; BLOCKS], [0; BLOCKS], 0);
        for stripe in self.plane.chunks_exact(8 * WIDTH) {
            for left in (0..WIDTH).step_by(ROW_SAMPLES) {
                block::transform(simd, &stripe[left..], WIDTH, self.quantiser, &mut coefficients, &mut masks);
                any |= masks.iter().fold(0, |all, mask| all | mask);
            }
        }
        any
    }
}

fn kernels(criterion: &mut Criterion) {
    let gray = common::clip::film(PixelFormat::Gray8, WIDTH as u32, HEIGHT as u32, 2);
    let rgb = common::clip::film(PixelFormat::Rgb8, WIDTH as u32, HEIGHT as u32, 1).remove(0);
    let [a, b] = [0, 1].map(|i| Samples { data: gray[i].data(), stride: WIDTH, width: WIDTH, rows: HEIGHT });
    let quantiser = Quantiser::new(&STEPS);
    let rows = || vec![0; WIDTH.next_multiple_of(CHUNK)];

    let mut group = criterion.benchmark_group("kernels");
    group.throughput(Throughput::Elements((WIDTH * HEIGHT) as u64));
    for level in kernel::levels() {
        let id = |kernel| BenchmarkId::new(kernel, kernel::name(level));
        let mut convert = Convert { rgb: rgb.data(), rows: [rows(), rows(), rows()] };
        group.bench_function(id("rgb_to_ycbcr"), |bencher| bencher.iter(|| kernel::vectorise(level, &mut convert)));
        group.bench_function(id("dct_quantise"), |bencher| {
            bencher.iter(|| kernel::vectorise(level, Transform { plane: gray[0].data(), quantiser: &quantiser }));
        });
        group.bench_function(id("squared_differences"), |bencher| bencher.iter(|| metric::ssd(level, a, b)));
        group.bench_function(id("ssim"), |bencher| bencher.iter(|| metric::ssim_sum(level, a, b)));
        codecs(&mut group, level, &rgb);
    }
    group.finish();
}

fn codecs(group: &mut BenchmarkGroup<'_, WallTime>, level: Level, rgb: &FrameBuf) {
    let pool = common::pool(1);
    let mut out = Vec::new();
    group.bench_function(BenchmarkId::new("jpeg_of_rgb", kernel::name(level)), |bencher| {
        let mut encoder = JpegEncoder::new(level);
        bencher.iter(|| {
            out.clear();
            encoder.encode(&rgb.as_frame(), &JpegConfig::default(), &pool, &mut out)
        });
    });
    group.bench_function(BenchmarkId::new("lossless_of_rgb", kernel::name(level)), |bencher| {
        let mut encoder = LosslessEncoder::new(level);
        bencher.iter(|| {
            out.clear();
            let config = LosslessConfig { temporal: false, keyframe: true };
            encoder.encode(&rgb.as_frame(), &config, &pool, &mut out)
        });
    });
}

criterion_group! { name = benches; config = common::criterion(); targets = kernels }
criterion_main!(benches);
