//! Points in time: the server's own instants, and the partial dates that FHIR parameters carry.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil};
use thiserror::Error;

/// A point in time in whole milliseconds since 1970-01-01T00:00:00Z: what `meta.lastUpdated` and jobs carry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(i64);

impl Instant {
    /// From milliseconds since the epoch. Out of the years -9999 to 9999 it is pulled to the nearest end.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_unix_ms(self) -> i64 {
        self.0
    }

    /// This instant moved by `duration_ms`.
    #[must_use]
    pub fn plus_ms(self, duration_ms: i64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(duration_ms))
    }
}

/// `2023-07-31T20:39:34.575Z`: always UTC, always milliseconds.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // OK because the constructor keeps the value in jiff's range.
        let timestamp = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX);
        write!(f, "{timestamp:.3}")
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A FHIR date, dateTime or instant as the half-open span of time that it stands for, in UTC.
///
/// `2024` is the whole year; a time to the second is that second. A leap second stands for the second before it, which has no other on the clocks
/// that are compared with it. Sources: <https://hl7.org/fhir/R4/search.html#date>, <https://hl7.org/fhir/R4/datatypes.html#dateTime>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FhirDate {
    /// The first instant of the span.
    pub low: Instant,
    /// The first instant after the span.
    pub high: Instant,
}

/// The text is no FHIR date, dateTime or instant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FhirDateError {
    /// A time of day without `Z` or an offset: which instant it means cannot be known.
    #[error("'{0}' has a time but no time zone: add 'Z' or an offset such as '+02:00'")]
    NoTimeZone(String),
    /// Anything else.
    #[error("'{0}' is not a FHIR date: use YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss.sssZ")]
    Malformed(String),
}

impl FromStr for FhirDate {
    type Err = FhirDateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || FhirDateError::Malformed(text.chars().take(40).collect());
        // FHIR has no year 0, and nobody means it.
        if !text.is_ascii() || text.starts_with("0000") {
            return Err(malformed());
        }
        match text.split_once('T') {
            None => date_span(text).ok_or_else(malformed),
            Some((date, time)) => {
                let Some(zone_start) = time.find(['Z', '+', '-']) else {
                    return Err(if is_time(time) && is_shape(date, "dddd-dd-dd") {
                        FhirDateError::NoTimeZone(text.to_owned())
                    } else {
                        malformed()
                    });
                };
                let (clock, zone) = time.split_at(zone_start);
                let zone_is_valid = zone == "Z" || is_offset(&zone[1..]);
                if !(is_shape(date, "dddd-dd-dd") && is_time(clock) && zone_is_valid) {
                    return Err(malformed());
                }
                time_span(date, clock, zone).ok_or_else(malformed)
            }
        }
    }
}

/// Whether `text` has a digit for each `d` of `shape` and is equal elsewhere.
fn is_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, want)| if want == b'd' { byte.is_ascii_digit() } else { byte == want })
}

/// FHIR's offsets end at 14 hours; a slip in them moves a cut-off.
fn is_offset(text: &str) -> bool {
    is_shape(text, "dd:dd") && (text == "14:00" || (text[..2] < *"14" && text[3..] < *"60"))
}

fn is_time(clock: &str) -> bool {
    match clock.split_once('.') {
        None => is_shape(clock, "dd:dd") || is_shape(clock, "dd:dd:dd"),
        Some((whole, fraction)) => {
            is_shape(whole, "dd:dd:dd") && (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit())
        }
    }
}

fn date_span(text: &str) -> Option<FhirDate> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let (first, width) = if is_shape(text, "dddd") {
        (civil::Date::new(number(0..4)?, 1, 1).ok()?, jiff::Span::new().years(1))
    } else if is_shape(text, "dddd-dd") {
        (civil::Date::new(number(0..4)?, number(5..7)? as i8, 1).ok()?, jiff::Span::new().months(1))
    } else if is_shape(text, "dddd-dd-dd") {
        (civil::Date::new(number(0..4)?, number(5..7)? as i8, number(8..10)? as i8).ok()?, jiff::Span::new().days(1))
    } else {
        return None;
    };
    Some(FhirDate::of(instant_of(first.at(0, 0, 0, 0)), first.checked_add(width).map_or(LAST, |next| instant_of(next.at(0, 0, 0, 0)))))
}

/// The end of what can be told apart, hours before the year 10000.
const LAST: Instant = Instant(i64::MAX);

/// That time in UTC.
fn instant_of(time: civil::DateTime) -> Instant {
    time.to_zoned(jiff::tz::TimeZone::UTC).map_or(LAST, |zoned| Instant(zoned.timestamp().as_millisecond()))
}

impl FhirDate {
    /// `9999-12-31` is written for "never", but lies beyond the last instant: it is the last second before that.
    fn of(low: Instant, high: Instant) -> Self {
        let last = Instant::from_unix_ms(LAST.0);
        Self { low: low.min(last.plus_ms(-1_000)), high: high.min(last) }
    }
}

