//! One entry of a Bundle: what it asks for, and what that means now.

use axum::body::Bytes;
use lethe_auth::Scope;
use lethe_fhir::{
    IssueType, LocalBases, LogicalId, ReferenceMap, Resource,
    bundle::{EntryTarget, RequestEntry},
};
use lethe_store::{Change, Expect, Guard, StoredVersion, Write};
use serde::Deserialize;

use super::{
    condition::{Condition, Removed},
    create::new_id,
    entry_read::Lookup,
    patch::Patch,
    read::current,
    update::place_of_update,
    version_tag::expectation,
    writing::{WriteRules, require_id, require_type, write_of},
};
use crate::{App, edge::not_json, error::ApiError};

/// When an entry is done: FHIR deletes first, then creates, then updates, and reads last (<https://hl7.org/fhir/R4/http.html#trules>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// `DELETE`.
    Delete,
    /// `POST`, also where it updates.
    Create,
    /// `PUT`.
    Update,
    /// `PATCH`.
    Patch,
    /// `GET` and `HEAD`.
    Read,
}

impl Turn {
    fn of(method: &str) -> Result<Self, ApiError> {
        match method {
            "DELETE" => Ok(Self::Delete),
            "POST" => Ok(Self::Create),
            "PUT" => Ok(Self::Update),
            "PATCH" => Ok(Self::Patch),
            "GET" | "HEAD" => Ok(Self::Read),
            other => {
                let shown: String = other.chars().take(20).collect();
                Err(ApiError::bad(IssueType::Value, format!("request.method '{shown}' is none of GET, HEAD, POST, PUT, PATCH, DELETE")))
            }
        }
    }
}

/// What the address of an entry leads to.
#[derive(Debug)]
pub enum Whither {
    /// `Type/id`.
    Id(LogicalId),
    /// `Type`: to a new resource.
    New,
    /// To the one resource that fits, or a new one.
    Fitting(Box<Condition>),
    /// To what a read asks for.
    Lookup(Box<Lookup>),
}

/// An entry whose method and address have been read. Its resource is still text.
#[derive(Debug)]
pub struct AddressedEntry {
    /// Its place in the Bundle.
    pub index: usize,
    /// When it is done.
    pub turn: Turn,
    /// Its address.
    pub target: EntryTarget,
    /// Where that leads.
    pub whither: Whither,
    /// `ifMatch`.
    pub expect: Expect,
    /// `ifNoneMatch`.
    pub if_none_match: Option<String>,
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
    /// The text of its resource.
    pub resource: Option<Bytes>,
    full_url: Option<String>,
    /// The id in its resource, where it matters.
    own_id: Option<String>,
}

/// As much of a resource as is needed before its turn comes.
#[derive(Deserialize)]
struct Identity {
    id: Option<String>,
}

