//! Streams: every frame is answered, and nothing bad ends them.

use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::proto::compress_stream_response::Message as Out;
use auralink::service::proto::{self, CompressStreamRequest};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::harness::{Talk, config, config_with, i420, noise, open_i420, start, violations};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_frames_with_credits_are_three_hundred_packets() {
    let server = start(config()).await;
    let open = proto::Open { codec: proto::Codec::Jpeg as i32, ..open_i420(320, 180) };
    let (mut talk, opened) = Talk::open(&mut server.client().await, open).await.unwrap();
    assert_eq!((opened.window, opened.frame_bytes), (2, 320 * 180 * 3 / 2));
    let mut sent = 0;
    for answered in 1..=300_u64 {
        while sent < 300 && sent < answered - 1 + u64::from(opened.window) {
            sent += 1;
            talk.frame(sent, i420(320, 180, sent as u32)).await;
        }
        let packet = talk.packet().await;
        assert_eq!((packet.frame_number, packet.timestamp_us), (answered, answered * 33_333));
        assert!(packet.data.starts_with(&[0xFF, 0xD8]) && packet.plan.is_some());
    }
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_messages_among_good_ones_are_answered_and_the_stream_goes_on() {
    let server = start(config()).await;
    let (mut talk, _) = Talk::open(&mut server.client().await, open_i420(320, 180)).await.unwrap();
    let bad_network = proto::NetworkConditions { bandwidth_kbps: 5_000.0, rtt_ms: f64::NAN, ..Default::default() };
    let frame = |frame_number, bytes: usize| {
        In::Frame(proto::StreamFrame { frame_number, data: noise(bytes, 3), ..Default::default() })
    };
    let changes = proto::Reconfigure { min_quality: Some(2.0), fps: Some(0.0), ..Default::default() };
    let strided = proto::StreamFrame { frame_number: 13, data: noise(9, 1), strides: vec![320], ..Default::default() };
    let cases = [
        (frame(1, 320 * 180), 1, "frame.data", "57600 bytes, but 86400 are needed"),
        (frame(2, 11 << 20), 2, "frame.data", "11534336 bytes, but 86400 are needed"),
        (In::Network(bad_network), 0, "network.rtt_ms", "NaN is outside 0..=5000"),
        (
            In::Ack(proto::Ack { frame_number: 99_999, received_us: 0, ..proto::Ack::default() }),
            0,
            "ack.frame_number",
            "99999",
        ),
        (In::Lost(proto::Lost { frame_number: 99_999 }), 0, "lost.frame_number", "99999"),
        (In::Reconfigure(changes), 0, "reconfigure.fps", "0 is outside 1..=120"),
        (In::Open(open_i420(320, 180)), 0, "open", "once"),
        (In::Frame(strided), 13, "frame.strides", "1 given, but i420 has 3 planes"),
        (frame(0, 320 * 180 * 3 / 2), 0, "frame.frame_number", "doesn't ascend"),
    ];
    for (index, (message, number, field, told)) in cases.into_iter().enumerate() {
        let good = 100 + index as u64;
        talk.frame(good, i420(320, 180, index as u32)).await;
        assert_eq!(talk.packet().await.frame_number, good);
        talk.say(message).await;
        let error = talk.error().await;
        assert_eq!((error.frame_number, error.code), (number, Code::InvalidArgument as i32), "{error:?}");
        assert_eq!(error.violations[0].field, field);
        assert!(error.violations[0].description.contains(told), "{error:?}");
    }
    talk.say.send(CompressStreamRequest { message: None }).await.unwrap();
    assert_eq!(talk.error().await.violations[0].field, "message");
    talk.say(In::Reconfigure(proto::Reconfigure { measure_quality: Some(true), ..Default::default() })).await;
    talk.say(In::Keyframe(proto::KeyframeRequest {})).await;
    talk.say(In::Ack(proto::Ack { frame_number: 107, received_us: 1, ..proto::Ack::default() })).await;
    talk.frame(200, i420(320, 180, 9)).await;
    let packet = talk.packet().await;
    assert!(packet.ssim.is_some() && packet.frame_number == 200);
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_opens_badly_is_told_everything() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let open = proto::Open {
        session_id: "123e4567-e89b-12d3-a456-426614174000".to_owned(),
        network: Some(proto::NetworkConditions { bandwidth_kbps: f64::NAN, ..Default::default() }),
        window: 9,
        ..open_i420(100, 180)
    };
    let status = Talk::open(&mut client, open).await.err().unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut fields: Vec<_> = violations(&status).into_iter().map(|(field, _)| field).collect();
    fields.sort();
    assert_eq!(fields, ["open.network.bandwidth_kbps", "open.session_id", "open.width", "open.window"]);

    let first = In::Keyframe(proto::KeyframeRequest {});
    let requests = tokio_stream::iter([CompressStreamRequest { message: Some(first) }]);
    let mut answers = client.compress_stream(requests).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!((status.code(), violations(&status)[0].0.as_str()), (Code::InvalidArgument, "open"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_window_the_newest_wins_and_every_frame_is_answered() {
    let server = start(config()).await;
    let open = proto::Open { measure_quality: true, ..open_i420(1280, 720) };
    let (mut talk, _) = Talk::open(&mut server.client().await, open).await.unwrap();
    let frames: Vec<_> = (0..4).map(|time| i420(1280, 720, time)).collect();
    for number in 1..=60_u64 {
        talk.frame(number, frames[number as usize % 4].clone()).await;
    }
    let (mut packets, mut superseded) = (Vec::new(), Vec::new());
    while packets.len() + superseded.len() < 60 {
        match talk.next().await.unwrap() {
            Some(Out::Packet(packet)) => packets.push(packet.frame_number),
            Some(Out::Dropped(dropped)) => {
                assert_eq!(dropped.reason(), proto::DropReason::Superseded);
                superseded.push(dropped.frame_number);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(packets.is_sorted() && superseded.is_sorted(), "{packets:?} {superseded:?}");
    assert_eq!(packets.last(), Some(&60), "the newest is never the one that is dropped");
    assert!(!superseded.is_empty(), "sixty frames at once can't all have been coded in time");
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closing_finishes_what_was_accepted() {
    let server = start(config()).await;
    let mut open = open_i420(640, 360);
    open.window = 8;
    // A link so slow that the session holds frames back: they're told as given up, not lost.
    open.network = Some(proto::NetworkConditions { bandwidth_kbps: 64.0, rtt_ms: 100.0, ..Default::default() });
    let (talk, _) = Talk::open(&mut server.client().await, open).await.unwrap();
    for number in 1..=8 {
        talk.frame(number, i420(640, 360, number as u32)).await;
    }
    let mut numbers: Vec<_> = talk
        .finish()
        .await
        .unwrap()
        .into_iter()
        .map(|answer| match answer {
            Out::Packet(packet) => packet.frame_number,
            Out::Dropped(dropped) => dropped.frame_number,
            other => panic!("{other:?}"),
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_frame_is_sent_when_its_link_is_free() {
    let server = start(config()).await;
    let network = proto::NetworkConditions { bandwidth_kbps: 2_000.0, rtt_ms: 10.0, ..Default::default() };
    let open = proto::Open { network: Some(network), fps: 120.0, ..open_i420(640, 360) };
    let (mut talk, _) = Talk::open(&mut server.client().await, open).await.unwrap();
    talk.frame(1, i420(640, 360, 1)).await;
    let first = talk.packet().await;
    assert_eq!(first.frame_number, 1);
    let mut number = 1;
    // Frames come far faster than the link takes them: some are held and sent without a further frame to wake them.
    for _ in 0..5 {
        number += 1;
        talk.frame(number, noise(640 * 360 * 3 / 2, number as u32)).await;
        match talk.next().await.unwrap() {
            Some(Out::Packet(packet)) => assert_eq!(packet.frame_number, number),
            Some(Out::Dropped(dropped)) => assert_eq!(dropped.frame_number, number),
            other => panic!("{other:?}"),
        }
    }
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encoded_pictures_make_the_session_they_need() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let png = |width: u32, height: u32, time: u32| {
        let pixels = noise((width * height * 3) as usize, time);
        let frame = auralink::Frame::new(auralink::PixelFormat::Rgb8, width, height, &pixels).unwrap();
        let mut file = Vec::new();
        auralink::images::encode_png(&frame, &mut file).unwrap();
        bytes::Bytes::from(file)
    };
    let open = proto::Open {
        format: proto::PixelFormat::Encoded as i32,
        codec: proto::Codec::Lossless as i32,
        ..Default::default()
    };
    let (mut talk, opened) = Talk::open(&mut client, open).await.unwrap();
    assert_eq!(opened.frame_bytes, 0);
    talk.say(In::Reconfigure(proto::Reconfigure { fps: Some(10.0), ..Default::default() })).await;
    talk.frame(1, bytes::Bytes::from_static(b"no picture at all")).await;
    let error = talk.error().await;
    assert_eq!((error.frame_number, error.violations[0].field.as_str()), (1, "frame.data"));
    talk.frame(2, png(200, 100, 1)).await;
    let packet = talk.packet().await;
    assert_eq!((packet.width, packet.height), (200, 100));
    talk.frame(3, png(240, 100, 2)).await;
    let error = talk.error().await;
    assert!(error.message.contains("240x100") && error.message.contains("200x100"), "{error:?}");
    talk.frame(4, noise(11 << 20, 1)).await;
    let error = talk.error().await;
    assert_eq!((error.frame_number, error.code), (4, Code::InvalidArgument as i32));
    assert!(error.message.contains("11534336") && error.message.contains("10485760"), "{error:?}");
    talk.frame(5, png(200, 100, 3)).await;
    let packet = talk.packet().await;
    assert!(packet.frame_number == 5 && packet.times.unwrap().decode_us > 0);
    let request = proto::GetSessionRequest { session_id: opened.session_id };
    let session = client.get_session(request).await.unwrap().into_inner();
    assert_eq!((session.format(), session.width, session.height), (proto::PixelFormat::Encoded, 200, 100));
    assert_eq!((session.frames_in, session.packets_out, session.frame_errors), (5, 2, 3));
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_stalled_is_cut() {
    // The session ends when its reader has stalled; the connection, which others may share, stays until the drain ends it.
    let server =
        start(config_with(|config| (config.limits.stall_timeout_ms, config.limits.drain_ms) = (300, 1_000))).await;
    let endpoint = tonic::transport::Channel::from_shared(format!("http://{}", server.grpc)).unwrap();
    let channel = endpoint.initial_stream_window_size(64 << 10).connect().await.unwrap();
    let mut client = proto::frame_compression_client::FrameCompressionClient::new(channel);
    let open = proto::Open {
        format: proto::PixelFormat::Rgb8 as i32,
        codec: proto::Codec::Lossless as i32,
        width: 640,
        height: 360,
        ..Default::default()
    };
    let (say, said) = tokio::sync::mpsc::channel(64);
    say.send(CompressStreamRequest { message: Some(In::Open(open)) }).await.unwrap();
    let answers = client.compress_stream(ReceiverStream::new(said)).await.unwrap().into_inner();
    let frame = noise(640 * 360 * 3, 9);
    let mut observer = server.client().await;
    let began = std::time::Instant::now();
    for number in 1.. {
        let frame = proto::StreamFrame { frame_number: number, data: frame.clone(), ..Default::default() };
        let _ = tokio::time::timeout(
            std::time::Duration::from_millis(20),
            say.send(CompressStreamRequest { message: Some(In::Frame(frame)) }),
        )
        .await;
        let left = observer.list_sessions(proto::ListSessionsRequest {}).await.unwrap().into_inner().sessions;
        if left.is_empty() {
            break;
        }
        assert!(began.elapsed() < crate::harness::PATIENCE, "the stream is still there");
    }
    drop(answers);
    server.stop().await;
}
