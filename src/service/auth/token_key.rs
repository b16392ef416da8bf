//! Keys of tokens, read from where the configuration says.

use std::path::Path;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use crate::service::auth::crypto;
use crate::service::config::{self, Jwt, JwtKey, MIN_SECRET_BYTES, fault};
use crate::service::refusal::Violation;

/// What stands before the point in an Ed25519 public key's DER (RFC 8410, 4), and in one of P-256 (RFC 5480, 2).
const ED25519_HEAD: [u8; 12] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key, its one algorithm, and what its tokens must say.
pub(super) struct TokenKey {
    pub(super) algorithm: Algorithm,
    pub(super) checks: DecodingKey,
    pub(super) validation: Validation,
    /// None where only its public half is here.
    pub(super) signs: Option<EncodingKey>,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// An HS256 key.
    pub(super) fn from_secret(secret: &[u8], jwt: &Jwt) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            checks: DecodingKey::from_secret(secret),
            validation: validation(Algorithm::HS256, jwt),
            signs: Some(EncodingKey::from_secret(secret)),
        }
    }

    /// The key that `key` describes, at `path` of the configuration.
    pub(super) fn load(key: &JwtKey, jwt: &Jwt, path: &str, faults: &mut Vec<Violation>) -> Option<Self> {
        let read = |field: &str, file: &Path, faults: &mut Vec<Violation>| {
            let told = |error| fault(&format!("{path}.{field}"), format!("{}: {error}", file.display()));
            std::fs::read(file).map_err(|error| faults.push(told(error))).ok()
        };
        let algorithm = match key.algorithm {
            config::Algorithm::HS256 => {
                let secret = match (&key.secret, &key.secret_file) {
                    (Some(secret), _) => secret.reveal().as_bytes().to_vec(),
                    (None, Some(file)) => read("secret_file", file, faults)?.trim_ascii().to_vec(),
                    (None, None) => return None,
                };
                if secret.len() < MIN_SECRET_BYTES {
                    let told = format!("{} bytes are under {MIN_SECRET_BYTES}", secret.len());
                    faults.push(fault(&format!("{path}.secret_file"), told));
                    return None;
                }
                return Some(Self::from_secret(&secret, jwt));
            }
            config::Algorithm::EdDSA => Algorithm::EdDSA,
            config::Algorithm::ES256 => Algorithm::ES256,
        };
        let mut wrong = |field: &str, what: &str| faults.push(fault(&format!("{path}.{field}"), what.to_owned()));
        let private = match &key.private_key_file {
            None => None,
            Some(file) => match PrivatePkcs8KeyDer::from_pem_file(file) {
                Ok(der) => Some(der),
                Err(error) => {
                    wrong("private_key_file", &format!("{}: {error}", file.display()));
                    return None;
                }
            },
        };
        let of_private = private.as_ref().map(|der| crypto::public_half(algorithm, der.secret_pkcs8_der()));
        if of_private == Some(None) {
            wrong("private_key_file", "not a key of this algorithm");
            return None;
        }
        let of_public = match &key.public_key_file {
            None => None,
            Some(file) => {
                let point = SubjectPublicKeyInfoDer::from_pem_file(file).ok().and_then(|der| point(algorithm, &der));
                if point.is_none() {
                    wrong("public_key_file", &format!("{}: not a public key of this algorithm", file.display()));
                    return None;
                }
                point
            }
        };
        let of_private = of_private.flatten();
        if of_private.is_some() && of_public.is_some() && of_private != of_public {
            wrong("public_key_file", "not the public half of private_key_file");
            return None;
        }
        let public = of_public.or(of_private)?;
        let is_ed = algorithm == Algorithm::EdDSA;
        let checks = if is_ed { DecodingKey::from_ed_der(&public) } else { DecodingKey::from_ec_der(&public) };
        let signs = private.map(|der| {
            let der = der.secret_pkcs8_der();
            if is_ed { EncodingKey::from_ed_der(der) } else { EncodingKey::from_ec_der(der) }
        });
        Some(Self { algorithm, checks, validation: validation(algorithm, jwt), signs })
    }
}

/// The point of a public key's DER.
fn point(algorithm: Algorithm, der: &[u8]) -> Option<Vec<u8>> {
    let (head, bytes): (&[u8], _) = match algorithm {
        Algorithm::EdDSA => (&ED25519_HEAD, 32),
        _ => (&P256_HEAD, 65),
    };
    der.strip_prefix(head).filter(|point| point.len() == bytes).map(<[u8]>::to_vec)
}

/// What a token must say: who made it, for whom, and until when.
fn validation(algorithm: Algorithm, jwt: &Jwt) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[&jwt.issuer]);
    validation.set_audience(&[&jwt.audience]);
    validation.leeway = jwt.leeway_s.into();
    validation.validate_nbf = true;
    validation
}
