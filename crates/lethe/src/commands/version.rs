//! `lethe version`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

/// Print which version this is
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Version {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            println!("{}", json!({ "version": version, "fhirVersion": "4.0.1" }));
        } else {
            println!("lethe {version} (FHIR R4, 4.0.1)");
        }
        Ok(ExitCode::SUCCESS)
    }
}
