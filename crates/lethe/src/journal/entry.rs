//! The lines of a journal: how one is written, and how one is read that is what was written.

use base64::{Engine, prelude::BASE64_STANDARD};
use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::Instant;
use lethe_jobs::{JobEvent, JobState};
use lethe_purge::{PurgeLevel, Selection, SeqSet};
use lethe_store::{JobId, JournalMark, PurgeJob, RecordedPurge, RemovedPart};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How this version writes a journal.
pub(super) const FORMAT: u32 = 1;
/// Bytes of a line, at most: a part with all its places far apart takes less than half.
pub(super) const LINE_BYTES_MAX: u64 = 1 << 20;
/// Before the hash, which ends the line.
const HASH_MEMBER: &str = ",\"hash\":\"";
/// Hexadecimal digits of a hash, then the ends of its string and of the object.
const HASH_BYTES: usize = 64 + 2;

/// What a line says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    /// The first of a journal.
    Journal { format: u32, store: Uuid, on: String },
    /// A server has started, and gives out places from here on.
    Line { line: Uuid, after_line: Option<Uuid>, after_seq: u64, on: String },
    /// Places of versions that a purge removed. The lines of a purge follow each other, and its end follows them.
    Removed { job: JobId, account: i64, r#type: String, seqs: String },
    /// A purge has ended.
    Purge(PurgeEnd),
}

/// The end of a purge. What it removed is in the lines before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeEnd {
    pub(crate) job: JobId,
    client: String,
    /// `None`: all accounts of the client.
    account: Option<i64>,
    types: Option<Vec<String>>,
    before_ms: Option<i64>,
    include_deleted: bool,
    /// `None`: everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    filtered_types: Vec<String>,
    created_on_ms: i64,
    /// As the worker meant to end it.
    pub(crate) outcome: String,
    pub(crate) on: String,
    /// The line on which its places were given out.
    pub(crate) line: Option<Uuid>,
    /// Lines before this one that belong to it.
    pub(crate) parts: u64,
    /// Places in them.
    pub(crate) versions: u64,
}

impl PurgeEnd {
    pub(super) fn new(job: &PurgeJob, event: JobEvent, line: Option<Uuid>, on: Instant, (parts, versions): (u64, u64)) -> Self {
        let names = |types: &Vec<lethe_fhir::ResourceType>| types.iter().map(ToString::to_string).collect();
        Self {
            job: job.job_id,
            client: job.owner.client_id().0.clone(),
            account: job.owner.account_id().map(|account_id| account_id.0),
            types: job.selection.types.as_ref().map(names),
            before_ms: job.selection.before.map(Instant::as_unix_ms),
            include_deleted: job.selection.include_deleted,
            level: (job.selection.level != PurgeLevel::System).then(|| job.selection.level.stored().to_owned()),
            filtered_types: names(&job.selection.filtered_types),
            created_on_ms: job.created_on.as_unix_ms(),
            outcome: outcome(event).to_owned(),
            on: on.to_string(),
            line,
            parts,
            versions,
        }
    }

    /// As the store is told of it, with a fresh key for its digests. Types and levels that this version does not know are left out: they were
    /// there only to be shown.
    pub(crate) fn recorded(&self, digest_key: [u8; 32]) -> RecordedPurge {
        let client_id = ClientId(self.client.clone());
        let known = |names: &Vec<String>| names.iter().filter_map(|name| name.parse().ok()).collect();
        RecordedPurge {
            job_id: self.job,
            owner: match self.account {
                Some(account) => Scope::Account { client_id, account_id: AccountId(account) },
                None => Scope::Client { client_id },
            },
            selection: Selection {
                types: self.types.as_ref().map(known),
                before: self.before_ms.map(Instant::from_unix_ms),
                include_deleted: self.include_deleted,
                level: self.level.as_deref().and_then(|level| level.parse().ok()).unwrap_or_default(),
                filtered_types: known(&self.filtered_types),
            },
            created_on: Instant::from_unix_ms(self.created_on_ms),
            digest_key,
        }
    }
}

impl PurgeEnd {
    /// How it ended; `None` if that is no outcome.
    pub(crate) fn ended(&self) -> Option<(JobEvent, JobState)> {
        let known = [(JobEvent::Complete, JobState::Successful), (JobEvent::Fail, JobState::Failed), (JobEvent::Stop, JobState::Canceled)];
        known.into_iter().find(|(event, _)| outcome(*event) == self.outcome)
    }
}

/// What a job that ends so is called.
pub(super) fn outcome(event: JobEvent) -> &'static str {
    match event {
        JobEvent::Complete => "successful",
        JobEvent::Stop | JobEvent::Cancel => "canceled",
        JobEvent::Fail | JobEvent::Claim | JobEvent::Retry => "failed",
    }
}

