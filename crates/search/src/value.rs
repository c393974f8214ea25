//! How a value is written into an index: bytes whose order is the order of the values, so that every comparison is a range.
//!
//! The same functions serve extraction and queries; whoever changes one changes what is stored, and must raise
//! [`INDEX_FORMAT`](crate::INDEX_FORMAT).
//!
//! | kind | bytes |
//! |---|---|
//! | token | code, 0, then 8 bytes of the system's hash if there is a system |
//! | string | normalised text, 0, then the text itself where it differs |
//! | text of a token | a space, normalised text, 0; of a reference that leads nowhere, no text |
//! | number | 8 ordered bytes |
//! | quantity | 8 ordered bytes, 8 bytes of the system's hash (zeros: none), code (or unit), 0, then the unit and 0 where it differs |
//! | canonical quantity | 8 ordered bytes, canonical unit, 0 |
//! | Range | 0 as it is written or 1 in the canonical unit, 8 ordered bytes of its lower end, 8 of its upper end, then as in a quantity |
//! | date | class of its width, 8 ordered bytes of its start, 8 of its end, both in milliseconds, half open |
//! | reference | code of the type, then the id: 16 and the bytes of a UUID, or 0 and text; 0 and a URL for what is not here |
//! | reference to what is contained | 0, `#`, code of the type; beside it, without a row: 0, code of the type, the index values of what is contained |
//! | piece of a long text | 1 for the first and 2 for others, normalised text; without a row |
//! | uri | the text |
//! | position | 8 ordered bytes of latitude, 8 of longitude |
//! | composite | first value without its system, further values (a token with zeros for no system), then the system of the first |

use lethe_fhir::{Instant, LocalReference, LogicalId, ResourceType};
use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longer texts are cut, and what was cut is replaced by a hash.
const TEXT_BYTES_MAX: usize = 256;
const CUT_BYTES: usize = TEXT_BYTES_MAX - 32;

/// Bytes of a hashed system.
pub const SYSTEM_BYTES: usize = 8;

/// The first bytes of the hash of a system.
#[must_use]
pub fn system_hash(system: &str) -> [u8; SYSTEM_BYTES] {
    let digest = Sha256::digest(system.as_bytes());
    let mut first = [0; SYSTEM_BYTES];
    first.copy_from_slice(&digest[..SYSTEM_BYTES]);
    first
}

/// `text`, with its end replaced by a hash if it is long, and without the byte 0, which ends it.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    let start = bytes.len();
    if text.len() <= TEXT_BYTES_MAX {
        bytes.extend_from_slice(text.as_bytes());
    } else {
        bytes.extend_from_slice(&text.as_bytes()[..CUT_BYTES]);
        let digest = Sha256::digest(text.as_bytes());
        // Hexadecimal, so that neither 0 nor another separator comes in.
        for byte in &digest[..16] {
            bytes.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
    }
    for byte in &mut bytes[start..] {
        if *byte == 0 {
            *byte = b' ';
        }
    }
}

/// A code, without its system: the common beginning of that code in all systems, its end included.
#[must_use]
pub fn token_code(code: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(code.len() + 1 + SYSTEM_BYTES);
    push_text(&mut bytes, code);
    bytes.push(0);
    bytes
}

/// A code and its system, if it has one.
#[must_use]
pub fn token(system: Option<&str>, code: &str) -> Vec<u8> {
    let mut bytes = token_code(code);
    if let Some(system) = system {
        bytes.extend_from_slice(&system_hash(system));
    }
    bytes
}

/// A text as searches compare it: lower case, without accents, each run of white space one space.
#[must_use]
pub fn normalise(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    if text.is_ascii() {
        for word in text.split_ascii_whitespace() {
            if !normal.is_empty() {
                normal.push(' ');
            }
            normal.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        }
        return normal;
    }
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.nfd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase));
    }
    normal
}

/// The beginning of every string that begins with `text`, however it is written.
#[must_use]
pub fn string_prefix(text: &str) -> Vec<u8> {
    let mut normal = normalise(text);
    // What is stored may be cut there.
    let mut end = CUT_BYTES.min(normal.len());
    while !normal.is_char_boundary(end) {
        end -= 1;
    }
    normal.truncate(end);
    normal.into_bytes()
}

/// A string.
#[must_use]
pub fn string(text: &str) -> Vec<u8> {
    let normal = normalise(text);
    let mut bytes = Vec::with_capacity(normal.len() + 1);
    push_text(&mut bytes, &normal);
    bytes.push(0);
    if normal != text {
        push_text(&mut bytes, text);
    }
    bytes
}

