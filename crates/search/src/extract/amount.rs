//! Numbers and quantities.

use serde_json::{Map, Number, Value};

use super::{
    Found,
    read::text_of,
    unit::{UCUM, canonical_unit},
};
use crate::{
    Facet, PathId,
    definitions::{Datatype, ParameterKind},
    value,
};

/// The system of a currency (<https://hl7.org/fhir/R4/valueset-currencies.html>).
const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// A number, unless it is beyond all that is compared.
pub(super) fn finite(number: &Number) -> Option<f64> {
    number.as_f64().filter(|number| number.is_finite())
}

/// A quantity, or what consists of quantities. A quantity without a value is none.
pub(super) fn read(object: &Map<String, Value>, path: PathId, kind: ParameterKind, datatype: Datatype, found: &mut Found<'_>) {
    let mut one = |quantity: &Map<String, Value>| {
        let Some(number) = quantity.get("value").and_then(Value::as_number).and_then(finite) else { return };
        if kind == ParameterKind::Number {
            found.push(path, value::number(number).to_vec());
        } else if datatype == Datatype::Money {
            found.push(path, value::quantity(number, Some(CURRENCIES), text_of(quantity, "currency"), None));
        } else {
            let (system, code) = (text_of(quantity, "system"), text_of(quantity, "code"));
            found.push(path, value::quantity(number, system, code, text_of(quantity, "unit")));
            if let (Some(UCUM), Some(code)) = (system, code)
                && let Some((number, unit)) = canonical_unit(number, code)
            {
                found.push(path.with(Facet::Canonical), value::canonical_quantity(number, &unit));
            }
        }
    };
    match datatype {
        Datatype::Quantity | Datatype::Money => one(object),
        Datatype::SampledData => {
            if let Some(Value::Object(origin)) = object.get("origin") {
                one(origin);
            }
        }
        Datatype::Range => range(object, path, kind, found),
        _ => {}
    }
}

/// A Range, in the unit in which it is written, and in the canonical one if both ends have the same. One that is a single number is a
/// quantity.
fn range(object: &Map<String, Value>, path: PathId, kind: ParameterKind, found: &mut Found<'_>) {
    let end = |name: &str| {
        let mut inner = Found::new(found.bases);
        if let Some(Value::Object(quantity)) = object.get(name) {
            read(quantity, path, kind, Datatype::Quantity, &mut inner);
        }
        let of = |facet| inner.values.iter().find(|own| own.path.facet() == facet).map(|own| own.value.clone());
        (of(Facet::Value), of(Facet::Canonical))
    };
    let ((low, canonical_low), (high, canonical_high)) = (end("low"), end("high"));
    if low.is_none() && high.is_none() {
        return;
    }
    if let (Some(low), Some(high)) = (&low, &high)
        && low.first_chunk::<8>() == high.first_chunk::<8>()
    {
        if let Some(Value::Object(quantity)) = object.get("low") {
            read(quantity, path, kind, Datatype::Quantity, found);
        }
        return;
    }
    let is_converted = canonical_low.is_some() == low.is_some() && canonical_high.is_some() == high.is_some();
    let unit = |end: &Option<Vec<u8>>| end.as_ref().and_then(|end| end.get(8..).map(<[u8]>::to_vec));
    let is_of_one_unit = canonical_low.is_none() || canonical_high.is_none() || unit(&canonical_low) == unit(&canonical_high);
    let path = path.with(Facet::Identifier);
    found.push(path, value::range(value::RANGE_WRITTEN, low.as_deref(), high.as_deref()));
    if is_converted && is_of_one_unit {
        found.push(path, value::range(value::RANGE_CANONICAL, canonical_low.as_deref(), canonical_high.as_deref()));
    }
}
