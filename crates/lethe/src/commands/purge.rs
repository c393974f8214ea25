//! `lethe purge`: the purge API from a terminal.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{
    purge_evidence,
    purge_selected::{Selected, read},
};
use crate::{
    api_client::{Answer, ApiClient, ServerOptions},
    failure::UsageError,
    purge_watch::{self, JobView},
    terminal,
};

/// Start and manage purges on a running server
#[derive(Debug, Subcommand)]
pub(crate) enum PurgeCommand {
    Preview(Preview),
    Start(Start),
    Status(OneJob),
    Watch(Watch),
    Retry(Retry),
    Cancel(Cancel),
    List(List),
    Certificate(purge_evidence::Certificate),
    Proof(purge_evidence::Proof),
    ForgetKey(purge_evidence::ForgetKey),
}

/// Show what a purge would remove now, what stays and why, and the digest that --expect takes
#[derive(Debug, Args)]
pub(crate) struct Preview {
    #[command(flatten)]
    selected: Selected,
    #[command(flatten)]
    call: Call,
}

/// Remove resources for good: all of the account, or what the options select
#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    selected: Selected,
    /// Start only if a preview would still give this digest
    #[arg(long, value_name = "DIGEST")]
    expect: Option<String>,
    /// On PostgreSQL: take the bytes of what is removed out of the files of the database as well, before the job ends; the certificate says
    /// whether that was reached
    #[arg(long)]
    erase_files: bool,
    /// Why; kept with the job
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask whether you mean it; needed where there is no terminal to ask on
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
            Self::Preview(command) => command.run().await,
            Self::Start(command) => command.run().await,
            Self::Status(job) => job.call(Method::GET).await,
            Self::Watch(Watch { job }) => {
                let client = job.call.server.client()?;
                job.call.watch(&client, &job.job_id).await
            }
            Self::Retry(Retry { job }) => job.call(Method::PUT).await,
            Self::Cancel(Cancel { job }) => job.call(Method::DELETE).await,
            Self::List(List { call }) => call.list().await,
            Self::Certificate(command) => command.run().await,
            Self::Proof(command) => command.run().await,
            Self::ForgetKey(command) => command.run().await,
        }
    }
}

