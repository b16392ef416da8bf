//! Streams that want all there is, beside others that want little.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auralink::client::{Answer, Retry, Stream};
use auralink::proto::{Codec, Open};
use tempfile::tempdir;
use tokio::task::JoinHandle;

use crate::attackers::attackers;
use crate::instance::Instance;
use crate::victim::{Victim, frame, i420, open, target};

const OTHERS: usize = 7;

/// A stream that keeps its window full.
struct Greedy {
    stop: Arc<AtomicBool>,
    task: JoinHandle<[u64; 3]>,
}

impl Greedy {
    async fn of(server: &Instance, codec: Codec, width: u32, height: u32) -> Self {
        let open = Open { window: 4, ..open(codec, width, height) };
        let target = target(vec![server.url()], Retry::NEVER);
        let opened = attackers().spawn(async move { Stream::open(&target, open).await.unwrap() });
        let mut stream = opened.await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pictures: Vec<_> = (0..2).map(|time| i420(width, height, time)).collect();
        let task = attackers().spawn(async move {
            let (mut sent, mut packets, mut refused) = (0, 0, 0);
            loop {
                while stream.has_credit() {
                    if stopped.load(Ordering::Relaxed) {
                        stream.finish();
                        break;
                    }
                    sent += 1;
                    stream.send(frame(sent, pictures[sent as usize % 2].clone())).unwrap();
                }
                match stream.next().await {
                    Ok(Some(Answer::Packet(..))) => packets += 1,
                    Ok(Some(_)) => refused += 1,
                    Ok(None) => return [packets, refused, 0],
                    // Who wants most is the first to be told that there is no room.
                    Err(error) => {
                        assert!(error.to_string().contains("ResourceExhausted"), "{error}");
                        return [packets, refused, 1];
                    }
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it; gives its packets, its frames that became none, and 1 where it was cut for want of room.
    async fn end(self) -> [u64; 3] {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// How evenly something is shared out: 1 where all have as much (R. Jain, 1984).
pub(crate) fn evenness(shares: &[usize]) -> f64 {
    let sum: f64 = shares.iter().map(|&share| share as f64).sum();
    let squares: f64 = shares.iter().map(|&share| (share as f64).powi(2)).sum();
    sum.powi(2) / (shares.len() as f64 * squares)
}

/// So many equal streams for a while; their packets, and the times of one of them.
async fn others(server: &Instance) -> (Vec<usize>, String) {
    let mut victims = Vec::new();
    for _ in 0..OTHERS {
        victims.push(Victim::of(server).await);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (mut shares, mut told) = (Vec::new(), String::new());
    for victim in victims {
        let (packets, times) = victim.count().await;
        shares.push(packets);
        told = times;
    }
    (shares, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_wants_all_leaves_the_others_alike() {
    let folder = tempdir().unwrap();
    let server = Instance::start(folder.path(), &["--threads", "2"]);
    let (alone, alone_times) = others(&server).await;
    let greedy = Greedy::of(&server, Codec::H264, 1920, 1080).await;
    let (beside, beside_times) = others(&server).await;
    let [packets, refused, cut] = greedy.end().await;
    println!("{OTHERS} streams alone: {alone:?}, evenness {:.3}, one of them {alone_times}", evenness(&alone));
    println!(
        "beside one of 1080p that keeps its window full ({packets} packets, {refused} frames without): {beside:?}, evenness \
         {:.3}, one of them {beside_times}",
        evenness(&beside)
    );
    assert!(packets > 0 && cut == 0, "it has its share too");
    assert!(evenness(&beside) >= 0.9, "{beside:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_want_all_leave_room_for_one_who_wants_little() {
    let folder = tempdir().unwrap();
    let server = Instance::start(folder.path(), &["--threads", "2"]);
    let alone = Victim::alone(&server, Duration::from_secs(2)).await;
    let mut greedy = Vec::new();
    for _ in 0..32 {
        greedy.push(Greedy::of(&server, Codec::Lossless, 640, 360).await);
    }
    let beside = Victim::alone(&server, Duration::from_secs(5)).await;
    let mut packets = Vec::new();
    for greedy in greedy {
        packets.push(greedy.end().await[0] as usize);
    }
    println!(
        "beside 32 streams of 640x360 that keep their windows full ({} packets, evenness {:.3}): {beside}; alone {alone}",
        packets.iter().sum::<usize>(),
        evenness(&packets)
    );
    assert!(evenness(&packets) >= 0.9, "{packets:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_12_megabytes_leave_room_for_small_ones() {
    let folder = tempdir().unwrap();
    let server = Instance::start_as(folder.path(), "[compute]\nthreads = 2\n[limits]\nmax_in_flight_mib = 128\n");
    let alone = Victim::alone(&server, Duration::from_secs(2)).await;
    let idle = server.resident_mib();
    let mut large = Vec::new();
    for _ in 0..3 {
        large.push(Greedy::of(&server, Codec::Lossless, 3840, 2160).await);
    }
    let victim = Victim::of(&server).await;
    let mut most = [0.0_f64; 3];
    for _ in 0..100 {
        let mib = |name| server.metric(name) / 1_048_576.0;
        let now = [server.resident_mib() - idle, mib("auralink_in_flight_bytes"), mib("auralink_session_bytes")];
        most.iter_mut().zip(now).for_each(|(most, now)| *most = most.max(now));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let beside = victim.end().await;
    let mut sums = [0; 3];
    for large in large {
        sums.iter_mut().zip(large.end().await).for_each(|(sum, its)| *sum += its);
    }
    server.until_nothing_is_held().await;
    let ([resident, held, sessions], [packets, refused, cut]) = (most, sums);
    println!(
        "3 streams of 4K: {packets} packets, {refused} frames without one, {cut} streams cut; at most {resident:.0} MiB more, {held:.0} of 128 MiB in \
         flight, {sessions:.0} MiB of sessions; a small stream {beside}; alone {alone}"
    );
    assert!(packets > 0 && held <= 128.0);
    assert!(resident <= (128.0 + sessions) * 1.15, "{resident} MiB");
}
