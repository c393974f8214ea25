//! How many bytes a JSON value has when it is written, and how deep it is, found without writing it.

use serde_json::Value;

/// How large a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measures {
    /// Bytes as compact JSON.
    pub(super) bytes: usize,
    /// Objects and arrays within each other.
    pub(super) depth: usize,
    /// Values within, itself included.
    pub(super) values: usize,
}

/// A value that is on its way into a resource.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) value: Value,
    pub(super) measures: Measures,
}

impl Measures {
    /// What it costs to copy or drop the value, as work: much more than its bytes if it is many small values.
    pub(super) fn work(self) -> usize {
        self.values.saturating_mul(64).saturating_add(self.bytes)
    }

    fn with(self, more_bytes: usize, inner: Self) -> Self {
        Self { bytes: self.bytes + more_bytes + inner.bytes, depth: self.depth.max(1 + inner.depth), values: self.values + inner.values }
    }
}

/// `None` if the value is nested more than `levels` deep.
///
/// Does not follow the value deeper than that, so that no value can exhaust the stack.
pub(super) fn measure(value: &Value, levels: usize) -> Option<Measures> {
    let scalar = |bytes| Some(Measures { bytes, depth: 0, values: 1 });
    let container = |entries| Measures { bytes: 2 + commas(entries), depth: 1, values: 1 };
    match value {
        Value::Null | Value::Bool(true) => scalar(4),
        Value::Bool(false) => scalar(5),
        Value::Number(number) => scalar(number.as_str().len()),
        Value::String(text) => scalar(bytes_of_text(text)),
        Value::Array(items) => {
            let levels = levels.checked_sub(1)?;
            items.iter().try_fold(container(items.len()), |sum, item| Some(sum.with(0, measure(item, levels)?)))
        }
        Value::Object(members) => {
            let levels = levels.checked_sub(1)?;
            let add = |sum: Measures, (name, member): (&String, &Value)| Some(sum.with(bytes_of_name(name), measure(member, levels)?));
            members.iter().try_fold(container(members.len()), add)
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
        for (value, depth, values) in [
            (json!(null), 0, 1),
            (json!(true), 0, 1),
            (json!(false), 0, 1),
            (number, 0, 1),
            (json!("a\"\\\n\u{1}é\u{7f}"), 0, 1),
            (json!([]), 1, 1),
            (json!({}), 1, 1),
            (nested, 4, 8),
        ] {
            assert_eq!(measure(&value, 4), Some(Measures { bytes: value.to_string().len(), depth, values }), "{value}");
        }
    }

    #[test]
    fn what_is_too_deep_is_not_followed() {
        assert_eq!(measure(&json!([[1]]), 2).map(|measures| measures.depth), Some(2));
        assert_eq!(measure(&json!([[1]]), 1), None);
        assert_eq!(measure(&json!({"a": []}), 1), None);
    }
}
