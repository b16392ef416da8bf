//! Tokens, good and bad: every bad one is refused, and all alike.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use auralink::service::config::{Algorithm, JwtKey, Secret};
use auralink::service::{Config, proto};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{hmac, signature};
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{config_with, http, start, with};

const SECRET: &[u8] = b"thirty-two bytes of a shared key";

/// A key of each algorithm, in files, and the configuration that names them.
pub(crate) struct Keys {
    es: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    es_file: PathBuf,
    ed_file: PathBuf,
    _folder: tempfile::TempDir,
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

impl Keys {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = SystemRandom::new();
        let es_der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let es = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, es_der.as_ref(), &random).unwrap();
        let ed_der = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ed = Ed25519KeyPair::from_pkcs8(ed_der.as_ref()).unwrap();
        let es_file = folder.path().join("es.pem");
        // The whole key of one, the public half alone of the other.
        std::fs::write(&es_file, pem("PRIVATE KEY", es_der.as_ref())).unwrap();
        let ed_file = folder.path().join("ed.pem");
        std::fs::write(&ed_file, pem("PUBLIC KEY", &ed_public(&ed))).unwrap();
        Self { es, ed, es_file, ed_file, _folder: folder }
    }

    pub(crate) fn config(&self) -> Config {
        let key = |kid: &str, algorithm| JwtKey {
            kid: kid.to_owned(),
            algorithm,
            secret: None,
            secret_file: None,
            public_key_file: None,
            private_key_file: None,
        };
        let secret = Secret::new(String::from_utf8(SECRET.to_vec()).unwrap());
        config_with(|config| {
            config.auth.jwt.sign_with = Some("es".to_owned());
            config.auth.jwt.keys = vec![
                JwtKey { secret: Some(secret), ..key("hs", Algorithm::HS256) },
                JwtKey { private_key_file: Some(self.es_file.clone()), ..key("es", Algorithm::ES256) },
                JwtKey { public_key_file: Some(self.ed_file.clone()), ..key("ed", Algorithm::EdDSA) },
            ];
        })
    }

    fn sign_es(&self, message: &str) -> Vec<u8> {
        self.es.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    }

    fn sign_ed(&self, message: &str) -> Vec<u8> {
        self.ed.sign(message.as_bytes()).as_ref().to_vec()
    }
}

fn ed_public(pair: &Ed25519KeyPair) -> Vec<u8> {
    let head = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
    [&head[..], pair.public_key().as_ref()].concat()
}

fn sign_hs(key: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes()).as_ref().to_vec()
}

/// A token of any two texts.
fn token(header: &str, claims: &str, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let message = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let signed = sign(&message);
    format!("{message}.{}", B64.encode(signed))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({ "iss": "auralink", "aud": "auralink", "sub": "camera", "exp": now() + 600, "roles": ["compress"] })
}

/// Good claims with one changed, or without it where the value is null.
fn claims_with(name: &str, value: Value) -> String {
    let mut claims = claims();
    let map = claims.as_object_mut().unwrap();
    if value.is_null() {
        drop(map.remove(name))
    } else {
        drop(map.insert(name.to_owned(), value))
    }
    claims.to_string()
}

const HS: &str = r#"{"alg":"HS256","kid":"hs","typ":"JWT"}"#;
const ES: &str = r#"{"alg":"ES256","kid":"es"}"#;
const ED: &str = r#"{"alg":"EdDSA","kid":"ed"}"#;

fn hs(header: &str, claims: &str) -> String {
    token(header, claims, |message| sign_hs(SECRET, message))
}

