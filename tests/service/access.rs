//! Who may call, and what each may see.

use std::path::{Path, PathBuf};

use auralink::service::config::Role;
use auralink::service::proto::compress_stream_response::Message as Out;
use auralink::service::{Config, KeyFile, mint_token, proto};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::harness::{Answer, PATIENCE, Running, Talk, config_with, http, i420, open_i420, start, with};
use crate::tokens::Keys;

/// A server with a file of keys, and the keys.
struct House {
    server: Running,
    file: PathBuf,
    config: Config,
    alice: String,
    bob: String,
    eve: String,
    root: String,
    _folder: tempfile::TempDir,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let mut keys = KeyFile::default();
    let alice = keys.add("alice", &[Role::Compress], None).unwrap();
    let bob = keys.add("bob", &[Role::Compress], None).unwrap();
    let eve = keys.add("eve", &[Role::Observe], None).unwrap();
    let root = keys.add("root", &[Role::Admin], None).unwrap();
    keys.save(&file).unwrap();
    let config = config_with(|config| {
        config.auth.keys_file = Some(file.clone());
        config.cors.allowed_origins = vec!["https://console.example.org".to_owned()];
    });
    let server = start(config.clone()).await;
    House { server, file, config, alice, bob, eve, root, _folder: folder }
}

fn revoke(file: &Path, id: &str) {
    let mut keys = KeyFile::load(file).unwrap();
    keys.revoke(id).unwrap();
    keys.save(file).unwrap();
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.err().map_or(Code::Ok, |status| status.code())
}

