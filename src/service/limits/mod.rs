//! How often callers may call: sliding windows by caller, address and method, in this process or shared through Redis.
//!
//! A call is counted before it is looked at, and once, whatever comes of it; frames within a stream aren't counted. Where Redis is
//! configured its counts decide, and this process counts along: when Redis fails, it decides with what it has seen itself, and
//! what it lets through meanwhile is unknown to Redis when that is back.

mod breaker;
mod config;
mod guard;
mod logs;
mod shared;
mod verdict;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use tokio::runtime::Handle;

pub use config::{RateLimits, RedisConfig, Windows};
pub(crate) use config::{hide_password, show_url};
pub(crate) use guard::{address, guard, is_free, too_many_failures};
use logs::Logs;
use shared::SharedCounts;
use verdict::Verdict;

use crate::service::caller::Caller;
use crate::service::telemetry::Telemetry;

/// Longest part of a name that is a key's own; what is beyond it is hashed.
const MAX_NAME_BYTES: usize = 128;

/// Who or what is counted, and its windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) windows: Windows,
    pub(crate) scope: &'static str,
}

/// A call to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// None where nobody has to say who they are.
    pub(crate) caller: Option<&'a Caller>,
    /// None over a Unix socket.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) method: &'a str,
    /// Whether it is an attempt at authentication.
    pub(crate) is_auth: bool,
    /// What this caller may do instead of what callers may in general.
    pub(crate) own: Option<Windows>,
}

/// The limits and the counts.
pub(crate) struct Limiter {
    rules: RwLock<Arc<Rules>>,
    local: Mutex<Logs>,
    hasher: RandomState,
    begun: Instant,
    /// Where Redis is spoken to, once a limiter of another configuration needs to.
    runtime: Option<Handle>,
    telemetry: Arc<Telemetry>,
}

/// What a configuration says.
struct Rules {
    limits: RateLimits,
    redis: RedisConfig,
    shared: Option<Arc<SharedCounts>>,
}

/// A configuration that can be taken over.
pub(crate) struct Prepared(Arc<Rules>);

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules();
        f.debug_struct("Limiter").field("limits", &rules.limits).field("shared", &rules.shared.is_some()).finish()
    }
}

impl Limiter {
    /// A limiter as configured, on a runtime.
    ///
    /// # Errors
    /// In words: a Redis URL that can't be read.
    pub(crate) fn new(limits: &RateLimits, redis: &RedisConfig, telemetry: &Arc<Telemetry>) -> Result<Self, String> {
        let runtime = Handle::try_current().ok();
        let shared = connect(redis, runtime.as_ref(), telemetry)?;
        Ok(Self {
            local: Mutex::new(Logs::new(limits.max_keys)),
            rules: RwLock::new(Arc::new(Rules { limits: limits.clone(), redis: redis.clone(), shared })),
            hasher: RandomState::new(),
            begun: Instant::now(),
            runtime,
            telemetry: Arc::clone(telemetry),
        })
    }

    /// Makes ready for another configuration. Redis is connected to anew only where it is another one, or spoken to in
    /// another way.
    ///
    /// # Errors
    /// In words: a Redis URL that can't be read.
    pub(crate) fn prepare(&self, limits: &RateLimits, redis: &RedisConfig) -> Result<Prepared, String> {
        let now = self.rules();
        let shared = if *redis == now.redis {
            now.shared.clone()
        } else {
            connect(redis, self.runtime.as_ref(), &self.telemetry)?
        };
        Ok(Prepared(Arc::new(Rules { limits: limits.clone(), redis: redis.clone(), shared })))
    }

