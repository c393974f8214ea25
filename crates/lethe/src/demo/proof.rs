//! What can be seen of both accounts, over HTTP and in the bytes of the files; compared before and after the purge.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use lethe_fhir::ResourceType;
use reqwest::{Method, StatusCode};

use super::{DemoPlan, account::DemoAccount, parallel};
use crate::{
    api_client::ApiClient,
    byte_search::search_files,
    population::Marker,
    progress::Progress,
    purge_watch::JobView,
    terminal::{self, Paint, grouped},
};

/// For the length of the progress bar only.
const ROUGH_READS_PER_PATIENT: u64 = 210;

/// Everything that was looked at, at one moment.
pub(super) struct Proof {
    purged: AccountView,
    bystander: AccountView,
    files: usize,
    file_bytes: u64,
}

/// What can be seen of one account.
struct AccountView {
    name: &'static str,
    /// Current resources of each type that has any.
    counts: BTreeMap<ResourceType, u64>,
    /// Whether the history of the whole account has any version.
    has_history: bool,
    /// How often each status was answered to read, vread and history of every resource that was ever uploaded.
    reads: BTreeMap<StatusCode, u64>,
    planted: usize,
    found: usize,
}

impl Proof {
    /// Looks at both accounts.
    ///
    /// # Errors
    /// A call or a file cannot be read.
    pub(super) async fn look(plan: &DemoPlan, directory: &Path, purged: &DemoAccount, bystander: &DemoAccount) -> Result<Self> {
        let needles: Vec<String> =
            [purged, bystander].iter().flat_map(|account| account.markers.iter().flat_map(Marker::needles)).collect();
        let directory = directory.to_owned();
        let found =
            tokio::task::spawn_blocking(move || search_files(&directory, &needles)).await?.context("the files cannot be searched")?;
        let needles_per_account = purged.markers.len() * 2;
        let mut markers: [BTreeSet<usize>; 2] = Default::default();
        for needle in &found.needles {
            markers[needle / needles_per_account].insert(needle / 2);
        }
        Ok(Self {
            purged: AccountView::look(plan, purged, markers[0].len()).await?,
            bystander: AccountView::look(plan, bystander, markers[1].len()).await?,
            files: found.files,
            file_bytes: found.bytes,
        })
    }

    /// What the search of the files found.
    pub(super) fn describe_bytes(&self) -> String {
        let Self { purged, bystander, files, file_bytes } = self;
        let megabytes = *file_bytes as f64 / 1e6;
        format!(
            "byte search of {files} files, {megabytes:.1} MB: {} of {} planted strings of {}'s found, {} of {} of {}'s",
            purged.found, purged.planted, purged.name, bystander.found, bystander.planted, bystander.name
        )
    }
}

impl AccountView {
    async fn look(plan: &DemoPlan, account: &DemoAccount, found: usize) -> Result<Self> {
        let mut counts = BTreeMap::new();
        let api = account.api.clone();
        let count = move |resource_type| count_type(api.clone(), resource_type);
        parallel::for_each(ResourceType::all(), count, |(resource_type, count)| {
            if count > 0 {
                counts.insert(resource_type, count);
            }
        })
        .await?;

        let history = account.api.send(account.api.request(Method::GET, "/_history?_count=1")).await?.success()?.json()?;
        let has_history = history["entry"].as_array().is_some_and(|entries| !entries.is_empty());

        let mut seen = std::collections::HashSet::new();
        let ids = plan
            .population()
            .filter(move |change| seen.insert(change.id.clone()))
            .map(|change| format!("/{}/{}", change.resource_type, change.id));
        let calls = ids.flat_map(|path| [path.clone(), format!("{path}/_history/1"), format!("{path}/_history")]);
        let mut reads = BTreeMap::new();
        let mut done = 0;
        let mut progress = Progress::new("look", plan.patients * ROUGH_READS_PER_PATIENT);
        let api = account.api.clone();
        let read = move |path: String| read_status(api.clone(), path);
        parallel::for_each(calls, read, |status| {
            *reads.entry(status).or_default() += 1;
            done += 1;
            progress.set(done, &format!("{} reads of {}'s resources", grouped(done), account.name));
        })
        .await?;
        progress.finish();
        Ok(Self { name: account.name, counts, has_history, reads, planted: account.markers.len(), found })
    }

    fn reads_answered(&self, status: StatusCode) -> u64 {
        self.reads.get(&status).copied().unwrap_or_default()
    }

    fn all_reads(&self) -> u64 {
        self.reads.values().sum()
    }
}

async fn count_type(api: ApiClient, resource_type: ResourceType) -> Result<(ResourceType, u64)> {
    let answer = api.send(api.request(Method::GET, &format!("/{resource_type}?_summary=count"))).await?.success()?.json()?;
    Ok((resource_type, answer["total"].as_u64().context("a count has a total")?))
}

async fn read_status(api: ApiClient, path: String) -> Result<StatusCode> {
    Ok(api.send(api.request(Method::GET, &path)).await?.status)
}

