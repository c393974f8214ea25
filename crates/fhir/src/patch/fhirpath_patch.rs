//! FHIRPath Patch (<https://hl7.org/fhir/R4/fhirpatch.html>) on a resource's JSON.

use serde_json::{Map, Value};

use super::{
    PatchError,
    content::Content,
    draft::Draft,
    edit,
    error::cut,
    evaluate::Evaluator,
    kind::defined,
    node::{Location, Node},
    path::{self, Expression, PathStep, Start},
};

/// Applies a FHIRPath Patch, a `Parameters` resource, whole or not at all.
///
/// Numbers keep their digits and members their order. Each path must lead to one element, except that there may be nothing to delete. An
/// element that is replaced loses its id and extensions too. An object or list that has nothing left after a delete goes along.
///
/// # Errors
/// [`PatchError`] names the first operation that is wrong; `resource` is then unchanged.
pub fn apply(resource: &mut Value, parameters: &Value) -> Result<(), PatchError> {
    let operations = Operation::parse_all(parameters)?;
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
    path: Expression,
    action: Action<'a>,
}

enum Action<'a> {
    Add {
        name: &'a str,
        content: Content<'a>,
    },
    /// Into the list of this name, of what the path leads to.
    Insert {
        list: String,
        index: usize,
        content: Content<'a>,
    },
    Delete,
    Replace(Content<'a>),
    Move {
        list: String,
        source: usize,
        destination: usize,
    },
}

/// What an operation may consist of.
const PARTS: [&str; 7] = ["type", "path", "name", "value", "index", "source", "destination"];

/// The parts of an operation, in the order of [`PARTS`].
struct Parts<'a>([Option<&'a Map<String, Value>>; 7]);

