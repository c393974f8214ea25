//! What a resource contains, as a reference to it finds it: a chain is evaluated there, too
//! (<https://hl7.org/fhir/R4/search.html#contained>).

use std::{cell::RefCell, collections::HashMap};

use lethe_fhir::{LocalBases, ResourceType};
use serde_json::{Map, Value};

use super::{Found, tree};
use crate::IndexValues;

/// Links from one contained resource to the next that are followed.
const LINKS_MAX: usize = 2;

/// Bytes of the index values of one contained resource. One with more is not looked into by chains.
const CONTAINED_BYTES_MAX: usize = 60_000;

/// Index values, unless they are too many or too far away.
type Kept = Option<Vec<u8>>;

/// The resources that a resource contains.
pub(super) struct Contained<'a> {
    by_id: HashMap<&'a str, (ResourceType, &'a Map<String, Value>)>,
    /// What was read, by the id and how many links led there.
    read: RefCell<HashMap<(String, usize), Kept>>,
}

impl<'a> Contained<'a> {
    pub fn of(resource: &'a Map<String, Value>) -> Self {
        let mut by_id = HashMap::new();
        let list = resource.get("contained").and_then(Value::as_array);
        for content in list.into_iter().flatten().filter_map(Value::as_object) {
            let text = |name: &str| content.get(name).and_then(Value::as_str);
            if let (Some(id), Some(resource_type)) = (text("id"), text("resourceType").and_then(|name| name.parse().ok())) {
                by_id.entry(id).or_insert((resource_type, content));
            }
        }
        Self { by_id, read: RefCell::default() }
    }

    /// The type of the resource with this id, and its index values.
    pub fn get<'s>(&'s self, id: &str, links: usize, bases: &'s LocalBases) -> Option<(ResourceType, Kept)> {
        let (resource_type, content) = self.by_id.get(id)?;
        if links >= LINKS_MAX {
            return Some((*resource_type, None));
        }
        if let Some(known) = self.read.borrow().get(&(id.to_owned(), links)) {
            return Some((*resource_type, known.clone()));
        }
        let mut found = Found { contained: Some(self), links: links + 1, ..Found::new(bases) };
        tree::of(*resource_type).walk_resource(content, &mut found);
        let is_over = found.is_over;
        let values = IndexValues::of(found.values).as_bytes().to_vec();
        let values = Some(values).filter(|values| !is_over && values.len() <= CONTAINED_BYTES_MAX);
        self.read.borrow_mut().insert((id.to_owned(), links), values.clone());
        Some((*resource_type, values))
    }
}
