//! The copy that a patch works on. All edits go through it, so that limits and what the server alone sets are looked after in one place.

use serde_json::{Map, Value};

use super::{
    PatchError,
    json_pointer::{Step, no_item, no_member, shown},
    measure::{Measures, Piece, bytes_of_name, commas, measure},
};
use crate::limits;

/// Members of the resource that stay as they are.
const FIXED: [&str; 2] = ["resourceType", "id"];

/// Members of `meta` that stay as they are.
const FIXED_META: [&str; 2] = ["versionId", "lastUpdated"];

/// What it costs that an item of an array moves up or down.
const WORK_TO_SHIFT_ITEM: usize = 4;

/// What it costs that a member of an object moves down.
const WORK_TO_SHIFT_MEMBER: usize = 16;

/// A resource that is being patched.
#[derive(Debug)]
pub(super) struct Draft {
    resource: Value,
    /// Bytes of the resource as compact JSON.
    bytes: usize,
    work_left: usize,
    /// What [`FIXED_META`] were before.
    fixed_meta: [Option<Value>; 2],
}

impl Draft {
    pub(super) fn of(resource: &Value) -> Result<Self, PatchError> {
        let Measures { bytes, .. } = measured(resource)?;
        check_size(bytes)?;
        let fixed_meta = FIXED_META.map(|name| resource.get("meta").and_then(|meta| meta.get(name)).cloned());
        Ok(Self { resource: resource.clone(), bytes, work_left: limits::PATCH_WORK_MAX, fixed_meta })
    }

    pub(super) fn resource(&self) -> &Value {
        &self.resource
    }

    /// Counts work; refuses when it is too much in all.
    pub(super) fn spend(&mut self, work: usize) -> Result<(), PatchError> {
        match self.work_left.checked_sub(work) {
            Some(left) => {
                self.work_left = left;
                Ok(())
            }
            None => Err(too_much_work()),
        }
    }

    /// What may still be spent.
    pub(super) fn work_left(&self) -> usize {
        self.work_left
    }

    /// The value at a place.
    pub(super) fn at(&self, place: &[Step]) -> Result<&Value, PatchError> {
        place.iter().enumerate().try_fold(&self.resource, |value, (index, step)| match (step, value) {
            (Step::Member(name), Value::Object(members)) => members.get(name).ok_or_else(|| no_member(&place[..index], name)),
            (Step::Item(item), Value::Array(items)) => {
                items.get(*item).ok_or_else(|| no_item(&place[..index], &item.to_string(), items.len()))
            }
            _ => Err(gone(place)),
        })
    }

    /// Measures a value of the patch and copies it, to be brought in.
    pub(super) fn piece(&mut self, value: &Value) -> Result<Piece, PatchError> {
        let measures = self.weigh(value)?;
        check_size(measures.bytes)?;
        Ok(Piece { value: value.clone(), measures })
    }

    /// Measures a value of the patch, whose reading is counted as work.
    pub(super) fn weigh(&mut self, value: &Value) -> Result<Measures, PatchError> {
        let measures = measured(value)?;
        self.spend(measures.work())?;
        Ok(measures)
    }

    /// Copies what is at a place.
    pub(super) fn copy(&mut self, place: &[Step]) -> Result<Piece, PatchError> {
        let measures = measured(self.at(place)?)?;
        // Before anything is copied that would have no room.
        check_size(self.bytes.saturating_add(measures.bytes))?;
        self.spend(measures.work())?;
        Ok(Piece { value: self.at(place)?.clone(), measures })
    }

    /// Replaces everything.
    pub(super) fn put_whole(&mut self, piece: Piece) -> Result<(), PatchError> {
        for name in FIXED {
            check_fixed(name, self.resource.get(name), piece.value.get(name))?;
        }
        if let Some(meta) = piece.value.get("meta") {
            self.check_meta(meta)?;
        }
        check_size(piece.measures.bytes)?;
        self.bytes = piece.measures.bytes;
        self.resource = piece.value;
        Ok(())
    }

