//! A transaction: every entry or none, in one write of the store.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::body::Bytes;
use lethe_fhir::{IssueType, LocalBases, LogicalId, ReferenceMap, ResourceType, bundle::RequestEntry, conditional_references};
use lethe_store::Write;

use super::{
    batch::is_lost_race,
    commit::{Cause, Commit, WriteRefusal},
    condition::{Condition, LOOKS_MAX, Removed, several_match},
    entry::{AddressedEntry, Aim, Turn, Whither},
    entry_answer::{Answers, DoneWrite, idle_entry},
    entry_read::{Fate, read_entry},
    transaction_conditions::{Judged, written_fitting},
    writing::{WriteCall, WriteRules},
};
use crate::{App, error::ApiError};

/// What is to be done, in FHIR's order.
pub struct PlannedTransaction {
    entries: Arc<Vec<AddressedEntry>>,
    /// Conditional references, each once, with the entry that has it first.
    references: Vec<(String, usize)>,
}

/// A write of an entry.
struct EntryWrite {
    entry: usize,
    turn: Turn,
    write: Write,
}

impl PlannedTransaction {
    /// Reads all addresses, and looks for conditional references. Nothing is stored yet.
    ///
    /// # Errors
    /// The first entry that is wrong.
    pub fn of(entries: Vec<RequestEntry<'_>>, body: &Bytes, public_url: &str, bases: &LocalBases) -> Result<Self, ApiError> {
        let mut addressed = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            addressed.push(AddressedEntry::of(index, entry, body, public_url, bases).map_err(|error| error.in_entry(index))?);
        }
        addressed.sort_by_key(|entry| entry.turn);
        let references = conditional_references_of(&addressed, bases)?;
        Ok(Self { entries: Arc::new(addressed), references })
    }

    /// Stores it and answers entry by entry, in the order of the Bundle. Reads see what was written.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn run(self, app: &App, call: &WriteCall) -> Result<Vec<String>, ApiError> {
        let mut looks = 1;
        loop {
            match self.attempt(app, call).await {
                Err(refusal) if looks < LOOKS_MAX && self.is_lost_race(refusal.cause) => looks += 1,
                Err(refusal) => return Err(refusal.error),
                Ok(answers) => return Ok(answers),
            }
        }
    }

    fn is_lost_race(&self, cause: Cause) -> bool {
        match cause {
            // Here the index is that of the entry.
            Cause::Write(index) => self.entries.iter().any(|entry| entry.index == index && is_lost_race(entry, cause)),
            other => matches!(other, Cause::Guard(_)),
        }
    }

    async fn attempt(&self, app: &App, call: &WriteCall) -> Result<Vec<String>, WriteRefusal> {
        let (mut aims, removed) = self.aims(app, call).await?;
        let mut map = name_resources(&self.entries, &aims)?;
        self.demand_reads(app, call, &aims).await?;
        let mut conditions: Vec<Judged> = self.entries.iter().zip(&mut aims).flat_map(|(entry, aim)| Judged::of(entry, aim)).collect();
        conditions.extend(self.resolve_references(app, call, &aims, &removed, &mut map).await?);
        let mut answers = Answers::default();
        for (entry, aim) in self.entries.iter().zip(&aims) {
            if aim.id.is_none() && entry.turn != Turn::Read {
                answers.push(entry.index, idle_entry(app, aim.existing.as_ref(), call.returns)?);
            }
        }
        let entry_writes = self.writes(aims, map, call.rules.clone()).await?;
        if !entry_writes.is_empty() {
            self.commit(app, call, entry_writes, &conditions, &removed, &mut answers).await?;
        }
        // What fails from here on is said in its entry: the writes have been done.
        for entry in self.entries.iter() {
            if let Whither::Lookup(lookup) = &entry.whither {
                let answer = read_entry(app, call, entry, lookup, &answers).await;
                answers.push(entry.index, answer);
            }
        }
        Ok(answers.in_order())
    }

    /// Looks at the conditions, each as if what comes before it in FHIR's order had been deleted.
    async fn aims(&self, app: &App, call: &WriteCall) -> Result<(Vec<Aim>, Removed), ApiError> {
        let (mut aims, mut removed) = (Vec::with_capacity(self.entries.len()), Removed::default());
        let nothing = Removed::default();
        for entry in self.entries.iter() {
            let before = if entry.turn == Turn::Delete { &nothing } else { &removed };
            let aim = entry.aim(app, &call.scope, before).await.map_err(|error| error.in_entry(entry.index))?;
            if let (Turn::Delete, Some(id)) = (entry.turn, &aim.id) {
                removed.add(entry.target.resource_type, id);
            }
            aims.push(aim);
        }
        Ok((aims, removed))
    }

    /// Refuses the whole if it reads what will not be there.
    async fn demand_reads(&self, app: &App, call: &WriteCall, aims: &[Aim]) -> Result<(), ApiError> {
        let fate = |turn| if turn == Turn::Delete { Fate::Deleted } else { Fate::Written };
        let written = self.entries.iter().zip(aims);
        let fates: HashMap<(ResourceType, &LogicalId), Fate> =
            written.filter_map(|(entry, aim)| Some(((entry.target.resource_type, aim.id.as_ref()?), fate(entry.turn)))).collect();
        for entry in self.entries.iter() {
            if let Whither::Lookup(lookup) = &entry.whither {
                let readable = lookup.demand(app, &call.scope, entry.target.resource_type, &fates).await;
                readable.map_err(|error| error.in_entry(entry.index))?;
            }
        }
        Ok(())
    }

    async fn commit(
        &self,
        app: &App,
        call: &WriteCall,
        entry_writes: Vec<EntryWrite>,
        conditions: &[Judged],
        removed: &Removed,
        answers: &mut Answers,
    ) -> Result<(), WriteRefusal> {
        let turns: Vec<Turn> = entry_writes.iter().map(|write| write.turn).collect();
        let guards = conditions.iter().map(|condition| condition.guard(&turns)).collect();
        let mut done = Vec::with_capacity(entry_writes.len());
        let mut writes = Vec::with_capacity(entry_writes.len());
        for EntryWrite { entry, write, .. } in entry_writes {
            done.push((entry, DoneWrite::of(&write, call.returns)));
            writes.push(write);
        }
        let commit = Commit { guards, writes };
        let outcomes = match commit.run(app, &call.scope, call.provenance.as_ref(), &call.rules.bases).await {
            Ok(outcomes) => outcomes,
            Err(refusal) => {
                return Err(match refusal.cause {
                    Cause::Write(write) => match done.get(write) {
                        Some((index, _)) => WriteRefusal { cause: Cause::Write(*index), error: refusal.error.in_entry(*index) },
                        None => refusal,
                    },
                    Cause::Guard(guard) => match conditions.get(guard) {
                        Some(condition) if condition.is_broken_by_the_bundle(app, &call.scope, removed).await? => {
                            condition.refusal().into()
                        }
                        _ => refusal,
                    },
                    Cause::Other => refusal,
                });
            }
        };
        for ((index, done), outcome) in done.iter().zip(outcomes) {
            answers.push(*index, done.entry(app, outcome, call.returns));
        }
        Ok(())
    }

    /// Lets each conditional reference stand for the one resource that it selects when all is written: a stored one, or one that an entry
    /// writes.
    async fn resolve_references(
        &self,
        app: &App,
        call: &WriteCall,
        aims: &[Aim],
        removed: &Removed,
        map: &mut ReferenceMap,
    ) -> Result<Vec<Judged>, ApiError> {
        let mut judged = Vec::new();
        if self.references.is_empty() {
            return Ok(judged);
        }
        let same: HashMap<(ResourceType, &str), &LogicalId> = self
            .entries
            .iter()
            .zip(aims)
            .filter(|(entry, _)| matches!(entry.turn, Turn::Create | Turn::Update))
            .filter_map(|(entry, aim)| match &entry.whither {
                Whither::Fitting(condition) => aim.named().map(|id| (condition.text(), id)),
                _ => None,
            })
            .collect();
        let mut open = Vec::new();
        for (text, index) in &self.references {
            let in_entry = |error: ApiError| in_reference(error, text, *index);
            let condition = condition_of(text, &call.rules.bases).map_err(in_entry)?;
            if let Some(id) = same.get(&condition.text()) {
                map.add(text, condition.resource_type, id);
                continue;
            }
            let seen = condition.look_without(app, &call.scope, removed).await.map_err(in_entry)?;
            match seen.found {
                Some(found) => {
                    map.add(text, condition.resource_type, &found.id);
                    judged.push(Judged::reference(*index, seen.guard));
                }
                None => open.push((text, *index, condition, seen.guard)),
            }
        }
        if open.is_empty() {
            return Ok(judged);
        }
        let ids: Vec<Option<LogicalId>> = aims.iter().map(|aim| aim.id.clone()).collect();
        let wanted: Vec<Condition> = open.iter().map(|(_, _, condition, _)| condition.clone()).collect();
        let (entries, bases) = (self.entries.clone(), call.rules.bases.clone());
        // Many resources may have to be read for it: other calls must not wait.
        let find = move || written_fitting(&entries, &ids, &wanted, &bases);
        let found = tokio::task::spawn_blocking(find).await.map_err(|_| ApiError::Defect)??;
        for ((text, index, condition, guard), found) in open.into_iter().zip(found) {
            let in_entry = |error: ApiError| in_reference(error, text, index);
            match found.as_slice() {
                [id] => {
                    map.add(text, condition.resource_type, id);
                    judged.push(Judged::reference_to_new(index, guard, id));
                }
                [] => {
                    let text = format!("it selects no {} (0 fit), and must select exactly one", condition.resource_type);
                    return Err(in_entry(ApiError::bad(IssueType::NotFound, text)));
                }
                several => return Err(in_entry(several_match(condition.resource_type, several.len() as u64))),
            }
        }
        Ok(judged)
    }

    /// Reads the resources one by one and makes writes of them, so that never more than one stands in memory as a tree.
    async fn writes(&self, aims: Vec<Aim>, map: ReferenceMap, rules: WriteRules) -> Result<Vec<EntryWrite>, ApiError> {
        let entries = self.entries.clone();
        let build = move || {
            let mut writes = Vec::with_capacity(entries.len());
            for (entry, mut aim) in entries.iter().zip(aims) {
                let write = entry.write(&mut aim, &map, &rules).map_err(|error| error.in_entry(entry.index))?;
                writes.extend(write.map(|write| EntryWrite { entry: entry.index, turn: entry.turn, write }));
            }
            Ok(writes)
        };
        tokio::task::spawn_blocking(build).await.map_err(|_| ApiError::Defect)?
    }
}

