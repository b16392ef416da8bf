//! Who may call: API keys, tokens and client certificates.

mod cache;
mod certificate;
mod crypto;
pub(crate) mod gate;
mod hex;
mod keyfile;
mod keys;
mod lease;
pub(crate) mod policy;
mod token;
mod token_key;

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName, header};

use crate::service::caller::{Caller, Roles};
use crate::service::config::{Config, ConfigError, Role};
use crate::service::refusal::Violation;
use crate::service::transport::Peer;
use keys::KeyRing;
use policy::Need;
use token::Tokens;

pub(crate) use certificate::name_of;
pub use keyfile::{KeyFile, KeyFileError};
pub(crate) use lease::Lease;

/// The other place for an API key, beside `authorization: Bearer`.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Why somebody isn't known; for the metrics and the log, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nothing says who calls.
    Missing,
    /// What says it isn't of any known form.
    Malformed,
    /// An API key that isn't known, or not any more.
    Key,
    /// A token that isn't what it should be.
    Token,
    /// A certificate without a name.
    Certificate,
}

impl Denied {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Key => "key",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

/// What a caller is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nobody has to say.
    Nobody,
    /// The API key of its name.
    Key,
    /// A token, signed with the key `kid`, which may have been traded for the API key `via`.
    Token { kid: Arc<str>, via: Option<Arc<str>> },
    /// The client certificate of its name.
    Certificate,
}

/// A caller, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    pub(crate) proof: Proof,
}

/// Everything that callers are known by.
#[derive(Debug)]
pub(crate) struct Authenticator {
    is_required: bool,
    keys: KeyRing,
    tokens: Tokens,
    certificates: Vec<(Arc<str>, Roles)>,
    certificate_roles: Roles,
}

impl Authenticator {
    /// Reads the keys that `config` names. Tokens that `before` has given out stay good.
    ///
    /// # Errors
    /// Every file and key at fault.
    pub(crate) fn load(config: &Config, before: Option<&Self>) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let keys = KeyRing::load(&config.auth, &mut faults);
        let tokens = Tokens::load(&config.auth, before.map(|before| &before.tokens), &mut faults);
        let certificates = &config.auth.certificates;
        let named = certificates.iter().map(|entry| (Arc::from(entry.name.as_str()), roles_of(&entry.roles)));
        match tokens {
            Some(tokens) if faults.is_empty() => Ok(Self {
                is_required: config.authenticates(),
                keys,
                tokens,
                certificates: named.collect(),
                certificate_roles: roles_of(&config.auth.certificate_roles),
            }),
            _ => Err(ConfigError { faults }),
        }
    }

    /// Who calls, by the request's headers and its connection.
    ///
    /// # Errors
    /// That nobody knows.
    pub(crate) fn identify(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Identity, Denied> {
        if !self.is_required {
            return Ok(Identity { caller: Caller::anonymous(), proof: Proof::Nobody });
        }
        let now = SystemTime::now();
        match credential(headers)? {
            Some(Credential::Key(key)) => self.keys.find(key, now),
            Some(Credential::Token(token)) => {
                let mut identity = self.tokens.verify(token, now)?;
                identity.caller.roles = self.holds(&identity, now).ok_or(Denied::Token)?;
                Ok(identity)
            }
            None => self.certified(peer),
        }
    }

    fn certified(&self, peer: Option<&Peer>) -> Result<Identity, Denied> {
        let shown = peer.and_then(|peer| peer.certificate.as_ref()).ok_or(Denied::Missing)?;
        let id = shown.name.clone().ok_or(Denied::Certificate)?;
        let roles = self.roles_of_certificate(&id);
        Ok(Identity { caller: Caller { id, roles, expires: None }, proof: Proof::Certificate })
    }

    fn roles_of_certificate(&self, id: &str) -> Roles {
        let named = self.certificates.iter().find(|(name, _)| **name == *id);
        named.map_or(self.certificate_roles, |(_, roles)| *roles)
    }

    /// Whether somebody who was let in may still do what `need` says.
    pub(crate) fn still_allows(&self, identity: &Identity, need: Need, now: SystemTime) -> bool {
        let is_over = identity.caller.expires.is_some_and(|expires| expires <= now);
        !is_over && self.holds(identity, now).is_some_and(|roles| policy::meets(roles, need))
    }

    /// The roles of an identity as things are now; none where what it is known by isn't taken any more.
    fn holds(&self, identity: &Identity, now: SystemTime) -> Option<Roles> {
        match &identity.proof {
            Proof::Nobody => (!self.is_required).then_some(identity.caller.roles),
            Proof::Key => self.keys.roles(&identity.caller.id, now),
            Proof::Token { kid, via } => {
                let roles = identity.caller.roles;
                let left = match via {
                    // A token can't do more than its key can by now.
                    Some(id) => policy::both(roles, self.keys.roles(id, now)?),
                    None => roles,
                };
                self.tokens.knows(kid).then_some(left)
            }
            Proof::Certificate => Some(self.roles_of_certificate(&identity.caller.id)),
        }
    }

    /// A token for somebody known by an API key, and its life in seconds.
    pub(crate) fn trade(&self, identity: &Identity) -> Option<(String, u64)> {
        match identity.proof {
            Proof::Key => self.tokens.trade(&identity.caller, SystemTime::now()),
            _ => None,
        }
    }
}

/// Makes a token as a server of this configuration takes it: for `subject`, with `roles`, for `seconds`.
///
/// # Errors
/// Keys at fault, or none that signs.
pub fn mint_token(config: &Config, subject: &str, roles: &[Role], seconds: u64) -> Result<String, ConfigError> {
    let mut faults = Vec::new();
    let tokens = Tokens::load(&config.auth, None, &mut faults);
    let told = |field: &str, why: &str| Violation { field: field.to_owned(), description: why.to_owned() };
    if config.auth.jwt.sign_with.is_none() {
        faults.push(told("auth.jwt.sign_with", "missing: no key to sign with"));
    }
    if !token::is_name(subject) {
        faults.push(told("subject", "not 1..=128 printable characters without spaces"));
    }
    match tokens {
        Some(tokens) if faults.is_empty() => {
            let minted = tokens.mint(subject, roles_of(roles), SystemTime::now(), seconds, None);
            minted.ok_or_else(|| ConfigError { faults: vec![told("auth.jwt.sign_with", "the key doesn't sign")] })
        }
        _ => Err(ConfigError { faults }),
    }
}

enum Credential<'a> {
    Key(&'a str),
    Token(&'a str),
}

/// The one credential of a request.
fn credential(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Denied> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let mut keys = headers.get_all(API_KEY).iter();
    let (bearer, key) = (bearers.next(), keys.next());
    if bearers.next().is_some() || keys.next().is_some() || (bearer.is_some() && key.is_some()) {
        return Err(Denied::Malformed);
    }
    if let Some(key) = key {
        return Ok(Some(Credential::Key(key.to_str().map_err(|_| Denied::Malformed)?)));
    }
    let Some(bearer) = bearer else { return Ok(None) };
    let text = bearer.to_str().map_err(|_| Denied::Malformed)?;
    match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() => {
            let is_key = rest.starts_with(keys::PREFIX);
            Ok(Some(if is_key { Credential::Key(rest) } else { Credential::Token(rest) }))
        }
        _ => Err(Denied::Malformed),
    }
}

pub(crate) fn roles_of(roles: &[Role]) -> Roles {
    Roles {
        compress: roles.contains(&Role::Compress),
        observe: roles.contains(&Role::Observe),
        admin: roles.contains(&Role::Admin),
    }
}
