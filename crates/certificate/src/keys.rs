//! Keys that sign, and the set of public keys by which signatures are verified (RFC 7517, RFC 8037).

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::text::{decode, decode_hash, encode};

/// Bytes of a set of public keys: thousands of rotations fit.
pub const KEY_SET_BYTES_MAX: usize = 1 << 20;

/// An Ed25519 key that signs certificates.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// The bytes are no key.
#[derive(Debug, Error)]
#[error("these bytes are no Ed25519 key")]
pub struct NoKey;

impl SigningKey {
    /// Bytes that a key is made from.
    pub const SEED_BYTES: usize = 32;

    /// The key made from these bytes, which must come from a cryptographic random source.
    ///
    /// # Errors
    /// The library refuses the bytes.
    pub fn from_seed(seed: &[u8; Self::SEED_BYTES]) -> Result<Self, NoKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoKey)?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| NoKey)?;
        Ok(Self { pair, public: PublicKey::new(bytes) })
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, NoKey> {
        self.pair.try_sign(bytes).map(|signature| signature.as_ref().to_vec()).map_err(|_| NoKey)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id).finish_non_exhaustive()
    }
}

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// `kid`: its thumbprint (RFC 7638).
    pub id: String,
    bytes: [u8; 32],
}

impl PublicKey {
    fn new(bytes: [u8; 32]) -> Self {
        // The members that RFC 8037 §2 demands, in order and without blanks.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(bytes));
        Self { id: encode(Sha256::digest(members)), bytes }
    }

    pub(crate) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.bytes).verify(signed, signature).is_ok()
    }
}

/// A key as it is published, with the time in which it signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The public key.
    pub x: String,
    /// Its thumbprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `sig`.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// `EdDSA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Signed nothing before, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Signs nothing since, in seconds since 1970; absent while it signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
}

impl Jwk {
    /// A key that has signed since `from_s`, and until `until_s` if it does no more.
    #[must_use]
    pub fn new(key: &PublicKey, from_s: i64, until_s: Option<i64>) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: encode(key.bytes),
            kid: Some(key.id.clone()),
            usage: Some("sig".to_owned()),
            alg: Some("EdDSA".to_owned()),
            nbf: Some(from_s),
            exp: until_s,
        }
    }

    /// The key; `None` if it is of another kind.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        (self.kty == "OKP" && self.crv == "Ed25519").then(|| decode_hash(&self.x).map(PublicKey::new)).flatten()
    }
}

/// A JWK Set: every key that has ever signed for a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The keys, the one that signs now last.
    pub keys: Vec<Jwk>,
}

/// Why a set cannot be used.
#[derive(Debug, Error)]
pub enum KeySetError {
    /// Over [`KEY_SET_BYTES_MAX`].
    #[error("the set of keys has {0} bytes, at most {KEY_SET_BYTES_MAX} are read")]
    TooLarge(usize),
    /// Not a JWK Set.
    #[error("this is no JWK Set: {0}; GET /.well-known/lethe/jwks.json gives one")]
    NotASet(#[from] serde_json::Error),
    /// None of its keys is an Ed25519 key.
    #[error("the set has no Ed25519 key")]
    NoKeys,
}

impl KeySet {
    /// Reads a set. Keys of other kinds are left alone.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn read(text: &str) -> Result<Self, KeySetError> {
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge(text.len()));
        }
        let all: Members = serde_json::from_str(text)?;
        let keys: Vec<Jwk> = all.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        if !keys.iter().any(|key| key.public_key().is_some()) {
            return Err(KeySetError::NoKeys);
        }
        Ok(Self { keys })
    }

    /// The key of this id, found by what it is and not by what it calls itself.
    pub(crate) fn find(&self, id: &str) -> Option<(PublicKey, &Jwk)> {
        self.keys.iter().find_map(|jwk| jwk.public_key().filter(|key| key.id == id).map(|key| (key, jwk)))
    }
}

#[derive(Deserialize)]
struct Members {
    keys: Vec<serde_json::Value>,
}

/// Reads the bytes that a key is made from, as [`write_seed`] writes them.
#[must_use]
pub fn read_seed(text: &str) -> Option<[u8; SigningKey::SEED_BYTES]> {
    decode(text)?.try_into().ok()
}

/// The bytes that a key is made from, as text.
#[must_use]
pub fn write_seed(seed: &[u8; SigningKey::SEED_BYTES]) -> String {
    encode(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_and_signatures_are_those_of_rfc_8037() {
        // RFC 8037, appendices A.1 to A.5.
        let seed = read_seed("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.public().id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(Jwk::new(key.public(), 0, None).x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(encode(key.sign(signed).unwrap()), signature);
        assert!(key.public().verifies(signed, &decode(signature).unwrap()));
        assert!(!key.public().verifies(b"else", &decode(signature).unwrap()));
    }

    #[test]
    fn a_set_is_read_as_it_was_written_and_keys_of_other_kinds_are_left_alone() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let set = KeySet { keys: vec![Jwk::new(key.public(), 5, Some(9))] };
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(KeySet::read(&text).unwrap(), set);
        let mixed = text.replace(r#"{"keys":["#, r#"{"keys":[{"kty":"RSA","n":"x","e":"AQAB"},"#);
        assert_eq!(KeySet::read(&mixed).unwrap(), set);
        assert!(matches!(KeySet::read(r#"{"keys":[]}"#), Err(KeySetError::NoKeys)));
        assert!(matches!(KeySet::read("[]"), Err(KeySetError::NotASet(_))));
        assert!(matches!(KeySet::read(&" ".repeat(KEY_SET_BYTES_MAX + 1)), Err(KeySetError::TooLarge(_))));
        // A key that calls itself another is found by what it is.
        let lying = text.replace(&key.public().id, "other");
        assert!(KeySet::read(&lying).unwrap().find("other").is_none());
        assert!(KeySet::read(&lying).unwrap().find(&key.public().id).is_some());
    }
}