    /// Sets a member of an object: an existing one keeps its place among the others, a new one becomes the last.
    pub(super) fn put_member(&mut self, object: &[Step], name: &str, piece: Piece) -> Result<(), PatchError> {
        self.check_put(object, name, &piece.value)?;
        check_depth(object, &piece)?;
        let members = self.object(object)?;
        let (kept, work) = match members.get(name) {
            Some(old) => {
                let old = measured(old)?;
                (self.bytes.saturating_sub(old.bytes), old.work())
            }
            None => (self.bytes.saturating_add(bytes_of_comma_and_name(members.len(), name)), 0),
        };
        let bytes = kept.saturating_add(piece.measures.bytes);
        check_size(bytes)?;
        self.spend(work)?;
        self.object_mut(object)?.insert(name.to_owned(), piece.value);
        self.bytes = bytes;
        Ok(())
    }

    /// Removes a member and leaves the others in their order.
    pub(super) fn take_member(&mut self, object: &[Step], name: &str) -> Result<Piece, PatchError> {
        let members = self.object(object)?;
        let (count, value) = (members.len(), members.get(name).ok_or_else(|| no_member(object, name))?);
        let measures = measured(value)?;
        if is_fixed(object, name) {
            return Err(fixed(name));
        }
        self.spend(measures.work().saturating_add(count.saturating_mul(WORK_TO_SHIFT_MEMBER)))?;
        let value = self.object_mut(object)?.shift_remove(name).ok_or_else(|| no_member(object, name))?;
        self.bytes = self.bytes.saturating_sub(measures.bytes + bytes_of_comma_and_name(count - 1, name));
        Ok(Piece { value, measures })
    }

    /// Gives a member another name and another value, at the same place among the others.
    pub(super) fn rename_member(&mut self, object: &[Step], name: &str, new_name: &str, piece: Piece) -> Result<(), PatchError> {
        let Some(position) = self.object(object)?.keys().position(|key| key == name) else {
            return Err(no_member(object, name));
        };
        self.take_member(object, name)?;
        self.put_member(object, new_name, piece)?;
        let members = self.object_mut(object)?;
        if let Some(value) = members.shift_remove(new_name) {
            members.shift_insert(position.min(members.len()), new_name.to_owned(), value);
        }
        Ok(())
    }

    /// Inserts an item; those from `index` on move up.
    pub(super) fn insert_item(&mut self, list: &[Step], index: usize, piece: Piece) -> Result<(), PatchError> {
        check_depth(list, &piece)?;
        let count = self.list(list)?.len();
        if index > count {
            return Err(no_item(list, &index.to_string(), count));
        }
        let bytes = self.bytes.saturating_add(piece.measures.bytes + usize::from(count > 0));
        check_size(bytes)?;
        self.spend((count - index).saturating_mul(WORK_TO_SHIFT_ITEM))?;
        self.list_mut(list)?.insert(index, piece.value);
        self.bytes = bytes;
        Ok(())
    }

