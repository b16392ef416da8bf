//! Frames that codecs can't stand, for tests: what they begin with says what happens.

use rayon::ThreadPool;

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::frame::Frame;

/// Has the codec panic on a thread of the pool.
pub(crate) const PANICS: &[u8] = b"panics";
/// Has every codec but the lossless one fail.
pub(crate) const FAILS: &[u8] = b"fails.";

/// Does what `frame` says.
pub(crate) fn provoke(frame: &Frame<'_>, codec: Codec, pool: &ThreadPool) -> Result<()> {
    let row = frame.plane(0).row(0);
    if row.starts_with(PANICS) {
        // As a panic does it, but for what is printed.
        pool.install(|| std::panic::resume_unwind(Box::new("on purpose")));
    }
    if row.starts_with(FAILS) && codec != Codec::Lossless {
        return Err(Error::Internal { what: "codec", detail: "on purpose".to_owned() });
    }
    Ok(())
}
