//! Uploads the population as transaction Bundles.

use std::{collections::HashSet, time::Duration};

use anyhow::Result;
use reqwest::Method;

use super::{DemoPlan, account::DemoAccount, parallel};
use crate::{
    api_client::ApiClient,
    population::{GeneratedChange, GeneratedKind},
    progress::{Progress, rate},
    terminal::grouped,
};

/// Records in one Bundle, where their changes do not wait for each other.
const RECORDS_PER_BUNDLE: usize = 5;
/// For the length of the progress bar only.
const ROUGH_CHANGES_PER_RECORD: u64 = 70;

/// What an upload did.
pub(super) struct Uploaded {
    pub(super) changes: u64,
    pub(super) elapsed: Duration,
}

/// Uploads the whole population to each account.
///
/// # Errors
/// The server refuses a Bundle.
pub(super) async fn upload(plan: &DemoPlan, accounts: &[&DemoAccount]) -> Result<Uploaded> {
    let mut progress = Progress::new("upload", plan.patients * ROUGH_CHANGES_PER_RECORD * accounts.len() as u64);
    let mut changes = 0;
    for account in accounts {
        let mut records = plan.population().planting(account.markers.clone()).records().peekable();
        let groups = std::iter::from_fn(move || {
            records.peek()?;
            Some(records.by_ref().take(RECORDS_PER_BUNDLE).flatten().collect::<Vec<_>>())
        });
        let api = account.api.clone();
        let act = move |group| upload_group(api.clone(), group);
        parallel::for_each(groups, act, |count: u64| {
            changes += count;
            let per_second = grouped(rate(changes, progress.elapsed()));
            progress.set(changes, &format!("{} versions, {per_second}/s", grouped(changes)));
        })
        .await?;
    }
    Ok(Uploaded { changes, elapsed: progress.finish() })
}

/// Sends the changes in as few transactions as keep their order: one holds each resource once.
async fn upload_group(api: ApiClient, changes: Vec<GeneratedChange>) -> Result<u64> {
    let count = changes.len() as u64;
    let mut waiting = changes;
    while !waiting.is_empty() {
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|change| seen.insert((change.resource_type, change.id.clone())));
        api.send(api.request_with_body(Method::POST, "", transaction(&now)).header("Prefer", "return=minimal")).await?.success()?;
        waiting = later;
    }
    Ok(count)
}

fn transaction(changes: &[GeneratedChange]) -> String {
    let entries: Vec<String> = changes
        .iter()
        .map(|GeneratedChange { resource_type, id, kind }| match kind {
            GeneratedKind::Put(json) => format!(r#"{{"resource":{json},"request":{{"method":"PUT","url":"{resource_type}/{id}"}}}}"#),
            GeneratedKind::Delete => format!(r#"{{"request":{{"method":"DELETE","url":"{resource_type}/{id}"}}}}"#),
        })
        .collect();
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
}
