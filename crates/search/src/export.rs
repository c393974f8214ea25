//! What a bulk export takes: what is in the compartments of patients, and what fits the conditions of `_typeFilter`
//! (<https://hl7.org/fhir/uv/bulkdata/STU2/export.html>).
//!
//! It is decided on one version alone, so that it can be said of a version that has been replaced since, too. Conditions on other resources
//! are therefore refused: what they were then is not asked for.

use std::collections::{BTreeMap, HashSet};

use lethe_fhir::{Instant, LocalBases, LogicalId, ResourceType};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Criterion, Entries, has_words,
    patient_compartment::{is_in_patient_compartments, paths_to_patient},
    query::{QueryErrors, Search, Strictness},
    value,
};

/// `_typeFilter`s of one export.
pub const TYPE_FILTERS_MAX: usize = 100;

/// Parameters of a search that say how it is answered; an export is not answered so.
const NOT_CONDITIONS: [&str; 12] = [
    "_include",
    "_revinclude",
    "_sort",
    "_count",
    "_summary",
    "_elements",
    "_total",
    "_page",
    "_contained",
    "_containedType",
    "_format",
    "_pretty",
];

/// Whose resources are exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExportLevel {
    /// Everybody's: everything.
    #[default]
    System,
    /// All patients': what is in the compartment of any.
    Patient,
    /// Those of the members of this Group.
    Group(LogicalId),
}

/// One `_typeFilter`: a search over one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeFilter {
    /// The type.
    pub resource_type: ResourceType,
    /// The decoded pairs of its query.
    pub pairs: Vec<(String, String)>,
}

/// What of a request may name a resource or quote a value. A store keeps it apart from the job, since a purge removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportQuestion {
    /// The Group whose members are meant.
    pub group: Option<LogicalId>,
    /// Only these patients; none: all.
    pub patients: Vec<LogicalId>,
    /// The conditions, those of one type being alternatives.
    pub type_filters: Vec<TypeFilter>,
}

/// What is wrong with a `_typeFilter`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TypeFilterError {
    /// It is not of the form `Type?query`.
    #[error("'{0}' is not of the form Type?name=value")]
    Malformed(String),
    /// Its query is wrong.
    #[error("{resource_type}: {errors}")]
    Query {
        /// Its type.
        resource_type: ResourceType,
        /// Everything that is wrong.
        errors: QueryErrors,
    },
    /// It steers an answer.
    #[error("{resource_type}: '{parameter}' is no condition on a resource: leave it out")]
    NotACondition {
        /// Its type.
        resource_type: ResourceType,
        /// The parameter.
        parameter: String,
    },
    /// It asks of other resources.
    #[error(
        "{0}: chained parameters and _has are not supported here, since they ask what another resource was at the kick-off: use conditions \
         on {0} itself"
    )]
    OtherResources(ResourceType),
    /// There are too many.
    #[error("there are more than {TYPE_FILTERS_MAX}")]
    TooMany,
}

/// The stored form of an [`ExportQuestion`].
#[derive(Serialize, Deserialize)]
struct Stored {
    group: Option<String>,
    patients: Vec<String>,
    filters: Vec<(String, Vec<(String, String)>)>,
}

impl ExportQuestion {
    /// Whether nothing is asked: then there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group.is_none() && self.patients.is_empty() && self.type_filters.is_empty()
    }

    /// For storage.
    #[must_use]
    pub fn to_stored(&self) -> String {
        let stored = Stored {
            group: self.group.as_ref().map(ToString::to_string),
            patients: self.patients.iter().map(ToString::to_string).collect(),
            filters: self.type_filters.iter().map(|filter| (filter.resource_type.to_string(), filter.pairs.clone())).collect(),
        };
        // OK because texts and lists of them are always JSON.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads [`to_stored`](Self::to_stored); `None` if this version does not understand it.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        let filters = stored.filters.into_iter().map(|(name, pairs)| Some(TypeFilter { resource_type: name.parse().ok()?, pairs }));
        Some(Self {
            group: stored.group.map(|id| id.parse()).transpose().ok()?,
            patients: stored.patients.into_iter().map(|id| id.parse()).collect::<Result<_, _>>().ok()?,
            type_filters: filters.collect::<Option<_>>()?,
        })
    }
}

