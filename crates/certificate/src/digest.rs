//! What is kept of a deleted id: a hash that says nothing without an opening, which only the key of its job can make.
//!
//! The leaf of `251/Patient/123` is the hash of `opening · name`, the opening being HMAC-SHA-256 of the name under the key of the job. Who is
//! shown one opening can check that one name and test no other, since every name has an opening of its own. When the key is destroyed, no
//! opening can be made any more: the leaves that are left are noise (docs/adr/0029).

use hmac::{Hmac, Mac};
use lethe_fhir::ResourceType;
use sha2::{Digest, Sha256};

use crate::tree::Hash;

/// The key of one job's openings.
#[derive(Clone)]
pub struct DigestKey(Hmac<Sha256>);

/// Shows that a leaf stands for one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening(pub [u8; 32]);

impl DigestKey {
    /// Bytes of a key, which must come from a cryptographic random source.
    pub const BYTES: usize = 32;

    /// The key made of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        // RFC 2104 fills a key that is shorter than the hash's block with zeros; doing so here leaves no error case.
        let mut block = [0; 64];
        block[..Self::BYTES].copy_from_slice(bytes);
        Self(<Hmac<Sha256> as Mac>::new(&block.into()))
    }

    /// The opening of a name.
    #[must_use]
    pub fn opening(&self, name: &[u8]) -> Opening {
        // A clone of a keyed state costs a copy; keying anew would cost as much as the hash.
        let mut mac = self.0.clone();
        mac.update(name);
        Opening(mac.finalize().into_bytes().into())
    }

    /// The leaf of a name.
    #[must_use]
    pub fn leaf(&self, name: &[u8]) -> Hash {
        self.opening(name).leaf(name)
    }
}

impl Opening {
    /// The leaf that this opens: a leaf of RFC 6962 §2.1, whose data are opening and name.
    #[must_use]
    pub fn leaf(&self, name: &[u8]) -> Hash {
        let mut hash = Sha256::new();
        hash.update([0]);
        hash.update(self.0);
        hash.update(name);
        hash.finalize().into()
    }
}

/// How a deleted resource is named: `251/Patient/123`. The same id in two accounts has two names.
#[must_use]
pub fn name(account: i64, resource_type: ResourceType, id: &str) -> String {
    format!("{account}/{resource_type}/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_hmac_then_sha_256_and_depends_on_key_and_name() {
        // python3: o = hmac.new(bytes(range(32)), b"251/Patient/123", "sha256").digest(); sha256(b"\0" + o + b"251/Patient/123")
        let key = DigestKey::new(&std::array::from_fn(|index| index as u8));
        let leaf = key.leaf(b"251/Patient/123");
        assert_eq!(crate::text::encode(leaf), "hYlShKAdNMnB1Hbg0xIlF4EnnSAYPAdm6q_YvctjNps");
        assert_eq!(leaf, key.opening(b"251/Patient/123").leaf(b"251/Patient/123"), "an opening shows it without the key");
        assert_ne!(leaf, key.leaf(b"252/Patient/123"));
        assert_ne!(leaf, DigestKey::new(&[7; 32]).leaf(b"251/Patient/123"));
        assert_ne!(leaf, key.opening(b"251/Patient/123").leaf(b"251/Patient/124"), "one opening opens one name");
    }
}
