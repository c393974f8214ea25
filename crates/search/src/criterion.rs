//! A search, taken apart: what a store has to answer. Knows no query string and no SQL.
//!
//! A resource of a type is found if every [`Criterion`] of a list holds for its current version.

use lethe_fhir::{LogicalId, ResourceType};

use serde::{Deserialize, Serialize};

use crate::{LastUpdatedFilter, PathId};

/// One condition on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// Some index value lies in one of these spans.
    AnyOf(Vec<Span>),
    /// No index value lies in any of these spans.
    NoneOf(Vec<Span>),
    /// Its id is one of these.
    Ids(Vec<LogicalId>),
    /// Its id is none of these.
    NotIds(Vec<LogicalId>),
    /// `meta.lastUpdated` passes one of these.
    LastUpdated(Vec<LastUpdatedFilter>),
    /// It refers, by one of these paths, to a resource for which one of these branches holds (chaining).
    RefersTo {
        /// Paths of references.
        paths: Vec<PathId>,
        /// The types that the reference may lead to, each with what must hold there.
        branches: Vec<Branch>,
    },
    /// A resource of the branch's type refers to it by one of these paths, and the branch holds there (`_has`).
    ReferredBy {
        /// Paths of references of the branch's type.
        paths: Vec<PathId>,
        /// The type of the referring resource, with what must hold there.
        branch: Branch,
    },
    /// One of these alternatives holds: each a list of criteria all of which must hold.
    Either(Vec<Vec<Criterion>>),
    /// All of these words stand in its text.
    Words {
        /// Where they are looked for.
        place: WordPlace,
        /// Alternatives, each a list of normalised words.
        alternatives: Vec<Vec<String>>,
    },
}

impl Criterion {
    /// Whether it is a condition on other resources: a chain or `_has`, or one of several alternatives.
    #[must_use]
    pub fn is_on_others(&self) -> bool {
        match self {
            Self::RefersTo { .. } | Self::ReferredBy { .. } => true,
            Self::Either(alternatives) => alternatives.iter().flatten().any(Self::is_on_others),
            _ => false,
        }
    }
}

/// What must hold for the resource at the other end of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its type.
    pub resource_type: ResourceType,
    /// All of these; none: that it exists.
    pub criteria: Vec<Criterion>,
}

/// Where words are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WordPlace {
    /// `_text`: the narrative.
    Narrative,
    /// `_content`: every text of the resource, the narrative included.
    Everything,
}

/// A range of the values of one path, as [`value`](crate::value) writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The path.
    pub path: PathId,
    /// The first value.
    pub low: Vec<u8>,
    /// The last value, included, or the first after it; `None`: to the end of the path.
    pub end: SpanEnd,
    /// What must also hold of a value in the range; all of these.
    pub checks: Vec<ValueCheck>,
}

/// Where a [`Span`] ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpanEnd {
    /// With its first value: exactly one value.
    Single,
    /// Before this value.
    Before(Vec<u8>),
    /// With the path.
    Open,
}

/// A condition on the bytes of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ValueCheck {
    /// The bytes from `at` on begin with these.
    HasAt {
        /// The first byte that is compared.
        at: usize,
        /// What stands there.
        bytes: Vec<u8>,
    },
    /// As many bytes as `bytes` has, from `at` on, are less.
    LessAt {
        /// The first byte that is compared.
        at: usize,
        /// The bound.
        bytes: Vec<u8>,
    },
    /// As many bytes as `bytes` has, from `at` on, are not less.
    NotLessAt {
        /// The first byte that is compared.
        at: usize,
        /// The bound.
        bytes: Vec<u8>,
    },
    /// These bytes stand somewhere.
    Contains(Vec<u8>),
    /// The string is stored whole, and its normalised text has these bytes somewhere.
    TextHas(Vec<u8>),
    /// The same, or the string is not stored whole.
    TextMayHave(Vec<u8>),
    /// What follows the first byte 0 from `at` on passes all of these.
    Behind {
        /// The first byte that may be it.
        at: usize,
        /// Of the bytes that follow.
        checks: Vec<ValueCheck>,
    },
    /// The value ends with these bytes.
    EndsWith(Vec<u8>),
    /// The position is at most so many metres away from this one (great circle).
    Near {
        /// In degrees.
        latitude: f64,
        /// In degrees.
        longitude: f64,
        /// In metres.
        metres_max: f64,
    },
}

