//! Whether a resource is built as R4's base definitions say: known elements, of the right kind, form and number, with what is required.
//!
//! Profiles, invariants beyond those of Reference, Extension and contained resources, and terminology beyond required codes are not looked at.
//! A write pays for this, so that a resource without faults is walked without taking memory for its elements.

mod format;
mod place;
mod rules;
mod suggest;
mod walk;

use walk::Walk;

use crate::{Issue, Resource};

/// Everything that is wrong, in the order of the document, and at most [`crate::limits::ISSUES_MAX`]. Empty means well-built.
///
/// Resources within (`contained`, entries of a Bundle, parameters) are looked at as well.
#[must_use]
pub fn validate(resource: &Resource) -> Vec<Issue> {
    Walk::over(resource)
}

#[cfg(test)]
mod tests;
