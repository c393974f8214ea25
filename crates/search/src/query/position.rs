//! `Location.near` (<https://hl7.org/fhir/R4/location.html#positional>): `latitude|longitude|distance|unit`.

use super::{
    decimal::Decimal,
    error::Fault,
    extent::Extent,
    number::Cut,
    values::{split, unescape},
};
use crate::ValueCheck;

/// What is near when no distance is given.
const METRES_DEFAULT: f64 = 50_000.0;
/// A kilometre is FHIR's unit when none is given. UCUM codes first; the rest is what people write.
const UNITS: [(&str, f64); 8] = [
    ("km", 1_000.0),
    ("m", 1.0),
    ("[mi_us]", 1_609.347_2),
    ("[mi_i]", 1_609.344),
    ("[ft_i]", 0.304_8),
    ("[ft_us]", 0.304_800_609_6),
    ("[nmi_i]", 1_852.0),
    ("mi", 1_609.344),
];
/// Metres of one degree of latitude, rounded down, so that the range that is looked through is rather too wide.
const METRES_PER_DEGREE: f64 = 111_000.0;

/// What `text` asks of a position's index values.
pub(super) fn extent(text: &str) -> Result<Extent, Fault> {
    let expected = "write latitude|longitude|distance|unit in degrees, as in 52.52|13.405|10|km; the unit is km if left out, and so is the distance 50 km";
    let parts: Vec<String> = split(text, '|').into_iter().map(unescape).collect();
    let part = |at: usize| parts.get(at).map_or("", String::as_str);
    let degrees = |at: usize, max: f64| {
        Decimal::parse(part(at)).map(Decimal::value).filter(|degrees| degrees.abs() <= max).ok_or_else(|| Fault::value(text, expected))
    };
    let (latitude, longitude) = (degrees(0, 90.0)?, degrees(1, 180.0)?);
    let unit = match part(3) {
        "" => 1_000.0,
        code => UNITS
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, metres)| *metres)
            .ok_or_else(|| Fault::value(text, "the unit is not one of km, m, [mi_us], [mi_i], [ft_i], [ft_us], [nmi_i] and mi"))?,
    };
    let metres_max = match part(2) {
        "" if part(3).is_empty() => METRES_DEFAULT,
        distance => {
            let distance = Decimal::parse(distance).map(Decimal::value).filter(|distance| *distance >= 0.0);
            distance.ok_or_else(|| Fault::value(text, expected))? * unit
        }
    };
    if parts.len() > 4 || !metres_max.is_finite() {
        return Err(Fault::value(text, expected));
    }
    let reach = metres_max / METRES_PER_DEGREE;
    let (south, north) = (Cut::Before(latitude - reach), Cut::After(latitude + reach));
    let near = ValueCheck::Near { latitude, longitude, metres_max };
    Ok(Extent::between(south.bytes().to_vec(), north.bytes().to_vec()).and(near))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PathId, value};

    #[test]
    fn distances_are_read_in_their_unit() {
        // Berlin to Potsdam is about 26 km.
        let potsdam = value::position(52.3906, 13.0645);
        let cases = [
            ("52.52|13.405|30|km", true),
            ("52.52|13.405|20|km", false),
            ("52.52|13.405|30", true),
            ("52.52|13.405|30000|m", true),
            ("52.52|13.405|18|[mi_us]", true),
            ("52.52|13.405|15|[mi_us]", false),
            ("52.52|13.405", true),
            ("51.52|13.405", false),
            ("-52.52|13.405|100", false),
        ];
        for (text, expected) in cases {
            assert_eq!(extent(text).unwrap().on(PathId(4)).admits(&potsdam), expected, "{text}");
        }
    }

    #[test]
    fn places_off_the_globe_and_strange_units_are_refused() {
        for bad in ["", "52.52", "91|0", "0|181", "0|0|x", "0|0|-1", "0|0|1|parsec", "0|0|1|km|x", "0|0||km", "a|b"] {
            assert!(extent(bad).is_err(), "{bad}");
        }
    }
}
