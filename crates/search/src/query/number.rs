//! Numbers: ranges of them, as cuts between floats.
//!
//! `eq` and `ne` compare with the precision of what is written, the other prefixes with exactly that number. `ap` is a tenth to both
//! sides, or the precision where that is wider.

use super::{decimal::Decimal, error::Fault, extent::Extent, prefix::Prefix};
use crate::{Facet, ValueCheck, value};

/// A place between two floats: just before or just after one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cut {
    Before(f64),
    After(f64),
}

impl Cut {
    /// The first 8 bytes of what comes behind it.
    pub fn bytes(self) -> [u8; 8] {
        match self {
            Self::Before(at) => value::number(at),
            // OK because the largest of these bytes belongs to no number.
            Self::After(at) => u64::from_be_bytes(value::number(at)).saturating_add(1).to_be_bytes(),
        }
    }
}

/// From one cut to another; `None` is without end.
pub(super) type NumberRange = (Option<Cut>, Option<Cut>);

/// What is asked of numbers, and of a Range of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Asked {
    /// A number lies here.
    Point(NumberRange),
    /// The lower end of a Range lies in the first, its upper end in the second.
    Ends(NumberRange, NumberRange),
}

impl Asked {
    /// With each cut moved; `None` if one cannot be.
    pub fn moved(self, cut: impl Fn(Cut) -> Option<Cut>) -> Option<Self> {
        let end = |end: Option<Cut>| match end {
            Some(at) => cut(at).map(Some),
            None => Some(None),
        };
        let moved = |(low, high): NumberRange| Some((end(low)?, end(high)?));
        Some(match self {
            Self::Point(range) => Self::Point(moved(range)?),
            Self::Ends(low, high) => Self::Ends(moved(low)?, moved(high)?),
        })
    }

    /// Where the unit begins in what it is asked of.
    pub fn unit_at(self) -> usize {
        match self {
            Self::Point(_) => 8,
            Self::Ends(..) => value::RANGE_HIGH_AT + 8,
        }
    }

    /// The values that it admits: of a Range, of those that begin with `first`.
    pub fn extent(self, first: u8) -> Extent {
        let (low, high) = match self {
            Self::Point(range) => return extent(range),
            Self::Ends(low, high) => (low, high),
        };
        let mut ranges = Extent::prefix(vec![first]).of(Facet::Identifier);
        for (at, (from, to)) in [(value::RANGE_LOW_AT, low), (value::RANGE_HIGH_AT, high)] {
            if let Some(from) = from {
                ranges = ranges.and(ValueCheck::NotLessAt { at, bytes: from.bytes().to_vec() });
            }
            if let Some(to) = to {
                ranges = ranges.and(ValueCheck::LessAt { at, bytes: to.bytes().to_vec() });
            }
        }
        ranges
    }
}

/// What `text` asks of numbers; with `has_ranges`, also of Ranges.
pub(super) fn asked(text: &str, has_ranges: bool) -> Result<Vec<Asked>, Fault> {
    let points = ranges(text)?.into_iter().map(Asked::Point);
    Ok(if has_ranges { points.chain(ends(text)?).collect() } else { points.collect() })
}

/// What `text` asks of a Range (<https://hl7.org/fhir/R4/search.html#prefix>): the search value's precision must contain all of it to be
/// equal; to be greater, some of it must lie above.
fn ends(text: &str) -> Result<Vec<Asked>, Fault> {
    const ANY: NumberRange = (None, None);
    let (prefix, _) = Prefix::of(text)?;
    let lines = ranges(text)?;
    let from = |cut: Option<Cut>| (cut, None);
    let to = |cut: Option<Cut>| (None, cut);
    // An end may lie on the border where a number must lie before it.
    let closed = |cut: Option<Cut>| match cut {
        Some(Cut::Before(at)) => Some(Cut::After(at)),
        other => other,
    };
    Ok(match (prefix, lines.as_slice()) {
        (Prefix::NotEqual, [(_, below), (above, _)]) => {
            vec![Asked::Ends(to(*below), ANY), Asked::Ends(ANY, from(closed(*above)))]
        }
        (Prefix::Equal, [(low, high)]) => vec![Asked::Ends(from(*low), to(closed(*high)))],
        (Prefix::Approximately, [(low, high)]) => vec![Asked::Ends(to(*high), from(*low))],
        (Prefix::Greater | Prefix::GreaterOrEqual, [(low, _)]) => vec![Asked::Ends(ANY, from(*low))],
        (Prefix::Less | Prefix::LessOrEqual, [(_, high)]) => vec![Asked::Ends(to(*high), ANY)],
        (Prefix::StartsAfter, [(low, _)]) => vec![Asked::Ends(from(*low), ANY)],
        (Prefix::EndsBefore, [(_, high)]) => vec![Asked::Ends(ANY, to(*high))],
        // OK because there is one line for each prefix but `ne`, which has two.
        _ => Vec::new(),
    })
}

