//! A batch: each entry for itself. References between entries are left as they stand, as FHIR has it.

use std::sync::Arc;

use axum::body::Bytes;
use lethe_fhir::{LocalBases, ReferenceMap, bundle::RequestEntry};
use lethe_store::{Expect, Write};

use super::{
    commit::{Cause, Commit, RACES_MAX},
    condition::Removed,
    entry::{AddressedEntry, Aim, Turn, Whither},
    entry_answer::{Answers, DoneWrite, idle_entry, refused_entry},
    entry_read::read_entry,
    writing::{WriteCall, WriteRules},
};
use crate::{App, error::ApiError};

/// Writes without a condition that are tried together, since one commit is cheaper than many.
const GROUP_WRITES_MAX: usize = 500;

/// What is to be done, in FHIR's order, and what was refused already.
pub struct PlannedBatch {
    entries: Vec<AddressedEntry>,
    answers: Answers,
}

impl PlannedBatch {
    /// Reads all addresses. Nothing is stored yet.
    pub fn of(entries: Vec<RequestEntry<'_>>, body: &Bytes, public_url: &str, bases: &LocalBases) -> Self {
        let mut answers = Answers::default();
        let mut addressed = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match AddressedEntry::of(index, entry, body, public_url, bases) {
                Ok(entry) => addressed.push(entry),
                Err(error) => answers.push(index, refused(error, index)),
            }
        }
        addressed.sort_by_key(|entry| entry.turn);
        Self { entries: addressed, answers }
    }

    /// Does it and answers entry by entry, in the order of the Bundle.
    pub async fn run(self, app: &App, call: &WriteCall) -> Vec<String> {
        let mut answers = self.answers;
        let mut group = Vec::new();
        for entry in self.entries {
            if entry.is_plain_write() {
                group.push(entry);
                if group.len() == GROUP_WRITES_MAX {
                    write_group(app, call, std::mem::take(&mut group), &mut answers).await;
                }
                continue;
            }
            // What comes before it in FHIR's order is there when its condition is looked at.
            write_group(app, call, std::mem::take(&mut group), &mut answers).await;
            let answer = match &entry.whither {
                Whither::Lookup(lookup) => read_entry(app, call, &entry, lookup, &answers).await,
                _ => write_alone(app, call, &entry).await.unwrap_or_else(|error| refused(error, entry.index)),
            };
            answers.push(entry.index, answer);
        }
        write_group(app, call, group, &mut answers).await;
        answers.in_order()
    }
}

/// All together, and one by one if that fails, so that each stands for itself again.
async fn write_group(app: &App, call: &WriteCall, group: Vec<AddressedEntry>, answers: &mut Answers) {
    if group.is_empty() {
        return;
    }
    let entries = Arc::new(group);
    let (read, rules, scope) = (entries.clone(), call.rules.clone(), call.scope.clone());
    let mut writes = Vec::new();
    for (index, write) in aims_and_writes(app, &scope, read, rules).await {
        match write {
            Ok(write) => writes.push((index, write)),
            Err(error) => answers.push(index, refused(error, index)),
        }
    }
    let done: Vec<(usize, DoneWrite)> = writes.iter().map(|(index, write)| (*index, DoneWrite::of(write, call.returns))).collect();
    if writes.len() > 1 {
        let together = Commit { guards: Vec::new(), writes: writes.iter().map(|(_, write)| write.clone()).collect() };
        if let Ok(outcomes) = together.run(app, &call.scope, None, &call.rules.bases).await {
            for ((index, done), outcome) in done.iter().zip(outcomes) {
                answers.push(*index, done.entry(app, outcome, call.returns));
            }
            return;
        }
    }
    for ((index, write), (_, done)) in writes.into_iter().zip(done) {
        let answer = match call.write(app, write).await {
            Ok(outcome) => done.entry(app, outcome, call.returns),
            Err(error) => refused(error, index),
        };
        answers.push(index, answer);
    }
}

/// An address that leads nowhere stays 404 here: the entry stands for itself.
fn refused(error: ApiError, index: usize) -> String {
    match error {
        ApiError::NotFound(_) | ApiError::Gone(_) => refused_entry(&error),
        other => refused_entry(&other.in_entry(index)),
    }
}

/// The writes of entries that need no look at what is stored.
async fn aims_and_writes(
    app: &App,
    scope: &lethe_auth::Scope,
    entries: Arc<Vec<AddressedEntry>>,
    rules: WriteRules,
) -> Vec<(usize, Result<Write, ApiError>)> {
    let mut aims = Vec::with_capacity(entries.len());
    for entry in entries.iter() {
        aims.push(entry.aim(app, scope, &Removed::default()).await);
    }
    let indices: Vec<usize> = entries.iter().map(|entry| entry.index).collect();
    let build = move || {
        let no_names = ReferenceMap::default();
        let write = |entry: &AddressedEntry, aim: Result<Aim, ApiError>| {
            aim.and_then(|mut aim| entry.write(&mut aim, &no_names, &rules)).and_then(|write| write.ok_or(ApiError::Defect))
        };
        entries.iter().zip(aims).map(|(entry, aim)| (entry.index, write(entry, aim))).collect::<Vec<_>>()
    };
    // Reading hundreds of resources takes its time: other calls must not wait for it.
    let built = tokio::task::spawn_blocking(build).await;
    built.unwrap_or_else(|_| indices.into_iter().map(|index| (index, Err(ApiError::Defect))).collect())
}

/// An entry with a condition, or a patch.
async fn write_alone(app: &App, call: &WriteCall, entry: &AddressedEntry) -> Result<String, ApiError> {
    let no_names = ReferenceMap::default();
    let mut races = 0;
    loop {
        let mut aim = entry.aim(app, &call.scope, &Removed::default()).await?;
        let Some(write) = entry.write(&mut aim, &no_names, &call.rules)? else {
            return idle_entry(app, aim.existing.as_ref(), call.returns);
        };
        let done = DoneWrite::of(&write, call.returns);
        match call.write_if(app, aim.guard.into_iter().collect(), write).await {
            Ok(outcome) => return Ok(done.entry(app, outcome, call.returns)),
            Err(refusal) if races < RACES_MAX && is_lost_race(entry, refusal.cause) => races += 1,
            Err(refusal) => return Err(refusal.error),
        }
    }
}

/// Whether another writer was faster, and no condition of the client's forbids to try again.
pub fn is_lost_race(entry: &AddressedEntry, cause: Cause) -> bool {
    match cause {
        Cause::Guard(_) => true,
        Cause::Write(_) => entry.turn == Turn::Patch && entry.expect == Expect::Anything,
        Cause::Other => false,
    }
}
