//! Minutes of load with clients that come and go: what the process holds stays as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auralink::client::{Answer, Retry, Stream};
use auralink::proto::Codec;
use tempfile::tempdir;

use crate::instance::Instance;
use crate::victim::{frame, i420, open, target};

/// Streams at once; each sends at a frame rate that together is about 70 % of what two cores code.
const STREAMS: u64 = 8;
const FPS: f64 = 30.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_leaves_nothing_behind() {
    let asked = std::env::var("AURALINK_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
    let Some(minutes) = asked else {
        crate::skip::say(format_args!("without AURALINK_SOAK_MINUTES nothing is soaked"));
        return;
    };
    let fps = std::env::var("AURALINK_SOAK_FPS").ok().and_then(|fps| fps.parse().ok()).unwrap_or(FPS);
    let (folder, store) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Arc::new(Instance::start(folder.path(), &["--store", store.path().to_str().unwrap()]));
    let (stop, frames, sessions) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let load = (0..STREAMS).map(|seat| {
        let (server, stop, frames, sessions) =
            (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&frames), Arc::clone(&sessions));
        tokio::spawn(async move {
            let pictures: Vec<_> = (0..16).map(|time| i420(640, 360, time)).collect();
            let mut life = 40 + seat * 17;
            while !stop.load(Ordering::Relaxed) {
                let codec = [Codec::H264, Codec::Jpeg, Codec::Lossless, Codec::H264][(seat % 4) as usize];
                let retry = Retry { from_the_start: true, ..Retry::default() };
                let mut stream = Stream::open(&target(vec![server.url()], retry), open(codec, 640, 360)).await.unwrap();
                sessions.fetch_add(1, Ordering::Relaxed);
                life = 30 + (life * 7 + 13) % 300;
                let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / fps));
                for number in 1..=life {
                    ticks.tick().await;
                    stream.send(frame(number, pictures[number as usize % 16].clone())).unwrap();
                    match stream.next().await.expect("a stream without an error").unwrap() {
                        Answer::Packet(..) | Answer::Dropped { .. } => frames.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}"),
                    };
                }
                // Every other one leaves without a word.
                if life % 2 == 0 {
                    stream.finish();
                    while stream.next().await.expect("an end without an error").is_some() {}
                }
            }
        })
    });
    let load: Vec<_> = load.collect();
    let began = Instant::now();
    let mut samples: Vec<(f64, [usize; 2])> = Vec::new();
    while began.elapsed().as_secs_f64() < minutes * 60.0 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(load.iter().all(|task| !task.is_finished()), "a client has ended");
        samples.push((server.resident_mib(), server.held()));
        if samples.len().is_multiple_of(6) {
            let (resident, [files, threads]) = samples[samples.len() - 1];
            println!(
                "{:.1} min: {resident:.1} MiB, {files} files, {threads} threads, {:.0} streams open, {} sessions, {} frames",
                began.elapsed().as_secs_f64() / 60.0,
                server.metric("auralink_streams_open"),
                sessions.load(Ordering::Relaxed),
                frames.load(Ordering::Relaxed)
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    server.until_nothing_is_held().await;
    // After a quarter of the time everything is warm; from then on the first half must hold what the second does.
    let warm = &samples[samples.len() / 4..];
    let (first, second) = warm.split_at(warm.len() / 2);
    let mean = |half: &[(f64, [usize; 2])]| half.iter().map(|(mib, _)| mib).sum::<f64>() / half.len().max(1) as f64;
    let most = |half: &[(f64, [usize; 2])], at: usize| half.iter().map(|(_, held)| held[at]).max().unwrap_or(0);
    println!(
        "{minutes} minutes: mean {:.1}, then {:.1} MiB; most files {}, then {}; most threads {}, then {}; {} sessions, {} frames",
        mean(first),
        mean(second),
        most(first, 0),
        most(second, 0),
        most(first, 1),
        most(second, 1),
        sessions.load(Ordering::Relaxed),
        frames.load(Ordering::Relaxed)
    );
    if warm.len() >= 12 {
        assert!(mean(second) <= mean(first) * 1.05 + 4.0, "memory grows");
        // Threads for files come and go.
        assert!(
            most(second, 0) <= most(first, 0) + 8 && most(second, 1) <= most(first, 1) + 4,
            "files or threads grow"
        );
    }
}
