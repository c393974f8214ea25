//! The forms of the primitive types (<https://hl7.org/fhir/R4/datatypes.html#primitive>).
//!
//! Every check looks at each byte at most once or twice and takes no memory: a body may be one string of megabytes.

use jiff::civil;
use serde_json::Value;

use crate::{LogicalId, structure::Primitive};

/// Characters of a string or markdown (<https://hl7.org/fhir/R4/datatypes.html#string>).
const STRING_CHARS_MAX: usize = 1 << 20;

/// What is wrong with a value as one of `primitive`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not of this kind of JSON.
    Kind(&'static str),
    /// It is, but not of this form.
    Form(&'static str),
}

/// Looks at a value.
pub(super) fn fault(primitive: Primitive, value: &Value) -> Option<Fault> {
    match (primitive, value) {
        (Primitive::Boolean, Value::Bool(_)) | (Primitive::Decimal, Value::Number(_)) => None,
        (Primitive::Boolean, _) => Some(Fault::Kind("true or false without quotes")),
        (Primitive::Decimal, _) => Some(Fault::Kind("a number without quotes")),
        (Primitive::Integer, Value::Number(number)) => {
            within(number, i32::MIN, "a whole number of at most 32 bits, without point or exponent")
        }
        (Primitive::UnsignedInt, Value::Number(number)) => within(number, 0, "a whole number from 0 to 2147483647"),
        (Primitive::PositiveInt, Value::Number(number)) => within(number, 1, "a whole number from 1 to 2147483647"),
        (Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt, _) => Some(Fault::Kind("a whole number without quotes")),
        (_, Value::String(text)) if text.is_empty() => {
            Some(Fault::Form("a string that is not empty: leave the element out if it has no value"))
        }
        (_, Value::String(text)) => form_fault(primitive, text).map(Fault::Form),
        (_, _) => Some(Fault::Kind("a string")),
    }
}

fn within(number: &serde_json::Number, least: i32, expected: &'static str) -> Option<Fault> {
    let is_within = number.as_str().parse::<i32>().is_ok_and(|number| number >= least);
    (!is_within).then_some(Fault::Form(expected))
}

fn form_fault(primitive: Primitive, text: &str) -> Option<&'static str> {
    let (is_well_formed, expected) = match primitive {
        Primitive::Boolean | Primitive::Decimal | Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt => return None,
        Primitive::String | Primitive::Markdown => {
            if text.len() > STRING_CHARS_MAX && text.chars().count() > STRING_CHARS_MAX {
                return Some("a string of at most 1048576 characters: what is longer goes into an Attachment or a Binary");
            }
            (!text.bytes().any(is_control), "a string without control characters other than tab, line feed and carriage return")
        }
        Primitive::Code => (is_code(text), "a code: no space before or after it, single spaces within"),
        Primitive::Id => (text.parse::<LogicalId>().is_ok(), "1 to 64 characters of A-Z, a-z, 0-9, '-' and '.'"),
        Primitive::Uri => (is_uri(text), "a URI without spaces"),
        Primitive::Url => (is_uri(text), "a URL without spaces"),
        Primitive::Canonical => (is_uri(text), "a canonical URL without spaces, with |version or #part if needed"),
        Primitive::Oid => (is_oid(text), "an OID such as urn:oid:1.2.3.4"),
        Primitive::Uuid => (is_uuid(text), "a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
        Primitive::Base64Binary => {
            (is_base64(text), "base64: characters of A-Z, a-z, 0-9, '+' and '/', filled up with '=' to a multiple of four")
        }
        Primitive::Date => (is_date(text), "a date: YYYY, YYYY-MM or YYYY-MM-DD"),
        Primitive::DateTime => (
            is_date(text) || is_instant(text),
            "a date YYYY, YYYY-MM or YYYY-MM-DD, or with a time to the second and a zone YYYY-MM-DDThh:mm:ss+zz:zz or …Z",
        ),
        Primitive::Instant => (is_instant(text), "an instant YYYY-MM-DDThh:mm:ss.sss+zz:zz or …Z: at least to the second, with a zone"),
        Primitive::Time => (is_clock(text), "a time hh:mm:ss, without a zone"),
        Primitive::Xhtml => (is_div(text), "XHTML in one <div xmlns=\"http://www.w3.org/1999/xhtml\">…</div>"),
    };
    (!is_well_formed).then_some(expected)
}

fn is_control(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// `\s` of the regular expressions of R4, which other servers go by: a no-break space is none.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn is_code(text: &str) -> bool {
    text.split(is_space).all(|word| !word.is_empty() && !word.bytes().any(is_control))
}

fn is_uri(text: &str) -> bool {
    !text.contains(|character: char| is_space(character) || character.is_control())
}

fn is_oid(text: &str) -> bool {
    let Some(arcs) = text.strip_prefix("urn:oid:") else { return false };
    let is_arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
    arcs.starts_with(['0', '1', '2']) && arcs.split('.').count() > 1 && arcs.split('.').all(is_arc) && arcs.as_bytes().get(1) == Some(&b'.')
}

fn is_uuid(text: &str) -> bool {
    // The regular expression of R4 takes lower case only; RFC 4122 asks readers to take both.
    text.strip_prefix("urn:uuid:").is_some_and(|uuid| uuid.len() == 36 && uuid::Uuid::try_parse(uuid).is_ok())
}

fn is_base64(text: &str) -> bool {
    let mut count = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'=' => padding += 1,
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ if padding > 0 || !(byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/') => return false,
            _ => {}
        }
        count += 1;
    }
    count > 0 && count.is_multiple_of(4) && padding <= 2
}

