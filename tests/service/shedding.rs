//! More to do than can be done: what is shed, in which order, and that it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auralink::service::proto::compress_stream_response::Message as Out;
use auralink::service::{Admission, proto};
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{PATIENCE, Talk, config_with, i420, open_i420, start};
use crate::limits::labelled;

const WINDOW: u64 = 8;

/// Keeps its window full of frames until told to stop; every one is answered.
async fn flood(mut talk: Talk, frames: Vec<bytes::Bytes>, stop: Arc<AtomicBool>) {
    let (mut sent, mut answered) = (0_u64, 0_u64);
    loop {
        while !stop.load(Ordering::Relaxed) && sent - answered < WINDOW {
            sent += 1;
            talk.frame(sent, frames[sent as usize % frames.len()].clone()).await;
        }
        if sent == answered {
            break;
        }
        match talk.next().await.unwrap() {
            Some(Out::Packet(_) | Out::Dropped(_)) => answered += 1,
            other => panic!("{other:?} to a frame"),
        }
    }
    assert!(talk.finish().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standing_wait_sheds_frames_and_effort_and_then_streams() {
    let admission = Admission { stale_delay_ms: 1, effort_delay_ms: 2, refuse_delay_ms: 3, ..Admission::default() };
    let server = start(config_with(|config| {
        config.admission = admission;
        config.compute.threads = 1;
    }))
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let frames: Vec<_> = (0..4).map(|time| i420(1280, 720, time)).collect();
    let mut load = Vec::new();
    for _ in 0..6 {
        let open = proto::Open { window: WINDOW as u32, ..open_i420(1280, 720) };
        let (talk, _) = Talk::open(&mut server.client().await, open).await.unwrap();
        load.push(tokio::spawn(flood(talk, frames.clone(), Arc::clone(&stop))));
    }
    let mut client = server.client().await;
    let began = Instant::now();
    let refused = loop {
        match Talk::open(&mut client, open_i420(320, 180)).await {
            Ok((talk, _)) => drop(talk.finish().await.unwrap()),
            Err(status) => break status,
        }
        assert!(began.elapsed() < PATIENCE, "six streams never were too much for a thread");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.get_details_retry_info().is_some() && refused.message().contains("wait"), "{refused:?}");
    for what in ["stale frame", "effort", "stream"] {
        let name = format!("auralink_shed_total{{reason=\"{what}\"}}");
        assert!(labelled(server.http, &name).await >= 1.0, "{what}");
    }
    stop.store(true, Ordering::Relaxed);
    for stream in load {
        stream.await.unwrap();
    }
    while let Err(status) = Talk::open(&mut client, open_i420(320, 180)).await {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(began.elapsed() < 2 * PATIENCE, "it never ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
}