impl AddressedEntry {
    /// Reads method, address and conditions. `body` is the whole Bundle, of which the entry is a part.
    pub fn of(index: usize, entry: RequestEntry<'_>, body: &Bytes, public_url: &str, bases: &LocalBases) -> Result<Self, ApiError> {
        let mut turn = Turn::of(&entry.method)?;
        let url = entry.url.strip_prefix(public_url).map_or(entry.url.as_str(), |path| path.strip_prefix("/r4").unwrap_or(path));
        let in_url = |error: String| ApiError::bad(IssueType::Value, format!("request.url: {error}"));
        let is_metadata = turn == Turn::Read && url.split('?').next().is_some_and(|path| path.trim_start_matches('/') == "metadata");
        let mut target =
            EntryTarget::parse(if is_metadata { "CapabilityStatement" } else { url }).map_err(|error| in_url(error.to_string()))?;
        let resource_type = target.resource_type;
        if turn == Turn::Create && target.id.as_deref() == Some("_search") {
            if entry.resource.is_some() {
                return Err(not_supported("a search in a Bundle has its parameters in request.url, after '?': leave the resource out"));
            }
            (turn, target.id) = (Turn::Read, None);
        }
        let if_none_exist = entry.if_none_exist.as_deref();
        if if_none_exist.is_some() && (turn != Turn::Create || target.id.is_some()) {
            return Err(not_supported("request.ifNoneExist goes with a create, POST Type: leave it out"));
        }
        if entry.if_none_match.is_some() && turn != Turn::Read {
            return Err(not_supported("request.ifNoneMatch goes with a read: leave it out"));
        }
        let whither = match (turn, &target.id, target.query.as_deref()) {
            (Turn::Read, ..) if is_metadata => Whither::Lookup(Box::new(Lookup::Metadata)),
            (Turn::Read, ..) => Whither::Lookup(Box::new(Lookup::of(&target, bases)?)),
            _ if target.version.is_some() => {
                return Err(not_supported("request.url names a version, which can only be read: leave it out"));
            }
            (_, Some(_), Some(_)) | (Turn::Create, None, Some(_)) => {
                return Err(not_supported(
                    "request.url has a query where none can be: address the resource as Type/id, or as Type?condition",
                ));
            }
            (_, Some(id), None) => Whither::Id(id.parse().map_err(|error: lethe_fhir::InvalidLogicalId| in_url(error.to_string()))?),
            (Turn::Create, None, None) => match if_none_exist {
                Some(query) => Whither::Fitting(Box::new(Condition::parse(resource_type, query, bases)?)),
                None => Whither::New,
            },
            (_, None, Some(query)) => Whither::Fitting(Box::new(Condition::parse(resource_type, query, bases)?)),
            (_, None, None) => {
                let text = format!("request.url needs an id, {resource_type}/id, or a condition, {resource_type}?identifier=…");
                return Err(ApiError::bad(IssueType::Required, text));
            }
        };
        let expect = expectation(entry.if_match.as_deref())?;
        if turn == Turn::Create && target.id.is_none() && expect != Expect::Anything {
            let text = "request.ifMatch cannot hold for a create: what is created has no version yet";
            return Err(ApiError::bad(IssueType::Invalid, text));
        }
        let is_identified = match (turn, &whither) {
            (Turn::Update, Whither::Fitting(_)) => true,
            // A urn leaves nothing to be told apart.
            (Turn::Create, Whither::New | Whither::Fitting(_)) => entry.full_url.as_deref().is_none_or(|url| !url.starts_with("urn:")),
            _ => false,
        };
        // What is wrong with the resource is said when its turn comes.
        let identity = entry.resource.filter(|_| is_identified).and_then(|text| serde_json::from_str::<Identity>(text).ok());
        Ok(Self {
            index,
            turn,
            whither,
            target,
            expect,
            if_none_match: entry.if_none_match,
            is_head: entry.method == "HEAD",
            resource: entry.resource.map(|text| body.slice_ref(text.as_bytes())),
            full_url: entry.full_url,
            own_id: identity.and_then(|identity| identity.id),
        })
    }

    /// The names by which other entries may refer to it.
    pub fn names(&self) -> Vec<String> {
        let Some(full_url) = self.full_url.as_deref() else {
            // Without a fullUrl, the id that the resource carries is all there is to refer to it by.
            return self.replaced_id().map(|id| format!("{}/{id}", self.target.resource_type)).into_iter().collect();
        };
        let mut names = vec![full_url.to_owned()];
        // Relative references resolve against the base of the fullUrl, so here `Type/id` is the same resource.
        names.extend(
            self.replaced_id()
                .map(|id| format!("{}/{id}", self.target.resource_type))
                .filter(|name| full_url.ends_with(&format!("/{name}"))),
        );
        names
    }

    /// The id in the body, where another takes its place.
    fn replaced_id(&self) -> Option<&str> {
        let is_replaced = match self.whither {
            Whither::New => true,
            Whither::Fitting(_) => self.turn == Turn::Create,
            Whither::Id(_) | Whither::Lookup(_) => false,
        };
        self.own_id.as_deref().filter(|_| is_replaced)
    }

    /// Whether it can be written without looking at anything before.
    pub fn is_plain_write(&self) -> bool {
        let is_addressed = matches!(self.whither, Whither::Id(_) | Whither::New);
        is_addressed && self.expect == Expect::Anything && !matches!(self.turn, Turn::Patch | Turn::Read)
    }

