//! Dates: spans of time compared with spans of time (<https://hl7.org/fhir/R4/search.html#date>).
//!
//! With `[l, h)` for the value of the resource and `[p, q)` for that of the query, both half open:
//!
//! | prefix | found if | starts to look through, per class of width `w` | and checks |
//! |---|---|---|---|
//! | `eq` | `p ≤ l` and `h ≤ q` | `p ≤ l < q` | `h ≤ q` |
//! | `ne` | not `eq` | `l < p`; and `p ≤ l` | none; `h > q` |
//! | `gt` | `h > q` | `l > q − w` | `h > q` |
//! | `lt` | `l < p` | `l < p` | |
//! | `ge` | `gt` or `eq`, that is `l ≥ p` or `h > q` | `l ≥ p`; and `q − w < l < p` | none; `h > q` |
//! | `le` | `lt` or `eq`, that is `l < p` or `h ≤ q` | `l < p`; and `p ≤ l < q` | none; `h ≤ q` |
//! | `sa` | `l ≥ q` | `l ≥ q` | |
//! | `eb` | `h ≤ p` | `l < p` | `h ≤ p` |
//! | `ap` | it overlaps `[p, q)` widened | `p − w < l < q` | `h > p` |
//!
//! `ap` widens by a tenth of the query's own width, at least by a day, to both sides. R4 recommends a tenth of the distance to now;
//! that would give another answer on the next page.

use lethe_fhir::{FhirDate, FhirDateError, Instant};

use super::{error::Fault, extent::Extent, prefix::Prefix};
use crate::{
    ValueCheck,
    value::{BEFORE_ALL, DATE_CLASSES, DATE_HIGH_AT, instant},
};

const DAY_MS: i64 = 86_400_000;

/// What `text` asks of a date's index values.
pub(super) fn extents(text: &str) -> Result<Vec<Extent>, Fault> {
    let (prefix, date) = read(text)?;
    Ok(DATE_CLASSES.iter().flat_map(|(class, width_ms)| of_class(prefix, date, *class, *width_ms)).collect())
}

/// The prefix and the span of time. A time without a zone is UTC.
pub(super) fn read(text: &str) -> Result<(Prefix, FhirDate), Fault> {
    let (prefix, written) = Prefix::of(text)?;
    let date = match written.parse() {
        Err(FhirDateError::NoTimeZone(_)) => format!("{written}Z").parse(),
        read => read,
    };
    date.map(|date| (prefix, date)).map_err(|error| {
        if written.contains('T') && written.contains(' ') {
            Fault::value(text, "a '+' in a URL stands for a space: write the offset of the time zone as %2B02:00")
        } else {
            Fault::value(text, error)
        }
    })
}

/// The span of time that `ap` looks for.
pub(super) fn widened(date: FhirDate) -> FhirDate {
    let by_ms = ((date.high.as_unix_ms() - date.low.as_unix_ms()) / 10).max(DAY_MS);
    FhirDate { low: date.low.plus_ms(-by_ms), high: date.high.plus_ms(by_ms) }
}

