//! A transaction: every entry or none, in one write of the store.

use std::collections::HashSet;

use lethe_fhir::{IssueType, LocalBases, ReferenceMap, bundle::RequestEntry};
use lethe_store::Write;

use super::{
    commit::{Cause, Commit},
    entry::{Act, AddressedEntry, DoneWrite, read_entry, refused_entry},
    writing::WriteCall,
};
use crate::{App, error::ApiError};

/// What is to be done, in FHIR's order, each with its place in the Bundle.
pub struct PlannedTransaction {
    acts: Vec<(usize, Act)>,
}

impl PlannedTransaction {
    /// Reads all entries, gives ids to what is created, and resolves references. Nothing is stored yet.
    ///
    /// # Errors
    /// The first entry that is wrong; one resource written twice; one `fullUrl` used twice.
    pub fn of(entries: Vec<RequestEntry>, public_url: &str, bases: &LocalBases) -> Result<Self, ApiError> {
        let mut addressed = entries
            .into_iter()
            .enumerate()
            .map(|(index, entry)| AddressedEntry::of(index, entry, public_url).map_err(|error| error.in_entry(index)))
            .collect::<Result<Vec<_>, _>>()?;
        let map = name_resources(&addressed)?;
        addressed.sort_by_key(|entry| entry.turn);
        let acts = addressed
            .into_iter()
            .map(|entry| {
                let index = entry.index;
                entry.into_act(&map, bases).map(|act| (index, act)).map_err(|error| error.in_entry(index))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { acts })
    }

    /// Stores it and answers entry by entry, in the order of the Bundle. Reads see what was written.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn run(self, app: &App, call: &WriteCall) -> Result<Vec<String>, ApiError> {
        let mut reads = Vec::new();
        let mut writes: Vec<Write> = Vec::new();
        let mut places = Vec::new();
        for (index, act) in self.acts {
            match act {
                Act::Read(target) => reads.push((index, target)),
                Act::Write(write) => {
                    places.push((index, write.resource_type, write.id.clone(), DoneWrite::body_to_show(&write, call.returns)));
                    writes.push(write);
                }
            }
        }
        let outcomes = if writes.is_empty() {
            Vec::new()
        } else {
            let commit = Commit { guards: Vec::new(), writes };
            commit.run(app, &call.scope, call.provenance.as_ref(), &call.bases).await.map_err(|refusal| match refusal.cause {
                Cause::Write(write) => match places.get(write) {
                    Some((index, ..)) => refusal.error.in_entry(*index),
                    None => refusal.error,
                },
                Cause::Guard | Cause::Other => refusal.error,
            })?
        };
        let mut answers: Vec<(usize, String)> = places
            .into_iter()
            .zip(outcomes)
            .map(|((index, resource_type, id, body), outcome)| {
                (index, DoneWrite { resource_type, id, body, outcome }.entry(app, call.returns))
            })
            .collect();
        for (index, target) in reads {
            let answer = read_entry(app, &call.scope, &target).await;
            answers.push((index, answer.unwrap_or_else(|error| refused_entry(&error))));
        }
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

fn name_resources(entries: &[AddressedEntry]) -> Result<ReferenceMap, ApiError> {
    let mut map = ReferenceMap::default();
    let mut written = HashSet::new();
    for entry in entries {
        let Some(id) = &entry.id else { continue };
        let resource_type = entry.target.resource_type;
        if !written.insert((resource_type, id)) {
            let text = "the transaction writes this resource twice: send it once, or in two Bundles";
            return Err(ApiError::bad(IssueType::Invalid, text).in_entry(entry.index));
        }
        for name in entry.names() {
            if !map.add(&name, resource_type, id) {
                let text = "another entry has the same fullUrl, so references to it are ambiguous";
                return Err(ApiError::bad(IssueType::Invalid, text).in_entry(entry.index));
            }
        }
    }
    Ok(map)
}
