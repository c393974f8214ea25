//! How many bytes a JSON value has when it is written, and how deep it is, found without writing it.

use serde_json::Value;

/// A value that is on its way into a resource, with its measures.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) value: Value,
    /// Bytes as compact JSON.
    pub(super) bytes: usize,
    /// Objects and arrays within each other.
    pub(super) depth: usize,
}

/// Bytes and depth; `None` if the value is nested more than `levels` deep.
///
/// Does not follow the value deeper than that, so that no value can exhaust the stack.
pub(super) fn measure(value: &Value, levels: usize) -> Option<(usize, usize)> {
    match value {
        Value::Null | Value::Bool(true) => Some((4, 0)),
        Value::Bool(false) => Some((5, 0)),
        Value::Number(number) => Some((number.as_str().len(), 0)),
        Value::String(text) => Some((bytes_of_text(text), 0)),
        Value::Array(items) => {
            let levels = levels.checked_sub(1)?;
            items.iter().try_fold((2 + commas(items.len()), 1), |(bytes, depth), item| {
                let (more, below) = measure(item, levels)?;
                Some((bytes + more, depth.max(1 + below)))
            })
        }
        Value::Object(members) => {
            let levels = levels.checked_sub(1)?;
            members.iter().try_fold((2 + commas(members.len()), 1), |(bytes, depth), (name, member)| {
                let (more, below) = measure(member, levels)?;
                Some((bytes + bytes_of_name(name) + more, depth.max(1 + below)))
            })
        }
    }
}

/// Bytes of a member's name as it stands before its value, with quotes and colon.
pub(super) fn bytes_of_name(name: &str) -> usize {
    bytes_of_text(name) + 1
}

/// Commas between so many entries.
pub(super) fn commas(entries: usize) -> usize {
    entries.saturating_sub(1)
}

fn bytes_of_text(text: &str) -> usize {
    let bytes = |byte| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_counts_what_would_be_written() {
        let number = serde_json::from_str("-1.50e3").unwrap();
        let nested = json!([1, [2, {"a": {}, "b\t": [3]}]]);
        for (value, depth) in [
            (json!(null), 0),
            (json!(true), 0),
            (json!(false), 0),
            (number, 0),
            (json!("a\"\\\n\u{1}é\u{7f}"), 0),
            (json!([]), 1),
            (json!({}), 1),
            (nested, 4),
        ] {
            assert_eq!(measure(&value, 4), Some((value.to_string().len(), depth)), "{value}");
        }
    }

    #[test]
    fn what_is_too_deep_is_not_followed() {
        assert_eq!(measure(&json!([[1]]), 2), Some((5, 2)));
        assert_eq!(measure(&json!([[1]]), 1), None);
        assert_eq!(measure(&json!({"a": []}), 1), None);
    }
}
