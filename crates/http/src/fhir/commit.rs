//! The one way in which anything is written: in one write of the store, under its conditions, with the Provenance that came along.

use lethe_auth::{AccountId, Scope};
use lethe_fhir::LocalBases;
use lethe_store::{Change, ChangeKind, Expect, Guard, Write, WriteError, WriteOutcome};

use super::{provenance::HeaderProvenance, writing::one_account};
use crate::{App, error::ApiError};

/// How often something is tried again when another writer was faster, though the client set no condition that this would break.
pub const RACES_MAX: usize = 8;

/// What is to be written, all of it or nothing.
#[derive(Debug, Default)]
pub struct Commit {
    /// What conditions have seen, and what must still be so.
    pub guards: Vec<Guard>,
    /// In order.
    pub writes: Vec<Write>,
}

/// Why nothing was written.
#[derive(Debug)]
pub struct WriteRefusal {
    /// What is to blame.
    pub cause: Cause,
    /// What is wrong.
    pub error: ApiError,
}

/// What is to blame for a [`WriteRefusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The write with this index expected another version.
    Write(usize),
    /// What the condition of the guard with this index had seen has changed: look again.
    Guard(usize),
    /// Neither.
    Other,
}

impl From<ApiError> for WriteRefusal {
    fn from(error: ApiError) -> Self {
        Self { cause: Cause::Other, error }
    }
}

impl Commit {
    /// Does it, and stores the Provenance with it. The outcomes of the writes come back in order.
    pub async fn run(
        self,
        app: &App,
        scope: &Scope,
        provenance: Option<&HeaderProvenance>,
        bases: &LocalBases,
    ) -> Result<Vec<WriteOutcome>, WriteRefusal> {
        let account_id = one_account(scope)?;
        let Some(provenance) = provenance else { return self.store(app, account_id).await };
        let Self { guards, writes } = self;
        let is_unconditional: Vec<bool> = writes.iter().map(|write| write.expect == Expect::Anything).collect();
        let mut races = 0;
        loop {
            let (mut bound, targets) = bind_versions(app, scope, &writes).await?;
            if !targets.is_empty() {
                bound.push(provenance.about(targets, bases)?);
            }
            match (Self { guards: guards.clone(), writes: bound }).store(app, account_id).await {
                Ok(mut outcomes) => {
                    outcomes.truncate(writes.len());
                    return Ok(outcomes);
                }
                // The client set no condition, so another writer in between is no reason to refuse.
                Err(WriteRefusal { cause: Cause::Write(index), .. }) if races < RACES_MAX && is_unconditional.get(index) == Some(&true) => {
                    races += 1;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    async fn store(self, app: &App, account_id: AccountId) -> Result<Vec<WriteOutcome>, WriteRefusal> {
        app.store.write_if(account_id, self.guards, self.writes).await.map_err(|error| WriteRefusal {
            cause: match &error {
                WriteError::Expectation { index, .. } => Cause::Write(*index),
                WriteError::Guard(index) => Cause::Guard(*index),
                WriteError::NoAccount(_) | WriteError::Store(_) => Cause::Other,
            },
            error: error.into(),
        })
    }
}

/// Ties each write to the version that is current now, so that the version that it will make is known beforehand.
async fn bind_versions(app: &App, scope: &Scope, writes: &[Write]) -> Result<(Vec<Write>, Vec<String>), ApiError> {
    let mut bound = Vec::with_capacity(writes.len() + 1);
    let mut targets = Vec::with_capacity(writes.len());
    for write in writes {
        let target = format!("{}/{}", write.resource_type, write.id);
        let mut write = write.clone();
        if write.expect == Expect::Anything {
            let current = app.store.read(scope, write.resource_type, &write.id).await?;
            match (&write.change, current.map(|current| (current.kind, current.version))) {
                (Change::Delete, None | Some((ChangeKind::Delete, _))) => {}
                // What was deleted and comes back cannot be tied to a version, so none is named: better than one that may be wrong.
                (Change::Put { .. }, Some((ChangeKind::Delete, _))) => targets.push(target.clone()),
                (Change::Put { .. }, None) => write.expect = Expect::Absent,
                (_, Some((_, version))) => write.expect = Expect::Version(version),
            }
        }
        targets.extend(match write.expect {
            Expect::Absent => Some(format!("{target}/_history/1")),
            Expect::Version(current) => Some(format!("{target}/_history/{}", current + 1)),
            Expect::Anything => None,
        });
        bound.push(write);
    }
    Ok((bound, targets))
}
