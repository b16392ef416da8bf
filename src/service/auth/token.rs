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
        let until =
            identity.caller.expires.and_then(|expires| expires.checked_add(self.leeway)).ok_or(Denied::Token)?;
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