fn in_reference(error: ApiError, text: &str, index: usize) -> ApiError {
    let shown: String = text.chars().take(120).collect();
    error.about(&format!("the conditional reference '{shown}'")).in_entry(index)
}

fn condition_of(text: &str, bases: &LocalBases) -> Result<Condition, ApiError> {
    let (type_name, query) = text.split_once('?').unwrap_or((text, ""));
    let resource_type = type_name.parse::<ResourceType>().map_err(|error| ApiError::bad(IssueType::Value, error.to_string()))?;
    Condition::parse(resource_type, query, bases)
}

fn conditional_references_of(entries: &[AddressedEntry], bases: &LocalBases) -> Result<Vec<(String, usize)>, ApiError> {
    let mut references = Vec::new();
    let mut known = HashSet::new();
    for entry in entries.iter().filter(|entry| matches!(entry.turn, Turn::Create | Turn::Update)) {
        if !entry.resource.as_ref().is_some_and(|text| may_have_condition(text)) {
            continue;
        }
        let resource = entry.read_resource().map_err(|error| error.in_entry(entry.index))?;
        for text in conditional_references(&resource, bases) {
            if known.insert(text.to_owned()) {
                references.push((text.to_owned(), entry.index));
            }
        }
    }
    Ok(references)
}

/// Whether some text in it begins as a conditional reference does, `"Patient?`. Few have, and the others need not be read twice.
fn may_have_condition(json: &[u8]) -> bool {
    let marks = json.iter().enumerate().filter(|(_, byte)| **byte == b'?');
    marks.into_iter().any(|(at, _)| {
        let before = json[..at].iter().rposition(|byte| !byte.is_ascii_alphabetic());
        before.is_some_and(|quote| json[quote] == b'"' && json[quote + 1].is_ascii_uppercase())
    })
}

