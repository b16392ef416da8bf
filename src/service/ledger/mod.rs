//! Usage that lasts: what each session and each caller's single frames have done, written down by a task of its own, and what
//! callers have set.
//!
//! A stream hands its records over and never waits. They are written in batches; while the store is down they wait, up to a
//! bound, and what comes beyond it is lost and counted.

mod backoff;
mod calls;
mod config;
pub(crate) mod date;
mod embedded;
mod month;
mod postgres;
mod record;
mod settings;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tonic::Code;

use calls::Calls;
pub(crate) use calls::Outcome;
pub use config::StoreConfig;
use month::Month;
#[cfg(test)]
pub(crate) use record::Sums;
pub(crate) use record::{Query, Record, Row, Tally, day_of, now_ms};
pub(crate) use settings::Settings;
use store::{Store, StoreError};

use crate::service::random;
use crate::service::refusal::Refusal;
use crate::service::telemetry::Telemetry;

/// Records written at once.
const BATCH: usize = 512;
/// Time that the start of a server waits for the store's file. After a crash on a busy disk it may take longer: what was written is
/// then told later, and what is to be written waits.
const OPEN: Duration = Duration::from_millis(500);
/// Time between two looks at what other instances have written.
const REFRESH: Duration = Duration::from_secs(30);

/// The ledger of a server.
pub(crate) struct Ledger {
    store: Arc<Store>,
    /// None once the server has closed it.
    queue: Mutex<Option<mpsc::Sender<Record>>>,
    capacity: usize,
    writer: Mutex<Option<JoinHandle<()>>>,
    settings: RwLock<HashMap<String, Settings>>,
    month: Mutex<Month>,
    calls: Mutex<Calls>,
    telemetry: Arc<Telemetry>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("store", &self.store.name()).finish()
    }
}

