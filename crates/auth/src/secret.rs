//! Secrets: their text, and the keyed hash that is stored in their place.
//!
//! Every secret is generated from 256 random bits, so a fast keyed hash is enough: there is nothing to guess, and without the key a stolen
//! database gives nothing to try guesses on. Passwords that people choose would need a slow hash and do not exist here.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What a secret is for. A secret of one kind never passes for another: its kind goes into the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// `client_secret`.
    ClientSecret,
    /// The code that buys a first pair of tokens.
    AuthCode,
    /// The bearer token.
    AccessToken,
    /// The token that buys the next pair.
    RefreshToken,
}

impl SecretKind {
    /// How secrets of this kind begin, so that people and secret scanners recognise a leaked one.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ClientSecret => "lethe_cs_",
            Self::AuthCode => "lethe_ac_",
            Self::AccessToken => "lethe_at_",
            Self::RefreshToken => "lethe_rt_",
        }
    }

    /// What is hashed before the secret. Stored hashes depend on it: never change one.
    fn domain(self) -> &'static [u8] {
        match self {
            Self::ClientSecret => b"lethe client secret\0",
            Self::AuthCode => b"lethe auth code\0",
            Self::AccessToken => b"lethe access token\0",
            Self::RefreshToken => b"lethe refresh token\0",
        }
    }
}

/// A freshly generated secret: shown to its owner once, and then only its [`KeyedHash`] remains.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Random bytes that a secret is made of.
    pub const RANDOM_BYTES: usize = 32;

    /// The secret made of these bytes, which must come from a cryptographic random source. Its text is safe in URLs, headers and JSON.
    #[must_use]
    pub fn generate(kind: SecretKind, random: [u8; Self::RANDOM_BYTES]) -> Self {
        Self(format!("{}{}", kind.prefix(), hex(&random)))
    }

    /// The text, to be handed to its owner and to nobody else: no log, no error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The server's own key, under which secrets are hashed. Whoever has it and the database can test guesses: it is kept apart from backups.
///
/// With another key every stored secret and token is worthless, and each client needs a new secret.
#[derive(Clone)]
pub struct SecretKey([u8; Self::BYTES]);

impl SecretKey {
    /// Length of the key.
    pub const BYTES: usize = 32;

    /// The key made of these bytes, which must come from a cryptographic random source.
    #[must_use]
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA-256 (RFC 2104) of the kind and the text. Takes the same time for every text of a length.
    #[must_use]
    pub fn hash(&self, kind: SecretKind, text: &str) -> KeyedHash {
        self.mac(kind.domain(), text.as_bytes())
    }

    /// HMAC-SHA-256 of what a client is given to bring back, such as the place where a next page begins. No secret's hash is one of these.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> KeyedHash {
        self.mac(b"lethe signature\0", bytes)
    }

    fn mac(&self, domain: &[u8], bytes: &[u8]) -> KeyedHash {
        // RFC 2104 fills a key shorter than the hash's block with zeros; doing so here leaves no error case.
        let mut block = [0; 64];
        block[..Self::BYTES].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as Mac>::new(&block.into());
        mac.update(domain);
        mac.update(bytes);
        KeyedHash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// HMAC-SHA-256 of a generated secret or token. What is stored in its place: it gives nothing away without the key.
///
/// `==` takes the same time wherever two hashes differ.
#[derive(Clone, Copy)]
pub struct KeyedHash(pub [u8; 32]);

impl PartialEq for KeyedHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyedHash {}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(…)")
    }
}

/// Lower-case hexadecimal text of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [SecretKind; 4] = [SecretKind::ClientSecret, SecretKind::AuthCode, SecretKind::AccessToken, SecretKind::RefreshToken];

    #[test]
    fn hashes_are_hmac_sha_256_and_stay_what_they_are_in_stored_rows() {
        // python3: hmac.new(bytes(range(32)), domain + b"some secret", hashlib.sha256).hexdigest()
        let key = SecretKey::new(std::array::from_fn(|i| i as u8));
        let cases = [
            (SecretKind::ClientSecret, "479df614a054a40f177f2a8fea6c3b49c74e19ffacaeac8e9438a4fff20cd43f"),
            (SecretKind::AuthCode, "72a009fb6f348aff7d1a433b71e186833e8ea93951cc55ab220d72cd6545ad2b"),
            (SecretKind::AccessToken, "6acf350733ef6f8b2a2f5623965047344160ad9c0b113ac5bb9e90df013a50ab"),
            (SecretKind::RefreshToken, "7d6a3469b7358cdb5989752f7c09fd1b645ccfd59a4df5ec61f2884f49705dcb"),
        ];
        for (kind, expected) in cases {
            assert_eq!(hex(&key.hash(kind, "some secret").0), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_hash_depends_on_key_kind_and_text() {
        let (key, other_key) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        let hash = key.hash(SecretKind::AccessToken, "a");
        assert_eq!(hash, key.hash(SecretKind::AccessToken, "a"));
        assert_ne!(hash, other_key.hash(SecretKind::AccessToken, "a"));
        assert_ne!(hash, key.hash(SecretKind::AccessToken, "b"));
        for kind in KINDS {
            assert_eq!(kind == SecretKind::AccessToken, hash == key.hash(kind, "a"), "{kind:?}");
        }
    }

    #[test]
    fn a_signature_depends_on_key_and_text_and_is_no_hash_of_a_secret() {
        let (key, other_key) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        assert_eq!(key.sign(b"a"), key.sign(b"a"));
        assert_ne!(key.sign(b"a"), other_key.sign(b"a"));
        assert_ne!(key.sign(b"a"), key.sign(b"b"));
        for kind in KINDS {
            assert_ne!(key.sign(b"a"), key.hash(kind, "a"), "{kind:?}");
        }
    }

    #[test]
    fn a_secret_carries_all_of_its_randomness_behind_the_prefix_of_its_kind() {
        let mut random = [0xab; 32];
        random[31] = 0x0f;
        for kind in KINDS {
            let text = Secret::generate(kind, random);
            assert_eq!(text.expose(), format!("{}{}0f", kind.prefix(), "ab".repeat(31)));
        }
    }

    #[test]
    fn nothing_secret_shows_in_debug_output() {
        let secret = Secret::generate(SecretKind::ClientSecret, [0xab; 32]);
        let key = SecretKey::new([0xab; 32]);
        let shown = format!("{secret:?} {key:?} {:?}", KeyedHash([0xab; 32]));
        assert_eq!(shown, "Secret(…) SecretKey(…) KeyedHash(…)");
    }
}
