//! The cryptography of tokens: ring's, which TLS brings anyway, behind the traits of jsonwebtoken.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Secret { algorithm: *algorithm, key: key.as_bytes().to_vec() })),
    verifier_factory,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Must come before the first token. Where the process has another provider already, that one is as good.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match algorithm {
        Algorithm::HS256 | Algorithm::EdDSA | Algorithm::ES256 => {
            Ok(Box::new(Public { algorithm: *algorithm, key: key.try_get_as_bytes()?.to_vec() }))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

/// A key that signs: a secret, or PKCS #8.
struct Secret {
    algorithm: Algorithm,
    key: Vec<u8>,
}

impl JwtSigner for Secret {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for Secret {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let failed = |_| signature::Error::new();
        match self.algorithm {
            Algorithm::HS256 => {
                Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), message).as_ref().to_vec())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.key).map_err(failed)?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            Algorithm::ES256 => {
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key, &random);
                let signed = pair.map_err(failed)?.sign(&random, message);
                Ok(signed.map_err(|_| signature::Error::new())?.as_ref().to_vec())
            }
            _ => Err(signature::Error::new()),
        }
    }
}

/// A key that checks: a secret, an Ed25519 point, or an uncompressed point of P-256.
struct Public {
    algorithm: Algorithm,
    key: Vec<u8>,
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let checked = match self.algorithm {
            // In constant time.
            Algorithm::HS256 => hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.key), message, signed),
            Algorithm::EdDSA => UnparsedPublicKey::new(&ED25519, &self.key).verify(message, signed),
            Algorithm::ES256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.key).verify(message, signed),
            _ => return Err(signature::Error::new()),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

/// The public half of a PKCS #8 key.
pub(super) fn public_half(algorithm: Algorithm, pkcs8: &[u8]) -> Option<Vec<u8>> {
    use ring::signature::KeyPair;

    match algorithm {
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
            Some(pair.public_key().as_ref().to_vec())
        }
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).ok()?;
            Some(pair.public_key().as_ref().to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;

    fn is_signed(algorithm: Algorithm, key: &DecodingKey, token: &str) -> bool {
        install();
        let (message, signed) = token.rsplit_once('.').unwrap();
        jsonwebtoken::crypto::verify(signed, message.as_bytes(), key, algorithm).unwrap()
    }

    /// The examples of RFC 7515 (A.1 and A.3) and RFC 8037 (A.4): other people's keys and signatures.
    #[test]
    fn the_examples_of_the_standards_are_taken_and_with_a_bit_changed_refused() {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let hs256 = DecodingKey::from_secret(&B64.decode(secret).unwrap());
        let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let hs256_token =
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{claims}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let es256 = DecodingKey::from_ec_components(
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        )
        .unwrap();
        let es256_token = format!(
            "eyJhbGciOiJFUzI1NiJ9.{claims}.\
             DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        let eddsa = DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let eddsa_token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
             hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        for (algorithm, key, token) in [
            (Algorithm::HS256, hs256, hs256_token.as_str()),
            (Algorithm::ES256, es256, es256_token.as_str()),
            (Algorithm::EdDSA, eddsa, eddsa_token),
        ] {
            assert!(is_signed(algorithm, &key, token), "{algorithm:?}");
            let other = token.replacen("eyJ", "eyK", 1);
            assert!(!is_signed(algorithm, &key, &other), "{algorithm:?}");
        }
    }
}
