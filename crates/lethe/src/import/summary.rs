//! What an import did.

use std::{collections::BTreeMap, time::Duration};

use lethe_fhir::ResourceType;
use lethe_store::ChangeKind;
use serde_json::{Map, Value, json};

use super::read::Reject;
use crate::{
    progress::rate,
    terminal::{self, grouped},
};

/// Rejects that are printed; the rest are counted.
const REJECTS_SHOWN: u64 = 50;

/// Numbers of one import.
#[derive(Debug, Default)]
pub(crate) struct ImportSummary {
    by_type: BTreeMap<ResourceType, TypeTally>,
    /// Resources that were refused.
    pub(crate) rejected: u64,
    /// Bundle entries that carry no resource.
    pub(crate) skipped_entries: u64,
    elapsed: Duration,
    bytes_read: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct TypeTally {
    created: u64,
    updated: u64,
}

impl ImportSummary {
    pub(super) fn count(&mut self, resource_type: ResourceType, kind: Option<ChangeKind>) {
        let tally = self.by_type.entry(resource_type).or_default();
        match kind {
            Some(ChangeKind::Create) => tally.created += 1,
            // An import deletes nothing.
            Some(ChangeKind::Update | ChangeKind::Delete) | None => tally.updated += 1,
        }
    }

    pub(super) fn reject(&mut self, reject: &Reject, say: impl Fn(&str)) {
        self.rejected += 1;
        if self.rejected <= REJECTS_SHOWN {
            say(&reject.to_string());
        } else if self.rejected == REJECTS_SHOWN + 1 {
            say("more rejects follow; they are only counted");
        }
    }

    pub(super) fn finish(&mut self, elapsed: Duration, bytes_read: u64) {
        self.elapsed = elapsed;
        self.bytes_read = bytes_read;
    }

    /// Versions written.
    pub(crate) fn stored(&self) -> u64 {
        self.by_type.values().map(|tally| tally.created + tally.updated).sum()
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let by_type: Map<String, Value> = self
            .by_type
            .iter()
            .map(|(resource_type, tally)| (resource_type.to_string(), json!({ "created": tally.created, "updated": tally.updated })))
            .collect();
        json!({
            "stored": self.stored(), "rejected": self.rejected, "skippedEntries": self.skipped_entries, "seconds": self.elapsed.as_secs_f64(),
            "resourcesPerSecond": rate(self.stored(), self.elapsed), "bytesRead": self.bytes_read, "types": by_type,
        })
    }

    /// For people.
    pub(crate) fn print(&self) {
        let mut table = terminal::table(["type", "created", "updated"]);
        for (resource_type, tally) in &self.by_type {
            table.add_row([resource_type.to_string(), grouped(tally.created), grouped(tally.updated)]);
        }
        terminal::align_numbers(&mut table, 1);
        println!("{table}");
        let stored = self.stored();
        println!(
            "{} resources in {:.1} s, {}/s; {} rejected",
            grouped(stored),
            self.elapsed.as_secs_f64(),
            grouped(rate(stored, self.elapsed)),
            grouped(self.rejected)
        );
        if self.skipped_entries > 0 {
            println!("{} Bundle entries carry no resource and were left out", grouped(self.skipped_entries));
        }
    }
}