/// The patients of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patients {
    /// It does not go by patients.
    #[default]
    NotAsked,
    /// All.
    All,
    /// These.
    These(HashSet<LogicalId>),
}

/// What of a version decides whether it is exported.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: &'a LogicalId,
    /// When it was stored.
    pub last_updated: Instant,
    /// The values of its search parameters.
    pub values: Entries<'a>,
    /// Its content as it is stored.
    pub body: &'a [u8],
}

/// Decides for each version whether it is exported.
#[derive(Clone, Debug)]
pub struct ExportFilter {
    whose: Whose,
    /// By type: alternatives, each a list of criteria all of which must hold. A type that is not here is taken whole.
    conditions: BTreeMap<ResourceType, Vec<Vec<Criterion>>>,
}

#[derive(Clone, Debug)]
enum Whose {
    Everybodys,
    AnyPatients,
    /// Patients by reference, as index values write it.
    These(HashSet<Vec<u8>>),
}

impl ExportFilter {
    /// Of these patients, under these conditions.
    ///
    /// # Errors
    /// What is wrong with the first condition that cannot be decided.
    pub fn new(patients: Patients, type_filters: &[TypeFilter], bases: &LocalBases) -> Result<Self, TypeFilterError> {
        if type_filters.len() > TYPE_FILTERS_MAX {
            return Err(TypeFilterError::TooMany);
        }
        let mut conditions: BTreeMap<ResourceType, Vec<Vec<Criterion>>> = BTreeMap::new();
        for filter in type_filters {
            conditions.entry(filter.resource_type).or_default().push(criteria_of(filter, bases)?);
        }
        let whose = match patients {
            Patients::NotAsked => Whose::Everybodys,
            Patients::All => Whose::AnyPatients,
            Patients::These(ids) => Whose::These(ids.iter().map(|id| value::reference_to(ResourceType::PATIENT, id)).collect()),
        };
        Ok(Self { whose, conditions })
    }

    /// Whether any resource of a type can be taken.
    #[must_use]
    pub fn can_take(&self, resource_type: ResourceType) -> bool {
        match &self.whose {
            Whose::Everybodys => true,
            Whose::AnyPatients | Whose::These(_) => is_in_patient_compartments(resource_type),
        }
    }

    /// Whether there are conditions on a type.
    #[must_use]
    pub fn has_conditions(&self, resource_type: ResourceType) -> bool {
        self.conditions.contains_key(&resource_type)
    }

    /// Whether content decides about a type, and not its index values alone.
    #[must_use]
    pub fn reads_bodies(&self, resource_type: ResourceType) -> bool {
        self.conditions.get(&resource_type).into_iter().flatten().flatten().any(reads_body)
    }

    /// Whether a version is exported.
    #[must_use]
    pub fn takes(&self, candidate: &Candidate<'_>) -> bool {
        self.is_theirs(candidate)
            && self
                .conditions
                .get(&candidate.resource_type)
                .is_none_or(|alternatives| alternatives.iter().any(|criteria| criteria.iter().all(|criterion| holds(criterion, candidate))))
    }

    fn is_theirs(&self, candidate: &Candidate<'_>) -> bool {
        let is_patient = candidate.resource_type == ResourceType::PATIENT;
        match &self.whose {
            Whose::Everybodys => true,
            Whose::AnyPatients => {
                let is_to_patient = |reference: &[u8]| reference.first() == Some(&ResourceType::PATIENT.code());
                is_patient
                    || paths_to_patient(candidate.resource_type).any(|path| candidate.values.clone().of_path(path).any(is_to_patient))
            }
            Whose::These(patients) => {
                (is_patient && patients.contains(&value::reference_to(ResourceType::PATIENT, candidate.id)))
                    || paths_to_patient(candidate.resource_type)
                        .any(|path| candidate.values.clone().of_path(path).any(|reference| patients.contains(reference)))
            }
        }
    }
}