impl<'a> Operation<'a> {
    fn parse_all(parameters: &'a Value) -> Result<Vec<Self>, PatchError> {
        if parameters.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
            return Err(PatchError::malformed(
                "a FHIRPath Patch is a Parameters resource",
                r#"send {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": […]}]}"#,
            ));
        }
        let operations = match parameters.get("parameter") {
            None => return Ok(Vec::new()),
            Some(Value::Array(operations)) => operations,
            Some(_) => return Err(PatchError::malformed("'parameter' is not an array", "it has an object for each operation")),
        };
        PatchError::check_count(operations.len())?;
        let parse = |(index, operation): (usize, &'a Value)| {
            let parts = Parts::of(operation).map_err(|error| error.in_operation(index, None))?;
            Self::parse(&parts).map_err(|error| error.in_operation(index, parts.text("path").ok()))
        };
        operations.iter().enumerate().map(parse).collect()
    }

    fn parse(parts: &Parts<'a>) -> Result<Self, PatchError> {
        let kind = parts.text("type")?;
        let path_text = parts.text("path")?;
        let path = path::parse(path_text)?;
        let (path, action) = match kind {
            "add" => {
                parts.allow(kind, &["name", "value"])?;
                (path, Action::Add { name: parts.text("name")?, content: parts.content()? })
            }
            "insert" => {
                parts.allow(kind, &["value", "index"])?;
                let (path, list) = split_list(path)?;
                (path, Action::Insert { list, index: parts.number("index")?, content: parts.content()? })
            }
            "delete" => {
                parts.allow(kind, &[])?;
                (path, Action::Delete)
            }
            "replace" => {
                parts.allow(kind, &["value"])?;
                (path, Action::Replace(parts.content()?))
            }
            "move" => {
                parts.allow(kind, &["source", "destination"])?;
                let (path, list) = split_list(path)?;
                (path, Action::Move { list, source: parts.number("source")?, destination: parts.number("destination")? })
            }
            other => {
                let problem = format!("'{}' is no operation", cut(other));
                return Err(PatchError::malformed(problem, "'type' is add, insert, delete, replace or move"));
            }
        };
        Ok(Self { path_text, path, action })
    }

    fn apply(&self, draft: &mut Draft) -> Result<(), PatchError> {
        match &self.action {
            Action::Add { name, content } => self.add(draft, name, content),
            Action::Insert { list, index, content } => {
                let (at, count) = self.find_list(draft, list)?;
                if *index > count {
                    return Err(not_in_list("index", *index, count, count));
                }
                let new = content.build(definition(&at))?;
                edit::insert(draft, &at.object, &at.name, *index, new)
            }
            Action::Delete => match self.find_one(draft)? {
                None => Ok(()),
                Some(at) => edit::remove(draft, &at),
            },
            Action::Replace(content) => {
                let at = self.find_one(draft)?.ok_or_else(nothing_found)?;
                replace(draft, &at, content)
            }
            Action::Move { list, source, destination } => {
                let (at, count) = self.find_list(draft, list)?;
                for (name, index) in [("source", *source), ("destination", *destination)] {
                    if index >= count {
                        return Err(not_in_list(name, index, count, count - 1));
                    }
                }
                edit::move_in_list(draft, &at.object, &at.name, *source, *destination)
            }
        }
    }

    /// Looks at what the path leads to.
    fn find<T>(&self, draft: &mut Draft, look: impl FnOnce(&Evaluator, Vec<Node>) -> Result<T, PatchError>) -> Result<T, PatchError> {
        let evaluator = Evaluator::new(draft.work_left());
        let nodes = evaluator.find(draft.resource(), &self.path)?;
        let seen = look(&evaluator, nodes)?;
        draft.spend(draft.work_left() - evaluator.work_left())?;
        Ok(seen)
    }

    /// The one element that the path leads to, if there is any.
    fn find_one(&self, draft: &mut Draft) -> Result<Option<Location>, PatchError> {
        self.find(draft, |_, nodes| match nodes.as_slice() {
            [] => Ok(None),
            [node] => node.location().map(Some).ok_or_else(|| {
                PatchError::does_not_apply(
                    "the path leads to the resource itself",
                    "name an element of it; use DELETE or PUT for the whole",
                )
            }),
            several => Err(several_found(several.len())),
        })
    }

    /// The list of this name, which lies in one of the elements that the path leads to, and how many elements it has.
    fn find_list(&self, draft: &mut Draft, name: &str) -> Result<(Location, usize), PatchError> {
        let at = self.find(draft, |evaluator, nodes| {
            let mut lists = Vec::new();
            for node in nodes {
                lists.extend(evaluator.children(&node, name)?.first().and_then(Node::location));
            }
            match lists.pop() {
                None => Err(nothing_found()),
                Some(_) if !lists.is_empty() => Err(several_found(lists.len() + 1)),
                Some(at) if at.index.is_some() => Ok(at),
                Some(at) => Err(PatchError::does_not_apply(format!("'{}' is no list", at.name), "use 'replace', or name a list")),
            }
        })?;
        let count = edit::count(draft, &at.object, &at.name)?;
        Ok((at, count))
    }

    fn add(&self, draft: &mut Draft, name: &str, content: &Content) -> Result<(), PatchError> {
        let (kind, primitive, object) = self.find(draft, |_, nodes| match nodes.as_slice() {
            [] => Err(nothing_found()),
            [node] => Ok((node.kind, node.location().filter(|_| node.is_primitive()), node.steps_to_children())),
            several => Err(several_found(several.len())),
        })?;
        let definition = content.definition(kind, name)?;
        let new = content.build(definition)?;
        if let Some(primitive) = primitive {
            edit::ensure_extra(draft, &primitive)?;
        }
        let json_name = definition.map_or(name, |(_, member)| member.name());
        let is_list = match definition {
            Some((element, _)) => element.repeats,
            None => draft.at(&object)?.get(name).is_some_and(Value::is_array),
        };
        if is_list {
            let count = edit::count(draft, &object, json_name)?;
            return edit::insert(draft, &object, json_name, count, new);
        }
        let same_element = match (kind.structure(), definition) {
            (Some(structure), Some((element, _))) => defined(structure, element.name).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut names = same_element.iter().map(|(_, member)| member.name()).chain([json_name]);
        if let Some(present) = names.find(|name| edit::has_element(draft, &object, name)) {
            return Err(PatchError::does_not_apply(format!("'{present}' is there already, and there can be only one"), "use 'replace'"));
        }
        edit::put_single(draft, &object, json_name, new)
    }
}

impl<'a> Parts<'a> {
    fn of(operation: &'a Value) -> Result<Self, PatchError> {
        if operation.get("name").and_then(Value::as_str) != Some("operation") {
            return Err(PatchError::malformed(
                "a parameter is not named 'operation'",
                "each parameter of a FHIRPath Patch is an operation",
            ));
        }
        let Some(Value::Array(parts)) = operation.get("part") else {
            return Err(PatchError::malformed("an operation has no array 'part'", "give its 'type', 'path' and so on as parts"));
        };
        let mut found = [None; 7];
        for part in parts {
            let name = part.get("name").and_then(Value::as_str).unwrap_or_default();
            let (Value::Object(part), Some(place)) = (part, PARTS.iter().position(|known| *known == name)) else {
                let problem = format!("'{}' is no part of an operation", cut(name));
                return Err(PatchError::malformed(problem, format!("the parts are {}", PARTS.join(", "))));
            };
            if let Some(slot) = found.get_mut(place)
                && slot.replace(part).is_some()
            {
                return Err(PatchError::malformed(format!("the part '{name}' stands twice"), "give it once"));
            }
        }
        Ok(Self(found))
    }

