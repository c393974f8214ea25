//! The words of FHIR R4 that the rest of Lethe speaks: resource types, ids, instants, references, resources, bundles, outcomes.
//!
//! Vocabulary only: no input or output, no clock, no randomness, no storage.

mod instant;
mod json;
mod logical_id;
mod outcome;
mod reference;
mod reference_map;
mod resource;
mod resource_type;
mod subset;
mod validate;

pub mod bundle;
pub mod limits;
pub mod ndjson;
pub mod patch;
pub mod structure;

pub use instant::{FhirDate, FhirDateError, Instant};
pub use json::parse_json;
pub use logical_id::{InvalidLogicalId, LogicalId};
pub use outcome::{Issue, IssueType, OperationOutcome, Severity};
pub use reference::{LocalBases, LocalReference, MalformedReference, Reference};
pub use reference_map::{ReferenceMap, conditional_references};
pub use resource::{Body, Resource, ResourceError, render_resource};
pub use resource_type::{ResourceType, UnknownResourceType};
pub use subset::{Elements, Subset, UnknownElements};
pub use validate::validate;
