//! Tokens: codes, identifiers, booleans (<https://hl7.org/fhir/R4/search.html#token>).
//!
//! | written | looked for |
//! |---|---|
//! | `code` | the code in any system, or without one |
//! | `system\|code` | the code in that system |
//! | `\|code` | the code without a system |
//! | `system\|` | any code of that system |
//!
//! Codes are compared letter by letter, case included. Elements of type `code` have one system, which is not stored with them: naming
//! it asks for the code, naming another finds nothing.

use super::{
    error::Fault,
    extent::Extent,
    string::searchable,
    values::{split, unescape},
};
use crate::{Facet, ValueCheck, value};

/// A token as written; a system that is not said is `None`, one that must not be is `Some("")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub system: Option<String>,
    pub code: String,
}

impl Token {
    pub fn read(text: &str) -> Result<Self, Fault> {
        let parts: Vec<String> = split(text, '|').into_iter().map(unescape).collect();
        match <[String; 2]>::try_from(parts) {
            Ok([system, code]) if !(system.is_empty() && code.is_empty()) => Ok(Self { system: Some(system), code }),
            Err(parts) if parts.len() == 1 => Ok(Self { system: None, code: parts.concat() }),
            _ => Err(Fault::value(text, "write code, system|code, |code or system| (a '|' within a code is written \\|)")),
        }
    }
}

/// What `text` asks of a token's index values, on an element whose system is `implied` if it is.
pub(super) fn extent(text: &str, implied: Option<&str>) -> Result<Option<Extent>, Fault> {
    let Token { system, code } = Token::read(text)?;
    Ok(match (system.as_deref(), code.as_str(), implied) {
        (Some(system), "", Some(implied)) if system == implied => Some(Extent::whole()),
        (Some(system), code, Some(implied)) if system == implied => Some(Extent::single(value::token_code(code))),
        (Some(system), _, Some(_)) if !system.is_empty() => None,
        (None, code, _) => Some(Extent::prefix(value::token_code(code))),
        (Some(""), code, _) => Some(Extent::single(value::token_code(code))),
        (Some(system), "", _) => {
            let end = [&[0], &value::system_hash(system)[..]].concat();
            Some(Extent::whole().and(ValueCheck::EndsWith(end)))
        }
        (Some(system), code, _) => Some(Extent::single(value::token(Some(system), code))),
    })
}

/// `:text`: the text beside the code has a word that begins so.
pub(super) fn text(text: &str) -> Result<Extent, Fault> {
    let words = format!(" {}", value::normalise(&searchable(text)?));
    Ok(Extent::whole().of(Facet::Text).and(ValueCheck::Contains(words.into_bytes())))
}

/// `:of-type`: an identifier by its type.
pub(super) fn of_type(text: &str) -> Result<Extent, Fault> {
    let parts: Vec<String> = split(text, '|').into_iter().map(unescape).collect();
    match parts.as_slice() {
        [system, code, identifier] if ![system, code, identifier].iter().any(|part| part.is_empty()) => {
            Ok(Extent::single(super::known::identifier_of_type(system, code, identifier)).of(Facet::Identifier))
        }
        _ => Err(Fault::value(
            text,
            "write system|code|value, as in http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053: system and code of the identifier's \
             type, then its value",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathId;

    #[test]
    fn systems_are_any_this_one_or_none() {
        let loinc = Some("http://loinc.org");
        let stored =
            [value::token(loinc, "1-8"), value::token(Some("urn:x"), "1-8"), value::token(None, "1-8"), value::token(loinc, "1-80")];
        let cases = [
            ("1-8", [true, true, true, false]),
            ("http://loinc.org|1-8", [true, false, false, false]),
            ("|1-8", [false, false, true, false]),
            ("http://loinc.org|", [true, false, false, true]),
            ("http://loinc.org|1", [false, false, false, false]),
        ];
        for (text, expected) in cases {
            let span = extent(text, None).unwrap().unwrap().on(PathId(4));
            let found = stored.each_ref().map(|value| span.admits(value));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn an_implied_system_is_the_only_one() {
        let stored = value::token(None, "male");
        let implied = Some("http://hl7.org/fhir/administrative-gender");
        let cases = [
            ("male", true),
            ("|male", true),
            ("http://hl7.org/fhir/administrative-gender|male", true),
            ("http://hl7.org/fhir/administrative-gender|", true),
            ("http://else.org|male", false),
            ("http://else.org|", false),
            ("female", false),
        ];
        for (text, expected) in cases {
            let found = extent(text, implied).unwrap().is_some_and(|extent| extent.on(PathId(4)).admits(&stored));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn texts_are_found_by_the_beginning_of_a_word() {
        let stored = value::token_text("Blood Glucose, fasting");
        for (sent, expected) in [("blood", true), ("gluc", true), ("blood gluc", true), ("ood", false), ("fasting x", false)] {
            assert_eq!(text(sent).unwrap().on(PathId(4)).admits(&stored), expected, "{sent}");
        }
    }

    #[test]
    fn too_many_bars_are_refused() {
        for bad in ["a|b|c", "|"] {
            assert!(extent(bad, None).is_err(), "{bad}");
        }
        assert_eq!(Token::read(r"a\|b").map(|token| token.code), Ok("a|b".to_owned()));
        for bad in ["a", "a|b", "a||c", "|b|c"] {
            assert!(of_type(bad).is_err(), "{bad}");
        }
    }
}
