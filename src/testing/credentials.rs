//! What callers show to be known by, from a stranger's bytes to a caller.

use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::hmac;
use rustls::pki_types::CertificateDer;

use crate::service::Config;
use crate::service::auth::{API_KEY, Authenticator, name_of};
use crate::service::config::{Algorithm, JwtKey, Secret};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn authenticator() -> &'static Authenticator {
    static AUTHENTICATOR: OnceLock<Authenticator> = OnceLock::new();
    AUTHENTICATOR.get_or_init(|| {
        let mut config = Config::default();
        config.auth.jwt.keys = vec![JwtKey {
            kid: "a".to_owned(),
            algorithm: Algorithm::HS256,
            secret: Some(Secret::new(SECRET)),
            secret_file: None,
            public_key_file: None,
            private_key_file: None,
        }];
        Authenticator::load(&config, None).expect("a configuration without files can be loaded")
    })
}

/// Bytes as headers, which never make a caller; as the header and the claims of a token that is signed well, which make one with a
/// plain name and an end; and as a certificate, whose name is plain.
pub fn credentials(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        for name in [header::AUTHORIZATION, API_KEY] {
            let shown = HeaderMap::from_iter([(name, value.clone())]);
            assert!(authenticator().identify(&shown, None).is_err(), "{value:?} is taken");
        }
    }
    let middle = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (head, claims) = data.split_at(middle);
    signed(head, claims);
    // A good header lets every byte reach the claims.
    signed(br#"{"alg":"HS256","kid":"a"}"#, data);
    if let Some(name) = name_of(&CertificateDer::from(data)) {
        check_name(&name);
    }
}

fn signed(head: &[u8], claims: &[u8]) {
    let message = format!("{}.{}", B64.encode(head), B64.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    let Ok(value) = HeaderValue::try_from(format!("Bearer {message}.{}", B64.encode(tag))) else { return };
    let shown = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    if let Ok(identity) = authenticator().identify(&shown, None) {
        assert!(identity.caller.expires.is_some(), "{identity:?}");
        check_name(&identity.caller.id);
    }
}

fn check_name(name: &str) {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(is_plain && (1..=128).contains(&name.len()) && name != "anonymous", "{name:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_reach_their_checks_and_changed_ones_hold() {
        let good = br#"{"iss":"auralink","aud":"auralink","sub":"camera","exp":32503680000,"roles":["compress"]}"#;
        let head = br#"{"alg":"HS256","kid":"a"}"#;
        let tag = |message: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
        let message = format!("{}.{}", B64.encode(head), B64.encode(good));
        let token = format!("Bearer {message}.{}", B64.encode(tag(&message)));
        let shown = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
        assert_eq!(
            &*authenticator().identify(&shown, None).unwrap().caller.id,
            "camera",
            "the body's own token is good"
        );
        for at in 0..good.len() {
            for byte in [b'"', b'\\', b'{', b' ', b'9', 0, 0xFF] {
                let mut changed = good.to_vec();
                changed[at] = byte;
                credentials(&changed);
            }
        }
    }
}