fn name_resources(entries: &[AddressedEntry], aims: &[Aim]) -> Result<ReferenceMap, ApiError> {
    let mut map = ReferenceMap::default();
    let mut written: HashMap<(ResourceType, &LogicalId), Turn> = HashMap::new();
    let mut conditions = HashSet::new();
    let refused = |entry: &AddressedEntry, text: &str| ApiError::bad(IssueType::Invalid, text).in_entry(entry.index);
    let mut in_order: Vec<(&AddressedEntry, &Aim)> = entries.iter().zip(aims).collect();
    // The second in the Bundle is to blame, not the second to be done.
    in_order.sort_by_key(|(entry, _)| entry.index);
    for (entry, aim) in in_order {
        let Some(id) = aim.named() else { continue };
        let resource_type = entry.target.resource_type;
        // What a create finds already there may be changed by another entry; what is deleted it does not find.
        let turn = if aim.id.is_some() { entry.turn } else { Turn::Read };
        let earlier = written.insert((resource_type, id), turn);
        let is_fine = match (earlier, turn) {
            (None, _) | (Some(Turn::Read), _) | (_, Turn::Read) => true,
            (Some(_), _) => false,
        };
        if !is_fine {
            return Err(refused(entry, "the transaction writes this resource twice: send it once, or in two Bundles"));
        }
        if let (Whither::Fitting(condition), Turn::Create | Turn::Update) = (&entry.whither, entry.turn)
            && aim.existing.is_none()
            && !conditions.insert(condition.text())
        {
            return Err(refused(entry, "another entry has the same condition, so that both would write one resource: send it once"));
        }
        for name in entry.names() {
            if !map.add(&name, resource_type, id) {
                return Err(refused(entry, "another entry has the same fullUrl, so references to it are ambiguous"));
            }
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_conditional_reference_is_read_twice() {
        for (json, expected) in [
            (r#"{"reference":"Patient?identifier=1"}"#, true),
            (r#"{"text":"well? Really?"}"#, false),
            (r#"{"text":"?"}"#, false),
            (r#"{"url":"http://x/Patient?a=b"}"#, false),
            ("?", false),
            ("", false),
        ] {
            assert_eq!(may_have_condition(json.as_bytes()), expected, "{json}");
        }
    }
}
