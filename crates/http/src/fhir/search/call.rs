//! What a search asks for: its parameters from query and form, read against the types that are searched.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use lethe_fhir::{Elements, Instant, IssueType, LocalBases, LocalReference, ResourceType, Subset};
use lethe_search::query::{QueryError, QueryErrors, Search, Strictness, Summary, TotalMode, compartment_types, in_compartment};

use crate::{
    App,
    edge::{BodyKind, Layout, Pairs, body_kind, parse_pairs, read_body},
    error::ApiError,
    fhir::preference::preferences,
};

/// Bytes of a search in a body.
const SEARCH_BYTES_MAX: usize = 1 << 20;

/// `Prefer: handling=…`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handling {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// What is not known is refused.
    Strict,
    /// What is not known is ignored, and said so.
    Lenient,
}

impl Handling {
    /// Reads the header; other preferences are left alone, as RFC 7240 says.
    pub fn of(headers: &HeaderMap) -> Self {
        preferences(headers)
            .find_map(|preference| match preference.as_str() {
                "handling=strict" => Some(Self::Strict),
                "handling=lenient" => Some(Self::Lenient),
                _ => None,
            })
            .unwrap_or_default()
    }

    fn strictness(self) -> Strictness {
        match self {
            // By default too: ignoring a condition would widen the result.
            Self::Unsaid | Self::Strict => Strictness::Strict,
            Self::Lenient => Strictness::Lenient,
        }
    }
}

/// The parameters of a search, from its query and, if it is a POST, from the form in its body.
pub struct SearchParameters {
    /// Decoded, in the order sent.
    pub pairs: Vec<(String, String)>,
    /// How strictly they are read.
    pub handling: Handling,
    /// How the answer is laid out.
    pub layout: Layout,
}

impl FromRequest<Arc<App>> for SearchParameters {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let Pairs(mut pairs) = Pairs::of(&parts.uri)?;
        let bytes = read_body(&parts.headers, body, SEARCH_BYTES_MAX).await?;
        if !bytes.is_empty() {
            if body_kind(&parts.headers)? != BodyKind::Form {
                let text = "a search is sent as 'Content-Type: application/x-www-form-urlencoded'";
                return Err(ApiError::UnsupportedMediaType(text.to_owned()));
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::bad(IssueType::Structure, "the body is not UTF-8"))?;
            pairs.extend(parse_pairs(text)?);
        }
        Ok(Self { layout: Layout::of(&pairs)?, handling: Handling::of(&parts.headers), pairs })
    }
}

/// A search that has been read.
#[derive(Debug)]
pub struct Asked {
    /// Where it was asked, from `/r4` on.
    pub path: String,
    /// The parameters as sent.
    pub pairs: Vec<(String, String)>,
    /// What is searched, type by type; never empty unless `_type` contradicts itself.
    pub stages: Vec<(ResourceType, Search)>,
    /// What is left of each resource.
    pub subset: Option<Subset>,
    /// Resources of one page.
    pub count: usize,
    /// The number and no resources.
    pub is_count_only: bool,
    /// Which total is wanted.
    pub total: TotalMode,
    /// The token of the page.
    pub page: Option<String>,
    /// Only these matches are shown; the others are there for what they bring along.
    pub shown: Option<Shown>,
    /// What was left out.
    pub ignored: Vec<QueryError>,
}

/// What steers a search that is none of the client's own.
pub struct Steering {
    /// Resources of one page.
    pub count: usize,
    /// The token of the page.
    pub page: Option<String>,
    /// As [`Asked::shown`].
    pub shown: Option<Shown>,
}

/// Which matches are shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Those of these types; none: of all.
    pub types: Option<Vec<ResourceType>>,
    /// Those that were stored then or later.
    pub since: Option<Instant>,
}

impl Asked {
    /// Over one type.
    pub fn of_type(
        resource_type: ResourceType,
        pairs: Vec<(String, String)>,
        handling: Handling,
        bases: &LocalBases,
    ) -> Result<Self, ApiError> {
        let search = Search::parse(resource_type, &pairs, handling.strictness(), bases)?;
        Self::of(format!("/r4/{resource_type}"), pairs, vec![(resource_type, search)])
    }

    /// Over all types, or those that `_type` names.
    pub fn of_system(pairs: Vec<(String, String)>, handling: Handling, bases: &LocalBases) -> Result<Self, ApiError> {
        let stages = Search::parse_system(&pairs, handling.strictness(), bases)?;
        Self::of("/r4".to_owned(), pairs, stages)
    }

