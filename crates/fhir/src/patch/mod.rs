//! Patches as pure functions on a resource's JSON: JSON Patch (<https://www.rfc-editor.org/rfc/rfc6902>) and FHIRPath Patch
//! (<https://hl7.org/fhir/R4/fhirpatch.html>).
//!
//! A patch applies as a whole or not at all. Digits of numbers and the order of members are kept. What the server alone sets
//! (`resourceType`, `id`, `meta.versionId`, `meta.lastUpdated`) no patch changes. Whether the outcome is a valid resource is not decided
//! here.

mod content;
mod draft;
mod edit;
mod equality;
mod error;
mod evaluate;
mod json_pointer;
mod kind;
mod measure;
mod node;
mod path_tokens;
#[cfg(test)]
mod tests;

pub mod fhirpath_patch;
pub mod json_patch;
pub mod path;

pub use error::{PatchError, PatchErrorKind};
