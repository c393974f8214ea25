//! Raw resources → writes, or the reason why not.

use lethe_fhir::{LocalBases, LogicalId, Resource, conditional_references};
use lethe_store::{Expect, Write};

use super::{
    bundle::BundleNames,
    read::{Place, RawChunk, RawResource, Reject},
};

/// What became of a [`RawChunk`].
pub(super) struct ParsedChunk {
    pub(super) writes: Vec<Write>,
    pub(super) rejects: Vec<Reject>,
    pub(super) skipped_entries: u64,
}

pub(super) fn parse_chunk(chunk: RawChunk, bases: &LocalBases) -> ParsedChunk {
    let mut parsed =
        ParsedChunk { writes: Vec::with_capacity(chunk.resources.len()), rejects: chunk.rejects, skipped_entries: chunk.skipped_entries };
    for raw in chunk.resources {
        match parse(&raw, &chunk.names, bases) {
            Ok(write) => parsed.writes.push(write),
            Err(reason) => {
                parsed.rejects.push(Reject { file: chunk.file.clone(), place: raw.place, reason: without_second_line(raw.place, reason) });
            }
        }
    }
    parsed
}

fn parse(raw: &RawResource, names: &BundleNames, bases: &LocalBases) -> Result<Write, String> {
    let mut resource = Resource::parse(&raw.json).map_err(|error| error.to_string())?;
    names.references().rewrite(&mut resource);
    if let Some(text) = conditional_references(&resource, bases).first() {
        return Err(format!("'{text}' is a conditional reference, and those are not supported: write Type/id"));
    }
    let given = || raw.full_url.as_deref().and_then(|full_url| names.given_id(full_url)).cloned();
    let id = resource.id.clone().or_else(given).unwrap_or_else(|| LogicalId::from(uuid::Uuid::new_v4()));
    Write::put(&resource, id, bases, Expect::Anything).map_err(|error| error.to_string())
}

/// A line of a file is read by itself, so that the reader of JSON calls each line 1; the column is right.
fn without_second_line(place: Place, reason: String) -> String {
    match place {
        Place::Line(_) => reason.replace(" at line 1 column ", " at column "),
        Place::Entry(_) | Place::File => reason,
    }
}
