//! How much may be in the house at once, in bytes: what is received takes its share as it arrives, and holds it until it is
//! answered. Shares are taken of the whole, of the connection and of the caller.
//!
//! Where the whole runs short, messages that aren't whole yet are given up: first what has been lying half-sent for longest, then
//! what holds most. So a caller who sends goes before one who only occupies, and one who needs little before one who takes all.

mod answer;
mod config;
mod delay;
mod framing;
mod intake;
mod meter;
mod parked;
mod valve;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub(crate) use answer::follow_readers;
pub use config::Admission;
pub(crate) use delay::{Delay, Shed};
pub(crate) use intake::Intake;
use intake::Unfinished;
pub(crate) use meter::meter;
pub(crate) use valve::{Valve, Valved};

use crate::service::refusal::Refusal;

/// Bytes are counted in steps of this many, rounded up.
pub(crate) const STEP_BYTES: usize = 1024;
const MIB_STEPS: usize = (1 << 20) / STEP_BYTES;
/// Time a half-sent message has made no progress before it may be given up for another.
const IDLE: Duration = Duration::from_millis(250);
/// Time between two messages that are given up, so that the first one's room is seen before a second goes.
const SHED_PAUSE: Duration = Duration::from_millis(10);
/// Callers remembered before those who have gone are looked for.
const MIN_SWEEP: usize = 64;

/// A bound on bytes.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    steps: Arc<Semaphore>,
    total: usize,
    name: &'static str,
}

impl Pool {
    pub(crate) fn new(name: &'static str, mib: u32) -> Self {
        let total = mib as usize * MIB_STEPS;
        Self { steps: Arc::new(Semaphore::new(total)), total, name }
    }

    fn refusal(&self) -> Refusal {
        let (total, name) = (self.total * STEP_BYTES, self.name);
        Refusal::busy(format!("the {total} bytes that may be in flight of {name} are taken"))
    }
}

/// A share of each pool, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    permits: Vec<OwnedSemaphorePermit>,
    steps: usize,
}

impl Room {
    /// Takes another's share over.
    fn merge(&mut self, mut other: Self) {
        if self.permits.is_empty() {
            std::mem::swap(self, &mut other);
            return;
        }
        self.steps += other.steps;
        for (mine, its) in self.permits.iter_mut().zip(other.permits) {
            mine.merge(its);
        }
    }

    /// Gives what `bytes` take away, so far as it is there.
    fn split_bytes(&mut self, bytes: usize) -> Self {
        self.split(bytes.div_ceil(STEP_BYTES))
    }

    /// Gives at most `steps` of it away.
    fn split(&mut self, steps: usize) -> Self {
        let steps = steps.min(self.steps);
        self.steps -= steps;
        let permits = self.permits.iter_mut().filter_map(|permit| permit.split(steps)).collect();
        Self { permits, steps }
    }
}

/// What limits all callers, and who holds how much.
#[derive(Debug)]
pub(crate) struct Budgets {
    config: Admission,
    whole: Pool,
    /// Memory of open sessions.
    sessions: Pool,
    callers: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// Requests that are being received.
    intakes: Mutex<Intakes>,
}

#[derive(Debug)]
struct Intakes {
    all: HashMap<u64, Weak<Intake>>,
    next: u64,
    last_shed: Option<Instant>,
}

impl Budgets {
    /// Room for `mib` mebibytes of all callers, and `session_mib` for what their sessions hold themselves.
    pub(crate) fn new(mib: u32, session_mib: u32, config: Admission) -> Self {
        Self {
            config,
            whole: Pool::new("all callers", mib),
            sessions: Pool::new("open sessions", session_mib),
            callers: Mutex::default(),
            intakes: Mutex::new(Intakes { all: HashMap::new(), next: 0, last_shed: None }),
        }
    }

    pub(crate) fn config(&self) -> &Admission {
        &self.config
    }

    /// A connection's own bound.
    pub(crate) fn connection(&self) -> Pool {
        Pool::new("this connection", self.config.connection_mib)
    }

    /// Room for a session's own memory.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where those that are open leave none.
    pub(crate) fn lodge(&self, bytes: usize) -> Result<Room, Refusal> {
        let steps = bytes.div_ceil(STEP_BYTES);
        let count = u32::try_from(steps).unwrap_or(u32::MAX);
        match Arc::clone(&self.sessions.steps).try_acquire_many_owned(count) {
            Ok(permit) => Ok(Room { permits: vec![permit], steps }),
            Err(_) => {
                let (taken, total) = (self.session_bytes(), self.sessions.total * STEP_BYTES);
                let told = format!("a session of {bytes} bytes has no room: {taken} of {total} are taken by others");
                Err(Refusal::busy(told))
            }
        }
    }

    /// Bytes that open sessions have taken for themselves.
    pub(crate) fn session_bytes(&self) -> usize {
        (self.sessions.total - self.sessions.steps.available_permits()) * STEP_BYTES
    }

    /// What a request from `caller` over `connection` takes its bytes from. `cuts` end its call, and its connection.
    pub(crate) fn intake(
        self: &Arc<Self>,
        connection: Option<&Pool>,
        caller: Option<&str>,
        cuts: [CancellationToken; 2],
    ) -> Arc<Intake> {
        let caller = caller.map(|name| self.caller(name));
        // The whole comes last: who waits for it holds nothing of it.
        let pools = [connection.cloned(), caller, Some(self.whole.clone())];
        let mut intakes = self.intakes();
        let id = intakes.next;
        intakes.next += 1;
        let intake = Arc::new(Intake::new(id, Arc::clone(self), pools.into_iter().flatten().collect(), cuts));
        intakes.all.insert(id, Arc::downgrade(&intake));
        intake
    }

