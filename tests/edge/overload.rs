//! More frames than can be coded, small ones and ones of 12 MB: as many are coded as ever, in time, and shared out evenly.
//!
//! `AURALINK_OVERLOAD_SECONDS` has each load last so long, and more of them tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auralink::client::{Answer, Retry, Stream};
use auralink::proto::Codec;
use tempfile::tempdir;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::fair::evenness;
use crate::instance::{Instance, quantile};
use crate::victim::{frame, i420, open, target};

/// Streams of each size, and the frame rate of each that is once what the machine can do, or about.
const SMALL: (usize, u32, u32, f64) = (6, 640, 360, 30.0);
const LARGE: (usize, u32, u32, f64) = (2, 3840, 2160, 4.0);

/// What became of a stream's frames.
#[derive(Default)]
struct Told {
    offered: usize,
    packets: usize,
    ms: Vec<f64>,
}

/// Offers frames at a rate: those whose time comes while the window is full are left out, as a camera does.
fn offer(
    server: &Instance,
    (_, width, height, fps): (usize, u32, u32, f64),
    stop: Arc<AtomicBool>,
) -> JoinHandle<Told> {
    let target = target(vec![server.url()], Retry::NEVER);
    let pictures: Vec<_> = (0..2).map(|time| i420(width, height, time)).collect();
    tokio::spawn(async move {
        let mut stream = Stream::open(&target, open(Codec::Jpeg, width, height)).await.unwrap();
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / fps));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut told, mut sent) = (Told::default(), 0);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if stop.load(Ordering::Relaxed) {
                        stream.finish();
                        continue;
                    }
                    told.offered += 1;
                    if stream.has_credit() {
                        sent += 1;
                        stream.send(frame(sent, pictures[sent as usize % 2].clone())).unwrap();
                    }
                }
                answer = stream.next() => match answer.expect("a stream without an error") {
                    Some(Answer::Packet(_, took)) => {
                        told.packets += 1;
                        told.ms.push(took.as_secs_f64() * 1e3);
                    }
                    Some(Answer::Dropped { .. }) => {}
                    Some(other) => panic!("{other:?}"),
                    None => return told,
                },
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offered_more_than_it_can_do_it_does_as_much() {
    let asked = std::env::var("AURALINK_OVERLOAD_SECONDS").ok().and_then(|seconds| seconds.parse::<u64>().ok());
    let loads: &[f64] = if asked.is_some() { &[0.5, 1.0, 2.0, 3.0, 5.0, 10.0] } else { &[1.0, 3.0] };
    let folder = tempdir().unwrap();
    let server = Instance::start(folder.path(), &["--threads", "2"]);
    for &load in loads {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let streams = [SMALL, LARGE].map(|(count, width, height, fps)| {
            let kind = (count, width, height, load * fps);
            (0..count).map(|_| offer(&server, kind, Arc::clone(&stop))).collect::<Vec<_>>()
        });
        tokio::time::sleep(Duration::from_secs(asked.unwrap_or(1))).await;
        stop.store(true, Ordering::Relaxed);
        print!("{load} times:");
        for (streams, kind) in streams.into_iter().zip(["small", "large"]) {
            let (mut offered, mut shares, mut ms) = (0, Vec::new(), Vec::new());
            for stream in streams {
                let told = stream.await.unwrap();
                offered += told.offered;
                shares.push(told.packets);
                ms.extend(told.ms);
            }
            let (packets, seconds) = (shares.iter().sum::<usize>(), began.elapsed().as_secs_f64());
            let [p50, p99] = [0.5, 0.99].map(|part| quantile(part, &mut ms));
            print!(
                " {kind} {:.0} offered and {:.1} coded a second, p50 {p50:.0}, p99 {p99:.0} ms, evenness {:.3};",
                offered as f64 / seconds,
                packets as f64 / seconds,
                evenness(&shares)
            );
            assert!(packets > 0 && evenness(&shares) >= 0.9, "{kind}: {shares:?}");
        }
        println!();
    }
    server.until_nothing_is_held().await;
}
