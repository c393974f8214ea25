//! Quantities: a number, alone or with a unit (<https://hl7.org/fhir/R4/search.html#quantity>).
//!
//! | written | looked for |
//! |---|---|
//! | `5.4` | the number in any unit |
//! | `5.4\|system\|code` | that unit; of UCUM, any unit of the same dimension, converted |
//! | `5.4\|system\|` | any unit of that system |
//! | `5.4\|\|mg` | `mg` as code or as unit, in any system |

use super::{
    error::Fault,
    extent::Extent,
    known::canonical_unit,
    number::{self, Asked, Cut},
    values::{split, unescape},
};
use crate::{
    Facet, ValueCheck,
    value::{self, SYSTEM_BYTES},
};

const UCUM: &str = "http://unitsofmeasure.org";

/// Conversion rounds: numbers that differ by less than this part of themselves are equal in a canonical unit.
const CONVERSION_ROUNDING: f64 = 1e-12;

/// What `text` asks of a quantity's index values; with `has_ranges`, also of those of Ranges.
pub(super) fn extents(text: &str, has_ranges: bool) -> Result<Vec<Extent>, Fault> {
    let parts: Vec<String> = split(text, '|').into_iter().map(unescape).collect();
    let expected = "write number|system|code (5.4|http://unitsofmeasure.org|mg), number||code (5.4||mg), or the number alone";
    let (ranges, unit) = match parts.as_slice() {
        [number] => (number::asked(number, has_ranges)?, None),
        [number, system, code] if !(system.is_empty() && code.is_empty()) => (number::asked(number, has_ranges)?, Some((system, code))),
        _ => return Err(Fault::value(text, expected)),
    };
    Ok(ranges.into_iter().flat_map(|range| in_unit(range, unit.map(|(system, code)| (system.as_str(), code.as_str())))).collect())
}

fn in_unit(asked: Asked, unit: Option<(&str, &str)>) -> Vec<Extent> {
    let (plain, unit_at) = (asked.extent(value::RANGE_WRITTEN), asked.unit_at());
    match unit {
        None => vec![plain],
        Some(("", code)) => {
            let code = value::token_code(code);
            let as_unit = [&[0], code.as_slice()].concat();
            let as_code = plain.clone().and(ValueCheck::HasAt { at: unit_at + SYSTEM_BYTES, bytes: code });
            vec![as_code, plain.and(ValueCheck::EndsWith(as_unit))]
        }
        Some((system, "")) => vec![plain.and(ValueCheck::HasAt { at: unit_at, bytes: value::system_hash(system).to_vec() })],
        Some((UCUM, code)) if let Some(extent) = canonical(asked, code) => vec![extent],
        Some((system, code)) => {
            let bytes = [&value::system_hash(system)[..], &value::token_code(code)].concat();
            vec![plain.and(ValueCheck::HasAt { at: unit_at, bytes })]
        }
    }
}

/// The same in the canonical unit of its dimension; `None` for a unit that cannot be converted, which is then found as it is written.
fn canonical(asked: Asked, code: &str) -> Option<Extent> {
    let (_, unit) = canonical_unit(1.0, code)?;
    let extent = asked.moved(|cut| converted(cut, code))?.extent(value::RANGE_CANONICAL);
    let extent = if extent.facet == Facet::Value { extent.of(Facet::Canonical) } else { extent };
    Some(extent.and(ValueCheck::HasAt { at: asked.unit_at(), bytes: value::token_code(&unit) }))
}

fn converted(cut: Cut, code: &str) -> Option<Cut> {
    let convert = |number| canonical_unit(number, code).map(|(number, _)| (number, number.abs() * CONVERSION_ROUNDING));
    Some(match cut {
        Cut::Before(number) => convert(number).map(|(number, rounding)| Cut::Before(number - rounding))?,
        Cut::After(number) => convert(number).map(|(number, rounding)| Cut::After(number + rounding))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IndexValue, IndexValues, PathId};

    const PATH: PathId = PathId::new(7, Facet::Value);

    fn stored(number: f64, system: Option<&str>, code: Option<&str>, unit: Option<&str>) -> IndexValues {
        let mut values = vec![IndexValue { path: PATH, value: value::quantity(number, system, code, unit) }];
        if let (Some(UCUM), Some((number, unit))) = (system, code.and_then(|code| canonical_unit(number, code))) {
            values.push(IndexValue { path: PATH.with(Facet::Canonical), value: value::canonical_quantity(number, &unit) });
        }
        IndexValues::of(values)
    }

    #[test]
    fn units_are_compared_converted_or_taken_as_written() {
        let milligrams = stored(5.4, Some(UCUM), Some("mg"), Some("milligram"));
        let grams = stored(0.0054, Some(UCUM), Some("g"), None);
        let litres = stored(5.4, Some(UCUM), Some("L"), None);
        let bare = stored(5.4, None, None, Some("mg"));
        let other = stored(5.4, Some("http://else.org"), Some("mg"), None);
        // milligrams, grams, litres, bare, other
        let cases = [
            ("5.4", [true, false, true, true, true]),
            ("5.4|http://unitsofmeasure.org|mg", [true, true, false, false, false]),
            ("le5.4|http://unitsofmeasure.org|mg", [true, true, false, false, false]),
            ("ge5.4|http://unitsofmeasure.org|mg", [true, true, false, false, false]),
            ("gt5.4|http://unitsofmeasure.org|mg", [false, false, false, false, false]),
            ("lt5.4|http://unitsofmeasure.org|mg", [false, false, false, false, false]),
            ("5.4||mg", [true, false, false, true, true]),
            ("5.4||milligram", [true, false, false, false, false]),
            ("5.4||milli", [false, false, false, false, false]),
            ("5.4|http://else.org|mg", [false, false, false, false, true]),
            ("5.4|http://unitsofmeasure.org|", [true, false, true, false, false]),
            ("ne5.4|http://unitsofmeasure.org|mg", [false, false, false, false, false]),
            ("ne5.4", [false, true, false, false, false]),
        ];
        for (text, expected) in cases {
            let spans: Vec<_> = extents(text, true).unwrap().iter().map(|extent| extent.on(PATH)).collect();
            let found = [&milligrams, &grams, &litres, &bare, &other].map(|values| values.iter().has_any_of(&spans));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn half_a_unit_is_refused_with_the_right_form() {
        for bad in ["5.4|mg", "5.4||", "5.4|a|b|c", "|a|b", "x||mg"] {
            assert!(extents(bad, true).is_err(), "{bad}");
        }
    }
}