    /// Goes by another configuration from now on. What was counted so far counts on.
    pub(crate) fn take_over(&self, Prepared(rules): Prepared) {
        self.local().limit_to(rules.limits.max_keys);
        if rules.redis != self.rules().redis {
            self.telemetry.breaker_closed();
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts an attempt at authentication that has failed. The verdict where there were too many from its address.
    pub(crate) fn failed_attempt(&self, ip: Option<IpAddr>) -> Option<Verdict> {
        let limits = &self.rules().limits;
        if limits.failures.is_none() || (!limits.loopback && ip.is_none_or(|ip| ip.is_loopback())) {
            return None;
        }
        let name = format!("f:{}", ip.map_or("local".to_owned(), address_name));
        let verdict = self.check_here(&[Key { name, windows: limits.failures, scope: "failed attempts" }])?;
        self.telemetry.limiter_decided(verdict.allowed, "failed attempts");
        (!verdict.allowed).then_some(verdict)
    }

    /// Counts a call, or refuses it. None where nothing limits it.
    pub(crate) async fn check(&self, call: &Call<'_>) -> Option<(Verdict, &'static str)> {
        let rules = self.rules();
        let keys = keys(&rules.limits, call);
        if keys.is_empty() {
            return None;
        }
        let verdict = match &rules.shared {
            Some(shared) => match shared.check(&keys).await {
                Ok(verdict) => {
                    if verdict.is_some_and(|verdict| verdict.allowed) {
                        let (hashed, now_ms) = (self.hashed(&keys), self.now_ms());
                        self.local().count(&hashed, now_ms);
                    }
                    verdict
                }
                Err(shared::Unavailable) => {
                    self.telemetry.limiter_failed_open();
                    self.check_here(&keys)
                }
            },
            None => self.check_here(&keys),
        }?;
        let scope = keys.get(verdict.key).map_or("", |key| key.scope);
        self.telemetry.limiter_decided(verdict.allowed, scope);
        Some((verdict, scope))
    }

    /// Callers, addresses and methods that are remembered.
    pub(crate) fn keys_remembered(&self) -> usize {
        self.local().len()
    }

    /// The address a call is counted for: the peer's, or where that is a proxy that is believed, the last that it doesn't know
    /// to be one itself.
    pub(crate) fn address(&self, peer: Option<IpAddr>, forwarded: Option<&str>) -> Option<IpAddr> {
        let rules = self.rules();
        let is_proxy = |ip: &IpAddr| rules.limits.trusted_proxies.contains(&ip.to_canonical());
        let peer = peer?.to_canonical();
        if !is_proxy(&peer) {
            return Some(peer);
        }
        let hops = forwarded.unwrap_or_default().rsplit(',').map(|hop| hop.trim().parse::<IpAddr>());
        // What isn't an address was not put there by a proxy: what is before it isn't believed either.
        let known = hops.map_while(Result::ok).map(|ip| ip.to_canonical());
        Some(known.into_iter().find(|ip| !is_proxy(ip)).unwrap_or(peer))
    }

    fn check_here(&self, keys: &[Key]) -> Option<Verdict> {
        let (hashed, now_ms) = (self.hashed(keys), self.now_ms());
        self.local().check(&hashed, now_ms)
    }

    fn hashed(&self, keys: &[Key]) -> Vec<(u64, Windows)> {
        keys.iter().map(|key| (self.hasher.hash_one(&key.name), key.windows)).collect()
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn local(&self) -> MutexGuard<'_, Logs> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Redis of a configuration, which belongs on a runtime.
fn connect(
    redis: &RedisConfig,
    runtime: Option<&Handle>,
    telemetry: &Arc<Telemetry>,
) -> Result<Option<Arc<SharedCounts>>, String> {
    let Some(url) = redis.url.as_deref() else { return Ok(None) };
    let runtime = runtime.ok_or("there is no runtime to speak to Redis on")?.clone();
    let shared = SharedCounts::new(url, redis, runtime, Arc::clone(telemetry)).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(shared)))
}

/// What a call is counted by.
fn keys(limits: &RateLimits, call: &Call<'_>) -> Vec<Key> {
    if call.caller.is_none() && !limits.loopback && call.ip.is_none_or(|ip| ip.is_loopback()) {
        return Vec::new();
    }
    let ip = call.ip.map_or("local".to_owned(), address_name);
    let who = call.caller.map(|caller| shorten(&caller.id));
    let by_method = if call.is_auth { limits.auth } else { limits.method };
    let of_caller = call.own.unwrap_or(limits.caller);
    let method = shorten(call.method);
    let method = match &who {
        Some(who) if !call.is_auth => format!("m:{method}:c:{who}"),
        _ => format!("m:{method}:i:{ip}"),
    };
    let keys = [
        who.map(|who| Key { name: format!("c:{who}"), windows: of_caller, scope: "caller" }),
        Some(Key { name: format!("i:{ip}"), windows: limits.ip, scope: "address" }),
        Some(Key { name: method, windows: by_method, scope: "method" }),
    ];
    keys.into_iter().flatten().filter(|key| !key.windows.is_none()).collect()
}

/// An address as it is counted: of IPv6, the half that a network is given.
fn address_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// A stranger's name at a bounded length, still its own.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    // FNV-1a: the same in every instance.
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let hash = name.as_bytes().iter().fold(0xCBF2_9CE4_8422_2325, step);
    let end = (0..=MAX_NAME_BYTES).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    format!("{}#{hash:016x}", name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::telemetry::Now;

    fn limiter(limits: &RateLimits) -> Limiter {
        Limiter::new(limits, &RedisConfig::default(), &Arc::default()).unwrap()
    }

    fn call<'a>(caller: Option<&'a Caller>, ip: &str) -> Call<'a> {
        Call { caller, ip: ip.parse().ok(), method: "/Compress", is_auth: false, own: None }
    }

