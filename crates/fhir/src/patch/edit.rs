//! Edits of elements, where a primitive or a list of them lies in two members (see [`super::node`]).

use serde_json::{Map, Value};

use super::{
    PatchError,
    content::NewElement,
    draft::Draft,
    json_pointer::{Step, shown},
    node::Location,
};

/// Both members of an element.
fn both(name: &str) -> [String; 2] {
    [name.to_owned(), format!("_{name}")]
}

impl NewElement {
    fn both(self) -> [Option<Value>; 2] {
        [self.value, self.extra]
    }
}

/// Whether the object has the element, under its name in JSON.
pub(super) fn has_element(draft: &Draft, object: &[Step], name: &str) -> bool {
    both(name).iter().any(|name| member(draft, object, name).is_some())
}

/// Sets an element that is no list.
pub(super) fn put_single(draft: &mut Draft, object: &[Step], name: &str, new: NewElement) -> Result<(), PatchError> {
    put_renamed(draft, object, name, name, new)
}

/// Sets an element that is no list and gives it another name, as a choice needs it when its type changes.
pub(super) fn put_renamed(draft: &mut Draft, object: &[Step], old: &str, name: &str, new: NewElement) -> Result<(), PatchError> {
    for ((old, name), part) in both(old).iter().zip(both(name)).zip(new.both()) {
        match (member(draft, object, old).is_some(), part) {
            (true, Some(value)) if *old != name => {
                let piece = draft.piece(&value)?;
                draft.rename_member(object, old, &name, piece)?;
            }
            (true, None) => drop(draft.take_member(object, old)?),
            (_, Some(value)) => {
                let piece = draft.piece(&value)?;
                draft.put_member(object, &name, piece)?;
            }
            (false, None) => {}
        }
    }
    Ok(())
}

/// How many elements a list has; 0 if there is none.
pub(super) fn count(draft: &Draft, object: &[Step], name: &str) -> Result<usize, PatchError> {
    let [values, extras] = both(name);
    Ok(items(draft, object, &values)?.map_or(0, <[_]>::len).max(items(draft, object, &extras)?.map_or(0, <[_]>::len)))
}

/// Inserts into a list, which begins with it if there is none.
pub(super) fn insert(draft: &mut Draft, object: &[Step], name: &str, index: usize, new: NewElement) -> Result<(), PatchError> {
    for (member, part) in both(name).into_iter().zip(new.both()) {
        if part.is_none() && items(draft, object, &member)?.is_none() {
            continue;
        }
        pad(draft, object, &member, index)?;
        let piece = draft.piece(&part.unwrap_or_default())?;
        draft.insert_item(&within(object, &member), index, piece)?;
    }
    level(draft, object, name)
}

/// Puts another element in place of one of a list.
pub(super) fn put_in_list(draft: &mut Draft, object: &[Step], name: &str, index: usize, new: NewElement) -> Result<(), PatchError> {
    for (member, part) in both(name).into_iter().zip(new.both()) {
        if part.is_none() && items(draft, object, &member)?.is_none() {
            continue;
        }
        put_item(draft, object, &member, index, &part.unwrap_or_default())?;
    }
    level(draft, object, name)
}

/// Moves an element within its list.
pub(super) fn move_in_list(draft: &mut Draft, object: &[Step], name: &str, source: usize, destination: usize) -> Result<(), PatchError> {
    level(draft, object, name)?;
    for member in both(name) {
        if items(draft, object, &member)?.is_some() {
            let list = within(object, &member);
            let piece = draft.take_item(&list, source)?;
            draft.insert_item(&list, destination, piece)?;
        }
    }
    Ok(())
}

/// Removes an element, and around it every object and list that then has nothing left: FHIR's JSON has none that are empty.
pub(super) fn remove(draft: &mut Draft, location: &Location) -> Result<(), PatchError> {
    remove_one(draft, &location.object, &location.name, location.index)?;
    let mut object = location.object.clone();
    while !object.is_empty() && draft.at(&object)?.as_object().is_some_and(Map::is_empty) {
        object = remove_empty(draft, &object)?;
    }
    Ok(())
}