fn is_date(text: &str) -> bool {
    let number = |from: usize, to: usize| digits(text, from, to).and_then(|number| i8::try_from(number).ok());
    let Some(year) = digits(text, 0, 4).filter(|year| *year > 0) else { return false };
    let dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    match text.len() {
        4 => true,
        7 => dash(4) && number(5, 7).is_some_and(|month| (1..=12).contains(&month)),
        10 => {
            dash(4)
                && dash(7)
                && number(5, 7).zip(number(8, 10)).is_some_and(|(month, day)| civil::Date::new(year as i16, month, day).is_ok())
        }
        _ => false,
    }
}

fn is_instant(text: &str) -> bool {
    let Some((date, rest)) = text.split_once('T') else { return false };
    let Some(zone_start) = rest.find(['Z', '+', '-']) else { return false };
    let (clock, zone) = rest.split_at(zone_start);
    date.len() == 10 && is_date(date) && is_clock(clock) && (zone == "Z" || is_offset(zone))
}

/// `hh:mm:ss` with any fraction; 60 is a leap second.
fn is_clock(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    whole.len() == 8
        && whole.as_bytes()[2] == b':'
        && whole.as_bytes()[5] == b':'
        && digits(whole, 0, 2).is_some_and(|hour| hour < 24)
        && digits(whole, 3, 5).is_some_and(|minute| minute < 60)
        && digits(whole, 6, 8).is_some_and(|second| second <= 60)
        && fraction.is_none_or(|fraction| !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `+hh:mm` or `-hh:mm`, at most 14 hours.
fn is_offset(text: &str) -> bool {
    text.len() == 6
        && text.as_bytes()[3] == b':'
        && digits(text, 1, 3).zip(digits(text, 4, 6)).is_some_and(|(hour, minute)| minute < 60 && hour * 60 + minute <= 14 * 60)
}

fn is_div(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("<div") && (text.ends_with("</div>") || text.ends_with("/>"))
}

/// The number that these bytes are.
fn digits(text: &str, from: usize, to: usize) -> Option<u16> {
    text.as_bytes()
        .get(from..to)?
        .iter()
        .try_fold(0_u16, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u16::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, json};

    use super::*;

    #[test]
    fn each_type_takes_its_form_and_no_other() {
        // type, good, bad
        let cases: &[(Primitive, &[&str], &[&str])] = &[
            (Primitive::Boolean, &["true", "false"], &["\"true\"", "1"]),
            (Primitive::Integer, &["0", "-5", "2147483647"], &["1.0", "1e2", "2147483648", "\"5\""]),
            (Primitive::UnsignedInt, &["0", "7"], &["-1"]),
            (Primitive::PositiveInt, &["1"], &["0", "-1"]),
            (Primitive::Decimal, &["1.50", "-1e3", "123456789012345678901234567890.1"], &["\"1.5\"", "true"]),
            (Primitive::String, &["\" a\\n\\tb ü\""], &["\"\"", "\"a\\u0000\"", "1", "null"]),
            (Primitive::Markdown, &["\"# a\""], &["\"\\u0007\""]),
            (Primitive::Code, &["\"final\"", "\"a b\""], &["\" a\"", "\"a \"", "\"a  b\""]),
            (Primitive::Id, &["\"a.B-1\""], &["\"a_b\"", "\"a b\""]),
            (Primitive::Uri, &["\"urn:x:ü\"", "\"http://a/b?c#d\""], &["\"a b\"", "\"a\\n\""]),
            (Primitive::Canonical, &["\"http://a|1#x\""], &["\"http://a |1\""]),
            (
                Primitive::Oid,
                &["\"urn:oid:1.2.0\""],
                &["\"1.2.3\"", "\"urn:oid:3.1\"", "\"urn:oid:1.02\"", "\"urn:oid:1\"", "\"urn:oid:1..2\""],
            ),
            (
                Primitive::Uuid,
                &["\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\""],
                &["\"c757873d-ec9a-4326-a141-556f43239520\"", "\"urn:uuid:c757873dec9a4326a141556f43239520\""],
            ),
            (Primitive::Base64Binary, &["\"AAAA\"", "\"A A\\nA=\"", "\"AA==\""], &["\"AAA\"", "\"A===\"", "\"AA=A\"", "\"AA-_\"", "\" \""]),
            (
                Primitive::Date,
                &["\"2024\"", "\"2024-12\"", "\"2024-02-29\"", "\"0001\""],
                &[
                    "\"0000\"",
                    "\"24\"",
                    "\"2024-13\"",
                    "\"2023-02-29\"",
                    "\"2024-1-1\"",
                    "\"2024-01-01T00:00:00Z\"",
                    "\"2024/01\"",
                    "\"äöü4\"",
                ],
            ),
            (
                Primitive::DateTime,
                &["\"2024\"", "\"2024-01-01T23:59:60.123456789012Z\"", "\"2024-01-01T00:00:00-14:00\""],
                &[
                    "\"2024-01-01T10:00Z\"",
                    "\"2024-01-01T10:00:00\"",
                    "\"2024-01-01T24:00:00Z\"",
                    "\"2024-01-01T10:00:00+14:01\"",
                    "\"2024-01T10:00:00Z\"",
                    "\"2024-01-01T10:00:00.Z\"",
                    "\"2024-01-01 10:00:00Z\"",
                    "\"2024-01-01T10:00:00+ä:0\"",
                ],
            ),
            (Primitive::Instant, &["\"2024-01-01T10:00:00+02:00\""], &["\"2024-01-01\"", "\"2024\""]),
            (Primitive::Time, &["\"10:00:00\"", "\"10:00:00.5\""], &["\"10:00\"", "\"10:00:00Z\"", "\"10-00-00\""]),
            (Primitive::Xhtml, &["\"<div xmlns='x'>a</div>\"", "\" <div/>\""], &["\"a\"", "\"<p>a</p>\""]),
        ];
        for (primitive, good, bad) in cases {
            let found = |text: &str| fault(*primitive, &from_str(text).unwrap());
            for text in *good {
                assert_eq!(found(text), None, "{}: {text}", primitive.name());
            }
            for text in *bad {
                assert!(found(text).is_some(), "{}: {text}", primitive.name());
            }
        }
    }

    #[test]
    fn strings_end_at_a_mebi_of_characters_not_bytes() {
        assert_eq!(fault(Primitive::String, &json!("ä".repeat(STRING_CHARS_MAX))), None);
        assert!(
            matches!(fault(Primitive::String, &json!("a".repeat(STRING_CHARS_MAX + 1))), Some(Fault::Form(text)) if text.contains("1048576"))
        );
    }
}
