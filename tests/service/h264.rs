//! Streams of H.264, which they are where nothing else is asked for.

use auralink::service::proto::compress_stream_request::Message as In;
use auralink::service::proto::{self, Codec, H264Framing, H264Preset, H264Profile, H264Settings};
use tonic::Code;

use crate::harness::{Client, Talk, config, i420, open_i420, start, violations};

/// One frame after another, each answered before the next; gives the packets.
async fn frames(
    talk: &mut Talk,
    numbers: std::ops::RangeInclusive<u64>,
    (width, height): (u32, u32),
) -> Vec<proto::Packet> {
    let mut packets = Vec::new();
    for number in numbers {
        talk.frame(number, i420(width, height, number as u32)).await;
        packets.push(talk.packet().await);
    }
    packets
}

async fn opened(client: &mut Client, open: proto::Open) -> (Talk, String) {
    let (talk, opened) = Talk::open(client, open).await.unwrap();
    (talk, opened.session_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_no_codec_is_h264_and_tells_what_players_call_it() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let open = proto::Open { measure_quality: true, max_latency_ms: 100, ..open_i420(320, 180) };
    let (mut talk, session_id) = opened(&mut client, open).await;
    let packets = frames(&mut talk, 1..=8, (320, 180)).await;
    for (index, packet) in packets.iter().enumerate() {
        assert_eq!((packet.codec(), packet.keyframe), (Codec::H264, index == 0), "packet {index}");
        assert!(packet.data.starts_with(&[0, 0, 0, 1]) && packet.qp.is_some() && packet.ssim.unwrap() > 0.85);
        assert_eq!(packet.plan.as_ref().unwrap().codec(), Codec::H264);
        assert_eq!(packet.codec_string.is_empty(), index > 0);
    }
    assert!(packets[0].codec_string.starts_with("avc1.6400"), "{}", packets[0].codec_string);

    talk.say(In::Ack(proto::Ack { frame_number: 1, received_us: 1, ..proto::Ack::default() })).await;
    talk.say(In::Lost(proto::Lost { frame_number: 8 })).await;
    frames(&mut talk, 9..=9, (320, 180)).await;
    talk.say(In::Keyframe(proto::KeyframeRequest {})).await;
    let after = frames(&mut talk, 10..=11, (320, 180)).await;
    assert_eq!((after[0].keyframe, after[1].keyframe), (true, false));
    let session = client.get_session(proto::GetSessionRequest { session_id }).await.unwrap().into_inner();
    assert_eq!((session.codec(), session.lost_packets, session.acked_packets), (Codec::H264, 1, 1));
    assert!(session.keyframes >= 2 && session.packets_out == 11);
    assert!(talk.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_settings_are_kept_and_their_faults_are_named() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let settings = H264Settings {
        profile: H264Profile::ConstrainedBaseline as i32,
        preset: H264Preset::Fast as i32,
        framing: H264Framing::LengthPrefixed as i32,
        slices: 3,
        intra_refresh_frames: 0,
        bitrate_kbps: 600.0,
        deadline_ms: 10_000,
    };
    let open = proto::Open { codec: Codec::H264 as i32, fps: 25.0, h264: Some(settings), ..open_i420(320, 180) };
    let (mut talk, _) = opened(&mut client, open.clone()).await;
    for packet in frames(&mut talk, 1..=4, (320, 180)).await {
        let mut units = Vec::new();
        let mut rest = &packet.data[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            units.push(unit[0] & 31);
            rest = after;
        }
        assert_eq!(units, if packet.keyframe { vec![7, 8, 5, 5, 5] } else { vec![1, 1, 1] });
        assert!(!packet.keyframe || packet.codec_string.starts_with("avc1.42"), "{}", packet.codec_string);
        assert_eq!(packet.preset(), H264Preset::Fast);
        assert!(packet.keyframe || packet.plan.unwrap().reason.contains("600 kbit/s"));
    }
    drop(talk);

    let bad = H264Settings {
        profile: 9,
        slices: 17,
        bitrate_kbps: -1.0,
        deadline_ms: 10_001,
        intra_refresh_frames: 1,
        ..settings
    };
    let status = Talk::open(&mut client, proto::Open { h264: Some(bad), ..open.clone() }).await.err().unwrap();
    assert_eq!((status.code(), violations(&status)[0].0.as_str()), (Code::InvalidArgument, "open.h264.profile"));
    let bad = H264Settings { profile: 0, ..bad };
    let status = Talk::open(&mut client, proto::Open { h264: Some(bad), ..open.clone() }).await.err().unwrap();
    let fields: Vec<_> = violations(&status).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["open.h264.slices", "open.h264.bitrate_kbps", "open.h264.deadline_ms"]);
    let jpeg = proto::Open { codec: Codec::Jpeg as i32, ..open };
    let status = Talk::open(&mut client, jpeg).await.err().unwrap();
    assert_eq!(violations(&status)[0].0, "open.h264");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thin_link_gets_smaller_pictures_that_begin_anew() {
    let server = start(config()).await;
    let network = proto::NetworkConditions { bandwidth_kbps: 100.0, ..Default::default() };
    let (mut talk, _) =
        opened(&mut server.client().await, proto::Open { max_latency_ms: 100, ..open_i420(640, 360) }).await;
    let first = frames(&mut talk, 1..=2, (640, 360)).await;
    talk.say(In::Network(network)).await;
    let mut small = None;
    for number in 3..200 {
        talk.frame(number, i420(640, 360, number as u32)).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        // The first may be as large as before: that nothing of it fits is seen then.
        if let Some(proto::compress_stream_response::Message::Packet(packet)) = talk.next().await.unwrap()
            && packet.width < 640
        {
            small = Some(packet);
            break;
        }
    }
    let small = small.unwrap();
    assert!(first[1].width == 640 && small.width < 640 && small.keyframe, "{}x{}", small.width, small.height);
    assert!(!small.codec_string.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_frames_of_h264_stand_alone() {
    let server = start(config()).await;
    let mut client = server.client().await;
    for (max_bytes, measure_quality) in [(0, true), (5_000, false)] {
        let request = proto::CompressFrameRequest {
            picture: Some(proto::Picture {
                format: proto::PixelFormat::I420 as i32,
                width: 320,
                height: 180,
                data: i420(320, 180, 3),
                ..Default::default()
            }),
            codec: Codec::H264 as i32,
            max_bytes,
            measure_quality,
            ..Default::default()
        };
        let packet = client.compress_frame(request).await.unwrap().into_inner().packet.unwrap();
        assert!(packet.keyframe && packet.data[4] & 31 == 7 && packet.codec() == Codec::H264);
        assert!(max_bytes == 0 || packet.data.len() <= max_bytes as usize);
        assert_eq!(packet.ssim.is_some(), measure_quality);
    }
    let described = client.describe(proto::DescribeRequest {}).await.unwrap().into_inner();
    assert!(described.codecs.contains(&(Codec::H264 as i32)));
    server.stop().await;
}