// OK because no bound of a `Near` is NaN: the parser refuses it.
impl Eq for ValueCheck {}

/// Radius of the earth in metres (mean, IUGG).
const EARTH_METRES: f64 = 6_371_008.8;

impl ValueCheck {
    /// Whether it holds for `value`.
    #[must_use]
    pub fn admits(&self, value: &[u8]) -> bool {
        match self {
            Self::HasAt { at, bytes } => value.get(*at..).is_some_and(|rest| rest.starts_with(bytes)),
            Self::LessAt { at, bytes } => value.get(*at..at + bytes.len()).is_some_and(|slice| slice < bytes.as_slice()),
            Self::NotLessAt { at, bytes } => value.get(*at..at + bytes.len()).is_some_and(|slice| slice >= bytes.as_slice()),
            Self::Contains(bytes) => has(value, bytes),
            Self::TextHas(bytes) => {
                let (text, is_whole) = crate::value::normal_text(value);
                is_whole && has(text, bytes)
            }
            Self::TextMayHave(bytes) => {
                let (text, is_whole) = crate::value::normal_text(value);
                !is_whole || has(text, bytes)
            }
            Self::Behind { at, checks } => {
                let mut parts = value.get(*at..).unwrap_or_default().splitn(2, |byte| *byte == 0).skip(1);
                parts.next().is_some_and(|rest| checks.iter().all(|check| check.admits(rest)))
            }
            Self::EndsWith(bytes) => value.ends_with(bytes),
            Self::Near { latitude, longitude, metres_max } => {
                let (Some(first), Some(second)) = (value.first_chunk::<8>(), value.get(8..).and_then(|rest| rest.first_chunk::<8>()))
                else {
                    return false;
                };
                let here = (crate::value::number_of(*first), crate::value::number_of(*second));
                distance_metres((*latitude, *longitude), here) <= *metres_max
            }
        }
    }
}

fn has(value: &[u8], bytes: &[u8]) -> bool {
    bytes.is_empty() || value.windows(bytes.len()).any(|window| window == bytes)
}

/// Great-circle distance of two positions in degrees (haversine).
fn distance_metres(one: (f64, f64), other: (f64, f64)) -> f64 {
    let (latitude, longitude) = ((other.0 - one.0).to_radians(), (other.1 - one.1).to_radians());
    let chord = (latitude / 2.0).sin().powi(2) + one.0.to_radians().cos() * other.0.to_radians().cos() * (longitude / 2.0).sin().powi(2);
    2.0 * EARTH_METRES * chord.sqrt().min(1.0).asin()
}

impl Span {
    /// Every value of a path.
    #[must_use]
    pub fn whole(path: PathId) -> Self {
        Self { path, low: Vec::new(), end: SpanEnd::Open, checks: Vec::new() }
    }

    /// Whether it is one value and nothing is asked besides, so that many of them can be looked for at once.
    #[must_use]
    pub fn is_one_value(&self) -> bool {
        self.end == SpanEnd::Single && self.checks.is_empty()
    }

    /// One value.
    #[must_use]
    pub fn single(path: PathId, value: Vec<u8>) -> Self {
        Self { path, low: value, end: SpanEnd::Single, checks: Vec::new() }
    }

    /// Every value that begins with `prefix`.
    #[must_use]
    pub fn prefix(path: PathId, prefix: Vec<u8>) -> Self {
        let end = after_prefix(&prefix).map_or(SpanEnd::Open, SpanEnd::Before);
        Self { path, low: prefix, end, checks: Vec::new() }
    }

    /// `[low, high)`.
    #[must_use]
    pub fn between(path: PathId, low: Vec<u8>, high: Vec<u8>) -> Self {
        Self { path, low, end: SpanEnd::Before(high), checks: Vec::new() }
    }

