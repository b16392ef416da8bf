//! The health protocol and reflection.

use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{PATIENCE, config, start};

const SERVICE: &str = "auralink.aic.v1.FrameCompression";

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_as_the_protocol_says() {
    let server = start(config()).await;
    let channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    for service in ["", SERVICE] {
        let status = client.check(ask(service)).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
    }
    assert_eq!(client.check(ask("auralink.Unknown")).await.unwrap_err().code(), Code::NotFound);

    let mut known = client.watch(ask(SERVICE)).await.unwrap().into_inner();
    let mut unknown = client.watch(ask("auralink.Unknown")).await.unwrap().into_inner();
    assert_eq!(known.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(unknown.next().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    let quiet = timeout(std::time::Duration::from_millis(200), unknown.next()).await;
    assert!(quiet.is_err(), "the watch of an unknown service stays open: {quiet:?}");

    let ended = server.begin_stop();
    let next = timeout(PATIENCE, known.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
    assert!(timeout(PATIENCE, known.next()).await.unwrap().is_none(), "and ends with the server");
    timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_the_services() {
    let server = start(config()).await;
    let channel = Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap();
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers =
        ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::iter([list])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&SERVICE) && names.contains(&"grpc.health.v1.Health"), "{names:?}");
    server.stop().await;
}
