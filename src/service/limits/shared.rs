//! Sliding windows in Redis, shared by every instance: one round trip a call, and a circuit breaker before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Key;
use super::breaker::{Breaker, Outcome, State, Ticket};
use super::config::RedisConfig;
use super::verdict::{Standing, Verdict, judge};
use crate::service::random;
use crate::service::telemetry::Telemetry;

/// Time a connection may take; it goes on in the background when the call that wanted it has given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Redis couldn't be asked, or didn't answer in time.
#[derive(Debug)]
pub(crate) struct Unavailable;

type Link = Arc<Mutex<Option<MultiplexedConnection>>>;

/// The counts that instances share.
pub(crate) struct SharedCounts {
    client: Client,
    script: Script,
    prefix: String,
    timeout: Duration,
    breaker: Mutex<Breaker>,
    link: Link,
    /// Where connections are driven: a call's own runtime may be another's.
    runtime: Handle,
    begun: Instant,
    telemetry: Arc<Telemetry>,
}

/// A call that is being made: reported as abandoned where nobody waits for its end.
struct Attempt<'a> {
    counts: &'a SharedCounts,
    ticket: Option<Ticket>,
}

impl Attempt<'_> {
    fn end(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    fn report(&mut self, outcome: Outcome) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut breaker = self.counts.breaker();
        let before = breaker.state();
        breaker.report(ticket, outcome, self.counts.begun.elapsed(), 2.0 * random::unit() - 1.0);
        let after = breaker.state();
        drop(breaker);
        self.counts.note(before, after);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.report(Outcome::Abandoned);
    }
}

impl SharedCounts {
    /// Counts in the Redis at `url`; connects with the first call, on `runtime`.
    ///
    /// # Errors
    /// A URL that can't be read.
    pub(crate) fn new(
        url: &str,
        config: &RedisConfig,
        runtime: Handle,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, RedisError> {
        let open_for = Duration::from_millis(config.breaker_open_ms.into());
        Ok(Self {
            client: Client::open(url)?,
            script: Script::new(include_str!("windows.lua")),
            prefix: config.prefix.clone(),
            timeout: Duration::from_millis(config.timeout_ms.into()),
            breaker: Mutex::new(Breaker::new(config.breaker_failures, open_for)),
            link: Link::default(),
            runtime,
            begun: Instant::now(),
            telemetry,
        })
    }

    /// Counts a call where every window of every key has room.
    ///
    /// # Errors
    /// Where the breaker is open, or Redis failed: nothing is known then, and the call may or may not have been counted.
    pub(crate) async fn check(&self, keys: &[Key]) -> Result<Option<Verdict>, Unavailable> {
        let (ticket, before, after) = {
            let mut breaker = self.breaker();
            let before = breaker.state();
            (breaker.admit(self.begun.elapsed()), before, breaker.state())
        };
        self.note(before, after);
        let attempt = Attempt { counts: self, ticket: Some(ticket.ok_or(Unavailable)?) };
        let began = Instant::now();
        let asked = timeout(self.timeout, self.ask(keys)).await;
        self.telemetry.redis_asked(began.elapsed());
        match asked {
            Ok(Ok(told)) => {
                attempt.end(Outcome::Success);
                Ok(judge(standings(keys, &told)))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "Redis failed");
                if error.is_io_error() || error.is_connection_dropped() {
                    *self.link() = None;
                }
                attempt.end(Outcome::Failure);
                Err(Unavailable)
            }
            Err(_) => {
                attempt.end(Outcome::Failure);
                Err(Unavailable)
            }
        }
    }

    async fn ask(&self, keys: &[Key]) -> Result<Vec<u64>, RedisError> {
        let mut connection = self.connection().await?;
        let mut call = self.script.prepare_invoke();
        for key in keys {
            call.key(format!("{}:rate:{}", self.prefix, key.name));
            call.arg(key.windows.rules().count());
            for (window_ms, limit) in key.windows.rules() {
                call.arg(window_ms).arg(limit);
            }
        }
        call.invoke_async(&mut connection).await
    }

    /// The connection, made anew where there is none.
    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        if let Some(connection) = self.link().clone() {
            return Ok(connection);
        }
        let (client, link) = (self.client.clone(), Arc::clone(&self.link));
        let connecting = self.runtime.spawn(async move {
            // Answers have a time limit of their own, with each call.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(Some(CONNECT_TIMEOUT));
            let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            *link.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
            Ok(connection)
        });
        connecting.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }

    /// Tells of a change of the breaker's state.
    fn note(&self, before: State, after: State) {
        match (before, after) {
            (State::Closed { .. } | State::HalfOpen { .. }, State::Open { until }) => {
                // Whatever is wrong, the next try begins with a connection of its own.
                *self.link() = None;
                let open_ms = until.saturating_sub(self.begun.elapsed()).as_millis() as u64;
                tracing::warn!(open_ms, "Redis keeps failing: limits are counted in this process alone");
                self.telemetry.breaker_opened();
            }
            (State::Open { .. }, State::HalfOpen { .. }) => {
                tracing::info!("Redis is tried again");
                self.telemetry.breaker_half_opened();
            }
            (State::HalfOpen { .. }, State::Closed { .. }) => {
                tracing::info!("Redis answers again: limits are shared");
                self.telemetry.breaker_closed();
            }
            _ => {}
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How each window stands, from the script's answer.
fn standings(keys: &[Key], told: &[u64]) -> impl Iterator<Item = Standing> + Clone {
    let rules = keys.iter().enumerate().flat_map(|(index, key)| key.windows.rules().map(move |rule| (index, rule)));
    let pairs = told.get(1..).unwrap_or_default().as_chunks::<2>().0;
    rules.zip(pairs).map(|((key, (_, limit)), &[count, reset_ms])| Standing {
        key,
        limit,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        reset_ms,
    })
}