fn criteria_of(filter: &TypeFilter, bases: &LocalBases) -> Result<Vec<Criterion>, TypeFilterError> {
    let resource_type = filter.resource_type;
    let steers = |name: &str| NOT_CONDITIONS.contains(&name.split_once(':').map_or(name, |(code, _)| code));
    if let Some((name, _)) = filter.pairs.iter().find(|(name, _)| steers(name)) {
        return Err(TypeFilterError::NotACondition { resource_type, parameter: name.chars().take(80).collect() });
    }
    let search = Search::parse(resource_type, &filter.pairs, Strictness::Strict, bases)
        .map_err(|errors| TypeFilterError::Query { resource_type, errors })?;
    if search.criteria.is_empty() {
        // Nothing would be left out, which nobody means who sends a filter.
        let parameter = filter.pairs.first().map(|(name, _)| name.chars().take(80).collect()).unwrap_or_default();
        return Err(TypeFilterError::NotACondition { resource_type, parameter });
    }
    if search.criteria.iter().all(is_about_itself) { Ok(search.criteria) } else { Err(TypeFilterError::OtherResources(resource_type)) }
}

fn is_about_itself(criterion: &Criterion) -> bool {
    match criterion {
        Criterion::AnyOf(_)
        | Criterion::NoneOf(_)
        | Criterion::Ids(_)
        | Criterion::NotIds(_)
        | Criterion::LastUpdated(_)
        | Criterion::Words { .. } => true,
        Criterion::RefersTo { .. } | Criterion::ReferredBy { .. } => false,
        Criterion::Either(alternatives) => alternatives.iter().flatten().all(is_about_itself),
    }
}

fn reads_body(criterion: &Criterion) -> bool {
    match criterion {
        Criterion::Words { .. } => true,
        Criterion::Either(alternatives) => alternatives.iter().flatten().any(reads_body),
        Criterion::AnyOf(_)
        | Criterion::NoneOf(_)
        | Criterion::Ids(_)
        | Criterion::NotIds(_)
        | Criterion::LastUpdated(_)
        | Criterion::RefersTo { .. }
        | Criterion::ReferredBy { .. } => false,
    }
}

