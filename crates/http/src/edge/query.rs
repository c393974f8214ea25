//! `name=value&…`, in queries and in form bodies, read strictly: what cannot be decoded is refused, not guessed.

use axum::extract::FromRequestParts;
use axum::http::{Uri, request::Parts};
use lethe_fhir::IssueType;

use crate::error::ApiError;

/// The decoded pairs of a query, in the order sent.
#[derive(Clone, Debug, Default)]
pub struct Pairs(pub Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Pairs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.uri)
    }
}

impl Pairs {
    /// The pairs of the query of `uri`.
    pub fn of(uri: &Uri) -> Result<Self, ApiError> {
        parse_pairs(uri.query().unwrap_or_default()).map(Self)
    }

    /// Refuses every parameter but those about the answer's format, for calls that have none of their own.
    pub fn only_format(&self) -> Result<(), ApiError> {
        self.only(&["_format", "_pretty"])
    }

    /// Refuses every parameter that is not one of `known`, or that is given twice.
    pub fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let shown: String = name.chars().take(80).collect();
                return Err(ApiError::bad(
                    IssueType::NotSupported,
                    format!(
                        "'{shown}' is not a parameter here; known are: {}",
                        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                    ),
                ));
            }
            if self.0[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::bad(IssueType::Invalid, format!("'{name}' is given more than once")));
            }
        }
        Ok(())
    }

    /// The value of the first parameter of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes `application/x-www-form-urlencoded` text.
///
/// # Errors
/// A `%` that no two hexadecimal digits follow; text that is not UTF-8 once decoded.
pub fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => Ok((name, value)),
                _ => Err(ApiError::bad(
                    IssueType::Invalid,
                    "a parameter is not encoded as a URL demands: '%' is followed by two hexadecimal digits, and the text is UTF-8",
                )),
            }
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Pairs as the text of a query, for links.
pub fn encode_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_encoded_back() {
        let pairs = parse_pairs("_type=Patient%2CObservation&_reason=a+b%26%C3%A4&empty=&bare").unwrap();
        let expected = [("_type", "Patient,Observation"), ("_reason", "a b&ä"), ("empty", ""), ("bare", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let text = encode_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        assert_eq!(parse_pairs(&text).unwrap(), pairs);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for bad in ["a=%", "a=%2", "a=%zz", "%ff=1", "a=%+1"] {
            assert!(parse_pairs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let only = |text: &str| Pairs(parse_pairs(text).unwrap()).only(&["_count", "_page"]);
        assert!(only("_count=1&_page=x").is_ok());
        assert!(only("_Count=1").is_err());
        assert!(only("_count=1&_count=1").is_err());
    }
}
