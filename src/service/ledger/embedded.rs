//! Usage in one file of a directory: records by time, their sums by day and caller beside them, in one transaction.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

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

/// A file, open until it is closed.
pub(crate) struct Embedded {
    database: RwLock<Option<Arc<Database>>>,
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

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let change = database.begin_write()?;
    change.open_table(RECORDS)?;
    change.open_table(DAYS)?;
    change.open_table(SETTINGS)?;
    change.commit()?;
    Ok(())
}

impl Embedded {
    /// Opens the store in `folder`, made where there is none.
    ///
    /// # Errors
    /// In words: a folder that can't be written, a file that another process uses or that isn't a store.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let told = |error: &dyn fmt::Display| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(|error| told(&error))?;
        let database = Database::create(folder.join(FILE)).map_err(|error| told(&error))?;
        make_tables(&database).map_err(|error| told(&error))?;
        Ok(Self { database: RwLock::new(Some(Arc::new(database))) })
    }

    /// Lets others open it, whoever holds this still.
    pub(crate) fn close(&self) {
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| StoreError::Refused("it was closed".to_owned()))
    }

    /// On disk when it returns.
    pub(crate) fn append(&self, records: &[Record]) -> Result<(), StoreError> {
        let change = self.database()?.begin_write().map_err(later)?;
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
        let change = self.database()?.begin_write().map_err(later)?;
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

    #[test]
    fn records_count_once_and_are_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path()).unwrap();
        let records = [
            record("one", "ann", 5 * DAY_MS),
            record("two", "ann", 5 * DAY_MS + 7),
            Record { part: 1, ..record("two", "ann", 5 * DAY_MS + 9) },
            record("three", "bob", 6 * DAY_MS),
        ];
        store.append(&records).unwrap();
        store.append(&records).unwrap();
        store.put_settings("ann", &Settings { monthly_bytes: Some(7), ..Settings::default() }).unwrap();
        assert!(Embedded::open(folder.path()).is_err(), "one process at a time");
        drop(store);
        let store = Embedded::open(folder.path()).unwrap();
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
    }
}