/// Prints what both accounts hold, by type.
pub(super) fn print_counts(before: &Proof, after: &Proof) {
    let names = (before.purged.name, before.bystander.name);
    let headings =
        [format!("{} before", names.0), format!("{} after", names.0), format!("{} before", names.1), format!("{} after", names.1)];
    let mut table = terminal::table(["", &headings[0], &headings[1], &headings[2], &headings[3]]);
    let views = [&before.purged, &after.purged, &before.bystander, &after.bystander];
    let types: BTreeSet<_> = views.iter().flat_map(|view| view.counts.keys()).collect();
    for resource_type in types {
        let count = |view: &AccountView| grouped(view.counts.get(resource_type).copied().unwrap_or_default());
        table.add_row([resource_type.to_string(), count(views[0]), count(views[1]), count(views[2]), count(views[3])]);
    }
    let total = |view: &AccountView| grouped(view.counts.values().sum());
    table.add_row(["all types".to_owned(), total(views[0]), total(views[1]), total(views[2]), total(views[3])]);
    terminal::align_numbers(&mut table, 1);
    for line in table.lines() {
        println!("   {line}");
    }
}

/// Prints each claim with whether it holds, those about the certificate last; returns whether all do.
///
/// # Errors
/// The job has no status.
pub(super) fn print_verdict(paint: Paint, before: &Proof, after: &Proof, job: &JobView, evidence: Vec<(bool, String)>) -> Result<bool> {
    let mut claims = claims(before, after, job.status()?);
    claims.extend(evidence);
    for (holds, claim) in &claims {
        println!("   {} {claim}", if *holds { paint.good("✓") } else { paint.bad("✗") });
    }
    let all_hold = claims.iter().all(|(holds, _)| *holds);
    let verdict = if all_hold { paint.good("Everything holds.") } else { paint.bad("NOT EVERYTHING HOLDS.") };
    println!("\n   {}", paint.bold(&verdict));
    Ok(all_hold)
}

/// Each claim begins with its control: what is gone must have been there.
fn claims(before: &Proof, after: &Proof, status: &str) -> Vec<(bool, String)> {
    let (alice, bob) = (after.purged.name, after.bystander.name);
    let (gone, alice_reads) = (after.purged.reads_answered(StatusCode::NOT_FOUND), after.purged.all_reads());
    vec![
        (status == "successful", "the job says that it is successful".to_owned()),
        (
            !before.purged.counts.is_empty() && after.purged.counts.is_empty(),
            format!("{alice}: no resource of any of the {} types is left", ResourceType::all().count()),
        ),
        (before.purged.has_history && !after.purged.has_history, format!("{alice}: no version is left in the history of the account")),
        (
            before.purged.reads_answered(StatusCode::OK) > 0 && gone == alice_reads,
            format!("{alice}: {} of {} reads (read, vread, history of each resource) answer 404", grouped(gone), grouped(alice_reads)),
        ),
        (before.bystander.counts == after.bystander.counts, format!("{bob}: every count is as before")),
        (
            before.bystander.reads == after.bystander.reads,
            format!("{bob}: {} reads of the same ids answer as before", grouped(after.bystander.all_reads())),
        ),
        (
            before.purged.found == before.purged.planted && after.purged.found == 0 && after.bystander.found == after.bystander.planted,
            after.describe_bytes(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &'static str) -> AccountView {
        AccountView {
            name,
            counts: [(ResourceType::BINARY, 7)].into(),
            has_history: true,
            reads: [(StatusCode::OK, 20), (StatusCode::GONE, 1)].into(),
            planted: 5,
            found: 5,
        }
    }

    fn proof(purged: AccountView, bystander: AccountView) -> Proof {
        Proof { purged, bystander, files: 3, file_bytes: 1 }
    }

    fn emptied() -> AccountView {
        AccountView { counts: BTreeMap::new(), has_history: false, reads: [(StatusCode::NOT_FOUND, 21)].into(), found: 0, ..view("alice") }
    }

    #[test]
    fn each_failing_claim_is_seen_and_no_other() {
        let failing = |purged: AccountView, bystander: AccountView, status: &str| {
            let before = proof(view("alice"), view("bob"));
            let claims = claims(&before, &proof(purged, bystander), status);
            claims.iter().enumerate().filter(|(_, (holds, _))| !holds).map(|(index, _)| index).collect::<Vec<_>>()
        };
        assert!(failing(emptied(), view("bob"), "successful").is_empty(), "the control");
        assert_eq!(failing(emptied(), view("bob"), "failed"), [0]);
        assert_eq!(failing(AccountView { counts: [(ResourceType::BINARY, 1)].into(), ..emptied() }, view("bob"), "successful"), [1]);
        assert_eq!(failing(AccountView { has_history: true, ..emptied() }, view("bob"), "successful"), [2]);
        let one_left = [(StatusCode::NOT_FOUND, 20), (StatusCode::GONE, 1)].into();
        assert_eq!(failing(AccountView { reads: one_left, ..emptied() }, view("bob"), "successful"), [3]);
        assert_eq!(failing(emptied(), AccountView { counts: BTreeMap::new(), ..view("bob") }, "successful"), [4]);
        assert_eq!(failing(emptied(), AccountView { reads: [(StatusCode::OK, 21)].into(), ..view("bob") }, "successful"), [5]);
        assert_eq!(failing(AccountView { found: 1, ..emptied() }, view("bob"), "successful"), [6]);
        assert_eq!(failing(emptied(), AccountView { found: 4, ..view("bob") }, "successful"), [6]);
    }

    #[test]
    fn what_was_never_there_proves_nothing() {
        let before = proof(emptied(), view("bob"));
        let holding: Vec<bool> = claims(&before, &proof(emptied(), view("bob")), "successful").iter().map(|(holds, _)| *holds).collect();
        assert_eq!(holding, [true, false, false, false, true, true, false]);
    }
}
