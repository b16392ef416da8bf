//! HTTP, and what web pages see of gRPC.

use auralink::{Frame, PixelFormat, images};

use crate::harness::{PATIENCE, Talk, config, config_with, http, i420, noise, open_i420, start};

fn png(width: u32, height: u32) -> Vec<u8> {
    let pixels = i420(width, height * 2, 3);
    let frame = Frame::new(PixelFormat::Rgb8, width, height, &pixels[..(width * height * 3) as usize]).unwrap();
    let mut file = Vec::new();
    images::encode_png(&frame, &mut file).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_metrics_and_sessions_are_told() {
    let server = start(config()).await;
    for path in ["/livez", "/health"] {
        let answer = http(server.http, "GET", path, "", b"").await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("ok")));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "made where none was given");
    }
    for path in ["/readyz", "/health/ready"] {
        let answer = http(server.http, "GET", path, "x-request-id: mine-1\r\n", b"").await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(answer.header("x-request-id"), Some("mine-1"));
        let told = answer.json();
        let names: Vec<_> = told["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
        assert_eq!(names, ["pool", "self_test", "not_draining", "not_overloaded"]);
    }
    let (mut talk, opened) = Talk::open(&mut server.client().await, open_i420(320, 180)).await.unwrap();
    talk.frame(1, i420(320, 180, 1)).await;
    talk.packet().await;
    let sessions = http(server.http, "GET", "/v1/sessions", "", b"").await.json();
    assert_eq!(sessions["sessions"][0]["session_id"], opened.session_id);
    assert_eq!(sessions["sessions"][0]["packets_out"], 1);
    let metrics = http(server.http, "GET", "/metrics", "", b"").await;
    let text = String::from_utf8(metrics.body.clone()).unwrap();
    for line in ["auralink_packets_total{codec=\"h264\"} 1\n", "auralink_streams_open 1\n", "auralink_ready 1\n"] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let missing = http(server.http, "GET", "/nothing", "", b"").await;
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(http(server.http, "GET", "/v1/compress", "", b"").await.status, 405);
    talk.finish().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_goes_in_and_a_smaller_one_comes_out() {
    let server = start(config()).await;
    let file = png(640, 360);
    let jpeg = http(server.http, "POST", "/v1/compress?quality=60&measure=true&size=320x180", "", &file).await;
    assert_eq!(jpeg.status, 200, "{}", String::from_utf8_lossy(&jpeg.body));
    assert_eq!(jpeg.header("content-type"), Some("image/jpeg"));
    let header = |name: &str| jpeg.header(name).unwrap_or_else(|| panic!("no {name}")).to_owned();
    assert_eq!(header("x-auralink-compressed-bytes"), jpeg.body.len().to_string());
    assert_eq!(header("x-auralink-input-bytes"), file.len().to_string());
    assert_eq!((header("x-auralink-width"), header("x-auralink-quality")), ("320".to_owned(), "60".to_owned()));
    assert!(header("x-auralink-ssim").parse::<f64>().unwrap() > 0.8);
    let decoded = images::decode(&jpeg.body, &auralink::Limits::SERVICE).unwrap();
    assert_eq!((decoded.as_frame().width(), decoded.as_frame().height()), (320, 180));

    let budget = http(server.http, "POST", "/v1/compress?max_bytes=9000", "", &file).await;
    assert!(budget.status == 200 && budget.body.len() <= 9_000, "{} {}", budget.status, budget.body.len());
    let lossless = http(server.http, "POST", "/v1/compress?codec=lossless", "", &file).await;
    assert_eq!((lossless.status, lossless.header("x-auralink-codec")), (200, Some("lossless")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_are_problems_with_their_fields() {
    let server = start(config()).await;
    let file = png(320, 180);
    let bad = "/v1/compress?codec=h265&quality=0&size=1x1&mode=wild&subsampling=411";
    let answer = http(server.http, "POST", bad, "", &file).await;
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/problem+json")));
    let told = answer.json();
    let mut fields: Vec<_> =
        told["violations"].as_array().unwrap().iter().map(|v| v["field"].as_str().unwrap().to_owned()).collect();
    fields.sort();
    assert_eq!(fields, ["codec", "mode", "quality", "size", "subsampling"]);
    for (query, body, field) in [
        ("?colour=red", &file[..], "query"),
        ("", b"not an image", "body.data"),
        ("", &file[..file.len() / 2], "body.data"),
        ("", &noise(11 << 20, 3)[..], "body"),
        ("", &png(120, 80)[..], "body.width"),
    ] {
        let answer = http(server.http, "POST", &format!("/v1/compress{query}"), "", body).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["violations"][0]["field"], field, "{}", answer.json());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_may_call_only_from_where_they_are_allowed() {
    let origin = "https://console.example.org".to_owned();
    let server = start(config_with(|config| config.cors.allowed_origins.push(origin.clone()))).await;
    let call = "/auralink.aic.v1.FrameCompression/Describe";
    // An empty message: no compression, length 0.
    let message = [0_u8; 5];
    let ours = format!("origin: {origin}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n");
    let answer = http(server.grpc, "POST", call, &ours, &message).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin.as_str())));
    assert!(answer.header("content-type").unwrap().starts_with("application/grpc-web"));
    assert!(answer.body.len() > 50 && String::from_utf8_lossy(&answer.body).contains("grpc-status:0"));
    let theirs = "origin: https://elsewhere.example\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n";
    let answer = http(server.grpc, "POST", call, theirs, &message).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let ask = format!("origin: {origin}\r\naccess-control-request-method: POST\r\n");
    let answer = http(server.http, "OPTIONS", "/v1/compress", &ask, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin.as_str())));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_never_sent_whole_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = start(config_with(|config| config.limits.request_timeout_ms = 100)).await;
    let mut socket = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let half = b"POST /v1/compress HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nonly this";
    socket.write_all(half).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(socket);
    server.stop().await;
}
