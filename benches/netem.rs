//! Simulated networks: how many packets a second of real time go through, by controller, on a made-up cellular link.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on should stop")]

mod common;

use std::sync::Arc;

use auralink::Mode;
use auralink::netem::senders::{self, Setting};
use auralink::netem::{ModelConfig, ModelSource, Rate, SimulationConfig, TcpConfig, Trace, simulate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SECONDS: f64 = 60.0;

/// 0 to 16 Mbit/s in uneven steps.
fn link() -> Arc<Trace> {
    let rates: Vec<Rate> = (0..97)
        .map(|step| Rate { from_s: f64::from(step) * 0.31, kbps: f64::from((step * step * 37) % 64) * 250.0 })
        .collect();
    Arc::new(Trace::from_rates(&rates, 97.0 * 0.31).unwrap())
}

fn netem(criterion: &mut Criterion) {
    let plain = SimulationConfig { seconds: SECONDS, ..SimulationConfig::new(link(), link()) };
    let over_tcp = SimulationConfig { tcp: Some(TcpConfig::default()), ..plain.clone() };
    let mut group = criterion.benchmark_group("netem");
    // A second of simulated time is an element.
    group.throughput(Throughput::Elements(SECONDS as u64));
    let cases = senders::names().iter().map(|name| (*name, (*name).to_owned(), &plain));
    for (name, label, config) in cases.chain([("twotimescale", "twotimescale over tcp".to_owned(), &over_tcp)]) {
        let setting = Setting { config: config.clone(), min_frame_bytes: 400, mode: Mode::Adaptive };
        group.bench_function(label, |bencher| {
            bencher.iter(|| {
                let mut sender = senders::by_name(name, &setting).unwrap();
                let mut source = ModelSource::new(ModelConfig::default(), 1).unwrap();
                simulate(config.clone(), &mut sender, &mut source).unwrap().utilisation
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = common::criterion(); targets = netem }
criterion_main!(benches);
