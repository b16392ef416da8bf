//! What usage and settings are kept in, whichever it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::config::StoreConfig;
use super::embedded::Embedded;
use super::postgres::Postgres;
use super::record::{Query, Record, Row, Sums};
use super::settings::Settings;

/// Days of callers that are kept in memory; the oldest days go first.
const MAX_ROWS: usize = 100_000;

/// Why a store didn't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It may do so later.
    #[error("the store can't be reached: {0}")]
    Unavailable(String),
    /// It never will.
    #[error("the store refuses it: {0}")]
    Refused(String),
}

/// A store.
pub(crate) enum Store {
    /// As long as the process.
    Memory(Mutex<Memory>),
    Embedded(Arc<Embedded>),
    Postgres(Box<Postgres>),
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    days: BTreeMap<(u32, String), Sums>,
    settings: HashMap<String, Settings>,
}

/// Runs what blocks on a thread for it.
async fn blocking<T: Send + 'static>(
    store: &Arc<Embedded>,
    work: impl FnOnce(&Embedded) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}

impl Store {
    /// Begins to open the configured store. PostgreSQL isn't connected to before it is used.
    ///
    /// # Errors
    /// In words: a URL that can't be read.
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, String> {
        match (&config.database_url, &config.path) {
            (Some(url), _) => Ok(Self::Postgres(Box::new(Postgres::new(url)?))),
            (None, Some(path)) => Ok(Self::Embedded(Embedded::begin(path)?)),
            (None, None) => Ok(Self::Memory(Mutex::default())),
        }
    }

    /// Ends when it can be used, or never will.
    ///
    /// # Errors
    /// In words: a directory that can't be used.
    pub(crate) async fn opened(&self) -> Result<(), String> {
        match self {
            Self::Embedded(store) => store.opened().await,
            Self::Memory(_) | Self::Postgres(_) => Ok(()),
        }
    }

    /// Writes records down for good; those that are there already stay as they are.
    pub(crate) async fn append(&self, records: &[Record]) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => {
                let mut memory = lock(memory);
                for record in records {
                    memory.days.entry((record.day(), record.caller.clone())).or_default().add(record);
                    if memory.days.len() > MAX_ROWS {
                        memory.days.pop_first();
                    }
                }
                Ok(())
            }
            Self::Embedded(store) => {
                let records = records.to_vec();
                blocking(store, move |store| store.append(&records)).await
            }
            Self::Postgres(store) => store.append(records).await,
        }
    }

    /// Usage by day and caller, in this order.
    pub(crate) async fn usage(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Memory(memory) => {
                let memory = lock(memory);
                let days = memory.days.range((query.from, String::new())..);
                let wanted = |caller: &String| query.caller.as_ref().is_none_or(|wanted| wanted == caller);
                let days = days.take_while(|((day, _), _)| *day <= query.to).filter(|((_, caller), _)| wanted(caller));
                Ok(days
                    .map(|((day, caller), sums)| Row { day: *day, caller: caller.clone(), sums: sums.clone() })
                    .collect())
            }
            Self::Embedded(store) => {
                let query = query.clone();
                blocking(store, move |store| store.usage(&query)).await
            }
            Self::Postgres(store) => store.usage(query).await,
        }
    }

    /// Bytes of packets of these callers from a day on. Callers who had none may be missing.
    pub(crate) async fn bytes_out(&self, from: u32, callers: Vec<String>) -> Result<HashMap<String, u64>, StoreError> {
        match self {
            Self::Memory(memory) => {
                let mut sums: HashMap<_, _> = callers.into_iter().map(|caller| (caller, 0)).collect();
                for ((_, caller), day) in lock(memory).days.range((from, String::new())..) {
                    if let Some(sum) = sums.get_mut(caller) {
                        *sum += day.bytes_out;
                    }
                }
                Ok(sums)
            }
            Self::Embedded(store) => blocking(store, move |store| store.bytes_out(from, callers)).await,
            Self::Postgres(store) => store.bytes_out(from, &callers).await,
        }
    }

    /// Everybody's settings.
    pub(crate) async fn settings(&self) -> Result<HashMap<String, Settings>, StoreError> {
        match self {
            Self::Memory(memory) => Ok(lock(memory).settings.clone()),
            Self::Embedded(store) => blocking(store, Embedded::settings).await,
            Self::Postgres(store) => store.settings().await,
        }
    }

    /// Sets a caller's settings.
    pub(crate) async fn put_settings(&self, caller: &str, settings: &Settings) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => {
                lock(memory).settings.insert(caller.to_owned(), settings.clone());
                Ok(())
            }
            Self::Embedded(store) => {
                let (caller, settings) = (caller.to_owned(), settings.clone());
                blocking(store, move |store| store.put_settings(&caller, &settings)).await
            }
            Self::Postgres(store) => store.put_settings(caller, settings).await,
        }
    }

    /// Takes and tells nothing more.
    pub(crate) fn close(&self) {
        if let Self::Embedded(store) = self {
            store.close();
        }
    }

    /// Whether others write to it too.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Embedded(_) => "embedded",
            Self::Postgres(_) => "postgresql",
        }
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