    /// Over one type within a compartment.
    pub fn of_compartment(
        owner: &LocalReference,
        member: ResourceType,
        pairs: Vec<(String, String)>,
        handling: Handling,
        bases: &LocalBases,
    ) -> Result<Self, ApiError> {
        // A compartment that does not exist is a wrong address, not a wrong query.
        let inside = in_compartment(owner, member).map_err(|error| ApiError::NotFound(error.to_string()))?;
        let mut search = Search::parse(member, &pairs, handling.strictness(), bases)?;
        search.criteria.push(inside);
        Self::of(format!("/r4/{}/{}/{member}", owner.resource_type, owner.id), pairs, vec![(member, search)])
    }

    /// Over all types of a compartment, or those that `_type` names.
    pub fn of_whole_compartment(
        owner: &LocalReference,
        pairs: Vec<(String, String)>,
        handling: Handling,
        bases: &LocalBases,
    ) -> Result<Self, ApiError> {
        let types = compartment_types(owner.resource_type);
        if types.is_empty() {
            return Err(ApiError::NotFound(format!("{} has no compartment", owner.resource_type)));
        }
        let mut stages = Search::parse_types(&types, &pairs, handling.strictness(), bases)?;
        for (member, search) in &mut stages {
            search.criteria.push(in_compartment(owner, *member).map_err(|error| ApiError::NotFound(error.to_string()))?);
        }
        Self::of(format!("/r4/{}/{}/*", owner.resource_type, owner.id), pairs, stages)
    }

    /// Over stages that somebody else has made, without anything that steers but a count and a page.
    pub fn plain(path: String, pairs: Vec<(String, String)>, stages: Vec<(ResourceType, Search)>, steering: Steering) -> Self {
        let Steering { count, page, shown } = steering;
        // What is not shown must not be counted.
        let total = if shown.is_some() { TotalMode::None } else { TotalMode::Unsaid };
        Self { path, pairs, stages, subset: None, count, is_count_only: false, total, page, shown, ignored: Vec::new() }
    }

    fn of(path: String, pairs: Vec<(String, String)>, stages: Vec<(ResourceType, Search)>) -> Result<Self, ApiError> {
        // What steers a search is the same for all of its types.
        let steering = match stages.first() {
            Some((_, search)) => search.clone(),
            None => return Err(ApiError::bad(IssueType::Invalid, "'_type' is given more than once, and no type is named each time")),
        };
        if stages.len() > 1 && !steering.sort.is_empty() {
            let text = "'_sort': results of several types come type by type; search for one type, as in _type=Patient, or leave it out";
            return Err(ApiError::bad(IssueType::NotSupported, text));
        }
        Ok(Self {
            subset: subset(&stages, &steering)?,
            count: steering.count,
            is_count_only: steering.is_count_only,
            total: steering.total,
            page: steering.page,
            shown: None,
            ignored: steering.ignored,
            path,
            pairs,
            stages,
        })
    }

    /// Whether every resource of the types is meant.
    pub fn is_unconditional(&self) -> bool {
        self.stages.iter().all(|(_, search)| search.criteria.is_empty())
    }
}

fn subset(stages: &[(ResourceType, Search)], steering: &Search) -> Result<Option<Subset>, ApiError> {
    if !steering.elements.is_empty() {
        if !matches!(steering.summary, Summary::False | Summary::Count) {
            return Err(ApiError::bad(IssueType::Invalid, "'_elements' and '_summary' exclude each other: give one of them"));
        }
        let brings_others = stages.iter().any(|(_, search)| !search.includes.is_empty());
        let types: Vec<ResourceType> =
            if brings_others { ResourceType::all().collect() } else { stages.iter().map(|(own, _)| *own).collect() };
        let elements =
            Elements::parse(&steering.elements.join(","), &types).map_err(|error| ApiError::bad(IssueType::Value, error.to_string()))?;
        return Ok(Some(Subset::Elements(elements)));
    }
    Ok(match steering.summary {
        Summary::True => Some(Subset::Summary),
        Summary::Text => Some(Subset::Text),
        Summary::Data => Some(Subset::Data),
        Summary::False | Summary::Count => None,
    })
}

impl From<QueryErrors> for ApiError {
    fn from(errors: QueryErrors) -> Self {
        Self::BadRequest(errors.to_outcome())
    }
}
