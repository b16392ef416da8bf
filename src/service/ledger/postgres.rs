//! Usage in PostgreSQL: connected to when it is needed, and again whenever that is lost.

use std::collections::HashMap;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, NoTls};

use super::record::{Query, Record, Row, Sums};
use super::settings::Settings;
use super::store::StoreError;

/// Changes to the database, in their order; each is made once.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_ledger.sql")];
/// Instances that start together take turns at the migrations by this lock.
const MIGRATION_LOCK: i64 = 0x0061_7572_616c_696e;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time a statement may take before its connection is given up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

const APPEND: &str = "
    INSERT INTO auralink_usage
    SELECT r.session, r.part, r.caller, r.codec, r.width, r.height, r.day, r.from_ms, r.until_ms, r.frames, r.packets,
        r.dropped, r.failed, r.bytes_in, r.bytes_out, r.measured, r.ssim_sum, r.psnr_db_sum
    FROM jsonb_to_recordset($1::text::jsonb) AS r (
        session uuid, part integer, caller text, codec text, width integer, height integer, day integer, from_ms bigint,
        until_ms bigint, frames bigint, packets bigint, dropped bigint, failed bigint, bytes_in bigint, bytes_out bigint,
        measured bigint, ssim_sum double precision, psnr_db_sum double precision)
    ON CONFLICT DO NOTHING";

const USAGE: &str = "
    SELECT day, caller, count(*) FILTER (WHERE part = 0), sum(until_ms - from_ms)::bigint, sum(frames)::bigint,
        sum(packets)::bigint, sum(dropped)::bigint, sum(failed)::bigint, sum(bytes_in)::bigint, sum(bytes_out)::bigint,
        sum(measured)::bigint, sum(ssim_sum), sum(psnr_db_sum)
    FROM auralink_usage
    WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR caller = $3)
    GROUP BY day, caller ORDER BY day, caller";

const BYTES_OUT: &str = "
    SELECT caller, sum(bytes_out)::bigint FROM auralink_usage
    WHERE day >= $1 AND caller = ANY($2) GROUP BY caller";

const SETTINGS: &str = "SELECT caller, settings FROM auralink_settings";
const PUT_SETTINGS: &str = "
    INSERT INTO auralink_settings (caller, settings) VALUES ($1, $2)
    ON CONFLICT (caller) DO UPDATE SET settings = excluded.settings";

/// The database. What is read doesn't wait for what is written.
pub(crate) struct Postgres {
    config: Config,
    writer: Mutex<Option<Client>>,
    reader: Mutex<Option<Client>>,
    /// Where connections are driven.
    runtime: Handle,
}

