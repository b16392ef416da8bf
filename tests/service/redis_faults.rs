//! A Redis that is there and misbehaves: behind a line that is late or breaks, full, or holding something else under our keys.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::start;
use crate::limits::metric;
use crate::programs::Redis;
use crate::redis::{Load, breaker_is, sharing};

const FAITHFUL: u8 = 0;
/// Answers take five seconds.
const LATE: u8 = 1;
/// The caller's connection is reset while Redis runs its script.
const BREAKS: u8 = 2;

/// What is wrong, how it begins, and how it ends.
type Fault<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

/// Carries everything to `redis` and back, as `mood` says.
async fn line(redis: u16, mood: Arc<AtomicU8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let mood = Arc::clone(&mood);
            // Either side may go whenever it likes.
            tokio::spawn(async move { drop(carry(caller, redis, &mood).await) });
        }
    });
    address
}

async fn carry(mut caller: TcpStream, redis: u16, mood: &AtomicU8) -> std::io::Result<()> {
    let mut redis = TcpStream::connect(("127.0.0.1", redis)).await?;
    let [mut asked, mut told] = [[0; 16 << 10], [0; 16 << 10]];
    loop {
        tokio::select! {
            bytes = caller.read(&mut asked) => match bytes? {
                0 => return Ok(()),
                bytes => redis.write_all(&asked[..bytes]).await?,
            },
            bytes = redis.read(&mut told) => match bytes? {
                0 => return Ok(()),
                bytes => {
                    match mood.load(Ordering::Relaxed) {
                        LATE => tokio::time::sleep(Duration::from_secs(5)).await,
                        BREAKS => return caller.set_zero_linger(),
                        _ => {}
                    }
                    caller.write_all(&told[..bytes]).await?;
                }
            },
        }
    }
}

/// Has Redis do something, in words of its own.
fn order(redis: &Redis, words: &str) -> String {
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
    socket.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut told = String::new();
    socket.read_to_string(&mut told).unwrap();
    assert!(!told.starts_with('-'), "{words}: {told}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_redis_answers_no_call_fails() {
    let Some(redis) = Redis::start() else { return };
    let mood = Arc::new(AtomicU8::new(FAITHFUL));
    let mut config = sharing(&redis, 1_000_000, 400);
    config.redis.url = Some(format!("redis://{}/0", line(redis.port, Arc::clone(&mood)).await));
    config.redis.timeout_ms = 20;
    let server = start(config).await;
    let load = Load::on(&server).await;
    breaker_is(server.http, 0.0).await;
    load.more(200).await;
    let misbehaves: [Fault<'_>; 4] = [
        ("late", &|| mood.store(LATE, Ordering::Relaxed), &|| mood.store(FAITHFUL, Ordering::Relaxed)),
        ("reset", &|| mood.store(BREAKS, Ordering::Relaxed), &|| mood.store(FAITHFUL, Ordering::Relaxed)),
        ("full", &|| drop(order(&redis, "CONFIG SET maxmemory 1")), &|| drop(order(&redis, "CONFIG SET maxmemory 0"))),
        ("of another type", &|| hold_something_else(&redis), &|| drop(order(&redis, "FLUSHALL"))),
    ];
    for (fault, begin, end) in misbehaves {
        let failed = metric(server.http, "auralink_limit_failed_open_total").await;
        begin();
        breaker_is(server.http, 2.0).await;
        load.more(200).await;
        let failed = metric(server.http, "auralink_limit_failed_open_total").await - failed;
        assert!(failed >= 200.0, "{failed} calls were counted here alone while Redis was {fault}");
        end();
        breaker_is(server.http, 0.0).await;
        load.more(100).await;
    }
    load.end().await;
    server.stop().await;
}

/// Puts text where the counts are.
fn hold_something_else(redis: &Redis) {
    let told = order(redis, "KEYS auralink:rate:*");
    let keys: Vec<_> = told.lines().filter(|line| line.starts_with("auralink:")).collect();
    assert!(!keys.is_empty(), "{told}");
    keys.iter().for_each(|key| drop(order(redis, &format!("SET {key} text"))));
}
