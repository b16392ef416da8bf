//! Rate limits as callers meet them.

use auralink::service::proto::DescribeRequest;
use auralink::service::{Config, RateLimits, Windows};
use tonic::Code;
use tonic::metadata::MetadataMap;
use tonic_types::StatusExt;

use crate::harness::{Talk, config, http, i420, open_i420, start};

fn per_minute(calls: u32) -> Windows {
    Windows { per_minute: calls, ..Windows::NONE }
}

/// Callers on this machine limited by their address, to so many calls a minute.
pub(crate) fn limited(calls: u32) -> Config {
    let rates = RateLimits { loopback: true, ip: per_minute(calls), method: Windows::NONE, ..RateLimits::default() };
    Config { rates, ..config() }
}

fn number(metadata: &MetadataMap, name: &str) -> u64 {
    let value = metadata.get(name).unwrap_or_else(|| panic!("no {name} in {metadata:?}"));
    value.to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_limit_are_told_when_to_come_back() {
    let server = start(limited(5)).await;
    let mut client = server.client().await;
    for call in 1..=3 {
        let answer = client.describe(DescribeRequest {}).await.unwrap();
        assert_eq!(number(answer.metadata(), "x-ratelimit-limit"), 5);
        assert_eq!(number(answer.metadata(), "x-ratelimit-remaining"), 5 - call);
        assert!(number(answer.metadata(), "x-ratelimit-reset") <= 60);
    }
    // A stream is one call however many frames go through it.
    let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    for frame in 1..=20 {
        talk.frame(frame, i420(320, 180, frame as u32)).await;
        talk.packet().await;
    }
    let Talk { say, mut hear } = talk;
    drop(say);
    assert!(hear.message().await.unwrap().is_none());
    let trailers = hear.trailers().await.unwrap().expect("trailers");
    assert_eq!((number(&trailers, "x-ratelimit-limit"), number(&trailers, "x-ratelimit-remaining")), (5, 1));

    client.describe(DescribeRequest {}).await.unwrap();
    let status = client.describe(DescribeRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("5 calls of this address"), "{status:?}");
    assert_eq!(number(status.metadata(), "x-ratelimit-remaining"), 0);
    let after = number(status.metadata(), "retry-after");
    let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((1..=60).contains(&after) && delay.as_secs_f64() <= after as f64, "{after} {delay:?}");
    let opened = Talk::open(&mut client, open_i420(320, 180)).await.err().unwrap();
    assert_eq!(opened.code(), Code::ResourceExhausted);

    // The same windows count what comes over HTTP; what watches the server is free.
    let answer = http(server.http, "GET", "/v1/sessions", "", b"").await;
    assert_eq!((answer.status, answer.header("content-type")), (429, Some("application/problem+json")));
    assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), (Some("5"), Some("0")));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds) && answer.json()["code"] == "RESOURCE_EXHAUSTED");
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = http(server.http, "GET", path, "", b"").await;
        assert!(answer.status == 200 && answer.header("content-length").is_some(), "{answer:?}");
    }
    let text = metrics(server.http).await;
    for line in [
        "auralink_limit_decisions_total{decision=\"allowed\",scope=\"address\"} 5\n",
        "auralink_limit_decisions_total{decision=\"refused\",scope=\"address\"} 3\n",
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
    server.stop().await;
}

pub(crate) async fn metrics(addr: std::net::SocketAddr) -> String {
    String::from_utf8(http(addr, "GET", "/metrics", "", b"").await.body).unwrap()
}

/// The value of a metric without labels.
pub(crate) async fn metric(addr: std::net::SocketAddr, name: &str) -> f64 {
    let text = metrics(addr).await;
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// The value of a metric with labels; 0 where it was never counted.
pub(crate) async fn labelled(addr: std::net::SocketAddr, name: &str) -> f64 {
    let text = metrics(addr).await;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_this_machine_nothing_is_limited_unless_it_is_meant() {
    let server = start(config()).await;
    let mut client = server.client().await;
    for _ in 0..200 {
        let answer = client.describe(DescribeRequest {}).await.unwrap();
        assert!(answer.metadata().get("x-ratelimit-limit").is_none());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_that_is_believed_addresses_are_told_apart() {
    let mut config = limited(2);
    config.rates.trusted_proxies = vec![[127, 0, 0, 1].into()];
    let server = start(config).await;
    for (address, status) in [("1.1.1.1", 200), ("1.1.1.1", 200), ("1.1.1.1", 429), ("2.2.2.2", 200)] {
        let forwarded = format!("x-forwarded-for: 9.9.9.9, {address}\r\n");
        assert_eq!(http(server.http, "GET", "/v1/sessions", &forwarded, b"").await.status, status, "{address}");
    }
    server.stop().await;
}
