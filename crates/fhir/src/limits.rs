//! The limits that every input is held to. Each has an error that names it.

/// Bytes of one resource as JSON, 16 MiB.
pub const RESOURCE_BYTES_MAX: usize = 16 << 20;

/// Bytes of one Bundle as JSON, 64 MiB.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;

/// Entries of one batch or transaction Bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 25_000;

/// Nested objects and arrays of one resource.
pub const JSON_DEPTH_MAX: usize = 64;

/// Issues that one validation reports.
pub const ISSUES_MAX: usize = 100;

/// Resources on one page of a listing or history.
pub const PAGE_COUNT_MAX: usize = 1_000;

/// Bytes of content on one page of a search, about: a page that has more ends there. One resource always fits.
pub const PAGE_BYTES_MAX: usize = 32 << 20;

/// Resources on one page when `_count` is not given.
pub const PAGE_COUNT_DEFAULT: usize = 50;

/// Operations of one patch.
pub const PATCH_OPERATIONS_MAX: usize = 1_000;

/// Characters of one path in a patch.
pub const PATCH_PATH_CHARS_MAX: usize = 1_000;

/// What one patch may cost in all, roughly in bytes: what is copied, compared or removed, moved aside, or visited by a path.
pub const PATCH_WORK_MAX: usize = 128 << 20;

/// Parentheses and arguments within each other in one path of a FHIRPath Patch.
pub const PATCH_PATH_NESTING_MAX: usize = 20;

/// Elements that one step of a path in a FHIRPath Patch may lead to.
pub const PATCH_ELEMENTS_MAX: usize = 100_000;
