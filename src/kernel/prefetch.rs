//! Memory that will be read soon, asked for while there is something else to do.

use std::ops::Range;

/// Bytes of a cache line, or of several.
const LINE: usize = 64;

/// Has the cache lines of a range brought near, where the processor takes such hints. Nothing else comes of it; what lies
/// outside of `bytes` is left out.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8], range: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    for byte in range.step_by(LINE).filter_map(|at| bytes.get(at)) {
        safe_arch::prefetch_t1(byte);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, range, LINE);
}
