//! Patches as a whole, through their public functions.

mod json_patch;
