//! Tokens: how long they live, and the pair that a code or a refresh token buys.

use crate::{KeyedHash, Secret, SecretKey, SecretKind};

/// Life of a code: 7200 s.
pub const AUTH_CODE_LIFETIME_MS: i64 = 7_200_000;

/// Life of an access token: 7200 s.
pub const ACCESS_TOKEN_LIFETIME_MS: i64 = 7_200_000;

/// `expires_in` as printed: the whole seconds of [`ACCESS_TOKEN_LIFETIME_MS`] that are surely left when the answer arrives.
pub const EXPIRES_IN_S: i64 = ACCESS_TOKEN_LIFETIME_MS / 1_000 - 1;

/// Life of a refresh token: 30 days. Each renewal begins a new one, so only a user who is away for longer needs a new code.
pub const REFRESH_TOKEN_LIFETIME_MS: i64 = 30 * 24 * 3_600_000;

/// An access token and the refresh token that renews it, as handed to their owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// The bearer token.
    pub access_token: Secret,
    /// Serves once, to get the next pair.
    pub refresh_token: Secret,
}

impl TokenPair {
    /// A pair made of these bytes, which must come from a cryptographic random source.
    #[must_use]
    pub fn generate(access_random: [u8; Secret::RANDOM_BYTES], refresh_random: [u8; Secret::RANDOM_BYTES]) -> Self {
        Self {
            access_token: Secret::generate(SecretKind::AccessToken, access_random),
            refresh_token: Secret::generate(SecretKind::RefreshToken, refresh_random),
        }
    }

    /// What is stored of the pair when it is issued now, as the first of a new family.
    #[must_use]
    pub fn issued(&self, key: &SecretKey, now_ms: i64) -> IssuedTokens {
        let refresh_hash = key.hash(SecretKind::RefreshToken, self.refresh_token.expose());
        IssuedTokens {
            family: refresh_hash,
            access_hash: key.hash(SecretKind::AccessToken, self.access_token.expose()),
            access_expires_on_ms: now_ms.saturating_add(ACCESS_TOKEN_LIFETIME_MS),
            refresh_hash,
            refresh_expires_on_ms: now_ms.saturating_add(REFRESH_TOKEN_LIFETIME_MS),
        }
    }
}

/// A pair of tokens to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedTokens {
    /// All tokens that descend from one code share a family: the hash of its first refresh token.
    pub family: KeyedHash,
    /// Hash of the access token.
    pub access_hash: KeyedHash,
    /// End of the access token, in milliseconds since the epoch.
    pub access_expires_on_ms: i64,
    /// Hash of the refresh token.
    pub refresh_hash: KeyedHash,
    /// End of the refresh token, in milliseconds since the epoch.
    pub refresh_expires_on_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_stored_under_the_hashes_of_its_own_kinds_and_ends_in_time() {
        let key = SecretKey::new([7; 32]);
        let pair = TokenPair::generate([1; 32], [2; 32]);
        let issued = pair.issued(&key, 1_000);
        assert_eq!(issued.access_hash, key.hash(SecretKind::AccessToken, pair.access_token.expose()));
        assert_eq!(issued.refresh_hash, key.hash(SecretKind::RefreshToken, pair.refresh_token.expose()));
        assert_eq!(issued.family, issued.refresh_hash);
        assert_eq!(issued.access_expires_on_ms, 7_201_000);
        assert_eq!(issued.refresh_expires_on_ms, 2_592_001_000);
    }

    #[test]
    fn expires_in_is_as_printed() {
        assert_eq!(EXPIRES_IN_S, 7199);
    }
}
