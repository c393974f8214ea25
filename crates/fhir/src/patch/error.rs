//! Why a patch was not applied.

use std::fmt;

use crate::limits;

/// Whose fault it is that a patch was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchErrorKind {
    /// The patch cannot be understood; it would fail on every resource.
    Malformed,
    /// The patch is understood, but does not fit this resource.
    DoesNotApply,
    /// A `test` of a JSON Patch found something else.
    TestFailed,
    /// The patch, or what would come of it, is over one of [`limits`].
    OverLimit,
}

/// Why a patch was not applied: which operation, where, what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchError {
    /// Whose fault it is.
    pub kind: PatchErrorKind,
    /// The operation, counted from 0; `None` if it is the patch as a whole.
    pub operation: Option<usize>,
    /// The path of the operation as it was sent, cut if it is too long to be one.
    pub path: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl PatchError {
    pub(super) fn new(kind: PatchErrorKind, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, operation: None, path: None, problem: problem.into(), remedy: remedy.into() }
    }

    pub(super) fn malformed(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(PatchErrorKind::Malformed, problem, remedy)
    }

    pub(super) fn does_not_apply(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(PatchErrorKind::DoesNotApply, problem, remedy)
    }

    pub(super) fn over_limit(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(PatchErrorKind::OverLimit, problem, remedy)
    }

    /// Refuses a patch with too many operations.
    pub(super) fn check_count(operations: usize) -> Result<(), Self> {
        if operations <= limits::PATCH_OPERATIONS_MAX {
            return Ok(());
        }
        Err(Self::over_limit(
            format!("the patch has {operations} operations; at most {} are accepted", limits::PATCH_OPERATIONS_MAX),
            "split it, or update the resource with PUT",
        ))
    }

    /// Refuses a path that is too long.
    pub(super) fn check_path(path: &str) -> Result<(), Self> {
        if path.len() <= limits::PATCH_PATH_CHARS_MAX || path.chars().nth(limits::PATCH_PATH_CHARS_MAX).is_none() {
            return Ok(());
        }
        Err(Self::over_limit(
            format!("the path has {} characters; at most {} are accepted", path.chars().count(), limits::PATCH_PATH_CHARS_MAX),
            "send a shorter path",
        ))
    }

    /// Says which operation it was, unless that is known.
    pub(super) fn in_operation(mut self, operation: usize, path: Option<&str>) -> Self {
        self.operation.get_or_insert(operation);
        if self.path.is_none() {
            self.path = path.map(cut);
        }
        self
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.operation {
            write!(f, "operation[{operation}]")?;
            if let Some(path) = &self.path {
                write!(f, " at '{path}'")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for PatchError {}

/// A text of the caller's for a message: as it is, or its beginning.
pub(super) fn cut(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 200;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_operation_path_problem_and_remedy() {
        let error = PatchError::malformed("'op' is missing", "give 'op'");
        assert_eq!(error.to_string(), "'op' is missing; give 'op'");
        assert_eq!(error.in_operation(2, Some("/a")).in_operation(9, None).to_string(), "operation[2] at '/a': 'op' is missing; give 'op'");
        assert_eq!(cut(&"é".repeat(201)), format!("{}…", "é".repeat(200)));
    }

    #[test]
    fn the_limit_on_paths_counts_characters() {
        assert!(PatchError::check_path(&"é".repeat(1_000)).is_ok());
        assert_eq!(PatchError::check_path(&"é".repeat(1_001)).unwrap_err().kind, PatchErrorKind::OverLimit);
        assert!(PatchError::check_count(1_000).is_ok() && PatchError::check_count(1_001).is_err());
    }
}
