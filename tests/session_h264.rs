//! Sessions of H.264 in virtual time: what stands alone, what is lost, what fits, and what another decoder makes of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

mod skip;

use std::cell::Cell;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use auralink::codec::h264::{H264Config, Preset};
use auralink::rate::Cbr;
use auralink::session::{Changes, Fallback};
use auralink::{
    Codec, Coder, Engine, Feedback, FrameBuf, Mode, NetworkConditions, Order, Output, PacketInfo, PixelFormat, Session,
    SessionConfig, Stamp,
};

fn engine() -> Engine {
    Engine::new(Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap()))
}

/// Textured ground that moves slowly, and a bar that crosses it: I420.
fn picture(width: u32, height: u32, t: u32) -> FrameBuf {
    let mut data = Vec::with_capacity(PixelFormat::I420.frame_bytes(width, height));
    for y in 0..height {
        for x in 0..width {
            let moved = x + t;
            let texture = (moved.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 13 & 15;
            let bar = if (x + width - 5 * t % width) % width < 24 { 90 } else { 0 };
            data.push((40 + (moved + 2 * y) / 8 % 80 + bar + texture).min(235) as u8);
        }
    }
    for plane in 0..2 {
        for y in 0..height.div_ceil(2) {
            data.extend((0..width.div_ceil(2)).map(|x| (110 + plane * 20 + (x + y + t) / 16 % 30) as u8));
        }
    }
    FrameBuf::new(PixelFormat::I420, width, height, data).unwrap()
}

fn config(width: u32, height: u32) -> SessionConfig {
    SessionConfig { max_latency_ms: 100, ..SessionConfig::new(Codec::H264, PixelFormat::I420, width, height) }
}

struct Sent {
    info: PacketInfo,
    data: Vec<u8>,
    at: Duration,
}

/// Pushes frame `number` at its time and gives what comes out of the session until the next.
fn step(session: &mut Session, number: u64) -> Vec<Sent> {
    let SessionConfig { width, height, fps, .. } = *session.config();
    let interval = Duration::from_secs_f64(1.0 / fps);
    let mut now = interval * number as u32;
    let stamp = Stamp { frame_number: number, timestamp_us: 0 };
    session.push(stamp, &picture(width, height, number as u32).as_frame(), now).unwrap();
    let mut sent = Vec::new();
    loop {
        match session.poll(now) {
            Output::Packet(packet) => sent.push(Sent { info: packet.info, data: packet.data.to_vec(), at: now }),
            Output::Dropped(_) => {}
            Output::Failed(frame) => panic!("{number}: {}", frame.error),
            Output::Wait(Some(until)) if until < interval * (number as u32 + 1) => now = until.max(now),
            Output::Wait(_) => return sent,
        }
    }
}

fn run(session: &mut Session, numbers: std::ops::Range<u64>) -> Vec<Sent> {
    numbers.flat_map(|number| step(session, number)).collect()
}

fn kinds(sent: &[Sent]) -> Vec<bool> {
    sent.iter().map(|sent| sent.info.keyframe).collect()
}

/// I420 of every frame that ffmpeg makes of a stream, scaled to one size; none where there is no ffmpeg.
fn decoded(data: &[u8], filter: &str) -> Option<Vec<u8>> {
    let arguments = ["-v", "error", "-xerror", "-f", "h264", "-i", "-", "-vf", filter, "-pix_fmt", "yuv420p"];
    let output = ["-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    let child =
        Command::new("ffmpeg").args(arguments).args(output).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        skip::say(format_args!("what ffmpeg makes of a session's packets: there is no ffmpeg"));
        return None;
    };
    let mut pipe = child.stdin.take().unwrap();
    let bytes = data.to_vec();
    let writer = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "ffmpeg refuses the stream");
    Some(output.stdout)
}

