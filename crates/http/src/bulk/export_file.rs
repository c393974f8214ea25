//! `GET /r4/$export/{job id}/{file}`: the lines of a file, read while they are sent. Memory does not grow with the file.

use std::{io::Write, sync::Arc};

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use flate2::{Compression, write::GzEncoder};
use lethe_auth::Scope;
use lethe_fhir::{IssueType, OperationOutcome, render_resource};
use lethe_purge::Seq;
use lethe_store::{ExportPage, JobId, StoreError, StoredVersion};
use serde_json::json;

use super::{
    address::{ExportFilePath, no_such_file},
    stream::{Parts, streamed},
};
use crate::{App, authenticate::Authenticated, edge::Pairs, error::ApiError};

/// The first part is read before anything is answered, so that what is not there is 404.
pub async fn file(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    ExportFilePath { job_id, file }: ExportFilePath,
    pairs: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    pairs.only(&[])?;
    let first = app.store.export_page(&scope, job_id, file, Seq(0)).await?.ok_or_else(no_such_file)?;
    let encoding = if takes_gzip(&headers) { Encoding::Gzip(GzEncoder::new(Vec::new(), Compression::fast())) } else { Encoding::Plain };
    let (parts, body) = streamed();
    let mut response = Response::new(body);
    let header_map = response.headers_mut();
    header_map.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+ndjson"));
    header_map.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    header_map.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Encoding::Gzip(_) = encoding {
        header_map.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let source = Source { app, scope, job_id, file };
    tokio::spawn(async move {
        // OK because a client that has gone misses nothing.
        let _ = source.send(first, encoding, &parts).await;
    });
    Ok(response)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.into_iter().any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = matches!(quality.trim().strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000"));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// The client has gone.
struct Gone;

/// Where the parts come from.
struct Source {
    app: Arc<App>,
    scope: Scope,
    job_id: JobId,
    file: u64,
}

impl Source {
    async fn send(self, first: ExportPage, mut encoding: Encoding, parts: &Parts) -> Result<(), Gone> {
        let mut page = first;
        loop {
            let next = page.next;
            // Off the threads that answer calls: bodies are large.
            let made = tokio::task::spawn_blocking(move || encoding.part(&page, next.is_none())).await;
            let (kept, part) = match made {
                Ok(made) => made,
                Err(join) => return fail(parts, StoreError::Failed(Box::new(join))).await,
            };
            encoding = kept;
            match part {
                Ok(part) if part.is_empty() => {}
                Ok(part) => parts.send(Ok(part)).await.map_err(|_| Gone)?,
                Err(error) => return fail(parts, error).await,
            }
            let Some(after) = next else { return Ok(()) };
            page = match self.app.store.export_page(&self.scope, self.job_id, self.file, after).await {
                Ok(Some(page)) => page,
                // Removed, or its time ran out, while it was fetched.
                Ok(None) => return fail(parts, StoreError::NotUnderstood("the export is gone".to_owned())).await,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a file of an export broke off because the store failed");
                    return fail(parts, error).await;
                }
            };
        }
    }
}

async fn fail(parts: &Parts, error: StoreError) -> Result<(), Gone> {
    parts.send(Err(error)).await.map_err(|_| Gone)
}

enum Encoding {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoding {
    /// The lines of a page, encoded. Gives itself back, since it goes to another thread and returns.
    fn part(self, page: &ExportPage, is_last: bool) -> (Self, Result<Bytes, StoreError>) {
        let mut lines = String::new();
        for version in &page.versions {
            lines.push_str(&line(version));
            lines.push('\n');
        }
        for issue in &page.issues {
            lines.push_str(&OperationOutcome::error(IssueType::NotFound, issue).to_json().to_string());
            lines.push('\n');
        }
        match self {
            Self::Plain => (Self::Plain, Ok(Bytes::from(lines))),
            Self::Gzip(mut encoder) => {
                let written = encoder.write_all(lines.as_bytes()).and_then(|()| if is_last { encoder.try_finish() } else { Ok(()) });
                let part = written.map(|()| Bytes::from(std::mem::take(encoder.get_mut())));
                (Self::Gzip(encoder), part.map_err(|error| StoreError::Failed(Box::new(error))))
            }
        }
    }
}

/// A resource; for a deletion, a Bundle that deletes it, as Bulk Data has it.
fn line(version: &StoredVersion) -> String {
    match &version.body {
        Some(body) => render_resource(version.resource_type, &version.id, version.version, version.last_updated, body),
        None => json!({
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{ "request": { "method": "DELETE", "url": format!("{}/{}", version.resource_type, version.id) } }],
        })
        .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_file_are_one_gzip() {
        let version = |number: u64| StoredVersion {
            account_id: lethe_auth::AccountId(1),
            resource_type: "Patient".parse().unwrap(),
            id: format!("p{number}").parse().unwrap(),
            version: 1,
            last_updated: lethe_fhir::Instant::from_unix_ms(0),
            seq: Seq(number),
            kind: lethe_store::ChangeKind::Delete,
            body: None,
        };
        let page = |versions| ExportPage { kind: lethe_store::ExportFileKind::Deletions, versions, issues: Vec::new(), next: None };
        let encoding = Encoding::Gzip(GzEncoder::new(Vec::new(), Compression::fast()));
        let (encoding, first) = encoding.part(&page(vec![version(1), version(2)]), false);
        let (_, last) = encoding.part(&page(Vec::new()), true);
        let packed = [first.unwrap(), last.unwrap()].concat();
        let text = std::io::read_to_string(flate2::read::GzDecoder::new(packed.as_slice())).unwrap();
        assert_eq!(text.lines().map(|line| line.contains("Patient/p")).collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accepted, expected) in
            [("gzip", true), ("deflate, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("identity", false), ("", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
