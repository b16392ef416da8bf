//! Rate limits as callers meet them.

use auralink::service::config::Role;
use auralink::service::proto::DescribeRequest;
use auralink::service::{Config, KeyFile, RateLimits, Windows};
use tonic::Code;
use tonic::metadata::MetadataMap;
use tonic_types::StatusExt;

use crate::harness::{Talk, config, http, i420, open_i420, start, with};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_attempts_are_limited_by_address_and_good_ones_pass() {
    let mut keys = KeyFile::default();
    let good = keys.add("ann", &[Role::Compress], None).unwrap();
    let (none, failures) = (Windows::NONE, per_minute(3));
    let trusted_proxies = vec![[127, 0, 0, 1].into()];
    let rates = RateLimits {
        caller: none,
        ip: none,
        method: none,
        auth: none,
        failures,
        loopback: true,
        trusted_proxies,
        ..RateLimits::default()
    };
    let mut config = Config { rates, ..config() };
    config.auth.keys = keys.keys;
    let server = start(config).await;
    let call = async |address: &str, secret: &str| {
        let head = format!("x-forwarded-for: {address}\r\nauthorization: Bearer {secret}\r\n");
        http(server.http, "GET", "/v1/sessions", &head, b"").await
    };
    let bad = format!("{}x", good.get(..good.len() - 1).unwrap());
    for _ in 0..3 {
        assert_eq!(call("1.1.1.1", &bad).await.status, 401);
    }
    let refused = call("1.1.1.1", "no.such.token").await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("RESOURCE_EXHAUSTED")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("3 failed attempts"), "{}", refused.json());
    assert!((1..=60).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    // gRPC is the same door.
    let mut client = server.client().await;
    let mut request = with(Some(bad.as_str()), DescribeRequest {});
    request.metadata_mut().insert("x-forwarded-for", "1.1.1.1".parse().unwrap());
    let status = client.describe(request).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    // Others behind the same proxy go on, and whoever shows nothing hasn't attempted anything.
    assert_eq!(call("1.1.1.1", &good).await.status, 200);
    assert_eq!(http(server.http, "GET", "/v1/sessions", "x-forwarded-for: 1.1.1.1\r\n", b"").await.status, 401);
    assert_eq!(call("2.2.2.2", &bad).await.status, 401);
    let head = format!("x-api-key: {good}\r\n");
    assert_eq!(http(server.http, "GET", "/metrics", &head, b"").await.status, 403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rates_are_taken_over_while_the_server_runs() {
    let server = start(limited(2)).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        client.describe(DescribeRequest {}).await.unwrap();
    }
    assert_eq!(client.describe(DescribeRequest {}).await.unwrap_err().code(), Code::ResourceExhausted);
    let config = |calls: u32| {
        let mut config = limited(calls);
        (config.listen, config.compute) = (crate::harness::config().listen, crate::harness::config().compute);
        config
    };
    assert_eq!(server.reloader.reload(config(4)).unwrap(), [""; 0]);
    // What was counted before counts on.
    let answer = client.describe(DescribeRequest {}).await.unwrap();
    assert_eq!(
        (number(answer.metadata(), "x-ratelimit-limit"), number(answer.metadata(), "x-ratelimit-remaining")),
        (4, 1)
    );
    client.describe(DescribeRequest {}).await.unwrap();
    assert_eq!(client.describe(DescribeRequest {}).await.unwrap_err().code(), Code::ResourceExhausted);
    let mut bad = config(4);
    bad.rates.max_keys = 1;
    assert!(server.reloader.reload(bad).unwrap_err().to_string().contains("rates.max_keys"));
    server.stop().await;
}
