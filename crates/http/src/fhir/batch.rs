//! A batch: each entry for itself. References between entries are left as they stand, as FHIR has it.

use lethe_fhir::{LocalBases, ReferenceMap, bundle::RequestEntry};
use lethe_store::{Expect, Write};

use super::{
    commit::Commit,
    entry::{Act, AddressedEntry, DoneWrite, read_entry, refused_entry},
    writing::WriteCall,
};
use crate::{App, error::ApiError};

/// Writes without a condition that are tried together, since one commit is cheaper than many.
const GROUP_WRITES_MAX: usize = 500;

/// What is to be done, in FHIR's order, each with its place in the Bundle, and what was refused already.
pub struct PlannedBatch {
    acts: Vec<(usize, Act)>,
    answers: Vec<(usize, String)>,
}

impl PlannedBatch {
    /// Reads all entries. Nothing is stored yet.
    pub fn of(entries: Vec<RequestEntry>, public_url: &str, bases: &LocalBases) -> Self {
        let no_names = ReferenceMap::default();
        let mut answers = Vec::new();
        let mut acts = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let act = AddressedEntry::of(index, entry, public_url).and_then(|entry| {
                let turn = entry.turn;
                entry.into_act(&no_names, bases).map(|act| (turn, act))
            });
            match act {
                Ok((turn, act)) => acts.push((turn, index, act)),
                Err(error) => answers.push((index, refused_entry(&error.in_entry(index)))),
            }
        }
        acts.sort_by_key(|(turn, ..)| *turn);
        Self { acts: acts.into_iter().map(|(_, index, act)| (index, act)).collect(), answers }
    }

    /// Does it and answers entry by entry, in the order of the Bundle.
    pub async fn run(self, app: &App, call: &WriteCall) -> Vec<String> {
        let mut answers = self.answers;
        let mut group: Vec<(usize, Write)> = Vec::new();
        let mut reads = Vec::new();
        for (index, act) in self.acts {
            match act {
                Act::Read(target) => reads.push((index, target)),
                Act::Write(write) => {
                    let is_conditional = matches!(write.expect, Expect::Version(_));
                    if is_conditional || group.len() == GROUP_WRITES_MAX {
                        answers.extend(write_group(app, call, std::mem::take(&mut group)).await);
                    }
                    group.push((index, write));
                    if is_conditional {
                        answers.extend(write_group(app, call, std::mem::take(&mut group)).await);
                    }
                }
            }
        }
        answers.extend(write_group(app, call, group).await);
        for (index, target) in reads {
            let answer = read_entry(app, &call.scope, &target).await;
            answers.push((index, answer.unwrap_or_else(|error| refused_entry(&error))));
        }
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// All together, and one by one if that fails, so that each stands for itself again.
async fn write_group(app: &App, call: &WriteCall, group: Vec<(usize, Write)>) -> Vec<(usize, String)> {
    let mut answers = Vec::with_capacity(group.len());
    if group.len() > 1 {
        let writes: Vec<Write> = group.iter().map(|(_, write)| write.clone()).collect();
        if let Ok(outcomes) = (Commit { guards: Vec::new(), writes }).run(app, &call.scope, None, &call.bases).await {
            for ((index, write), outcome) in group.iter().zip(outcomes) {
                let body = DoneWrite::body_to_show(write, call.returns);
                let done = DoneWrite { resource_type: write.resource_type, id: write.id.clone(), body, outcome };
                answers.push((*index, done.entry(app, call.returns)));
            }
            return answers;
        }
    }
    for (index, write) in group {
        let answer = write_alone(app, call, write).await;
        answers.push((index, answer.unwrap_or_else(|error| refused_entry(&error.in_entry(index)))));
    }
    answers
}

async fn write_alone(app: &App, call: &WriteCall, write: Write) -> Result<String, ApiError> {
    let body = DoneWrite::body_to_show(&write, call.returns);
    let (resource_type, id) = (write.resource_type, write.id.clone());
    let outcome = call.write(app, write).await?;
    Ok(DoneWrite { resource_type, id, body, outcome }.entry(app, call.returns))
}
