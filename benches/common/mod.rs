//! What all benches share: a profiler for flamegraphs, threads, and pictures from the bundled clip.

#![allow(dead_code, reason = "each bench uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use rayon::{ThreadPool, ThreadPoolBuilder};

pub(crate) mod clip;
pub(crate) mod made;

/// Criterion with short runs, and flamegraphs with `-- --profile-time 5`.
pub(crate) fn criterion() -> Criterion {
    let criterion = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    #[cfg(unix)]
    let criterion = criterion.with_profiler(flamegraph::Profiler::default());
    criterion
}

/// A pool of its own, as every user of the engine has.
pub(crate) fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

#[cfg(unix)]
mod flamegraph {
    use super::*;

    /// Writes `flamegraph.svg` beside a benchmark's report.
    #[derive(Default)]
    pub(super) struct Profiler(Option<pprof::ProfilerGuard<'static>>);

    impl criterion::profiler::Profiler for Profiler {
        fn start_profiling(&mut self, _id: &str, _directory: &Path) {
            self.0 = Some(pprof::ProfilerGuard::new(997).unwrap());
        }

        fn stop_profiling(&mut self, _id: &str, directory: &Path) {
            let report = self.0.take().unwrap().report().build().unwrap();
            std::fs::create_dir_all(directory).unwrap();
            report.flamegraph(std::fs::File::create(directory.join("flamegraph.svg")).unwrap()).unwrap();
        }
    }
}
