//! Sessions in virtual time, with the real codecs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auralink::session::{Changes, DropReason, Fallback};
use auralink::{
    Cancel, Codec, Engine, Error, Feedback, Frame, FrameBuf, Mode, NetworkConditions, Output, PacketInfo, PixelFormat,
    Session, SessionConfig, Stamp,
};

fn engine() -> Engine {
    Engine::new(Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()))
}

/// A moving picture with edges, gradients and texture: I420, limited range.
fn picture(width: u32, height: u32, t: u32) -> FrameBuf {
    let mut data = Vec::with_capacity(PixelFormat::I420.frame_bytes(width, height));
    for y in 0..height {
        for x in 0..width {
            let moved = x + 3 * t;
            let gradient = 60 + (moved + y) / 12 % 100;
            let bars = if (moved / 24 + y / 24).is_multiple_of(5) { 60 } else { 0 };
            let texture = (moved.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 13 & 7;
            data.push((16 + gradient + bars + texture).min(235) as u8);
        }
    }
    for plane in 0..2 {
        for y in 0..height.div_ceil(2) {
            for x in 0..width.div_ceil(2) {
                data.push((110 + plane * 20 + (x + y + t) / 16 % 30) as u8);
            }
        }
    }
    FrameBuf::new(PixelFormat::I420, width, height, data).unwrap()
}

fn config(width: u32, height: u32) -> SessionConfig {
    SessionConfig::new(Codec::Jpeg, PixelFormat::I420, width, height)
}

#[derive(Default)]
struct Answers {
    packets: BTreeMap<u64, (PacketInfo, Vec<u8>)>,
    dropped: BTreeMap<u64, DropReason>,
}

impl Answers {
    fn drain(&mut self, session: &mut Session, now: Duration) -> Option<Duration> {
        loop {
            match session.poll(now) {
                Output::Packet(packet) => {
                    let number = packet.info.stamp.frame_number;
                    assert!(
                        self.packets.insert(number, (packet.info, packet.data.to_vec())).is_none(),
                        "{number} came twice"
                    );
                }
                Output::Dropped(frame) => {
                    let number = frame.stamp.frame_number;
                    assert!(self.dropped.insert(number, frame.reason).is_none(), "{number} came twice");
                }
                Output::Failed(frame) => panic!("{}: {}", frame.stamp.frame_number, frame.error),
                Output::Wait(until) => return until,
            }
        }
    }
}

/// Runs `count` frames at the session's rate and returns every answer.
fn run(session: &mut Session, from: u64, count: u64) -> Answers {
    let (width, height) = (session.config().width, session.config().height);
    let interval = Duration::from_secs_f64(1.0 / session.config().fps);
    let mut answers = Answers::default();
    for number in from..from + count {
        let now = interval * number as u32;
        let frame = picture(width, height, number as u32);
        session.push(Stamp { frame_number: number, timestamp_us: 7 * number }, &frame.as_frame(), now).unwrap();
        if let Some(until) = answers.drain(session, now).filter(|until| *until < now + interval) {
            answers.drain(session, until);
        }
    }
    session.close();
    answers.drain(session, interval * (from + count) as u32);
    assert_eq!(answers.packets.len() + answers.dropped.len(), count as usize, "every frame is answered once");
    answers
}

#[test]
fn without_a_network_every_frame_becomes_a_packet_that_keeps_the_modes_promise() {
    for mode in Mode::ALL {
        let mut session = engine().session(SessionConfig { mode, measure_quality: true, ..config(320, 180) }).unwrap();
        let answers = run(&mut session, 0, 10);
        assert_eq!(answers.packets.len(), 10);
        for (number, (info, data)) in &answers.packets {
            assert_eq!((info.stamp.timestamp_us, info.compressed_bytes), (7 * number, data.len()));
            assert!(data.starts_with(&[0xFF, 0xD8]) && data.ends_with(&[0xFF, 0xD9]));
            assert!(info.reduction() >= mode.reduction(), "{mode}: {info:?}");
            assert!(info.ssim.unwrap() >= mode.min_ssim() && info.psnr_db.unwrap() > 25.0, "{mode}: {info:?}");
            assert_eq!(info.fallback, None);
        }
        assert_eq!(session.stats().measured, 10);
    }
}

#[test]
fn a_declared_link_is_never_sent_more_than_it_carries() {
    for kbps in [64.0, 300.0, 2_000.0] {
        let network = Some(NetworkConditions::new(kbps, 40.0, 0.0, 0.0).unwrap());
        let mut session = engine().session(SessionConfig { network, ..config(640, 360) }).unwrap();
        let answers = run(&mut session, 0, 90);
        let bytes: usize = answers.packets.values().map(|(info, _)| info.compressed_bytes).sum();
        let allowed = kbps * 1000.0 / 8.0 * 3.0;
        let largest = answers.packets.values().map(|(info, _)| info.compressed_bytes).max().unwrap();
        assert!(bytes as f64 <= allowed + largest as f64, "{kbps} kbit/s: {bytes} bytes, {allowed} allowed");
        assert!(answers.packets.len() >= 3, "{kbps} kbit/s: the stream never stops");
    }
}

#[test]
fn a_held_frame_gives_way_to_a_newer_one_and_comes_out_when_the_link_is_free() {
    let network = Some(NetworkConditions::new(64.0, 0.0, 0.0, 0.0).unwrap());
    let mut session = engine().session(SessionConfig { network, fps: 120.0, ..config(160, 90) }).unwrap();
    let mut answers = Answers::default();
    let mut number = 0;
    let until = loop {
        let stamp = Stamp { frame_number: number, timestamp_us: 0 };
        session.push(stamp, &picture(160, 90, number as u32).as_frame(), Duration::ZERO).unwrap();
        if let Some(until) = answers.drain(&mut session, Duration::ZERO) {
            break until;
        }
        number += 1;
        assert!(number < 100, "64 kbit/s has to fill up at once");
    };
    let stamp = Stamp { frame_number: number + 1, timestamp_us: 0 };
    session.push(stamp, &picture(160, 90, 99).as_frame(), Duration::ZERO).unwrap();
    answers.drain(&mut session, until);
    let last = number + 1;
    let newest_won = answers.packets.contains_key(&last) || answers.dropped.get(&last) == Some(&DropReason::FrameRate);
    assert!(newest_won && answers.dropped.contains_key(&number) != answers.packets.contains_key(&number));
}

#[test]
fn a_floor_the_reduction_cant_hold_wins_and_is_told() {
    let wanted = SessionConfig {
        target_reduction: Some(0.95),
        min_quality: Some(0.98),
        measure_quality: true,
        max_latency_ms: 100,
        ..config(320, 180)
    };
    let mut session = engine().session(wanted).unwrap();
    for (info, _) in run(&mut session, 0, 5).packets.values() {
        assert!(info.ssim.unwrap() >= 0.98 && info.reduction() < 0.95, "{info:?}");
        assert_eq!(info.fallback, Some(Fallback::QualityFloor));
    }
    assert_eq!(session.stats().fallbacks_total(), 5);
}

#[test]
fn frames_that_are_not_measured_keep_the_floor_that_was_learned() {
    let wanted = SessionConfig {
        target_reduction: Some(0.95),
        min_quality: Some(0.98),
        max_latency_ms: 100,
        ..config(320, 180)
    };
    let mut session = engine().session(wanted).unwrap();
    let answers = run(&mut session, 0, 29);
    let probed = answers.packets[&0].0.quality;
    assert_eq!(answers.packets.values().filter(|(info, _)| info.ssim.is_some()).count(), 1);
    for (info, _) in answers.packets.values() {
        // A step lower at most: where the probe was well over the floor, the next frame may be a little coarser.
        assert!(info.quality + 1 >= probed, "{info:?}");
        assert_eq!(info.fallback, Some(Fallback::QualityFloor));
    }
}

#[test]
fn a_link_too_thin_for_the_floor_is_told_as_budget() {
    let network = Some(NetworkConditions::new(200.0, 40.0, 0.0, 0.0).unwrap());
    let wanted = SessionConfig { network, min_quality: Some(0.99), measure_quality: true, ..config(640, 360) };
    let mut session = engine().session(wanted).unwrap();
    let answers = run(&mut session, 0, 20);
    assert!(answers.packets.values().all(|(info, _)| info.fallback == Some(Fallback::Budget)));
}

#[test]
fn a_frame_that_took_too_long_says_so() {
    static NOW_US: AtomicU64 = AtomicU64::new(0);
    // A clock that leaps 9 ms at every look: no frame is done within 5.
    let clock = || Duration::from_micros(NOW_US.fetch_add(9_000, Ordering::Relaxed));
    let slow = SessionConfig { max_latency_ms: 5, ..config(160, 90) };
    let mut session = engine().with_clock(clock).session(slow).unwrap();
    let answers = run(&mut session, 0, 3);
    assert!(answers.packets.values().all(|(info, _)| info.fallback == Some(Fallback::Latency)));
    assert!(answers.packets.values().all(|(info, _)| info.times.total_us() >= 9_000));
}

#[test]
fn the_network_can_change_and_a_smaller_picture_comes() {
    let mut session = engine().session(config(640, 360)).unwrap();
    let wide = run(&mut session, 0, 3);
    session
        .feedback(Feedback::Network(NetworkConditions::new(800.0, 40.0, 1.0, 5.0).unwrap()), Duration::ZERO)
        .unwrap();
    let narrow = run(&mut session, 3, 20);
    let last = narrow.packets.values().last().unwrap().0;
    assert!(last.width < 640 && last.compressed_bytes < wide.packets[&2].0.compressed_bytes, "{last:?}");
    let image =
        zune_jpeg::JpegDecoder::new(zune_core_cursor(&narrow.packets.values().last().unwrap().1)).decode().unwrap();
    assert_eq!(image.len(), last.width as usize * last.height as usize * 3);
}

fn zune_core_cursor(data: &[u8]) -> std::io::Cursor<&[u8]> {
    std::io::Cursor::new(data)
}

#[test]
fn lossless_sessions_predict_from_the_frame_before_and_start_again_when_asked() {
    let mut session = engine().session(SessionConfig { codec: Codec::Lossless, ..config(320, 180) }).unwrap();
    let still = picture(320, 180, 0);
    let mut answers = Answers::default();
    for number in 0..4 {
        if number == 3 {
            session.feedback(Feedback::Keyframe, Duration::ZERO).unwrap();
        }
        session.push(Stamp { frame_number: number, timestamp_us: 0 }, &still.as_frame(), Duration::ZERO).unwrap();
        answers.drain(&mut session, Duration::ZERO);
    }
    let keyframes: Vec<bool> = answers.packets.values().map(|(info, _)| info.keyframe).collect();
    assert_eq!(keyframes, [true, false, false, true]);
    assert!(answers.packets[&1].1.len() * 50 < answers.packets[&0].1.len(), "an unchanged frame costs next to nothing");

    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut decoder =
        auralink::codec::lossless::LosslessDecoder::new(auralink::kernel::detect(), auralink::Limits::ENGINE);
    for (_, data) in answers.packets.values() {
        assert_eq!(decoder.decode(data, &pool).unwrap().data(), still.data());
    }
}

#[test]
fn a_frame_that_is_given_up_fails_alone() {
    for codec in Codec::ALL {
        let base = SessionConfig { codec, abbreviate: codec == Codec::Jpeg, ..config(960, 540) };
        let mut session = engine().session(SessionConfig { measure_quality: true, ..base }).unwrap();
        let (mut answers, mut failed) = (BTreeMap::new(), Vec::new());
        for number in 0..24 {
            let cancel = Cancel::default();
            session.heed(&cancel);
            let frame = picture(960, 540, number / 2);
            std::thread::scope(|scope| {
                // One in two is given up, the first of them before they begin.
                if number % 2 == 1 && number < 6 {
                    cancel.raise();
                } else if number % 2 == 1 {
                    scope.spawn(|| {
                        std::thread::sleep(Duration::from_micros(u64::from(number) * 150));
                        cancel.raise();
                    });
                }
                let stamp = Stamp { frame_number: number.into(), timestamp_us: 0 };
                session.push(stamp, &frame.as_frame(), Duration::ZERO).unwrap();
            });
            match session.poll(Duration::ZERO) {
                Output::Packet(packet) => {
                    let is_first = failed.last().is_some_and(|last| last + 1 == number);
                    assert!(packet.info.keyframe || !is_first, "{codec}: nobody has what frame {number} needs");
                    answers.insert(number, packet.data.to_vec());
                }
                Output::Failed(frame) => {
                    assert_eq!((frame.error, number % 2), (Error::Abandoned, 1), "{codec}");
                    failed.push(number);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(failed.len() >= 3, "{codec}: {failed:?}");
        if codec == Codec::Lossless {
            let (level, limits) = (auralink::kernel::detect(), auralink::Limits::ENGINE);
            let mut decoder = auralink::codec::lossless::LosslessDecoder::new(level, limits);
            for (number, data) in answers {
                let shown = decoder.decode(&data, engine().pool()).unwrap();
                assert!(shown.data() == picture(960, 540, number / 2).data(), "frame {number}");
            }
        }
    }
}

#[test]
fn bad_frames_are_refused_and_the_session_goes_on() {
    let mut session = engine().session(config(320, 180)).unwrap();
    let stamp = |frame_number| Stamp { frame_number, timestamp_us: 0 };
    let good = picture(320, 180, 0);
    session.push(stamp(5), &good.as_frame(), Duration::ZERO).unwrap();
    let small = picture(318, 180, 0);
    assert_eq!(session.push(stamp(6), &small.as_frame(), Duration::ZERO).unwrap_err().field(), "size");
    let pixels = vec![0; 320 * 180 * 3];
    let rgb = Frame::new(PixelFormat::Rgb8, 320, 180, &pixels).unwrap();
    assert_eq!(session.push(stamp(6), &rgb, Duration::ZERO).unwrap_err().field(), "format");
    assert_eq!(session.push(stamp(5), &good.as_frame(), Duration::ZERO).unwrap_err().field(), "frame_number");
    let changes = Changes { fps: Some(f64::NAN), ..Changes::default() };
    assert_eq!(session.feedback(Feedback::Reconfigure(changes), Duration::ZERO).unwrap_err().field(), "fps");
    session.push(stamp(6), &good.as_frame(), Duration::ZERO).unwrap();
    let mut answers = Answers::default();
    answers.drain(&mut session, Duration::ZERO);
    assert_eq!((answers.packets.len(), session.stats().frames_in), (2, 2));
}

#[test]
fn nobody_polling_loses_nothing() {
    let mut session = engine().session(config(160, 90)).unwrap();
    let frame = picture(160, 90, 0);
    let refused = (0..200).find(|&number| {
        session.push(Stamp { frame_number: number, timestamp_us: 0 }, &frame.as_frame(), Duration::ZERO).is_err()
    });
    let accepted = refused.expect("a caller who never polls is refused");
    let mut answers = Answers::default();
    answers.drain(&mut session, Duration::ZERO);
    assert_eq!(answers.packets.len() + answers.dropped.len(), accepted as usize);
}

#[test]
fn configurations_out_of_bounds_are_named() {
    let refuse = |config: SessionConfig| engine().session(config).unwrap_err().field();
    assert_eq!(refuse(SessionConfig { fps: 0.5, ..config(320, 180) }), "fps");
    assert_eq!(refuse(SessionConfig { fps: f64::NAN, ..config(320, 180) }), "fps");
    assert_eq!(refuse(SessionConfig { max_latency_ms: 4, ..config(320, 180) }), "max_latency_ms");
    assert_eq!(refuse(SessionConfig { target_reduction: Some(0.96), ..config(320, 180) }), "target_reduction");
    assert_eq!(refuse(SessionConfig { min_quality: Some(0.4), ..config(320, 180) }), "min_quality");
    assert_eq!(refuse(SessionConfig { format: PixelFormat::Gray16, ..config(320, 180) }), "codec");
    assert_eq!(refuse(config(0, 180)), "width");
}
