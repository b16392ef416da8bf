//! The description of the HTTP side, held against the server that gives it.

use std::collections::BTreeSet;

use auralink::service::config::Role;
use auralink::service::{Config, KeyFile};
use serde_json::Value;

use crate::harness::{Running, config, config_with, http, start};

async fn described(server: &Running) -> Value {
    let answer = http(server.http, "GET", "/openapi.json", "", b"").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// Paths and methods of a document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, operation)| (path.clone(), method.to_uppercase(), operation.clone()))
    });
    all.collect()
}

fn with_keys() -> (Config, [String; 2]) {
    let mut keys = KeyFile::default();
    let secrets = [Role::Compress, Role::Admin].map(|role| {
        let name = if role == Role::Admin { "root" } else { "camera" };
        keys.add(name, &[role], None).unwrap()
    });
    (config_with(|config| config.auth.keys = keys.keys), secrets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_described_is_served_and_nothing_else() {
    let server = start(config()).await;
    let document = described(&server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let operations = operations(&document);
    assert!(operations.len() >= 12, "{operations:?}");
    let described: BTreeSet<_> = operations.iter().map(|(path, method, _)| (path.as_str(), method.as_str())).collect();
    let paths: BTreeSet<_> = operations.iter().map(|(path, ..)| path.as_str()).collect();
    for path in &paths {
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            let answer = http(server.http, method, path, "", b"").await;
            let is_served = answer.status != 405;
            assert_ne!(answer.status, 404, "{method} {path}");
            assert_eq!(is_served, described.contains(&(path, method)), "{method} {path}: {}", answer.status);
            if !is_served {
                let allowed: BTreeSet<_> =
                    answer.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
                let expected = described.iter().filter(|(of, _)| of == path).map(|(_, method)| *method);
                assert!(expected.into_iter().all(|method| allowed.contains(method)), "{path} {allowed:?}");
            }
        }
    }
    // Routes are given to the router together with what they say of themselves, never without.
    let source = include_str!("../../src/service/http.rs");
    assert!(!source.contains(".route(") && !source.contains(".nest") && !source.contains(".merge("));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_ways_in_are_described_as_they_are_met() {
    let (config, [camera, root]) = with_keys();
    let server = start(config).await;
    let document = described(&server).await;
    let schemes: Vec<_> = document["components"]["securitySchemes"].as_object().unwrap().keys().collect();
    assert_eq!(schemes, ["api_key", "bearer"], "certificates aren't asked for");
    for (path, method, operation) in operations(&document) {
        let answer = |secret: Option<&str>| {
            let head = secret.map(|secret| format!("x-api-key: {secret}\r\n")).unwrap_or_default();
            let (method, path) = (method.clone(), path.clone());
            async move { http(server.http, &method, &path, &head, b"").await }
        };
        let responses = operation["responses"].as_object().unwrap();
        let stranger = answer(None).await;
        assert_eq!(stranger.status == 401, !operation["security"].is_null(), "{method} {path}");
        for answer in [stranger, answer(Some(&camera)).await, answer(Some(&root)).await] {
            let told =
                &responses.get(&answer.status.to_string()).unwrap_or_else(|| panic!("{method} {path} {answer:?}"));
            let kind = answer.header("content-type").unwrap().split(';').next().unwrap();
            assert!(told["content"].as_object().unwrap().contains_key(kind), "{method} {path} {answer:?}");
            for name in ["x-request-id", "x-content-type-options", "content-security-policy", "cache-control"] {
                assert!(answer.header(name).is_some(), "{method} {path}: {} has no {name}", answer.status);
            }
        }
    }
    server.stop().await;
    // Where nobody has to say who they are, nothing says that they have to.
    let server = start(crate::harness::config()).await;
    let document = described(&server).await;
    assert!(operations(&document).iter().all(|(_, _, operation)| operation["security"].is_null()));
    server.stop().await;
}
