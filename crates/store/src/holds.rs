//! Port: legal holds, set and lifted by administrators.

use async_trait::async_trait;
use lethe_auth::{AccountId, ClientId, Scope};
use lethe_fhir::{Instant, ResourceType};
use lethe_purge::holds::HoldTarget;
use uuid::Uuid;

use crate::{Resources, StoreError};

/// Holds that may be in force in one account at the same time. Whoever needs more puts the account on hold.
pub const HOLDS_IN_FORCE_MAX: u64 = 10_000;

/// Id of a hold.
pub type HoldId = Uuid;

/// A hold to set.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// Its id, freshly generated.
    pub hold_id: HoldId,
    /// In which account.
    pub account_id: AccountId,
    /// What it keeps.
    pub target: HoldTarget,
    /// Why, in the words of whoever sets it.
    pub reason: String,
    /// Who sets it.
    pub set_by: String,
    /// It keeps nothing from this moment on; `None`: until it is lifted.
    pub until: Option<Instant>,
}

/// A hold as stored. Its row is its audit record, and stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub hold_id: HoldId,
    /// In which account.
    pub account_id: AccountId,
    /// What it keeps; `None` of a resource or patient that a hold kept which has been lifted: its id is forgotten then.
    pub target: Option<HoldTarget>,
    /// The word for what it keeps or kept: `account`, `patient` or `resource`.
    pub kind: &'static str,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_on: Instant,
    /// It keeps nothing from this moment on.
    pub until: Option<Instant>,
    /// Who lifted it; `None` if nobody has, or it expired.
    pub lifted_by: Option<String>,
    /// When it ended, by being lifted or because a purge found it expired.
    pub ended_on: Option<Instant>,
}

impl Hold {
    /// Whether it keeps anything at this moment.
    #[must_use]
    pub fn is_in_force(&self, now: Instant) -> bool {
        self.ended_on.is_none() && self.until.is_none_or(|until| now < until)
    }
}

/// What came of setting a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldAdded {
    /// It is in force: nothing that it keeps is removed any more.
    Added(Hold),
    /// There is no such account; nothing changed.
    NoAccount,
    /// [`HOLDS_IN_FORCE_MAX`] are in force in the account; nothing changed.
    TooMany,
}

/// What came of lifting a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldLifted {
    /// It keeps nothing any more.
    Lifted(Hold),
    /// It had ended before; nothing changed.
    Ended(Hold),
    /// There is no such hold.
    Unknown,
}

/// Which holds to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct HoldFilter {
    /// Only in accounts of this client.
    pub client_id: Option<ClientId>,
    /// Only in this account.
    pub account_id: Option<AccountId>,
    /// Those that have ended or expired, too.
    pub with_ended: bool,
    /// Only holds older than this one: the next page.
    pub before: Option<HoldId>,
    /// At most so many.
    pub count: usize,
}

/// Legal holds. What is set or lifted takes effect at once: whoever hears the answer can rely on it, whatever purge is running.
#[async_trait]
pub trait Holds: Send + Sync {
    /// Sets a hold, under the writers' lock: no batch that commits afterwards removes what it keeps.
    async fn add_hold(&self, hold: &NewHold) -> Result<HoldAdded, StoreError>;
    /// Lifts a hold, of an account of `client_id` if given. The ids that it named are forgotten.
    async fn lift_hold(&self, client_id: Option<&ClientId>, hold_id: HoldId, lifted_by: &str) -> Result<HoldLifted, StoreError>;
    /// Holds, newest first.
    async fn holds(&self, filter: &HoldFilter) -> Result<Vec<Hold>, StoreError>;
}

/// What whoever has set a hold should know: that what it names is not there, as after a slip. It may be written later, so this is no error; nor is
/// that nobody could look, since the hold is set.
pub async fn hold_warning(store: &(impl Resources + ?Sized), scope: &Scope, hold: &Hold) -> Option<String> {
    let (resource_type, id) = match hold.target.as_ref()? {
        HoldTarget::Account => return None,
        HoldTarget::Patient(id) => (ResourceType::PATIENT, id),
        HoldTarget::Resource(resource_type, id) => (*resource_type, id),
    };
    match store.read(scope, resource_type, id).await {
        Ok(Some(version)) if version.body.is_some() => None,
        Ok(Some(_)) => Some(format!("{resource_type}/{id} is deleted: see whether it is the one that is meant; the hold is set")),
        Ok(None) => Some(format!("there is no {resource_type}/{id} in this account: the hold is set, and keeps it if it is written later")),
        Err(_) => Some(format!("whether {resource_type}/{id} is there could not be looked up; the hold is set")),
    }
}
