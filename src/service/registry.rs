//! The running streams, as seen from outside them: their statistics, and a way to speak to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use crate::rate::{Hints, NetworkConditions, Plan};
use crate::service::refusal::Refusal;
use crate::service::wire::Source;
use crate::session::{PacketInfo, Recent, SessionConfig, Stats};

/// Messages to a stream that may wait for it.
const MAX_COMMANDS: usize = 8;
/// Seconds that a stream's pace is told of.
const PACE_SECONDS: usize = 10;

/// What is said to a stream from another connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// The network is so; the answer is the next frame's plan, where there has been a frame to plan by.
    Network(NetworkConditions, oneshot::Sender<Option<Plan>>),
}

/// A running stream.
#[derive(Debug)]
pub(crate) struct Entry {
    id: Uuid,
    owner: Arc<str>,
    source: Source,
    opened: Instant,
    commands: mpsc::Sender<Command>,
    live: Mutex<Live>,
    ended: CancellationToken,
}

/// What changes while a stream runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) config: SessionConfig,
    pub(crate) stats: Stats,
    pub(crate) latency_us: Recent,
    pub(crate) pace: Pace,
    pub(crate) plan: Option<Plan>,
    /// What its next frame is expected to give, and its network; none before there is a session.
    pub(crate) hints: Option<Hints>,
    pub(crate) network: Option<NetworkConditions>,
}

/// Packets and bytes of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// By the second modulo their number: which second, packets, bytes.
    seconds: [(u64, u64, u64); PACE_SECONDS],
}

impl Pace {
    pub(crate) fn count(&mut self, age: Duration, bytes: usize) {
        let second = age.as_secs();
        let slot = &mut self.seconds[second as usize % PACE_SECONDS];
        if slot.0 != second {
            *slot = (second, 0, 0);
        }
        slot.1 += 1;
        slot.2 += bytes as u64;
    }

    /// Packets a second, and kbit/s.
    pub(crate) fn rates(&self, age: Duration) -> (f64, f64) {
        let oldest = (age.as_secs() + 1).saturating_sub(PACE_SECONDS as u64);
        let recent = self.seconds.iter().filter(|(second, packets, _)| *second >= oldest && *packets > 0);
        let (packets, bytes) = recent.fold((0, 0), |sum, slot| (sum.0 + slot.1, sum.1 + slot.2));
        let seconds = (age.as_secs_f64() - oldest as f64).max(0.1);
        (packets as f64 / seconds, bytes as f64 * 8.0 / 1_000.0 / seconds)
    }
}

impl Entry {
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Name of the caller that opened it.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a packet for those who look on.
    pub(crate) fn count_packet(&self, info: &PacketInfo, latency: Duration) {
        let age = self.age();
        let mut live = self.live();
        live.stats.count_packet(info);
        live.latency_us.record(latency.as_micros() as u64);
        live.pace.count(age, info.compressed_bytes);
    }

    /// Ends when the stream has.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Tells the stream about its network.
    ///
    /// # Errors
    /// `NOT_FOUND` where it ended meanwhile, `RESOURCE_EXHAUSTED` where too much waits for it already.
    pub(crate) async fn tell_network(&self, network: NetworkConditions) -> Result<Option<Plan>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.commands.try_send(Command::Network(network, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Refusal::busy(format!("session {} is busy with other reports", self.id))
            }
            mpsc::error::TrySendError::Closed(_) => unknown(self.id),
        })?;
        answered.await.map_err(|_| unknown(self.id))
    }
}

fn unknown(id: Uuid) -> Refusal {
    Refusal::new(Code::NotFound, format!("no session {id} is running"))
}

/// All running streams.
#[derive(Debug)]
pub(crate) struct Registry {
    entries: Mutex<HashMap<Uuid, Arc<Entry>>>,
    max: AtomicUsize,
}

/// A stream's place in the registry, given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    registry: Arc<Registry>,
    pub(crate) entry: Arc<Entry>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.entry.id);
        self.entry.ended.cancel();
    }
}

impl Registry {
    /// A registry of at most `max` streams.
    pub(crate) fn new(max: u32) -> Self {
        Self { entries: Mutex::default(), max: AtomicUsize::new(max as usize) }
    }

    /// Changes how many there may be; those that are running go on.
    pub(crate) fn limit_to(&self, max: u32) {
        self.max.store(max as usize, Ordering::Relaxed);
    }

    fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a stream in.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` for an id that is running, `PERMISSION_DENIED` where it is another caller's, `RESOURCE_EXHAUSTED` where there are as many as may be.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: Uuid,
        owner: &Arc<str>,
        source: Source,
        config: SessionConfig,
    ) -> Result<(Place, mpsc::Receiver<Command>), Refusal> {
        let (commands, heard) = mpsc::channel(MAX_COMMANDS);
        let mut entries = self.lock();
        if let Some(running) = entries.get(&id) {
            if running.owner != *owner {
                return Err(Refusal::forbidden());
            }
            return Err(Refusal::new(Code::AlreadyExists, format!("session {id} is running already")));
        }
        let max = self.max();
        if entries.len() >= max {
            return Err(Refusal::busy(format!("{max} sessions are running, which is the limit")));
        }
        let live = Live {
            config,
            stats: Stats::default(),
            latency_us: Recent::default(),
            pace: Pace::default(),
            plan: None,
            hints: None,
            network: config.network,
        };
        let entry = Arc::new(Entry {
            id,
            owner: Arc::clone(owner),
            source,
            opened: Instant::now(),
            commands,
            live: Mutex::new(live),
            ended: CancellationToken::new(),
        });
        entries.insert(id, Arc::clone(&entry));
        Ok((Place { registry: Arc::clone(self), entry }, heard))
    }

    /// A running stream.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub(crate) fn find(&self, id: Uuid) -> Result<Arc<Entry>, Refusal> {
        self.lock().get(&id).cloned().ok_or_else(|| unknown(id))
    }

    /// All running streams, longest running first.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by_key(|entry| (entry.opened, entry.id));
        all
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no other one may be opened.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::frame::PixelFormat;

    #[test]
    fn places_are_unique_limited_and_given_up() {
        let registry = Arc::new(Registry::new(2));
        let config = SessionConfig::new(Codec::Jpeg, PixelFormat::Rgb8, 160, 90);
        let owner = Arc::from("camera-1");
        let enter = |id| registry.enter(id, &owner, Source::Raw(PixelFormat::Rgb8), config);
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let place = enter(one).unwrap();
        assert_eq!(enter(one).unwrap_err().code, Code::AlreadyExists);
        let other = registry.enter(one, &Arc::from("camera-2"), Source::Raw(PixelFormat::Rgb8), config);
        assert_eq!(other.unwrap_err().code, Code::PermissionDenied);
        let _second = enter(two).unwrap();
        assert_eq!(enter(Uuid::new_v4()).unwrap_err().code, Code::ResourceExhausted);
        assert!(registry.is_full() && registry.find(one).is_ok());
        drop(place);
        assert_eq!(registry.find(one).unwrap_err().code, Code::NotFound);
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn pace_is_of_the_last_seconds() {
        let mut pace = Pace::default();
        for frame in 0..600_u64 {
            pace.count(Duration::from_millis(frame * 50), 1_250);
        }
        let (fps, kbps) = pace.rates(Duration::from_secs(30));
        assert!((17.0..=20.0).contains(&fps), "{fps}");
        assert!((170.0..=200.0).contains(&kbps), "{kbps}");
        assert_eq!(pace.rates(Duration::from_secs(50)), (0.0, 0.0));
    }
}