    #[test]
    fn strangers_here_are_free_and_all_others_are_counted() {
        let limits = RateLimits::default();
        let names = |call: Call<'_>| keys(&limits, &call).into_iter().map(|key| key.name).collect::<Vec<_>>();
        assert_eq!(names(call(None, "127.0.0.1")), [""; 0]);
        assert_eq!(names(call(None, "")), [""; 0]);
        assert_eq!(names(call(None, "10.1.2.3")), ["i:10.1.2.3", "m:/Compress:i:10.1.2.3"]);
        let caller = Caller { id: "ann".into(), ..Caller::anonymous() };
        assert_eq!(names(call(Some(&caller), "::1")), ["c:ann", "i:0:0:0:0::/64", "m:/Compress:c:ann"]);
        let attempt = Call { is_auth: true, ..call(Some(&caller), "2001:db8:1:2:3::4") };
        let counted = keys(&limits, &attempt);
        assert_eq!(counted[1].name, "i:2001:db8:1:2::/64");
        assert_eq!((counted[2].name.as_str(), counted[2].windows.per_minute), ("m:/Compress:i:2001:db8:1:2::/64", 10));
        let own = Windows { per_minute: 3, ..Windows::NONE };
        assert_eq!(keys(&limits, &Call { own: Some(own), ..call(Some(&caller), "::1") })[0].windows, own);
    }

    #[test]
    fn forwarded_addresses_are_believed_of_proxies_alone() {
        let proxies = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap()).to_vec();
        let limiter = limiter(&RateLimits { trusted_proxies: proxies, ..RateLimits::default() });
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        assert_eq!(limiter.address(ip("9.9.9.9"), Some("1.1.1.1")), ip("9.9.9.9"));
        assert_eq!(limiter.address(ip("10.0.0.1"), Some("6.6.6.6, 1.1.1.1")), ip("1.1.1.1"));
        assert_eq!(limiter.address(ip("::ffff:10.0.0.1"), Some("1.1.1.1,10.0.0.2")), ip("1.1.1.1"));
        assert_eq!(limiter.address(ip("10.0.0.1"), Some("1.1.1.1, nonsense")), ip("10.0.0.1"));
        assert_eq!(limiter.address(ip("10.0.0.1"), None), ip("10.0.0.1"));
        assert_eq!(limiter.address(None, Some("1.1.1.1")), None);
    }

    #[tokio::test]
    async fn strangers_without_end_grow_neither_the_counts_nor_the_metrics() {
        let telemetry: Arc<Telemetry> = Arc::default();
        let most = RateLimits::default().max_keys as usize;
        let limits = RateLimits { loopback: true, ..RateLimits::default() };
        let limiter = Limiter::new(&limits, &RedisConfig::default(), &telemetry).unwrap();
        let mut series = Vec::new();
        for stranger in 0..100_000_u32 {
            let caller = Caller { id: stranger.to_string().into(), ..Caller::anonymous() };
            let ip = Some(IpAddr::from((0x0A00_0000 + stranger).to_be_bytes()));
            let method = format!("/{stranger}");
            limiter.check(&Call { caller: Some(&caller), ip, method: &method, is_auth: false, own: None }).await;
            limiter.failed_attempt(ip);
            if stranger == 10 || stranger == 99_999 {
                series.push(telemetry.scrape(Now::default()).unwrap().lines().count());
            }
        }
        assert!(limiter.keys_remembered() <= most, "{} of {most}", limiter.keys_remembered());
        assert!(series[1] <= series[0] + 16, "{series:?} lines of metrics");
    }

    #[test]
    fn long_names_stay_apart_at_a_bounded_length() {
        let (one, two) = ("é".repeat(5_000), "é".repeat(5_001));
        assert_ne!(shorten(&one), shorten(&two));
        assert!(shorten(&one).len() < 160);
        assert_eq!(shorten("ann"), "ann");
    }
}
