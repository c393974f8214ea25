//! `/r4/$purge/{job id}`: which job is meant, and the one answer for those that are not there to be seen.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use lethe_store::JobId;
use uuid::Uuid;

use crate::{App, error::ApiError};

/// The job that the path names.
pub struct JobPath(pub JobId);

impl FromRequestParts<Arc<App>> for JobPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| no_such_job())?;
        job_id(&text).map(Self).ok_or_else(no_such_job)
    }
}

/// Only the usual spelling with hyphens, so that a job has one address.
pub fn job_id(text: &str) -> Option<JobId> {
    text.parse::<Uuid>().ok().filter(|id| id.hyphenated().to_string().eq_ignore_ascii_case(text))
}

/// The same for a job that never was and for another account's: who may not see a job must not learn that it exists.
pub fn no_such_job() -> ApiError {
    ApiError::NotFound("there is no such purge job in this account; GET /r4/$purge lists its jobs".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_address() {
        assert!(job_id("f707145c-7c51-44ae-8bcd-9a55bff81974").is_some());
        assert!(job_id("F707145C-7c51-44ae-8bcd-9a55bff81974").is_some());
        for other in [
            "",
            "1",
            "f707145c7c5144ae8bcd9a55bff81974",
            "{f707145c-7c51-44ae-8bcd-9a55bff81974}",
            "urn:uuid:f707145c-7c51-44ae-8bcd-9a55bff81974",
        ] {
            assert!(job_id(other).is_none(), "{other}");
        }
    }
}
