//! The bytes of one request, from their arrival until they are answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{Budgets, Pool, Room, STEP_BYTES};
use crate::service::refusal::Refusal;

/// Time between two looks at whether room can be made.
const RETRY: Duration = Duration::from_millis(20);

/// A request's share. What was received of it is held here until it is handed over with a picture, or let go.
#[derive(Debug)]
pub(crate) struct Intake {
    id: u64,
    budgets: Arc<Budgets>,
    connection: Option<Pool>,
    caller: Option<Pool>,
    held: Mutex<Held>,
    given_up: AtomicBool,
    /// Who reads it, and is to learn that it was given up.
    reader: Mutex<Option<Waker>>,
    /// Whether it is us who keep it from going on, for want of room.
    waits: AtomicBool,
    /// What ends it: its call first, and where that is of no use its connection.
    cuts: [CancellationToken; 2],
}

/// A message that isn't whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfinished {
    pub(super) bytes: usize,
    /// When the last of it arrived.
    pub(super) since: Instant,
    /// Whether it is us who keep it from going on.
    pub(super) waits: bool,
}

#[derive(Debug, Default)]
struct Held {
    room: Room,
    /// Room of what is to be sent back; it goes with it.
    owed: Room,
    /// Pieces of it that the transport has and hasn't written, and since when it has written none.
    unsent: usize,
    unsent_since: Option<Instant>,
    /// Bytes held for, of which so many belong to a message that isn't whole.
    bytes: usize,
    partial: usize,
    /// When the last of them arrived.
    progress: Option<Instant>,
    /// What the receiving of it was refused with.
    refusal: Option<Refusal>,
}

fn steps(bytes: usize) -> usize {
    bytes.div_ceil(STEP_BYTES)
}

impl Intake {
    /// Of a `connection` and of a caller, where they have bounds of their own.
    pub(super) fn new(
        id: u64,
        budgets: Arc<Budgets>,
        [connection, caller]: [Option<Pool>; 2],
        cuts: [CancellationToken; 2],
    ) -> Self {
        Self {
            id,
            budgets,
            connection,
            caller,
            held: Mutex::default(),
            given_up: AtomicBool::new(false),
            reader: Mutex::default(),
            waits: AtomicBool::new(false),
            cuts,
        }
    }

    /// Takes room for a picture of `bytes`: that of the message it came in, and more where that isn't enough.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is none.
    pub(crate) fn admit(&self, bytes: usize) -> Result<Room, Refusal> {
        let wanted = steps(bytes);
        let mut room = {
            let mut held = self.held();
            let whole = steps(held.bytes).saturating_sub(steps(held.partial));
            let taken = held.room.split(wanted.min(whole));
            held.bytes = held.bytes.saturating_sub(taken.steps * STEP_BYTES).max(held.partial);
            taken
        };
        if room.steps < wanted {
            room.merge(self.take(wanted - room.steps)?);
        }
        Ok(room)
    }

    /// Takes room for an answer of `bytes`, held until it was sent.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is none.
    pub(crate) fn keep(&self, bytes: usize) -> Result<(), Refusal> {
        self.owe(self.take(steps(bytes))?);
        Ok(())
    }

    /// Room for an answer of `bytes`: of the `room` that its frame has had, and more where that isn't enough.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where there is none.
    pub(crate) fn convert(&self, room: &mut Room, bytes: usize) -> Result<Room, Refusal> {
        let wanted = steps(bytes);
        let mut own = room.split(wanted);
        if own.steps < wanted {
            own.merge(self.take(wanted - own.steps)?);
        }
        Ok(own)
    }

    /// Holds the room of an answer until it was sent.
    pub(crate) fn owe(&self, room: Room) {
        self.held().owed.merge(room);
    }

    /// Hands over the room of the next `bytes` that are sent.
    pub(super) fn pay(&self, bytes: usize) -> Room {
        self.held().owed.split(steps(bytes))
    }

    /// Takes note of a piece that the transport has.
    pub(super) fn piece_given(&self) {
        let mut held = self.held();
        held.unsent += 1;
        held.unsent_since.get_or_insert_with(Instant::now);
    }

    /// Takes note of a piece that it has written, or given up.
    pub(super) fn piece_gone(&self) {
        let mut held = self.held();
        held.unsent = held.unsent.saturating_sub(1);
        held.unsent_since = (held.unsent > 0).then(Instant::now);
    }