fn time_span(date: &str, clock: &str, zone: &str) -> Option<FhirDate> {
    let (seconds_given, width_ms) = match clock.len() {
        5 => (format!("{clock}:00"), 60_000),
        8 => (clock.to_owned(), 1_000),
        // `.5` stands for a tenth of a second and `.57` for a hundredth, but not for less than a millisecond.
        length => (clock.to_owned(), 10_i64.pow(3_u32.saturating_sub((length - 9) as u32))),
    };
    let low = match format!("{date}T{seconds_given}{zone}").parse::<Timestamp>() {
        Ok(low) => Instant(low.as_millisecond()),
        Err(_) if date == "9999-12-31" || date == "9999-12-30" => {
            // The zone was only looked at for its form, and must be one.
            format!("9999-01-01T{seconds_given}{zone}").parse::<Timestamp>().ok()?;
            LAST
        }
        Err(_) => return None,
    };
    Some(FhirDate::of(low, low.plus_ms(width_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> (String, String) {
        let date: FhirDate = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (date.low.to_string(), date.high.to_string())
    }

    #[test]
    fn partial_dates_stand_for_their_whole_span_in_utc() {
        let cases = [
            ("2024", "2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"),
            ("2024-02", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z", "2024-03-01T00:00:00.000Z"),
            ("2024-02-29T10:00Z", "2024-02-29T10:00:00.000Z", "2024-02-29T10:01:00.000Z"),
            ("2024-02-29T10:00:30+02:00", "2024-02-29T08:00:30.000Z", "2024-02-29T08:00:31.000Z"),
            ("2024-02-29T10:00:30.5Z", "2024-02-29T10:00:30.500Z", "2024-02-29T10:00:30.600Z"),
            ("9999", "9999-01-01T00:00:00.000Z", "9999-12-30T22:00:00.999Z"),
            ("9999-12-31", "9999-12-30T21:59:59.999Z", "9999-12-30T22:00:00.999Z"),
            ("9999-12-31T23:59:59Z", "9999-12-30T21:59:59.999Z", "9999-12-30T22:00:00.999Z"),
            ("9999-12-31T23:59:60Z", "9999-12-30T21:59:59.999Z", "9999-12-30T22:00:00.999Z"),
            // A leap second, also where there was none.
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z", "2017-01-01T00:00:00.000Z"),
            ("2017-01-01T00:59:60+01:00", "2016-12-31T23:59:59.000Z", "2017-01-01T00:00:00.000Z"),
            ("2024-01-01T10:00:60Z", "2024-01-01T10:00:59.000Z", "2024-01-01T10:01:00.000Z"),
            ("2024-01-01T00:00:00+14:00", "2023-12-31T10:00:00.000Z", "2023-12-31T10:00:01.000Z"),
            ("2024-01-01T00:00:00-13:59", "2024-01-01T13:59:00.000Z", "2024-01-01T13:59:01.000Z"),
            ("2024-01-01T00:00:00-00:00", "2024-01-01T00:00:00.000Z", "2024-01-01T00:00:01.000Z"),
            ("0001", "0001-01-01T00:00:00.000Z", "0002-01-01T00:00:00.000Z"),
            ("0001-01-01T00:00:00+14:00", "0000-12-31T10:00:00.000Z", "0000-12-31T10:00:01.000Z"),
            ("2024-02-29T10:00:30.123456Z", "2024-02-29T10:00:30.123Z", "2024-02-29T10:00:30.124Z"),
        ];
        for (text, low, high) in cases {
            assert_eq!(span(text), (low.to_owned(), high.to_owned()), "{text}");
        }
    }

    #[test]
    fn malformed_dates_are_refused_and_the_missing_zone_is_named() {
        for bad in [
            "",
            "24",
            "2024-13",
            "2023-02-29",
            "2024-1-1",
            "2024-01-01T",
            "2024-01-01T25:00:00Z",
            "2024-01-01T10:00:00+2",
            "tomorrow",
            "2024-01-01 10:00:00Z",
            "2024-01-01T10Z",
            "9999-12-32",
            "0000",
            "0000-01",
            "0000-01-01",
            "0000-12-31T23:59:59Z",
            "2024-00",
            "2024-01-00",
            "2024-02-30T10:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T24:00Z",
            "9999-12-31T24:00:00Z",
            "2024-01-01T10:60:00Z",
            "2024-01-01T10:00:61Z",
            "9999-12-31T10:00:61Z",
            "2024-01-01T10:00:00+14:01",
            "2024-01-01T10:00:00-15:00",
            "2024-01-01T10:00:00+23:00",
            "2024-01-01T10:00:00+01:60",
            "9999-12-31T10:00:00+99:99",
            "2024-01-01T10:00:00Z+01:00",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00,5Z",
            "2024-01-01t10:00:00z",
            "2024-W01",
            "2024-001",
            "20240101",
            "-2024",
            "+2024",
            "12024",
            "9999-12-31T25:00:00Z",
            "２０２４",
        ] {
            assert!(matches!(bad.parse::<FhirDate>(), Err(FhirDateError::Malformed(_))), "{bad}");
        }
        assert!(matches!("2024-01-01T10:00:00".parse::<FhirDate>(), Err(FhirDateError::NoTimeZone(_))));
    }
}