/// Data the database can't take is refused for good; anything else may pass.
fn fault(error: &Error) -> StoreError {
    let told = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    // Classes 22 and 23 of SQL's states: data, and constraints.
    let is_ours = error.code().is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23"));
    if is_ours { StoreError::Refused(told) } else { StoreError::Unavailable(told) }
}

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Postgres {
    /// The database at `url`, on a runtime.
    ///
    /// # Errors
    /// In words: a URL that can't be read.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let mut config: Config = url.parse().map_err(|error: Error| error.to_string())?;
        config.connect_timeout(CONNECT_TIMEOUT).application_name("auralink");
        Ok(Self { config, writer: Mutex::default(), reader: Mutex::default(), runtime: Handle::current() })
    }

    pub(crate) async fn append(&self, records: &[Record]) -> Result<(), StoreError> {
        let rows: Vec<_> = records
            .iter()
            .map(|record| {
                let mut row = serde_json::to_value(record)?;
                if let Some(fields) = row.as_object_mut() {
                    fields.insert("day".to_owned(), record.day().into());
                }
                Ok(row)
            })
            .collect::<Result<_, serde_json::Error>>()
            .map_err(|error| StoreError::Refused(error.to_string()))?;
        let rows = serde_json::Value::from(rows).to_string();
        self.run(&self.writer, APPEND, &[&rows]).await.map(drop)
    }

    pub(crate) async fn usage(&self, query: &Query) -> Result<Vec<Row>, StoreError> {
        let rows = self.run(&self.reader, USAGE, &[&small(query.from), &small(query.to), &query.caller]).await?;
        rows.iter()
            .map(|row| {
                let count = |column| row.try_get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
                let sums = Sums {
                    sessions: count(2)?,
                    seconds: count(3)? as f64 / 1_000.0,
                    frames: count(4)?,
                    packets: count(5)?,
                    dropped: count(6)?,
                    failed: count(7)?,
                    bytes_in: count(8)?,
                    bytes_out: count(9)?,
                    measured: count(10)?,
                    ssim_sum: row.try_get(11)?,
                    psnr_db_sum: row.try_get(12)?,
                };
                let day = u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0);
                Ok(Row { day, caller: row.try_get(1)?, sums })
            })
            .collect::<Result<_, Error>>()
            .map_err(|error| fault(&error))
    }

    pub(crate) async fn bytes_out(&self, from: u32, callers: &[String]) -> Result<HashMap<String, u64>, StoreError> {
        let rows = self.run(&self.reader, BYTES_OUT, &[&small(from), &callers]).await?;
        let sum =
            |row: &tokio_postgres::Row| Ok((row.try_get(0)?, u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0)));
        rows.iter().map(sum).collect::<Result<_, Error>>().map_err(|error| fault(&error))
    }

    pub(crate) async fn settings(&self) -> Result<HashMap<String, Settings>, StoreError> {
        let rows = self.run(&self.reader, SETTINGS, &[]).await?;
        let mut all = HashMap::new();
        for row in rows {
            let (caller, text) = (row.try_get::<_, String>(0), row.try_get::<_, String>(1));
            let (caller, text) = (caller.map_err(|e| fault(&e))?, text.map_err(|e| fault(&e))?);
            match serde_json::from_str(&text) {
                Ok(settings) => drop(all.insert(caller, settings)),
                // A newer version may have written what this one doesn't know.
                Err(error) => tracing::warn!(caller, %error, "settings that can't be read are left out"),
            }
        }
        Ok(all)
    }

    pub(crate) async fn put_settings(&self, caller: &str, settings: &Settings) -> Result<(), StoreError> {
        let text = serde_json::to_string(settings).map_err(|error| StoreError::Refused(error.to_string()))?;
        self.run(&self.reader, PUT_SETTINGS, &[&caller, &text]).await.map(drop)
    }

    /// Runs a statement, connecting first where that is needed. A connection that fails, or doesn't answer, isn't used again.
    async fn run(
        &self,
        place: &Mutex<Option<Client>>,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let mut place = place.lock().await;
        let client = match place.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?,
        };
        let done = timeout(STATEMENT_TIMEOUT, client.query(statement, values)).await;
        match done {
            Ok(Ok(rows)) => {
                *place = Some(client);
                Ok(rows)
            }
            Ok(Err(error)) => {
                if error.as_db_error().is_some() {
                    *place = Some(client);
                }
                Err(fault(&error))
            }
            Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        }
    }

    async fn connect(&self) -> Result<Client, StoreError> {
        let late = |_| StoreError::Unavailable("no connection in time".to_owned());
        let connecting = self.config.connect(NoTls);
        let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?;
        let (mut client, connection) = connected.map_err(|error| fault(&error))?;
        self.runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to PostgreSQL broke");
            }
        });
        let migrated = timeout(STATEMENT_TIMEOUT, migrate(&mut client)).await.map_err(late)?;
        migrated.map_err(|error| fault(&error))?;
        Ok(client)
    }
}

/// Makes the changes that haven't been made yet.
async fn migrate(client: &mut Client) -> Result<(), Error> {
    let change = client.transaction().await?;
    change.query("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    change.batch_execute("CREATE TABLE IF NOT EXISTS auralink_migrations (version integer PRIMARY KEY)").await?;
    let made = change.query_one("SELECT coalesce(max(version), 0) FROM auralink_migrations", &[]).await?;
    let made: i32 = made.try_get(0)?;
    for (version, migration) in (1_i32..).zip(MIGRATIONS).filter(|(version, _)| *version > made) {
        change.batch_execute(migration).await?;
        change.execute("INSERT INTO auralink_migrations VALUES ($1)", &[&version]).await?;
    }
    change.commit().await
}
