//! Attackers stand for machines of their own: their threads give way to the server's, and to those of the streams beside them.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// The least that the system gives a thread.
#[cfg(target_os = "linux")]
const LAST: i32 = 19;

/// What attackers run on.
pub(crate) fn attackers() -> &'static Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let give_way = || {
            // Where the system doesn't let it, or has no such thing, figures are worse, and all else is the same.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::setpriority_process(None, LAST);
        };
        Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(give_way).build().unwrap()
    });
    RUNTIME.handle()
}

/// How long an attack is made again and again, where `AURALINK_ATTACK_SECONDS` says so.
pub(crate) fn attack_time() -> Duration {
    let asked = std::env::var("AURALINK_ATTACK_SECONDS").ok();
    asked.and_then(|seconds| seconds.parse().ok()).map_or(Duration::ZERO, Duration::from_secs)
}
