//! Where everything starts: the caller's threads and the SIMD level.

use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;

use crate::error::Result;
use crate::kernel::{self, Level};
use crate::session::{Coder, Session, SessionConfig};

/// The caller's thread pool and the SIMD level; stills and sessions come from it. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use auralink::{Codec, Engine, Frame, Order, PixelFormat};
///
/// let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build()?);
/// let mut coder = Engine::new(pool).coder();
/// let pixels = vec![128; 64 * 48 * 4];
/// let mut file = Vec::new();
/// coder.code(&Frame::new(PixelFormat::Bgra8, 64, 48, &pixels)?, &Order::still(Codec::Jpeg), &mut file)?;
/// assert!(file.starts_with(&[0xFF, 0xD8]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    pool: Arc<ThreadPool>,
    level: Level,
    clock: fn() -> Duration,
}

impl Engine {
    /// An engine on the caller's pool, at the best SIMD level of this CPU (see [`kernel::detect`]).
    pub fn new(pool: Arc<ThreadPool>) -> Self {
        Self { pool, level: kernel::detect(), clock: || Duration::ZERO }
    }

    /// The same engine at another SIMD level. The bytes it makes stay the same.
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The same engine with a clock, from any origin. The engine reads it only to tell how long stages took, and to notice
    /// frames that took longer than their session allows or came near its deadline; without one it has no notion of time but the caller's arguments.
    pub fn with_clock(mut self, clock: fn() -> Duration) -> Self {
        self.clock = clock;
        self
    }

    /// The SIMD level in use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The caller's pool.
    pub fn pool(&self) -> &Arc<ThreadPool> {
        &self.pool
    }

    /// Encoders for single frames.
    pub fn coder(&self) -> Coder {
        Coder::new(Arc::clone(&self.pool), self.level, self.clock)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// As [`SessionConfig::validate`].
    pub fn session(&self, config: SessionConfig) -> Result<Session> {
        Session::new(self.coder(), config)
    }
}