    fn caller(&self, name: &str) -> Pool {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MIN_SWEEP && callers.len().is_power_of_two() {
            callers.retain(|_, pool| pool.strong_count() > 0);
        }
        let fresh = Pool::new("this caller", self.config.caller_mib);
        match callers.get(name).and_then(Weak::upgrade) {
            Some(steps) => Pool { steps, ..fresh },
            None => {
                callers.insert(name.to_owned(), Arc::downgrade(&fresh.steps));
                fresh
            }
        }
    }

    /// Gives up a message that isn't whole, so that `wanting` may go on: the one that has been lying half-sent for longest, or
    /// where none lies idle, the one that holds most, if that is more than `wanting` does.
    fn shed(&self, wanting: &Intake) {
        let now = Instant::now();
        {
            let mut intakes = self.intakes();
            if intakes.last_shed.is_some_and(|last| now.duration_since(last) < SHED_PAUSE) {
                return;
            }
            intakes.last_shed = Some(now);
        }
        let live = self.live();
        let mine = wanting.unfinished().map_or(0, |mine| mine.bytes);
        let others = live.iter().filter(|other| other.id() != wanting.id());
        let others: Vec<_> = others.filter_map(|other| Some((other.unfinished()?, other))).collect();
        let is_idle = |message: &Unfinished| !message.waits && now.saturating_duration_since(message.since) >= IDLE;
        let idle = others.iter().filter(|(message, _)| is_idle(message)).min_by_key(|(message, _)| message.since);
        let largest =
            || others.iter().filter(|(message, _)| message.bytes > mine).max_by_key(|(message, _)| message.bytes);
        if let Some((_, other)) = idle.or_else(largest) {
            other.give_up();
        }
    }

    /// Ends calls whose readers have taken nothing of what waits for them for as long as `stall`; how many.
    pub(crate) fn cut_stalled(&self, stall: Duration) -> usize {
        self.live().iter().filter(|intake| intake.cut_where_stalled(stall)).count()
    }

    /// Requests that are open. Whoever drops the last hold of one has it forgotten: not while the list is locked.
    fn live(&self) -> Vec<Arc<Intake>> {
        self.intakes().all.values().filter_map(Weak::upgrade).collect()
    }

    fn forget(&self, id: u64) {
        self.intakes().all.remove(&id);
    }

    fn intakes(&self) -> MutexGuard<'_, Intakes> {
        self.intakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes in flight.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        (self.whole.total - self.whole.steps.available_permits()) * STEP_BYTES
    }

    /// Whether so much is in flight that what isn't whole is better kept in small pieces.
    fn is_under_pressure(&self) -> bool {
        self.whole.steps.available_permits() < self.whole.total - self.whole.total / 16
    }

    /// Whether less than a tenth is left.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.whole.steps.available_permits() < self.whole.total / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(mib: u32) -> Arc<Budgets> {
        Arc::new(Budgets::new(mib, 1, Admission { connection_mib: 2, caller_mib: 3, ..Admission::default() }))
    }

    #[test]
    fn what_is_taken_comes_back() {
        let budgets = budgets(1);
        let intake = budgets.intake(None, None, Default::default());
        let first = intake.admit(1_000_000).unwrap();
        let refusal = intake.admit(100_000).unwrap_err();
        assert_eq!(refusal.code, tonic::Code::ResourceExhausted);
        assert!(refusal.retry_after.is_some() && refusal.message.contains("1048576"));
        assert!(budgets.is_nearly_full());
        drop(first);
        assert_eq!(budgets.bytes_in_flight(), 0);
        assert!(intake.admit(1 << 20).is_ok());
        assert!(intake.admit(usize::MAX).is_err());
    }

    #[test]
    fn connections_and_callers_have_bounds_of_their_own() {
        let budgets = budgets(64);
        let connections = [budgets.connection(), budgets.connection()];
        let one = budgets.intake(Some(&connections[0]), Some("ann"), Default::default());
        let two = budgets.intake(Some(&connections[1]), Some("ann"), Default::default());
        let other = budgets.intake(Some(&connections[1]), Some("bob"), Default::default());
        let held = one.admit(2 << 20).unwrap();
        assert!(one.admit(1).unwrap_err().message.contains("this connection"));
        let more = two.admit(1 << 20).unwrap();
        assert!(two.admit(1).unwrap_err().message.contains("this caller"));
        assert!(other.admit(1 << 20).is_ok());
        drop((held, more));
        assert_eq!(budgets.bytes_in_flight(), 0);
        assert!(two.admit(2 << 20).is_ok());
    }

    #[test]
    fn sessions_have_room_of_their_own() {
        let budgets = budgets(64);
        let held = budgets.lodge(700_000).unwrap();
        assert_eq!((budgets.session_bytes(), budgets.bytes_in_flight()), (684 * 1024, 0));
        let refusal = budgets.lodge(700_000).unwrap_err();
        assert!(refusal.code == tonic::Code::ResourceExhausted && refusal.message.contains("1048576"), "{refusal:?}");
        drop(held);
        assert!(budgets.lodge(1 << 20).is_ok());
        assert_eq!(budgets.session_bytes(), 0);
    }

    #[test]
    fn callers_and_requests_that_have_gone_are_forgotten() {
        let budgets = budgets(64);
        for caller in 0..10_000 {
            drop(budgets.intake(None, Some(&caller.to_string()), Default::default()));
        }
        assert!(budgets.callers.lock().unwrap().len() <= 2 * MIN_SWEEP);
        assert!(budgets.intakes().all.is_empty());
    }
}
