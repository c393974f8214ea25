//! Patches as a whole, through their public functions.

mod fhirpath_patch;
mod json_patch;
mod properties;
