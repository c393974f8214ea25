//! `cargo xtask`: what a developer and the build server run. Nothing of the product lives here.

mod codegen;
mod e2e;
mod postgres;
mod tests;
mod tidy;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

  test [ARGS…]  tidy, then all tests of the workspace; ARGS go to cargo-nextest, or to cargo test where that is not installed.
                Starts a PostgreSQL for them, or takes the one that LETHE_TEST_DATABASE_URL names
  e2e [ARGS…]   searches compared with a brute-force evaluation, and clients that others wrote, against the real server; needs Python, and a
                package registry the first time; without ARGS the fast run (cargo xtask e2e --help)
  tidy          the rules of the house that a program can check
  codegen structure --package DIR --expansions DIR
                the table of R4's elements, from HL7's packages hl7.fhir.r4.core (or .examples, which holds it) and .expansions, unpacked
  codegen search --package DIR
                the table of R4's search parameters and compartments, from the first of these";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("test") => repository().and_then(|root| tests::run(&root, &arguments.collect::<Vec<_>>())),
        Some("e2e") => repository().and_then(|root| e2e::run(&root, &arguments.collect::<Vec<_>>())),
        Some("tidy") => repository().and_then(|root| tidy::run(&root)),
        Some("codegen") => repository().and_then(|root| codegen::run(&root, &arguments.collect::<Vec<_>>())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace, as cargo says while it runs this: where it was built may be another checkout with the same target directory.
fn repository() -> Result<PathBuf> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").context("start it with cargo: cargo xtask")?;
    Path::new(&own).parent().map(Path::to_owned).context("xtask lies one level below the root of the workspace")
}
