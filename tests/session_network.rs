//! A session on links that are measured, not declared, in virtual time: real frames, real packets, receipts over the way back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use auralink::rate::{Reason, Scale};
use auralink::session::Fallback;
use auralink::{Codec, Engine, Feedback, FrameBuf, Mode, Output, PixelFormat, Receipt, Session, SessionConfig, Stamp};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const FPS: u32 = 30;
/// One way and back, ms.
const WAY_MS: f64 = 20.0;

/// Noise that moves: it never gets small.
fn picture(number: u64) -> FrameBuf {
    let luma = (0..WIDTH * HEIGHT).map(|at| {
        let (x, y) = (at % WIDTH + 3 * number as u32, at / WIDTH + number as u32);
        (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917) >> 24
    });
    let mut data: Vec<u8> = luma.map(|value| value as u8).collect();
    data.resize(PixelFormat::I420.frame_bytes(WIDTH, HEIGHT), 128);
    FrameBuf::new(PixelFormat::I420, WIDTH, HEIGHT, data).unwrap()
}

fn session(codec: Codec, mode: Mode) -> Session {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let base = SessionConfig::new(codec, PixelFormat::I420, WIDTH, HEIGHT);
    let config = SessionConfig { mode, fps: FPS.into(), receipts: true, ..base };
    Engine::new(pool).session(config).unwrap()
}

/// A packet as the link had it.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at_ms: f64,
    bytes: usize,
    scale: Scale,
    is_measured: bool,
    /// What waited for the link once it was there, ms.
    queue_ms: f64,
}

/// Runs a session over a link whose kbit/s change at times given in seconds; `hears` tells whether receipts come back.
fn play(mut session: Session, link: &[(u32, f64)], seconds: u32, hears: impl Fn(u32) -> bool) -> Vec<Sent> {
    let (mut sent, mut receipts) = (Vec::new(), VecDeque::<(f64, Receipt)>::new());
    let (mut free_ms, mut number) = (0.0_f64, 0_u64);
    for ms in 0..seconds * 1_000 {
        let (now, now_ms) = (Duration::from_millis(ms.into()), f64::from(ms));
        let rate = link.iter().rev().find(|(from, _)| ms >= from * 1_000).unwrap().1 / 8.0;
        while receipts.front().is_some_and(|(at, _)| at + WAY_MS <= now_ms) {
            let (_, receipt) = receipts.pop_front().unwrap();
            if hears(ms) {
                session.feedback(Feedback::Received(receipt), now).unwrap();
            }
        }
        if ms % (1_000 / FPS) == 0 {
            number += 1;
            session.push(Stamp { frame_number: number, timestamp_us: 0 }, &picture(number).as_frame(), now).unwrap();
        }
        loop {
            match session.poll(now) {
                Output::Packet(packet) => {
                    let info = packet.info;
                    let there_ms = now_ms + WAY_MS;
                    free_ms = free_ms.max(there_ms) + packet.data.len() as f64 / rate;
                    sent.push(Sent {
                        at_ms: now_ms,
                        bytes: packet.data.len(),
                        scale: info.plan.scale,
                        is_measured: matches!(info.plan.reason, Reason::Window { .. }),
                        queue_ms: free_ms - there_ms,
                    });
                    let last_received = Duration::from_secs_f64(3_600.0 + free_ms / 1_000.0);
                    receipts.push_back((
                        free_ms,
                        Receipt {
                            frame_number: info.stamp.frame_number,
                            bytes: packet.data.len() as u32,
                            is_whole: true,
                            first_received: last_received,
                            last_received,
                            displayed: None,
                        },
                    ));
                }
                Output::Dropped(_) => {}
                Output::Failed(failed) => panic!("frame {}: {}", failed.stamp.frame_number, failed.error),
                Output::Wait(_) => break,
            }
        }
    }
    sent
}

fn kbps(sent: &[Sent], from_s: f64, to_s: f64) -> f64 {
    let within = sent.iter().filter(|s| (from_s * 1e3..to_s * 1e3).contains(&s.at_ms));
    within.map(|s| s.bytes as f64 * 8.0).sum::<f64>() / (to_s - from_s) / 1e3
}

fn longest_queue_ms(sent: &[Sent], from_s: f64, to_s: f64) -> f64 {
    sent.iter().filter(|s| (from_s * 1e3..to_s * 1e3).contains(&s.at_ms)).map(|s| s.queue_ms).fold(0.0, f64::max)
}

#[test]
fn a_link_nobody_declared_is_found_and_filled() {
    // JPEG of such noise finds no size that fills the link: the next one is too large at any quality.
    for (codec, least) in [(Codec::Jpeg, 300.0), (Codec::H264, 450.0)] {
        let sent = play(session(codec, Mode::Adaptive), &[(0, 600.0)], 14, |_| true);
        assert!(sent.iter().any(|s| s.is_measured), "{codec}");
        let used = kbps(&sent, 6.0, 14.0);
        assert!((least..=610.0).contains(&used), "{codec}: {used} kbit/s");
        assert!(longest_queue_ms(&sent, 6.0, 14.0) < 200.0, "{codec}: {}", longest_queue_ms(&sent, 6.0, 14.0));
    }
}