/// Headers that ask for another way to check than the server's.
fn bad_headers(keys: &Keys, bad: &mut Vec<(String, String)>) {
    let good = claims().to_string();
    for alg in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512", "RS256", "PS256", "ES384", "ES256", "EdDSA",
        "HS256 ",
    ] {
        let header = json!({ "alg": alg, "kid": "hs" }).to_string();
        bad.push((format!("alg {alg:?}"), hs(&header, &good)));
        bad.push((format!("alg {alg:?}, blank"), token(&header, &good, |_| Vec::new())));
    }
    for header in [
        r#"{"kid":"hs"}"#,
        r#"{"alg":null,"kid":"hs"}"#,
        r#"{"alg":256,"kid":"hs"}"#,
        r#"{"alg":["HS256"],"kid":"hs"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","kid":0}"#,
        r#"{"alg":"HS256","kid":""}"#,
        r#"{"alg":"HS256","kid":"HS"}"#,
        r#"{"alg":"HS256","kid":"other"}"#,
        r#"{"alg":"HS256","kid":"../../../../dev/null"}"#,
        r#"{"alg":"HS256","kid":"hs\u0000"}"#,
        r#"{"alg":"HS256","kid":"hs' OR '1'='1"}"#,
        r#"{"alg":"HS256","kid":"hs","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256","kid":"hs"}"#,
        r#"{"alg":"HS256","kid":"other","kid":"hs"}"#,
        r#"{"alg":"HS256","kid":"hs","jku":"https://evil.example/keys"}"#,
        r#"{"alg":"HS256","kid":"hs","x5u":"https://evil.example/cert"}"#,
        r#"{"alg":"HS256","kid":"hs","x5c":["MIIB"]}"#,
        r#"{"alg":"HS256","kid":"hs","jwk":{"kty":"oct","k":"AAAA"}}"#,
        r#"{"alg":"HS256","kid":"hs","crit":["exp"]}"#,
        r#"{"alg":"HS256","kid":"hs","b64":false}"#,
        r#"{"alg":"HS256","kid":"hs","zip":"DEF"}"#,
        r#"{"alg":"HS256","kid":"hs","typ":"JWE"}"#,
        r#"{"alg":"HS256","kid":"hs","typ":5}"#,
        r#"["HS256","hs"]"#,
        r#""HS256""#,
        "not json",
        "",
    ] {
        bad.push((format!("header {header}"), hs(header, &good)));
    }
    // The keys that everybody may know, taken for secrets.
    let es_point = keys.es.public_key().as_ref().to_vec();
    let ed_point = keys.ed.public_key().as_ref().to_vec();
    let ed_pem = pem("PUBLIC KEY", &ed_public(&keys.ed)).into_bytes();
    for kid in ["hs", "es", "ed"] {
        for public in [&es_point, &ed_point, &ed_public(&keys.ed), &ed_pem, &Vec::new()] {
            let header = json!({ "alg": "HS256", "kid": kid }).to_string();
            bad.push((format!("HS256 by a public key, kid {kid}"), token(&header, &good, |m| sign_hs(public, m))));
        }
    }
    bad.push(("EdDSA by kid es".to_owned(), token(r#"{"alg":"EdDSA","kid":"es"}"#, &good, |m| keys.sign_ed(m))));
    bad.push(("ES256 by kid ed".to_owned(), token(r#"{"alg":"ES256","kid":"ed"}"#, &good, |m| keys.sign_es(m))));
}

/// Claims that are missing, wrong, of another type, or there twice.
fn bad_claims(bad: &mut Vec<(String, String)>) {
    let cases = [
        (
            "exp",
            vec![
                json!(null),
                json!(0),
                json!(now() - 62),
                json!(-1),
                json!("9999999999"),
                json!(1e308),
                json!(u64::MAX),
            ],
        ),
        ("exp", vec![json!([now() + 600]), json!(true), json!(now() as f64 + 600.5)]),
        ("nbf", vec![json!(now() + 200), json!("0"), json!(-5), json!(u64::MAX)]),
        ("iss", vec![json!(null), json!(""), json!("Auralink"), json!("auralink "), json!(["auralink"]), json!(7)]),
        (
            "aud",
            vec![
                json!(null),
                json!(""),
                json!("aural"),
                json!([]),
                json!(["other"]),
                json!({ "auralink": 1 }),
                json!(7),
            ],
        ),
        ("sub", vec![json!(null), json!(""), json!(7), json!("a".repeat(129)), json!("two words"), json!("new\nline")]),
        ("sub", vec![json!("\u{202E}anilec"), json!("anonymous"), json!("\u{0}"), json!(["camera"])]),
        ("roles", vec![json!("admin"), json!({ "admin": true }), json!([1])]),
        ("padding", vec![json!("x".repeat(9 << 10))]),
    ];
    for (name, values) in cases {
        for value in values {
            let mut told = format!("{name} {value}");
            told.truncate(60);
            bad.push((told, hs(HS, &claims_with(name, value))));
        }
    }
    let whole = claims().to_string();
    let twice = |more: &str| format!("{}{more}}}", &whole[..whole.len() - 1]);
    for more in [
        ",\"exp\":9999999999",
        ",\"sub\":\"root\"",
        ",\"roles\":[\"admin\"]",
        ",\"iss\":\"auralink\"",
        ",\"aud\":\"auralink\"",
    ] {
        bad.push((format!("twice{more}"), hs(HS, &twice(more))));
    }
    let deep = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    for odd in ["", "null", "[]", "\"auralink\"", "{", &whole[..whole.len() - 1], &twice(&format!(",\"x\":{deep}"))] {
        bad.push((format!("claims {:.20}", odd), hs(HS, odd)));
    }
}

/// Tokens taken apart and put together wrongly.
fn bad_forms(keys: &Keys, bad: &mut Vec<(String, String)>) {
    let good = hs(HS, &claims().to_string());
    let other = hs(HS, &claims_with("sub", json!("other")));
    let parts: Vec<_> = good.split('.').collect();
    let others: Vec<_> = other.split('.').collect();
    let [header, payload, signed] = parts[..] else { panic!("{good}") };
    for odd in [
        "".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a.b.c".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signed}"),
        format!(".{payload}.{signed}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signed}"),
        format!("{good}.{signed}.{signed}"),
        format!("{header}.{}.{signed}", others[1]),
        format!("{header}.{payload}.{}", others[2]),
        format!("{good}="),
        format!("{header}=.{payload}.{signed}"),
        format!("{header}.{payload}.{}", &signed[1..]),
        format!("{header}.{payload}.{}", B64.encode([0; 32])),
        format!("{header}.{payload}.{}", B64.encode([0; 64])),
        format!("{header} .{payload}.{signed}"),
        format!("{header}.{payload}. {signed}"),
        good.replace('.', ","),
        good.to_uppercase(),
        good.chars().rev().collect(),
        "A".repeat(12 << 10),
        ".".repeat(8 << 10),
        format!("alk_{good}"),
        "alk__".to_owned(),
        format!("alk_camera_{}", "0".repeat(64)),
    ] {
        bad.push((format!("form {:.40}", odd), odd));
    }
    for (index, _) in signed.char_indices().step_by(9) {
        let flipped = if &signed[index..=index] == "A" { "B" } else { "A" };
        let changed = format!("{}{flipped}{}", &signed[..index], &signed[index + 1..]);
        bad.push((format!("signature changed at {index}"), format!("{header}.{payload}.{changed}")));
    }
    let good = claims().to_string();
    for (name, header, length) in [("ES256", ES, 64), ("EdDSA", ED, 64)] {
        bad.push((format!("{name} blank"), token(header, &good, |_| Vec::new())));
        bad.push((format!("{name} zero"), token(header, &good, |_| vec![0; length])));
        bad.push((format!("{name} ones"), token(header, &good, |_| vec![0xFF; length])));
        bad.push((
            format!("{name} of the other"),
            token(header, &good, |m| if header == ES { keys.sign_ed(m) } else { keys.sign_es(m) }),
        ));
    }
    bad.push(("ES256 short".to_owned(), token(ES, &good, |message| keys.sign_es(message)[..63].to_vec())));
    // The other encoding of ECDSA signatures.
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let sign = |message: &str| pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec();
    bad.push(("ES256 by a stranger, in DER".to_owned(), token(ES, &good, sign)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_are_refused_and_all_alike() {
    let keys = Keys::make();
    let server = start(keys.config()).await;
    let mut bad = Vec::new();
    bad_headers(&keys, &mut bad);
    bad_claims(&mut bad);
    bad_forms(&keys, &mut bad);
    assert!(bad.len() >= 150, "{}", bad.len());

    let mut client = server.client().await;
    let missing = http(server.http, "GET", "/v1/sessions", "", b"").await;
    let refused = client.describe(proto::DescribeRequest {}).await.unwrap_err();
    assert_eq!((missing.status, refused.code()), (401, Code::Unauthenticated));
    for (name, token) in &bad {
        // Twice, since what was verified is remembered.
        for _ in 0..2 {
            let extra = format!("authorization: Bearer {token}\r\n");
            let answer = http(server.http, "GET", "/v1/sessions", &extra, b"").await;
            assert_eq!((answer.status, &answer.body), (401, &missing.body), "{name}: {token:.300}");
        }
        let status = client.describe(with(Some(token), proto::DescribeRequest {})).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (refused.code(), refused.message()), "{name}");
        assert_eq!(status.details(), refused.details(), "{name}");
    }
    for scheme in ["Basic", "Bearer", "Bearer  ", "Token", "", "Bearer\t"] {
        let extra = format!("authorization: {scheme} {}\r\n", if scheme == "Bearer" { "" } else { "eyJ" });
        let answer = http(server.http, "GET", "/v1/sessions", &extra, b"").await;
        assert_eq!((answer.status, &answer.body), (401, &missing.body), "{scheme:?}");
    }
    println!("{} bad tokens, refused alike over HTTP and gRPC", bad.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_tokens_of_every_algorithm_are_taken() {
    let keys = Keys::make();
    let server = start(keys.config()).await;
    let mut client = server.client().await;
    let good = claims().to_string();
    for (name, token) in [
        ("HS256", hs(HS, &good)),
        ("ES256", token(ES, &good, |message| keys.sign_es(message))),
        ("EdDSA", token(ED, &good, |message| keys.sign_ed(message))),
        ("a list of audiences", hs(HS, &claims_with("aud", json!(["other", "auralink"])))),
        ("claims of somebody else's", hs(HS, &claims_with("email", json!("a@example.org")))),
        ("expired within the leeway", hs(HS, &claims_with("exp", json!(now() - 30)))),
        ("not quite yet", hs(HS, &claims_with("nbf", json!(now() + 30)))),
        ("an access token", hs(r#"{"alg":"HS256","kid":"hs","typ":"at+jwt"}"#, &good)),
    ] {
        for _ in 0..2 {
            let described = client.describe(with(Some(&token), proto::DescribeRequest {})).await;
            assert!(described.is_ok(), "{name}: {described:?}");
        }
    }
    // Good, but of nobody who may do anything.
    let none = hs(HS, &claims_with("roles", json!(["janitor"])));
    let status = client.list_sessions(with(Some(&none), proto::ListSessionsRequest {})).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    server.stop().await;
}
