//! A stream that does everything right while others don't.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use auralink::client::{Access, Answer, Retry, Stream, Target};
use auralink::proto::{Codec, Mode, Open, PixelFormat, StreamFrame};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::instance::{Instance, quantile, quantiles};
pub(crate) use crate::picture::i420;

/// A stream of frames as [`i420`] makes them.
pub(crate) fn open(codec: Codec, width: u32, height: u32) -> Open {
    Open {
        codec: codec.into(),
        format: PixelFormat::I420.into(),
        mode: Mode::Adaptive.into(),
        width,
        height,
        ..Open::default()
    }
}

pub(crate) fn target(addresses: Vec<String>, retry: Retry) -> Target {
    Target { addresses, retry, ..Target::default() }
}

/// A frame of a stream.
pub(crate) fn frame(frame_number: u64, data: Bytes) -> StreamFrame {
    StreamFrame { frame_number, timestamp_us: frame_number * 33_333, data, strides: Vec::new() }
}

/// What a frame took, ms: from its sending to its packet, and of that its wait for a thread, and the work on it.
struct Took {
    all: f64,
    queued: f64,
    worked: f64,
}

/// Thirty small frames a second, answered one by one.
pub(crate) struct Victim {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Took>>,
}

impl Victim {
    pub(crate) async fn of(server: &Instance) -> Self {
        Self::who(server, Access::default()).await
    }

    /// One that says who it is.
    pub(crate) async fn who(server: &Instance, access: Access) -> Self {
        let target = Target { access, ..target(vec![server.url()], Retry::NEVER) };
        let mut stream = Stream::open(&target, open(Codec::Jpeg, 320, 180)).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pictures: Vec<_> = (0..30).map(|time| i420(320, 180, time)).collect();
        let task = tokio::spawn(async move {
            let mut took = Vec::new();
            let mut ticks = tokio::time::interval(Duration::from_millis(33));
            for number in 1.. {
                if stopped.load(Ordering::Relaxed) && number > 10 {
                    break;
                }
                ticks.tick().await;
                let began = Instant::now();
                stream.send(frame(number, pictures[number as usize % 30].clone())).unwrap();
                let packet = match stream.next().await.expect("a victim without an error") {
                    Some(Answer::Packet(packet, _)) => packet,
                    other => panic!("{other:?} instead of a packet"),
                };
                assert_eq!(packet.frame_number, number);
                let times = packet.times.unwrap_or_default();
                let worked = times.decode_us + times.resize_us + times.encode_us + times.measure_us;
                let [queued, worked] = [times.queue_us, worked].map(|us| us as f64 / 1e3);
                took.push(Took { all: began.elapsed().as_secs_f64() * 1e3, queued, worked });
            }
            stream.finish();
            assert!(stream.next().await.unwrap().is_none());
            took
        });
        Self { stop, task }
    }

    /// Ends it; it must have seen no error. Tells its frames' times.
    pub(crate) async fn end(self) -> String {
        self.count().await.1
    }

    /// As [`Victim::end`], with the number of its packets.
    pub(crate) async fn count(self) -> (usize, String) {
        self.stop.store(true, Ordering::Relaxed);
        let took = self.task.await.expect("a victim without an error");
        let part = |part: fn(&Took) -> f64| quantile(0.99, &mut took.iter().map(part).collect::<Vec<_>>());
        let [queued, worked] = [part(|took| took.queued), part(|took| took.worked)];
        let all = quantiles(took.iter().map(|took| took.all).collect());
        (took.len(), format!("{all} (p99 {queued:.0} ms queued, {worked:.0} ms worked on)"))
    }

    /// The times of a stream that nobody disturbs, for so long.
    pub(crate) async fn alone(server: &Instance, time: Duration) -> String {
        let victim = Self::of(server).await;
        tokio::time::sleep(time).await;
        victim.end().await
    }
}