#[test]
fn a_link_that_falls_is_followed_down_and_one_that_rises_up() {
    let sent = play(session(Codec::H264, Mode::Adaptive), &[(0, 3_000.0), (8, 300.0), (18, 3_000.0)], 30, |_| true);
    assert!(longest_queue_ms(&sent, 9.0, 18.0) < 250.0, "{}", longest_queue_ms(&sent, 9.0, 18.0));
    let (before, low, after) = (kbps(&sent, 4.0, 8.0), kbps(&sent, 10.0, 18.0), kbps(&sent, 20.0, 30.0));
    assert!(low < 310.0 && low > 150.0 && before > 2.0 * low && after > 2.0 * low, "{before} {low} {after}");
    let scale_at = |at_s: f64| sent.iter().rfind(|s| s.at_ms < at_s * 1e3).unwrap().scale;
    assert!(scale_at(8.0) == Scale::FULL && scale_at(18.0) < Scale::FULL && scale_at(30.0) == Scale::FULL);
    let scales: Vec<Scale> = sent.iter().map(|s| s.scale).collect();
    let changes = scales.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 6, "{changes} changes of size");
}

#[test]
fn silence_of_the_way_back_slows_a_stream_and_never_stops_it() {
    let silent = |ms: u32| !(6_000..12_000).contains(&ms);
    let sent = play(session(Codec::H264, Mode::Adaptive), &[(0, 2_000.0)], 16, silent);
    let packets = |from_s: f64, to_s: f64| sent.iter().filter(|s| (from_s..to_s).contains(&(s.at_ms / 1e3))).count();
    assert!(packets(7.0, 12.0) >= 5 && packets(7.0, 12.0) < packets(1.0, 6.0), "{}", packets(7.0, 12.0));
    assert!(kbps(&sent, 7.0, 12.0) < 600.0 && kbps(&sent, 13.0, 16.0) > 400.0, "{}", kbps(&sent, 13.0, 16.0));
}

#[test]
fn a_quiet_picture_on_a_fast_link_is_held_back_by_nothing() {
    let mut session = session(Codec::H264, Mode::Adaptive);
    let still = picture(1);
    let mut waits = 0;
    for number in 1..=600_u64 {
        let now = Duration::from_millis(33 * number);
        session.push(Stamp { frame_number: number, timestamp_us: 0 }, &still.as_frame(), now).unwrap();
        let Output::Packet(packet) = session.poll(now) else {
            waits += 1;
            continue;
        };
        let last_received = now + Duration::from_millis(21);
        let receipt = Receipt {
            frame_number: number,
            bytes: packet.data.len() as u32,
            is_whole: true,
            first_received: last_received,
            last_received,
            displayed: Some(last_received + Duration::from_millis(5)),
        };
        session.feedback(Feedback::Received(receipt), now + Duration::from_millis(32)).unwrap();
    }
    assert_eq!(waits, 0);
    assert!(session.plan(Duration::from_secs(20)).scale == Scale::FULL);
}

#[test]
fn a_steady_link_sees_one_size_after_the_beginning() {
    for kbps in [300.0, 2_000.0] {
        let sent = play(session(Codec::H264, Mode::Adaptive), &[(0, kbps)], 40, |_| true);
        let changes = sent.windows(2).filter(|pair| pair[0].at_ms > 5_000.0 && pair[0].scale != pair[1].scale).count();
        assert!(changes <= 1, "{kbps} kbit/s: {changes} changes of size");
    }
}

#[test]
fn the_first_picture_is_as_large_as_looks_best_with_few_bytes() {
    let first = |picture: &FrameBuf| {
        let mut session = session(Codec::H264, Mode::Adaptive);
        session.push(Stamp { frame_number: 0, timestamp_us: 0 }, &picture.as_frame(), Duration::ZERO).unwrap();
        let Output::Packet(packet) = session.poll(Duration::ZERO) else { panic!("no packet") };
        assert!(packet.info.keyframe && packet.data.len() <= 2_400 && packet.info.ssim.is_some(), "{:?}", packet.info);
        packet.info
    };
    let mut bumps = FrameBuf::zeroed(PixelFormat::I420, WIDTH, HEIGHT).unwrap();
    for (at, sample) in bumps.data_mut().iter_mut().enumerate() {
        let (x, y) = ((at % WIDTH as usize) as f64, (at / WIDTH as usize) as f64);
        *sample = (128.0 + 60.0 * (x / 9.0).sin() * (y / 7.0).cos()) as u8;
    }
    let smooth = first(&bumps);
    assert!(smooth.plan.scale == Scale::FULL && smooth.fallback.is_none(), "{smooth:?}");
    let noise = first(&picture(0));
    assert!(noise.plan.scale < Scale::FULL && noise.fallback == Some(Fallback::Budget), "{noise:?}");
}

#[test]
fn a_silent_link_is_asked_with_small_frames_of_the_usual_size() {
    let silent = |ms: u32| !(8_000..10_000).contains(&ms);
    let sent = play(session(Codec::H264, Mode::Adaptive), &[(0, 3_000.0)], 14, silent);
    let usual = sent.iter().rfind(|s| s.at_ms < 8_000.0).unwrap().scale;
    let asking: Vec<&Sent> = sent.iter().filter(|s| (9_000.0..10_000.0).contains(&s.at_ms)).collect();
    assert!(!asking.is_empty() && asking.iter().all(|s| s.scale == usual && s.bytes <= 400), "{asking:?}");
    assert_eq!(sent.last().unwrap().scale, usual);
}