/// Makes sure that a primitive has an object for id and extensions.
pub(super) fn ensure_extra(draft: &mut Draft, location: &Location) -> Result<(), PatchError> {
    let extra_name = format!("_{}", location.name);
    let empty = Value::Object(Map::new());
    match location.index {
        None if member(draft, &location.object, &extra_name).is_some() => Ok(()),
        None => {
            let piece = draft.piece(&empty)?;
            draft.put_member(&location.object, &extra_name, piece)
        }
        Some(index) => {
            let found = items(draft, &location.object, &extra_name)?.and_then(|items| items.get(index));
            if found.is_some_and(Value::is_object) {
                return Ok(());
            }
            put_item(draft, &location.object, &extra_name, index, &empty)?;
            level(draft, &location.object, &location.name)
        }
    }
}

fn remove_one(draft: &mut Draft, object: &[Step], name: &str, index: Option<usize>) -> Result<(), PatchError> {
    for member_name in both(name) {
        match index {
            None if member(draft, object, &member_name).is_some() => drop(draft.take_member(object, &member_name)?),
            Some(index) if items(draft, object, &member_name)?.is_some_and(|items| index < items.len()) => {
                draft.take_item(&within(object, &member_name), index)?;
            }
            _ => {}
        }
    }
    if index.is_some() { level(draft, object, name) } else { Ok(()) }
}

/// Removes an empty object; says in which object it lay.
fn remove_empty(draft: &mut Draft, empty: &[Step]) -> Result<Vec<Step>, PatchError> {
    let (object, name, index) = match empty {
        [object @ .., Step::Member(name)] => (object, name, None),
        [object @ .., Step::Member(name), Step::Item(index)] => (object, name, Some(*index)),
        _ => return Err(no_list(empty)),
    };
    match (name.strip_prefix('_'), index) {
        // The primitive itself stays.
        (Some(_), None) => drop(draft.take_member(object, name)?),
        (Some(primitive), Some(index)) => {
            let has_value = items(draft, object, primitive)?.and_then(|items| items.get(index)).is_some_and(|item| !item.is_null());
            if has_value {
                put_item(draft, object, name, index, &Value::Null)?;
                level(draft, object, primitive)?;
            } else {
                remove_one(draft, object, primitive, Some(index))?;
            }
        }
        (None, index) => remove_one(draft, object, name, index)?,
    }
    Ok(object.to_vec())
}

/// Makes both arrays of a list equally long, and removes one that says nothing.
fn level(draft: &mut Draft, object: &[Step], name: &str) -> Result<(), PatchError> {
    let count = count(draft, object, name)?;
    draft.spend(count)?;
    for member in both(name) {
        match items(draft, object, &member)? {
            None => {}
            Some(items) if items.iter().all(Value::is_null) => drop(draft.take_member(object, &member)?),
            // Only primitives have another array to keep in step with.
            Some(_) => pad(draft, object, &member, count)?,
        }
    }
    Ok(())
}

/// Makes the array at least so long; begins one if there is none.
fn pad(draft: &mut Draft, object: &[Step], member: &str, count: usize) -> Result<(), PatchError> {
    let list = within(object, member);
    let present = match items(draft, object, member)? {
        Some(items) => items.len(),
        None => {
            let piece = draft.piece(&Value::Array(Vec::new()))?;
            draft.put_member(object, member, piece)?;
            0
        }
    };
    for index in present..count {
        let piece = draft.piece(&Value::Null)?;
        draft.insert_item(&list, index, piece)?;
    }
    Ok(())
}

/// Sets an item, with nothing before it where the array is too short.
fn put_item(draft: &mut Draft, object: &[Step], member: &str, index: usize, value: &Value) -> Result<(), PatchError> {
    pad(draft, object, member, index + 1)?;
    let piece = draft.piece(value)?;
    draft.put_item(&within(object, member), index, piece)
}

fn member<'d>(draft: &'d Draft, object: &[Step], name: &str) -> Option<&'d Value> {
    draft.at(object).ok()?.get(name)
}

fn items<'d>(draft: &'d Draft, object: &[Step], name: &str) -> Result<Option<&'d [Value]>, PatchError> {
    match member(draft, object, name) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(no_list(&within(object, name))),
    }
}

fn within(object: &[Step], name: &str) -> Vec<Step> {
    let mut steps = object.to_vec();
    steps.push(Step::Member(name.to_owned()));
    steps
}

fn no_list(place: &[Step]) -> PatchError {
    PatchError::does_not_apply(
        format!("'{}' is not a list in the resource's JSON", shown(place)),
        "mend the resource there first, with JSON Patch or PUT",
    )
}