async fn get(server: &Running, path: &str, secret: &str) -> Answer {
    http(server.http, "GET", path, &format!("authorization: Bearer {secret}\r\n"), b"").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_see_and_change_their_own_sessions_only() {
    let house = house().await;
    let mut client = house.server.client().await;
    let session_id = Uuid::new_v4().to_string();
    let open = proto::Open { session_id: session_id.clone(), ..open_i420(320, 180) };
    let (talk, _) = Talk::open_as(&mut client, open.clone(), Some(&house.alice)).await.unwrap();

    let network = proto::NetworkConditions { bandwidth_kbps: 500.0, ..Default::default() };
    for (key, sees, changes) in
        [(&house.alice, true, Code::Ok), (&house.bob, false, Code::PermissionDenied), (&house.root, true, Code::Ok)]
    {
        let secret = Some(key.as_str());
        let denied = if sees { Code::Ok } else { Code::PermissionDenied };
        let one = proto::GetSessionRequest { session_id: session_id.clone() };
        assert_eq!(code(client.get_session(with(secret, one)).await), denied);
        let watch = proto::WatchSessionRequest { session_id: session_id.clone(), interval_ms: 100 };
        assert_eq!(code(client.watch_session(with(secret, watch)).await), denied);
        let all = client.list_sessions(with(secret, proto::ListSessionsRequest {})).await.unwrap().into_inner();
        assert_eq!(all.sessions.len(), usize::from(sees));
        let page = get(&house.server, "/v1/sessions", key).await;
        assert_eq!(page.json()["sessions"].as_array().unwrap().len(), usize::from(sees));
        let update = proto::UpdateNetworkConditionRequest { session_id: session_id.clone(), network: Some(network) };
        assert_eq!(code(client.update_network_condition(with(secret, update)).await), changes);
    }
    let taken = Talk::open_as(&mut client, open, Some(&house.bob)).await.map(drop);
    assert_eq!(code(taken), Code::PermissionDenied, "another caller's session id");

    // Who only observes sees everything and touches nothing.
    let eve = Some(house.eve.as_str());
    let all = client.list_sessions(with(eve, proto::ListSessionsRequest {})).await.unwrap().into_inner();
    assert_eq!(all.sessions[0].session_id, session_id);
    let update = proto::UpdateNetworkConditionRequest { session_id, network: Some(network) };
    assert_eq!(code(client.update_network_condition(with(eve, update)).await), Code::PermissionDenied);
    assert_eq!(code(Talk::open_as(&mut client, open_i420(320, 180), eve).await.map(drop)), Code::PermissionDenied);
    talk.finish().await.unwrap();
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_page_has_its_role_and_probes_need_none() {
    let house = house().await;
    let server = &house.server;
    for (path, nobody, alice, eve, root) in [
        ("/livez", 200, 200, 200, 200),
        ("/readyz", 200, 200, 200, 200),
        ("/metrics", 401, 403, 200, 200),
        ("/v1/sessions", 401, 200, 200, 200),
        ("/v1/nothing", 401, 404, 404, 404),
    ] {
        assert_eq!(http(server.http, "GET", path, "", b"").await.status, nobody, "{path}");
        for (key, status) in [(&house.alice, alice), (&house.eve, eve), (&house.root, root)] {
            assert_eq!(get(server, path, key).await.status, status, "{path}");
        }
    }
    let extra = format!("x-api-key: {}\r\n", house.alice);
    assert_eq!(http(server.http, "GET", "/v1/sessions", &extra, b"").await.status, 200);
    assert_eq!(http(server.http, "POST", "/v1/compress", &extra, b"nonsense").await.status, 400);
    let both = format!("{extra}authorization: Bearer {}\r\n", house.alice);
    assert_eq!(http(server.http, "GET", "/v1/sessions", &both, b"").await.status, 401, "two credentials");
    let refused = http(server.http, "GET", "/v1/sessions", "", b"").await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(refused.header("x-content-type-options").is_some() && refused.header("x-request-id").is_some());
    assert_eq!(refused.json()["code"], "UNAUTHENTICATED");

    // A browser asks whether it may call before it shows any key.
    let origin = "origin: https://console.example.org\r\naccess-control-request-method: POST\r\n";
    let asked = format!("{origin}access-control-request-headers: authorization\r\n");
    for addr in [server.grpc, server.http] {
        let answer = http(addr, "OPTIONS", "/v1/compress", &asked, b"").await;
        let allowed = answer.header("access-control-allow-headers").is_some_and(|list| list.contains("authorization"));
        assert!(answer.status == 200 && allowed, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://console.example.org"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }

    let channel = tonic::transport::Channel::from_shared(format!("http://{}", server.grpc)).unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.connect().await.unwrap());
    let asked = tonic_health::pb::HealthCheckRequest { service: String::new() };
    assert!(health.check(asked).await.is_ok(), "probes need no key");
    let mut client = server.client().await;
    assert_eq!(code(client.describe(proto::DescribeRequest {}).await), Code::Unauthenticated);
    // A page in a browser is told in its own protocol.
    let web = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n";
    let describe = "/auralink.aic.v1.FrameCompression/Describe";
    let answer = http(server.grpc, "POST", describe, web, &[0; 5]).await;
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.header("grpc-status") == Some("16") || told.contains("grpc-status:16"), "{answer:?}");
    let known = format!("{web}x-api-key: {}\r\n", house.eve);
    let answer = http(server.grpc, "POST", describe, &known, &[0; 5]).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("grpc-status:0"), "{answer:?}");
    let scraped = String::from_utf8(get(server, "/metrics", &house.root).await.body).unwrap();
    let missing = scraped.lines().find(|line| line.starts_with("auralink_auth_denied_total{reason=\"missing\"}"));
    assert!(missing.is_some_and(|line| !line.ends_with(" 0")), "{scraped}");
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_traded_for_a_token_and_takes_it_along_when_it_goes() {
    let house = house().await;
    let trade = |secret: String| {
        let addr = house.server.http;
        async move { http(addr, "POST", "/v1/auth/token", &format!("authorization: Bearer {secret}\r\n"), b"").await }
    };
    let traded = trade(house.alice.clone()).await;
    assert_eq!((traded.status, traded.header("cache-control")), (200, Some("no-store")));
    let told = traded.json();
    assert_eq!((told["token_type"].as_str(), told["expires_in"].as_u64()), (Some("Bearer"), Some(900)));
    let token = told["access_token"].as_str().unwrap().to_owned();
    assert_eq!(get(&house.server, "/v1/sessions", &token).await.status, 200);
    assert_eq!(trade(token.clone()).await.status, 403, "tokens aren't traded for tokens");

    let mut client = house.server.client().await;
    let (mut by_key, _) = Talk::open_as(&mut client, open_i420(320, 180), Some(&house.alice)).await.unwrap();
    let (mut by_token, _) = Talk::open_as(&mut client, open_i420(320, 180), Some(&token)).await.unwrap();
    let (bobs, _) = Talk::open_as(&mut client, open_i420(320, 180), Some(&house.bob)).await.unwrap();
    // The same again changes nothing, for tokens neither.
    assert!(house.server.reloader.reload(house.config.clone()).unwrap().is_empty());
    assert_eq!(get(&house.server, "/v1/sessions", &token).await.status, 200);
    revoke(&house.file, "alice");
    house.server.reloader.reload(house.config.clone()).unwrap();
    for talk in [&mut by_key, &mut by_token] {
        assert!(matches!(talk.next().await.unwrap(), Some(Out::Notice(_))));
        assert_eq!(talk.next().await.unwrap_err().code(), Code::Unauthenticated);
    }
    for secret in [&house.alice, &token] {
        assert_eq!(get(&house.server, "/v1/sessions", secret).await.status, 401);
    }
    assert!(bobs.finish().await.unwrap().is_empty(), "the others go on");
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expires_ends_its_streams() {
    let keys = Keys::make();
    let server = start(keys.config()).await;
    let token = mint_token(&keys.config(), "camera", &[Role::Compress], 2).unwrap();
    let mut client = server.client().await;
    let (mut talk, _) = Talk::open_as(&mut client, open_i420(320, 180), Some(&token)).await.unwrap();
    // Another session of the same caller goes on, by another token; who watches it by the first one is cut off too.
    let longer = mint_token(&keys.config(), "camera", &[Role::Compress], 600).unwrap();
    let (other, opened) = Talk::open_as(&mut client, open_i420(320, 180), Some(&longer)).await.unwrap();
    let watch = proto::WatchSessionRequest { session_id: opened.session_id, interval_ms: 60_000 };
    let mut watched = client.watch_session(with(Some(&token), watch)).await.unwrap().into_inner();
    watched.message().await.unwrap().unwrap();
    let began = std::time::Instant::now();
    talk.frame(1, i420(320, 180, 1)).await;
    assert_eq!(talk.packet().await.frame_number, 1);
    let Some(Out::Notice(notice)) = talk.next().await.unwrap() else { panic!("no notice") };
    assert_eq!(notice.kind(), proto::notice::Kind::Expired);
    let status = talk.next().await.unwrap_err();
    println!("a stream whose token lasts 2 s ended after {:?}", began.elapsed());
    assert_eq!(status.code(), Code::Unauthenticated);
    let end = tokio::time::timeout(PATIENCE, watched.message()).await.expect("the watch ends too");
    assert_eq!(end.unwrap_err().code(), Code::Unauthenticated);
    assert!(other.finish().await.unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_changes_nothing_and_a_fixed_setting_stays() {
    let house = house().await;
    let mut bad = house.config.clone();
    bad.limits.max_sessions = 1;
    bad.auth.keys_file = Some(PathBuf::from("/nowhere/keys.toml"));
    let told = house.server.reloader.reload(bad).unwrap_err().to_string();
    assert!(told.contains("auth.keys_file: /nowhere/keys.toml"), "{told}");
    let mut client = house.server.client().await;
    let secret = Some(house.alice.as_str());
    let (first, _) = Talk::open_as(&mut client, open_i420(320, 180), secret).await.unwrap();
    let (second, _) = Talk::open_as(&mut client, open_i420(320, 180), secret).await.expect("the old limit");

    let mut good = house.config.clone();
    good.limits.max_sessions = 2;
    good.compute.threads = 7;
    assert_eq!(house.server.reloader.reload(good).unwrap(), ["compute.threads"]);
    let third = Talk::open_as(&mut client, open_i420(320, 180), secret).await.map(drop);
    assert_eq!(code(third), Code::ResourceExhausted);
    let described = client.describe(with(secret, proto::DescribeRequest {})).await.unwrap().into_inner();
    assert_eq!((described.threads, described.bounds.unwrap().max_sessions), (2, 2));
    first.finish().await.unwrap();
    second.finish().await.unwrap();
    house.server.stop().await;
}
