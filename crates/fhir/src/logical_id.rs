//! Logical ids: `Resource.id`.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The logical id of a resource: 1 to 64 of `A–Z a–z 0–9 - .` (<https://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogicalId(String);

/// The text is not a FHIR id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "'{0}' is not a valid id: FHIR allows 1 to 64 characters of A-Z, a-z, 0-9, '-' and '.'; '.' and '..' are none, since they mean other places in a URL"
)]
pub struct InvalidLogicalId(pub String);

impl LogicalId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogicalId {
    type Err = InvalidLogicalId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        // A client or a proxy that puts a URL into its shortest form would call something else: /Patient/../$purge is /$purge.
        let is_of_the_path = matches!(text, "." | "..");
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !is_of_the_path {
            Ok(Self(text.to_owned()))
        } else {
            // At most one id's worth of it: the rest would only be noise in an error.
            Err(InvalidLogicalId(text.chars().take(80).collect()))
        }
    }
}

impl From<uuid::Uuid> for LogicalId {
    fn from(uuid: uuid::Uuid) -> Self {
        Self(uuid.hyphenated().to_string())
    }
}

impl fmt::Display for LogicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LogicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_fhir_accepts_and_nothing_else() {
        for good in ["a", "A-1.b", &"x".repeat(64)] {
            assert!(good.parse::<LogicalId>().is_ok(), "{good}");
        }
        for bad in ["", "a_b", "a/b", "ä", " a", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<LogicalId>().is_err(), "{bad}");
        }
    }
}
