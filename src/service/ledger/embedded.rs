//! Usage in one file of a directory: records by time, their sums by day and caller beside them, in one transaction.
//!
//! It is opened on a thread of its own: a disk that has much to write keeps its callers waiting for as long as it likes.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::watch;

use super::record::{Query, Record, Row, Sums};
use super::settings::Settings;
use super::store::StoreError;

const FILE: &str = "ledger.redb";
/// By session and part; values are JSON.
const RECORDS: TableDefinition<'_, (&str, u32), &[u8]> = TableDefinition::new("records");
/// By day and caller; values are JSON.
const DAYS: TableDefinition<'_, (u32, &str), &[u8]> = TableDefinition::new("days");
/// By caller; values are JSON.
const SETTINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("settings");

/// A file, from its opening until it is closed.
pub(crate) struct Embedded {
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Opening,
    Open(Arc<Database>),
    /// Why it couldn't be opened.
    Failed(String),
    Closed,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedded")
    }
}

/// Disks fill up and are emptied again: what fails may succeed later.
fn later(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unavailable(error.into().to_string())
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Refused(error.to_string())
}

/// A change that says, when it is written, which parts of the file are in use: after a crash nobody has to read all of it to find out.
fn begin_change(database: &Database) -> Result<WriteTransaction, redb::TransactionError> {
    let mut change = database.begin_write()?;
    change.set_quick_repair(true);
    Ok(change)
}

fn has_tables(database: &Database) -> Result<bool, redb::Error> {
    Ok(database.begin_read()?.list_tables()?.count() == 3)
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    if has_tables(database)? {
        return Ok(());
    }
    let change = begin_change(database)?;
    change.open_table(RECORDS)?;
    change.open_table(DAYS)?;
    change.open_table(SETTINGS)?;
    change.commit()?;
    Ok(())
}

fn open(folder: &Path) -> Result<Database, String> {
    let told = |error: &dyn fmt::Display| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(|error| told(&error))?;
    let database = Database::create(folder.join(FILE)).map_err(|error| told(&error))?;
    make_tables(&database).map_err(|error| told(&error))?;
    Ok(database)
}

impl Embedded {
    /// Begins to open the store in `folder`, made where there is none.
    ///
    /// # Errors
    /// In words, where there can't be a thread for it.
    pub(crate) fn begin(folder: &Path) -> Result<Arc<Self>, String> {
        let folder = folder.to_owned();
        Self::begin_with(move || open(&folder))
    }

    fn begin_with(open: impl FnOnce() -> Result<Database, String> + Send + 'static) -> Result<Arc<Self>, String> {
        let this = Arc::new(Self { state: watch::Sender::new(State::Opening) });
        let opening = Arc::clone(&this);
        let work = move || {
            let opened = match open() {
                Ok(database) => State::Open(Arc::new(database)),
                Err(error) => State::Failed(error),
            };
            opening.state.send_if_modified(|state| {
                // It may have been closed meanwhile.
                let is_awaited = matches!(state, State::Opening);
                if is_awaited {
                    *state = opened;
                }
                is_awaited
            });
        };
        std::thread::Builder::new().name("ledger".to_owned()).spawn(work).map_err(|error| error.to_string())?;
        Ok(this)
    }

