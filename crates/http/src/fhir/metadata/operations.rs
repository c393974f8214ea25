//! The operations of FHIR REST that are served, and their definitions.

use lethe_fhir::ResourceType;
use serde_json::{Value, json};

use super::statement::STATED_ON;
use crate::fhir::everything::EVERYTHING_TYPES;

/// On what an operation works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// On everything in the account.
    System,
    /// On one resource of these types.
    Instance(&'static [&'static str]),
    /// On every type, and on one resource of any.
    AnyTypeAndInstance,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name, without the dollar sign.
    pub name: &'static str,
    /// Of its definition, behind `lethe-`.
    id: &'static str,
    /// On what it works.
    pub level: Level,
    title: &'static str,
    /// The definition of HL7 that it follows.
    base: Option<&'static str>,
    description: &'static str,
    affects_state: bool,
    parameters: &'static [Parameter],
}

#[derive(Debug)]
struct Parameter {
    name: &'static str,
    direction: &'static str,
    min: u8,
    max: &'static str,
    kind: &'static str,
    documentation: &'static str,
}

const fn optional(name: &'static str, kind: &'static str, documentation: &'static str) -> Parameter {
    Parameter { name, direction: "in", min: 0, max: "1", kind, documentation }
}

const fn answer(kind: &'static str, documentation: &'static str) -> Parameter {
    Parameter { name: "return", direction: "out", min: 1, max: "1", kind, documentation }
}

const BEFORE: Parameter = optional(
    "_before",
    "string",
    "A FHIR date, dateTime (with a time zone) or instant: only resources whose meta.lastUpdated is strictly less",
);

const TYPE_FILTER: Parameter = Parameter {
    name: "_typeFilter",
    direction: "in",
    min: 0,
    max: "*",
    kind: "string",
    documentation: "As in Bulk Data: a type that _type names and search criteria on the resource itself, such as \
                    Observation?status=entered-in-error; several for one type are alternatives. A type without one goes whole",
};

const INCLUDE_DELETED: Parameter =
    optional("_includeDeleted", "boolean", "true: also the history of resources that a FHIR delete left behind");

const ERASE_FILES: Parameter = optional(
    "_eraseFiles",
    "boolean",
    "true: the job also takes the bytes of what it removes out of the files of the database before it ends; its certificate says whether it \
     did. Refused where the server knows that it cannot. The embedded store always does",
);

const REASON: Parameter = optional("_reason", "string", "Text of up to 1,000 characters that is kept with the job");

/// All of them.
pub const OPERATIONS: [Operation; 4] = [
    Operation {
        name: "purge",
        id: "purge",
        level: Level::System,
        title: "Bulk purge",
        base: None,
        description: "Starts a job that removes, for good, every resource of the account whose current version was stored before the \
                      kick-off and fits the parameters: all its versions and index rows, every Provenance whose targets are all purged, and \
                      every Binary that nothing remaining refers to. Answers at once with the job as JSON. Any parameter that is unknown, \
                      repeated or empty is refused with 400, and nothing starts. GET, PUT and DELETE on /r4/$purge/{job id} tell of it, retry \
                      and cancel it; GET /r4/$purge lists jobs, GET /r4/$purge/{job id}/certificate gives the signed certificate of one that has ended.",
        affects_state: true,
        parameters: &[
            optional("_type", "string", "Resource types, separated by commas; absent: all"),
            BEFORE,
            TYPE_FILTER,
            INCLUDE_DELETED,
            ERASE_FILES,
            REASON,
            optional(
                "_expect",
                "string",
                "The digest of a preview (GET /r4/$purge-preview with the same parameters): start only if the same would be removed still",
            ),
        ],
    },
    Operation {
        name: "purge",
        id: "purge-of-patients",
        level: Level::Instance(&["Patient", "Group"]),
        title: "Purge of a patient, or of the members of a Group",
        base: None,
        description: "As $purge, of what is in the patient's compartment by R4's CompartmentDefinition, the Patient itself included; of a Group, \
                      what is in the compartments of the patients that are its members. It follows the operations of FHIR R6 \
                      (http://hl7.org/fhir/OperationDefinition/Patient-purge, http://hl7.org/fhir/OperationDefinition/Group-purge). POST only. \
                      Waits for the end of the job for some seconds; with 'Prefer: respond-async' answers 202. What is in no compartment stays \
                      and is told, as are members that are no patients here. GET {Patient,Group}/{id}/$purge-preview tells what would go.",
        affects_state: true,
        parameters: &[
            optional("_type", "string", "Only resources of these types, separated by commas; absent: all of the compartment"),
            BEFORE,
            TYPE_FILTER,
            INCLUDE_DELETED,
            ERASE_FILES,
            REASON,
            optional("_expect", "string", "The digest of a preview of the same: start only if the same would be removed still"),
            answer(
                "OperationOutcome",
                "R4's code informational with R6's coding success, or incomplete with the address of the job's status",
            ),
        ],
    },
    Operation {
        name: "everything",
        id: "everything",
        level: Level::Instance(&EVERYTHING_TYPES),
        title: "Everything about a patient or an encounter",
        base: Some("http://hl7.org/fhir/OperationDefinition/Patient-everything"),
        description: "The resource, the members of its compartment (entries of mode match), and what those refer to (mode include), in pages. \
                      What several pages refer to comes along with each of them.",
        affects_state: false,
        parameters: &[
            Parameter {
                name: "_type",
                direction: "in",
                min: 0,
                max: "*",
                kind: "code",
                documentation: "Only resources of these types; separated by commas in a query",
            },
            optional("_since", "instant", "Only resources that were stored then or later"),
            optional("start", "date", "Of a patient: only care on this date or later; what does not tell its date is not left out"),
            optional("end", "date", "Of a patient: only care on this date or earlier"),
            optional("_count", "integer", "Members on one page; at most 1,000, which is also the default"),
            answer("Bundle", "A searchset; the link 'next' leads to the next page"),
        ],
    },
    Operation {
        name: "validate",
        id: "validate",
        level: Level::AnyTypeAndInstance,
        title: "Validate a resource",
        base: Some("http://hl7.org/fhir/OperationDefinition/Resource-validate"),
        description: "Whether a resource is built as R4's base definitions say (elements, types, cardinality, required codes, form of values and \
                      references), and whether a write of it would be refused. Profiles are not looked at. Nothing is stored.",
        affects_state: false,
        parameters: &[
            optional("resource", "Resource", "What is validated; on an instance without it, what is stored there"),
            optional("mode", "code", "create, update or delete"),
            optional("profile", "uri", "Not looked at, and said so"),
            answer("OperationOutcome", "All that is wrong; an information if nothing is"),
        ],
    },
];