/// What `text` asks of a number.
fn ranges(text: &str) -> Result<Vec<NumberRange>, Fault> {
    let (prefix, digits) = Prefix::of(text)?;
    let decimal = Decimal::parse(digits).ok_or_else(|| {
        Fault::value(text, "a number such as 5.4, -2 or 1.2e3 is expected, with a prefix (eq, ne, gt, lt, ge, le, sa, eb, ap) or none")
    })?;
    let exact = decimal.value();
    let (low, high) = decimal.implied_range();
    // With as many figures as a float tells apart, half a unit of the last is nothing: the number itself is always in its own range.
    let end = if high > exact { Cut::Before(high) } else { Cut::After(exact) };
    let tenth = exact.abs() / 10.0;
    Ok(match prefix {
        Prefix::Equal => vec![(Some(Cut::Before(low)), Some(end))],
        Prefix::NotEqual => vec![(None, Some(Cut::Before(low))), (Some(end), None)],
        Prefix::Greater | Prefix::StartsAfter => vec![(Some(Cut::After(exact)), None)],
        Prefix::Less | Prefix::EndsBefore => vec![(None, Some(Cut::Before(exact)))],
        Prefix::GreaterOrEqual => vec![(Some(Cut::Before(exact)), None)],
        Prefix::LessOrEqual => vec![(None, Some(Cut::After(exact)))],
        Prefix::Approximately => vec![(Some(Cut::Before(low.min(exact - tenth))), Some(Cut::After(high.max(exact + tenth))))],
    })
}

/// The values in `range`.
fn extent((low, high): NumberRange) -> Extent {
    let low = low.map(|cut| cut.bytes().to_vec()).unwrap_or_default();
    match high {
        Some(high) => Extent::between(low, high.bytes().to_vec()),
        None => Extent::from(low),
    }
}

/// What `text` asks of a number's index values; with `has_ranges`, also of those of Ranges.
pub(super) fn extents(text: &str, has_ranges: bool) -> Result<Vec<Extent>, Fault> {
    Ok(asked(text, has_ranges)?.into_iter().map(|asked| asked.extent(value::RANGE_WRITTEN)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PathId;

    #[test]
    fn prefixes_draw_their_lines() {
        // Which of 99.4, 99.5, 100, 100.4, 100.5, 120 are found.
        let cases = [
            ("100", [false, true, true, true, false, false]),
            ("eq100", [false, true, true, true, false, false]),
            ("ne100", [true, false, false, false, true, true]),
            ("gt100", [false, false, false, true, true, true]),
            ("lt100", [true, true, false, false, false, false]),
            ("ge100", [false, false, true, true, true, true]),
            ("le100", [true, true, true, false, false, false]),
            ("sa100", [false, false, false, true, true, true]),
            ("eb100", [true, true, false, false, false, false]),
            ("ap100", [true, true, true, true, true, false]),
            ("ap1.2e2", [false, false, false, false, false, true]),
        ];
        for (text, expected) in cases {
            let spans: Vec<_> = extents(text, false).unwrap().iter().map(|extent| extent.on(PathId(4))).collect();
            let found = [99.4, 99.5, 100.0, 100.4, 100.5, 120.0].map(|number| spans.iter().any(|span| span.admits(&value::number(number))));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_number_of_seventeen_figures_is_found_by_itself() {
        let spans = |text| extents(text, false).unwrap().iter().map(|extent| extent.on(PathId(4))).collect::<Vec<_>>();
        let stored = value::number(0.1 + 0.2);
        assert!(spans("0.30000000000000004").iter().any(|span| span.admits(&stored)));
        assert!(!spans("ne0.30000000000000004").iter().any(|span| span.admits(&stored)));
        assert!(!spans("0.30000000000000004").iter().any(|span| span.admits(&value::number(0.3))));
    }

    #[test]
    fn what_is_no_number_is_refused_with_an_example() {
        for bad in ["", "abc", "1,5", "gt", "5.4|x"] {
            let fault = extents(bad, false).unwrap_err();
            assert!(fault.text.contains("number"), "{bad}: {}", fault.text);
        }
    }

    fn written(hundredths: i64, places: usize) -> String {
        let sign = if hundredths < 0 { "-" } else { "" };
        let scale = 10_i64.pow(places as u32);
        let (whole, fraction) = (hundredths.abs() / scale, hundredths.abs() % scale);
        if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0places$}") }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn ranges_agree_with_the_rules_as_they_are_written(figures in -300_i64..300, places in 0_usize..3, steps in -70_i64..70) {
            let text = written(figures, places);
            // In ten-thousandths, so that nothing is rounded: a unit of the last figure, the number, and a value near it.
            let unit = 10_i64.pow(4 - places as u32);
            let exact = figures * unit;
            let stored = exact + steps * unit / 20;
            let value = value::number(format!("{stored}e-4").parse().unwrap());
            let is_equal = exact - unit / 2 <= stored && stored < exact + unit / 2;
            for (name, prefix) in Prefix::ALL {
                let expected = match prefix {
                    Prefix::Equal => is_equal,
                    Prefix::NotEqual => !is_equal,
                    Prefix::Greater | Prefix::StartsAfter => stored > exact,
                    Prefix::Less | Prefix::EndsBefore => stored < exact,
                    Prefix::GreaterOrEqual => stored >= exact,
                    Prefix::LessOrEqual => stored <= exact,
                    Prefix::Approximately => {
                        let tenths = ((stored - exact) * 10).abs();
                        // Floats cannot tell a tenth to the last digit.
                        if tenths == exact.abs() {
                            continue;
                        }
                        tenths < exact.abs() || (stored - exact).abs() <= unit / 2
                    }
                };
                let found = extents(&format!("{name}{text}"), false).unwrap().iter().any(|extent| extent.on(PathId(4)).admits(&value));
                prop_assert_eq!(found, expected, "{}{} {}e-4", name, text, stored);
            }
        }
    }
}
