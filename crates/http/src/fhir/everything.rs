//! `GET` and `POST /r4/{Patient|Encounter}/{id}/$everything`: the resource, its compartment, and what those refer to
//! (<https://hl7.org/fhir/R4/patient-operation-everything.html>, <https://hl7.org/fhir/R4/encounter-operation-everything.html>).
//!
//! Pages go through the compartment type by type, as a search does. What is referred to and is no member goes along with each page that
//! refers to it.

use std::{collections::HashSet, sync::Arc};

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{FhirDate, Instant, IssueType, LocalBases, LocalReference, LogicalId, Resource, ResourceType, limits};
use lethe_search::{
    Criterion, IndexEntries, LastUpdatedFilter,
    definitions::{ParameterKind, parameter},
    index_entries,
    query::{Search, Strictness, compartment_types, in_compartment},
};
use lethe_store::StoredVersion;

use super::{
    condition::holds,
    operation::OperationParameters,
    read::{current, render_version},
    search::{Asked, Included, Shown, Steering, page_of, read_in_parts},
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, InstancePath, Pairs, reply},
    error::ApiError,
};

/// The types that have the operation.
pub const EVERYTHING_TYPES: [&str; 2] = ["Encounter", "Patient"];

/// What of everything is wanted.
struct Wanted {
    types: Option<Vec<ResourceType>>,
    since: Option<Instant>,
    /// `start` and `end`, as they were sent: the dates of care.
    care: [Option<String>; 2],
    count: usize,
    page: Option<String>,
}

/// One page of everything about one patient or encounter.
pub async fn everything(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    InstancePath { resource_type, id }: InstancePath,
    OperationParameters { pairs, layout }: OperationParameters,
) -> Result<Response, ApiError> {
    if !EVERYTHING_TYPES.contains(&resource_type.name()) {
        let text = format!("$everything is served for {}, not for {resource_type}", EVERYTHING_TYPES.join(" and "));
        return Err(ApiError::NotFound(text));
    }
    let wanted = Wanted::read(resource_type, &pairs)?;
    let centre = current(&app, &scope, resource_type, &id).await?;
    // Told as gone, if it is.
    render_version(&centre)?;
    // It lives in one account, also where the caller sees several.
    let scope = Scope::Account { client_id: scope.client_id().clone(), account_id: centre.account_id };
    let asked = asked(&LocalReference { resource_type, id }, &wanted, pairs.0, &bases)?;
    let along = async |matches: &[StoredVersion]| along(&app, &scope, &bases, &centre, &wanted, matches).await;
    let text = page_of(&app, &scope, &asked, along).await?;
    let mut response = reply(StatusCode::OK, text);
    response.extensions_mut().insert(layout);
    Ok(response)
}

impl Wanted {
    fn read(resource_type: ResourceType, pairs: &Pairs) -> Result<Self, ApiError> {
        const KNOWN: [&str; 8] = ["_type", "_since", "start", "end", "_count", "_page", "_format", "_pretty"];
        for (index, (name, _)) in pairs.0.iter().enumerate() {
            let shown: String = name.chars().take(80).collect();
            if matches!(name.as_str(), "start" | "end") && resource_type != ResourceType::PATIENT {
                let text = format!("'{shown}' goes with everything of a Patient: leave it out");
                return Err(ApiError::bad(IssueType::NotSupported, text));
            }
            if !KNOWN.contains(&name.as_str()) {
                let text = format!("'{shown}' is not a parameter of $everything; known are: {}", KNOWN.join(", "));
                return Err(ApiError::bad(IssueType::NotSupported, text));
            }
            if name != "_type" && pairs.0[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::bad(IssueType::Invalid, format!("'{name}' is given more than once")));
            }
        }
        let mut types = Vec::new();
        for name in pairs.0.iter().filter(|(name, _)| name == "_type").flat_map(|(_, value)| value.split(',')) {
            let named = name.trim().parse::<ResourceType>();
            types.push(named.map_err(|error| ApiError::bad(IssueType::Value, format!("'_type': {error}")))?);
        }
        let since = pairs.get("_since").map(|text| {
            // In a query a plus sign that is not encoded arrives as a space.
            let date = text.replace(' ', "+").parse::<FhirDate>();
            date.map(|date| date.low).map_err(|error| ApiError::bad(IssueType::Value, format!("'_since': {error}")))
        });
        let count = match pairs.get("_count").map(str::parse::<usize>) {
            None => limits::PAGE_COUNT_MAX,
            Some(Ok(count)) if count > 0 => count.min(limits::PAGE_COUNT_MAX),
            Some(_) => return Err(ApiError::bad(IssueType::Value, "'_count': a whole number from 1 is expected")),
        };
        let care = |name: &str| match pairs.get(name) {
            None => Ok(None),
            Some(text) => match text.parse::<FhirDate>() {
                Ok(_) => Ok(Some(text.to_owned())),
                Err(error) => Err(ApiError::bad(IssueType::Value, format!("'{name}': {error}"))),
            },
        };
        Ok(Self {
            care: [care("start")?, care("end")?],
            types: (!types.is_empty()).then_some(types),
            since: since.transpose()?,
            count,
            page: pairs.get("_page").map(str::to_owned),
        })
    }

    fn takes(&self, resource_type: ResourceType) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&resource_type))
    }
}