/// The first piece of a long text begins so.
pub const FIRST_PIECE: u8 = 1;
/// The others.
const FURTHER_PIECE: u8 = 2;
/// Bytes of a text that are kept in pieces: R4 allows no longer strings.
const PIECES_BYTES_MAX: usize = 1 << 20;
/// Bytes of a piece.
const PIECE_BYTES_MAX: usize = 60_000;
/// Bytes that a piece has in common with the next: whatever is looked for is shorter, and so is whole in one of them.
const PIECE_OVERLAP: usize = 20_000;

/// All of a text that [`string`] cuts, or may seem to have cut, in pieces.
#[must_use]
pub fn pieces_of_long(text: &str) -> Vec<Vec<u8>> {
    // White space may fall away, so that a long text may be short when it is normalised, but nothing makes it more than three times as long.
    if text.len() * 3 < TEXT_BYTES_MAX {
        return Vec::new();
    }
    let normal = normalise(text);
    let mut rest = &normal.as_bytes()[..normal.len().min(PIECES_BYTES_MAX)];
    let mut pieces = Vec::new();
    if rest.len() < TEXT_BYTES_MAX {
        return pieces;
    }
    loop {
        let first = if pieces.is_empty() { FIRST_PIECE } else { FURTHER_PIECE };
        pieces.push([&[first], &rest[..rest.len().min(PIECE_BYTES_MAX)]].concat());
        if rest.len() <= PIECE_BYTES_MAX {
            return pieces;
        }
        rest = &rest[PIECE_BYTES_MAX - PIECE_OVERLAP..];
    }
}

/// The normalised text of a [`string`], and whether it is all of it.
#[must_use]
pub fn normal_text(string: &[u8]) -> (&[u8], bool) {
    let end = string.iter().position(|byte| *byte == 0).unwrap_or(string.len());
    if end < TEXT_BYTES_MAX { (&string[..end], true) } else { (&string[..CUT_BYTES.min(end)], false) }
}

/// The text that goes with a token.
#[must_use]
pub fn token_text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b' '];
    push_text(&mut bytes, &normalise(text));
    bytes.push(0);
    bytes
}

/// A number, in an order that bytes keep. NaN does not come from JSON.
#[must_use]
pub fn number(value: f64) -> [u8; 8] {
    // Adding zero makes one of the two zeros.
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    ordered.to_be_bytes()
}

/// What [`number`] wrote.
#[must_use]
pub fn number_of(bytes: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes);
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

/// A quantity.
#[must_use]
pub fn quantity(value: f64, system: Option<&str>, code: Option<&str>, unit: Option<&str>) -> Vec<u8> {
    let mut bytes = number(value).to_vec();
    bytes.extend_from_slice(&system.map_or([0; SYSTEM_BYTES], system_hash));
    if let Some(first) = code.or(unit) {
        push_text(&mut bytes, first);
    }
    bytes.push(0);
    if let (Some(code), Some(unit)) = (code, unit)
        && code != unit
    {
        push_text(&mut bytes, unit);
        bytes.push(0);
    }
    bytes
}

/// A quantity in the canonical unit of its dimension.
#[must_use]
pub fn canonical_quantity(value: f64, unit: &str) -> Vec<u8> {
    let mut bytes = number(value).to_vec();
    push_text(&mut bytes, unit);
    bytes.push(0);
    bytes
}

/// First byte of a Range as it is written.
pub const RANGE_WRITTEN: u8 = 0;
/// First byte of a Range in the canonical unit of its dimension.
pub const RANGE_CANONICAL: u8 = 1;
/// Where the lower end of a Range begins.
pub const RANGE_LOW_AT: usize = 1;
/// Where the upper end of a Range begins.
pub const RANGE_HIGH_AT: usize = 9;

/// A Range; an end that is not given is open. `low` and `high` are quantities of the form that `first` says, and at least one is there.
#[must_use]
pub fn range(first: u8, low: Option<&[u8]>, high: Option<&[u8]>) -> Vec<u8> {
    let number_of = |end: Option<&[u8]>, open: [u8; 8]| end.and_then(|end| end.first_chunk::<8>().copied()).unwrap_or(open);
    let mut bytes = vec![first];
    bytes.extend_from_slice(&number_of(low, BEFORE_ALL));
    bytes.extend_from_slice(&number_of(high, AFTER_ALL));
    bytes.extend_from_slice(low.or(high).and_then(|end| end.get(8..)).unwrap_or_default());
    bytes
}