impl Ledger {
    /// Opens the store and starts its writer. A database that is down is no error, nor is a file that takes long to open: what they know
    /// is learnt when they are there.
    ///
    /// # Errors
    /// In words: a directory that can't be used.
    pub(crate) async fn open(config: &StoreConfig, telemetry: &Arc<Telemetry>) -> Result<Arc<Self>, String> {
        let store = Arc::new(Store::open(config)?);
        let is_open = match timeout_at(Instant::now() + OPEN, store.opened()).await {
            Ok(opened) => opened.map(|()| true)?,
            Err(_) => false,
        };
        let (queue, records) = mpsc::channel(config.queue_records as usize);
        let writer = tokio::spawn(write(records, Arc::clone(&store), Arc::clone(telemetry)));
        let this = Arc::new(Self {
            store,
            capacity: queue.max_capacity(),
            queue: Mutex::new(Some(queue)),
            writer: Mutex::new(Some(writer)),
            settings: RwLock::default(),
            month: Mutex::default(),
            calls: Mutex::default(),
            telemetry: Arc::clone(telemetry),
        });
        let (ledger, pause) = (Arc::downgrade(&this), Duration::from_millis(config.checkpoint_ms.into()));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(ledger) = ledger.upgrade() else { return };
                ledger.write_down_calls();
            }
        });
        if this.store.is_shared() {
            // Nobody waits for a database that may be far away, or down.
            let ledger = Arc::downgrade(&this);
            tokio::spawn(async move {
                while let Some(ledger) = ledger.upgrade() {
                    if let Err(error) = ledger.refresh().await {
                        tracing::warn!(%error, "settings and usage couldn't be read");
                    }
                    drop(ledger);
                    tokio::time::sleep(REFRESH).await;
                }
            });
        } else if is_open {
            this.refresh().await.map_err(|error| error.to_string())?;
        } else {
            tracing::warn!("the store takes long to open: usage and settings are told when it has");
            tokio::spawn(late(Arc::downgrade(&this), Arc::clone(&this.store)));
        }
        Ok(this)
    }

    /// Learns what the store knows.
    async fn refresh(&self) -> Result<(), StoreError> {
        let settings = self.store.settings().await?;
        let has_budget = settings.iter().filter(|(_, settings)| settings.monthly_bytes.is_some());
        let callers = has_budget.map(|(caller, _)| caller.clone()).collect();
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        self.learn_month(callers).await?;
        lock(&self.month).keep(|caller| self.settings(caller).monthly_bytes.is_some());
        Ok(())
    }

    /// Learns what the store knows of the month of callers with a budget, and counts it from now on.
    async fn learn_month(&self, callers: Vec<String>) -> Result<(), StoreError> {
        if callers.is_empty() {
            return Ok(());
        }
        lock(&self.month).learn(callers.iter().map(|caller| (caller.clone(), 0)));
        let sums = self.store.bytes_out(Month::begins(), callers).await?;
        lock(&self.month).learn(sums);
        Ok(())
    }

    /// Hands a record over to be written.
    pub(crate) fn note(&self, record: Record) {
        lock(&self.month).add(&record.caller, record.bytes_out);
        self.hand_over(record);
    }

    /// Counts a frame that came without a session. What isn't written down yet is lost where the process is killed: at most
    /// what came within `checkpoint_ms`.
    pub(crate) fn count(&self, caller: &Arc<str>, outcome: Outcome<'_>) {
        if let Outcome::Packet(info) = outcome {
            lock(&self.month).add(caller, info.compressed_bytes as u64);
        }
        let full = lock(&self.calls).count(caller, outcome);
        full.into_iter().for_each(|record| self.hand_over(record));
    }

    fn write_down_calls(&self) {
        let sums = lock(&self.calls).take();
        sums.into_iter().for_each(|record| self.hand_over(record));
    }

    fn hand_over(&self, record: Record) {
        let handed = lock(&self.queue).as_ref().is_some_and(|queue| queue.try_send(record).is_ok());
        if !handed {
            self.telemetry.ledger_lost(1);
        }
    }

    /// Records that wait to be written, without the batch that is being written.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.queue).as_ref().map_or(0, |queue| self.capacity - queue.capacity())
    }

    /// Usage by day and caller.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is down.
    pub(crate) async fn usage(&self, query: &Query) -> Result<Vec<Row>, Refusal> {
        self.store.usage(query).await.map_err(|error| unavailable(&error))
    }

    /// A caller's settings; the defaults where it has none.
    pub(crate) fn settings(&self, caller: &str) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).get(caller).cloned().unwrap_or_default()
    }

    /// Sets a caller's settings.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the store is down; they are then as they were, or what was used before isn't known yet.
    pub(crate) async fn put_settings(&self, caller: &str, settings: Settings) -> Result<(), Refusal> {
        self.store.put_settings(caller, &settings).await.map_err(|error| unavailable(&error))?;
        let has_budget = settings.monthly_bytes.is_some();
        self.settings.write().unwrap_or_else(PoisonError::into_inner).insert(caller.to_owned(), settings);
        let callers = if has_budget { vec![caller.to_owned()] } else { Vec::new() };
        self.learn_month(callers).await.map_err(|error| unavailable(&error))
    }

    /// Refuses a session or a frame whose caller has used this month's bytes.
    pub(crate) fn check_budget(&self, caller: &str, settings: &Settings) -> Result<(), Refusal> {
        let Some(budget) = settings.monthly_bytes else { return Ok(()) };
        let used = lock(&self.month).used(caller);
        if used < budget {
            return Ok(());
        }
        let told = format!("{used} bytes of packets were sent this month, of {budget} that may be");
        Err(Refusal::new(Code::ResourceExhausted, told))
    }

    /// Writes down what waits, until `until` at the latest; what comes later is lost.
    pub(crate) async fn close(&self, until: Instant) {
        self.write_down_calls();
        drop(lock(&self.queue).take());
        let Some(writer) = lock(&self.writer).take() else { return };
        let stop = writer.abort_handle();
        if timeout_at(until, writer).await.is_err() {
            stop.abort();
            tracing::error!("the ledger wasn't written to its end: its store is down");
        }
        self.store.close();
    }
}

