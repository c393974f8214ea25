//! Bundles as files: their entries, one at a time, however large the file is.

use std::{collections::HashMap, fmt, io::BufRead, io::Read};

use anyhow::{Context, Result};
use lethe_fhir::{LogicalId, ReferenceMap, ResourceType};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::read::{Chunker, Place, RawResource};

/// Kinds whose entries are meant. A document or message is a resource of its own and is imported as one.
const UNPACKED_KINDS: [&str; 4] = ["collection", "batch", "transaction", "searchset"];

/// What the entries of one Bundle are called inside it.
#[derive(Debug, Default)]
pub(super) struct BundleNames {
    references: ReferenceMap,
    ids: HashMap<String, LogicalId>,
}

impl BundleNames {
    /// The references by `urn:…` names, replaced by what the resources are called in the store.
    pub(super) fn references(&self) -> &ReferenceMap {
        &self.references
    }

    /// The id that was given to the entry of this `fullUrl` because its resource had none.
    pub(super) fn given_id(&self, full_url: &str) -> Option<&LogicalId> {
        self.ids.get(full_url)
    }

    fn add(&mut self, entry: &EntryFrame) {
        let (Some(full_url), Some(resource)) = (&entry.full_url, &entry.resource) else { return };
        let Ok(resource_type) = resource.resource_type.as_deref().unwrap_or_default().parse::<ResourceType>() else { return };
        if !full_url.starts_with("urn:") {
            return;
        }
        let id = resource.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_else(|| LogicalId::from(uuid::Uuid::new_v4()));
        self.references.add(full_url, resource_type, &id);
        if resource.id.is_none() {
            self.ids.insert(full_url.clone(), id);
        }
    }
}

#[derive(Deserialize)]
struct DocumentFrame {
    #[serde(rename = "resourceType")]
    resource_type: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
}

#[derive(Deserialize)]
struct EntryFrame {
    #[serde(rename = "fullUrl")]
    full_url: Option<String>,
    resource: Option<ResourceFrame>,
}

#[derive(Deserialize)]
struct ResourceFrame {
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "fullUrl")]
    full_url: Option<String>,
    resource: Option<Box<RawValue>>,
}

/// Looks a document through; `None` if it is no Bundle whose entries are meant.
///
/// # Errors
/// It is not JSON, or cannot be read.
pub(super) fn read_names<R: BufRead>(open: impl Fn() -> std::io::Result<R>) -> Result<Option<BundleNames>> {
    let opened = || open().context("cannot be read");
    let frame: DocumentFrame = serde_json::from_reader(opened()?).context("the content is not valid JSON")?;
    let is_unpacked = frame.kind.as_ref().and_then(Value::as_str).is_some_and(|kind| UNPACKED_KINDS.contains(&kind));
    if frame.resource_type.as_ref().and_then(Value::as_str) != Some("Bundle") || !is_unpacked {
        return Ok(None);
    }
    let mut names = BundleNames::default();
    let mut add = |entry: EntryFrame| {
        names.add(&entry);
        true
    };
    each_entry(opened()?, &mut add)?;
    Ok(Some(names))
}

/// Hands on the resource of every entry. Returns `false` when nobody wants any more.
///
/// # Errors
/// The rest is not JSON, or cannot be read; what came before has been handed on.
pub(super) fn read_entries(reader: impl Read, chunker: &mut Chunker<'_>) -> Result<bool> {
    let mut index = 0;
    let mut push = |entry: Entry| {
        let place = Place::Entry(index);
        index += 1;
        match entry.resource {
            Some(json) => chunker.push(RawResource { place, full_url: entry.full_url, json: json.get().as_bytes().to_owned() }),
            None => {
                chunker.skip_entry();
                true
            }
        }
    };
    each_entry(reader, &mut push)
}

/// Calls `take` for each entry of a Bundle until it returns `false`; then returns `false` too.
fn each_entry<E: for<'de> Deserialize<'de>>(reader: impl Read, take: &mut dyn FnMut(E) -> bool) -> Result<bool> {
    let mut is_wanted = true;
    let mut watched = |entry| {
        is_wanted = take(entry);
        is_wanted
    };
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = BundleVisitor(&mut watched).deserialize(&mut deserializer);
    match read {
        // The visitor stops with an error when nobody wants any more; that is no failure.
        Err(_) if !is_wanted => Ok(false),
        Err(error) => Err(error).context("the rest of the Bundle cannot be read"),
        Ok(()) => Ok(true),
    }
}

struct BundleVisitor<'a, E>(&'a mut dyn FnMut(E) -> bool);

impl<'de, E: Deserialize<'de>> DeserializeSeed<'de> for BundleVisitor<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Deserialize<'de>> Visitor<'de> for BundleVisitor<'_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Bundle")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == "entry" {
                members.next_value_seed(EntriesVisitor(&mut *self.0))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct EntriesVisitor<'a, E>(&'a mut dyn FnMut(E) -> bool);

impl<'de, E: Deserialize<'de>> DeserializeSeed<'de> for EntriesVisitor<'_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, E: Deserialize<'de>> Visitor<'de> for EntriesVisitor<'_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<E>()? {
            if !(self.0)(entry) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