/// Widths of a date, in milliseconds, that make a class: what is later than an instant begins at most so long before it.
pub const DATE_CLASSES: [(u8, i64); 3] = [(0, 86_400_000), (1, 366 * 86_400_000), (2, i64::MAX)];

/// Where the start of a date begins.
pub const DATE_LOW_AT: usize = 1;
/// Where the end of a date begins.
pub const DATE_HIGH_AT: usize = 9;

/// An instant, in an order that bytes keep.
#[must_use]
pub fn instant(instant: Instant) -> [u8; 8] {
    // Flipping the sign puts what is before 1970 first.
    ((instant.as_unix_ms() as u64) ^ (1 << 63)).to_be_bytes()
}

/// A span of time `[low, high)`, each open if there is none.
#[must_use]
pub fn date(low: Option<Instant>, high: Option<Instant>) -> [u8; 17] {
    let width = match (low, high) {
        (Some(low), Some(high)) => high.as_unix_ms().saturating_sub(low.as_unix_ms()),
        _ => i64::MAX,
    };
    let class = DATE_CLASSES.iter().find(|(_, widest)| width <= *widest).map_or(2, |(class, _)| *class);
    let mut bytes = [0; 17];
    bytes[0] = class;
    bytes[DATE_LOW_AT..DATE_HIGH_AT].copy_from_slice(&low.map_or(BEFORE_ALL, instant));
    bytes[DATE_HIGH_AT..].copy_from_slice(&high.map_or(AFTER_ALL, instant));
    bytes
}

/// Start of a period that has none.
pub const BEFORE_ALL: [u8; 8] = [0; 8];
/// End of a period that has none.
pub const AFTER_ALL: [u8; 8] = [0xff; 8];

const UUID_ID: u8 = 16;
const TEXT_ID: u8 = 0;
/// First byte of a reference to what is not here; no type has this code.
const ELSEWHERE: u8 = 0;

/// A reference to a resource here.
#[must_use]
pub fn reference(target: &LocalReference) -> Vec<u8> {
    reference_to(target.resource_type, &target.id)
}

/// A reference to a resource here.
#[must_use]
pub fn reference_to(resource_type: ResourceType, id: &LogicalId) -> Vec<u8> {
    let text = id.as_str();
    let mut bytes = vec![resource_type.code()];
    match uuid_bytes(text) {
        Some(uuid) => {
            bytes.push(UUID_ID);
            bytes.extend_from_slice(&uuid);
        }
        None => {
            bytes.push(TEXT_ID);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// A reference to what is not here, by its URL; a canonical, with its version.
#[must_use]
pub fn reference_elsewhere(url: &str) -> Vec<u8> {
    let mut bytes = vec![ELSEWHERE];
    push_text(&mut bytes, url);
    bytes
}

/// A reference to a resource of this type that the resource itself contains.
#[must_use]
pub fn reference_contained(resource_type: ResourceType) -> Vec<u8> {
    vec![ELSEWHERE, b'#', resource_type.code()]
}

/// The index values of a resource of this type that is contained.
#[must_use]
pub fn contained(resource_type: ResourceType, index_values: &[u8]) -> Vec<u8> {
    [&[0, resource_type.code()], index_values].concat()
}

/// The index values that [`contained`] wrote, if they are those of a resource of this type.
#[must_use]
pub fn contained_values(bytes: &[u8], resource_type: u8) -> Option<&[u8]> {
    bytes.strip_prefix(&[0, resource_type])
}

/// The resource that a reference leads to; `None` for what is not here, or was not written by [`reference_to`].
#[must_use]
pub fn referred(bytes: &[u8]) -> Option<LocalReference> {
    let (&code, rest) = bytes.split_first()?;
    let (&form, id) = rest.split_first()?;
    let resource_type = ResourceType::from_code(code)?;
    let id = match form {
        UUID_ID => uuid_text(id.try_into().ok()?),
        TEXT_ID => std::str::from_utf8(id).ok()?.to_owned(),
        _ => return None,
    };
    Some(LocalReference { resource_type, id: id.parse().ok()? })
}

/// The bytes of a UUID in lower case; anything else is `None`, so that every id comes back as it was.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (place, &letter) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if letter != b'-' {
                return None;
            }
            continue;
        }
        let digit = match letter {
            b'0'..=b'9' => letter - b'0',
            b'a'..=b'f' => letter - b'a' + 10,
            _ => return None,
        };
        bytes[digits / 2] |= if digits % 2 == 0 { digit << 4 } else { digit };
        digits += 1;
    }
    Some(bytes)
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// A uri.
#[must_use]
pub fn uri(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    push_text(&mut bytes, text);
    bytes
}