#[test]
fn the_first_packet_stands_alone_and_so_does_one_that_is_asked_for() {
    let mut session = engine().session(config(320, 180)).unwrap();
    let mut sent = run(&mut session, 0..6);
    session.feedback(Feedback::Keyframe, Duration::ZERO).unwrap();
    sent.extend(run(&mut session, 6..9));
    assert_eq!(kinds(&sent), [true, false, false, false, false, false, true, false, false]);
    for Sent { info, data, .. } in &sent {
        assert!(data.starts_with(&[0, 0, 0, 1]) && info.compressed_bytes == data.len());
        assert_eq!((info.codec, info.fallback, info.keyframe), (Codec::H264, None, data[4] & 31 == 7));
        assert!(info.qp.is_some() && info.reduction() > 0.9, "{info:?}");
    }
    assert!(sent[3].data.len() * 2 < sent[0].data.len(), "prediction saves");
    assert_eq!(session.stats().keyframes, 2);
    let stream: Vec<u8> = sent.iter().flat_map(|sent| sent.data.clone()).collect();
    if let Some(seen) = decoded(&stream, "null") {
        assert_eq!(seen.len(), 9 * 320 * 180 * 3 / 2);
    }
}

#[test]
fn every_mode_keeps_its_promise_and_is_measured_as_others_measure_it() {
    for mode in Mode::ALL {
        let wanted = SessionConfig { mode, measure_quality: true, ..config(320, 180) };
        let mut session = engine().session(wanted).unwrap();
        let sent = run(&mut session, 0..12);
        for Sent { info, .. } in &sent {
            assert!(info.reduction() >= mode.reduction() && info.ssim.unwrap() >= mode.min_ssim(), "{mode}: {info:?}");
            assert_eq!(info.fallback, None, "{mode}");
        }
        let stream: Vec<u8> = sent.iter().flat_map(|sent| sent.data.clone()).collect();
        let Some(seen) = decoded(&stream, "null") else { return };
        for (number, (seen, sent)) in seen.chunks(320 * 180 * 3 / 2).zip(&sent).enumerate() {
            let (source, seen) = (picture(320, 180, number as u32), &seen[..320 * 180]);
            let squares = seen.iter().zip(source.data()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
            let mean = squares.sum::<f64>() / seen.len() as f64;
            let psnr_db = 10.0 * (255.0_f64.powi(2) / mean).log10();
            assert!(
                (psnr_db - sent.info.psnr_db.unwrap()).abs() < 0.01,
                "{mode}, frame {number}: {psnr_db} {:?}",
                sent.info
            );
        }
    }
}

#[test]
fn after_a_loss_nothing_is_predicted_from_what_the_receiver_lacks() {
    for acknowledges in [true, false] {
        let mut session = engine().session(config(320, 180)).unwrap();
        let mut keyframes = 0;
        for number in 0..60 {
            for Sent { info, at, .. } in step(&mut session, number) {
                // Every eleventh packet is lost, which is told when the one after the next was made.
                let told = number.checked_sub(2).filter(|told| told % 11 == 7);
                if number % 11 == 7 {
                    continue;
                }
                keyframes += u64::from(info.keyframe);
                if acknowledges {
                    session.feedback(Feedback::Ack { frame_number: number }, at).unwrap();
                }
                if let Some(frame_number) = told {
                    session.feedback(Feedback::Lost { frame_number }, at).unwrap();
                }
            }
        }
        assert_eq!(session.stats().lost, 5);
        if acknowledges {
            assert!(keyframes < 4, "an acknowledged picture serves: {keyframes} keyframes");
        } else {
            assert_eq!(keyframes, 6, "with nothing acknowledged each loss takes a keyframe");
        }
    }
}

#[test]
fn numbers_of_frames_that_never_became_packets_mean_nothing() {
    let mut session = engine().session(config(160, 90)).unwrap();
    run(&mut session, 5..8);
    for frame_number in [0, 4, 900] {
        session.feedback(Feedback::Lost { frame_number }, Duration::ZERO).unwrap();
        session.feedback(Feedback::Ack { frame_number }, Duration::ZERO).unwrap();
    }
    assert_eq!(kinds(&run(&mut session, 8..10)), [false, false]);
    assert_eq!(session.stats().lost, 0);
}

#[test]
fn another_size_begins_with_a_keyframe_and_the_stream_goes_on() {
    let mut session = engine().session(SessionConfig { fps: 60.0, ..config(640, 360) }).unwrap();
    let mut sent = run(&mut session, 0..3);
    let thin = NetworkConditions::new(64.0, 40.0, 0.0, 0.0).unwrap();
    session.feedback(Feedback::Network(thin), Duration::from_millis(100)).unwrap();
    sent.extend(run(&mut session, 3..120));
    let narrow = sent.last().unwrap().info;
    assert!(narrow.width < 640 && narrow.width.is_multiple_of(2), "{narrow:?}");
    for pair in sent.windows(2) {
        let resized = pair[0].info.width != pair[1].info.width;
        assert!(!resized || pair[1].info.keyframe, "{:?}", pair[1].info);
    }
    session.feedback(Feedback::Reconfigure(Changes { fps: Some(15.0), ..Changes::default() }), Duration::ZERO).unwrap();
    sent.extend(run(&mut session, 120..150));
    let stream: Vec<u8> = sent.iter().flat_map(|sent| sent.data.clone()).collect();
    if let Some(seen) = decoded(&stream, "scale=64:36") {
        assert_eq!(seen.len(), sent.len() * 64 * 36 * 3 / 2);
    }
}

#[test]
fn a_declared_link_is_never_sent_more_than_it_carries() {
    for kbps in [64.0, 300.0, 2_000.0] {
        let network = Some(NetworkConditions::new(kbps, 40.0, 0.0, 0.0).unwrap());
        let mut session = engine().session(SessionConfig { network, ..config(640, 360) }).unwrap();
        let sent = run(&mut session, 0..90);
        let bytes: usize = sent.iter().map(|sent| sent.data.len()).sum();
        let largest = sent.iter().map(|sent| sent.data.len()).max().unwrap();
        assert!(bytes as f64 <= kbps * 125.0 * 3.0 + largest as f64, "{kbps} kbit/s: {bytes} bytes");
        assert!(sent.len() >= 10, "{kbps} kbit/s: {} packets", sent.len());
        for Sent { info, .. } in sent.iter().filter(|sent| sent.info.fallback.is_none()) {
            assert!(info.compressed_bytes <= info.plan.budget_bytes.unwrap() as usize, "{kbps}: {info:?}");
        }
    }
}

#[test]
fn a_floor_that_quality_alone_holds_is_reached_by_a_finer_keyframe() {
    let wanted = SessionConfig { min_quality: Some(0.995), measure_quality: true, ..config(320, 180) };
    let mut session = engine().session(wanted).unwrap();
    let sent = run(&mut session, 0..8);
    for Sent { info, .. } in &sent {
        assert!(info.ssim.unwrap() >= 0.995 || info.fallback == Some(Fallback::Budget), "{info:?}");
    }
    assert!(sent.last().unwrap().info.ssim.unwrap() >= 0.995);
    let stream: Vec<u8> = sent.iter().flat_map(|sent| sent.data.clone()).collect();
    if let Some(seen) = decoded(&stream, "null") {
        assert_eq!(seen.len(), 8 * 320 * 180 * 3 / 2, "what was coded anew left no trace");
    }
}

#[test]
fn a_constant_bit_rate_is_kept_by_the_session() {
    for kbps in [400.0, 1_500.0] {
        let wanted = SessionConfig { bitrate_kbps: Some(kbps), fps: 25.0, ..config(320, 180) };
        let mut session = engine().session(wanted).unwrap();
        let mut bucket = Cbr::new(kbps, auralink::session::BITRATE_BUFFER_MS).unwrap();
        let sent = run(&mut session, 0..125);
        assert_eq!(sent.len(), 125);
        for Sent { info, at, .. } in &sent {
            bucket.sent(*at, info.compressed_bytes);
            assert!(bucket.full_bytes(*at) <= bucket.capacity_bytes(), "{kbps} kbit/s: overrun by {info:?}");
        }
        let told = sent.iter().map(|sent| sent.data.len()).sum::<usize>() as f64 * 8.0 / 5_000.0;
        assert!(told <= kbps * 1.02, "{kbps} kbit/s asked, {told:.0} over five seconds");
    }
}

thread_local! {
    /// The time, and how far it leaps at every look, microseconds.
    static CLOCK_US: Cell<[u64; 2]> = const { Cell::new([0; 2]) };
}

/// A clock that leaps at every look, so that coding once takes one leap.
fn leaping_clock() -> Duration {
    let [now_us, leap_us] = CLOCK_US.get();
    CLOCK_US.set([now_us + leap_us, leap_us]);
    Duration::from_micros(now_us)
}

/// Codes frames that take so long each, and gives the packets.
fn run_timed(session: &mut Session, numbers: std::ops::Range<u64>, coding_us: u64) -> Vec<Sent> {
    CLOCK_US.set([0, coding_us]);
    run(session, numbers)
}

fn presets(sent: &[Sent]) -> Vec<Preset> {
    sent.iter().map(|sent| sent.info.preset.unwrap()).collect()
}

/// With a floor so low that each frame is coded once.
fn within_10_ms() -> SessionConfig {
    let usual = config(160, 90);
    let h264 = H264Config { preset: Preset::Best, ..usual.h264 };
    SessionConfig { h264, deadline_ms: Some(10), min_quality: Some(0.5), ..usual }
}

#[test]
fn a_deadline_steps_between_presets_by_the_time_frames_take() {
    use Preset::{Balanced, Best, Fast};
    let mut session = engine().with_clock(leaping_clock).session(within_10_ms()).unwrap();
    let mut sent = run_timed(&mut session, 0..5, 9_000);
    assert_eq!(presets(&sent), [Best, Balanced, Fast, Fast, Fast]);
    let calm = run_timed(&mut session, 5..70, 3_000);
    let expected: Vec<_> = [(30, Fast), (30, Balanced), (5, Best)].iter().flat_map(|&(n, p)| vec![p; n]).collect();
    assert_eq!(presets(&calm), expected);
    sent.extend(calm);
    sent.extend(run_timed(&mut session, 70..72, 9_000));
    assert_eq!(presets(&sent[70..]), [Best, Balanced]);

    assert_eq!(session.config().h264.preset, Best, "what was asked for stays known");
    assert_eq!(session.stats().keyframes, 1, "a step is no new start");
    assert!(sent.iter().all(|sent| sent.info.fallback.is_none()));
    let stream: Vec<u8> = sent.iter().flat_map(|sent| sent.data.clone()).collect();
    if let Some(seen) = decoded(&stream, "null") {
        assert_eq!(seen.len(), 72 * 160 * 90 * 3 / 2);
    }
}

#[test]
fn without_a_clock_or_a_deadline_the_preset_stays() {
    let bytes = |sent: Vec<Sent>| sent.into_iter().map(|sent| sent.data).collect::<Vec<_>>();
    let usual = SessionConfig { deadline_ms: None, ..within_10_ms() };
    let expected = bytes(run(&mut engine().session(usual).unwrap(), 0..6));

    let sent = run(&mut engine().session(within_10_ms()).unwrap(), 0..6);
    assert_eq!(presets(&sent), [Preset::Best; 6]);
    assert!(bytes(sent) == expected);

    let sent = run_timed(&mut engine().with_clock(leaping_clock).session(usual).unwrap(), 0..6, 20_000);
    assert_eq!(presets(&sent), [Preset::Best; 6]);
    assert!(bytes(sent) == expected);
}

#[test]
fn all_passes_of_a_frame_count_against_its_deadline() {
    // A floor that takes several passes: each is well within the deadline, and together they aren't.
    let wanted = SessionConfig { min_quality: Some(0.995), measure_quality: true, ..within_10_ms() };
    let mut session = engine().with_clock(leaping_clock).session(wanted).unwrap();
    let sent = run_timed(&mut session, 0..2, 5_000);
    assert!(sent[0].info.times.encode_us >= 10_000, "{:?}", sent[0].info);
    assert_eq!(presets(&sent), [Preset::Best, Preset::Balanced]);
}

#[test]
fn a_coder_takes_other_presets_without_a_keyframe_and_ffmpeg_sees_the_same() {
    let mut coder = engine().coder();
    let mut order = Order { keyframe: false, ..Order::still(Codec::H264) };
    let (mut stream, mut expected, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..9 {
        order.h264.preset = Preset::ALL[t as usize / 2 % 3];
        let coded = coder.code(&picture(320, 180, t).as_frame(), &order, &mut stream).unwrap();
        assert_eq!((coded.keyframe, coded.h264.unwrap().preset), (t == 0, order.h264.preset));
        let seen = coder.reconstruction(Codec::H264).unwrap();
        let luma = seen.plane(0);
        (0..luma.rows()).for_each(|y| expected.extend_from_slice(luma.row(y)));
        sizes.push(coded.bytes);
    }
    let mut alone = engine().coder();
    order.h264.preset = Preset::Fast;
    let fast: Vec<_> =
        (0..9).map(|t| alone.code(&picture(320, 180, t).as_frame(), &order, &mut Vec::new()).unwrap().bytes).collect();
    assert!(sizes[..2] == fast[..2] && sizes[2..] != fast[2..], "another preset does something: {sizes:?} {fast:?}");
    if let Some(seen) = decoded(&stream, "null") {
        let luma: Vec<u8> = seen.chunks(320 * 180 * 3 / 2).flat_map(|frame| frame[..320 * 180].to_vec()).collect();
        assert!(luma == expected);
    }
}

#[test]
fn a_coder_keeps_the_bytes_it_is_given_and_opens_anew_for_other_settings() {
    let mut coder: Coder = engine().coder();
    let mut order = Order { keyframe: false, max_bytes: Some(6_000), ..Order::still(Codec::H264) };
    let mut keyframes = Vec::new();
    for t in 0..8 {
        let mut packet = Vec::new();
        if t == 5 {
            order.h264 = H264Config { slices: 2, ..order.h264 };
        }
        let coded = coder.code(&picture(320, 180, t).as_frame(), &order, &mut packet).unwrap();
        assert!(packet.len() <= 6_000 && coded.bytes == packet.len());
        assert!(coder.reconstruction(Codec::H264).is_some());
        keyframes.push(coded.keyframe);
    }
    assert_eq!(keyframes, [true, false, false, false, false, true, false, false]);
}

#[test]
fn configurations_out_of_bounds_are_named() {
    let refuse = |config: SessionConfig| engine().session(config).unwrap_err().field();
    assert_eq!(refuse(config(15, 180)), "width");
    assert_eq!(refuse(config(320, 8_194)), "height");
    assert_eq!(refuse(SessionConfig { format: PixelFormat::Gray16, ..config(320, 180) }), "codec");
    assert_eq!(refuse(SessionConfig { bitrate_kbps: Some(0.0), ..config(320, 180) }), "bitrate_kbps");
    assert_eq!(
        refuse(SessionConfig { bitrate_kbps: Some(9.0), codec: Codec::Jpeg, ..config(320, 180) }),
        "bitrate_kbps"
    );
    for (deadline_ms, codec) in [(0, Codec::H264), (10_001, Codec::H264), (10, Codec::Jpeg)] {
        assert_eq!(refuse(SessionConfig { deadline_ms: Some(deadline_ms), codec, ..config(320, 180) }), "deadline_ms");
    }
    let h264 = H264Config { slices: 17, ..H264Config::default() };
    assert_eq!(refuse(SessionConfig { h264, ..config(320, 180) }), "slices");
}
