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
    let inner: &[&str] = match datatype {
        Datatype::Quantity | Datatype::Money => return one(object),
        Datatype::Range => &["low", "high"],
        Datatype::SampledData => &["origin"],
        _ => &[],
    };
    for name in inner {
        if let Some(Value::Object(quantity)) = object.get(*name) {
            one(quantity);
        }
    }
}