/// A word of a text, normalised.
#[must_use]
pub fn word(normal: &str) -> Vec<u8> {
    uri(normal)
}

/// A place on earth, in degrees.
#[must_use]
pub fn position(latitude: f64, longitude: f64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number(latitude));
    bytes[8..].copy_from_slice(&number(longitude));
    bytes
}

/// A code and its system as a further value of a composite: its length tells nothing there, so that no system is written as zeros.
#[must_use]
pub fn composite_token(system: Option<&str>, code: &str) -> Vec<u8> {
    let mut bytes = token_code(code);
    bytes.extend_from_slice(&system.map_or([0; SYSTEM_BYTES], system_hash));
    bytes
}

/// The values of one composite: the first is a token (or, where it has no system of its own, whatever ends where it ends).
#[must_use]
pub fn composite(code: &str, system: Option<&str>, further: &[&[u8]]) -> Vec<u8> {
    let mut bytes = token_code(code);
    for value in further {
        bytes.extend_from_slice(value);
    }
    bytes.extend_from_slice(&system.map_or([0; SYSTEM_BYTES], system_hash));
    bytes
}

/// An identifier with one of the types that it has, for `:of-type`.
#[must_use]
pub fn identifier_of_type(system: &str, code: &str, value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_text(&mut bytes, code);
    composite(value, None, &[&system_hash(system), &bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_instants_are_in_the_order_of_their_bytes() {
        let numbers = [f64::MIN, -1e10, -1.5, -1e-9, 0.0, 1e-9, 1.0, 1.5, 2.0, 1e300];
        assert!(numbers.windows(2).all(|pair| number(pair[0]) < number(pair[1])));
        assert_eq!(number(-0.0), number(0.0));
        assert!(numbers.iter().all(|value| number_of(number(*value)) == *value));
        let instants = [i64::MIN, -5, 0, 7, i64::MAX].map(|unix_ms| instant(Instant::from_unix_ms(unix_ms)));
        assert!(instants.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(BEFORE_ALL < instants[0] && instants[4] < AFTER_ALL);
    }

    #[test]
    fn references_lead_back_to_what_they_were_made_of() {
        for id in ["p1", "0190a6e2-7c1b-7000-8000-00000000abcd", "0190A6E2-7C1B-7000-8000-00000000ABCD", "0190a6e27c1b7000800000000000abcd"]
        {
            let target = LocalReference { resource_type: ResourceType::BINARY, id: id.parse().unwrap() };
            assert_eq!(referred(&reference(&target)), Some(target));
        }
        assert_eq!(referred(&reference_elsewhere("http://else.org/Patient/1")), None);
        assert_eq!(referred(&[]), None);
    }

    #[test]
    fn texts_are_compared_without_case_accents_and_spacing() {
        assert_eq!(normalise("  Émile \t ZOLA "), "emile zola");
        assert!(string("Émile").starts_with(&string_prefix("EMI")));
        assert_ne!(string("Émile"), string("Emile"));
        assert_eq!(string("emile"), b"emile\0");
    }

    #[test]
    fn long_texts_stay_distinct_and_short() {
        let (one, other) = ("x".repeat(1_000), format!("{}y", "x".repeat(999)));
        assert_ne!(token(None, &one), token(None, &other));
        assert!(token(None, &one).len() <= TEXT_BYTES_MAX + 1);
        assert!(string(&one).starts_with(&string_prefix(&one)));
        assert_eq!(token_code("a\0b"), b"a b\0");
    }

    #[test]
    fn a_code_is_the_beginning_of_itself_in_every_system() {
        assert!(token(Some("http://loinc.org"), "8480-6").starts_with(&token_code("8480-6")));
        assert_eq!(token(None, "8480-6"), token_code("8480-6"));
    }

    #[test]
    fn dates_know_the_class_of_their_width() {
        let at = |days: i64| Some(Instant::from_unix_ms(days * 86_400_000));
        assert_eq!(date(at(0), at(1))[0], 0);
        assert_eq!(date(at(0), at(31))[0], 1);
        assert_eq!(date(at(0), at(400))[0], 2);
        assert_eq!(date(at(0), None)[0], 2);
    }
}
