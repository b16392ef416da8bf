//! Sessions as seen, and spoken to, from other connections.

use auralink::service::proto;
use auralink::service::proto::compress_stream_request::Message as In;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::harness::{PATIENCE, Talk, config, config_with, i420, open_i420, start, violations};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_listed_watched_and_told_about_its_network() {
    let server = start(config()).await;
    let mut observer = server.client().await;
    let session_id = Uuid::new_v4().to_string();
    let codec = proto::Codec::Jpeg as i32;
    let open = proto::Open { codec, session_id: session_id.clone(), measure_quality: true, ..open_i420(640, 360) };
    let (mut talk, opened) = Talk::open(&mut server.client().await, open.clone()).await.unwrap();
    assert_eq!(opened.session_id, session_id);
    for number in 1..=5 {
        talk.frame(number, i420(640, 360, number as u32)).await;
        assert_eq!(talk.packet().await.frame_number, number);
    }
    talk.frame(6, i420(320, 180, 0)).await;
    talk.error().await;

    let listed = observer.list_sessions(proto::ListSessionsRequest {}).await.unwrap().into_inner().sessions;
    assert_eq!(listed.len(), 1);
    let session = &listed[0];
    assert_eq!((session.session_id.as_str(), session.width, session.height), (session_id.as_str(), 640, 360));
    assert_eq!((session.frames_in, session.packets_out, session.frame_errors), (6, 5, 1));
    assert!(session.ssim.unwrap() > 0.8 && session.reduction > 0.5 && session.latency_p50_ms > 0.0, "{session:?}");
    assert!(session.latency_p95_ms >= session.latency_p50_ms && session.kbps > 0.0 && session.fps > 0.0);

    let network = proto::NetworkConditions { bandwidth_kbps: 300.0, rtt_ms: 200.0, ..Default::default() };
    let update = |session_id: &str, network| proto::UpdateNetworkConditionRequest {
        session_id: session_id.to_owned(),
        network: Some(network),
    };
    let plan =
        observer.update_network_condition(update(&session_id, network)).await.unwrap().into_inner().plan.unwrap();
    assert!(plan.reason.contains("link limits") && plan.scale < 1.0, "{plan:?}");
    let absurd = proto::NetworkConditions { rtt_ms: f64::INFINITY, ..network };
    let status = observer.update_network_condition(update(&session_id, absurd)).await.unwrap_err();
    assert_eq!(violations(&status)[0].0, "network.rtt_ms");

    talk.frame(7, i420(640, 360, 7)).await;
    let packet = talk.packet().await;
    assert!(packet.width < 640, "the stream follows what it was told: {}", packet.width);

    let watch = proto::WatchSessionRequest { session_id: session_id.clone(), interval_ms: 100 };
    let mut watched = observer.watch_session(watch).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().packets_out, 6);
    assert_eq!(watched.message().await.unwrap().unwrap().packets_out, 6);

    let again = Talk::open(&mut observer, open).await.err().unwrap();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert!(talk.finish().await.unwrap().is_empty());
    let last = async {
        while let Some(session) = watched.message().await.unwrap() {
            assert_eq!(session.session_id, session_id);
        }
    };
    tokio::time::timeout(PATIENCE, last).await.expect("the watch ends with its session");
    let request = proto::GetSessionRequest { session_id: session_id.clone() };
    assert_eq!(observer.get_session(request).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_malformed_names_are_told_apart() {
    let server = start(config()).await;
    let mut client = server.client().await;
    let get = |id: &str| proto::GetSessionRequest { session_id: id.to_owned() };
    let status = client.get_session(get(&Uuid::new_v4().to_string())).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = client.get_session(get("not-a-uuid")).await.unwrap_err();
    assert_eq!((status.code(), violations(&status)[0].0.as_str()), (Code::InvalidArgument, "session_id"));
    let watch = proto::WatchSessionRequest { session_id: Uuid::new_v4().to_string(), interval_ms: 5 };
    let status = client.watch_session(watch).await.unwrap_err();
    assert_eq!(violations(&status)[0].0, "interval_ms");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_sessions_are_asked_to_come_back() {
    let server = start(config_with(|config| config.limits.max_sessions = 1)).await;
    let mut client = server.client().await;
    let (talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    let status = Talk::open(&mut client, open_i420(320, 180)).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    talk.finish().await.unwrap();
    server.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_serves_the_same_and_is_tidied_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auralink.sock");
    // What a killed process leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = start(config_with(|config| config.listen.uds = Some(path.clone()))).await;
    let connect = path.clone();
    let channel = tonic::transport::Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_| {
            let path = connect.clone();
            async move {
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(tokio::net::UnixStream::connect(path).await?))
            }
        }))
        .await
        .unwrap();
    let mut client = proto::frame_compression_client::FrameCompressionClient::new(channel);
    let (mut talk, _) = Talk::open(&mut client, open_i420(320, 180)).await.unwrap();
    talk.frame(1, i420(320, 180, 1)).await;
    assert_eq!(talk.packet().await.frame_number, 1);
    talk.finish().await.unwrap();
    drop(client);
    let second = auralink::service::Server::bind(config_with(|config| config.listen.uds = Some(path.clone()))).await;
    assert!(second.unwrap_err().to_string().contains("uds"), "a socket in use is left alone");
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_and_analysis_of_a_session_follow_what_its_receiver_tells() {
    let server = start(config()).await;
    let mut observer = server.client().await;
    let open = proto::Open { receipts: true, measure_quality: true, ..open_i420(640, 360) };
    let (mut talk, opened) = Talk::open(&mut server.client().await, open).await.unwrap();
    let analyse =
        proto::AnalyzeNetworkConditionsRequest { session_id: opened.session_id.clone(), ..Default::default() };
    let hints = proto::GetCompressionHintsRequest { session_id: opened.session_id.clone(), ..Default::default() };
    // One millisecond a kilobyte and a hundred at least: 8 Mbit/s by the receiver's clock, whatever this machine does.
    let mut received_us = 1_000_000;
    for number in 1..=40 {
        talk.frame(number, i420(640, 360, number as u32)).await;
        let packet = talk.packet().await;
        let first_received_us = received_us;
        received_us += packet.data.len() as u64;
        talk.say(In::Ack(proto::Ack {
            frame_number: packet.frame_number,
            received_us,
            first_received_us,
            ..Default::default()
        }))
        .await;
    }
    // What was said is heard before the next frame is answered.
    talk.frame(41, i420(640, 360, 41)).await;
    talk.packet().await;
    let said = observer.analyze_network_conditions(analyse.clone()).await.unwrap().into_inner();
    assert!(said.available_kbps > 100.0 && said.available_kbps < 50_000.0, "{said:?}");
    let told = observer.get_compression_hints(hints.clone()).await.unwrap().into_inner();
    assert!(
        told.plan.as_ref().is_some_and(|plan| plan.reason.contains("link")) && told.predicted_bytes > 0,
        "{told:?}"
    );
    talk.finish().await.unwrap();

    let gone = observer.get_compression_hints(hints).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "{gone:?}");
    assert_eq!(observer.analyze_network_conditions(analyse).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}
