//! `lethe purge`: the purge API from a terminal.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::{
    api_client::{ApiClient, ServerOptions},
    failure::UsageError,
    purge_watch::{self, JobView},
    terminal,
};

/// Start and manage purges on a running server
#[derive(Debug, Subcommand)]
pub(crate) enum PurgeCommand {
    Start(Start),
    Status(OneJob),
    Watch(Watch),
    Retry(Retry),
    Cancel(Cancel),
    List(List),
}

/// Remove resources for good: all of the account, or what the options select
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Only these R4 resource types
    #[arg(long = "type", value_name = "TYPE,…", value_delimiter = ',')]
    types: Vec<String>,
    /// Only resources last updated before this date or time
    #[arg(long, value_name = "DATE")]
    before: Option<String>,
    /// Also what a FHIR delete left behind
    #[arg(long)]
    include_deleted: bool,
    /// Why; kept with the job
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask, on a terminal, whether you mean it
    #[arg(long)]
    yes: bool,
    /// Watch it to its end; exit 0 only if it is successful
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    call: Call,
}

/// Show a job
#[derive(Debug, Args)]
pub(crate) struct OneJob {
    /// The job's id
    #[arg(value_name = "JOB_ID")]
    job_id: String,
    #[command(flatten)]
    call: Call,
}

/// Watch a job to its end; exit 0 only if it is successful
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    job: OneJob,
}

/// Run the failed batches of a failed job again
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    job: OneJob,
}

/// Stop a job after the running batch
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    job: OneJob,
}

/// List the account's jobs, newest first
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    call: Call,
}

#[derive(Debug, Args)]
struct Call {
    #[command(flatten)]
    server: ServerOptions,
    /// As JSON, as the server gives it
    #[arg(long)]
    json: bool,
}

impl PurgeCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Start(command) => command.run().await,
            Self::Status(job) => job.call(Method::GET).await,
            Self::Watch(Watch { job }) => {
                let client = job.call.server.client()?;
                job.call.watch(&client, &job.job_id).await
            }
            Self::Retry(Retry { job }) => job.call(Method::PUT).await,
            Self::Cancel(Cancel { job }) => job.call(Method::DELETE).await,
            Self::List(List { call }) => call.list().await,
        }
    }
}

impl Start {
    async fn run(self) -> Result<ExitCode> {
        let client = self.call.server.client()?;
        eprintln!("{}", self.describe());
        if !self.yes && std::io::stdin().is_terminal() && !is_confirmed()? {
            bail!("nothing was started");
        }
        let mut parameters = Vec::new();
        if !self.types.is_empty() {
            parameters.push(("_type", self.types.join(",")));
        }
        parameters.extend(self.before.map(|before| ("_before", before)));
        parameters.extend(self.include_deleted.then(|| ("_includeDeleted", "true".to_owned())));
        parameters.extend(self.reason.map(|reason| ("_reason", reason)));
        let answer = client.send(client.request(Method::POST, "/$purge").query(&parameters)).await?.success()?;
        let job = JobView::of(&answer)?;
        if self.watch {
            return self.call.watch(&client, job.id()?).await;
        }
        self.call.print(&answer.text, &job);
        eprintln!("Next: lethe purge watch {}", job.id()?);
        Ok(ExitCode::SUCCESS)
    }

    /// What would go, in words, because it cannot be undone.
    fn describe(&self) -> String {
        let what = if self.types.is_empty() { "every resource".to_owned() } else { format!("every {}", self.types.join(", every ")) };
        let when = self.before.as_ref().map(|before| format!(" last updated before {before}")).unwrap_or_default();
        let deleted = if self.include_deleted { ", and what FHIR deletes left behind" } else { "" };
        format!("Purging {what}{when}{deleted}. This cannot be undone.")
    }
}

impl OneJob {
    async fn call(self, method: Method) -> Result<ExitCode> {
        let client = self.call.server.client()?;
        let path = job_path(&self.job_id)?;
        let answer = client.send(client.request(method, &path)).await?.success()?;
        self.call.print(&answer.text, &JobView::of(&answer)?);
        Ok(ExitCode::SUCCESS)
    }
}

impl Call {
    async fn watch(&self, client: &ApiClient, job_id: &str) -> Result<ExitCode> {
        let (answer, job) = purge_watch::watch_to_end(client, &job_path(job_id)?).await?;
        self.print(&answer.text, &job);
        Ok(if job.status()? == "successful" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, text: &str, job: &JobView) {
        if self.json { println!("{text}") } else { terminal::print_members(job.members()) }
    }

    async fn list(&self) -> Result<ExitCode> {
        let client = self.server.client()?;
        let mut jobs: Vec<Value> = Vec::new();
        let mut path = "/$purge".to_owned();
        loop {
            let page = client.send(client.request(Method::GET, &path)).await?.success()?.json()?;
            jobs.extend(page["jobs"].as_array().context("the answer has no list of jobs")?.iter().cloned());
            match page["next"].as_str().and_then(|next| next.split_once("/r4")) {
                // The path alone: the server's own name for itself may not be the one that leads there from here.
                Some((_, next)) => path = next.to_owned(),
                None => break,
            }
        }
        if self.json {
            println!("{}", Value::Array(jobs));
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = terminal::table(["id", "status", "created", "types", "deleted", "of"]);
        for job in &jobs {
            let job = job.get("job").unwrap_or(job);
            let text = |name: &str| job[name].as_str().map_or_else(|| job[name].to_string(), str::to_owned);
            let types: Vec<&str> = job["typeList"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let types = if types.is_empty() { "all".to_owned() } else { types.join(", ") };
            table.add_row([text("id"), text("status"), text("createdOn"), types, text("deletedCount"), text("resourceCount")]);
        }
        println!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

fn job_path(job_id: &str) -> Result<String, UsageError> {
    let id: uuid::Uuid = job_id.parse().map_err(|_| UsageError(format!("'{job_id}' is not a job id: it is a UUID")))?;
    Ok(format!("/$purge/{id}"))
}

fn is_confirmed() -> Result<bool> {
    eprint!("Type 'purge' to go on: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "purge")
}
