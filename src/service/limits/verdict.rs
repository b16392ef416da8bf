//! What a limiter says of a call.

use std::time::Duration;

/// Whether a call may go on, and how the window stands that is nearest to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    /// Calls the window may hold.
    pub(crate) limit: u32,
    /// Calls it has room for, after this one.
    pub(crate) remaining: u32,
    /// Time until the oldest call leaves it.
    pub(crate) reset: Duration,
    /// Time after which the call would be allowed; zero where it is.
    pub(crate) retry_after: Duration,
    /// Which key's window it is, in the order they were given.
    pub(crate) key: usize,
}

/// How one window stands before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) key: usize,
    pub(crate) limit: u32,
    /// Calls within it.
    pub(crate) count: u32,
    /// Time until its oldest call leaves, ms.
    pub(crate) reset_ms: u64,
}

/// Joins how all windows of a call stand: it is allowed where each has room. None where there are none.
pub(crate) fn judge(standings: impl Iterator<Item = Standing> + Clone) -> Option<Verdict> {
    let allowed = standings.clone().all(|standing| standing.count < standing.limit);
    let room = |standing: &Standing| standing.limit.saturating_sub(standing.count);
    // Of those that refuse, the one that does so for longest.
    let tightest = if allowed {
        standings.min_by_key(room)?
    } else {
        standings.filter(|standing| room(standing) == 0).max_by_key(|standing| standing.reset_ms)?
    };
    let reset = Duration::from_millis(tightest.reset_ms);
    Some(Verdict {
        allowed,
        limit: tightest.limit,
        remaining: room(&tightest).saturating_sub(1),
        reset,
        retry_after: if allowed { Duration::ZERO } else { reset },
        key: tightest.key,
    })
}
