//! Signed certificates: JWS in its compact form (RFC 7515 §7.1), with EdDSA over Ed25519 (RFC 8037).
//!
//! The signature covers the very bytes that are kept, so nothing has to be brought into a canonical form before it can be verified.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    document::Certificate,
    keys::{NoKey, SigningKey},
    text::encode,
};

/// `typ` of a certificate: nothing else that the same key may sign one day can pass for one.
pub const TYPE: &str = "lethe-purge-certificate+json";
/// `alg`.
pub const ALGORITHM: &str = "EdDSA";

/// The protected header. A header with anything else in it is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`ALGORITHM`].
    pub alg: String,
    /// The id of the key.
    pub kid: String,
    /// [`TYPE`].
    pub typ: String,
}

/// Signs a certificate.
///
/// # Errors
/// The library refuses the key.
pub fn sign(certificate: &Certificate, key: &SigningKey) -> Result<String, NoKey> {
    let header = Header { alg: ALGORITHM.to_owned(), kid: key.public().id.clone(), typ: TYPE.to_owned() };
    // OK because both are structs of texts, numbers and lists of them, which always become JSON.
    let header = serde_json::to_vec(&header).map_err(|_| NoKey)?;
    let payload = serde_json::to_vec(certificate).map_err(|_| NoKey)?;
    let mut signed = format!("{}.{}", encode(header), encode(payload));
    let signature = key.sign(signed.as_bytes())?;
    signed.push('.');
    signed.push_str(&encode(signature));
    Ok(signed)
}

/// The hash by which the next certificate of the chain names this one: SHA-256 of the compact form.
#[must_use]
pub fn chain_hash(jws: &str) -> String {
    encode(Sha256::digest(jws))
}