fn holds(criterion: &Criterion, candidate: &Candidate<'_>) -> bool {
    match criterion {
        Criterion::AnyOf(spans) => candidate.values.clone().has_any_of(spans),
        Criterion::NoneOf(spans) => !candidate.values.clone().has_any_of(spans),
        Criterion::Ids(ids) => ids.contains(candidate.id),
        Criterion::NotIds(ids) => !ids.contains(candidate.id),
        Criterion::LastUpdated(filters) => filters.iter().any(|filter| filter.admits(candidate.last_updated)),
        Criterion::Words { place, alternatives } => has_words(candidate.body, *place, alternatives),
        Criterion::Either(alternatives) => alternatives.iter().any(|criteria| criteria.iter().all(|inner| holds(inner, candidate))),
        // OK because no filter is made with them.
        Criterion::RefersTo { .. } | Criterion::ReferredBy { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use lethe_fhir::Resource;

    use super::*;
    use crate::extract;

    fn resource(json: &str) -> Resource {
        Resource::parse(json.as_bytes()).unwrap()
    }

    fn filter_of(resource_type: &str, query: &[(&str, &str)]) -> TypeFilter {
        let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        TypeFilter { resource_type: resource_type.parse().unwrap(), pairs }
    }

    fn takes(filter: &ExportFilter, json: &str) -> bool {
        let resource = resource(json);
        let values = extract(&resource, &LocalBases::default()).unwrap();
        filter.takes(&Candidate {
            resource_type: resource.resource_type,
            id: resource.id.as_ref().unwrap(),
            last_updated: Instant::from_unix_ms(1_704_067_200_000),
            values: values.iter(),
            body: resource.body().as_bytes(),
        })
    }

    fn new(patients: Patients, filters: &[TypeFilter]) -> Result<ExportFilter, TypeFilterError> {
        ExportFilter::new(patients, filters, &LocalBases::default())
    }

    const FINAL: &str = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"},
        "text":{"status":"generated","div":"<div>cheerful</div>"}}"#;

    #[test]
    fn conditions_of_a_type_are_alternatives_and_other_types_are_taken_whole() {
        let filters = [
            filter_of("Observation", &[("status", "preliminary")]),
            filter_of("Observation", &[("status", "final"), ("subject", "Patient/a"), ("_lastUpdated", "lt2025")]),
        ];
        let filter = new(Patients::NotAsked, &filters).unwrap();
        assert!(takes(&filter, FINAL));
        assert!(!takes(&filter, &FINAL.replace("Patient/a", "Patient/b")));
        assert!(takes(&filter, &FINAL.replace("final", "preliminary")));
        assert!(!takes(&filter, &FINAL.replace("final", "amended")));
        assert!(takes(&filter, r#"{"resourceType":"Medication","id":"m"}"#));
    }

    #[test]
    fn ids_and_words_are_conditions_too() {
        for (query, expected) in [
            (("_id", "o,p"), true),
            (("_id", "p"), false),
            (("_text", "cheerful"), true),
            (("_text", "gloomy"), false),
            (("status:not", "final"), false),
        ] {
            let filter = new(Patients::NotAsked, &[filter_of("Observation", &[query])]).unwrap();
            assert_eq!(takes(&filter, FINAL), expected, "{query:?}");
        }
    }

    #[test]
    fn what_is_no_condition_on_the_resource_itself_is_refused() {
        for (query, expected) in [
            (("patient.name", "x"), "chained"),
            (("_has:Provenance:target:agent", "Practitioner/1"), "chained"),
            (("_include", "Observation:subject"), "'_include' is no condition"),
            (("_sort", "date"), "'_sort' is no condition"),
            (("_format", "json"), "_format"),
            (("_pretty", "true"), "_pretty"),
            (("stat", "final"), "no search parameter 'stat'"),
        ] {
            let error = new(Patients::NotAsked, &[filter_of("Observation", &[query])]).unwrap_err().to_string();
            assert!(error.starts_with("Observation: ") && error.contains(expected), "{query:?}: {error}");
        }
        let beside = filter_of("Observation", &[("status", "final"), ("_format", "json")]);
        assert!(new(Patients::NotAsked, &[beside]).unwrap_err().to_string().contains("'_format' is no condition"));
        let many = vec![filter_of("Observation", &[("status", "final")]); TYPE_FILTERS_MAX + 1];
        assert_eq!(new(Patients::NotAsked, &many).unwrap_err(), TypeFilterError::TooMany);
    }

    #[test]
    fn compartments_hold_the_patients_and_what_refers_to_them() {
        let all = new(Patients::All, &[]).unwrap();
        let one = new(Patients::These(HashSet::from(["a".parse().unwrap()])), &[]).unwrap();
        for (json, in_all, in_one) in [
            (FINAL, true, true),
            (r#"{"resourceType":"Patient","id":"a"}"#, true, true),
            (r#"{"resourceType":"Patient","id":"b"}"#, true, false),
            (r#"{"resourceType":"Patient","id":"b","link":[{"other":{"reference":"Patient/a"},"type":"refer"}]}"#, true, true),
            (r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/b"}}"#, true, false),
            (r#"{"resourceType":"Observation","id":"o","subject":{"reference":"Group/a"}}"#, false, false),
            (r#"{"resourceType":"Observation","id":"o","performer":[{"reference":"Patient/a"}]}"#, true, true),
            (r#"{"resourceType":"Practitioner","id":"a"}"#, false, false),
        ] {
            assert_eq!((takes(&all, json), takes(&one, json)), (in_all, in_one), "{json}");
        }
        let types = ["Patient", "Observation", "Practitioner", "Medication"].map(|name| all.can_take(name.parse().unwrap()));
        assert_eq!(types, [true, true, false, false]);
    }

    #[test]
    fn a_question_is_read_back_and_others_not_understood() {
        let question = ExportQuestion {
            group: Some("g".parse().unwrap()),
            patients: vec!["a".parse().unwrap()],
            type_filters: vec![filter_of("Observation", &[("code", "a|b&c\"")])],
        };
        assert_eq!(ExportQuestion::from_stored(&question.to_stored()), Some(question));
        for other in ["", "{}", r#"{"group":"a b","filters":[]}"#, r#"{"group":null,"filters":[["Patiant",[]]]}"#] {
            assert_eq!(ExportQuestion::from_stored(other), None, "{other}");
        }
    }
}
