//! The keys of a version: numbers by which an index finds the versions that may have a value.
//!
//! A key is the first 8 bytes of the SHA-256 of account, type, path and the beginning of a value: all of it, nothing of it (the path has a value), and
//! for values that are asked for by ranges or by their beginnings, beginnings of a few lengths. A range is asked for by the keys of beginnings that
//! cover it. Two beginnings may share a key, and a range its keys with what lies beside it: whoever is found is asked for its values.
//!
//! What is stored depends on all of this: whoever changes a beginning or the hash changes the schema.

use lethe_auth::AccountId;
use lethe_fhir::ResourceType;
use lethe_search::{
    Facet, IndexValues, PathId, Span, SpanEnd, after_prefix,
    definitions::{ParameterKind, path_kind},
};
use sha2::{Digest, Sha256};

/// Keys of one range; with more it is asked for by shorter beginnings.
const RANGE_KEYS_MAX: u64 = 256;
/// Keys of all ranges of one criterion, as far as each needs but one.
const KEYS_MAX: u64 = 1_024;

/// The keys of a version's values, in order, each once.
#[must_use]
pub fn keys_of(account_id: AccountId, resource_type: ResourceType, values: &IndexValues) -> Vec<i64> {
    let mut keys = Vec::new();
    let mut last = None;
    for (path, value) in values.iter().filter(|(path, _)| path.has_rows()) {
        let head = head(account_id.0, resource_type, path);
        if last != Some(path) {
            keys.push(key(&head, &[]));
            last = Some(path);
        }
        keys.push(key(&head, value));
        keys.extend(Form::of(resource_type, path).beginnings(value).iter().map(|beginning| key(&head, beginning)));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Keys of which every version has one that has a value in one of `spans`.
#[must_use]
pub fn keys_for(account_id: i64, resource_type: ResourceType, spans: &[Span]) -> Vec<i64> {
    let ranges = spans.iter().filter(|span| span.end != SpanEnd::Single).count() as u64;
    let keys_max = (KEYS_MAX / ranges.max(1)).clamp(1, RANGE_KEYS_MAX);
    let mut keys = Vec::new();
    for span in spans {
        let head = head(account_id, resource_type, span.path);
        if span.end == SpanEnd::Single {
            keys.push(key(&head, &span.low));
        } else {
            keys.extend(Form::of(resource_type, span.path).cover(span, keys_max).iter().map(|beginning| key(&head, beginning)));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What is hashed before the beginning of a value. The account is in it: nobody finds by a key what another account has.
pub(crate) fn head(account_id: i64, resource_type: ResourceType, path: PathId) -> Vec<u8> {
    [&account_id.to_be_bytes()[..], &[resource_type.code()], &path.0.to_be_bytes()].concat()
}

/// The same as `index_key` of the schema.
fn key(head: &[u8], beginning: &[u8]) -> i64 {
    let digest = Sha256::new_with_prefix(head).chain_update(beginning).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// How the values of a path begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Only all of a value is asked for.
    Whole,
    /// A text that ends before the byte `end`, if there is one: it is asked for by beginnings of these lengths, and by all of it with its end.
    Text { lengths: &'static [usize], end: u8 },
    /// The same for what is not here; a reference to what is here is asked for whole.
    Reference,
    /// 8 bytes in order, of which the first tell how large it is.
    Number,
    /// A class, then milliseconds as 8 bytes in order.
    Date,
}

const NAME: Form = Form::Text { lengths: &[1, 2, 3, 4, 6, 8], end: 0 };
const CODE: Form = Form::Text { lengths: &[], end: 0 };
const URL_LENGTHS: &[usize] = &[16, 32, 48];
/// Behind it comes the version of a canonical.
const URL: Form = Form::Text { lengths: URL_LENGTHS, end: b'|' };

/// Bytes of a number, and of a date as [`date_bytes`] writes it, that beginnings have: a part in 4,096 of a number, five hours.
const NUMBER_LENGTHS: [usize; 3] = [1, 2, 3];
const DATE_LENGTHS: [usize; 3] = [2, 3, 4];
/// Instants further from 1970 than 1,100 years (2^45 ms) are all the same here.
const FAR_MS: i64 = 1 << 45;
/// Bits of an instant that are left out: 2^24 ms are 4.7 hours, and what is left are 22 bits.
const FINE_BITS: u32 = 24;
const LAST_INSTANT: [u8; 3] = [0x3f, 0xff, 0xff];

impl Form {
    fn of(resource_type: ResourceType, path: PathId) -> Self {
        match (path_kind(resource_type, path), path.facet()) {
            (Some(ParameterKind::Date), Facet::Value) => Self::Date,
            (Some(ParameterKind::Number | ParameterKind::Quantity | ParameterKind::Position), Facet::Value | Facet::Canonical) => {
                Self::Number
            }
            (Some(ParameterKind::String), Facet::Value) => NAME,
            (Some(ParameterKind::Uri), Facet::Value) => URL,
            (Some(ParameterKind::Reference), Facet::Value) => Self::Reference,
            (Some(ParameterKind::Token | ParameterKind::Composite), Facet::Value)
            | (Some(ParameterKind::Token | ParameterKind::Reference), Facet::Identifier) => CODE,
            _ => Self::Whole,
        }
    }

    /// The beginnings of a value that have keys, besides all and nothing of it.
    fn beginnings(self, value: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::Reference if value.first() == Some(&0) => URL.beginnings(value),
            Self::Whole | Self::Reference => Vec::new(),
            Self::Text { lengths, end } => {
                let text = value.iter().position(|byte| *byte == end);
                let text_bytes = text.unwrap_or(value.len());
                let ends = lengths.iter().copied().filter(|length| *length <= text_bytes).chain(text.map(|end| end + 1));
                ends.map(|end| value[..end].to_vec()).collect()
            }
            Self::Number => NUMBER_LENGTHS.iter().map(|length| number_bytes(value)[..*length].to_vec()).collect(),
            Self::Date => DATE_LENGTHS.iter().map(|length| date_bytes(value)[..*length].to_vec()).collect(),
        }
    }

    /// Beginnings of which every value in a range has one, at most `keys_max`; nothing of a value if no others are known.
    fn cover(self, span: &Span, keys_max: u64) -> Vec<Vec<u8>> {
        let end = match &span.end {
            SpanEnd::Before(end) => Some(end.as_slice()),
            SpanEnd::Single | SpanEnd::Open => None,
        };
        let covered = match self {
            _ if span.low.is_empty() && end.is_none() => None,
            Self::Whole => None,
            Self::Reference => match common(&span.low, end).first() {
                Some(0) => URL.text_of(&span.low, end),
                _ => None,
            },
            Self::Text { .. } => self.text_of(&span.low, end),
            Self::Number => between(&NUMBER_LENGTHS, &number_bytes(&span.low), &end.map_or([0xff; 3], number_bytes), keys_max),
            Self::Date => {
                let last = match end {
                    None => [[0xff].as_slice(), &LAST_INSTANT].concat(),
                    // It ends with a class.
                    Some([after]) => [[after.saturating_sub(1)].as_slice(), &LAST_INSTANT].concat(),
                    Some(end) => date_bytes(end).to_vec(),
                };
                between(&DATE_LENGTHS, &date_bytes(&span.low), &last, keys_max)
            }
        };
        covered.filter(|covered| !covered.is_empty()).unwrap_or_else(|| vec![Vec::new()])
    }

    /// The longest beginning of a text that all values in a range have and that has a key.
    fn text_of(self, low: &[u8], end: Option<&[u8]>) -> Option<Vec<Vec<u8>>> {
        let common = common(low, end);
        self.beginnings(common).pop().map(|longest| vec![longest])
    }
}

/// What all values from `low` on and before `end` begin with, as far as `low` tells.
fn common<'a>(low: &'a [u8], end: Option<&[u8]>) -> &'a [u8] {
    let Some(end) = end else { return &[] };
    let holds = |length: usize| after_prefix(&low[..length]).is_none_or(|after| end <= after.as_slice());
    let length = (1..=low.len()).rev().find(|length| holds(*length)).unwrap_or(0);
    &low[..length]
}

/// The first bytes of a number; in the same order as the numbers.
fn number_bytes(value: &[u8]) -> [u8; 3] {
    let mut bytes = [0; 3];
    for (own, byte) in bytes.iter_mut().zip(value) {
        *own = *byte;
    }
    bytes
}

/// The class of a date, and its start in so few bytes that not many cover long times; in the same order as the dates.
fn date_bytes(value: &[u8]) -> [u8; 4] {
    let mut start = [0; 8];
    for (own, byte) in start.iter_mut().zip(value.iter().skip(1)) {
        *own = *byte;
    }
    let ms = (u64::from_be_bytes(start) ^ (1 << 63)) as i64;
    // OK because it is clamped to what is neither negative nor has more than 46 bits.
    let coarse = ((ms.clamp(-FAR_MS, FAR_MS - 1) + FAR_MS) >> FINE_BITS) as u32;
    let [_, first, second, third] = coarse.to_be_bytes();
    [value.first().copied().unwrap_or(0), first, second, third]
}

/// All beginnings of one length from `low` to `high`, both included, as numbers.
#[derive(Clone, Copy)]
struct Stretch {
    low: u64,
    high: u64,
    length: usize,
}

impl Stretch {
    fn count(stretches: &[Self]) -> u64 {
        stretches.iter().map(|stretch| stretch.high - stretch.low + 1).sum()
    }

    fn beginnings(self) -> impl Iterator<Item = Vec<u8>> {
        (self.low..=self.high).map(move |number| number.to_be_bytes()[8 - self.length..].to_vec())
    }
}

/// What still reaches beyond a range.
enum Ends {
    /// Its first beginning and its last one, which may be the same.
    Both(Stretch),
    /// The first of the one, the last of the other; none where the range ends with a beginning.
    Each(Option<Stretch>, Option<Stretch>),
}

impl Ends {
    fn stretches(&self) -> Vec<Stretch> {
        match self {
            Self::Both(both) => vec![*both],
            Self::Each(lower, upper) => [*lower, *upper].into_iter().flatten().collect(),
        }
    }
}

/// Beginnings of these lengths that cover all from `first` to `last`, both included: short ones within, longer ones at both ends, as far as `keys_max`
/// allows. `None` if there are too many of the shortest.
fn between(lengths: &[usize], first: &[u8], last: &[u8], keys_max: u64) -> Option<Vec<Vec<u8>>> {
    let number = |bytes: &[u8], length: usize| bytes[..length].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let shortest = *lengths.first()?;
    let all = Stretch { low: number(first, shortest), high: number(last, shortest), length: shortest };
    if first > last || Stretch::count(&[all]) > keys_max {
        return None;
    }
    let (mut within, mut ends) = (Vec::new(), Ends::Both(all));
    for pair in lengths.windows(2) {
        let &[shorter, length] = pair else { break };
        let (low, high, width) = (number(first, length), number(last, length), 8 * (length - shorter));
        let mut finer_within = within.clone();
        let mut add = |low: u64, high: u64| {
            if low <= high {
                finer_within.push(Stretch { low, high, length: shorter });
            }
        };
        let (lower, upper) = match ends {
            Ends::Both(both) if both.low == both.high => {
                ends = Ends::Both(Stretch { low, high, length });
                if Stretch::count(&ends.stretches()) + Stretch::count(&within) > keys_max {
                    ends = Ends::Both(both);
                    break;
                }
                continue;
            }
            Ends::Both(both) => {
                add(both.low + 1, both.high - 1);
                (Some(both.low), Some(both.high))
            }
            Ends::Each(lower, upper) => {
                lower.into_iter().for_each(|lower| add(lower.low + 1, lower.high));
                upper.into_iter().filter(|upper| upper.low < upper.high).for_each(|upper| add(upper.low, upper.high - 1));
                (lower.map(|lower| lower.low), upper.map(|upper| upper.high))
            }
        };
        let is_met = |rest: &[u8], byte: u8| rest[shorter..].iter().all(|own| *own == byte);
        let lower = lower.filter(|lower| {
            !is_met(first, 0) || {
                add(*lower, *lower);
                false
            }
        });
        let upper = upper.filter(|upper| {
            !is_met(last, 0xff) || {
                add(*upper, *upper);
                false
            }
        });
        let finer = Ends::Each(
            lower.map(|lower| Stretch { low, high: ((lower + 1) << width) - 1, length }),
            upper.map(|upper| Stretch { low: upper << width, high, length }),
        );
        if Stretch::count(&finer_within) + Stretch::count(&finer.stretches()) > keys_max {
            break;
        }
        (within, ends) = (finer_within, finer);
    }
    Some(within.into_iter().chain(ends.stretches()).flat_map(Stretch::beginnings).collect())
}

#[cfg(test)]
mod tests {
    use lethe_fhir::Instant;
    use lethe_search::{IndexValue, definitions::parameter, value};
    use proptest::prelude::*;

    use super::*;

    fn path(resource_type: &str, code: &str) -> (ResourceType, PathId) {
        let resource_type = resource_type.parse().unwrap();
        (resource_type, parameter(resource_type, code).unwrap().uses[0].path)
    }

    /// A path of each form.
    fn paths() -> Vec<(ResourceType, PathId)> {
        let mut paths: Vec<_> = [
            ("Observation", "date"),
            ("Observation", "value-quantity"),
            ("Observation", "code"),
            ("Observation", "code-value-quantity"),
            ("Observation", "subject"),
            ("Patient", "family"),
            ("ValueSet", "url"),
            ("Location", "near"),
            ("RiskAssessment", "probability"),
            ("QuestionnaireResponse", "questionnaire"),
        ]
        .map(|(resource_type, code)| path(resource_type, code))
        .to_vec();
        paths.extend(paths.clone().into_iter().map(|(of_type, path)| (of_type, path.with(Facet::Identifier))));
        paths.extend([("Observation".parse().unwrap(), path("Observation", "value-quantity").1.with(Facet::Canonical))]);
        paths
    }

    /// Bytes as values have them: real ones, and any.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(prop_oneof![Just(0), Just(0xff), Just(b'|'), Just(b'a'), any::<u8>()], 0..20),
            (any::<i64>(), 0..400_000_000_000_i64).prop_map(|(low, width)| value::date(
                Some(Instant::from_unix_ms(low)),
                Some(Instant::from_unix_ms(low).plus_ms(width))
            )
            .to_vec()),
            (1_500_000_000_000_i64..1_800_000_000_000, 0..100_000_000_i64).prop_map(|(low, width)| value::date(
                Some(Instant::from_unix_ms(low)),
                Some(Instant::from_unix_ms(low + width))
            )
            .to_vec()),
            (-200.0..200.0_f64).prop_map(|number| value::quantity(number, None, Some("kg"), None)),
            "[a-c]{0,9}".prop_map(|text| value::string(&text)),
            "[a-b|/]{0,40}".prop_map(|text| value::reference_elsewhere(&text)),
            "[a-b]{0,3}".prop_map(|code| value::token(Some("s"), &code)),
        ]
    }

    fn spans(path: PathId, one: Vec<u8>, other: Vec<u8>, cut: usize) -> Vec<Span> {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let beginning = low[..cut.min(low.len())].to_vec();
        vec![
            Span::single(path, low.clone()),
            Span::prefix(path, low.clone()),
            Span::prefix(path, beginning.clone()),
            Span::whole(path),
            Span { path, low: low.clone(), end: SpanEnd::Open, checks: Vec::new() },
            Span::between(path, low.clone(), [high.clone(), vec![0]].concat()),
            Span::between(path, Vec::new(), high.clone()),
            Span::between(path, beginning, high),
        ]
    }

    fn shares_a_key(resource_type: ResourceType, span: &Span, value: &[u8]) -> bool {
        let values = IndexValues::of(vec![IndexValue { path: span.path, value: value.to_vec() }]);
        let (stored, asked) = (keys_of(AccountId(7), resource_type, &values), keys_for(7, resource_type, std::slice::from_ref(span)));
        assert!(!asked.is_empty() && asked.len() as u64 <= RANGE_KEYS_MAX, "{} keys", asked.len());
        asked.iter().any(|key| stored.contains(key))
    }

    proptest! {
        #[test]
        fn what_fits_a_span_shares_a_key_with_it(one in bytes(), other in bytes(), third in bytes(), cut in 0_usize..20) {
            for (resource_type, path) in paths() {
                for span in spans(path, one.clone(), other.clone(), cut) {
                    for value in [&one, &other, &third] {
                        prop_assert!(!span.admits(value) || shares_a_key(resource_type, &span, value), "{resource_type} {span:?} {value:?}");
                    }
                }
            }
        }
    }

    fn date(text: &str) -> Vec<u8> {
        let date: lethe_fhir::FhirDate = text.parse().unwrap();
        value::date(Some(date.low), Some(date.high)).to_vec()
    }

    #[test]
    fn what_lies_beside_a_span_mostly_shares_none() {
        let day = |low: &str, high: &str| Span::between(PathId(0), date(low), date(high));
        let number = |low: f64, high: f64| Span::between(PathId(0), value::number(low).to_vec(), value::number(high).to_vec());
        let quantity = |number| value::quantity(number, None, None, Some("kg"));
        let cases = [
            ("Observation", "date", day("2024-03-15", "2024-03-16"), date("2024-03-17")),
            ("Observation", "date", day("2024-03-15", "2024-04-15"), date("2024-04-16")),
            ("Observation", "date", Span::between(PathId(0), date("2024-03-15"), vec![1]), date("2023-11-01")),
            ("Observation", "value-quantity", number(5.35, 5.45), quantity(5.5)),
            ("Observation", "value-quantity", Span { end: SpanEnd::Open, ..number(100.0, 200.0) }, quantity(90.0)),
            ("Observation", "code", Span::prefix(PathId(0), value::token_code("a")), value::token(None, "ab")),
            ("Patient", "family", Span::prefix(PathId(0), b"miller".to_vec()), value::string("Mixler")),
            ("ValueSet", "url", Span::prefix(PathId(0), b"http://a.org/b|".to_vec()), value::uri("http://a.org/b/c|1")),
        ];
        for (resource_type, code, span, beside) in cases {
            let (resource_type, path) = path(resource_type, code);
            assert!(!shares_a_key(resource_type, &Span { path, ..span.clone() }, &beside), "{code} {span:?}");
        }
    }

    #[test]
    fn many_ranges_get_few_keys_each_and_many_values_one_each() {
        let (resource_type, path) = path("Observation", "date");
        let ranges: Vec<Span> = (0..500).map(|_| Span::between(path, date("2024-03-15"), date("2024-04-15"))).collect();
        assert!(keys_for(1, resource_type, &ranges).len() as u64 <= KEYS_MAX);
        let values: Vec<Span> = (0..5_000_u32).map(|number| Span::single(path, number.to_be_bytes().to_vec())).collect();
        assert_eq!(keys_for(1, resource_type, &values).len(), values.len());
    }

    #[test]
    fn keys_stay_what_they_are_and_differ_between_accounts_types_and_paths() {
        let (resource_type, path) = path("Observation", "code");
        let one = |account, of_type, path| keys_for(account, of_type, &[Span::single(path, b"x".to_vec())]);
        // The first 8 bytes of the SHA-256 of 0000000000000001 <type> <path> 78.
        let digest = Sha256::digest([&[0, 0, 0, 0, 0, 0, 0, 1, resource_type.code()][..], &path.0.to_be_bytes(), b"x"].concat());
        let own = one(1, resource_type, path);
        assert_eq!(own, [i64::from_be_bytes(*digest.first_chunk().unwrap())]);
        for other in [one(2, resource_type, path), one(1, ResourceType::BINARY, path), one(1, resource_type, PathId(path.0 + 4))] {
            assert_ne!(own, other);
        }
    }
}
