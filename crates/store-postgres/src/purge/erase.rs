//! Bytes that deleted rows leave in files: not here.
//!
//! A purge on PostgreSQL reaches the level `rows`, and its certificate says so. Deleted rows stay in the pages of the tables until PostgreSQL vacuums them
//! and writes others there, in its log until that is recycled, and in whatever was made from that log: archives, replicas, backups. [`crate::erase_files`] takes them out of the files,
//! when somebody asks for it.

use lethe_jobs::Lease;
use lethe_store::JobId;

use super::Result;
use crate::PostgresStore;

pub(super) async fn erase(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    store.renew(lease).await.map(drop)
}
