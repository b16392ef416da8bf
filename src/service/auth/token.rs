//! Tokens: JWT (RFC 7519), taken in one narrow form and refused in every other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken::{Algorithm, Header};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::service::auth::cache::Cache;
use crate::service::auth::token_key::TokenKey;
use crate::service::auth::{Denied, Identity, Proof, crypto, hex};
use crate::service::caller::{Caller, Roles};
use crate::service::config::{Auth, fault};
use crate::service::refusal::Violation;

/// Longest token that is looked at, bytes.
const MAX_TOKEN_BYTES: usize = 8 << 10;
/// Longest subject, bytes: it is a name in logs and records.
const MAX_SUBJECT_BYTES: usize = 128;

/// Everything a header may hold. Whatever points to other keys (`jwk`, `jku`, `x5u`), asks for more (`crit`) or packs the
/// claims (`zip`) isn't of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: Algorithm,
    kid: String,
    #[serde(default)]
    typ: Option<String>,
}

/// What a token says. A claim of these that is there twice, or of another type, is an error.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    /// `compress`, `observe`, `admin`; others are somebody else's.
    #[serde(default)]
    roles: Vec<String>,
    /// The API key that was traded for the token: it goes when that goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auralink_key: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A key of this process alone, for tokens traded for API keys.
#[derive(Clone)]
struct Own {
    kid: String,
    secret: [u8; 32],
}

/// Keys by `kid`, what was verified lately, and which key signs.
pub(super) struct Tokens {
    keys: HashMap<String, TokenKey>,
    signer: String,
    own: Own,
    issuer: String,
    audience: String,
    leeway: Duration,
    life_s: u64,
    verified: Cache,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("keys", &self.keys).field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the keys; the one of this process alone stays that of `before`.
    pub(super) fn load(auth: &Auth, before: Option<&Self>, faults: &mut Vec<Violation>) -> Option<Self> {
        crypto::install();
        let own = before.map(|before| before.own.clone()).or_else(|| {
            let (mut name, mut secret) = ([0; 4], [0; 32]);
            let random = SystemRandom::new();
            let filled = random.fill(&mut name).and_then(|()| random.fill(&mut secret));
            filled.ok().map(|()| Own { kid: format!("own-{}", hex::encode(&name)), secret })
        });
        let Some(own) = own else {
            faults.push(fault("auth.jwt", "the system gives no random numbers".to_owned()));
            return None;
        };
        let mut keys = HashMap::new();
        for (index, key) in auth.jwt.keys.iter().enumerate() {
            if let Some(loaded) = TokenKey::load(key, &auth.jwt, &format!("auth.jwt.keys[{index}]"), faults) {
                keys.insert(key.kid.clone(), loaded);
            }
        }
        let signer = auth.jwt.sign_with.clone().unwrap_or_else(|| own.kid.clone());
        if auth.jwt.sign_with.is_none() {
            keys.insert(own.kid.clone(), TokenKey::from_secret(&own.secret, &auth.jwt));
        }
        Some(Self {
            keys,
            signer,
            own,
            issuer: auth.jwt.issuer.clone(),
            audience: auth.jwt.audience.clone(),
            leeway: Duration::from_secs(auth.jwt.leeway_s.into()),
            life_s: auth.token_ttl_s.into(),
            verified: Cache::default(),
        })
    }

