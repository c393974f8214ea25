//! The proof that one resource was among the deleted: its opening, and the way from its leaf to the root in the certificate.

use lethe_fhir::{LogicalId, ResourceType};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    digest::{self, Opening},
    document::{Certificate, TREE},
    issue::batch_leaf,
    text::{decode_hash, encode},
    tree::{Hash, root_of},
};

/// The format that this version writes and reads.
pub const FORMAT: &str = "lethe-deletion-proof/1";
/// Bytes of a proof: it has some tens of hashes.
pub const PROOF_BYTES_MAX: usize = 64 << 10;

/// Shows that one resource was among the deleted of one job, and nothing of any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// [`FORMAT`].
    pub format: String,
    /// The job.
    pub job: String,
    /// Whose it was.
    pub user_id: String,
    /// `Patient/123`.
    pub resource: String,
    /// Opens its leaf.
    pub opening: String,
    /// From the leaf to the root of its batch.
    pub in_batch: Path,
    /// From its batch to the root of the job.
    pub in_job: Path,
}

/// The way from a leaf to the root of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Path {
    /// Which leaf, from 0.
    pub index: u64,
    /// Of how many.
    pub of: u64,
    /// The hashes beside the way, from the leaf up.
    pub hashes: Vec<String>,
}

impl Path {
    /// The way from leaf `index` of `of`.
    #[must_use]
    pub fn new(index: u64, of: u64, hashes: &[Hash]) -> Self {
        Self { index, of, hashes: hashes.iter().map(encode).collect() }
    }

    fn root(&self, leaf: Hash) -> Option<Hash> {
        let hashes: Vec<Hash> = self.hashes.iter().map(|hash| decode_hash(hash)).collect::<Option<_>>()?;
        root_of(leaf, self.index, self.of, &hashes)
    }
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProofFault {
    /// Over [`PROOF_BYTES_MAX`].
    #[error("the proof has {0} bytes, at most {PROOF_BYTES_MAX} are read")]
    TooLarge(usize),
    /// It ends in the middle.
    #[error("the proof is truncated")]
    Truncated,
    /// Not a proof.
    #[error("this is no proof: {0}")]
    NotAProof(String),
    /// Another version's.
    #[error("the proof has the format '{0}', this version reads {FORMAT}")]
    UnknownFormat(String),
    /// The certificate has a tree of another kind.
    #[error("the certificate has a tree of the kind '{0}', this version reads {TREE}")]
    UnknownTree(String),
    /// Of another job.
    #[error("the proof is of job {proof}, the certificate of job {certificate}")]
    OtherJob {
        /// In the proof.
        proof: String,
        /// In the certificate.
        certificate: String,
    },
    /// Of another account.
    #[error("the proof is of user {proof}, the certificate of user {certificate}")]
    OtherUser {
        /// In the proof.
        proof: String,
        /// In the certificate.
        certificate: String,
    },
    /// Of another resource than was asked about.
    #[error("the proof is of {0}, and not of the resource that was asked about")]
    OtherResource(String),
    /// Its number of batches is not the certificate's.
    #[error("the proof is of a job with {proof} batches, the certificate has {certificate}")]
    OtherSize {
        /// In the proof.
        proof: u64,
        /// In the certificate.
        certificate: u64,
    },
    /// The way does not lead to the root in the certificate.
    #[error("the proof does not lead to the certificate: the resource was not among the deleted, or the proof was changed")]
    NotAmongDeleted,
}

impl Proof {
    /// A proof of what its store knows.
    #[must_use]
    pub fn new(job: Uuid, account: i64, resource: (ResourceType, &LogicalId), opening: Opening, in_batch: Path, in_job: Path) -> Self {
        Self {
            format: FORMAT.to_owned(),
            job: job.to_string(),
            user_id: account.to_string(),
            resource: format!("{}/{}", resource.0, resource.1),
            opening: encode(opening.0),
            in_batch,
            in_job,
        }
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// It is none, or one that this version does not know.
    pub fn read(text: &str) -> Result<Self, ProofFault> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofFault::TooLarge(text.len()));
        }
        let unreadable =
            |error: serde_json::Error| if error.is_eof() { ProofFault::Truncated } else { ProofFault::NotAProof(error.to_string()) };
        let members: serde_json::Value = serde_json::from_str(text).map_err(unreadable)?;
        match members["format"].as_str() {
            Some(FORMAT) => serde_json::from_value(members).map_err(unreadable),
            Some(other) => Err(ProofFault::UnknownFormat(other.chars().take(80).collect())),
            None => Err(ProofFault::NotAProof("it has no 'format'".to_owned())),
        }
    }

    /// Whether it shows that `resource`, as `Patient/123`, was among the deleted of a certificate that has been verified.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn check(&self, resource: Option<&str>, certificate: &Certificate) -> Result<(), ProofFault> {
        if resource.is_some_and(|asked| asked != self.resource) {
            return Err(ProofFault::OtherResource(self.resource.clone()));
        }
        let (deleted, destruction) = (&certificate.deleted, &certificate.destruction);
        if deleted.algorithm != TREE {
            return Err(ProofFault::UnknownTree(deleted.algorithm.clone()));
        }
        if self.job != destruction.id {
            return Err(ProofFault::OtherJob { proof: self.job.clone(), certificate: destruction.id.clone() });
        }
        if destruction.user_id != "client" && self.user_id != destruction.user_id {
            return Err(ProofFault::OtherUser { proof: self.user_id.clone(), certificate: destruction.user_id.clone() });
        }
        if self.in_job.of != deleted.batches {
            return Err(ProofFault::OtherSize { proof: self.in_job.of, certificate: deleted.batches });
        }
        let root = self.root().map(encode);
        if root.as_deref() == Some(deleted.root.as_str()) { Ok(()) } else { Err(ProofFault::NotAmongDeleted) }
    }

    fn root(&self) -> Option<Hash> {
        let (resource_type, id) = self.resource.split_once('/')?;
        let name = digest::name(self.user_id.parse().ok()?, resource_type.parse().ok()?, id.parse::<LogicalId>().ok()?.as_str());
        let leaf = Opening(decode_hash(&self.opening)?).leaf(name.as_bytes());
        self.in_job.root(batch_leaf(self.in_batch.of, &self.in_batch.root(leaf)?))
    }
}
