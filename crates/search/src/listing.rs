//! The query of a type-level listing, parsed once.

use lethe_fhir::{FhirDate, Instant, LogicalId, limits};
use thiserror::Error;

/// `GET /{type}?…` with the control parameters that are served today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// `_id`: only these; `None` when not given.
    pub ids: Option<Vec<LogicalId>>,
    /// `_lastUpdated`, all of which must hold.
    pub last_updated: Vec<LastUpdatedFilter>,
    /// `_count`; [`limits::PAGE_COUNT_DEFAULT`] when not given.
    pub count: usize,
    /// `_summary=count`: the number and no resources.
    pub is_count_only: bool,
    /// `_page`: the opaque place where the next page begins, as the server gave it.
    pub page: Option<String>,
}

/// One condition on `meta.lastUpdated`, in milliseconds, half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastUpdatedFilter {
    /// In `[low, high)`.
    Within(Instant, Instant),
    /// Not in `[low, high)`.
    Outside(Instant, Instant),
}

impl LastUpdatedFilter {
    /// Whether `instant` passes.
    #[must_use]
    pub fn admits(self, instant: Instant) -> bool {
        match self {
            Self::Within(low, high) => low <= instant && instant < high,
            Self::Outside(low, high) => instant < low || high <= instant,
        }
    }
}

/// What is wrong with a listing's query: the parameter, and what would be right.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ListingError {
    /// The parameter is not served.
    #[error("search parameter '{0}' is not supported; supported are _id, _lastUpdated, _count and _summary=count")]
    Unsupported(String),
    /// The parameter may be given only once.
    #[error("'{0}' is given more than once")]
    Repeated(&'static str),
    /// The value cannot be read.
    #[error("'{name}={value}': {expected}")]
    BadValue {
        /// The parameter.
        name: &'static str,
        /// What was sent.
        value: String,
        /// What would be right.
        expected: String,
    },
}

const EARLIEST: i64 = i64::MIN;
const LATEST: i64 = i64::MAX;

impl Listing {
    /// Reads the decoded pairs of a query. `_format` and `_pretty` are left to the HTTP edge and skipped.
    ///
    /// # Errors
    /// [`ListingError`]: an unknown parameter is refused, since ignoring it would widen the result.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, ListingError> {
        let mut listing = Self { count: limits::PAGE_COUNT_DEFAULT, ..Self::default() };
        let mut seen = Vec::new();
        for (name, value) in pairs {
            let bad = |name, expected: &str| ListingError::BadValue {
                name,
                value: value.chars().take(80).collect(),
                expected: expected.to_owned(),
            };
            match name.as_str() {
                "_id" => {
                    let ids = value
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<Vec<LogicalId>, _>>()
                        .map_err(|error| bad("_id", &error.to_string()))?;
                    // Repetition is AND: what both name.
                    listing.ids = Some(match listing.ids.take() {
                        None => ids,
                        Some(earlier) => earlier.into_iter().filter(|id| ids.contains(id)).collect(),
                    });
                }
                "_lastUpdated" => listing.last_updated.push(last_updated(value).map_err(|expected| bad("_lastUpdated", &expected))?),
                "_count" => {
                    once(&mut seen, "_count")?;
                    let count = value.parse::<usize>().map_err(|_| bad("_count", "a whole number is expected"))?;
                    listing.is_count_only |= count == 0;
                    listing.count = count.clamp(1, limits::PAGE_COUNT_MAX);
                }
                "_summary" => {
                    once(&mut seen, "_summary")?;
                    match value.as_str() {
                        "count" => listing.is_count_only = true,
                        "false" => {}
                        _ => return Err(bad("_summary", "'count' and 'false' are supported")),
                    }
                }
                "_page" => {
                    once(&mut seen, "_page")?;
                    listing.page = Some(value.clone());
                }
                "_format" | "_pretty" => {}
                _ => return Err(ListingError::Unsupported(name.chars().take(80).collect())),
            }
        }
        Ok(listing)
    }
}

fn once(seen: &mut Vec<&'static str>, name: &'static str) -> Result<(), ListingError> {
    if seen.contains(&name) {
        return Err(ListingError::Repeated(name));
    }
    seen.push(name);
    Ok(())
}

/// Reads one `_lastUpdated` value with its prefix (<https://hl7.org/fhir/R4/search.html#prefix>). An instant has no width, so a
/// range comparison is one against the span of the parameter.
fn last_updated(value: &str) -> Result<LastUpdatedFilter, String> {
    let (prefix, date) = match value.get(..2) {
        Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_lowercase()) => (prefix, &value[2..]),
        _ => ("eq", value),
    };
    let FhirDate { low, high } = date.parse().map_err(|error: lethe_fhir::FhirDateError| error.to_string())?;
    let (earliest, latest) = (Instant::from_unix_ms(EARLIEST), Instant::from_unix_ms(LATEST));
    Ok(match prefix {
        "eq" => LastUpdatedFilter::Within(low, high),
        "ne" => LastUpdatedFilter::Outside(low, high),
        "lt" | "eb" => LastUpdatedFilter::Within(earliest, low),
        "le" => LastUpdatedFilter::Within(earliest, high),
        "gt" | "sa" => LastUpdatedFilter::Within(high, latest),
        "ge" => LastUpdatedFilter::Within(low, latest),
        _ => return Err("the prefixes eq, ne, lt, le, gt, ge, sa and eb are supported".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Result<Listing, ListingError> {
        Listing::parse(&query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn unknown_parameters_are_refused_because_ignoring_them_widens() {
        assert_eq!(parse(&[("_lastupdated", "2024")]), Err(ListingError::Unsupported("_lastupdated".to_owned())));
        assert_eq!(parse(&[("patient", "x")]), Err(ListingError::Unsupported("patient".to_owned())));
    }

    #[test]
    fn ids_or_by_comma_and_by_repetition() {
        let ids = |query: &[(&str, &str)]| parse(query).unwrap().ids.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ids(&[("_id", "a,b")]), ["a", "b"]);
        assert_eq!(ids(&[("_id", "a,b"), ("_id", "b,c")]), ["b"]);
        assert!(parse(&[("_id", "a,,b")]).is_err());
    }

    #[test]
    fn last_updated_prefixes_draw_the_right_line() {
        let day = |text: &str| text.parse::<FhirDate>().unwrap();
        let (before, during, after) = (day("2024-01-01").low, day("2024-01-02T12:00:00Z").low, day("2024-01-03").low);
        let cases = [
            ("2024-01-02", [false, true, false]),
            ("ne2024-01-02", [true, false, true]),
            ("lt2024-01-02", [true, false, false]),
            ("le2024-01-02", [true, true, false]),
            ("gt2024-01-02", [false, false, true]),
            ("ge2024-01-02", [false, true, true]),
        ];
        for (value, expected) in cases {
            let filter = parse(&[("_lastUpdated", value)]).unwrap().last_updated[0];
            assert_eq!([before, during, after].map(|instant| filter.admits(instant)), expected, "{value}");
        }
        assert!(parse(&[("_lastUpdated", "xx2024")]).is_err());
    }

    #[test]
    fn counts_are_bounded() {
        assert_eq!(parse(&[("_count", "1000000")]).unwrap().count, limits::PAGE_COUNT_MAX);
        assert!(parse(&[("_count", "0")]).unwrap().is_count_only);
        assert!(parse(&[("_count", "-1")]).is_err());
        assert_eq!(parse(&[("_count", "1"), ("_count", "2")]), Err(ListingError::Repeated("_count")));
    }
}
