//! JSON Patch (<https://www.rfc-editor.org/rfc/rfc6902>) on a resource's JSON.

use serde_json::{Map, Value};

use super::{
    PatchError, PatchErrorKind,
    draft::Draft,
    equality::is_same,
    error::cut,
    json_pointer::{JsonPointer, Step, Target, no_member},
};

/// Applies a JSON Patch, whole or not at all.
///
/// Numbers keep their digits and members their order. `test` compares numbers by value, so `1.50` is `1.5`. `meta` may be replaced or removed
/// as a whole: `versionId` and `lastUpdated` come back as they were.
///
/// # Errors
/// [`PatchError`] names the first operation that is wrong; `resource` is then unchanged.
pub fn apply(resource: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations = Operation::parse_all(patch)?;
    let mut draft = Draft::of(resource)?;
    for (index, operation) in operations.iter().enumerate() {
        operation.apply(&mut draft).map_err(|error| error.in_operation(index, Some(operation.path_text)))?;
    }
    *resource = draft.finish()?;
    Ok(())
}

/// One operation of a patch.
struct Operation<'a> {
    path_text: &'a str,
    path: JsonPointer,
    action: Action<'a>,
}

enum Action<'a> {
    Add(&'a Value),
    Remove,
    Replace(&'a Value),
    Move(JsonPointer),
    Copy(JsonPointer),
    Test(&'a Value),
}

impl<'a> Operation<'a> {
    fn parse_all(patch: &'a Value) -> Result<Vec<Self>, PatchError> {
        let Value::Array(operations) = patch else {
            return Err(PatchError::malformed(
                "a JSON Patch is an array of operations",
                r#"send it like [{"op": "replace", "path": "/status", "value": "final"}]"#,
            ));
        };
        PatchError::check_count(operations.len())?;
        let parse = |(index, operation): (usize, &'a Value)| {
            Self::parse(operation).map_err(|error| error.in_operation(index, operation.get("path").and_then(Value::as_str)))
        };
        operations.iter().enumerate().map(parse).collect()
    }

    fn parse(operation: &'a Value) -> Result<Self, PatchError> {
        let Value::Object(members) = operation else {
            return Err(PatchError::malformed("an operation is an object", r#"write it like {"op": "remove", "path": "/status"}"#));
        };
        let op = text(members, "op", "add, remove, replace, move, copy or test")?;
        let path_text = text(members, "path", "a JSON Pointer such as '/name/0/family'")?;
        let path = JsonPointer::parse(path_text)?;
        let value = || members.get("value").ok_or_else(|| PatchError::malformed(format!("'{op}' needs 'value'"), "give it, be it null"));
        let from = || {
            let text = text(members, "from", "a JSON Pointer to what is to be moved or copied")?;
            JsonPointer::parse(text).map_err(|error| PatchError { problem: format!("'from': {}", error.problem), ..error })
        };
        let action = match op {
            "add" => Action::Add(value()?),
            "remove" => Action::Remove,
            "replace" => Action::Replace(value()?),
            "move" => {
                let from = from()?;
                if from.is_above(&path) {
                    return Err(PatchError::malformed("a value cannot be moved into itself", "let 'path' lie outside of 'from', or copy"));
                }
                Action::Move(from)
            }
            "copy" => Action::Copy(from()?),
            "test" => Action::Test(value()?),
            other => {
                let problem = format!("'{}' is no operation", cut(other));
                return Err(PatchError::malformed(problem, "'op' is add, remove, replace, move, copy or test"));
            }
        };
        Ok(Self { path_text, path, action })
    }

    fn apply(&self, draft: &mut Draft) -> Result<(), PatchError> {
        match &self.action {
            Action::Add(value) => {
                let piece = draft.piece(value)?;
                self.add(draft, piece)
            }
            Action::Remove => match self.path.find(draft.resource())? {
                Target::Whole => Err(PatchError::does_not_apply("the resource as a whole cannot be removed", "use DELETE")),
                Target::Member(object, name) => draft.take_member(&object, &name).map(drop),
                Target::Item(list, index) => draft.take_item(&list, index).map(drop),
            },
            Action::Replace(value) => {
                let piece = draft.piece(value)?;
                match self.path.find(draft.resource())? {
                    Target::Whole => draft.put_whole(piece),
                    Target::Member(object, name) => {
                        exists(draft, &object, &name)?;
                        draft.put_member(&object, &name, piece)
                    }
                    Target::Item(list, index) => draft.put_item(&list, index, piece),
                }
            }
            Action::Move(from) => {
                let piece = match from.find(draft.resource())? {
                    // `from` is above every other path, and moving the whole onto itself changes nothing.
                    Target::Whole => return Ok(()),
                    Target::Member(object, name) if *from == self.path => return exists(draft, &object, &name),
                    Target::Member(object, name) => draft.take_member(&object, &name)?,
                    Target::Item(list, index) => draft.take_item(&list, index)?,
                };
                self.add(draft, piece)
            }
            Action::Copy(from) => {
                let place = place_of(from.find(draft.resource())?);
                let piece = draft.copy(&place)?;
                self.add(draft, piece)
            }
            Action::Test(expected) => self.test(draft, expected),
        }
    }

    fn add(&self, draft: &mut Draft, piece: super::measure::Piece) -> Result<(), PatchError> {
        match self.path.find(draft.resource())? {
            Target::Whole => draft.put_whole(piece),
            Target::Member(object, name) => draft.put_member(&object, &name, piece),
            Target::Item(list, index) => draft.insert_item(&list, index, piece),
        }
    }

    fn test(&self, draft: &mut Draft, expected: &Value) -> Result<(), PatchError> {
        draft.weigh(expected)?;
        let place = place_of(self.path.find(draft.resource())?);
        // What is stored is not repeated: errors may be logged.
        let problem = match (draft.at(&place), expected) {
            (Ok(found), expected) if is_same(found, expected) => return Ok(()),
            (Ok(found), expected) if kind_of(found) == kind_of(expected) => format!("the test found another {}", kind_of(found)),
            (Ok(found), expected) => format!("the test found the JSON kind {}, not {}", kind_of(found), kind_of(expected)),
            (Err(_), _) => "the test found nothing".to_owned(),
        };
        Err(PatchError::new(PatchErrorKind::TestFailed, problem, "read the resource again and make the patch from what it is now"))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A member that an operation needs to be text.
fn text<'a>(members: &'a Map<String, Value>, name: &str, expected: &str) -> Result<&'a str, PatchError> {
    match members.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(PatchError::malformed(format!("'{name}' is not a string"), format!("it is {expected}"))),
        None => Err(PatchError::malformed(format!("'{name}' is missing"), format!("it is {expected}"))),
    }
}

fn place_of(target: Target) -> Vec<Step> {
    match target {
        Target::Whole => Vec::new(),
        Target::Member(mut steps, name) => {
            steps.push(Step::Member(name));
            steps
        }
        Target::Item(mut steps, index) => {
            steps.push(Step::Item(index));
            steps
        }
    }
}

fn exists(draft: &Draft, object: &[Step], name: &str) -> Result<(), PatchError> {
    draft.at(object)?.get(name).map(|_| ()).ok_or_else(|| no_member(object, name))
}
