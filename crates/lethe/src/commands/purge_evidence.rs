//! `lethe purge certificate`, `proof` and `forget-key`: the evidence of a purge, from a running server.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use reqwest::Method;

use super::purge::{confirm, job_path};
use crate::api_client::{ServerOptions, parse_oneup_user_id};

/// Print the signed certificate of a job that has ended; lethe certificate verify looks whether it is sound
#[derive(Debug, Args)]
pub(crate) struct Certificate {
    /// The job's id
    #[arg(value_name = "JOB_ID")]
    job_id: String,
    #[command(flatten)]
    server: ServerOptions,
}

/// Print a proof that a resource was among the deleted, for lethe certificate verify --proof
#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// The job's id
    #[arg(value_name = "JOB_ID")]
    job_id: String,
    /// The resource
    #[arg(value_name = "TYPE/ID")]
    resource: String,
    /// Whose resource it was; needed for a job of a whole client
    #[arg(long, value_name = "ID", value_parser = parse_oneup_user_id)]
    of_user: Option<i64>,
    #[command(flatten)]
    server: ServerOptions,
}

/// Destroy the key of a job's digests: nobody, its owner included, can find out any more what was among the deleted
///
/// The certificate stays valid, and proofs that were fetched before still lead to it.
#[derive(Debug, Args)]
pub(crate) struct ForgetKey {
    /// The job's id
    #[arg(value_name = "JOB_ID")]
    job_id: String,
    /// Do not ask whether you mean it; needed where there is no terminal to ask on
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    server: ServerOptions,
}

impl Certificate {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let client = self.server.client()?;
        let path = format!("{}/certificate", job_path(&self.job_id)?);
        println!("{}", client.send(client.request(Method::GET, &path)).await?.success()?.text);
        Ok(ExitCode::SUCCESS)
    }
}

impl Proof {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let client = self.server.client()?;
        let path = format!("{}/certificate/proof", job_path(&self.job_id)?);
        let mut pairs = vec![("resource", self.resource)];
        pairs.extend(self.of_user.map(|user| ("user", user.to_string())));
        println!("{}", client.send(client.request(Method::GET, &path).query(&pairs)).await?.success()?.text);
        Ok(ExitCode::SUCCESS)
    }
}

impl ForgetKey {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let client = self.server.client()?;
        let path = format!("{}/certificate/key", job_path(&self.job_id)?);
        if !self.yes {
            eprintln!("No proof of a deletion by job {} can be made afterwards.", self.job_id);
            confirm("forget", "nothing was destroyed")?;
        }
        client.send(client.request(Method::DELETE, &path)).await?.success()?;
        eprintln!("The key and the digests of job {} are destroyed.", self.job_id);
        Ok(ExitCode::SUCCESS)
    }
}