    /// Looks at its condition, and at what a patch is to change. `removed` has been deleted before.
    pub async fn aim(&self, app: &App, scope: &Scope, removed: &Removed) -> Result<Aim, ApiError> {
        let mut aim = match &self.whither {
            Whither::Lookup(_) => Aim::default(),
            Whither::New => Aim::at(new_id(), Expect::Absent),
            Whither::Id(id) => Aim::at(id.clone(), self.expect),
            Whither::Fitting(condition) => {
                let seen = condition.look_without(app, scope, removed).await?;
                let aim = match (self.turn, seen.found) {
                    (Turn::Create, Some(existing)) => Aim { existing: Some(existing), ..Aim::default() },
                    (Turn::Update, found) => {
                        let own_id =
                            self.own_id.as_deref().map(str::parse::<LogicalId>).transpose().map_err(lethe_fhir::ResourceError::from)?;
                        let (id, expect) = place_of_update(own_id, found.as_ref(), self.expect)?;
                        Aim::at(id, expect)
                    }
                    (_, Some(found)) => Aim::at(found.id, self.expect),
                    (Turn::Create, None) => Aim::at(new_id(), Expect::Absent),
                    (Turn::Patch, None) => {
                        let text = format!("no {} fits the condition: there is nothing to patch", condition.resource_type);
                        return Err(ApiError::NotFound(text));
                    }
                    (_, None) => Aim::default(),
                };
                Aim { guard: Some(seen.guard), ..aim }
            }
        };
        if let (Turn::Patch, Some(id)) = (self.turn, &aim.id) {
            let patch = Patch::of_entry(self.json()?)?;
            let stored = current(app, scope, self.target.resource_type, id).await?;
            aim.patched = Some(patch.applied_to(&stored).await?);
            if aim.expect == Expect::Anything {
                aim.expect = Expect::Version(stored.version);
            }
        }
        Ok(aim)
    }

    fn json(&self) -> Result<serde_json::Value, ApiError> {
        let text = self.resource.as_ref().ok_or_else(|| ApiError::bad(IssueType::Required, "the entry has no resource to write"))?;
        // OK without another look for names that stand twice: the Bundle as a whole has been looked at.
        serde_json::from_slice(text).map_err(|error| ApiError::bad(IssueType::Structure, not_json(&error)))
    }

    /// Its resource.
    pub fn read_resource(&self) -> Result<Resource, ApiError> {
        let resource = Resource::from_json(self.json()?)?;
        require_type(&resource, self.target.resource_type)?;
        Ok(resource)
    }

    /// The write that does what it asks for, its references rewritten; `None` if there is nothing to do.
    pub fn write(&self, aim: &mut Aim, map: &ReferenceMap, rules: &WriteRules) -> Result<Option<Write>, ApiError> {
        let resource_type = self.target.resource_type;
        let Some(id) = aim.id.clone() else { return Ok(None) };
        if self.turn == Turn::Delete {
            return Ok(Some(Write { resource_type, id, change: Change::Delete, expect: aim.expect }));
        }
        let mut resource = match aim.patched.take() {
            Some(patched) => patched,
            None => self.read_resource()?,
        };
        if let Whither::Id(id) = &self.whither {
            if self.turn == Turn::Create {
                // An update by POST may leave the id to its address.
                resource.id.get_or_insert_with(|| id.clone());
            }
            require_id(&resource, id)?;
        }
        map.rewrite(&mut resource);
        let write = write_of(&resource, id, rules, aim.expect);
        match self.turn {
            Turn::Patch => write.map_err(|error| error.into_unprocessable("what comes of the patch cannot be stored")),
            _ => write,
        }
        .map(Some)
    }
}

/// What an entry means now.
#[derive(Debug)]
pub struct Aim {
    /// Where it writes to; none: it does not write.
    pub id: Option<LogicalId>,
    /// What must hold there.
    pub expect: Expect,
    /// What its condition has seen.
    pub guard: Option<Guard>,
    /// What is there already, so that a create has nothing to do.
    pub existing: Option<StoredVersion>,
    /// What comes of its patch.
    pub patched: Option<Resource>,
}

impl Default for Aim {
    fn default() -> Self {
        Self { id: None, expect: Expect::Anything, guard: None, existing: None, patched: None }
    }
}

impl Aim {
    fn at(id: LogicalId, expect: Expect) -> Self {
        Self { id: Some(id), expect, ..Self::default() }
    }

    /// The resource that names of the entry stand for.
    pub fn named(&self) -> Option<&LogicalId> {
        self.id.as_ref().or_else(|| self.existing.as_ref().map(|existing| &existing.id))
    }
}

fn not_supported(text: &str) -> ApiError {
    ApiError::bad(IssueType::NotSupported, text)
}
