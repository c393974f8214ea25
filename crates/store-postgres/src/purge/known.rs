//! What is known of some Provenances and Binaries and of all that surrounds them, read with one statement for each kind of fact instead of several
//! for each neighbour. It holds within the transaction that read it.

use std::collections::{BTreeSet, HashMap, HashSet};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::Seq;
use lethe_search::ProvenanceTarget;

use super::{job::JobRow, listed::Role, neighbours::Head};
use crate::{
    columns::{IdColumn, InstantColumn, SeqColumn, TypeColumn, number, seq},
    error::Result,
    index_columns::TargetsColumn,
    resources::SELECT_HEADS,
    transaction::{Tx, Values},
};

const SELECT_PROVENANCES: &str = include_str!("../../sql/purge/provenances_among.sql");
const SELECT_SOURCES: &str = include_str!("../../sql/purge/sources_of_references.sql");
const SELECT_LISTED: &str = include_str!("../../sql/purge/listed_among.sql");
const SELECT_HELD: &str = include_str!("../../sql/purge/held_among.sql");

/// Neighbours that are looked up together. Of a Provenance or Binary that has more by itself nothing is known beforehand, so that no memory is taken
/// for it. Few in debug builds, so that tests meet both.
pub(super) const NEIGHBOURS_MAX: usize = if cfg!(debug_assertions) { 3 } else { 10_000 };

/// A version by its type and place.
type Place = (ResourceType, Seq);

/// A version that refers to a Binary: its type, place and id.
pub(super) type Source = (ResourceType, Seq, LogicalId);

/// Facts. Whatever is in none of them has to be looked up.
#[derive(Default)]
pub(super) struct Known {
    /// The targets of current Provenances.
    pub(super) targets: HashMap<Seq, Vec<ProvenanceTarget>>,
    /// The versions that refer to a Binary, of all types that refer to any.
    pub(super) sources: HashMap<LogicalId, Vec<Source>>,
    /// Current versions; `None`: there is none.
    pub(super) heads: HashMap<(ResourceType, LogicalId), Option<Head>>,
    /// When current versions were stored. Of these the next two tell all.
    pub(super) stored_on: HashMap<Place, Instant>,
    /// Those on the lists of the job.
    pub(super) listed: HashSet<(Role, Place)>,
    /// Those that were found to be on hold.
    pub(super) held: HashSet<Place>,
}

/// Whose facts they are.
#[derive(Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) tx: &'a Tx,
    pub(super) job: &'a JobRow,
    pub(super) account_id: AccountId,
    /// Types of which some resource refers to a Binary.
    pub(super) binary_sources: &'a [ResourceType],
}