/// Learns what a store knows that takes long to open.
async fn late(ledger: Weak<Ledger>, store: Arc<Store>) {
    let opened = store.opened().await;
    let Some(ledger) = ledger.upgrade() else { return };
    let learnt = match opened {
        Ok(()) => ledger.refresh().await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    match learnt {
        Ok(()) => tracing::info!("the store is open"),
        Err(error) => tracing::error!(error, "the store can't be opened: usage is lost"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "the store failed");
    let code = if matches!(error, StoreError::Refused(_)) { Code::Internal } else { Code::Unavailable };
    Refusal {
        retry_after: Some(Duration::from_secs(1)),
        ..Refusal::new(code, "the store of usage and settings can't be reached")
    }
}

/// Writes records as they come, until nobody can hand any over.
async fn write(mut records: mpsc::Receiver<Record>, store: Arc<Store>, telemetry: Arc<Telemetry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while records.recv_many(&mut batch, BATCH).await > 0 {
        if write_batch(&batch, &store, &telemetry).await.is_err() {
            // One of them is at fault: the others aren't.
            for record in &batch {
                if let Err(error) = write_batch(std::slice::from_ref(record), &store, &telemetry).await {
                    tracing::error!(%error, session = record.session, "a record is refused by the store");
                    telemetry.ledger_lost(1);
                }
            }
        }
        batch.clear();
    }
}

/// Writes a batch, for as long as it takes.
///
/// # Errors
/// Where the store refuses it for good.
async fn write_batch(batch: &[Record], store: &Store, telemetry: &Telemetry) -> Result<(), StoreError> {
    for attempt in 0.. {
        match store.append(batch).await {
            Ok(()) => {
                telemetry.ledger_written(batch.len() as u64);
                if attempt > 0 {
                    tracing::info!(attempt, "the store is back");
                }
                return Ok(());
            }
            Err(error @ StoreError::Refused(_)) => return Err(error),
            Err(error) => {
                if attempt == 0 {
                    tracing::warn!(%error, "usage can't be written: it waits");
                }
                telemetry.ledger_failed();
                tokio::time::sleep(backoff::wait(attempt, random::unit())).await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::record::tests::record;
    use super::*;

    #[tokio::test]
    async fn usage_is_summed_and_budgets_are_kept() {
        let telemetry = Arc::default();
        let ledger = Ledger::open(&StoreConfig::default(), &telemetry).await.unwrap();
        let settings = Settings { monthly_bytes: Some(250), ..Settings::default() };
        ledger.put_settings("ann", settings.clone()).await.unwrap();
        assert_eq!((ledger.settings("ann"), ledger.settings("bob")), (settings.clone(), Settings::default()));
        for session in 0..3 {
            assert!(ledger.check_budget("ann", &settings).is_ok(), "{session}");
            ledger.note(record(&session.to_string(), "ann", now_ms()));
        }
        let refusal = ledger.check_budget("ann", &settings).unwrap_err();
        assert!(refusal.message.contains("300") && refusal.message.contains("250"), "{refusal:?}");
        assert!(ledger.check_budget("bob", &settings).is_ok());
        ledger.close(Instant::now() + Duration::from_secs(10)).await;
        let all = Query { from: 0, to: u32::MAX, caller: None };
        let rows = ledger.usage(&all).await.unwrap();
        assert_eq!((rows.len(), rows[0].sums.sessions, rows[0].sums.bytes_out), (1, 3, 300));
        ledger.note(record("late", "ann", now_ms()));
        assert_eq!(ledger.usage(&all).await.unwrap(), rows, "what comes after the end is lost, and counted");
    }

    #[tokio::test]
    async fn beyond_the_bound_records_are_lost_and_no_sender_waits() {
        let telemetry: Arc<Telemetry> = Arc::default();
        // Nobody listens there.
        let url = Some("postgres://nobody@127.0.0.1:1/none".to_owned());
        let config = StoreConfig { database_url: url, queue_records: 1_000, ..StoreConfig::default() };
        let ledger = Ledger::open(&config, &telemetry).await.unwrap();
        for session in 0..5_000 {
            ledger.note(record(&session.to_string(), "ann", now_ms()));
        }
        assert_eq!(ledger.waiting(), 1_000);
        assert_eq!(telemetry.ledger_lost_so_far(), 4_000);
    }
}