    /// With one more condition.
    #[must_use]
    pub fn and(mut self, check: ValueCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Whether a value of its path lies in it.
    #[must_use]
    pub fn admits(&self, value: &[u8]) -> bool {
        let is_in_range = match &self.end {
            SpanEnd::Single => value == self.low,
            SpanEnd::Before(end) => self.low.as_slice() <= value && value < end.as_slice(),
            SpanEnd::Open => self.low.as_slice() <= value,
        };
        is_in_range && self.checks.iter().all(|check| check.admits(value))
    }
}

/// The first value behind all that begin with `prefix`; `None` if nothing is behind them.
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

/// One key of `_sort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// By what.
    pub by: SortBy,
    /// Largest first.
    pub is_descending: bool,
}

/// What a [`SortKey`] compares. A resource with several values is placed by its least, or descending by its greatest; one without any
/// comes last either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// `_id`.
    Id,
    /// `_lastUpdated`.
    LastUpdated,
    /// Index values of these paths.
    Paths(Vec<SortPath>),
}

/// A path to sort by, and which bytes of its values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortPath {
    /// The path.
    pub path: PathId,
    /// The first byte that counts when ascending.
    pub ascending_at: usize,
    /// The first byte that counts when descending: a period is placed by its end.
    pub descending_at: usize,
    /// How many of those that follow.
    pub width: SortWidth,
    /// Only values that begin with this byte count.
    pub only: Option<u8>,
}

/// Which bytes of a value are its sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortWidth {
    /// So many.
    Bytes(usize),
    /// Those before the byte 0 that ends a text or a code: what follows it (how it was written, its system) would decide before the next key.
    Text,
    /// All.
    All,
}

impl SortWidth {
    /// The bytes that count.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        match self {
            Self::Bytes(count) => &bytes[..count.min(bytes.len())],
            Self::Text => bytes.split(|byte| *byte == 0).next().unwrap_or_default(),
            Self::All => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    const PATH: PathId = PathId(4);

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff]), None);
        assert_eq!(after_prefix(&[]), None);
    }

    #[test]
    fn spans_admit_what_lies_in_them() {
        let cases = [
            (Span::whole(PATH), vec![("", true), ("x", true)]),
            (Span::single(PATH, b"x".to_vec()), vec![("x", true), ("xy", false)]),
            (Span::prefix(PATH, b"x".to_vec()), vec![("x", true), ("xy", true), ("y", false)]),
            (Span::between(PATH, b"b".to_vec(), b"d".to_vec()), vec![("a", false), ("b", true), ("c", true), ("d", false)]),
            (Span::whole(PATH).and(ValueCheck::HasAt { at: 1, bytes: b"y".to_vec() }), vec![("xy", true), ("x", false), ("yx", false)]),
            (Span::whole(PATH).and(ValueCheck::LessAt { at: 1, bytes: b"y".to_vec() }), vec![("xa", true), ("xy", false), ("x", false)]),
            (Span::whole(PATH).and(ValueCheck::NotLessAt { at: 1, bytes: b"y".to_vec() }), vec![("xa", false), ("xy", true)]),
            (Span::whole(PATH).and(ValueCheck::Contains(b"oo".to_vec())), vec![("foo", true), ("fo", false)]),
            (Span::whole(PATH).and(ValueCheck::EndsWith(b"oo".to_vec())), vec![("foo", true), ("foox", false)]),
            (
                Span::whole(PATH).and(ValueCheck::Behind { at: 2, checks: vec![ValueCheck::HasAt { at: 0, bytes: b"y".to_vec() }] }),
                vec![("ab\0y", true), ("a\0by\0z", false), ("a\0bc\0y\0z", true), ("aby", false), ("", false)],
            ),
        ];
        for (span, values) in cases {
            for (value, expected) in values {
                assert_eq!(span.admits(value.as_bytes()), expected, "{span:?} {value}");
            }
        }
    }

    #[test]
    fn near_counts_metres_on_the_globe() {
        // Berlin to Hamburg is about 255 km.
        let hamburg = value::position(53.5511, 9.9937);
        let near = |metres_max| ValueCheck::Near { latitude: 52.52, longitude: 13.405, metres_max };
        assert!(near(260_000.0).admits(&hamburg));
        assert!(!near(250_000.0).admits(&hamburg));
        assert!(!near(1e9).admits(b"short"));
    }
}