    /// Ends the call where its reader has taken nothing for as long as `stall`, and the connection where that hasn't helped.
    /// Whether it has.
    pub(super) fn cut_where_stalled(&self, stall: Duration) -> bool {
        let mut held = self.held();
        if held.unsent_since.is_none_or(|since| since.elapsed() < stall) {
            return false;
        }
        held.unsent_since = Some(Instant::now());
        drop(held);
        let [call, connection] = &self.cuts;
        if call.is_cancelled() {
            connection.cancel()
        } else {
            call.cancel()
        }
        true
    }

    /// What the receiving of it was refused with, if it was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.held().refusal.clone()
    }

    pub(super) fn refuse(&self, refusal: Refusal) -> Refusal {
        self.held().refusal = Some(refusal.clone());
        refusal
    }

    /// Takes note of `bytes` more that have arrived, `partial` of all being of a message that isn't whole. Gives the steps that
    /// room has yet to be taken for.
    pub(super) fn receive(&self, bytes: usize, partial: usize) -> usize {
        let mut held = self.held();
        held.bytes += bytes;
        held.partial = partial;
        held.progress = Some(Instant::now());
        steps(held.bytes).saturating_sub(held.room.steps)
    }

    /// Adds room for what has arrived.
    pub(super) fn hold(&self, room: Room) {
        self.held().room.merge(room);
    }

    /// Lets go of whole messages: they have been taken out, or nobody wants them.
    pub(crate) fn settle(&self) {
        let mut held = self.held();
        held.bytes = held.partial;
        let over = held.room.steps.saturating_sub(steps(held.bytes));
        drop(held.room.split(over));
    }

    /// Room in every pool, at once.
    ///
    /// # Errors
    /// The pool that has none.
    pub(super) fn take(&self, steps: usize) -> Result<Room, Refusal> {
        let mut own = Vec::with_capacity(2);
        for pool in self.own() {
            own.push(pool.permit(steps)?);
        }
        let common = self.budgets.whole.permit(steps).or_else(|refusal| self.small(steps).ok_or(refusal))?;
        Ok(Room { own, common: vec![common], steps })
    }

    /// The bounds that aren't all callers'.
    fn own(&self) -> impl Iterator<Item = &Pool> {
        self.connection.iter().chain(&self.caller)
    }

    /// Room of what is kept for those who hold little, as this connection does with it.
    fn small(&self, steps: usize) -> Option<OwnedSemaphorePermit> {
        let is_small = self.connection.as_ref().is_some_and(|connection| self.budgets.is_small(connection));
        if is_small { self.budgets.small.permit(steps).ok() } else { None }
    }

    /// Room in every pool, waited for: where the whole runs short, what others have left half-sent is given up.
    ///
    /// # Errors
    /// The pool that had none for too long.
    pub(super) async fn take_in_time(self: Arc<Self>, steps: usize) -> Result<Room, Refusal> {
        let until = tokio::time::Instant::now() + Duration::from_millis(self.budgets.config.room_ms.into());
        self.waits.store(true, Ordering::Relaxed);
        let taken = self.take_until(steps, until).await;
        self.waits.store(false, Ordering::Relaxed);
        taken
    }

    async fn take_until(&self, steps: usize, until: tokio::time::Instant) -> Result<Room, Refusal> {
        let mut own = Vec::with_capacity(2);
        for pool in self.own() {
            own.push(self.wait_for(pool, steps, until).await?);
        }
        // The whole comes last: who waits for it holds nothing of it.
        let common = match self.small(steps) {
            Some(room) => room,
            None => self.wait_for(&self.budgets.whole, steps, until).await?,
        };
        Ok(Room { own, common: vec![common], steps })
    }

    /// Waits for room in a pool, in turn.
    async fn wait_for(
        &self,
        pool: &Pool,
        steps: usize,
        until: tokio::time::Instant,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        let count = u32::try_from(steps).unwrap_or(u32::MAX);
        let mut turn = std::pin::pin!(Arc::clone(pool.steps()).acquire_many_owned(count));
        let is_whole = Arc::ptr_eq(pool.steps(), self.budgets.whole.steps());
        loop {
            let retry = (tokio::time::Instant::now() + RETRY).min(until);
            match tokio::time::timeout_at(retry, turn.as_mut()).await {
                Ok(taken) => return taken.map_err(|_| pool.refusal()),
                Err(_) if tokio::time::Instant::now() >= until => return Err(pool.refusal()),
                Err(_) if self.is_given_up() => return Err(pool.refusal()),
                Err(_) if is_whole => match self.small(steps) {
                    Some(room) => return Ok(room),
                    None => self.budgets.shed(self),
                },
                Err(_) => {}
            }
        }
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// The message that isn't whole, if there is one.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        let held = self.held();
        let since = held.progress.filter(|_| held.partial > 0 && !self.is_given_up())?;
        Some(Unfinished { bytes: held.partial, since, waits: self.waits.load(Ordering::Relaxed) })
    }

    /// Asks the request's reader to end it.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether it was given up; if not, its reader is woken when it is.
    pub(super) fn poll_given_up(&self, context: &Context<'_>) -> bool {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if !reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            *reader = Some(context.waker().clone());
        }
        // After the waker is there: whoever gives it up takes that afterwards.
        drop(reader);
        self.is_given_up()
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    pub(crate) fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.budgets.forget(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::admission::Admission;

    fn intake() -> (Arc<Budgets>, Arc<Intake>) {
        let budgets = Arc::new(Budgets::new(2, 1, Admission { room_ms: 50, ..Admission::default() }));
        let intake = budgets.intake(None, None, Default::default());
        (budgets, intake)
    }

    fn arrive(intake: &Intake, bytes: usize, partial: usize) {
        let steps = intake.receive(bytes, partial);
        intake.hold(intake.take(steps).unwrap());
    }

    #[test]
    fn a_picture_takes_over_the_room_of_its_message() {
        let (budgets, intake) = intake();
        for _ in 0..10 {
            arrive(&intake, 60_000, 60_000);
        }
        arrive(&intake, 12, 0);
        let received = budgets.bytes_in_flight();
        assert_eq!(received, 586 * 1024);
        let room = intake.admit(600_000).unwrap();
        assert_eq!(budgets.bytes_in_flight(), received, "there isn't room for both, and needn't be");
        intake.settle();
        assert_eq!(budgets.bytes_in_flight(), received);
        // The next message arrives meanwhile, and its beginning stays counted.
        arrive(&intake, 300_000, 300_000);
        drop(room);
        assert_eq!(budgets.bytes_in_flight(), 293 * 1024);
        drop(intake);
        assert_eq!(budgets.bytes_in_flight(), 0);
    }

    #[test]
    fn a_packet_takes_the_room_of_its_frame_until_it_is_sent() {
        let (budgets, intake) = intake();
        let mut frame = intake.admit(600_000).unwrap();
        let packet = intake.convert(&mut frame, 100_000).unwrap();
        drop(frame);
        assert_eq!(budgets.bytes_in_flight(), 98 * 1024);
        intake.owe(packet);
        // As gRPC frames it, in two pieces.
        let first = intake.pay(65_536);
        let second = intake.pay(34_500);
        drop(first);
        assert_eq!(budgets.bytes_in_flight(), 34 * 1024);
        drop(second);
        assert_eq!(budgets.bytes_in_flight(), 0);
        let larger = intake.convert(&mut Room::default(), 3 << 19).unwrap();
        assert!(intake.convert(&mut Room::default(), 1).is_err(), "the rest is for those who hold little");
        drop(larger);
    }

    #[test]
    fn who_takes_nothing_loses_the_call_and_then_the_connection() {
        let budgets = Arc::new(Budgets::new(1, 1, Admission::default()));
        let cuts: [CancellationToken; 2] = Default::default();
        let intake = budgets.intake(None, None, cuts.clone());
        let are_cut = || cuts.each_ref().map(CancellationToken::is_cancelled);
        assert!(!intake.cut_where_stalled(Duration::ZERO), "nothing waits");
        intake.piece_given();
        intake.piece_given();
        assert!(!intake.cut_where_stalled(Duration::from_secs(600)));
        intake.piece_gone();
        assert_eq!(budgets.cut_stalled(Duration::ZERO), 1);
        assert_eq!(are_cut(), [true, false]);
        assert_eq!(budgets.cut_stalled(Duration::ZERO), 1);
        assert_eq!(are_cut(), [true, true]);
        intake.piece_gone();
        assert_eq!(budgets.cut_stalled(Duration::ZERO), 0);
    }

    #[test]
    fn single_bytes_are_not_counted_as_steps() {
        let (budgets, intake) = intake();
        for bytes in 1..=5_000 {
            arrive(&intake, 1, bytes);
        }
        assert_eq!(budgets.bytes_in_flight(), 5 * 1024);
        intake.receive(1, 0);
        intake.settle();
        assert_eq!(budgets.bytes_in_flight(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_or_is_told() {
        let (budgets, intake) = intake();
        let held = intake.admit(3 << 19).unwrap();
        let refusal = Arc::clone(&intake).take_in_time(1).await.unwrap_err();
        assert!(refusal.message.contains("all callers"), "{refusal:?}");
        let waiting = tokio::spawn(Arc::clone(&intake).take_in_time(1_024));
        tokio::task::yield_now().await;
        drop(held);
        drop(waiting.await.unwrap().unwrap());
        assert_eq!(budgets.bytes_in_flight(), 0);
    }
}
