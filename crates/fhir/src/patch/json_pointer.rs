//! JSON Pointer (<https://www.rfc-editor.org/rfc/rfc6901>), and the physical places it leads to.

use serde_json::Value;

use super::PatchError;

/// One step into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the member of an object.
    Member(String),
    /// Into the item of an array.
    Item(usize),
}

/// A JSON Pointer: names and indexes, not yet told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPointer(Vec<String>);

/// Where a pointer's last token points, in a container that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The whole document.
    Whole,
    /// A member, be it there or not, of the object at these steps.
    Member(Vec<Step>, String),
    /// An item, at most one behind the last, of the array at these steps.
    Item(Vec<Step>, usize),
}

impl JsonPointer {
    pub(super) fn parse(text: &str) -> Result<Self, PatchError> {
        PatchError::check_path(text)?;
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PatchError::malformed("a JSON Pointer begins with '/'", "write it like '/name/0/family'"));
        };
        rest.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `other` leads to something inside of what this leads to.
    pub(super) fn is_above(&self, other: &Self) -> bool {
        self.0.len() < other.0.len() && other.0.starts_with(&self.0)
    }

    /// Finds the container in the document, and what the last token means there.
    pub(super) fn find(&self, document: &Value) -> Result<Target, PatchError> {
        let Some((last, above)) = self.0.split_last() else {
            return Ok(Target::Whole);
        };
        let mut steps = Vec::with_capacity(above.len());
        let mut value = document;
        for token in above {
            match value {
                Value::Object(members) => {
                    value = members.get(token).ok_or_else(|| no_member(&steps, token))?;
                    steps.push(Step::Member(token.clone()));
                }
                Value::Array(items) => {
                    let index = index_in(items.len(), token, &steps)?;
                    value = items.get(index).ok_or_else(|| no_item(&steps, token, items.len()))?;
                    steps.push(Step::Item(index));
                }
                _ => return Err(no_container(&steps)),
            }
        }
        match value {
            Value::Object(_) => Ok(Target::Member(steps, last.clone())),
            Value::Array(items) => {
                let index = index_in(items.len(), last, &steps)?;
                Ok(Target::Item(steps, index))
            }
            _ => Err(no_container(&steps)),
        }
    }
}

/// The steps as a JSON Pointer, to be read by people.
pub(super) fn shown(steps: &[Step]) -> String {
    let text = steps.iter().fold(String::new(), |text, step| match step {
        Step::Member(name) => text + "/" + &name.replace('~', "~0").replace('/', "~1"),
        Step::Item(index) => format!("{text}/{index}"),
    });
    super::error::cut(&text)
}

pub(super) fn no_member(steps: &[Step], name: &str) -> PatchError {
    PatchError::does_not_apply(
        format!("'{}' has no member '{}'", shown(steps), super::error::cut(name)),
        "read the resource again and point to what is there; what is missing on the way must be added first",
    )
}

pub(super) fn no_item(steps: &[Step], token: &str, count: usize) -> PatchError {
    PatchError::does_not_apply(
        format!("'{}' has {count} items, and none at index {}", shown(steps), super::error::cut(token)),
        "indexes are counted from 0; '-' is the place behind the last, to add there",
    )
}

fn no_container(steps: &[Step]) -> PatchError {
    PatchError::does_not_apply(
        format!("'{}' is neither an object nor an array", shown(steps)),
        "let the path end there, or point into an object or array",
    )
}

/// The index that a token stands for in an array with `count` items; `count` itself is the place behind the last.
fn index_in(count: usize, token: &str, steps: &[Step]) -> Result<usize, PatchError> {
    if token == "-" {
        return Ok(count);
    }
    let is_index = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    if !is_index {
        return Err(PatchError::does_not_apply(
            format!("'{}' is an array, and '{}' is no index", shown(steps), super::error::cut(token)),
            "an index is written in digits, without leading zeros, counted from 0; '-' is the place behind the last",
        ));
    }
    token.parse().ok().filter(|index| *index <= count).ok_or_else(|| no_item(steps, token, count))
}

fn unescape(token: &str) -> Result<String, PatchError> {
    let mut parts = token.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => return Err(PatchError::malformed("in a JSON Pointer '~' is followed by 0 or 1", "write '~0' for '~' and '~1' for '/'")),
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(pointer: &str) -> Result<Target, String> {
        let document = json!({"a": [{"b/c~": 1}, 2], "": {"": 3}, "é": {}});
        JsonPointer::parse(pointer).and_then(|pointer| pointer.find(&document)).map_err(|error| error.to_string())
    }

    #[test]
    fn pointers_lead_to_members_and_items() {
        let a = Step::Member("a".to_owned());
        assert_eq!(target(""), Ok(Target::Whole));
        assert_eq!(target("/x"), Ok(Target::Member(vec![], "x".to_owned())));
        assert_eq!(target("/a/0/b~1c~0"), Ok(Target::Member(vec![a.clone(), Step::Item(0)], "b/c~".to_owned())));
        assert_eq!(target("/a/0/~01"), Ok(Target::Member(vec![a.clone(), Step::Item(0)], "~1".to_owned())));
        assert_eq!(target("/a/2"), Ok(Target::Item(vec![a.clone()], 2)));
        assert_eq!(target("/a/-"), Ok(Target::Item(vec![a], 2)));
        assert_eq!(target("//"), Ok(Target::Member(vec![Step::Member(String::new())], String::new())));
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        let huge = format!("/a/{}", "9".repeat(400));
        let cases = [
            ("a", "begins with '/'"),
            ("/a~", "'~' is followed by 0 or 1"),
            ("/a~2", "'~' is followed by 0 or 1"),
            ("/x/y", "'' has no member 'x'"),
            ("/a/3", "'/a' has 2 items, and none at index 3"),
            ("/a/2/x", "none at index 2"),
            ("/a/-/x", "none at index -"),
            ("/a/01", "'01' is no index"),
            ("/a/+1", "'+1' is no index"),
            ("/a/", "'' is no index"),
            ("/a/1/x", "'/a/1' is neither an object nor an array"),
            (&huge, "none at index 999"),
        ];
        for (pointer, expected) in cases {
            let message = target(pointer).unwrap_err();
            assert!(message.contains(expected), "{pointer}: {message}");
        }
        assert!(target(&"/".repeat(1_001)).unwrap_err().contains("1001 characters"));
    }
}
