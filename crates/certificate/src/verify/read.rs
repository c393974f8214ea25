//! Certificates in a file: as the server gives them, as a list of those one a line, or as bare JWS, one a line.

use serde_json::Value;

use super::Fault;

/// Bytes of one certificate: a thousand types and holds fit.
pub const CERTIFICATE_BYTES_MAX: usize = 1 << 20;

/// A certificate as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// The compact form.
    pub jws: String,
    /// The copy for people that came with it.
    pub copy: Option<Value>,
}

impl Signed {
    /// A certificate without a copy.
    #[must_use]
    pub fn bare(jws: String) -> Self {
        Self { jws, copy: None }
    }

    /// As the server gives it: the signed form, and before it a copy that people can read.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let payload = self.jws.split('.').nth(1).and_then(crate::text::decode);
        let copy = payload.and_then(|payload| serde_json::from_slice::<Value>(&payload).ok()).unwrap_or_default();
        serde_json::json!({ "certificate": copy, "jws": self.jws })
    }
}

/// Every certificate of a file, in order; where it cannot be read on, the fault is the last entry.
#[must_use]
pub fn read(text: &str) -> Vec<Result<Signed, Fault>> {
    let text = text.trim();
    if text.is_empty() {
        return vec![Err(Fault::Empty)];
    }
    if !text.starts_with(['{', '[', '"']) {
        return text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| bare(line.to_owned())).collect();
    }
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value {
            Ok(value) => found.push(entry(value)),
            Err(error) if error.is_eof() => found.push(Err(Fault::Truncated)),
            Err(error) => found.push(Err(Fault::NotACertificate(format!("it is not JSON: {error}")))),
        }
    }
    found
}

fn entry(value: Value) -> Result<Signed, Fault> {
    let Value::Object(mut members) = value else {
        return match value {
            Value::String(jws) => bare(jws),
            _ => Err(Fault::NotACertificate("it is JSON, but no object".to_owned())),
        };
    };
    let mut text = |name: &str| match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    if let Some(jws) = text("jws") {
        return Ok(Signed { copy: members.remove("certificate"), ..bare(jws)? });
    }
    // The flattened form of RFC 7515 §7.2.2.
    match (text("protected"), text("payload"), text("signature")) {
        (Some(protected), Some(payload), Some(signature)) => bare(format!("{protected}.{payload}.{signature}")),
        _ => Err(Fault::NotACertificate("it has no 'jws'".to_owned())),
    }
}

fn bare(jws: String) -> Result<Signed, Fault> {
    if jws.len() > CERTIFICATE_BYTES_MAX {
        return Err(Fault::TooLarge(jws.len()));
    }
    if !jws.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(Fault::NotACertificate("a JWS consists of letters, digits, '-', '_' and '.'".to_owned()));
    }
    Ok(Signed { jws, copy: None })
}
