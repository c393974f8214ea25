//! The text of a value: its alternatives, its parts, and what is escaped in it (<https://hl7.org/fhir/R4/search.html#escaping>).

use super::{
    error::Fault,
    limit::{VALUE_BYTES_MAX, VALUES_MAX},
};

/// The alternatives of a value, still escaped; none is empty.
pub(super) fn alternatives(value: &str) -> Result<Vec<&str>, Fault> {
    let parts = split(value, ',');
    if parts.len() > VALUES_MAX {
        return Err(Fault::costly(format!("{} values are given; at most {VALUES_MAX} are allowed", parts.len())));
    }
    for part in &parts {
        if part.len() > VALUE_BYTES_MAX {
            return Err(Fault::costly(format!("a value has {} bytes; at most {VALUE_BYTES_MAX} are allowed", part.len())));
        }
        if part.is_empty() {
            let text = if parts.len() == 1 {
                "has no value: give one, or leave the parameter out"
            } else {
                "an alternative is empty: each comma must stand between two values (a comma within a value is written \\,)"
            };
            return Err(Fault::invalid(text));
        }
    }
    Ok(parts)
}

/// The parts of `text` between separators that are not escaped, still escaped.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if letter == '\\' {
            is_escaped = true;
        } else if letter == separator {
            parts.push(&text[start..at]);
            start = at + letter.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `text` without its escapes. A backslash before anything but `,`, `$`, `|` and itself is left as it is.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next @ (',' | '$' | '|' | '\\')) if letter == '\\' => {
                plain.push(*next);
                letters.next();
            }
            _ => plain.push(letter),
        }
    }
    plain
}

/// `true` or `false`, of `:missing`.
pub(super) fn boolean(value: &str) -> Result<bool, Fault> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::value(value, "true or false is expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_separators_that_are_not_escaped_separate() {
        let cases: [(&str, &[&str]); 6] =
            [("a,b", &["a", "b"]), (r"a\,b,c", &[r"a\,b", "c"]), (r"a\\,b", &[r"a\\", "b"]), ("a", &["a"]), ("", &[""]), (r"a\", &[r"a\"])];
        for (text, expected) in cases {
            assert_eq!(split(text, ','), expected, "{text}");
        }
    }

    #[test]
    fn escapes_are_taken_away_once() {
        let cases = [(r"a\,b", "a,b"), (r"a\\\,b", r"a\,b"), (r"a\|b\$c", "a|b$c"), (r"\n\", r"\n\"), ("ä", "ä")];
        for (text, expected) in cases {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    #[test]
    fn empty_long_and_many_values_are_refused() {
        assert_eq!(alternatives("a,b").map(|parts| parts.len()), Ok(2), "the control");
        for bad in [String::new(), "a,".to_owned(), ",a".to_owned(), "a,".repeat(1_000) + "a", "a".repeat(4_097)] {
            assert!(alternatives(&bad).is_err(), "{} bytes", bad.len());
        }
    }
}
