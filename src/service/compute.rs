//! What frames are coded with: a lane for small frames and one for large ones.
//!
//! A frame of 4K takes tens of milliseconds on all threads of its pool, and a small one that came behind it there would wait for
//! all its bands: a pool's threads finish what is begun before they look at what has come. So the lanes have threads of their own,
//! and the system shares the cores out among them, as it does among threads: a small frame is begun at once, whatever runs.

use std::sync::Arc;

use rayon::ThreadPoolBuildError;

use crate::service::admission::{Admission, Shed};
use crate::service::lane::Lane;

/// Pixels of the largest frame that is small: a few milliseconds' work for one thread.
const SMALL_PIXELS: u64 = 1 << 20;

/// Both lanes, each with as many threads.
#[derive(Debug)]
pub(crate) struct Compute {
    small: Arc<Lane>,
    large: Arc<Lane>,
}

impl Compute {
    /// Lanes of `threads` threads each, one a core where 0, that shed as `admission` says.
    pub(crate) fn new(threads: usize, admission: &Admission) -> Result<Self, ThreadPoolBuildError> {
        let [small, large] = ["small", "large"].map(|name| Lane::new(name, threads, admission).map(Arc::new));
        Ok(Self { small: small?, large: large? })
    }

    /// The lane of frames of so many pixels. What isn't known before it is decoded goes among the large ones.
    pub(crate) fn lane(&self, pixels: Option<u64>) -> &Arc<Lane> {
        if pixels.is_some_and(|pixels| pixels <= SMALL_PIXELS) { &self.small } else { &self.large }
    }

    fn lanes(&self) -> [&Lane; 2] {
        [&self.small, &self.large]
    }

    /// Threads of each lane.
    pub(crate) fn threads(&self) -> usize {
        self.small.threads()
    }

    /// Jobs that wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes().map(Lane::waiting).iter().sum()
    }

    /// Jobs that run; more than threads where one waits for its own parts.
    pub(crate) fn busy(&self) -> usize {
        self.lanes().map(Lane::busy).iter().sum()
    }

    /// What is shed in the lane that sheds most.
    pub(crate) fn shed(&self) -> Shed {
        self.lanes().map(Lane::shed).into_iter().max().unwrap_or_default()
    }
}
