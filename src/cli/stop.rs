//! Ctrl-C and SIGTERM as a flag, so that loops end between frames and what was written is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::console::remark;
use super::exit::{Exit, Failure, Result};

/// Time from a signal to the end of a command that doesn't see it.
const GRACE: Duration = Duration::from_secs(2);

/// Whether the user wants us to stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts listening for signals. A second one ends the process at once, and so does a wait that nothing ends, such as
    /// for standard input.
    pub(crate) fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let flag = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io("listening for signals", error))?;
        let listen = move || {
            runtime.block_on(signal());
            flag.0.store(true, Ordering::Relaxed);
            // Runs out, or is cut short by the next signal; either way it's over.
            let _ = runtime.block_on(async { tokio::time::timeout(GRACE, signal()).await });
            remark("auralink: interrupted");
            std::process::exit(Exit::Interrupted as i32);
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listen)
            .map_err(|error| Failure::io("starting a thread", error))?;
        Ok(stop)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns at the first SIGINT or SIGTERM; never, where the process can't listen for them.
pub(crate) async fn signal() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
