//! What the service costs beside the codec: run by hand in release, with `--ignored --nocapture`.

use std::time::Instant;

use crate::harness::{Talk, config, i420, open_i420, start};

const FRAMES: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn full_hd_frames_a_second() {
    let server = start(config()).await;
    let mut client = server.client().await;
    for window in [1, 2] {
        let (mut talk, opened) =
            Talk::open(&mut client, auralink::service::proto::Open { window, ..open_i420(1920, 1080) }).await.unwrap();
        let frames: Vec<_> = (0..8).map(|time| i420(1920, 1080, time)).collect();
        let mut sent_at = vec![Instant::now(); FRAMES as usize + 1];
        let (mut sent, mut overheads, mut codings, mut latencies) = (0, Vec::new(), Vec::new(), Vec::new());
        let began = Instant::now();
        for answered in 1..=FRAMES {
            while sent < FRAMES && sent < answered - 1 + u64::from(opened.window) {
                sent += 1;
                sent_at[sent as usize] = Instant::now();
                talk.frame(sent, frames[sent as usize % 8].clone()).await;
            }
            let packet = talk.packet().await;
            let latency_us = sent_at[packet.frame_number as usize].elapsed().as_micros() as u64;
            let times = packet.times.unwrap();
            let coding_us = times.encode_us + times.measure_us + times.resize_us;
            latencies.push(latency_us);
            codings.push(coding_us);
            overheads.push(latency_us.saturating_sub(coding_us));
        }
        let seconds = began.elapsed().as_secs_f64();
        let mut medians = [latencies, codings, overheads].map(|mut values| {
            values.sort_unstable();
            [values[values.len() / 2], values[values.len() * 95 / 100]]
        });
        eprintln!(
            "1080p I420, window {window}: {:.0} frames/s; p50/p95 us: latency {:?}, coding {:?}, everything else {:?}",
            FRAMES as f64 / seconds,
            std::mem::take(&mut medians[0]),
            medians[1],
            medians[2],
        );
        talk.finish().await.unwrap();
    }
    server.stop().await;
}
