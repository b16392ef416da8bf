//! Stopping: nothing that was accepted is lost.

use std::time::{Duration, Instant};

use auralink::service::proto::compress_stream_response::Message as Out;
use auralink::service::proto::{self, frame_compression_client::FrameCompressionClient};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Channel;

use crate::harness::{PATIENCE, Talk, config, config_with, http, i420, open_i420, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_frame_is_answered_once_and_the_server_ends() {
    let server = start(config_with(|config| config.limits.drain_notice_ms = 700)).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let mut client = server.client().await;
        let (mut talk, _) = Talk::open(&mut client, open_i420(640, 360)).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let frame = i420(640, 360, 1);
            let (mut sent, mut answered, mut notices, mut refused) = (0_u64, Vec::new(), 0, 0);
            let status = loop {
                if notices == 0 || refused == 0 {
                    sent += 1;
                    talk.frame(sent, frame.clone()).await;
                }
                match talk.next().await {
                    Ok(Some(Out::Packet(packet))) => answered.push(packet.frame_number),
                    Ok(Some(Out::Dropped(dropped))) => answered.push(dropped.frame_number),
                    Ok(Some(Out::Error(error))) => {
                        assert_eq!(error.code, Code::Unavailable as i32, "{error:?}");
                        refused += 1;
                        answered.push(error.frame_number);
                    }
                    Ok(Some(Out::Notice(notice))) => {
                        assert_eq!(notice.kind(), proto::notice::Kind::Draining);
                        notices += 1;
                    }
                    Ok(Some(Out::Opened(_))) => panic!("opened twice"),
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                }
            };
            (sent, answered, notices, refused, status)
        }));
    }
    let (grpc, addr) = (server.grpc, server.http);
    let mut late = server.client().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let ended = server.begin_stop();
    tokio::time::sleep(Duration::from_millis(150)).await;
    let ready = http(addr, "GET", "/readyz", "", b"").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("not ready")));
    assert_eq!(http(addr, "GET", "/livez", "", b"").await.status, 200);
    let refused = Talk::open(&mut late, open_i420(320, 180)).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unavailable);
    for task in tasks {
        let (sent, mut answered, notices, refused, status) = timeout(PATIENCE, task).await.unwrap().unwrap();
        answered.sort_unstable();
        assert_eq!(answered, (1..=sent).collect::<Vec<_>>(), "each frame is answered once");
        assert!(notices == 1 && refused > 0, "{notices} notices, {refused} refused");
        assert_eq!(status.expect("a stream the caller hasn't ended is told why it ends").code(), Code::Unavailable);
    }
    timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let gone = Channel::from_shared(format!("http://{grpc}")).unwrap().connect().await;
    assert!(gone.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_has_finished_is_told_so_even_while_the_server_stops() {
    let server = start(config()).await;
    let (mut talk, _) = Talk::open(&mut server.client().await, open_i420(320, 180)).await.unwrap();
    talk.frame(1, i420(320, 180, 1)).await;
    talk.packet().await;
    let began = Instant::now();
    let ended = server.begin_stop();
    assert!(matches!(talk.next().await.unwrap(), Some(Out::Notice(_))));
    assert!(talk.finish().await.unwrap().is_empty());
    timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_is_cut_in_time() {
    let server =
        start(config_with(|config| (config.limits.drain_ms, config.limits.drain_notice_ms) = (500, 30_000))).await;
    let channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
    let (mut talk, _) = Talk::open(&mut FrameCompressionClient::new(channel), open_i420(320, 180)).await.unwrap();
    let began = Instant::now();
    let ended = server.begin_stop();
    assert!(matches!(talk.next().await.unwrap(), Some(Out::Notice(_))));
    assert_eq!(talk.next().await.unwrap_err().code(), Code::Unavailable);
    timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