    /// Puts an item in place of another.
    pub(super) fn put_item(&mut self, list: &[Step], index: usize, piece: Piece) -> Result<(), PatchError> {
        check_depth(list, &piece)?;
        let items = self.list(list)?;
        let old = items.get(index).ok_or_else(|| no_item(list, &index.to_string(), items.len()))?;
        let old = measured(old)?;
        let bytes = self.bytes.saturating_sub(old.bytes).saturating_add(piece.measures.bytes);
        check_size(bytes)?;
        self.spend(old.work())?;
        if let Some(item) = self.list_mut(list)?.get_mut(index) {
            *item = piece.value;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Removes an item; those behind it move down.
    pub(super) fn take_item(&mut self, list: &[Step], index: usize) -> Result<Piece, PatchError> {
        let items = self.list(list)?;
        let (count, value) = (items.len(), items.get(index).ok_or_else(|| no_item(list, &index.to_string(), items.len()))?);
        let measures = measured(value)?;
        self.spend(measures.work().saturating_add((count - index).saturating_mul(WORK_TO_SHIFT_ITEM)))?;
        let value = self.list_mut(list)?.remove(index);
        self.bytes = self.bytes.saturating_sub(measures.bytes + usize::from(count > 1));
        Ok(Piece { value, measures })
    }

    /// The patched resource, with what the server alone sets in `meta` as it was.
    pub(super) fn finish(mut self) -> Result<Value, PatchError> {
        #[cfg(test)]
        assert_eq!(
            Some(self.bytes),
            measure(&self.resource, limits::JSON_DEPTH_MAX).map(|measures| measures.bytes),
            "bytes are counted as they come"
        );
        for (name, value) in FIXED_META.into_iter().zip(std::mem::take(&mut self.fixed_meta)) {
            let Some(value) = value else { continue };
            let Value::Object(members) = &mut self.resource else { break };
            let meta = members.entry("meta").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(meta) = meta {
                meta.entry(name).or_insert(value);
            }
        }
        Ok(self.resource)
    }

    fn check_put(&self, object: &[Step], name: &str, value: &Value) -> Result<(), PatchError> {
        match object {
            [] if name == "meta" => self.check_meta(value),
            _ if is_fixed(object, name) => check_fixed(name, self.object(object)?.get(name), Some(value)),
            _ => Ok(()),
        }
    }

    /// A new `meta` may leave out what the server sets, for it gets it back; it may not set it otherwise.
    fn check_meta(&self, meta: &Value) -> Result<(), PatchError> {
        FIXED_META.into_iter().zip(&self.fixed_meta).try_for_each(|(name, old)| match meta.get(name) {
            None => Ok(()),
            new => check_fixed(name, old.as_ref(), new),
        })
    }

    fn object(&self, place: &[Step]) -> Result<&Map<String, Value>, PatchError> {
        self.at(place)?.as_object().ok_or_else(|| gone(place))
    }

    fn list(&self, place: &[Step]) -> Result<&Vec<Value>, PatchError> {
        self.at(place)?.as_array().ok_or_else(|| gone(place))
    }

    fn object_mut(&mut self, place: &[Step]) -> Result<&mut Map<String, Value>, PatchError> {
        check_not_within_fixed(place)?;
        self.at_mut(place).and_then(Value::as_object_mut).ok_or_else(|| gone(place))
    }

    fn list_mut(&mut self, place: &[Step]) -> Result<&mut Vec<Value>, PatchError> {
        check_not_within_fixed(place)?;
        self.at_mut(place).and_then(Value::as_array_mut).ok_or_else(|| gone(place))
    }

    fn at_mut(&mut self, place: &[Step]) -> Option<&mut Value> {
        place.iter().try_fold(&mut self.resource, |value, step| match step {
            Step::Member(name) => value.as_object_mut()?.get_mut(name),
            Step::Item(index) => value.as_array_mut()?.get_mut(*index),
        })
    }
}

/// Work that a patch may not ask for.
pub(super) fn too_much_work() -> PatchError {
    PatchError::over_limit(
        format!("the patch reads, copies or moves more than {} MiB in all", limits::PATCH_WORK_MAX >> 20),
        "send fewer operations at a time, or update the resource with PUT",
    )
}

fn is_fixed(object: &[Step], name: &str) -> bool {
    match object {
        [] => FIXED.contains(&name),
        [Step::Member(member)] => member == "meta" && FIXED_META.contains(&name),
        _ => false,
    }
}

/// What stays as it is stays so within, too, where a resource has an object that should be text.
fn check_not_within_fixed(place: &[Step]) -> Result<(), PatchError> {
    let fixed_at = place.iter().take(2).enumerate().find_map(|(depth, step)| match step {
        Step::Member(name) if is_fixed(&place[..depth], name) => Some(name),
        _ => None,
    });
    fixed_at.map_or(Ok(()), |name| Err(fixed(name)))
}

fn check_fixed(name: &str, old: Option<&Value>, new: Option<&Value>) -> Result<(), PatchError> {
    if old == new { Ok(()) } else { Err(fixed(name)) }
}

fn fixed(name: &str) -> PatchError {
    let (problem, remedy) = match name {
        "resourceType" => ("the type of a resource cannot be changed", "create a resource of the other type"),
        "id" => ("the id of a resource cannot be changed", "create another resource, or leave 'id' as it is"),
        _ => ("'meta.versionId' and 'meta.lastUpdated' are set by the server alone", "leave them as they are"),
    };
    PatchError::does_not_apply(problem, remedy)
}

fn bytes_of_comma_and_name(others: usize, name: &str) -> usize {
    bytes_of_name(name) + commas(others + 1) - commas(others)
}

fn measured(value: &Value) -> Result<Measures, PatchError> {
    measure(value, limits::JSON_DEPTH_MAX).ok_or_else(too_deep)
}

fn check_size(bytes: usize) -> Result<(), PatchError> {
    if bytes <= limits::RESOURCE_BYTES_MAX {
        return Ok(());
    }
    Err(PatchError::over_limit(
        format!("the resource would have {bytes} bytes; at most {} are accepted", limits::RESOURCE_BYTES_MAX),
        "divide its content between several resources",
    ))
}

fn check_depth(container: &[Step], piece: &Piece) -> Result<(), PatchError> {
    if container.len() + 1 + piece.measures.depth <= limits::JSON_DEPTH_MAX { Ok(()) } else { Err(too_deep()) }
}

fn too_deep() -> PatchError {
    PatchError::over_limit(
        format!("the JSON would be nested more than {} levels deep", limits::JSON_DEPTH_MAX),
        "let objects and arrays lie less deep within each other",
    )
}

fn gone(place: &[Step]) -> PatchError {
    PatchError::does_not_apply(format!("'{}' is not of the kind that this operation needs", shown(place)), "read the resource again")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(name: &str) -> Step {
        Step::Member(name.to_owned())
    }

    #[test]
    fn the_count_of_bytes_follows_every_edit() {
        let mut draft = Draft::of(&json!({"a": [1, {"b": "é\n"}], "c": {}})).unwrap();
        let expect = |draft: &Draft| assert_eq!(draft.bytes, draft.resource.to_string().len(), "{}", draft.resource);
        expect(&draft);
        let piece = draft.piece(&json!({"x": [true]})).unwrap();
        draft.put_member(&[member("c")], "new", piece).unwrap();
        expect(&draft);
        let piece = draft.piece(&json!("other")).unwrap();
        draft.put_member(&[], "c", piece).unwrap();
        expect(&draft);
        let piece = draft.copy(&[member("a"), Step::Item(1)]).unwrap();
        draft.insert_item(&[member("a")], 0, piece).unwrap();
        expect(&draft);
        let piece = draft.piece(&json!(null)).unwrap();
        draft.put_item(&[member("a")], 2, piece).unwrap();
        expect(&draft);
        draft.take_member(&[member("a"), Step::Item(0)], "b").unwrap();
        expect(&draft);
        for _ in 0..3 {
            draft.take_item(&[member("a")], 0).unwrap();
            expect(&draft);
        }
        let piece = draft.piece(&json!(1.5)).unwrap();
        draft.insert_item(&[member("a")], 0, piece).unwrap();
        let piece = draft.piece(&json!([])).unwrap();
        draft.rename_member(&[], "a", "long name", piece).unwrap();
        expect(&draft);
        assert_eq!(draft.resource.to_string(), r#"{"long name":[],"c":"other"}"#, "it keeps its place");
        draft.take_member(&[], "c").unwrap();
        draft.take_member(&[], "long name").unwrap();
        expect(&draft);
    }

    #[test]
    fn work_is_limited() {
        let mut draft = Draft::of(&json!({})).unwrap();
        assert!(draft.spend(limits::PATCH_WORK_MAX - 1).is_ok());
        assert!(draft.spend(2).unwrap_err().to_string().contains("more than 128 MiB in all"));
        // Copying and removing, again and again, does not grow, and yet it ends.
        let mut draft = Draft::of(&json!({"text": "x".repeat(1_000)})).unwrap();
        draft.work_left = 100_000;
        let mut copy_and_remove = || {
            let piece = draft.copy(&[member("text")])?;
            draft.put_member(&[], "copy", piece)?;
            draft.take_member(&[], "copy")
        };
        let times = (0..1_000).take_while(|_| copy_and_remove().is_ok()).count();
        assert!((10..100).contains(&times), "{times}");
    }

    #[test]
    fn depth_is_limited_where_a_value_lands() {
        let nested = (0..60).fold(json!(1), |value, _| json!([value]));
        let mut draft = Draft::of(&json!({"a": {"b": {"c": {"d": {}}}}})).unwrap();
        let place = [member("a"), member("b"), member("c"), member("d")];
        let piece = draft.piece(&nested).unwrap();
        draft.put_member(&place[..3], "ok", piece).unwrap();
        let piece = draft.piece(&nested).unwrap();
        assert!(draft.put_member(&place, "deep", piece).unwrap_err().to_string().contains("more than 64 levels"));
    }
}
