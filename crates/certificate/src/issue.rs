//! From what a store knows at the end of a job to a signed certificate.

use lethe_fhir::{Instant, ResourceType};
use lethe_purge::{Counts, Selection, Seq, certify::Residue};
use uuid::Uuid;

use crate::{
    document::{
        Certificate, CountsByType, DeletedTree, Destruction, FORMAT, IssuerName, Level, Method, Numbers, Outcome, Probe, Selected, TREE,
    },
    jws,
    keys::{NoKey, SigningKey},
    text::encode,
    tree::{Hash, Tree},
};

/// What the store knows of a job that ends.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The next number of the chain.
    pub number: u64,
    /// The store.
    pub store: Uuid,
    /// The certificate before, as signed.
    pub previous: Option<String>,
    /// The number of an earlier certificate of the job.
    pub replaces: Option<u64>,
    /// Now.
    pub ended_on: Instant,
    /// The job.
    pub job_id: Uuid,
    /// The client that asked.
    pub client_id: String,
    /// Its name.
    pub client_name: String,
    /// The account; `None` for all of the client.
    pub account: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// What was selected.
    pub selection: Selection,
    /// The last version that could be touched.
    pub watermark: Seq,
    /// Kick-off.
    pub requested_on: Instant,
    /// When the plan was stored.
    pub planned_on: Option<Instant>,
    /// Retries.
    pub retry_count: u32,
    /// How it ends.
    pub outcome: Outcome,
    /// Why it failed as a whole.
    pub failure: Option<String>,
    /// Holds that it met.
    pub holds: Vec<String>,
    /// By type, with the versions that went.
    pub counts: Vec<(ResourceType, Counts, u64)>,
    /// How far the removal went.
    pub level: Level,
    /// What the probe found; `None` if it did not run.
    pub probe: Option<Vec<Residue>>,
    /// The trees of its batches, in their order.
    pub deleted: BatchTrees,
}

/// A tree over the trees of batches: each batch makes its own while it deletes, and the end of the job joins their roots.
#[derive(Clone, Debug, Default)]
pub struct BatchTrees {
    resources: u64,
    tree: Tree,
}

impl BatchTrees {
    /// Without batches.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Without batches; keeps the path of the batch `index`, from 0.
    #[must_use]
    pub fn following(index: u64) -> Self {
        Self { tree: Tree::following(index), ..Self::default() }
    }

    /// Appends the tree of a batch: how many resources it has, and its root.
    pub fn push(&mut self, resources: u64, root: &Hash) {
        self.resources += resources;
        self.tree.push(batch_leaf(resources, root));
    }

    /// Batches so far.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.tree.size()
    }

    /// The root, and the path of the batch that is followed.
    #[must_use]
    pub fn root_and_path(self) -> (Hash, Option<Vec<Hash>>) {
        self.tree.root_and_path()
    }
}

/// The leaf of a batch. Its number of resources is part of it, so that no place within a batch can be claimed that it does not have.
pub(crate) fn batch_leaf(resources: u64, root: &Hash) -> Hash {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(resources.to_be_bytes());
    hash.update(root);
    hash.finalize().into()
}

/// The certificate that these facts make.
#[must_use]
pub fn certificate(issuer: IssuerName, facts: Facts) -> Certificate {
    let mut total = (Counts::default(), 0);
    for (_, counts, versions) in &facts.counts {
        total.0 += *counts;
        total.1 += versions;
    }
    let by_type = facts
        .counts
        .iter()
        .map(|(resource_type, counts, versions)| (resource_type.to_string(), Numbers::new(*counts, *versions)))
        .collect();
    let types = facts.selection.types.map(|types| types.iter().map(ToString::to_string).collect());
    Certificate {
        format: FORMAT.to_owned(),
        number: facts.number,
        store: facts.store.to_string(),
        previous: facts.previous.as_deref().map(jws::chain_hash),
        replaces: facts.replaces,
        issued_on: facts.ended_on.to_string(),
        issuer,
        destruction: Destruction {
            id: facts.job_id.to_string(),
            event: "destroy".to_owned(),
            client_id: facts.client_id,
            client_name: facts.client_name,
            user_id: facts.account.map_or_else(|| "client".to_owned(), |account| account.to_string()),
            reason: facts.reason,
            selection: Selected {
                types,
                before: facts.selection.before.map(|before| before.to_string()),
                include_deleted: facts.selection.include_deleted,
                level: facts.selection.level.stored().to_owned(),
                conditions_on: facts.selection.filtered_types.iter().map(ToString::to_string).collect(),
            },
            watermark: facts.watermark.0,
            requested_on: facts.requested_on.to_string(),
            planned_on: facts.planned_on.map(|planned_on| planned_on.to_string()),
            ended_on: facts.ended_on.to_string(),
            retry_count: facts.retry_count,
            outcome: facts.outcome,
            failure: facts.failure,
            holds: facts.holds,
        },
        counts: CountsByType { total: Numbers::new(total.0, total.1), by_type },
        method: Method { level: facts.level, description: describe(facts.level).to_owned() },
        probe: facts
            .probe
            .map(|found| Probe { residue: found.iter().map(|residue| (residue.residence.to_owned(), residue.rows)).collect() }),
        deleted: DeletedTree {
            algorithm: TREE.to_owned(),
            resources: facts.deleted.resources,
            batches: facts.deleted.batches(),
            root: encode(facts.deleted.root_and_path().0),
        },
        not_covered: NOT_COVERED.map(str::to_owned).into(),
    }
}

/// An issuer with one key.
#[derive(Debug)]
pub struct KeyedIssuer {
    /// Who destroys.
    pub name: IssuerName,
    /// What it signs with.
    pub key: SigningKey,
}

impl KeyedIssuer {
    /// Makes and signs the certificate.
    ///
    /// # Errors
    /// The library refuses the key.
    pub fn issue(&self, facts: Facts) -> Result<String, NoKey> {
        jws::sign(&certificate(self.name.clone(), facts), &self.key)
    }
}

fn describe(level: Level) -> &'static str {
    match level {
        Level::Rows => {
            "Of all that is counted as deleted, every version was deleted from the database, and the rows that led to it; their bytes may still be in the files of the database and of its write-ahead log."
        }
        Level::Files => {
            "Of all that is counted as deleted, every version was deleted from the database, and the rows that led to it; their bytes in the files of the database \
             were overwritten, or the files written anew, and the write-ahead log holds none."
        }
    }
}

/// What nobody may conclude from a certificate.
const NOT_COVERED: [&str; 6] = [
    "Backups, replicas, archived logs and copies of the store that were made before; one that is put back brings the resources with it.",
    "What clients read, exported or downloaded before.",
    "What file systems and disks keep of overwritten files: snapshots, copy-on-write history, spare cells.",
    "Memory, swap space and core dumps of the server.",
    "Logs of proxies and other systems that saw the resources or their addresses.",
    "Resources that were stored after the kick-off, and those counted as spared, held or failed: they are still there.",
];
