//! Codecs that panic or fail inside a stream's job, seen from a client: that frame is answered, and everything else goes on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tonic::Code;

use crate::client::{Answer, Retry, Stream, Target};
use crate::codec::lossless::LosslessDecoder;
use crate::limits::Limits;
use crate::proto::frame_compression_client::FrameCompressionClient;
use crate::proto::{self, CompressFrameRequest, Open, PixelFormat, StreamFrame};
use crate::service::{Config, Server, Shared};
use crate::session::{FAILS, PANICS};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
/// Frames of each stream, of which every third panics.
const FRAMES: u64 = 300;

/// Runs `test` against a server on two threads, which must end as it began: nothing is held, and every thread works.
async fn with_server<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) {
    let mut config = Config::default();
    (config.listen.grpc_port, config.listen.http_port, config.compute.threads) = (0, 0, 2);
    let server = Server::bind(config).await.unwrap();
    let (address, shared) = (format!("http://{}", server.grpc_addr()), Arc::clone(server.shared()));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move { drop(stopped.await) }));
    test(address).await;
    while shared.registry.len() > 0 || shared.admission.bytes_in_flight() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    check_idle(&shared);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

fn check_idle(shared: &Shared) {
    let compute = &shared.compute;
    assert_eq!((compute.busy(), compute.waiting(), shared.admission.session_bytes()), (0, 0, 0));
    for pixels in [Some(1), None] {
        let threads = compute.lane(pixels).engine().pool().broadcast(|context| context.index());
        assert_eq!(threads, [0, 1]);
    }
}

/// A frame that begins with something.
fn pixels(begins: &[u8], number: u64) -> Vec<u8> {
    let mut data: Vec<u8> =
        (0..WIDTH * HEIGHT * 3 / 2).map(|at| (u64::from(at / 7 % 200) + 3 * number) as u8).collect();
    data[..begins.len()].copy_from_slice(begins);
    data
}

async fn open(address: &str, codec: proto::Codec) -> Stream {
    let target = Target { addresses: vec![address.to_owned()], retry: Retry::NEVER, ..Target::default() };
    let (codec, format) = (codec.into(), PixelFormat::I420.into());
    Stream::open(&target, Open { codec, format, width: WIDTH, height: HEIGHT, ..Open::default() }).await.unwrap()
}

/// Has one frame answered.
async fn answer(stream: &mut Stream, frame_number: u64, data: Vec<u8>) -> Answer {
    stream.send(StreamFrame { frame_number, data: data.into(), ..StreamFrame::default() }).unwrap();
    stream.next().await.unwrap().unwrap()
}

async fn survive(address: String, codec: proto::Codec) {
    let mut stream = open(&address, codec).await;
    for number in 1..=FRAMES {
        let panics = number % 3 == 0;
        let begins = if panics { PANICS } else { b"" };
        match answer(&mut stream, number, pixels(begins, number)).await {
            Answer::Packet(packet, _) if !panics => {
                assert!(packet.keyframe || number % 3 == 2, "{codec:?}: nobody has what frame {number} needs");
                assert_eq!(packet.codec(), codec);
            }
            Answer::Failed { frame_number, code: Code::Internal, .. } if panics => assert_eq!(frame_number, number),
            other => panic!("{other:?} to frame {number}"),
        }
    }
    stream.finish();
    assert!(stream.next().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_its_frame_and_nothing_else() {
    with_server(async |address| {
        let codecs = [proto::Codec::Jpeg, proto::Codec::H264, proto::Codec::Lossless];
        let streams = codecs.map(|codec| tokio::spawn(survive(address.clone(), codec)));
        for stream in streams {
            stream.await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_frame_that_panics_is_an_internal_error() {
    with_server(async |address| {
        let mut client = FrameCompressionClient::connect(address).await.unwrap();
        for number in 0..30 {
            let begins = if number % 2 == 0 { PANICS } else { b"" };
            let data = Bytes::from(pixels(begins, number));
            let format = PixelFormat::I420.into();
            let picture = proto::Picture { data, format, width: WIDTH, height: HEIGHT, ..proto::Picture::default() };
            let request = CompressFrameRequest { picture: Some(picture), ..CompressFrameRequest::default() };
            let answered = client.compress_frame(request).await.map(drop).map_err(|status| status.code());
            assert_eq!(answered, if number % 2 == 0 { Err(Code::Internal) } else { Ok(()) });
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_that_fails_gives_way_to_the_lossless_one() {
    with_server(async |address| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for codec in [proto::Codec::Jpeg, proto::Codec::H264] {
            let mut stream = open(&address, codec).await;
            for number in 1..=12 {
                let fails = number % 4 == 2;
                let data = pixels(if fails { FAILS } else { b"" }, number);
                let Answer::Packet(packet, _) = answer(&mut stream, number, data.clone()).await else {
                    panic!("{codec:?} has no packet for frame {number}");
                };
                if fails {
                    assert_eq!(
                        (packet.codec(), packet.fallback_reason.as_str()),
                        (proto::Codec::Lossless, "codec error")
                    );
                    let mut decoder = LosslessDecoder::new(crate::kernel::detect(), Limits::SERVICE);
                    assert!(decoder.decode(&packet.data, &pool).unwrap().data() == data);
                } else {
                    assert_eq!(packet.codec(), codec);
                    assert!(packet.keyframe || number % 4 != 3, "{codec:?}: it begins anew after another codec");
                }
            }
        }
    })
    .await;
}
