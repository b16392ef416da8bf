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
        // Caught from here on: a signal that came before the thread below first runs would be lost, or end the process.
        let mut signals = {
            let _inside = runtime.enter();
            Signals::catch()
        };
        let listen = move || {
            runtime.block_on(signals.next());
            flag.0.store(true, Ordering::Relaxed);
            // Runs out, or is cut short by the next signal; either way it's over.
            let _ = runtime.block_on(async { tokio::time::timeout(GRACE, signals.next()).await });
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

/// SIGINT and SIGTERM (Ctrl-C elsewhere than on Unix), from when they are caught. One that can't be never comes.
pub(crate) struct Signals {
    #[cfg(unix)]
    caught: [Option<tokio::signal::unix::Signal>; 2],
}

impl Signals {
    /// Catches them; within a runtime.
    pub(crate) fn catch() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Self { caught: [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()) }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Returns at the next of them.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.caught;
            tokio::select! {
                () = received(interrupt) => {}
                () = received(terminate) => {}
            }
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns at the first SIGINT or SIGTERM from now on.
pub(crate) async fn signal() {
    Signals::catch().next().await;
}

/// Hang-ups (SIGHUP), from when they are caught; where there are none, they never come.
pub(crate) struct Hangups {
    #[cfg(unix)]
    caught: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    /// Catches them; within a runtime.
    pub(crate) fn catch() -> Self {
        Self {
            #[cfg(unix)]
            caught: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    /// Returns true at the next one; false where none can come any more.
    pub(crate) async fn next(&mut self) -> bool {
        #[cfg(unix)]
        if let Some(caught) = &mut self.caught {
            return caught.recv().await.is_some();
        }
        false
    }
}
