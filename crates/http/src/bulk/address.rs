//! Addresses of bulk jobs and their files, and the one answer for those that are not there to be seen.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use lethe_store::JobId;

use crate::{App, error::ApiError, purge::job_id};

/// `/r4/$export/{job id}`.
pub struct ExportPath(pub JobId);

/// `/r4/$export/{job id}/{file}`.
pub struct ExportFilePath {
    /// The job.
    pub job_id: JobId,
    /// The number of the file.
    pub file: u64,
}

/// `/r4/$import/{job id}`.
pub struct ImportPath(pub JobId);

/// Where an import tells its status.
pub fn import_url(app: &App, job_id: JobId) -> String {
    format!("{}/r4/$import/{job_id}", app.public_url)
}

/// The same for an import that never was, one whose time is over, and another account's.
pub fn no_such_import() -> ApiError {
    ApiError::NotFound("there is no such import in this account: its time may be over (24 hours after its end)".to_owned())
}

/// Where an export tells its status.
pub fn export_url(app: &App, job_id: JobId) -> String {
    format!("{}/r4/$export/{job_id}", app.public_url)
}

/// Where one of its files is.
pub fn export_file_url(app: &App, job_id: JobId, file: u64) -> String {
    format!("{}/{file}.ndjson", export_url(app, job_id))
}

/// The same for an export that never was, one whose time is over, and another account's.
pub fn no_such_export() -> ApiError {
    ApiError::NotFound(
        "there is no such export in this account: it may have been removed, its time may be over (24 hours after its end), or a purge may \
         have removed what it was asked by; start another"
            .to_owned(),
    )
}

/// The same whether the job or the file is not there.
pub fn no_such_file() -> ApiError {
    ApiError::NotFound(
        "there is no such file: its export may have been removed, or its time is over; the manifest of an export names its files"
            .to_owned(),
    )
}

impl FromRequestParts<Arc<App>> for ExportPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| no_such_export())?;
        job_id(&text).map(Self).ok_or_else(no_such_export)
    }
}

impl FromRequestParts<Arc<App>> for ImportPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| no_such_import())?;
        job_id(&text).map(Self).ok_or_else(no_such_import)
    }
}

impl FromRequestParts<Arc<App>> for ExportFilePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Path((job, file)) = Path::<(String, String)>::from_request_parts(parts, app).await.map_err(|_| no_such_file())?;
        let file = file_number(&file).ok_or_else(no_such_file)?;
        Ok(Self { job_id: job_id(&job).ok_or_else(no_such_file)?, file })
    }
}

/// Only the spelling of [`export_file_url`], so that a file has one address.
fn file_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".ndjson")?;
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_address() {
        assert_eq!(file_number("12.ndjson"), Some(12));
        for other in ["12", "012.ndjson", "+1.ndjson", ".ndjson", "1.ndjson.gz", "99999999999999999999.ndjson"] {
            assert_eq!(file_number(other), None, "{other}");
        }
    }
}