/// A part as its line says it.
pub(super) fn part_entry(job: JobId, part: &RemovedPart) -> Entry {
    Entry::Removed {
        job,
        account: part.account_id.0,
        r#type: part.resource_type.to_string(),
        seqs: BASE64_STANDARD.encode(part.seqs.to_bytes()),
    }
}

/// Reads [`part_entry`]; `None` if it is no part.
pub(super) fn read_part(entry: &Entry, number: u64) -> Option<RemovedPart> {
    let Entry::Removed { account, r#type, seqs, .. } = entry else { return None };
    Some(RemovedPart {
        part: number,
        account_id: AccountId(*account),
        resource_type: r#type.parse().ok()?,
        seqs: SeqSet::from_bytes(&BASE64_STANDARD.decode(seqs).ok()?).ok()?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    n: u64,
    entry: Entry,
    #[serde(rename = "hash")]
    _hash: String,
}

/// Writes the entry that follows `before`, with the end of its line, and says how far the journal goes with it.
pub(super) fn write_line(before: Option<JournalMark>, entry: &Entry, out: &mut Vec<u8>) -> serde_json::Result<JournalMark> {
    let record = before.map_or(1, |mark| mark.record + 1);
    let start = out.len();
    out.extend_from_slice(format!("{{\"n\":{record},\"entry\":").as_bytes());
    serde_json::to_writer(&mut *out, entry)?;
    let hash = chained(before, &out[start..]);
    out.extend_from_slice(HASH_MEMBER.as_bytes());
    out.extend_from_slice(hex(&hash).as_bytes());
    out.extend_from_slice(b"\"}\n");
    Ok(JournalMark { record, hash })
}

/// Why a line is not the one that was written behind the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadLine {
    /// It is no line of a journal.
    Unreadable,
    /// It is the record of another number.
    OutOfOrder { found: u64 },
    /// It, or one before, was changed.
    Changed,
}

/// Reads the line that follows `before`, without its end.
pub(super) fn read_line(before: Option<JournalMark>, line: &[u8]) -> Result<(JournalMark, Entry), BadLine> {
    let parsed: Line = serde_json::from_slice(line).map_err(|_| BadLine::Unreadable)?;
    let record = before.map_or(1, |mark| mark.record + 1);
    if parsed.n != record {
        return Err(BadLine::OutOfOrder { found: parsed.n });
    }
    let end = line.len().checked_sub(HASH_MEMBER.len() + HASH_BYTES).ok_or(BadLine::Unreadable)?;
    let (said, rest) = line.split_at(end);
    let hash = chained(before, said);
    if rest != format!("{HASH_MEMBER}{}\"}}", hex(&hash)).as_bytes() {
        return Err(BadLine::Changed);
    }
    Ok((JournalMark { record, hash }, parsed.entry))
}

fn chained(before: Option<JournalMark>, said: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before.map_or([0; 32], |mark| mark.hash));
    hash.update(said);
    hash.finalize().into()
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        text
    })
}

/// What tells apart what a purge put on record from the same purge with something else.
#[derive(Clone)]
pub(crate) struct Digested(Sha256);

impl Digested {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn add(&mut self, part: &RemovedPart) {
        let seqs = part.seqs.to_bytes();
        self.0.update(part.account_id.0.to_be_bytes());
        self.0.update([part.resource_type.code()]);
        self.0.update((seqs.len() as u64).to_be_bytes());
        self.0.update(seqs);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn levels_and_types_with_conditions_are_read_back_and_lines_without_them_stay_as_they_were() {
        let line = json!({
            "job": Uuid::nil(), "client": "c", "account": 1, "types": ["Observation"], "before_ms": null, "include_deleted": false,
            "created_on_ms": 0, "outcome": "successful", "on": "", "line": null, "parts": 0, "versions": 0,
        });
        let end: PurgeEnd = serde_json::from_value(line.clone()).unwrap();
        assert_eq!(end.recorded([0; 32]).selection.level, PurgeLevel::System);
        assert_eq!(serde_json::to_value(&end).unwrap(), line);
        let mut listed = line;
        listed["level"] = json!("group");
        listed["filtered_types"] = json!(["Observation"]);
        let end: PurgeEnd = serde_json::from_value(listed.clone()).unwrap();
        let selection = end.recorded([0; 32]).selection;
        assert_eq!((selection.level, selection.filtered_types), (PurgeLevel::Group, vec!["Observation".parse().unwrap()]));
        assert_eq!(serde_json::to_value(&end).unwrap(), listed);
    }
}