    /// Ends when it is open, or will never be.
    ///
    /// # Errors
    /// In words: a folder that can't be written, a file that another process uses or that isn't a store.
    pub(crate) async fn opened(&self) -> Result<(), String> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Opening)).await;
        match settled.as_deref() {
            Ok(State::Failed(error)) => Err(error.clone()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Lets others open it, whoever holds this still.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        match &*self.state.borrow() {
            State::Open(database) => Ok(Arc::clone(database)),
            State::Opening => Err(StoreError::Unavailable("it is being opened".to_owned())),
            State::Failed(error) => Err(StoreError::Refused(error.clone())),
            State::Closed => Err(StoreError::Refused("it was closed".to_owned())),
        }
    }

    /// On disk when it returns.
    pub(crate) fn append(&self, records: &[Record]) -> Result<(), StoreError> {
        let change = begin_change(&*self.database()?).map_err(later)?;
        {
            let mut table = change.open_table(RECORDS).map_err(later)?;
            let mut days = change.open_table(DAYS).map_err(later)?;
            for record in records {
                let key = (record.session.as_str(), record.part);
                if table.get(key).map_err(later)?.is_some() {
                    continue;
                }
                let value = serde_json::to_vec(record).map_err(unreadable)?;
                table.insert(key, value.as_slice()).map_err(later)?;
                let day = (record.day(), record.caller.as_str());
                let mut sums = match days.get(day).map_err(later)? {
                    Some(sums) => serde_json::from_slice(sums.value()).map_err(unreadable)?,
                    None => Sums::default(),
                };
                sums.add(record);
                let value = serde_json::to_vec(&sums).map_err(unreadable)?;
                days.insert(day, value.as_slice()).map_err(later)?;
            }
        }
        change.commit().map_err(later)
    }

    pub(crate) fn usage(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let view = self.database()?.begin_read().map_err(later)?;
        let days = view.open_table(DAYS).map_err(later)?;
        let mut rows = Vec::new();
        let until = query.to.saturating_add(1);
        for entry in days.range((query.from, "")..(until, "")).map_err(later)? {
            let (key, value) = entry.map_err(later)?;
            let (day, caller) = key.value();
            if query.caller.as_deref().is_none_or(|wanted| wanted == caller) {
                let sums = serde_json::from_slice(value.value()).map_err(unreadable)?;
                rows.push(Row { day, caller: caller.to_owned(), sums });
            }
        }
        Ok(rows)
    }

    pub(crate) fn bytes_out(&self, from: u32, callers: Vec<String>) -> Result<HashMap<String, u64>, StoreError> {
        let mut sums: HashMap<_, _> = callers.into_iter().map(|caller| (caller, 0)).collect();
        let view = self.database()?.begin_read().map_err(later)?;
        let days = view.open_table(DAYS).map_err(later)?;
        for entry in days.range((from, "")..).map_err(later)? {
            let (key, value) = entry.map_err(later)?;
            if let Some(sum) = sums.get_mut(key.value().1) {
                *sum += serde_json::from_slice::<Sums>(value.value()).map_err(unreadable)?.bytes_out;
            }
        }
        Ok(sums)
    }

    pub(crate) fn settings(&self) -> Result<HashMap<String, Settings>, StoreError> {
        let view = self.database()?.begin_read().map_err(later)?;
        let table = view.open_table(SETTINGS).map_err(later)?;
        let mut all = HashMap::new();
        for entry in table.iter().map_err(later)? {
            let (caller, value) = entry.map_err(later)?;
            all.insert(caller.value().to_owned(), serde_json::from_slice(value.value()).map_err(unreadable)?);
        }
        Ok(all)
    }

    pub(crate) fn put_settings(&self, caller: &str, settings: &Settings) -> Result<(), StoreError> {
        let change = begin_change(&*self.database()?).map_err(later)?;
        {
            let mut table = change.open_table(SETTINGS).map_err(later)?;
            let value = serde_json::to_vec(settings).map_err(unreadable)?;
            table.insert(caller, value.as_slice()).map_err(later)?;
        }
        change.commit().map_err(later)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    async fn opened(folder: &Path) -> Result<Arc<Embedded>, String> {
        let store = Embedded::begin(folder)?;
        store.opened().await.map(|()| store)
    }

    fn all() -> Query {
        Query { from: 0, to: u32::MAX, caller: None }
    }

    #[tokio::test]
    async fn records_count_once_and_are_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await.unwrap();
        let records = [
            record("one", "ann", 5 * DAY_MS),
            record("two", "ann", 5 * DAY_MS + 7),
            Record { part: 1, ..record("two", "ann", 5 * DAY_MS + 9) },
            record("three", "bob", 6 * DAY_MS),
        ];
        store.append(&records).unwrap();
        store.append(&records).unwrap();
        store.put_settings("ann", &Settings { monthly_bytes: Some(7), ..Settings::default() }).unwrap();
        assert!(opened(folder.path()).await.is_err(), "one process at a time");
        store.close();
        let store = opened(folder.path()).await.unwrap();
        let usage = |from, to, caller: Option<&str>| {
            store.usage(&Query { from, to, caller: caller.map(str::to_owned) }).unwrap()
        };
        let rows = usage(0, 9, None);
        let named: Vec<_> = rows.iter().map(|row| (row.day, row.caller.as_str(), row.sums.sessions)).collect();
        assert_eq!(named, [(5, "ann", 2), (6, "bob", 1)]);
        assert_eq!((rows[0].sums.frames, rows[0].sums.bytes_out, rows[0].sums.seconds), (9, 300, 4.5));
        assert_eq!(usage(6, u32::MAX, None).len(), 1);
        assert_eq!(usage(0, 9, Some("bob")).len(), 1);
        assert_eq!(usage(0, 4, None).len(), 0);
        assert_eq!(store.settings().unwrap()["ann"].monthly_bytes, Some(7));
        let sums = store.bytes_out(5, vec!["ann".to_owned(), "eve".to_owned()]).unwrap();
        assert_eq!((sums.len(), sums["ann"], sums["eve"]), (2, 300, 0));
    }
    #[tokio::test]
    async fn a_file_as_a_crash_leaves_it_is_opened_whole() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [first, ..] = &folders;
        let store = opened(first.path()).await.unwrap();
        for (batch, copy) in folders[1..].iter().enumerate() {
            let records: Vec<_> =
                (0..2_000).map(|at| record(&format!("{batch}-{at}"), "ann", DAY_MS * (1 + at % 7))).collect();
            records.chunks(512).for_each(|chunk| store.append(chunk).unwrap());
            // What another process would find if this one were gone.
            std::fs::copy(first.path().join(FILE), copy.path().join(FILE)).unwrap();
            let began = std::time::Instant::now();
            let found = opened(copy.path()).await.unwrap();
            println!("{} records: open after {:?}", 2_000 * (batch + 1), began.elapsed());
            let rows = found.usage(&all()).unwrap();
            assert_eq!(rows, store.usage(&all()).unwrap());
            assert_eq!(rows.iter().map(|row| row.sums.sessions).sum::<u64>(), 2_000 * (batch as u64 + 1));
            found.append(&[record("another", "bob", DAY_MS)]).unwrap();
        }
    }

    #[tokio::test]
    async fn while_it_is_opened_nobody_waits_for_it() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let slow = move || {
            held.recv().map_err(|error| error.to_string())?;
            open(&path)
        };
        let store = Embedded::begin_with(slow).unwrap();
        let records = [record("one", "ann", DAY_MS)];
        assert!(matches!(store.append(&records), Err(StoreError::Unavailable(_))));
        assert!(matches!(store.usage(&all()), Err(StoreError::Unavailable(_))));
        release.send(()).unwrap();
        store.opened().await.unwrap();
        store.append(&records).unwrap();
        assert_eq!(store.usage(&all()).unwrap().len(), 1);
        let never = Embedded::begin_with(|| Err("no such disk".to_owned())).unwrap();
        assert_eq!(never.opened().await.unwrap_err(), "no such disk");
        assert!(matches!(never.append(&records), Err(StoreError::Refused(_))));
    }
}
