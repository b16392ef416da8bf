//! How much callers may ask for, as configured.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use validator::Validate;

/// Calls allowed in each sliding window; 0 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Windows {
    /// Calls within any minute, at most 1000000.
    #[validate(range(max = 1_000_000, message = "at most 1000000"))]
    #[schema(maximum = 1_000_000)]
    pub per_minute: u32,
    /// Calls within any hour, at most 1000000.
    #[validate(range(max = 1_000_000, message = "at most 1000000"))]
    #[schema(maximum = 1_000_000)]
    pub per_hour: u32,
    /// Calls within any 24 hours, at most 1000000.
    #[validate(range(max = 1_000_000, message = "at most 1000000"))]
    #[schema(maximum = 1_000_000)]
    pub per_day: u32,
}

impl Windows {
    /// No limit at all.
    pub const NONE: Self = Self { per_minute: 0, per_hour: 0, per_day: 0 };
    /// Attempts at authentication.
    const AUTH: Self = Self { per_minute: 10, ..Self::NONE };
    /// Those that fail.
    const FAILURES: Self = Self { per_minute: 20, per_hour: 200, per_day: 0 };

    /// The windows with a limit, shortest first: their length in milliseconds, and the calls they may hold.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (u64, u32)> + Clone {
        let all = [(60_000, self.per_minute), (3_600_000, self.per_hour), (86_400_000, self.per_day)];
        all.into_iter().filter(|(_, calls)| *calls > 0)
    }

    /// Whether nothing is limited.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self { per_minute: 60, per_hour: 3_600, per_day: 86_400 }
    }
}

/// Rate limits of calls and stream opens; frames within a stream aren't counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Of one authenticated caller, wherever it calls from.
    #[validate(nested)]
    pub caller: Windows,
    /// Of one IP address (IPv6: one /64), whoever calls from it.
    #[validate(nested)]
    pub ip: Windows,
    /// Of one method by one caller, or by one address where callers aren't authenticated.
    #[validate(nested)]
    pub method: Windows,
    /// As `method`, of the methods that authenticate.
    #[validate(nested)]
    pub auth: Windows,
    /// Of keys, tokens and certificates from one address that aren't good; good ones pass however many were not, so that
    /// nobody behind the same proxy shuts others out. Counted by each instance.
    #[validate(nested)]
    pub failures: Windows,
    /// Whether unauthenticated callers on this machine (loopback, the Unix socket) are limited too.
    pub loopback: bool,
    /// Proxies whose `x-forwarded-for` is believed.
    #[validate(length(max = 64, message = "at most 64"))]
    pub trusted_proxies: Vec<IpAddr>,
    /// Callers, addresses and methods remembered at once, 1000..=10000000; the longest unseen are forgotten first.
    #[validate(range(min = 1_000, max = 10_000_000, message = "1000..=10000000"))]
    pub max_keys: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            caller: Windows::default(),
            ip: Windows::default(),
            method: Windows::default(),
            auth: Windows::AUTH,
            failures: Windows::FAILURES,
            loopback: false,
            trusted_proxies: Vec::new(),
            max_keys: 100_000,
        }
    }
}

/// Where rate limits are shared between instances.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// Such as `redis://127.0.0.1:6379/0`; none keeps the counts in this process.
    #[validate(custom(function = check_url))]
    #[serde(serialize_with = "show_url")]
    pub url: Option<String>,
    /// What every key begins with: instances that share it share their counts.
    #[validate(length(min = 1, max = 64, message = "1..=64 characters"))]
    pub prefix: String,
    /// Longest wait for an answer, ms, 1..=1000.
    #[validate(range(min = 1, max = 1_000, message = "1..=1000"))]
    pub timeout_ms: u32,
    /// Failures in a row after which Redis is left alone, 1..=1000.
    #[validate(range(min = 1, max = 1_000, message = "1..=1000"))]
    pub breaker_failures: u32,
    /// Time it is left alone before it is tried again, ms, 10..=3600000.
    #[validate(range(min = 10, max = 3_600_000, message = "10..=3600000"))]
    pub breaker_open_ms: u32,
}

fn check_url(url: &str) -> Result<(), validator::ValidationError> {
    let is_one = ["redis://", "unix://", "redis+unix://"].iter().any(|scheme| url.starts_with(scheme));
    let fault = "not a URL such as redis://127.0.0.1:6379/0";
    if is_one { Ok(()) } else { Err(validator::ValidationError::new("url").with_message(fault.into())) }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: None, prefix: "auralink".to_owned(), timeout_ms: 5, breaker_failures: 5, breaker_open_ms: 60_000 }
    }
}

/// A URL as it may be shown.
pub(crate) fn show_url<S: Serializer>(url: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_deref().map(hide_password).serialize(serializer)
}

/// A URL without the password it may hold.
pub(crate) fn hide_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://***@{place}"),
        None => url.to_owned(),
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &self.url.as_deref().map(hide_password))
            .field("prefix", &self.prefix)
            .field("timeout_ms", &self.timeout_ms)
            .field("breaker_failures", &self.breaker_failures)
            .field("breaker_open_ms", &self.breaker_open_ms)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_their_bounds() {
        assert!(RateLimits::default().validate().is_ok());
        assert!(RedisConfig::default().validate().is_ok());
        let rules: Vec<_> = Windows::default().rules().collect();
        assert_eq!(rules, [(60_000, 60), (3_600_000, 3_600), (86_400_000, 86_400)]);
        assert!(Windows::NONE.rules().next().is_none());
    }

    #[test]
    fn passwords_stay_hidden() {
        let redis = RedisConfig { url: Some("redis://me:canary@host:6379/1".to_owned()), ..RedisConfig::default() };
        let told = format!("{redis:?}");
        assert!(!told.contains("canary") && told.contains("redis://***@host:6379/1"), "{told}");
        assert!(RedisConfig { url: Some("http://x".to_owned()), ..RedisConfig::default() }.validate().is_err());
    }
}
