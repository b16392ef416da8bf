//! Limits that instances share through a real Redis, which is killed and stopped under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auralink::service::proto::DescribeRequest;
use auralink::service::{Config, RedisConfig};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::harness::{Client, PATIENCE, Running, start};
use crate::limits::{limited, metric};
use crate::programs::Redis;

pub(crate) fn sharing(redis: &Redis, calls: u32, breaker_open_ms: u32) -> Config {
    // On a busy machine an answer may take longer than in service; what is tested here is not how fast it is.
    let redis = RedisConfig { url: Some(redis.url()), timeout_ms: 200, breaker_open_ms, ..RedisConfig::default() };
    Config { redis, ..limited(calls) }
}

async fn is_allowed(client: &mut Client) -> bool {
    match client.describe(DescribeRequest {}).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_instance_begins_to_share_and_ends_it() {
    let Some(redis) = Redis::start() else { return };
    let servers = [start(sharing(&redis, 3, 60_000)).await, start(limited(3)).await];
    let mut clients = [servers[0].client().await, servers[1].client().await];
    assert!(is_allowed(&mut clients[1]).await, "by itself, and Redis doesn't know of it");
    assert_eq!(servers[1].reloader.reload(sharing(&redis, 3, 60_000)).unwrap(), [""; 0]);
    assert!(
        is_allowed(&mut clients[0]).await && is_allowed(&mut clients[0]).await && is_allowed(&mut clients[1]).await
    );
    assert!(!is_allowed(&mut clients[0]).await && !is_allowed(&mut clients[1]).await, "3 together");
    assert_eq!(servers[1].reloader.reload(limited(3)).unwrap(), [""; 0]);
    // It has counted along: one before, and one that Redis let through.
    assert!(is_allowed(&mut clients[1]).await && !is_allowed(&mut clients[1]).await);
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_at_once_share_one_limit() {
    let Some(redis) = Redis::start() else { return };
    let servers = [start(sharing(&redis, 300, 60_000)).await, start(sharing(&redis, 300, 60_000)).await];
    let mut tasks = Vec::new();
    for server in &servers {
        for _ in 0..4 {
            let mut client = server.client().await;
            tasks.push(tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..100 {
                    allowed += u32::from(is_allowed(&mut client).await);
                }
                allowed
            }));
        }
    }
    let mut allowed = 0;
    for task in tasks {
        allowed += task.await.unwrap();
    }
    for server in &servers {
        assert_eq!(metric(server.http, "auralink_limit_failed_open_total").await, 0.0);
    }
    assert_eq!(allowed, 300, "of 800 calls to two instances within a minute");
    for server in servers {
        server.stop().await;
    }
}

/// Callers that call without a pause until told to stop, and whose calls must all succeed.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    slowest_us: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) async fn on(server: &Running) -> Self {
        let (stop, calls, slowest_us) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let mut client = server.client().await;
            let (stop, calls, slowest_us) = (Arc::clone(&stop), Arc::clone(&calls), Arc::clone(&slowest_us));
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    client.describe(DescribeRequest {}).await.expect("no call fails for want of Redis");
                    slowest_us.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }));
        }
        Self { stop, calls, slowest_us, tasks }
    }

    /// Waits for so many more calls.
    pub(crate) async fn more(&self, calls: u64) {
        let until = self.calls.load(Ordering::Relaxed) + calls;
        let began = Instant::now();
        while self.calls.load(Ordering::Relaxed) < until {
            assert!(began.elapsed() < PATIENCE, "the callers are stuck");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let (calls, slowest) = (self.calls.load(Ordering::Relaxed), self.slowest_us.load(Ordering::Relaxed));
        println!("{calls} calls, none failed; the slowest took {:.1} ms", slowest as f64 / 1_000.0);
    }
}

/// Waits until the breaker is so.
pub(crate) async fn breaker_is(http: SocketAddr, state: f64) {
    let began = Instant::now();
    while metric(http, "auralink_redis_breaker").await != state {
        assert!(began.elapsed() < PATIENCE, "the breaker never was {state}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_stopped_under_load_fails_no_call() {
    let Some(mut redis) = Redis::start() else { return };
    let mut config = sharing(&redis, 1_000_000, 400);
    // As in service: an answer later than that is none.
    config.redis.timeout_ms = 5;
    let server = start(config).await;
    let load = Load::on(&server).await;
    load.more(200).await;
    for _ in 0..3 {
        redis.kill();
        breaker_is(server.http, 2.0).await;
        load.more(200).await;
        redis.restart();
        breaker_is(server.http, 0.0).await;
        load.more(100).await;

        redis.signal("STOP");
        breaker_is(server.http, 2.0).await;
        load.more(200).await;
        redis.signal("CONT");
        breaker_is(server.http, 0.0).await;
        load.more(100).await;
    }
    load.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_instance_limits_by_what_it_has_seen() {
    let Some(mut redis) = Redis::start() else { return };
    let server = start(sharing(&redis, 50, 60_000)).await;
    let mut client = server.client().await;
    for call in 1..=20 {
        assert!(is_allowed(&mut client).await, "call {call}");
    }
    redis.kill();
    for call in 21..=50 {
        assert!(is_allowed(&mut client).await, "call {call}, without Redis");
    }
    for _ in 0..10 {
        assert!(!is_allowed(&mut client).await, "20 through Redis and 30 without are all there may be");
    }
    assert_eq!(metric(server.http, "auralink_redis_breaker").await, 2.0);
    assert_eq!(metric(server.http, "auralink_redis_breaker_opened_total").await, 1.0);
    server.stop().await;
}
