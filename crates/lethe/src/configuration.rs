//! Where options come from: the command line, then the environment, then `lethe.toml`, then the default.
//!
//! One rule for all: `--public-url` is `LETHE_PUBLIC_URL` in the environment and `public-url` in the file, for whichever commands have
//! that option. clap reads the first two; what the file says is put in as the default before clap parses.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, Command, builder::BoolishValueParser};

use crate::failure::UsageError;

/// Read when it exists and `--config` names no other.
const DEFAULT_FILE: &str = "lethe.toml";

/// Of the variables of all options.
const PREFIX: &str = "LETHE_";
/// Of `--config`, which is read before clap reads anything.
const CONFIG_VARIABLE: &str = "LETHE_CONFIG";
/// These are for those who test and measure the binary.
const OF_TESTS: [&str; 3] = ["LETHE_TEST_", "LETHE_SUITE_", "LETHE_BENCH_"];
/// So many are told of.
const UNHEARD_MAX: usize = 20;

/// Options that only make sense on the command line itself.
const COMMAND_LINE_ONLY: [&str; 3] = ["help", "version", "config"];

/// Gives every option its environment variable, so that none can be forgotten.
pub(crate) fn with_environment(command: Command) -> Command {
    map_options(command, &|option, name| {
        let variable = format!("{PREFIX}{}", name.replace('-', "_").to_ascii_uppercase());
        // Values can be secrets, and help is pasted into tickets.
        let option = option.env(variable).hide_env_values(true);
        // So that LETHE_JSON=1 is understood and LETHE_JSON=ture is not.
        if matches!(option.get_action(), ArgAction::SetTrue) { option.value_parser(BoolishValueParser::new()) } else { option }
    })
}

/// The first `LETHE_…` variables that no option has, in words: most are misspelt, and what they were to say is not heard.
pub(crate) fn unheard(command: &Command, variables: impl Iterator<Item = String>) -> Vec<String> {
    let known = variables_of(command);
    let is_unheard = |variable: &String| {
        variable.starts_with(PREFIX) && !known.contains(variable) && !OF_TESTS.iter().any(|prefix| variable.starts_with(prefix))
    };
    let mut unheard: Vec<String> = variables.filter(is_unheard).collect();
    unheard.sort_unstable();
    unheard.truncate(UNHEARD_MAX);
    let in_words = |variable: String| {
        let hint = nearest(&variable, &known).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        format!("the environment has {variable}, which is no option of any command and does nothing{hint}")
    };
    unheard.into_iter().map(in_words).collect()
}

fn variables_of(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(Arg::get_env).filter_map(|name| name.to_str().map(str::to_owned));
    own.chain(command.get_subcommands().flat_map(variables_of)).chain([CONFIG_VARIABLE.to_owned()]).collect()
}

/// Puts what the file says in as defaults.
///
/// # Errors
/// The file cannot be read, is no TOML, or has a key that is no option of any command.
pub(crate) fn with_file(command: Command, arguments: &[OsString]) -> Result<Command> {
    let Some((path, text)) = read_file(arguments)? else { return Ok(command) };
    let values = parse(&text, &option_names(&command)).with_context(|| UsageError(format!("{} cannot be used", path.display())))?;
    Ok(map_options(command, &|option, name| match values.get(name) {
        Some(values) => option.default_values(values).required(false),
        None => option,
    }))
}

/// Applies `change` to every option that may be configured, of this command and of those below it.
fn map_options(command: Command, change: &impl Fn(Arg, &str) -> Arg) -> Command {
    command
        .mut_args(|option| match option.get_long().map(str::to_owned) {
            Some(name) if !COMMAND_LINE_ONLY.contains(&name.as_str()) => change(option, &name),
            _ => option,
        })
        .mut_subcommands(|below| map_options(below, change))
}

fn option_names(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(Arg::get_long).filter(|name| !COMMAND_LINE_ONLY.contains(name)).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(option_names)).collect()
}

/// The file that `--config` or `LETHE_CONFIG` names must exist; the default one need not.
fn read_file(arguments: &[OsString]) -> Result<Option<(PathBuf, String)>> {
    if let Some(path) = named_file(arguments) {
        let text = fs::read_to_string(&path).with_context(|| UsageError(format!("{} cannot be read", path.display())))?;
        return Ok(Some((path, text)));
    }
    let path = PathBuf::from(DEFAULT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| UsageError(format!("{} cannot be read", path.display()))),
    }
}

/// Found before clap parses, because clap must know the defaults first.
fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from)
}

/// Option name → values as text.
fn parse(text: &str, known: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<String>>> {
    let table: toml::Table = text.parse().context(UsageError("it is not TOML".to_owned()))?;
    table.into_iter().map(|(key, value)| Ok((check_key(&key, known)?, texts(&key, value)?))).collect()
}

fn check_key(key: &str, known: &BTreeSet<String>) -> Result<String, UsageError> {
    if known.contains(key) {
        return Ok(key.to_owned());
    }
    let hint = nearest(key, known).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
    Err(UsageError(format!("'{key}' is not an option of any command{hint}")))
}

fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a String> {
    known.iter().max_by(|left, right| strsim::jaro_winkler(name, left).total_cmp(&strsim::jaro_winkler(name, right)))
}

fn texts(key: &str, value: toml::Value) -> Result<Vec<String>, UsageError> {
    match value {
        toml::Value::String(text) => Ok(vec![text]),
        toml::Value::Integer(number) => Ok(vec![number.to_string()]),
        toml::Value::Boolean(is_set) => Ok(vec![is_set.to_string()]),
        toml::Value::Array(items) if items.is_empty() => {
            Err(UsageError(format!("'{key}' is an empty list: leave the line out, if it is to have no value")))
        }
        toml::Value::Array(items) => Ok(items.into_iter().map(|item| texts(key, item)).collect::<Result<Vec<_>, _>>()?.concat()),
        _ => Err(UsageError(format!("'{key}' must be a string, a whole number, true, false, or a list of strings"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
        let known = ["data", "listen", "public-url", "type"].map(str::to_owned).into();
        parse(text, &known).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn an_empty_list_is_a_slip() {
        let refused = parsed("type = []").unwrap_err();
        assert!(refused.contains("'type' is an empty list"), "every type would be meant: {refused}");
    }

    #[test]
    fn values_of_every_kind_become_text() {
        let values = parsed("data = \"x\"\nlisten = 3\npublic-url = true\ntype = [\"Patient\", \"Binary\"]").unwrap();
        assert_eq!(values["type"], ["Patient", "Binary"]);
        assert_eq!(
            (values["data"].concat(), values["listen"].concat(), values["public-url"].concat()),
            ("x".into(), "3".into(), "true".into())
        );
    }

    #[test]
    fn unknown_keys_and_tables_are_refused_by_name() {
        assert!(parsed("lissen = 1").unwrap_err().contains("'lissen' is not an option of any command; did you mean 'listen'?"));
        assert!(parsed("public_url = 1").unwrap_err().contains("did you mean 'public-url'?"));
        assert!(parsed("[data]\nx = 1").unwrap_err().contains("'data' must be"));
        assert!(parsed("data = ").unwrap_err().contains("not TOML"));
    }
}
