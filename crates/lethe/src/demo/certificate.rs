//! The certificate of the demo's purge, fetched and verified as anybody would who has only the public keys.

use anyhow::{Result, bail};
use lethe_certificate::{
    document::Certificate,
    keys::KeySet,
    proof::Proof,
    verify::{check, read},
};
use reqwest::{Method, StatusCode};

use super::account::DemoAccount;
use crate::{certificate_report::summary, purge_watch::JobView, server::Server, terminal::Paint};

/// Looks at the certificate of a job and at the proof that `deleted`, as `Patient/123`, is among what it tells of; returns each claim with
/// whether it holds.
///
/// # Errors
/// A call fails.
pub(super) async fn look(
    paint: Paint,
    server: &Server,
    account: &DemoAccount,
    job: &JobView,
    deleted: &str,
) -> Result<Vec<(bool, String)>> {
    let path = format!("/$purge/{}/certificate", job.id()?);
    let keys = reqwest::get(format!("{}/.well-known/lethe/jwks.json", server.public_url)).await?.error_for_status()?.text().await?;
    let answer = account.api.send(account.api.request(Method::GET, &path)).await?.success()?;
    let found = read(&answer.text);
    let [Ok(signed)] = &found[..] else { bail!("the server gives a certificate that cannot be read: {found:?}") };
    let checked = check(signed, &KeySet::read(&keys)?);
    for fault in &checked.faults {
        println!("   {}", paint.bad(&fault.to_string()));
    }
    let Some(said) = checked.certificate else { return Ok(vec![(false, "the certificate is signed".to_owned())]) };
    println!("   {}", summary(&said));
    println!("   probe: {}", paint.dim(&said.probe.as_ref().map(|probe| looked_at(&probe.residue)).unwrap_or_default()));
    println!("   it does not cover: {}", paint.dim(&said.not_covered[0]));
    let is_proven = ask(account, &path, deleted).await?.is_some_and(|proof| is_proof(&proof, deleted, &said));
    let never = "Patient/never-stored";
    Ok(vec![
        (checked.faults.is_empty(), "the certificate is signed with a published key, and adds up".to_owned()),
        (
            job.count("deletedCount") == Some(said.counts.total.deleted) && said.destruction.id == job.id()?,
            "it certifies what the job says".to_owned(),
        ),
        (
            is_proven && ask(account, &path, never).await?.is_none(),
            format!("{deleted} is proven to be among the deleted, and {never} is not"),
        ),
    ])
}

fn looked_at(residue: &std::collections::BTreeMap<String, u64>) -> String {
    residue.iter().map(|(residence, rows)| format!("{residence} {rows}")).collect::<Vec<_>>().join(", ")
}

async fn ask(account: &DemoAccount, path: &str, resource: &str) -> Result<Option<String>> {
    let call = account.api.request(Method::GET, &format!("{path}/proof")).query(&[("resource", resource)]);
    let answer = account.api.send(call).await?;
    if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { Ok(Some(answer.success()?.text)) }
}

fn is_proof(text: &str, resource: &str, certificate: &Certificate) -> bool {
    Proof::read(text).and_then(|proof| proof.check(Some(resource), certificate)).is_ok()
}
