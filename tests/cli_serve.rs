//! The service's program as an operator meets it: settings, keys, certificates, signals and logs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]

mod skip;
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use support::{CLIP, Run, Server, auralink, run, signal};

const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 69;
/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run_as(secret: (&str, &str), args: &[&str]) -> Run {
    let mut command = auralink(args);
    command.env(secret.0, secret.1).stdout(Stdio::piped()).stderr(Stdio::piped());
    Run::wait(command.spawn().unwrap())
}

/// Waits for something that another process does in its own time.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn settings_come_from_file_environment_and_flags_and_every_fault_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auralink.toml");
    let secret = "canary-in-the-configuration-0123456789";
    let keys = format!("[[auth.jwt.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n");
    fs::write(&file, format!("[listen]\ngrpc_port = 1\nhttp_port = 2\n[limits]\nmax_sessions = 5\n{keys}")).unwrap();
    let mut command = auralink(&["serve", "--check", "--config", text(&file), "--grpc-port", "4"]);
    command.env("HTTP_PORT", "3").env("AURALINK_COMPUTE_THREADS", "2").stdout(Stdio::piped()).stderr(Stdio::piped());
    let told = Run::wait(command.spawn().unwrap());
    assert_eq!(told.code, Some(0), "{}", told.stderr_text());
    let effective = told.stdout_text();
    for line in ["grpc_port = 4\n", "http_port = 3\n", "max_sessions = 5\n", "threads = 2\n", "secret = \"<hidden>\"\n"]
    {
        assert!(effective.contains(line), "{line} is missing from\n{effective}");
    }
    assert!(!effective.contains("canary"));

    fs::write(&file, "[limits]\nmax_sessions = 0\n[listen]\nadress = \"::\"\n").unwrap();
    let told = run(&["serve", "--config", text(&file), "--bind", "0.0.0.0", "--log-level", "loud=very"]);
    assert_eq!(told.code, Some(USAGE));
    let text_of = told.stderr_text();
    for part in [
        "limits.max_sessions: 0 is outside",
        "auralink.toml:2",
        "auralink.toml:4",
        "listen.address: 0.0.0.0 is reachable",
        "(--bind)",
        "(--log-level)",
    ] {
        assert!(text_of.contains(part), "{part} is missing from\n{text_of}");
    }
    assert_eq!(run(&["serve", "--check", "--config", "/nowhere.toml"]).code, Some(USAGE));
    let missing = run(&["serve", "--check", "--keys", "/nowhere/keys.toml"]);
    assert!(
        missing.code == Some(USAGE) && missing.stderr_text().contains("auth.keys_file"),
        "{}",
        missing.stderr_text()
    );
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/auralink.toml");
    let (with, without) = (run(&["serve", "--check", "--config", example]), run(&["serve", "--check"]));
    assert_eq!((with.code, with.stdout_text()), (Some(0), without.stdout_text()));
}

