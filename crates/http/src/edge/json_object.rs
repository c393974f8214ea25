//! A body that must be one JSON object. Taken apart by hand rather than derived: a derived reader also takes lists for objects, and null
//! for what is absent.

use lethe_fhir::parse_json;
use serde_json::{Map, Value};

/// The members of the one object that `json` is.
///
/// # Errors
/// What is wrong, in words for the client: no JSON, no object, or a name that stands twice in any object, of which one would be lost.
pub fn json_object(json: &[u8]) -> Result<Map<String, Value>, String> {
    match parse_json(json) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("the body is not a JSON object: it must be one, from '{' to '}'".to_owned()),
        Err(error) => Err(not_json(&error)),
    }
}

/// Where the body stops being JSON.
pub fn not_json(error: &serde_json::Error) -> String {
    if error.is_data() {
        // Our own words: a name that stands twice.
        return format!("{}: give it once", error.to_string().chars().take(200).collect::<String>());
    }
    format!("the body is not valid JSON: see line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_read_with_all_it_holds() {
        let members = json_object(br#" {"a":1.50,"b":[{"a":null},{"a":true}],"c":{"a":"\u00e4"}} "#).unwrap();
        assert_eq!(Value::Object(members).to_string(), r#"{"a":1.50,"b":[{"a":null},{"a":true}],"c":{"a":"ä"}}"#);
    }

    #[test]
    fn everything_else_is_refused_in_words_for_the_client() {
        for (body, expected) in [
            ("", "not valid JSON"),
            ("{", "not valid JSON"),
            ("{} x", "not valid JSON"),
            ("[1,]", "not valid JSON"),
            ("null", "not a JSON object"),
            ("7", "not a JSON object"),
            ("\"a\"", "not a JSON object"),
            ("[{}]", "not a JSON object"),
            (r#"{"a":1,"a":1}"#, "'a' stands twice"),
            (r#"{"a":[{"b":1,"\u0062":2}]}"#, "'b' stands twice"),
        ] {
            let text = json_object(body.as_bytes()).unwrap_err();
            assert!(text.contains(expected) && !text.contains("expected"), "{body}: {text}");
        }
        assert!(json_object(b"{\"a\":\"\xff\"}").unwrap_err().contains("not valid JSON"));
        assert!(json_object("[".repeat(100_000).as_bytes()).is_err(), "without using up the stack");
    }
}
