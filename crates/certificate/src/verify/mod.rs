//! Every fault of a certificate, and of a chain of them, by its name. Needs no server: only the public keys.

mod chain;
mod content;
mod fault;
mod read;

#[cfg(test)]
mod tests;

use crate::{
    document::{Certificate, FORMAT},
    jws::{ALGORITHM, Header, TYPE, chain_hash},
    keys::KeySet,
    text::decode,
};

pub use chain::{check_chain, first_number};
pub use fault::Fault;
pub use read::{CERTIFICATE_BYTES_MAX, Signed, read};

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// A certificate that was looked at by itself.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says; `None` unless it is signed by one of the keys and understood.
    pub certificate: Option<Certificate>,
    /// The hash by which the next one names it.
    pub hash: String,
    /// What is wrong with it by itself; nothing if it is sound.
    pub faults: Vec<Fault>,
    /// The number that it claims to have, signed or not.
    claimed: Option<u64>,
}

/// Looks at one certificate by itself.
#[must_use]
pub fn check(signed: &Signed, keys: &KeySet) -> Checked {
    let hash = chain_hash(&signed.jws);
    let claimed = claimed_number(&signed.jws);
    match signed_content(signed, keys) {
        Err(fault) => Checked { certificate: None, hash, faults: vec![fault], claimed },
        Ok(certificate) => Checked { hash, faults: content::faults(&certificate, signed, keys), claimed, certificate: Some(certificate) },
    }
}

/// Reads no further than it trusts: the header to find the key, the signature, and only then what is signed.
fn signed_content(signed: &Signed, keys: &KeySet) -> Result<Certificate, Fault> {
    let parts: Vec<&str> = signed.jws.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(if parts.len() < 3 { Fault::Truncated } else { Fault::NotACertificate("a JWS has three parts".to_owned()) });
    };
    let header = read_header(header)?;
    let (key, _) = keys.find(&header.kid).ok_or_else(|| Fault::UnknownKey(header.kid.clone()))?;
    let signature = decode(signature).ok_or(Fault::SignatureUnreadable)?;
    if signature.len() < SIGNATURE_BYTES {
        return Err(Fault::Truncated);
    }
    let signed_part = signed.jws.len() - parts[2].len() - 1;
    if signature.len() > SIGNATURE_BYTES {
        return Err(Fault::SignatureUnreadable);
    }
    if !key.verifies(&signed.jws.as_bytes()[..signed_part], &signature) {
        return Err(Fault::SignatureWrong(header.kid));
    }
    read_payload(payload)
}

fn read_header(part: &str) -> Result<Header, Fault> {
    let bytes = decode(part).ok_or(Fault::HeaderUnreadable)?;
    let members: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| Fault::HeaderUnreadable)?;
    let shown = |name: &str| members[name].as_str().unwrap_or_default().chars().take(80).collect::<String>();
    if members["alg"] != ALGORITHM {
        return Err(Fault::Algorithm(shown("alg")));
    }
    if members["typ"] != TYPE {
        return Err(Fault::OtherType(shown("typ")));
    }
    serde_json::from_slice(&bytes).map_err(|_| Fault::HeaderUnreadable)
}

fn read_payload(part: &str) -> Result<Certificate, Fault> {
    let not_understood = |why: String| Fault::NotUnderstood(why.chars().take(200).collect());
    let bytes = decode(part).ok_or_else(|| not_understood("it is not base64url".to_owned()))?;
    let members: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| not_understood(error.to_string()))?;
    match members["format"].as_str() {
        Some(FORMAT) => serde_json::from_slice(&bytes).map_err(|error| not_understood(error.to_string())),
        other => Err(Fault::UnknownFormat(other.unwrap_or_default().chars().take(80).collect())),
    }
}

/// What an unsigned look finds: only good for not calling a number missing that is there and bad.
fn claimed_number(jws: &str) -> Option<u64> {
    let payload = decode(jws.split('.').nth(1)?)?;
    serde_json::from_slice::<serde_json::Value>(&payload).ok()?["number"].as_u64()
}