impl Operation {
    /// The path of its definition.
    pub fn path(&self) -> String {
        format!("/r4/OperationDefinition/lethe-{}", self.id)
    }

    /// How a CapabilityStatement refers to it.
    pub fn capability(&self, public_url: &str) -> Value {
        json!({ "name": self.name, "definition": format!("{public_url}{}", self.path()), "documentation": self.description })
    }

    /// Whether it works on resources of a type.
    pub fn is_of(&self, resource_type: ResourceType) -> bool {
        match self.level {
            Level::System => false,
            Level::Instance(types) => types.contains(&resource_type.name()),
            Level::AnyTypeAndInstance => true,
        }
    }

    /// As FHIR has it.
    pub fn definition(&self, public_url: &str) -> Value {
        let parameters: Vec<Value> = self.parameters.iter().map(Parameter::to_json).collect();
        let name: String = self.name.chars().take(1).flat_map(char::to_uppercase).chain(self.name.chars().skip(1)).collect();
        let mut definition = json!({
            "resourceType": "OperationDefinition",
            "id": format!("lethe-{}", self.id),
            "url": format!("{public_url}{}", self.path()),
            "name": name,
            "title": self.title,
            "status": "active",
            "kind": "operation",
            "date": STATED_ON,
            "publisher": "Lethe",
            "description": self.description,
            "affectsState": self.affects_state,
            "code": self.name,
            "system": self.level == Level::System,
            "type": self.level == Level::AnyTypeAndInstance,
            "instance": self.level != Level::System,
            "parameter": parameters,
        });
        if let Some(base) = self.base {
            definition["base"] = json!(base);
        }
        match self.level {
            Level::System => {}
            Level::Instance(types) => definition["resource"] = json!(types),
            Level::AnyTypeAndInstance => definition["resource"] = json!(["Resource"]),
        }
        definition
    }
}

impl Parameter {
    fn to_json(&self) -> Value {
        let Self { name, direction, min, max, kind, documentation } = self;
        json!({ "name": name, "use": direction, "min": min, "max": max, "documentation": documentation, "type": kind })
    }
}

#[cfg(test)]
mod tests {
    use lethe_fhir::{Resource, validate};

    use super::*;

    #[test]
    fn definitions_are_built_as_fhir_has_them() {
        for operation in &OPERATIONS {
            let definition = operation.definition("http://h:1");
            let resource = Resource::from_json(definition.clone()).unwrap();
            assert_eq!(validate(&resource), [], "{}", operation.name);
            assert_eq!(operation.capability("http://h:1")["definition"], definition["url"]);
        }
    }
}
