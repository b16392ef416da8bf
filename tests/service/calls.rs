//! Calls without a session.

use std::sync::Arc;

use auralink::codec::lossless::LosslessDecoder;
use auralink::service::proto::{self, batch_result::Result as Outcome};
use auralink::{Engine, Limits, kernel};
use tonic::Code;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use crate::harness::{config, i420, noise, start, violations};

fn request(codec: proto::Codec, format: proto::PixelFormat, data: bytes::Bytes) -> proto::CompressFrameRequest {
    proto::CompressFrameRequest {
        picture: Some(proto::Picture { format: format as i32, width: 320, height: 180, data, ..Default::default() }),
        codec: codec as i32,
        frame_number: 7,
        measure_quality: true,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jpeg_is_opened_by_another_decoder_and_by_ours() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let frame = request(proto::Codec::Jpeg, proto::PixelFormat::I420, i420(320, 180, 0));
    let packet = client.compress_frame(frame).await.unwrap().into_inner().packet.unwrap();
    assert_eq!((packet.frame_number, packet.width, packet.height, packet.keyframe), (7, 320, 180, true));
    assert_eq!(packet.original_bytes, 320 * 180 * 3 / 2);
    assert_eq!(packet.compressed_bytes, packet.data.len() as u64);
    assert!(packet.reduction > 0.5 && packet.ssim.unwrap() > 0.9 && packet.psnr_db.unwrap() > 30.0, "{packet:?}");
    assert!(packet.times.unwrap().encode_us > 0);

    let mut decoder = JpegDecoder::new(ZCursor::new(&packet.data));
    let theirs = decoder.decode().unwrap();
    assert_eq!(decoder.dimensions(), Some((320, 180)));

    let ours = client.decompress_frame(proto::DecompressFrameRequest { data: packet.data }).await.unwrap();
    let picture = ours.into_inner().picture.unwrap();
    assert_eq!((picture.width, picture.height, picture.format), (320, 180, proto::PixelFormat::Rgb8 as i32));
    assert_eq!(picture.data.len(), theirs.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lossless_gives_the_same_pixels_back() {
    let server = start(config()).await;
    let mut client = server.client().await;
    for (format, bytes) in
        [(proto::PixelFormat::Rgb8, 3), (proto::PixelFormat::Gray16, 2), (proto::PixelFormat::Bgra8, 4)]
    {
        let pixels = noise(320 * 180 * bytes, 5);
        let frame = request(proto::Codec::Lossless, format, pixels.clone());
        let packet = client.compress_frame(frame).await.unwrap().into_inner().packet.unwrap();
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let level = Engine::new(Arc::clone(&pool)).level();
        let mut decoder = LosslessDecoder::new(level, Limits::SERVICE);
        assert_eq!(
            decoder.decode(&packet.data, &pool).unwrap().data(),
            pixels,
            "{format:?} at {}",
            kernel::name(level)
        );
        let data = packet.data;
        let picture =
            client.decompress_frame(proto::DecompressFrameRequest { data }).await.unwrap().into_inner().picture;
        assert_eq!(picture.unwrap().data, pixels);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_call_is_told() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let mut bad = request(proto::Codec::Jpeg, proto::PixelFormat::I420, i420(320, 180, 0).slice(1..));
    bad.quality = 101;
    bad.mode = 9;
    let status = client.compress_frame(bad).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let told = violations(&status);
    let fields: Vec<_> = told.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["mode", "quality", "picture.data"]);
    assert!(told[1].1.contains("101") && told[1].1.contains("100"), "{told:?}");
    assert!(told[2].1.contains("86399") && told[2].1.contains("86400"), "{told:?}");

    let status = client.compress_frame(proto::CompressFrameRequest::default()).await.unwrap_err();
    assert_eq!(violations(&status)[0].0, "picture");

    let mut tiny = request(proto::Codec::Jpeg, proto::PixelFormat::I420, i420(320, 180, 0));
    tiny.max_bytes = 10;
    let status = client.compress_frame(tiny).await.unwrap_err();
    assert_eq!((status.code(), violations(&status)[0].0.as_str()), (Code::InvalidArgument, "max_bytes"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_frame_of_a_batch_fails_alone() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let mut frames: Vec<_> = (0..9)
        .map(|time| proto::CompressFrameRequest {
            frame_number: u64::from(time),
            ..request(proto::Codec::Jpeg, proto::PixelFormat::I420, i420(320, 180, time))
        })
        .collect();
    frames[4].picture.as_mut().unwrap().height = 181;
    let batch = proto::CompressBatchRequest { frames };
    let results = client.compress_batch(batch).await.unwrap().into_inner().results;
    assert_eq!(results.len(), 9);
    for (index, result) in results.into_iter().enumerate() {
        match result.result.unwrap() {
            Outcome::Packet(packet) => assert!(index != 4 && packet.frame_number == index as u64),
            Outcome::Error(error) => {
                assert_eq!((index, error.frame_number, error.code), (4, 4, Code::InvalidArgument as i32));
                assert_eq!(error.violations[0].field, "picture.data");
            }
        }
    }
    let frames = vec![proto::CompressFrameRequest::default(); 65];
    let status = client.compress_batch(proto::CompressBatchRequest { frames }).await.unwrap_err();
    assert_eq!((status.code(), violations(&status)[0].0.as_str()), (Code::InvalidArgument, "frames"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_are_analysed_and_planned_for() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let sample = |bandwidth_kbps| proto::NetworkConditions { bandwidth_kbps, rtt_ms: 40.0, ..Default::default() };
    let samples = vec![sample(9_000.0), sample(6_000.0), sample(3_000.0)];
    let said = client
        .analyze_network_conditions(proto::AnalyzeNetworkConditionsRequest { samples, ..Default::default() })
        .await
        .unwrap();
    let said = said.into_inner();
    assert!(
        said.predicted_kbps <= 3_000.0 && said.stability < 1.0 && said.recommendation.contains("kbit/s"),
        "{said:?}"
    );

    let samples = vec![sample(9_000.0), sample(f64::NAN)];
    let analyse = proto::AnalyzeNetworkConditionsRequest { samples, ..Default::default() };
    let status = client.analyze_network_conditions(analyse).await.unwrap_err();
    assert_eq!(violations(&status)[0].0, "samples[1].bandwidth_kbps");

    let hints = |network| proto::GetCompressionHintsRequest {
        format: proto::PixelFormat::I420 as i32,
        width: 1280,
        height: 720,
        network: Some(network),
        ..Default::default()
    };
    let slow = client.get_compression_hints(hints(sample(1_000.0))).await.unwrap().into_inner();
    let fast = client.get_compression_hints(hints(sample(90_000.0))).await.unwrap().into_inner();
    assert!(slow.predicted_bytes < fast.predicted_bytes && slow.predicted_latency_ms > fast.predicted_latency_ms);
    assert!(slow.plan.unwrap().reason.contains("link limits"));

    let said = client.describe(proto::DescribeRequest {}).await.unwrap().into_inner();
    let bounds = said.bounds.unwrap();
    assert_eq!((bounds.max_width, bounds.max_encoded_bytes, bounds.max_batch_frames), (3840, 10 << 20, 64));
    assert_eq!((said.version.as_str(), said.threads, said.formats.len()), (env!("CARGO_PKG_VERSION"), 2, 13));
    server.stop().await;
}
