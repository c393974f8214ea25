//! Patches as pure functions on a resource's JSON: JSON Patch (<https://www.rfc-editor.org/rfc/rfc6902>).
//!
//! A patch applies as a whole or not at all. Digits of numbers and the order of members are kept. What the server alone sets
//! (`resourceType`, `id`, `meta.versionId`, `meta.lastUpdated`) no patch changes. Whether the outcome is a valid resource is not decided
//! here.

mod draft;
mod equality;
mod error;
mod json_pointer;
mod measure;
#[cfg(test)]
mod tests;

pub mod json_patch;

pub use error::{PatchError, PatchErrorKind};