#[test]
fn keys_are_made_used_listed_and_revoked_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let add = |id: &str, roles: &str| {
        let added = run(&["keys", "add", id, "--roles", roles, "--file", text(&keys)]);
        assert_eq!(added.code, Some(0), "{}", added.stderr_text());
        added.stdout_text().trim().to_owned()
    };
    let (camera, watcher) = (add("camera", "compress"), add("watcher", "observe"));
    assert_eq!(run(&["keys", "add", "camera", "--file", text(&keys)]).code, Some(USAGE));
    let listed = run(&["keys", "list", "--file", text(&keys)]).stdout_text();
    assert!(listed.lines().count() == 2 && listed.contains("watcher") && !listed.contains(&camera[11..]), "{listed}");

    let server = Server::start_with(folder.path(), &["--keys", text(&keys)]);
    assert_eq!(run(&["probe", &server.http]).code, Some(0), "probes need no key");
    assert_eq!(run(&["top", &server.grpc, "--once"]).code, Some(UNAVAILABLE));
    assert_eq!(run_as(("AURALINK_API_KEY", &watcher), &["top", &server.grpc, "--once"]).code, Some(0));
    let stream = ["stream", CLIP, "--server", &server.grpc, "--frames", "3"];
    let done = run_as(("AURALINK_API_KEY", &camera), &stream);
    assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    assert_eq!(run_as(("AURALINK_API_KEY", &watcher), &stream).code, Some(UNAVAILABLE), "who watches may not compress");

    let addr = server.http.strip_prefix("http://").unwrap().to_owned();
    let request = format!(
        "POST /v1/auth/token HTTP/1.1\r\nhost: x\r\nx-api-key: {camera}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let traded = exchange(&addr, request.as_bytes());
    let token = traded.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(run_as(("AURALINK_TOKEN", &token), &stream).code, Some(0));

    let revoked = run(&["keys", "revoke", "camera", "--file", text(&keys)]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr_text());
    signal("-HUP", server.child.id());
    eventually("the revoked key is refused", || {
        run_as(("AURALINK_API_KEY", &camera), &stream).code == Some(UNAVAILABLE)
    });
    assert_eq!(run_as(("AURALINK_TOKEN", &token), &stream).code, Some(UNAVAILABLE));
    fs::write(&keys, "nonsense").unwrap();
    signal("-HUP", server.child.id());
    let log = folder.path().join("server.log");
    eventually("the bad file is told", || fs::read_to_string(&log).unwrap().contains("stays as it was"));
    assert_eq!(run_as(("AURALINK_API_KEY", &watcher), &["top", &server.grpc, "--once"]).code, Some(0));
    assert_eq!(server.stop(), Some(0));
    let log = fs::read_to_string(&log).unwrap();
    for secret in [&camera[4..], &watcher[4..], &token] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

#[test]
fn tokens_are_made_offline_and_connections_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let [ca, cert, cert_key, secret, config] =
        ["ca.pem", "cert.pem", "key.pem", "token.secret", "auralink.toml"].map(|name| folder.path().join(name));
    fs::write(&ca, authority.pem()).unwrap();
    fs::write(&cert, params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    fs::write(&cert_key, key.serialize_pem()).unwrap();
    fs::write(&secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    let jwt = format!(
        "[auth.jwt]\nsign_with = \"a\"\n[[auth.jwt.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret_file = {:?}\n",
        text(&secret)
    );
    fs::write(&config, jwt).unwrap();
    let token = run(&["token", "camera", "--config", text(&config), "--roles", "compress,observe"]);
    assert_eq!(token.code, Some(0), "{}", token.stderr_text());
    let token = token.stdout_text().trim().to_owned();
    assert_eq!(run(&["token", "camera"]).code, Some(USAGE), "no key to sign with");

    let args = ["--config", text(&config), "--tls-cert", text(&cert), "--tls-key", text(&cert_key)];
    let server = Server::start_with(folder.path(), &args);
    let [grpc, http] = [&server.grpc, &server.http].map(|url| url.replace("http://", "https://"));
    let trust = ["--tls-ca", text(&ca)];
    assert_eq!(run(&[&["probe", &http][..], &trust].concat()).code, Some(0));
    assert_eq!(run(&[&["probe", "--grpc", &grpc][..], &trust].concat()).code, Some(0));
    assert_eq!(run(&["probe", &server.http]).code, Some(UNAVAILABLE), "not in clear");
    let other = folder.path().join("cert.pem");
    assert_eq!(run(&["probe", &http, "--tls-ca", text(&other)]).code, Some(UNAVAILABLE), "another authority");
    let stream = [&["stream", CLIP, "--server", &grpc, "--frames", "3"][..], &trust].concat();
    let done = run_as(("AURALINK_TOKEN", &token), &stream);
    assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    assert_eq!(run(&stream).code, Some(UNAVAILABLE), "nobody");
    assert_eq!(server.stop(), Some(0));
}

/// Sends bytes as they are, and gives whatever comes back until the server closes or the time is over.
fn exchange(addr: &str, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The server may answer, and close, before it has read everything.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_log_holds_no_secrets_and_no_lines_of_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, config) = (folder.path().join("keys.toml"), folder.path().join("auralink.toml"));
    let jwt =
        "[[auth.jwt.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"canary-secret-of-the-configuration\"\n";
    // Nobody listens on port 1: what is told of that is told with care.
    let urls = "[store]\ndatabase_url = \"postgres://me:canary-database@127.0.0.1:1/none\"\n\
        [redis]\nurl = \"redis://me:canary-redis@127.0.0.1:1/0\"\n[auth]\nopen_metrics = true\n";
    fs::write(&config, format!("{urls}[auth.jwt]\nsign_with = \"a\"\n{jwt}")).unwrap();
    let key = run(&["keys", "add", "camera", "--file", text(&keys)]).stdout_text().trim().to_owned();
    let token = run(&["token", "camera", "--config", text(&config)]).stdout_text().trim().to_owned();
    let args = ["--keys", text(&keys), "--config", text(&config), "--log-level", "trace"];
    let server = Server::start_with(folder.path(), &args);
    let [http, grpc] = [&server.http, &server.grpc].map(|url| url.strip_prefix("http://").unwrap().to_owned());

    // Secrets where they belong, and where they don't.
    let get = |head: &str| {
        exchange(
            &http,
            format!("GET /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n\r\n").as_bytes(),
        )
    };
    for secret in [&key, &token] {
        assert!(get(&format!("authorization: Bearer {secret}")).starts_with("HTTP/1.1 200"));
        assert!(get(&format!("authorization: Bearer {secret}x")).starts_with("HTTP/1.1 401"));
        assert!(get(&format!("authorization: Basic {secret}")).starts_with("HTTP/1.1 401"));
        assert!(get(&format!("x-api-key: {secret}\r\nauthorization: Bearer {secret}")).starts_with("HTTP/1.1 401"));
        let done = run_as(("AURALINK_TOKEN", secret), &["stream", CLIP, "--server", &server.grpc, "--frames", "2"]);
        assert_eq!(done.code, Some(0), "{}", done.stderr_text());
    }
    // What is not for a log, in every place that one might tell of.
    let huge = "x".repeat(1 << 20);
    let newline_in_path = "/v1/%0a%7B%22level%22%3A%22ERROR%22%7D";
    for bytes in [
        get(&format!("x-request-id: {huge}")).into_bytes(),
        format!("GET /{huge} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(),
        format!("GET {newline_in_path} HTTP/1.1\r\nhost: x\r\nx-request-id: {{\"level\":\"ERROR\"}}\r\nconnection: close\r\n\r\n").into_bytes(),
        b"GET /a\"b\\c HTTP/1.1\r\nhost: x\r\nx-request-id: \x1b[31mred\r\nconnection: close\r\n\r\n".to_vec(),
        b"GET /\xFF\xFE HTTP/1.1\r\nhost: \xFF\xFE\r\nx-request-id: \xFF\xFE\xC0\r\nconnection: close\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\r\n\x1b[2J\r\n\r\n".to_vec(),
        b"FORGED\nINFO everything is fine\n\n".to_vec(),
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xFF; 4_096]].concat(),
    ] {
        exchange(&http, &bytes);
        exchange(&grpc, &bytes);
    }
    // What is told to callers.
    let mut answers = run(&[&["serve", "--check"][..], &args].concat()).stdout_text();
    for (request, status) in [
        ("GET /metrics", "200"),
        ("GET /readyz", "200"),
        ("GET /openapi.json", "200"),
        ("GET /v1/settings", "200"),
        ("GET /v1/usage", "503"),
        ("GET /v1/usage?caller=root", "403"),
        ("GET /v1/sessions?x", "200"),
        ("PUT /v1/settings", "400"),
        ("POST /v1/compress", "400"),
        ("POST /v1/auth/token", "200"),
    ] {
        let head = format!("host: x\r\nconnection: close\r\ncontent-length: 0\r\nx-api-key: {key}");
        let answer = exchange(&http, format!("{request} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        answers += &answer;
    }
    assert!(answers.contains("auralink_redis_breaker_opened_total") && answers.contains("\"access_token\""));
    let answer = get("x-request-id: not plain");
    assert!(answer.contains("x-request-id: ") && !answer.contains("not plain"), "{answer}");
    assert!(get("x-request-id: my-own.name:7").contains("x-request-id: my-own.name:7"));
    signal("-HUP", server.child.id());
    assert_eq!(server.stop(), Some(0));

    let log = fs::read(folder.path().join("server.log")).unwrap();
    let log = String::from_utf8(log).expect("a log in UTF-8");
    assert!(log.lines().count() > 100 && log.contains("my-own.name:7") && log.contains("\"level\":\"TRACE\""));
    for line in log.lines() {
        assert!(line.len() <= 16 << 10, "{} bytes: {line:.200}", line.len());
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:.500}"));
        assert!(event["timestamp"].is_string() && event["target"].is_string() && event["level"].is_string(), "{line}");
    }
    let secret_part = key.rsplit('_').next().unwrap();
    let signature = token.rsplit('.').next().unwrap();
    for secret in [secret_part, signature, "canary-secret", "canary-database", "canary-redis"] {
        assert!(!answers.contains(secret), "a secret is in an answer");
        let found = log.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "a secret is in the log");
    }
}
