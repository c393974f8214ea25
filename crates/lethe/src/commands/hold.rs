//! `lethe hold`: legal holds, which no purge removes anything from.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{FhirDate, Instant, LogicalId, ResourceType};
use lethe_purge::holds::{HoldTarget, hold_text};
use lethe_store::{Clock, HOLDS_IN_FORCE_MAX, Hold, HoldAdded, HoldFilter, HoldLifted, NewHold, SystemClock, hold_warning};
use serde_json::{Value, json};
use uuid::Uuid;

use super::store_command::StoreCommand;
use crate::{
    api_client::parse_oneup_user_id,
    failure::{Advice, UsageError},
    terminal,
};

/// Rows that are read at a time.
const PAGE_HOLDS: usize = 1_000;

/// Set and lift legal holds; works beside a running server
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    Add(Add),
    List(List),
    Lift(Lift),
}

/// Set a hold: once this has been answered, no purge removes what it keeps
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["account", "patient", "resource"])]
pub(crate) struct Add {
    /// The oneup_user_id of the account
    #[arg(long, value_name = "ID", value_parser = parse_oneup_user_id)]
    user: i64,
    /// Keep the whole account
    #[arg(long)]
    account: bool,
    /// Keep this Patient and what is in its compartment, what is written later included
    #[arg(long, value_name = "ID")]
    patient: Option<LogicalId>,
    /// Keep this one resource
    #[arg(long, value_name = "TYPE/ID", value_parser = parse_reference)]
    resource: Option<(ResourceType, LogicalId)>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = hold_text)]
    reason: String,
    /// Who sets it
    #[arg(long, value_name = "NAME", value_parser = hold_text)]
    by: String,
    /// Keep nothing any more from this date or time on; without it, until the hold is lifted
    #[arg(long, value_name = "DATE")]
    until: Option<FhirDate>,
    #[command(flatten)]
    output: StoreCommand,
}

/// List holds, newest first
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only on the account of this oneup_user_id
    #[arg(long, value_name = "ID", value_parser = parse_oneup_user_id)]
    user: Option<i64>,
    /// Those that have ended, too
    #[arg(long)]
    ended: bool,
    #[command(flatten)]
    output: StoreCommand,
}

/// Lift a hold; its record stays, without the ids that it named
#[derive(Debug, Args)]
pub(crate) struct Lift {
    /// The hold's id
    #[arg(value_name = "HOLD_ID")]
    hold_id: Uuid,
    /// Who lifts it
    #[arg(long, value_name = "NAME", value_parser = hold_text)]
    by: String,
    #[command(flatten)]
    output: StoreCommand,
}

fn parse_reference(text: &str) -> Result<(ResourceType, LogicalId), String> {
    let (name, id) = text.split_once('/').ok_or_else(|| "it must be of the form Type/id".to_owned())?;
    let resource_type = name.parse::<ResourceType>().map_err(|error| error.to_string())?;
    Ok((resource_type, id.parse::<LogicalId>().map_err(|error| error.to_string())?))
}

impl HoldCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Add(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Lift(command) => command.run().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<ExitCode> {
        let until = self.until.as_ref().map(|date| date.low);
        if until.is_some_and(|until| until <= SystemClock.now()) {
            bail!(UsageError("--until: that moment is over, and such a hold would keep nothing; nothing was set".to_owned()));
        }
        let opened = self.output.store.open().await?;
        let user = opened.user(self.user).await?;
        let target = match (self.patient, self.resource) {
            (Some(patient), _) => HoldTarget::Patient(patient),
            (_, Some((resource_type, id))) => HoldTarget::Resource(resource_type, id),
            (None, None) => HoldTarget::Account,
        };
        let new = NewHold { hold_id: Uuid::new_v4(), account_id: user.account_id, target, reason: self.reason, set_by: self.by, until };
        match opened.store.add_hold(&new).await? {
            HoldAdded::Added(hold) => {
                let scope = Scope::Account { client_id: user.client_id, account_id: user.account_id };
                if let Some(warning) = hold_warning(opened.store.as_ref(), &scope, &hold).await {
                    eprintln!("warning: {warning}");
                }
                self.output.print(&to_json(&hold));
            }
            HoldAdded::NoAccount => bail!("there is no user {}; nothing was set", user.account_id),
            HoldAdded::TooMany => bail!(Advice::new(
                format!("{HOLDS_IN_FORCE_MAX} holds are in force in this account, and no more are kept; nothing was set"),
                "lift some, or set one on the whole account, with --account",
            )),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self) -> Result<ExitCode> {
        let opened = self.output.store.open().await?;
        let mut filter =
            HoldFilter { account_id: self.user.map(AccountId), with_ended: self.ended, count: PAGE_HOLDS, ..HoldFilter::default() };
        let mut holds = Vec::new();
        loop {
            let page = opened.store.holds(&filter).await?;
            filter.before = page.last().filter(|_| page.len() == PAGE_HOLDS).map(|last| last.hold_id);
            holds.extend(page);
            if filter.before.is_none() {
                break;
            }
        }
        if self.output.json {
            println!("{}", Value::Array(holds.iter().map(to_json).collect()));
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = terminal::table(["id", "user", "keeps", "set by", "set on", "until", "ended", "reason"]);
        for hold in &holds {
            let time = |instant: Option<Instant>| instant.map(|instant| instant.to_string()).unwrap_or_default();
            table.add_row([
                hold.hold_id.to_string(),
                hold.account_id.to_string(),
                keeps(hold),
                hold.set_by.clone(),
                hold.set_on.to_string(),
                time(hold.until),
                time(hold.ended_on),
                hold.reason.clone(),
            ]);
        }
        println!("{table}");
        Ok(ExitCode::SUCCESS)
    }
}

impl Lift {
    async fn run(self) -> Result<ExitCode> {
        let opened = self.output.store.open().await?;
        match opened.store.lift_hold(None, self.hold_id, &self.by).await? {
            HoldLifted::Lifted(hold) => self.output.print(&to_json(&hold)),
            HoldLifted::Ended(_) => bail!("the hold {} has ended already; nothing changed", self.hold_id),
            HoldLifted::Unknown => {
                return Err(Advice::new(
                    format!("there is no hold {}", self.hold_id),
                    format!("lethe hold list{} shows which there are", opened.flag()),
                ))
                .context("nothing was lifted");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// In words: what it keeps, or kept.
fn keeps(hold: &Hold) -> String {
    match &hold.target {
        Some(HoldTarget::Account) => "the account".to_owned(),
        Some(HoldTarget::Patient(id)) => format!("the compartment of Patient/{id}"),
        Some(HoldTarget::Resource(resource_type, id)) => format!("{resource_type}/{id}"),
        None => format!("a {}", hold.kind),
    }
}

fn to_json(hold: &Hold) -> Value {
    let time = |instant: Option<Instant>| instant.map(|instant| instant.to_string());
    json!({
        "id": hold.hold_id.to_string(), "oneup_user_id": hold.account_id, "keeps": keeps(hold), "reason": hold.reason, "setBy": hold.set_by,
        "setOn": hold.set_on.to_string(), "until": time(hold.until), "liftedBy": hold.lifted_by, "endedOn": time(hold.ended_on),
    })
}
