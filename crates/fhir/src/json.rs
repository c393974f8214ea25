//! JSON as FHIR takes it: a name may stand only once in an object (<https://hl7.org/fhir/R4/json.html>), since nobody could say which was meant.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Reads one JSON document whose objects name no member twice. Numbers keep their digits.
///
/// # Errors
/// It is not JSON, or a member stands twice; the message says where.
pub fn parse_json(json: &[u8]) -> Result<Value, serde_json::Error> {
    check_names(json)?;
    serde_json::from_slice(json)
}

/// The same without the document: whether it is one.
pub(crate) fn check_names(json: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<UniqueNames>(json).map(drop)
}

/// Any JSON whose objects name no member twice; keeps nothing of it.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = UniqueNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueNames, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value::<UniqueNames>()?;
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format!("'{twice}' stands twice in one object")));
            }
        }
        Ok(UniqueNames)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueNames, A::Error> {
        while items.next_element::<UniqueNames>()?.is_some() {}
        Ok(UniqueNames)
    }

    fn visit_unit<E>(self) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueNames, E> {
        Ok(UniqueNames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused_wherever_it_is() {
        for json in [r#"{"a":1,"a":2}"#, r#"{"x":[{"b":{}},{"a":1.50,"b":[],"a":null}]}"#, r#"{"a":1,"\u0061":2}"#] {
            let message = parse_json(json.as_bytes()).unwrap_err().to_string();
            assert!(message.contains("'a' stands twice in one object at line 1"), "{json}: {message}");
        }
    }

    #[test]
    fn everything_else_is_read_as_it_is() {
        let json = r#"{"a":[1.50,-0,1e3,123456789012345678901234567890,true,null,"\u00e4"],"b":{"a":{}}}"#;
        assert_eq!(parse_json(json.as_bytes()).unwrap(), serde_json::from_str::<Value>(json).unwrap());
        assert!(parse_json(b"{").is_err() && parse_json(b"{} {}").is_err());
        assert!(parse_json("[".repeat(100_000).as_bytes()).is_err(), "deep input is refused, not followed");
    }
}
