//! What a certificate says, field by field. docs/certificate.md tells what each means, and how they map to HL7's and NIST's.

use std::collections::BTreeMap;

use lethe_purge::Counts;
use serde::{Deserialize, Serialize};

/// The format that this version writes and reads.
pub const FORMAT: &str = "lethe-purge-certificate/1";

/// One end of a purge job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: String,
    /// Its number in the chain of its store, from 1.
    pub number: u64,
    /// Which store: drawn when the store was made.
    pub store: String,
    /// Hash of the certificate before it; null for the first.
    pub previous: Option<String>,
    /// The certificate of an earlier end of the same job, before a retry: this one counts for both.
    pub replaces: Option<u64>,
    /// When it was made, by the clock of the server.
    pub issued_on: String,
    /// Who destroyed.
    pub issuer: IssuerName,
    /// What was asked for, and what came of it.
    pub destruction: Destruction,
    /// How much.
    pub counts: CountsByType,
    /// How.
    pub method: Method,
    /// What was found of it afterwards; null if nobody looked.
    pub probe: Option<Probe>,
    /// What proofs of single deletions lead to.
    pub deleted: DeletedTree,
    /// What nobody may conclude from it.
    pub not_covered: Vec<String>,
}

/// Who destroyed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerName {
    /// Who operates the server, if it was told.
    pub organization: Option<String>,
    /// Where the server is reached.
    pub location: Option<String>,
    /// The program.
    pub software: String,
    /// Its version.
    pub software_version: String,
}

/// The job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destruction {
    /// The id of the job: the identifier of this destruction.
    pub id: String,
    /// What happened to the records: `destroy`.
    pub event: String,
    /// The client that asked.
    pub client_id: String,
    /// Its name here.
    pub client_name: String,
    /// Whose resources: the number of the user, or `client` for all users of the client.
    pub user_id: String,
    /// Why, in the words of whoever asked.
    pub reason: Option<String>,
    /// What was selected.
    pub selection: Selected,
    /// The last version, in the order of commits, that could be touched.
    pub watermark: u64,
    /// The kick-off.
    pub requested_on: String,
    /// When the plan was stored; null if it never was.
    pub planned_on: Option<String>,
    /// The end.
    pub ended_on: String,
    /// How often it was retried.
    pub retry_count: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed as a whole.
    pub failure: Option<String>,
    /// Legal holds that it met.
    pub holds: Vec<String>,
}

/// What was selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selected {
    /// Resource types; null for all.
    pub types: Option<Vec<String>>,
    /// Only what was last updated before.
    pub before: Option<String>,
    /// Also what a FHIR delete had left behind.
    pub include_deleted: bool,
    /// Whose resources: `system` for everybody's, `patient` for a patient's compartment, `group` for those of the members of a Group.
    pub level: String,
    /// Types of which only what fits conditions was selected. The conditions may quote what was destroyed and are not kept.
    pub conditions_on: Vec<String>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All that was planned has its outcome, and nothing was found of it.
    Successful,
    /// Not all of it was removed, or something was found; it may be retried.
    Failed,
    /// Stopped before its end: what was removed is counted, the rest is whole.
    Canceled,
}

/// Numbers of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Numbers {
    /// Were to go.
    pub planned: u64,
    /// Are gone.
    pub deleted: u64,
    /// Versions that are gone with them.
    pub deleted_versions: u64,
    /// Were left alone, since they were changed or needed by something that was.
    pub spared: u64,
    /// Were left alone because of a legal hold.
    pub held: u64,
    /// Could not be removed.
    pub failed: u64,
}

impl Numbers {
    /// The numbers of a job, with the versions that went.
    #[must_use]
    pub fn new(counts: Counts, deleted_versions: u64) -> Self {
        let Counts { planned, deleted, spared, held, failed } = counts;
        Self { planned, deleted, deleted_versions, spared, held, failed }
    }

    /// Those that have an outcome; `None` if no number can hold them.
    pub(crate) fn settled(&self) -> Option<u64> {
        [self.deleted, self.spared, self.held, self.failed].into_iter().try_fold(0_u64, u64::checked_add)
    }

    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            planned: self.planned.checked_add(other.planned)?,
            deleted: self.deleted.checked_add(other.deleted)?,
            deleted_versions: self.deleted_versions.checked_add(other.deleted_versions)?,
            spared: self.spared.checked_add(other.spared)?,
            held: self.held.checked_add(other.held)?,
            failed: self.failed.checked_add(other.failed)?,
        })
    }
}

/// Numbers of resources, in all and by type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountsByType {
    /// The sum.
    pub total: Numbers,
    /// By resource type.
    pub by_type: BTreeMap<String, Numbers>,
}

/// How far the removal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No query finds it; bytes of it may be left in the files of the store.
    Rows,
    /// Its bytes are overwritten in the files of the store, too.
    Files,
}

/// How it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Method {
    /// How far it went.
    pub level: Level,
    /// In words.
    pub description: String,
}

/// The probe that looked for what should be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// Rows that were found, by where it looked.
    pub residue: BTreeMap<String, u64>,
}

/// A Merkle tree over the names of what was deleted, each salted: see `docs/certificate.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeletedTree {
    /// [`TREE`].
    pub algorithm: String,
    /// Resources in it.
    pub resources: u64,
    /// Batches of the job that removed any.
    pub batches: u64,
    /// The root.
    pub root: String,
}

/// The kind of tree that this version makes.
pub const TREE: &str = "lethe-batched-merkle-sha256/1";
