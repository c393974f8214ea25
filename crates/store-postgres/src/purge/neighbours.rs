//! What surrounds a possible companion: the targets of a Provenance, the resources that refer to a Binary, and the fate of each.

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::{Seq, companions::Neighbour, holds::HoldsInForce, selection::Candidate};
use lethe_search::ProvenanceTarget;
use tokio_postgres::Row;

use super::{
    held,
    job::JobRow,
    known::{Known, Looking, NEIGHBOURS_MAX, Source},
    listed::{self, Role},
};
use crate::{
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn, at_most, seq},
    error::Result,
    holds,
    index_columns::TargetsColumn,
    resources::{SELECT_HEAD, SELECT_VERSION_TIME, types_of},
    transaction::{Tx, Values},
};

const SELECT_TARGETS: &str = include_str!("../../sql/purge/targets_of_provenance.sql");
const HAS_REFERENCES: &str = include_str!("../../sql/purge/has_references_to_type.sql");
const SELECT_SOURCES: &str = include_str!("../../sql/purge/sources_of_reference.sql");
const HAS_HELD: &str = include_str!("../../sql/purge/has_held.sql");

/// What to think of a Provenance or Binary that is not selected and not (yet) listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    /// While candidates are gathered: it may still be listed, so it keeps nobody.
    MayGo,
    /// Afterwards: it stays.
    Remains,
}

/// One account, seen by one job.
pub(super) struct Neighbourhood<'a> {
    tx: &'a Tx,
    job: &'a JobRow,
    account_id: AccountId,
    /// Types of which some resource refers to a Binary.
    binary_sources: Vec<ResourceType>,
    /// What is in force now.
    holds: HoldsInForce<i64>,
    /// Whether targets of the account were found to be on hold.
    has_held: bool,
    /// What was looked up beforehand.
    known: Known,
}

/// The current version of a neighbour, without its content.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) seq: Seq,
    candidate: Candidate,
}

impl Head {
    pub(super) fn of(resource_type: ResourceType, seq: Seq, kind: i16, last_updated: Instant) -> Self {
        Self { seq, candidate: Candidate { resource_type, last_updated, seq, is_deletion: kind == KIND_DELETE } }
    }
}

impl<'a> Neighbourhood<'a> {
    pub(super) async fn new(tx: &'a Tx, job: &'a JobRow, account_id: AccountId, now: Instant) -> Result<Self> {
        let mut binary_sources = Vec::new();
        for source in types_of(tx, account_id).await? {
            if has_references(tx, account_id, source, ResourceType::BINARY).await? {
                binary_sources.push(source);
            }
        }
        let holds = holds::in_force(tx, account_id, now).await?;
        let has_held = tx.row(HAS_HELD, &[&job.number, &account_id.0]).await?.try_get(0)?;
        Ok(Self { tx, job, account_id, binary_sources, holds, has_held, known: Known::default() })
    }

    /// Looks up what is asked about these Provenances and Binaries, in place of what was looked up before.
    pub(super) async fn look_up(&mut self, provenances: &[Seq], binaries: &[LogicalId]) -> Result<()> {
        self.known = self.looking().up(provenances, binaries).await?;
        Ok(())
    }