    fn get(&self, name: &str) -> Option<&'a Map<String, Value>> {
        PARTS.iter().zip(self.0).find(|(known, _)| **known == name).and_then(|(_, part)| part)
    }

    fn need(&self, name: &str) -> Result<Content<'a>, PatchError> {
        let part = self.get(name).ok_or_else(|| PatchError::malformed(format!("the part '{name}' is missing"), "add it"))?;
        Content::parse(part).map_err(|error| PatchError { problem: format!("the part '{name}': {}", error.problem), ..error })
    }

    fn text(&self, name: &str) -> Result<&'a str, PatchError> {
        match self.need(name)? {
            Content::Typed { value: Some(Value::String(text)), .. } => Ok(text),
            _ => {
                let remedy = if name == "type" { "give it as 'valueCode'" } else { "give it as 'valueString'" };
                Err(PatchError::malformed(format!("the part '{name}' is not text"), remedy))
            }
        }
    }

    fn number(&self, name: &str) -> Result<usize, PatchError> {
        let number = match self.need(name)? {
            Content::Typed { value: Some(Value::Number(number)), .. } => number.as_str().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| {
            PatchError::malformed(format!("the part '{name}' is no index"), "give a whole number, counted from 0, as 'valueInteger'")
        })
    }

    fn content(&self) -> Result<Content<'a>, PatchError> {
        self.need("value")
    }

    /// Refuses parts without a meaning: what was meant by them would not happen.
    fn allow(&self, kind: &str, allowed: &[&str]) -> Result<(), PatchError> {
        let mut present = PARTS.iter().zip(self.0).skip(2).filter(|(_, part)| part.is_some());
        match present.find(|(name, _)| !allowed.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(PatchError::malformed(format!("'{kind}' takes no part '{name}'"), "remove it")),
        }
    }
}

fn replace(draft: &mut Draft, at: &Location, content: &Content) -> Result<(), PatchError> {
    let Some((element, member)) = definition(at) else {
        return put(draft, at, &at.name, content.build(None)?);
    };
    // Of a choice the new value decides which it is; parts do not say, so they replace what is there.
    let chosen = match content {
        Content::Typed { .. } if element.is_choice => content.definition(at.owner, element.name)?.unwrap_or((element, member)),
        _ => (element, member),
    };
    put(draft, at, chosen.1.name(), content.build(Some(chosen))?)
}

fn put(draft: &mut Draft, at: &Location, name: &str, new: super::content::NewElement) -> Result<(), PatchError> {
    match at.index {
        Some(index) => edit::put_in_list(draft, &at.object, &at.name, index, new),
        None => edit::put_renamed(draft, &at.object, &at.name, name, new),
    }
}

/// What the definitions say of an element that is there.
fn definition(at: &Location) -> Option<super::content::Definition> {
    let structure = at.owner.structure()?;
    let member = structure.member(&at.name)?;
    Some((structure.element(member), member))
}

/// A path to a list: the path to what it lies in, and its name.
fn split_list(path: Expression) -> Result<(Expression, String), PatchError> {
    if let Expression::Chain(start @ (Start::Context | Start::Nested(_)), mut steps) = path
        && let Some(PathStep::Member(name)) = steps.pop()
    {
        return Ok((Expression::Chain(start, steps), name));
    }
    Err(PatchError::malformed(
        "the path does not end in the name of a list",
        "leave away '[n]' or the function at its end: the index has a part of its own",
    ))
}

fn nothing_found() -> PatchError {
    PatchError::does_not_apply("the path leads to nothing", "'add' what is missing to an element that is there")
}

fn several_found(count: usize) -> PatchError {
    PatchError::does_not_apply(format!("the path leads to {count} elements"), "let it lead to one, with '[n]' or 'where(…)'")
}

fn not_in_list(name: &str, index: usize, count: usize, last: usize) -> PatchError {
    PatchError::does_not_apply(format!("'{name}' is {index}, and the list has {count} elements"), format!("give 0 to {last}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits;

    #[test]
    fn the_work_of_all_operations_is_limited_together() {
        let resource = json!({"resourceType": "Patient", "name": vec![json!({"given": ["x"]}); 100]});
        let part = json!([
            {"name": "type", "valueCode": "delete"},
            {"name": "path", "valueString": "Patient.name.where(given = 'y')"},
        ]);
        let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]});
        let operations = Operation::parse_all(&patch).unwrap();
        let mut draft = Draft::of(&resource).unwrap();
        draft.spend(limits::PATCH_WORK_MAX - 1_000_000).unwrap();
        let times = (0..1_000).take_while(|_| operations[0].apply(&mut draft).is_ok()).count();
        assert!((10..100).contains(&times), "{times}");
        assert!(operations[0].apply(&mut draft).unwrap_err().to_string().contains("in all"));
    }
}