    /// Whether a key is still there.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// Whose token this is.
    pub(super) fn verify(&self, token: &str, now: SystemTime) -> Result<Identity, Denied> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denied::Token);
        }
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(identity) = self.verified.find(&name, now) {
            return Ok(identity);
        }
        let identity = self.verify_anew(token).ok_or(Denied::Token)?;
        let until = identity.caller.expires.and_then(|expires| expires.checked_add(self.leeway));
        let until = until.filter(|until| now < *until).ok_or(Denied::Token)?;
        self.verified.keep(name, identity.clone(), until);
        Ok(identity)
    }

    fn verify_anew(&self, token: &str) -> Option<Identity> {
        let header: StrictHeader = serde_json::from_slice(&B64.decode(token.split('.').next()?).ok()?).ok()?;
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT") && !typ.eq_ignore_ascii_case("at+jwt")) {
            return None;
        }
        let (kid, key) = self.keys.get_key_value(&header.kid)?;
        if header.alg != key.algorithm {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &key.checks, &key.validation).ok()?.claims;
        if !is_name(&claims.sub) {
            return None;
        }
        let has = |role: &str| claims.roles.iter().any(|given| given == role);
        let roles = Roles { compress: has("compress"), observe: has("observe"), admin: has("admin") };
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))?;
        let caller = Caller { id: Arc::from(claims.sub), roles, expires: Some(expires) };
        let via = claims.auralink_key.map(Arc::from);
        Some(Identity { caller, proof: Proof::Token { kid: Arc::from(kid.as_str()), via } })
    }

    /// A token for a caller known by an API key: as good as the key, and no longer.
    pub(super) fn trade(&self, caller: &Caller, now: SystemTime) -> Option<(String, u64)> {
        let left = caller.expires.map(|expires| expires.duration_since(now).map_or(0, |left| left.as_secs()));
        let seconds = left.map_or(self.life_s, |left| left.min(self.life_s));
        let token = self.mint(&caller.id, caller.roles, now, seconds, Some(&caller.id))?;
        Some((token, seconds))
    }

    /// A token that lasts for so many seconds.
    pub(super) fn mint(
        &self,
        subject: &str,
        roles: Roles,
        now: SystemTime,
        seconds: u64,
        via: Option<&str>,
    ) -> Option<String> {
        let key = self.keys.get(&self.signer)?;
        let now_s = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let named = [(roles.compress, "compress"), (roles.observe, "observe"), (roles.admin, "admin")];
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: Audience::One(self.audience.clone()),
            sub: subject.to_owned(),
            exp: now_s.checked_add(seconds)?,
            nbf: None,
            iat: Some(now_s),
            roles: named.iter().filter(|(has, _)| *has).map(|(_, name)| (*name).to_owned()).collect(),
            auralink_key: via.map(str::to_owned),
        };
        let header = Header { kid: Some(self.signer.clone()), ..Header::new(key.algorithm) };
        jsonwebtoken::encode(&header, &claims, key.signs.as_ref()?).ok()
    }
}

/// Whether a subject can name a caller: it is written to logs and records.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_SUBJECT_BYTES).contains(&text.len())
        && text != "anonymous"
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::config::Jwt;

    fn tokens(jwt: Jwt) -> Tokens {
        let mut faults = Vec::new();
        let tokens = Tokens::load(&Auth { jwt, ..Auth::default() }, None, &mut faults).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        tokens
    }

    fn compress() -> Roles {
        Roles { compress: true, ..Roles::default() }
    }

    #[test]
    fn a_token_comes_back_as_its_caller_and_only_where_it_was_made() {
        let here = tokens(Jwt::default());
        let now = SystemTime::now();
        let token = here.mint("camera", compress(), now, 60, Some("key")).unwrap();
        for _ in 0..2 {
            let identity = here.verify(&token, now).unwrap();
            assert_eq!((&*identity.caller.id, identity.caller.roles), ("camera", compress()));
            let Proof::Token { kid, via } = identity.proof else { panic!("{:?}", identity.proof) };
            assert_eq!((&*kid, via.as_deref()), (here.signer.as_str(), Some("key")));
        }
        // What was verified is forgotten when it ends, leeway and all.
        assert!(here.verify(&token, now + Duration::from_secs(121)).is_err());
        assert!(tokens(Jwt::default()).verify(&token, now).is_err(), "another process has another key");
        let again = Tokens::load(&Auth::default(), Some(&here), &mut Vec::new()).unwrap();
        assert!(again.verify(&token, now).is_ok(), "the same process has the same");
        let other = Jwt { audience: "other".to_owned(), ..Jwt::default() };
        let other = Tokens::load(&Auth { jwt: other, ..Auth::default() }, Some(&here), &mut Vec::new()).unwrap();
        assert!(other.verify(&token, now).is_err());
    }

    #[test]
    fn a_traded_token_ends_with_its_key() {
        let tokens = tokens(Jwt::default());
        let now = SystemTime::now();
        let left = |expires| {
            let caller = Caller { id: Arc::from("camera"), roles: compress(), expires };
            tokens.trade(&caller, now).unwrap().1
        };
        assert_eq!([left(None), left(Some(now + Duration::from_secs(100))), left(Some(now))], [900, 100, 0]);
    }

    /// Each byte of a token changed, and a great many texts that are nearly one.
    #[test]
    fn no_changed_token_is_taken() {
        let tokens = tokens(Jwt::default());
        let now = SystemTime::now();
        let good = tokens.mint("camera", compress(), now, 600, None).unwrap();
        let mut state = 1_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let mut cases = 0;
        for round in 0..40_000 {
            let mut bytes = good.clone().into_bytes();
            let at = if round < bytes.len() { round } else { random(bytes.len()) };
            match round % 4 {
                0 | 1 => bytes[at] = b' ' + random(95) as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"ABC.-_="[random(7)]),
            }
            let changed = String::from_utf8(bytes).unwrap();
            if changed != good {
                assert!(tokens.verify(&changed, now).is_err(), "{changed} for {good}");
                cases += 1;
            }
        }
        assert!(cases > 38_000 && tokens.verify(&good, now).is_ok());
        assert!(tokens.verify(&"A".repeat(1 << 20), now).is_err());
    }
}