impl Preview {
    async fn run(self) -> Result<ExitCode> {
        let parameters = self.selected.parameters();
        read(&parameters)?;
        let client = self.call.server.client()?;
        let path = format!("{}/$purge-preview", self.selected.path());
        let answer = client.send(client.request(Method::GET, &path).query(&parameters)).await?.success()?;
        if self.call.json {
            println!("{}", answer.text);
        } else {
            let json = answer.json()?;
            for line in preview_lines(json.get("preview").context("the answer holds no preview: is this a Lethe server?")?) {
                println!("{line}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A preview for people.
pub(crate) fn preview_lines(preview: &Value) -> Vec<String> {
    let number = |value: &Value| terminal::grouped(value.as_u64().unwrap_or_default());
    let mut table = terminal::table(["type", "would go", "versions", "bytes", "goes along", "on hold"]);
    terminal::align_numbers(&mut table, 1);
    for (name, counts) in preview["counts"].as_object().into_iter().flatten() {
        let column = |column: &str| number(&counts[column]);
        table.add_row([name.clone(), column("removed"), column("versions"), column("bytes"), column("goAlong"), column("held")]);
    }
    let mut lines: Vec<String> = table.to_string().lines().map(str::to_owned).collect();
    lines.push(format!(
        "{} resources with {} versions would go, {} bytes",
        number(&preview["removedCount"]),
        number(&preview["versionCount"]),
        number(&preview["byteCount"])
    ));
    let reasons = [
        ("onHold", "stay because of a hold"),
        ("notBefore", "stay because they were updated too late"),
        ("deletedHistory", "were deleted, and their history stays without --include-deleted"),
        ("neededProvenance", "Provenances stay because they are also about something that stays"),
        ("neededBinary", "Binaries stay because something that stays refers to them"),
    ];
    for (reason, text) in reasons {
        if preview["stays"][reason].as_u64().is_some_and(|count| count > 0) {
            lines.push(format!("{} {text}", number(&preview["stays"][reason])));
        }
    }
    for (name, resources) in preview["stays"]["inNoCompartment"].as_object().into_iter().flatten() {
        lines.push(format!("{} {name} stay because they are in no patient's compartment", number(resources)));
    }
    lines.extend(preview["unresolvedMembers"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    lines.push(format!("digest {}", preview["digest"].as_str().unwrap_or_default()));
    lines
}

impl Start {
    async fn run(self) -> Result<ExitCode> {
        let parameters = self.parameters();
        let request = read(&parameters)?;
        let client = self.call.server.client()?;
        let scope = client.scope();
        let what = self.selected.describe(&request, &scope);
        if !self.yes {
            eprintln!("To be purged: {what}. This cannot be undone.");
            confirm("purge", "nothing was started")?;
        }
        let answer = self.start(&client, &parameters).await?;
        // Not before: the server may refuse.
        eprintln!("Purging {what}.");
        let job = JobView::of(&answer)?;
        if self.watch {
            return self.call.watch(&client, job.id()?).await;
        }
        self.call.print(&answer.text, &job);
        eprintln!("Next, with the same credentials: lethe purge watch {}{}", job.id()?, self.call.server.flags());
        Ok(ExitCode::SUCCESS)
    }

    /// The job that was started. One of patients is answered as FHIR has it, with what it will not remove; the job is asked for then.
    async fn start(&self, client: &ApiClient, parameters: &[(&'static str, String)]) -> Result<Answer> {
        let path = format!("{}/$purge", self.selected.path());
        let call = client.request(Method::POST, &path).query(parameters);
        if !self.selected.is_of_patients() {
            return client.send(call).await?.success();
        }
        let accepted = client.send(call.header("prefer", "respond-async")).await?.success()?;
        // The first text says where to poll.
        for text in accepted.outcome_texts()?.iter().skip(1) {
            eprintln!("{text}");
        }
        let address = accepted.content_location.as_deref().context("the answer does not say where the job is: is this a Lethe server?")?;
        let job_id = address.rsplit('/').next().unwrap_or_default();
        client.send(client.request(Method::GET, &job_path(job_id)?)).await?.success()
    }

    /// As the API names them.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = self.selected.parameters();
        parameters.extend(self.expect.clone().map(|expect| ("_expect", expect)));
        parameters.extend(self.erase_files.then(|| ("_eraseFiles", "true".to_owned())));
        parameters.extend(self.reason.clone().map(|reason| ("_reason", reason)));
        parameters
    }
}

/// Asks for a word on the terminal.
///
/// # Errors
/// There is no terminal, or another word was typed; `otherwise` says what that means.
pub(super) fn confirm(word: &str, otherwise: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!(UsageError(format!("{otherwise}: without a terminal nobody can be asked whether you mean it, so give --yes")));
    }
    if !is_confirmed(word)? {
        bail!("{otherwise}");
    }
    Ok(())
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
        let mut last;
        let mut path = "/$purge".to_owned();
        loop {
            let page = client.send(client.request(Method::GET, &path)).await?.success()?.json()?;
            jobs.extend(page["jobs"].as_array().context("the answer has no list of jobs")?.iter().cloned());
            last = page;
            match last["next"].as_str().and_then(|next| next.split_once("/r4")) {
                // The path alone: the server's own name for itself may not be the one that leads there from here.
                Some((_, next)) => path = next.to_owned(),
                None => break,
            }
        }
        if self.json {
            // All pages in one, so that "next" is what the last of them says: none.
            last["jobs"] = Value::Array(jobs);
            println!("{last}");
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = terminal::table(["id", "status", "created", "types", "deleted", "of"]);
        for job in &jobs {
            let job = job.get("job").unwrap_or(job);
            let text = |name: &str| job[name].as_str().map_or_else(|| job[name].to_string(), str::to_owned);
            let types: Vec<&str> = job["typeList"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let types = if types.is_empty() { "all".to_owned() } else { types.join(", ") };
            let types = match job["level"].as_str() {
                Some("patient") => format!("{types} of a patient"),
                Some("group") => format!("{types} of a Group"),
                _ => types,
            };
            table.add_row([text("id"), text("status"), text("createdOn"), types, text("deletedCount"), text("resourceCount")]);
        }
        println!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn job_path(job_id: &str) -> Result<String, UsageError> {
    let id: uuid::Uuid = job_id.parse().map_err(|_| UsageError(format!("'{job_id}' is not a job id: it is a UUID")))?;
    Ok(format!("/$purge/{id}"))
}

fn is_confirmed(word: &str) -> Result<bool> {
    eprint!("Type '{word}' to go on: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == word)
}
