//! Legal holds. Not ported yet: every call is refused.

use async_trait::async_trait;
use lethe_auth::ClientId;
use lethe_store::{Hold, HoldAdded, HoldFilter, HoldId, HoldLifted, Holds, NewHold, StoreError};

use crate::{PostgresStore, not_ported};

#[async_trait]
impl Holds for PostgresStore {
    async fn add_hold(&self, _: &NewHold) -> Result<HoldAdded, StoreError> {
        Err(not_ported())
    }

    async fn lift_hold(&self, _: Option<&ClientId>, _: HoldId, _: &str) -> Result<HoldLifted, StoreError> {
        Err(not_ported())
    }

    async fn holds(&self, _: &HoldFilter) -> Result<Vec<Hold>, StoreError> {
        Err(not_ported())
    }
}
