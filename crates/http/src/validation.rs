//! Whether a write is refused for how its resource is built.

use std::str::FromStr;

use crate::fhir::Handling;

/// When the structure of what is written is held against R4's base definitions. That it is JSON, names a type of R4, and has references that
/// FHIR allows is always looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// Never.
    Off,
    /// When the client asks for it with `Prefer: handling=strict`.
    #[default]
    Lenient,
    /// Unless the client asks for leniency with `Prefer: handling=lenient`.
    Strict,
}

impl Validation {
    /// The words for a configuration.
    pub const WORDS: [&str; 3] = ["off", "lenient", "strict"];

    pub(crate) fn is_asked(self, handling: Handling) -> bool {
        match self {
            Self::Off => false,
            Self::Lenient => handling == Handling::Strict,
            Self::Strict => handling != Handling::Lenient,
        }
    }
}

impl FromStr for Validation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "lenient" => Ok(Self::Lenient),
            "strict" => Ok(Self::Strict),
            _ => Err(format!("it is one of {}", Self::WORDS.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_where_the_server_lets_it() {
        let asked =
            |validation: Validation| [Handling::Unsaid, Handling::Strict, Handling::Lenient].map(|handling| validation.is_asked(handling));
        assert_eq!(asked(Validation::Off), [false, false, false]);
        assert_eq!(asked(Validation::Lenient), [false, true, false]);
        assert_eq!(asked(Validation::Strict), [true, true, false]);
        for word in Validation::WORDS {
            assert!(word.parse::<Validation>().is_ok(), "{word}");
        }
        assert!("on".parse::<Validation>().is_err());
    }
}
