//! What `lethe purge preview` and `start` select: the options, as the API names them and in words.

use anyhow::Result;
use clap::Args;
use lethe_fhir::LogicalId;
use lethe_purge::request::{PurgeRequest, PurgeRequestError};

use crate::failure::UsageError;

/// What to select
#[derive(Debug, Default, Args)]
pub(super) struct Selected {
    /// Only these R4 resource types
    #[arg(long = "type", value_name = "TYPE,…", value_delimiter = ',')]
    types: Vec<String>,
    /// Only resources last updated before this date or time
    #[arg(long, value_name = "DATE")]
    before: Option<String>,
    /// Of a type that --type names, only what fits these search criteria; may be repeated, and one of those for a type is enough
    #[arg(long = "type-filter", value_name = "TYPE?NAME=VALUE")]
    type_filters: Vec<String>,
    /// Also what a FHIR delete left behind
    #[arg(long)]
    include_deleted: bool,
    /// Only what is in the compartment of this patient, the Patient itself included
    #[arg(long, value_name = "ID", value_parser = patient_id, conflicts_with = "group")]
    patient: Option<LogicalId>,
    /// Only what is in the compartments of the members of this Group
    #[arg(long, value_name = "ID", value_parser = group_id)]
    group: Option<LogicalId>,
}

fn patient_id(text: &str) -> Result<LogicalId, String> {
    id_of("Patient/", text)
}

fn group_id(text: &str) -> Result<LogicalId, String> {
    id_of("Group/", text)
}

/// An id, with its type before it or without: another type is not meant.
fn id_of(prefix: &str, text: &str) -> Result<LogicalId, String> {
    text.strip_prefix(prefix).unwrap_or(text).parse().map_err(|error: lethe_fhir::InvalidLogicalId| error.to_string())
}

/// Reads parameters as strictly as the server does.
///
/// # Errors
/// What is wrong, in the words of the command line.
pub(super) fn read(parameters: &[(&'static str, String)]) -> Result<PurgeRequest, UsageError> {
    PurgeRequest::parse(parameters.iter().map(|(name, value)| (*name, value.as_str()))).map_err(|error| wrong(&error))
}

impl Selected {
    /// As the API names them.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if !self.types.is_empty() {
            parameters.push(("_type", self.types.join(",")));
        }
        parameters.extend(self.before.clone().map(|before| ("_before", before)));
        parameters.extend(self.type_filters.iter().map(|filter| ("_typeFilter", filter.clone())));
        parameters.extend(self.include_deleted.then(|| ("_includeDeleted", "true".to_owned())));
        parameters
    }

    /// The resource that the operation is called on, as a path below `/r4`; empty for the account.
    pub(super) fn path(&self) -> String {
        match (&self.patient, &self.group) {
            (Some(id), _) => format!("/Patient/{id}"),
            (None, Some(id)) => format!("/Group/{id}"),
            (None, None) => String::new(),
        }
    }

    /// Whether it is called on a patient or a Group.
    pub(super) fn is_of_patients(&self) -> bool {
        self.patient.is_some() || self.group.is_some()
    }

    /// What would go, in words: it cannot be undone. The date is told as it was typed: the request holds the first instant of it.
    pub(super) fn describe(&self, request: &PurgeRequest, scope: &str) -> String {
        let filtered = |name: &str| self.type_filters.iter().any(|filter| filter.split('?').next() == Some(name));
        let of_type = |name: &str| if filtered(name) { format!("every {name} that fits its conditions") } else { format!("every {name}") };
        let what = match &request.types {
            None => "every resource".to_owned(),
            Some(types) => types.iter().map(|resource_type| of_type(resource_type.name())).collect::<Vec<_>>().join(", "),
        };
        let whose = match (&self.patient, &self.group) {
            (Some(id), _) => format!(" in the compartment of Patient/{id}"),
            (None, Some(id)) => format!(" in the compartments of the members of Group/{id}"),
            (None, None) => String::new(),
        };
        let when = self.before.as_deref().map(|before| format!(" last updated before {before}")).unwrap_or_default();
        let deleted = if request.include_deleted { ", and what FHIR deletes left behind" } else { "" };
        format!("{what}{whose} of {scope}{when}{deleted}")
    }
}

/// In the words of the command line.
fn wrong(error: &PurgeRequestError) -> UsageError {
    if let PurgeRequestError::PlusNotEncoded(value) = error {
        return UsageError(format!("--before: '{value}' has a blank where a '+' belongs; nothing was started"));
    }
    let text = error.to_string();
    let names = [
        ("_typeFilter", "--type-filter"),
        ("_type", "--type"),
        ("_before", "--before"),
        ("_includeDeleted", "--include-deleted"),
        ("_eraseFiles", "--erase-files"),
        ("_reason", "--reason"),
        ("_expect", "--expect"),
    ];
    let at_start = names.iter().find_map(|(parameter, option)| text.strip_prefix(parameter).map(|rest| format!("{option}{rest}")));
    let quoted = || names.iter().fold(text.clone(), |text, (parameter, option)| text.replace(&format!("'{parameter}'"), option));
    UsageError(at_start.unwrap_or_else(quoted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(selected: &Selected, scope: &str) -> String {
        selected.describe(&read(&selected.parameters()).unwrap(), scope)
    }

    #[test]
    fn what_would_go_is_said_with_its_scope() {
        assert_eq!(described(&Selected::default(), "user 7"), "every resource of user 7");
        let selected = Selected {
            types: vec!["Patient".to_owned(), "Binary".to_owned()],
            before: Some("2020".to_owned()),
            include_deleted: true,
            ..Selected::default()
        };
        assert_eq!(
            described(&selected, "ALL users of the client 'x'"),
            "every Patient, every Binary of ALL users of the client 'x' last updated before 2020, and what FHIR deletes left behind"
        );
        let selected = Selected {
            types: vec!["Observation".to_owned(), "Encounter".to_owned()],
            type_filters: vec!["Observation?status=final".to_owned()],
            patient: Some("p".parse().unwrap()),
            ..Selected::default()
        };
        assert_eq!(
            described(&selected, "user 7"),
            "every Observation that fits its conditions, every Encounter in the compartment of Patient/p of user 7"
        );
        let selected = Selected { group: Some(group_id("Group/g").unwrap()), ..Selected::default() };
        assert_eq!(described(&selected, "user 7"), "every resource in the compartments of the members of Group/g of user 7");
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_the_command_line() {
        for (parameter, value, expected) in [
            ("_type", "Patiant", "--type: "),
            ("_type", "", "--type has an empty"),
            ("_before", "soon", "--before: "),
            ("_reason", " ", "--reason "),
            ("_typeFilter", "", "--type-filter has an empty"),
            ("_expect", "x", "--expect: "),
            ("_eraseFiles", "x", "--erase-files is "),
        ] {
            let text = read(&[(parameter, value.to_owned())]).unwrap_err().to_string();
            assert!(text.starts_with(expected), "{text}");
        }
        for slip in ["a b", "..", ".", "Patient/..", "Group/g", "../Group/g"] {
            assert!(patient_id(slip).is_err(), "{slip}");
        }
        assert!(group_id("Patient/p").is_err() && patient_id("Patient/p").is_ok());
    }
}
