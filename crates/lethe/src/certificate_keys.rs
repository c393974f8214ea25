//! The keys that sign certificates: a file beside the database, made on first use. No database ever holds one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lethe_certificate::{
    document::IssuerName,
    issue::{Facts, KeyedIssuer},
    keys::{Jwk, KeySet, SigningKey, read_seed, write_seed},
};
use lethe_store::{Clock, IssueError, Issuer, SystemClock};
use serde::{Deserialize, Serialize};

use crate::{failure::Advice, private_file, secret_key::random_bytes};

/// Name of the file in the data directory.
const FILE_NAME: &str = "certificate.keys";

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKeys {
    /// Those that have signed, the one that signs now last.
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    public: Jwk,
    /// Of the last one only: what a retired key is made from is thrown away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
}

/// Signs with the key in a directory. The file is read each time, so that a rotation beside a running server counts at once.
pub(crate) struct FileIssuer {
    directory: PathBuf,
    name: IssuerName,
}

impl FileIssuer {
    /// For the store in `directory`, whose server is operated by `organization` and reached at `location`. Makes a key if there is none.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn open(directory: &Path, organization: Option<&str>, location: &str) -> Result<Self> {
        make_if_missing(directory)?;
        let name = IssuerName {
            organization: organization.map(str::to_owned),
            location: Some(location.to_owned()),
            software: "Lethe".to_owned(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let issuer = Self { directory: directory.to_owned(), name };
        issuer.signing_key()?;
        Ok(issuer)
    }

    fn signing_key(&self) -> Result<SigningKey> {
        let keys = read(&self.directory)?;
        let seed = keys.keys.last().and_then(|key| key.seed.as_deref()).and_then(read_seed);
        let damaged = || damaged(&self.directory, "it has no key that signs");
        SigningKey::from_seed(&seed.with_context(damaged)?).with_context(damaged)
    }
}

impl Issuer for FileIssuer {
    fn issue(&self, facts: Facts) -> Result<String, IssueError> {
        let key = self.signing_key().map_err(|error| IssueError(format!("{error:#}")))?;
        KeyedIssuer { name: self.name.clone(), key }.issue(facts).map_err(|error| IssueError(error.to_string()))
    }

    fn public_keys(&self) -> Result<KeySet, IssueError> {
        public_keys(&self.directory).map_err(|error| IssueError(format!("{error:#}")))
    }
}

/// The public keys of the store in `directory`.
///
/// # Errors
/// There is no file, or it cannot be read.
pub(crate) fn public_keys(directory: &Path) -> Result<KeySet> {
    Ok(KeySet { keys: read(directory)?.keys.into_iter().map(|key| key.public).collect() })
}

/// Retires the key that signs and makes another; returns that.
///
/// # Errors
/// There is no file, or it cannot be read or written; nothing has changed.
pub(crate) fn rotate(directory: &Path) -> Result<Jwk> {
    let mut keys = read(directory)?;
    let now_s = now_s();
    for key in keys.keys.iter_mut().filter(|key| key.seed.is_some()) {
        key.seed = None;
        key.public.exp = Some(now_s);
    }
    let (stored, public) = generate(Some(now_s))?;
    keys.keys.push(stored);
    private_file::replace(directory, FILE_NAME, &serde_json::to_vec_pretty(&keys)?).with_context(|| unwritable(directory))?;
    Ok(public)
}

fn make_if_missing(directory: &Path) -> Result<()> {
    let path = directory.join(FILE_NAME);
    if fs::exists(&path).with_context(|| format!("{} cannot be read", path.display()))? {
        return Ok(());
    }
    // The first key has signed since the beginning, whatever the clock says later.
    let keys = StoredKeys { keys: vec![generate(None)?.0] };
    private_file::create(directory, FILE_NAME, &serde_json::to_vec_pretty(&keys)?).with_context(|| unwritable(directory))
}

fn generate(from_s: Option<i64>) -> Result<(StoredKey, Jwk)> {
    let seed = random_bytes()?;
    let mut public = Jwk::new(SigningKey::from_seed(&seed)?.public(), 0, None);
    public.nbf = from_s;
    Ok((StoredKey { public: public.clone(), seed: Some(write_seed(&seed)) }, public))
}

fn now_s() -> i64 {
    SystemClock.now().as_unix_ms().div_euclid(1_000)
}

fn read(directory: &Path) -> Result<StoredKeys> {
    let path = directory.join(FILE_NAME);
    let text = fs::read_to_string(&path).with_context(|| {
        Advice::new(
            format!("{} cannot be read", path.display()),
            "restore it from a backup; if there is none, lethe serve makes a new one: certificates that were signed before are then verified \
             with the public keys that were published",
        )
    })?;
    serde_json::from_str(&text).map_err(|error| damaged(directory, &error.to_string()).into())
}

fn unwritable(directory: &Path) -> String {
    format!("{} cannot be written", directory.join(FILE_NAME).display())
}

fn damaged(directory: &Path, why: &str) -> Advice {
    Advice::new(
        format!("{} is damaged: {why}", directory.join(FILE_NAME).display()),
        "restore it from a backup; if there is none, move it away, and lethe serve makes a new one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_private_and_known_by_its_public_half() {
        let directory = tempfile::tempdir().unwrap();
        let open = || FileIssuer::open(directory.path(), Some("Clinic"), "http://h:1").unwrap();
        let first = open().signing_key().unwrap();
        assert_eq!(open().signing_key().unwrap().public(), first.public());
        let published = open().public_keys().unwrap();
        assert_eq!(published.keys.len(), 1);
        assert_eq!(published.keys[0].public_key().as_ref(), Some(first.public()));
        assert!(!serde_json::to_string(&published).unwrap().contains("seed"), "the private half is published nowhere");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(directory.path().join(FILE_NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_rotation_counts_at_once_and_old_keys_stay_published_without_what_they_were_made_from() {
        let directory = tempfile::tempdir().unwrap();
        let issuer = FileIssuer::open(directory.path(), None, "http://h:1").unwrap();
        let first = issuer.signing_key().unwrap();
        let seed = read(directory.path()).unwrap().keys[0].seed.clone().unwrap();
        let second = rotate(directory.path()).unwrap();
        assert_eq!(Some(issuer.signing_key().unwrap().public().clone()), second.public_key());
        let published = issuer.public_keys().unwrap();
        assert_eq!(published.keys.iter().map(Jwk::public_key).collect::<Vec<_>>(), [Some(first.public().clone()), second.public_key()]);
        assert_eq!((published.keys[0].nbf, published.keys[0].exp), (None, second.nbf));
        assert_eq!(published.keys[1].exp, None);
        assert!(!fs::read_to_string(directory.path().join(FILE_NAME)).unwrap().contains(&seed));
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "{}", r#"{"keys":[]}"#] {
            fs::write(directory.path().join(FILE_NAME), text).unwrap();
            let error = FileIssuer::open(directory.path(), None, "http://h:1").err().unwrap();
            assert!(format!("{error:#}").contains("is damaged"), "{text}: {error:#}");
            assert_eq!(fs::read_to_string(directory.path().join(FILE_NAME)).unwrap(), text);
        }
    }
}
