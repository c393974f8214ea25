//! The one list of where resource data lives (INV-10).
//!
//! A table that holds resource data and is missing here would be forgotten by a purge; so every table of an adapter's schema must be in
//! [`RESIDENCES`] (or [`ROWS_BESIDE`]) or in [`WITHOUT_RESOURCE_DATA`], and the suite compares the lists with the live schema.

/// A table that holds resource data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residence {
    /// Name of the table.
    pub table: &'static str,
    /// What of a resource it holds.
    pub holds: &'static str,
    /// Which step removes it.
    pub emptied_by: EmptiedBy,
}

/// The step of a purge that empties a residence, in whichever store it does so last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptiedBy {
    /// The step that stores the plan.
    Plan,
    /// The batch, together with the version.
    Batch,
    /// The sweep after the last batch.
    Sweep,
}

/// Every table that holds resource data, in every store.
pub const RESIDENCES: [Residence; 6] = [
    Residence { table: "version", holds: "every version of every resource, with its body", emptied_by: EmptiedBy::Batch },
    Residence { table: "reference", holds: "Binary or Provenance → versions that refer to it", emptied_by: EmptiedBy::Sweep },
    Residence {
        table: "purge_question",
        holds: "the patient, the Group and the conditions that a purge was asked for, until its plan is made, or for its retry",
        emptied_by: EmptiedBy::Plan,
    },
    Residence {
        table: "purge_listed",
        holds: "the list of targets that conditions or patients decide, and of the Provenance and Binary that go along",
        emptied_by: EmptiedBy::Batch,
    },
    Residence {
        table: "export_question",
        holds: "the Group and the conditions by which an export was asked for",
        emptied_by: EmptiedBy::Sweep,
    },
    Residence { table: "hold_target", holds: "the patient or resource that a hold keeps", emptied_by: EmptiedBy::Sweep },
];

/// Where a store has rows for what another has with the version alone.
pub const ROWS_BESIDE: [Residence; 3] = [
    Residence { table: "provenance_target", holds: "the targets of current Provenances", emptied_by: EmptiedBy::Batch },
    Residence { table: "resource", holds: "logical id → current version", emptied_by: EmptiedBy::Sweep },
    INDEX_ROWS,
];

/// The rows of the search index.
pub const INDEX_ROWS: Residence =
    Residence { table: "index_value", holds: "values of search parameters → current versions", emptied_by: EmptiedBy::Sweep };

/// The parts of the rows of `index_value`: no content, no resource ids.
pub const INDEX_PARTS: &str = "index_part";

/// Every other table: no content, no resource ids.
pub const WITHOUT_RESOURCE_DATA: [&str; 21] = [
    "lineage",
    "client",
    "user_account",
    "auth_code",
    "token",
    "commit_order",
    "type_total",
    "purge_job",
    "purge_batch",
    "purge_removed",
    "purge_audit",
    "purge_held",
    "purge_met_hold",
    "legal_hold",
    "purge_certificate",
    // Salted hashes that nobody can open but with the key beside them, and that go with it: docs/adr/0029.
    "purge_digest",
    "purge_digest_key",
    "store_identity",
    "export_job",
    "export_file",
    "import_job",
];
