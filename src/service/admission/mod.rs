//! How much may be in the house at once, in bytes: what is received takes its share as it arrives, and holds it until it is
//! answered. Shares are taken of the whole, of the connection and of the caller.
//!
//! Where the whole runs short, messages that aren't whole yet are given up: first what has been lying half-sent for longest, then
//! what holds most. So a caller who sends goes before one who only occupies, and one who needs little before one who takes all. A
//! quarter of the whole is for connections that hold little: those that took all the rest don't keep them waiting.

mod answer;
mod chatter;
mod config;
mod delay;
mod framing;
mod intake;
mod meter;
mod parked;
mod room;
mod valve;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use answer::follow_readers;
pub use config::Admission;
pub(crate) use delay::{Delay, Shed};
pub(crate) use intake::Intake;
use intake::Unfinished;
pub(crate) use meter::meter;
pub(crate) use room::{Pool, Room};
pub(crate) use valve::{Valve, Valved};

use crate::service::refusal::Refusal;

/// Bytes are counted in steps of this many, rounded up.
pub(crate) const STEP_BYTES: usize = 1024;
/// Time a half-sent message has made no progress before it may be given up for another.
const IDLE: Duration = Duration::from_millis(250);
/// Time between two messages that are given up, so that the first one's room is seen before a second goes.
const SHED_PAUSE: Duration = Duration::from_millis(10);
/// Part of the whole that is kept for connections that hold little, and the part of that which each of them may hold at most.
const SMALL_PART: usize = 4;
const SMALL_HOLDERS: usize = 64;
/// Callers remembered before those who have gone are looked for.
const MIN_SWEEP: usize = 64;

/// What limits all callers, and who holds how much.
#[derive(Debug)]
pub(crate) struct Budgets {
    config: Admission,
    /// What all take from, and what is kept for those who hold little.
    whole: Pool,
    small: Pool,
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
        let (whole, small) = Pool::new("all callers", mib).apart(SMALL_PART);
        Self {
            config,
            whole,
            small,
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
        self.sessions.take(bytes.div_ceil(STEP_BYTES)).map_err(|_| {
            let (taken, total) = (self.session_bytes(), self.sessions.total_bytes());
            Refusal::busy(format!("a session of {bytes} bytes has no room: {taken} of {total} are taken by others"))
        })
    }

    /// Bytes that open sessions have taken for themselves.
    pub(crate) fn session_bytes(&self) -> usize {
        self.sessions.taken_bytes()
    }

    /// What a request from `caller` over `connection` takes its bytes from. `cuts` end its call, and its connection.
    pub(crate) fn intake(
        self: &Arc<Self>,
        connection: Option<&Pool>,
        caller: Option<&str>,
        cuts: [CancellationToken; 2],
    ) -> Arc<Intake> {
        let caller = caller.map(|name| self.caller(name));
        let mut intakes = self.intakes();
        let id = intakes.next;
        intakes.next += 1;
        let intake = Arc::new(Intake::new(id, Arc::clone(self), [connection.cloned(), caller], cuts));
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
            Some(steps) => fresh.of(steps),
            None => {
                callers.insert(name.to_owned(), Arc::downgrade(fresh.steps()));
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
        self.whole.taken_bytes() + self.small.taken_bytes()
    }

    /// Whether a connection holds so little that there is room kept for it.
    fn is_small(&self, connection: &Pool) -> bool {
        connection.taken_bytes() <= self.small.total_bytes() / SMALL_HOLDERS
    }

    /// Whether so much is in flight that what isn't whole is better kept in small pieces.
    fn is_under_pressure(&self) -> bool {
        self.whole.taken_bytes() > self.whole.total_bytes() / 16
    }

    /// Whether less than a tenth is left.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.whole.taken_bytes() > self.whole.total_bytes() / 10 * 9
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
        let budgets = budgets(4);
        let intake = budgets.intake(None, None, Default::default());
        let first = intake.admit(3_000_000).unwrap();
        let refusal = intake.admit(200_000).unwrap_err();
        assert_eq!(refusal.code, tonic::Code::ResourceExhausted);
        assert!(refusal.retry_after.is_some() && refusal.message.contains("3145728"), "{refusal:?}");
        assert!(budgets.is_nearly_full());
        drop(first);
        assert_eq!(budgets.bytes_in_flight(), 0);
        assert!(intake.admit(3 << 20).is_ok());
        assert!(intake.admit(usize::MAX).is_err());
    }

    #[tokio::test]
    async fn there_is_room_for_those_who_hold_little() {
        let budgets = Arc::new(Budgets::new(64, 1, Admission { room_ms: 10, ..Admission::default() }));
        let connections = [budgets.connection(), budgets.connection()];
        let [large, small] = connections.each_ref().map(|it| budgets.intake(Some(it), None, Default::default()));
        let most = large.admit(48 << 20).unwrap();
        assert!(large.admit(1 << 10).is_err(), "it holds much");
        let little = small.admit(200 << 10).unwrap();
        assert!(small.admit(100 << 10).is_err(), "it would no longer hold little");
        let more = Arc::clone(&small).take_in_time(40).await.unwrap();
        assert_eq!(budgets.bytes_in_flight(), (48 << 20) + (240 << 10));
        // What was taken from either part goes back to where it came from.
        drop(most);
        let mut both = small.admit(1 << 20).unwrap();
        both.merge(more);
        both.merge(little);
        drop(both.split_bytes(300 << 10));
        assert_eq!(budgets.bytes_in_flight(), (1 << 20) - (60 << 10));
        drop(both);
        assert_eq!((budgets.whole.taken_bytes(), budgets.small.taken_bytes()), (0, 0));
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