fn of_class(prefix: Prefix, date: FhirDate, class: u8, width_ms: i64) -> Vec<Extent> {
    let FhirDate { low: p, high: q } = if prefix == Prefix::Approximately { widened(date) } else { date };
    // A value that begins here begins at or after the instant.
    let at = |instant_bytes: [u8; 8]| [&[class], &instant_bytes[..]].concat();
    let begins = at(BEFORE_ALL);
    let after_class = vec![class + 1];
    // The first start of a value of this class that ends after `end`.
    let reaches = |end: Instant| if width_ms == i64::MAX { begins.clone() } else { at(instant(end.plus_ms(1 - width_ms))) };
    let ends_by = |end: Instant| ValueCheck::LessAt { at: DATE_HIGH_AT, bytes: instant(end.plus_ms(1)).to_vec() };
    let ends_after = |end: Instant| ValueCheck::NotLessAt { at: DATE_HIGH_AT, bytes: instant(end.plus_ms(1)).to_vec() };
    let (at_p, at_q) = (at(instant(p)), at(instant(q)));
    let extents = match prefix {
        Prefix::Equal => vec![Extent::between(at_p, at_q).and(ends_by(q))],
        Prefix::NotEqual => vec![Extent::between(begins, at_p.clone()), Extent::between(at_p, after_class).and(ends_after(q))],
        Prefix::Greater => vec![Extent::between(reaches(q), after_class).and(ends_after(q))],
        Prefix::Less => vec![Extent::between(begins, at_p)],
        Prefix::GreaterOrEqual => {
            vec![Extent::between(at_p.clone(), after_class), Extent::between(reaches(q), at_p).and(ends_after(q))]
        }
        Prefix::LessOrEqual => vec![Extent::between(begins, at_p.clone()), Extent::between(at_p, at_q).and(ends_by(q))],
        Prefix::StartsAfter => vec![Extent::between(at_q, after_class)],
        Prefix::EndsBefore => vec![Extent::between(begins, at_p).and(ends_by(p))],
        Prefix::Approximately => vec![Extent::between(reaches(p), at_q).and(ends_after(p))],
    };
    extents.into_iter().filter(|extent| !matches!(&extent.end, crate::SpanEnd::Before(end) if *end <= extent.low)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{PathId, value};

    fn found(text: &str, low: Option<i64>, high: Option<i64>) -> bool {
        let stored = value::date(low.map(Instant::from_unix_ms), high.map(Instant::from_unix_ms));
        extents(text).unwrap().iter().any(|extent| extent.on(PathId(4)).admits(&stored))
    }

    fn span(text: &str) -> (Option<i64>, Option<i64>) {
        let date: FhirDate = text.parse().unwrap();
        (Some(date.low.as_unix_ms()), Some(date.high.as_unix_ms()))
    }

    #[test]
    fn partial_dates_are_compared_as_ranges() {
        // Which prefixes find the value: eq ne gt lt ge le sa eb ap.
        let cases = [
            ("2024-03", "2024-03-15", "eq ge le ap"),
            ("2024-03", "2024-03", "eq ge le ap"),
            ("2024-03-15", "2024-03", "ne gt lt ge le ap"),
            ("2024-03", "2024-04-15", "ne gt ge sa"),
            ("2024-03", "2024-02-15", "ne lt le eb"),
            ("2024-03-31", "2024-04-01", "ne gt ge sa ap"),
            ("2024-03-01T10:00:00Z", "2024-03-01T10:00:00.500Z", "eq ge le ap"),
            ("2024-03-01T10:00", "2024-03-01T10:00:30Z", "eq ge le ap"),
            ("2024", "2019", "ne lt le eb"),
        ];
        for (sent, stored, expected) in cases {
            let (low, high) = span(stored);
            let finding: Vec<&str> =
                Prefix::ALL.iter().map(|(name, _)| *name).filter(|name| found(&format!("{name}{sent}"), low, high)).collect();
            assert_eq!(finding.join(" "), expected, "{sent} {stored}");
        }
        let (day, _) = span("2020-01-01");
        for (text, expected) in [("2024", false), ("gt2024", true), ("ge2024", true), ("lt2024", true), ("sa2019", true), ("eb2024", false)]
        {
            assert_eq!(found(text, day, None), expected, "{text}, of a period without end");
        }
        assert!(found("lt1900", None, day) && !found("sa1900", None, day), "of a period without beginning");
    }

    #[test]
    fn times_need_no_zone_and_wrong_ones_are_explained() {
        assert_eq!(extents("2024-01-01T10:00:00"), extents("2024-01-01T10:00:00Z"));
        for (text, expected) in [
            ("2024-01-01T10:00:00 02:00", "%2B02:00"),
            ("2024-1-1", "YYYY-MM-DD"),
            ("", "YYYY-MM-DD"),
            ("today", "prefixes"),
            ("2024-01-01T10", "YYYY-MM-DD"),
        ] {
            let fault = extents(text).unwrap_err();
            assert!(fault.text.contains(expected), "{text}: {}", fault.text);
        }
    }

    /// R4's rules as they are written, of `[l, h)` and `[p, q)`.
    fn stated(prefix: Prefix, (l, h): (i64, i64), date: FhirDate) -> bool {
        let (p, q) = (date.low.as_unix_ms(), date.high.as_unix_ms());
        let fully_contains = p <= l && h <= q;
        let above_overlaps = h > q;
        let below_overlaps = l < p;
        match prefix {
            Prefix::Equal => fully_contains,
            Prefix::NotEqual => !fully_contains,
            Prefix::Greater => above_overlaps,
            Prefix::Less => below_overlaps,
            Prefix::GreaterOrEqual => above_overlaps || fully_contains,
            Prefix::LessOrEqual => below_overlaps || fully_contains,
            Prefix::StartsAfter => l >= q,
            Prefix::EndsBefore => h <= p,
            Prefix::Approximately => {
                let wide = widened(date);
                l < wide.high.as_unix_ms() && wide.low.as_unix_ms() < h
            }
        }
    }

    fn sent() -> impl Strategy<Value = String> {
        (2018_u32..2022, 1_u32..13, 1_u32..29, 0_u32..24, 0_usize..4).prop_map(|(year, month, day, hour, precision)| match precision {
            0 => format!("{year}"),
            1 => format!("{year}-{month:02}"),
            2 => format!("{year}-{month:02}-{day:02}"),
            _ => format!("{year}-{month:02}-{day:02}T{hour:02}:00:00Z"),
        })
    }

    /// Around the dates sent: bounds that coincide with theirs, and widths of each class.
    fn stored() -> impl Strategy<Value = (Option<i64>, Option<i64>)> {
        let bounds = (sent(), 0_i64..800, prop::sample::select(vec![1, 1_000, DAY_MS - 1, DAY_MS, DAY_MS + 1]));
        let spans = bounds.prop_map(|(text, times, unit_ms)| {
            let low = span(&text).0.unwrap();
            (low, low + (times * unit_ms).max(1))
        });
        prop_oneof![
            4 => sent().prop_map(|text| span(&text)),
            4 => spans.prop_map(|(low, high)| (Some(low), Some(high))),
            1 => sent().prop_map(|text| (span(&text).0, None)),
            1 => sent().prop_map(|text| (None, span(&text).0)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn spans_agree_with_the_rules_as_they_are_written(text in sent(), (low, high) in stored()) {
            let date: FhirDate = text.parse().unwrap();
            for (name, prefix) in Prefix::ALL {
                let expected = stated(prefix, (low.unwrap_or(i64::MIN), high.unwrap_or(i64::MAX)), date);
                prop_assert_eq!(found(&format!("{name}{text}"), low, high), expected, "{} {}", name, text);
            }
        }
    }
}