impl Looking<'_> {
    /// All about these Provenances and Binaries.
    pub(super) async fn up(self, provenances: &[Seq], binaries: &[LogicalId]) -> Result<Known> {
        let mut known = Known::default();
        self.provenances(provenances, &mut known).await?;
        self.sources(binaries, &mut known).await?;
        let mut ids: BTreeSet<(ResourceType, LogicalId)> = binaries.iter().map(|id| (ResourceType::BINARY, id.clone())).collect();
        for target in known.targets.values().flatten() {
            if let ProvenanceTarget::Local(local) = target {
                ids.insert((local.resource_type, local.id.clone()));
            }
        }
        ids.extend(known.sources.values().flatten().map(|(source, _, id)| (*source, id.clone())));
        self.heads(ids, &mut known).await?;
        self.lists(&mut known).await?;
        Ok(known)
    }

    /// The current versions of these resources, and what the lists say of them.
    pub(super) async fn about(self, ids: impl Iterator<Item = (ResourceType, &LogicalId)>) -> Result<Known> {
        let mut known = Known::default();
        self.heads(ids.map(|(of_type, id)| (of_type, id.clone())).collect(), &mut known).await?;
        self.lists(&mut known).await?;
        Ok(known)
    }

    async fn provenances(self, provenances: &[Seq], known: &mut Known) -> Result<()> {
        if provenances.is_empty() {
            return Ok(());
        }
        let seqs: Vec<SeqColumn> = provenances.iter().copied().map(SeqColumn).collect();
        for row in self.tx.rows(SELECT_PROVENANCES, &[&self.account_id.0, &TypeColumn(ResourceType::PROVENANCE), &seqs]).await? {
            let targets = row.try_get::<_, Option<TargetsColumn>>(2)?.map_or_else(Vec::new, |targets| targets.0);
            let seq = seq(&row, 0)?;
            known.stored_on.insert((ResourceType::PROVENANCE, seq), row.try_get::<_, InstantColumn>(1)?.0);
            known.targets.insert(seq, targets);
        }
        Ok(())
    }

    async fn sources(self, binaries: &[LogicalId], known: &mut Known) -> Result<()> {
        if binaries.is_empty() {
            return Ok(());
        }
        let types: Vec<TypeColumn> = self.binary_sources.iter().copied().map(TypeColumn).collect();
        let ids: Vec<IdColumn> = binaries.iter().cloned().map(IdColumn).collect();
        let limit = NEIGHBOURS_MAX as i64;
        let values: Values<'_> = &[&self.account_id.0, &types, &TypeColumn(ResourceType::BINARY), &ids, &limit];
        let rows = self.tx.rows(SELECT_SOURCES, values).await?;
        if rows.len() == NEIGHBOURS_MAX {
            return Ok(());
        }
        known.sources.extend(binaries.iter().map(|binary| (binary.clone(), Vec::new())));
        for row in rows {
            let (TypeColumn(source), IdColumn(binary), IdColumn(id)) = (row.try_get(0)?, row.try_get(1)?, row.try_get(3)?);
            known.sources.entry(binary).or_default().push((source, seq(&row, 2)?, id));
        }
        Ok(())
    }

    async fn heads(self, ids: BTreeSet<(ResourceType, LogicalId)>, known: &mut Known) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<(ResourceType, LogicalId)> = ids.into_iter().collect();
        let (types, stored): (Vec<_>, Vec<_>) = ids.iter().map(|(of_type, id)| (TypeColumn(*of_type), IdColumn(id.clone()))).unzip();
        let rows = self.tx.rows(SELECT_HEADS, &[&self.account_id.0, &types, &stored]).await?;
        known.heads = ids.iter().cloned().map(|key| (key, None)).collect();
        for row in rows {
            // OK because places count from 1, and there are no more of them than ids.
            let Some(key) = ids.get(number(&row, 0)? as usize - 1) else { continue };
            let (seq, InstantColumn(stored_on)) = (seq(&row, 1)?, row.try_get(4)?);
            known.stored_on.insert((key.0, seq), stored_on);
            known.heads.insert(key.clone(), Some(Head::of(key.0, seq, row.try_get(3)?, stored_on)));
        }
        Ok(())
    }

    async fn lists(self, known: &mut Known) -> Result<()> {
        if known.stored_on.is_empty() {
            return Ok(());
        }
        let (types, seqs): (Vec<_>, Vec<_>) = known.stored_on.keys().map(|(of_type, seq)| (TypeColumn(*of_type), SeqColumn(*seq))).unzip();
        let values: Values<'_> = &[&self.job.number, &self.account_id.0, &types, &seqs];
        for row in self.tx.rows(SELECT_LISTED, values).await? {
            let role = if row.try_get::<_, &str>(0)? == Role::Target.stored() { Role::Target } else { Role::Companion };
            known.listed.insert((role, (row.try_get::<_, TypeColumn>(1)?.0, seq(&row, 2)?)));
        }
        for row in self.tx.rows(SELECT_HELD, values).await? {
            known.held.insert((row.try_get::<_, TypeColumn>(0)?.0, seq(&row, 1)?));
        }
        Ok(())
    }
}
