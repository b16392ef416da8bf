//! Stages of the H.264 encoder over luma of 1080p, at each SIMD level of this CPU and on one thread.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use auralink::testing::{Stage, Stages};
use auralink::{PixelFormat, kernel};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
const QP: u8 = 28;

fn stages(criterion: &mut Criterion) {
    let film = common::clip::film(PixelFormat::Gray8, WIDTH as u32, HEIGHT as u32, 2);
    let [source, reference] = [0, 1].map(|number| film[number].data().to_vec());
    let mut group = criterion.benchmark_group("h264_stages");
    group.throughput(Throughput::Elements((WIDTH * HEIGHT) as u64));
    for level in kernel::levels() {
        for stage in Stage::ALL {
            let mut stages = Stages::new(source.clone(), reference.clone(), WIDTH, QP);
            let id = BenchmarkId::new(stage.name(), kernel::name(level));
            group.bench_function(id, |bencher| bencher.iter(|| stages.run(level, stage)));
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = stages }
criterion_main!(benches);