    fn looking(&self) -> Looking<'_> {
        Looking { tx: self.tx, job: self.job, account_id: self.account_id, binary_sources: &self.binary_sources }
    }

    pub(super) fn binary_sources(&self) -> Vec<ResourceType> {
        self.binary_sources.clone()
    }

    /// Whether some Provenance refers to a Provenance, so that one that goes can take another along.
    pub(super) async fn has_provenance_about_provenance(&self) -> Result<bool> {
        has_references(self.tx, self.account_id, ResourceType::PROVENANCE, ResourceType::PROVENANCE).await
    }

    /// The place of the current version, if there is one with content.
    pub(super) async fn current_seq(&self, resource_type: ResourceType, id: &LogicalId) -> Result<Option<Seq>> {
        Ok(self.head(&self.known, resource_type, id).await?.filter(|head| !head.candidate.is_deletion).map(|head| head.seq))
    }

    /// Whether this current version of a Provenance or Binary may be put on the list: below the watermark, not a target, not listed.
    pub(super) async fn may_be_listed(&self, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        if seq > self.job.job.watermark {
            return Ok(false);
        }
        let Some(last_updated) = self.stored_on(resource_type, seq).await? else { return Ok(false) };
        let is_target = self.is_target(&self.known, Candidate { resource_type, last_updated, seq, is_deletion: false }).await?;
        Ok(!is_target && !self.is_on_list(&self.known, Role::Companion, resource_type, seq).await?)
    }

    /// Whether a current version of a Provenance or Binary goes, as a target or along.
    pub(super) async fn goes(&self, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        let Some(last_updated) = self.stored_on(resource_type, seq).await? else { return Ok(false) };
        let is_target = self.is_target(&self.known, Candidate { resource_type, last_updated, seq, is_deletion: false }).await?;
        let is_held = self.has_held && self.is_held(&self.known, resource_type, seq).await?;
        Ok((is_target && !is_held) || self.is_on_list(&self.known, Role::Companion, resource_type, seq).await?)
    }

    /// When a current version was stored.
    async fn stored_on(&self, resource_type: ResourceType, seq: Seq) -> Result<Option<Instant>> {
        if let Some(stored_on) = self.known.stored_on.get(&(resource_type, seq)) {
            return Ok(Some(*stored_on));
        }
        let row = self.tx.row_if_any(SELECT_VERSION_TIME, &[&self.account_id.0, &TypeColumn(resource_type), &SeqColumn(seq)]).await?;
        Ok(row.map(|row| row.try_get::<_, InstantColumn>(0)).transpose()?.map(|column| column.0))
    }

    /// Whether a Provenance is about something that goes.
    pub(super) async fn has_going_target(&self, provenance: Seq) -> Result<bool> {
        Ok(self.targets(provenance, Unlisted::Remains, Neighbour::Going).await?.contains(&Neighbour::Going))
    }

    /// Whether something that goes refers to a Binary.
    pub(super) async fn has_going_referrer(&self, binary: &LogicalId) -> Result<bool> {
        Ok(self.sources(binary, Unlisted::Remains, Neighbour::Going).await?.contains(&Neighbour::Going))
    }

    /// The targets of a Provenance, up to the first that remains.
    pub(super) async fn targets_of(&self, provenance: Seq, unlisted: Unlisted) -> Result<Vec<Neighbour>> {
        self.targets(provenance, unlisted, Neighbour::Remaining).await
    }

    /// The resources of which some version refers to a Binary, up to the first that remains.
    pub(super) async fn referrers(&self, binary: &LogicalId, unlisted: Unlisted) -> Result<Vec<Neighbour>> {
        self.sources(binary, unlisted, Neighbour::Remaining).await
    }

    /// The targets of a Provenance, up to the first of which `last` is true.
    async fn targets(&self, provenance: Seq, unlisted: Unlisted, last: Neighbour) -> Result<Vec<Neighbour>> {
        let mut neighbours = Vec::new();
        if let Some(targets) = self.known.targets.get(&provenance) {
            self.judge_targets(&self.known, targets, unlisted, last, &mut neighbours).await?;
            return Ok(neighbours);
        }
        let key: Values<'_> = &[&self.account_id.0, &TypeColumn(ResourceType::PROVENANCE), &SeqColumn(provenance)];
        let Some(row) = self.tx.row_if_any(SELECT_TARGETS, key).await? else { return Ok(neighbours) };
        let targets = row.try_get::<_, Option<TargetsColumn>>(0)?.map_or_else(Vec::new, |targets| targets.0);
        for chunk in targets.chunks(NEIGHBOURS_MAX) {
            let known = self.looking().about(chunk.iter().filter_map(local_key)).await?;
            if self.judge_targets(&known, chunk, unlisted, last, &mut neighbours).await? {
                break;
            }
        }
        Ok(neighbours)
    }

    /// Adds what these targets are; whether the last one was met.
    async fn judge_targets(
        &self,
        known: &Known,
        targets: &[ProvenanceTarget],
        unlisted: Unlisted,
        last: Neighbour,
        neighbours: &mut Vec<Neighbour>,
    ) -> Result<bool> {
        for target in targets {
            let neighbour = match local_key(target) {
                None => Neighbour::Remaining,
                Some((resource_type, id)) => self.neighbour(known, resource_type, id, unlisted).await?,
            };
            neighbours.push(neighbour);
            if neighbour == last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The resources of which some version refers to a Binary, up to the first of which `last` is true.
    async fn sources(&self, binary: &LogicalId, unlisted: Unlisted, last: Neighbour) -> Result<Vec<Neighbour>> {
        let mut neighbours = Vec::new();
        if let Some(sources) = self.known.sources.get(binary) {
            self.judge_sources(&self.known, sources, unlisted, last, &mut neighbours).await?;
            return Ok(neighbours);
        }
        // There are too many to look at all of them at once.
        let (target, key, limit) = (TypeColumn(ResourceType::BINARY), IdColumn(binary.clone()), at_most(NEIGHBOURS_MAX));
        for source in &self.binary_sources {
            let mut after = Some(Seq(0));
            while let Some(start) = after {
                let values: Values<'_> = &[&self.account_id.0, &TypeColumn(*source), &target, &key, &SeqColumn(start), &limit];
                let rows = self.tx.rows(SELECT_SOURCES, values).await?;
                let of_row = |row: &Row| Ok((*source, seq(row, 0)?, row.try_get::<_, IdColumn>(1)?.0));
                let page = rows.iter().map(of_row).collect::<Result<Vec<Source>>>()?;
                after = page.last().filter(|_| page.len() == NEIGHBOURS_MAX).map(|(_, seq, _)| *seq);
                let known = self.looking().about(page.iter().map(|(source, _, id)| (*source, id))).await?;
                if self.judge_sources(&known, &page, unlisted, last, &mut neighbours).await? {
                    return Ok(neighbours);
                }
            }
        }
        Ok(neighbours)
    }

    /// Adds what these sources are; whether the last one was met.
    async fn judge_sources(
        &self,
        known: &Known,
        sources: &[Source],
        unlisted: Unlisted,
        last: Neighbour,
        neighbours: &mut Vec<Neighbour>,
    ) -> Result<bool> {
        for (source, seq, id) in sources {
            let is_later = *seq > self.job.job.watermark;
            let neighbour = if is_later { Neighbour::Remaining } else { self.neighbour(known, *source, id, unlisted).await? };
            neighbours.push(neighbour);
            if neighbour == last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn neighbour(&self, known: &Known, resource_type: ResourceType, id: &LogicalId, unlisted: Unlisted) -> Result<Neighbour> {
        let Some(head) = self.head(known, resource_type, id).await? else { return Ok(Neighbour::Absent) };
        if head.seq > self.job.job.watermark {
            return Ok(Neighbour::Remaining);
        }
        if self.is_target(known, head.candidate).await? {
            let is_held = self.has_held && self.is_held(known, resource_type, head.seq).await?;
            return Ok(if is_held { Neighbour::Remaining } else { Neighbour::Going });
        }
        let can_be_companion = [ResourceType::PROVENANCE, ResourceType::BINARY].contains(&resource_type) && !head.candidate.is_deletion;
        if !can_be_companion {
            return Ok(Neighbour::Remaining);
        }
        if self.is_on_list(known, Role::Companion, resource_type, head.seq).await? {
            // A hold that was set since the list was looked through keeps it, and whatever it needs.
            let is_held = !self.holds_on(resource_type, head.seq).await?.is_empty();
            return Ok(if is_held { Neighbour::Remaining } else { Neighbour::Going });
        }
        Ok(match unlisted {
            // Neither going for certain nor staying for certain: it must not decide anything yet.
            Unlisted::MayGo => Neighbour::Absent,
            Unlisted::Remains => Neighbour::Remaining,
        })
    }

    /// The holds that keep a current version now.
    pub(super) async fn holds_on(&self, resource_type: ResourceType, seq: Seq) -> Result<Vec<i64>> {
        held::holds_on(self.tx, self.job, &self.holds, self.account_id, resource_type, seq).await
    }

    async fn head(&self, known: &Known, resource_type: ResourceType, id: &LogicalId) -> Result<Option<Head>> {
        if let Some(head) = known.heads.get(&(resource_type, id.clone())) {
            return Ok(*head);
        }
        let row = self.tx.row_if_any(SELECT_HEAD, &[&self.account_id.0, &TypeColumn(resource_type), &IdColumn(id.clone())]).await?;
        row.map(|row| Ok(Head::of(resource_type, seq(&row, 0)?, row.try_get(2)?, row.try_get::<_, InstantColumn>(3)?.0))).transpose()
    }

    /// Whether a current version is a target. One of a listed type that is on hold is not on the list.
    async fn is_target(&self, known: &Known, candidate: Candidate) -> Result<bool> {
        let (selection, resource_type) = (&self.job.job.selection, candidate.resource_type);
        if !selection.selects(candidate, self.job.job.watermark) {
            return Ok(false);
        }
        if selection.is_listed(resource_type) {
            return self.is_on_list(known, Role::Target, resource_type, candidate.seq).await;
        }
        Ok(true)
    }

    async fn is_on_list(&self, known: &Known, role: Role, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        if known.stored_on.contains_key(&(resource_type, seq)) {
            return Ok(known.listed.contains(&(role, (resource_type, seq))));
        }
        listed::contains(self.tx, self.job, self.account_id, role, resource_type, seq).await
    }

    /// Whether a target was found to be on hold.
    async fn is_held(&self, known: &Known, resource_type: ResourceType, seq: Seq) -> Result<bool> {
        if known.stored_on.contains_key(&(resource_type, seq)) {
            return Ok(known.held.contains(&(resource_type, seq)));
        }
        held::is_noted(self.tx, self.job, self.account_id, resource_type, seq).await
    }
}

/// Type and id of a target that a purge here can remove.
fn local_key(target: &ProvenanceTarget) -> Option<(ResourceType, &LogicalId)> {
    match target {
        ProvenanceTarget::Local(local) => Some((local.resource_type, &local.id)),
        ProvenanceTarget::Foreign => None,
    }
}

async fn has_references(tx: &Tx, account_id: AccountId, source: ResourceType, target: ResourceType) -> Result<bool> {
    Ok(tx.row(HAS_REFERENCES, &[&account_id.0, &TypeColumn(source), &TypeColumn(target)]).await?.try_get(0)?)
}
