//! Ports: who issues certificates ([`Issuer`]), and what is kept of them ([`Certificates`]).

use std::sync::Arc;

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_certificate::{
    issue::{Facts, KeyedIssuer},
    keys::{Jwk, KeySet},
    proof::Proof,
};
use lethe_fhir::{LogicalId, ResourceType};
use thiserror::Error;

use crate::{JobId, StoreError};

/// Signs certificates, and publishes the keys by which they are verified. Knows the keys, which no database ever does.
pub trait Issuer: Send + Sync {
    /// Makes and signs the certificate of a job that ends. Called within the transaction that ends it: nothing may be waited for here.
    ///
    /// # Errors
    /// There is no key to sign with; the job cannot end.
    fn issue(&self, facts: Facts) -> Result<String, IssueError>;

    /// Every key that has ever signed for the store.
    ///
    /// # Errors
    /// The keys cannot be read.
    fn public_keys(&self) -> Result<KeySet, IssueError>;
}

/// The keys cannot be used.
#[derive(Debug, Error)]
#[error("certificates cannot be signed: {0}")]
pub struct IssueError(pub String);

impl From<IssueError> for StoreError {
    fn from(error: IssueError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Issuer for KeyedIssuer {
    fn issue(&self, facts: Facts) -> Result<String, IssueError> {
        Self::issue(self, facts).map_err(|error| IssueError(error.to_string()))
    }

    fn public_keys(&self) -> Result<KeySet, IssueError> {
        Ok(KeySet { keys: vec![Jwk::new(self.key.public(), 0, None)] })
    }
}

/// An issuer as it is shared.
pub type SharedIssuer = Arc<dyn Issuer>;

/// A certificate as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Its place in the chain, from 1.
    pub number: u64,
    /// The job that it is of.
    pub job_id: JobId,
    /// The compact form.
    pub jws: String,
}

/// Whether a resource was among the deleted of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// It was.
    Proven(Box<Proof>),
    /// It was not.
    NotAmong,
    /// Nobody can tell any more: the key was forgotten.
    Forgotten,
    /// The job has no certificate yet, or there is no such job for this owner.
    NoCertificate,
}

/// What came of forgetting a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is gone, with the digests; or it was before.
    Yes,
    /// The job has not ended, or has failed and may be retried: its key is still needed.
    NotYet,
    /// There is no such job for this owner.
    Unknown,
}

/// Certificates and proofs, as the owner of a job sees them, and the chain, as the operator does. A job is visible as in [`crate::Purges`].
#[async_trait]
pub trait Certificates: Send + Sync {
    /// The newest certificate of a job, in its compact form.
    async fn certificate(&self, owner: &Scope, job_id: JobId) -> Result<Option<String>, StoreError>;
    /// The chain of the store, in order, at most `count` from after number `after`.
    async fn certificates(&self, after: u64, count: usize) -> Result<Vec<StoredCertificate>, StoreError>;
    /// A proof that a resource of `account_id` was among the deleted.
    async fn deletion(
        &self,
        owner: &Scope,
        job_id: JobId,
        account_id: AccountId,
        resource_type: ResourceType,
        id: &LogicalId,
    ) -> Result<Deletion, StoreError>;
    /// Destroys the key of a job's digests, and the digests: nobody can find out from the store any more what was among the deleted.
    async fn forget_digests(&self, owner: &Scope, job_id: JobId) -> Result<Forgotten, StoreError>;
}
