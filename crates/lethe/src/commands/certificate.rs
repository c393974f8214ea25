//! `lethe certificate`: certificates without a server, and the chain and the keys of a store.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lethe_certificate::{
    keys::KeySet,
    proof::Proof,
    verify::{Checked, Signed, check, read},
};
use lethe_store::{Certificates, StoredCertificate};
use serde_json::{Value, json};

use super::store_command::StoreCommand;
use crate::{
    certificate_keys,
    certificate_report::Report,
    failure::{Advice, UsageError},
    open_store::StoreOptions,
    terminal::{self, grouped},
};

/// Bytes of a file of certificates: some 50,000.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Certificates read from the store in one go.
const PAGE: usize = 500;

/// Verify certificates of purges, without a server; list and export those of a store; manage its keys
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    Verify(Verify),
    List(List),
    Export(Export),
    Keys(Keys),
    RotateKey(RotateKey),
}

/// Verify signature, sums and chain of certificates, and say exactly what is wrong; needs no server
///
/// Files hold certificates as the server gives them, such a list one a line, or bare JWS, one a line. Exit 0 only if all of them are sound.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Certificates; within a file their order counts
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Public keys, as GET /.well-known/lethe/jwks.json gives them [default: those of the store in --data]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// A certificate that comes before all others
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// A proof that a resource was among the deleted of the certificate
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// The resource that the proof must be of
    #[arg(long, value_name = "TYPE/ID", requires = "proof")]
    resource: Option<String>,
    #[command(flatten)]
    output: StoreCommand,
}

/// List the certificates of a store; may run beside a server
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: StoreCommand,
}

/// Print the whole chain of a store, one certificate a line; may run beside a server
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    store: StoreOptions,
}

/// Print the public keys of a store, as GET /.well-known/lethe/jwks.json gives them
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    store: StoreOptions,
}

/// Sign with a new key from now on; the old one stays published, and can sign no more
#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    output: StoreCommand,
}

impl CertificateCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Verify(command) => command.run(),
            Self::List(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Keys(Keys { store }) => {
                println!("{:#}", json!(certificate_keys::public_keys(store.key_directory())?));
                Ok(ExitCode::SUCCESS)
            }
            Self::RotateKey(RotateKey { output }) => {
                let public = certificate_keys::rotate(output.store.key_directory())?;
                output.print(&json!({ "kid": public.kid, "x": public.x }));
                eprintln!(
                    "Certificates are signed with this key from now on, by a running server too. Those who keep the public keys need the new set."
                );
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Verify {
    fn run(self) -> Result<ExitCode> {
        let keys = self.key_set()?;
        let previous = self.previous.as_ref().map(|path| self.anchor(path, &keys)).transpose()?;
        let mut files = Vec::new();
        for path in &self.files {
            let text = read_file(path)?;
            files.push((path.display().to_string(), read(&text)));
        }
        let mut report = Report::of(&files, &keys, previous.as_ref());
        if let Some(path) = &self.proof {
            report.check_proof(&Proof::read(&read_file(path)?), self.resource.as_deref());
        }
        if self.output.json {
            println!("{}", report.to_json())
        } else {
            report.print()
        }
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn key_set(&self) -> Result<KeySet> {
        let Some(path) = &self.keys else {
            return certificate_keys::public_keys(self.output.store.key_directory()).with_context(|| {
                UsageError("whose keys? Give them with --keys FILE, or name the store that signed with --data DIR".to_owned())
            });
        };
        KeySet::read(&read_file(path)?).with_context(|| UsageError(format!("{} cannot be used", path.display())))
    }

    /// The one before the others must itself be sound.
    fn anchor(&self, path: &PathBuf, keys: &KeySet) -> Result<Checked> {
        let found = read(&read_file(path)?);
        let [Ok(signed)] = &found[..] else {
            bail!(UsageError(format!("--previous: {} must hold exactly one certificate", path.display())))
        };
        let checked = check(signed, keys);
        match checked.faults.first() {
            None => Ok(checked),
            Some(fault) => bail!("--previous: {}: {fault}", path.display()),
        }
    }
}

impl List {
    async fn run(self) -> Result<ExitCode> {
        let store = self.output.store.open().await?.store;
        let mut table = terminal::table(["number", "job", "outcome", "ended", "deleted", "level"]);
        let mut all = Vec::new();
        for_each(store.as_ref(), |stored| {
            let said = Signed::bare(stored.jws).to_json()["certificate"].take();
            if self.output.json {
                all.push(said);
                return;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            table.add_row([
                stored.number.to_string(),
                stored.job_id.to_string(),
                text(&said["destruction"]["outcome"]),
                text(&said["destruction"]["endedOn"]),
                said["counts"]["total"]["deleted"].as_u64().map(grouped).unwrap_or_default(),
                text(&said["method"]["level"]),
            ]);
        })
        .await?;
        if self.output.json {
            println!("{}", json!({ "certificates": all }))
        } else {
            println!("{table}")
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Export {
    async fn run(self) -> Result<ExitCode> {
        let store = self.store.open().await?.store;
        let mut count = 0;
        for_each(store.as_ref(), |stored| {
            count += 1;
            println!("{}", Signed::bare(stored.jws).to_json());
        })
        .await?;
        eprintln!("{} certificates. Keep the last one apart: it tells whether the end of a chain was cut off.", grouped(count));
        Ok(ExitCode::SUCCESS)
    }
}

async fn for_each(store: &(impl Certificates + ?Sized), mut tell: impl FnMut(StoredCertificate)) -> Result<()> {
    let mut after = 0;
    loop {
        let page = store.certificates(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.number;
        page.into_iter().for_each(&mut tell);
    }
}

fn read_file(path: &PathBuf) -> Result<String> {
    let unreadable = || Advice::new(format!("{} cannot be read", path.display()), "name a file that this user may read");
    let bytes = fs::metadata(path).with_context(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        bail!(Advice::new(
            format!("{} has {} bytes, at most {} are read", path.display(), grouped(bytes), grouped(FILE_BYTES_MAX)),
            "cut it into pieces, and give each the last certificate of the piece before with --previous"
        ));
    }
    // What is no text is shown as damaged, not refused: that is what this is for.
    Ok(String::from_utf8_lossy(&fs::read(path).with_context(unreadable)?).into_owned())
}
