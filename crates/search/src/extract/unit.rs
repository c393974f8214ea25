//! Quantities in the canonical unit of their dimension (UCUM, <https://ucum.org/ucum>), so that 1 g is found as 1000 mg.

use octofhir_ucum::{Dimension, EvalResult, Number, SpecialKind, evaluate, parse_expression};

/// The system of UCUM's units.
pub(super) const UCUM: &str = "http://unitsofmeasure.org";

/// Bytes of a unit; what is longer is no unit that anybody measures in.
const UNIT_BYTES_MAX: usize = 60;

/// `value` of a UCUM unit in base units, and these as text: 5 `mg` are 0.005 `g`, 37 `Cel` are 310.15 `K`.
///
/// `None` for what is not UCUM, and for units that no factor leads to base units (pH, decibel).
#[must_use]
pub fn canonical_unit(value: f64, code: &str) -> Option<(f64, String)> {
    if code.len() > UNIT_BYTES_MAX {
        return None;
    }
    let unit = evaluate(&parse_expression(code).ok()?).ok()?;
    let mut number = Number::from_f64(value)?;
    if let Some(special) = unit.special {
        number = number.checked_mul(special.scale)?.checked_add(zero_point(special.unit.special)?)?;
    }
    let number = number.checked_mul(unit.factor)?.to_f64();
    number.is_finite().then(|| (number, base_units(&unit)))
}

/// What a temperature scale is shifted by, in its own degrees (UCUM §42).
fn zero_point(kind: SpecialKind) -> Option<Number> {
    Number::parse(match kind {
        SpecialKind::Celsius => "273.15",
        SpecialKind::Fahrenheit => "459.67",
        SpecialKind::Reaumur => "218.52",
        _ => return None,
    })
}

fn base_units(unit: &EvalResult) -> String {
    let base = Dimension::BASE_UNITS.iter().zip(unit.dim.0).map(|(code, exponent)| (*code, exponent));
    let arbitrary = unit.arbitrary.iter().map(|(code, exponent)| (*code, *exponent));
    let mut text = String::new();
    for (code, exponent) in
        base.map(|(code, exponent)| (code, i64::from(exponent))).chain(arbitrary.map(|(code, exponent)| (code, i64::from(exponent))))
    {
        if exponent != 0 {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(code);
            if exponent != 1 {
                text.push_str(&exponent.to_string());
            }
        }
    }
    if text.is_empty() { "1".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_dimension_meet_in_one_unit() {
        let cases = [
            (5.0, "mg", 0.005, "g"),
            (5_000.0, "ug", 0.005, "g"),
            (1.0, "g", 1.0, "g"),
            (37.0, "Cel", 310.15, "K"),
            (98.6, "[degF]", 310.15, "K"),
            (120.0, "mm[Hg]", 15_998_640.0, "m-1.s-2.g"),
            (4.5, "10*9/L", 4.5e12, "m-3"),
            (12.0, "{beats}/min", 0.2, "s-1"),
            (7.0, "[IU]/mL", 7e6, "m-3.[iU]"),
            (50.0, "%", 0.5, "1"),
        ];
        for (value, code, expected, unit) in cases {
            assert_eq!(canonical_unit(value, code), Some((expected, unit.to_owned())), "{value} {code}");
        }
    }

    #[test]
    fn what_has_no_canonical_unit_has_none() {
        let nested = format!("{}m{}", "(".repeat(29), ")".repeat(29));
        assert_eq!(canonical_unit(1.0, &nested), Some((1.0, "m".to_owned())), "the control");
        let long = "m".repeat(61);
        for code in ["", " ", "[pH]", "dB", "mgs", "m m", "m//", "10*2000000000", "((((", "{", "m-99999999999", "é", "\0", &long] {
            assert_eq!(canonical_unit(1.0, code), None, "{code}");
        }
        assert_eq!(canonical_unit(f64::NAN, "m"), None);
    }
}