/// The centre first, and then the members of its compartment, type by type.
fn asked(centre: &LocalReference, wanted: &Wanted, pairs: Vec<(String, String)>, bases: &LocalBases) -> Result<Asked, ApiError> {
    let own = |id: &LogicalId| vec![id.clone()];
    let members = compartment_types(centre.resource_type);
    // What is outside of the compartment is found by way of its members, of which then all are gone through.
    let is_outside = |one: &ResourceType| !members.contains(one) && *one != centre.resource_type;
    let is_through = wanted.types.as_ref().map_or(wanted.since.is_some(), |types| types.iter().any(is_outside));
    let is_stage = |member: ResourceType| is_through || wanted.takes(member);
    let mut stages = Vec::new();
    let mut stage = |member: ResourceType, mut criteria: Vec<Criterion>| -> Result<(), ApiError> {
        if let Some(since) = wanted.since.filter(|_| !is_through) {
            criteria.push(Criterion::LastUpdated(vec![LastUpdatedFilter::Within(since, Instant::from_unix_ms(i64::MAX))]));
        }
        let whole = Search::parse(member, &[], Strictness::Strict, bases)?;
        stages.push((member, Search { criteria, count: wanted.count, ..whole }));
        Ok(())
    };
    if is_stage(centre.resource_type) {
        stage(centre.resource_type, vec![Criterion::Ids(own(&centre.id))])?;
    }
    for member in members.iter().copied().filter(|member| is_stage(*member)) {
        let mut criteria = vec![in_compartment(centre, member).map_err(|_| ApiError::Defect)?];
        criteria.extend(in_care(member, &wanted.care, bases)?);
        if member == centre.resource_type {
            criteria.push(Criterion::NotIds(own(&centre.id)));
        }
        stage(member, criteria)?;
    }
    let shown = is_through.then(|| Shown { types: wanted.types.clone(), since: wanted.since });
    let steering = Steering { count: wanted.count, page: wanted.page.clone(), shown };
    let path = format!("/r4/{}/{}/$everything", centre.resource_type, centre.id);
    Ok(Asked::plain(path, pairs, stages, steering))
}

/// Parameters that tell when care was given, the nearest to it first: of a type, the first that it has counts.
const CARE_DATES: [&str; 20] = [
    "onset-date",
    "occurrence",
    "effective-time",
    "effective",
    "whenhandedover",
    "event-date",
    "started",
    "collected",
    "start-date",
    // A MedicationRequest has also a date, of its doses, which few tell.
    "authoredon",
    "date",
    "period",
    "authored",
    "authored-on",
    "datetime",
    "datewritten",
    "identified",
    "sent",
    "recorded",
    "created",
];

/// Care between these dates; what does not tell its date is not left out.
fn in_care(member: ResourceType, care: &[Option<String>; 2], bases: &LocalBases) -> Result<Option<Criterion>, ApiError> {
    let is_date = |name: &&&str| parameter(member, name).is_some_and(|parameter| parameter.kind == ParameterKind::Date);
    let Some(name) = CARE_DATES.iter().find(is_date) else { return Ok(None) };
    let bounds =
        care.iter().zip(["ge", "le"]).filter_map(|(date, prefix)| Some(((*name).to_owned(), format!("{prefix}{}", date.as_ref()?))));
    let bounds: Vec<(String, String)> = bounds.collect();
    if bounds.is_empty() {
        return Ok(None);
    }
    let criteria = |pairs: &[(String, String)]| Search::parse(member, pairs, Strictness::Strict, bases).map(|search| search.criteria);
    let undated = criteria(&[(format!("{name}:missing"), "true".to_owned())])?;
    Ok(Some(Criterion::Either(vec![criteria(&bounds)?, undated])))
}

/// What the matches refer to and is no member of the compartment: members have their own turn.
async fn along(
    app: &App,
    scope: &Scope,
    bases: &LocalBases,
    centre: &StoredVersion,
    wanted: &Wanted,
    matches: &[StoredVersion],
) -> Result<Included, ApiError> {
    let centre = LocalReference { resource_type: centre.resource_type, id: centre.id.clone() };
    let found: HashSet<LocalReference> = matches.iter().map(reference_to).chain([centre.clone()]).collect();
    let mut targets: Vec<(AccountId, LocalReference)> = Vec::new();
    let mut known = HashSet::new();
    for version in matches {
        for target in entries_of(version, bases)?.references {
            if wanted.takes(target.resource_type) && !found.contains(&target) && known.insert(target.clone()) {
                targets.push((version.account_id, target));
            }
        }
    }
    let mut included = Included::default();
    let take = |version: StoredVersion| {
        let is_recent = wanted.since.is_none_or(|since| version.last_updated >= since);
        if is_recent && !is_member(&centre, &version, bases)? && included.has_room_for(&version) {
            included.versions.push(version);
        }
        Ok(!included.is_cut)
    };
    read_in_parts(app, scope, &targets, take).await?;
    Ok(included)
}

fn reference_to(version: &StoredVersion) -> LocalReference {
    LocalReference { resource_type: version.resource_type, id: version.id.clone() }
}

fn entries_of(version: &StoredVersion, bases: &LocalBases) -> Result<IndexEntries, ApiError> {
    let resource = Resource::parse(render_version(version)?.as_bytes()).map_err(|_| ApiError::Defect)?;
    // OK because what was stored had been indexed: should a later rule refuse it, it brings nothing along.
    Ok(index_entries(&resource, bases).unwrap_or_default())
}

fn is_member(centre: &LocalReference, version: &StoredVersion, bases: &LocalBases) -> Result<bool, ApiError> {
    match in_compartment(centre, version.resource_type) {
        Ok(criterion) => Ok(holds(&criterion, &version.id, &entries_of(version, bases)?.values)),
        // No resource of this type is in it.
        Err(_) => Ok(false),
    }
}
