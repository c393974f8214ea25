//! The command line: what there is, and how it is read.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::{
    commands, configuration,
    failure::{self, UsageError},
};

const AFTER_HELP: &str = "\
Every option can also be given in the environment (--public-url as LETHE_PUBLIC_URL) or in lethe.toml (public-url = \"…\").
The command line wins over the environment, the environment over the file.
Exit status: 0 done, 1 failed, 2 wrong usage.

To see it work: lethe demo";

/// The FHIR R4 server that can forget.
#[derive(Debug, Parser)]
#[command(name = "lethe", version, after_help = AFTER_HELP, propagate_version = false)]
struct CommandLine {
    /// Read options from this file instead of ./lethe.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log, for example info, debug or lethe_http=debug,info
    /// [default: info for serve and worker, otherwise warn]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How to log
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(commands::serve::Serve),
    Worker(commands::worker::WorkerCommand),
    #[command(subcommand)]
    Client(commands::client::ClientCommand),
    #[command(subcommand)]
    User(commands::user::UserCommand),
    Import(commands::import::Import),
    Export(commands::export::Export),
    #[command(subcommand)]
    Purge(commands::purge::PurgeCommand),
    #[command(subcommand)]
    Hold(commands::hold::HoldCommand),
    #[command(subcommand)]
    Audit(commands::audit::AuditCommand),
    #[command(subcommand)]
    Certificate(commands::certificate::CertificateCommand),
    Backup(commands::backup::Backup),
    Restore(commands::restore::Restore),
    EraseFiles(commands::erase_files::EraseFiles),
    Copy(commands::copy::Copy),
    Retention(commands::retention::Retention),
    Demo(commands::demo::Demo),
    Check(commands::check::Check),
    Migrate(commands::migrate::Migrate),
    Version(commands::version::Version),
}

/// Runs one command to its end: 0 done, 1 failed, 2 wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let line = match parse(&arguments) {
        Ok(line) => line,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(error) => error.exit(),
            Err(error) => return failure::report(&error),
        },
    };
    run_to_end(line).unwrap_or_else(|error| failure::report(&error))
}

fn run_to_end(line: CommandLine) -> Result<ExitCode> {
    log_to_stderr(&line)?;
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for unheard in configuration::unheard(&configuration::with_environment(CommandLine::command()), variables) {
        tracing::warn!("{unheard}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(line.command.run())
}

fn parse(arguments: &[OsString]) -> Result<CommandLine> {
    let command = configuration::with_environment(CommandLine::command());
    // A broken file must not keep anybody from reading the help.
    if let Err(error) = command.clone().try_get_matches_from(arguments)
        && !error.use_stderr()
    {
        return Err(error.into());
    }
    let matches = configuration::with_file(command, arguments)?.try_get_matches_from(arguments)?;
    Ok(CommandLine::from_arg_matches(&matches)?)
}

impl Command {
    async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Serve(command) => command.run().await,
            Self::Worker(command) => command.run().await,
            Self::Client(command) => command.run().await,
            Self::User(command) => command.run().await,
            Self::Import(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Purge(command) => command.run().await,
            Self::Hold(command) => command.run().await,
            Self::Audit(command) => command.run().await,
            Self::Certificate(command) => command.run().await,
            Self::Backup(command) => command.run().await,
            Self::Restore(command) => command.run().await,
            Self::EraseFiles(command) => command.run().await,
            Self::Copy(command) => command.run().await,
            Self::Retention(command) => command.run().await,
            Self::Demo(command) => command.run().await,
            Self::Check(command) => command.run().await,
            Self::Migrate(command) => command.run().await,
            Self::Version(command) => command.run(),
        }
    }
}

fn log_to_stderr(line: &CommandLine) -> Result<(), UsageError> {
    let default = if matches!(line.command, Command::Serve(_) | Command::Worker(_)) { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_new(line.log.as_deref().unwrap_or(default))
        .map_err(|error| UsageError(format!("--log: {error}")))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match line.log_format {
        LogFormat::Text => logs.with_ansi(crate::terminal::is_colourful(&std::io::stderr())).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_option_has_its_variable() {
        let command = configuration::with_environment(CommandLine::command());
        command.clone().debug_assert();
        let serve = command.find_subcommand("serve").unwrap();
        let listen = serve.get_arguments().find(|option| option.get_long() == Some("listen")).unwrap();
        assert_eq!(listen.get_env().unwrap(), "LETHE_LISTEN");
    }
}
