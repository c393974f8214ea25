//! The server's own key: a file beside the database, made on first use.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow};
use lethe_auth::SecretKey;

use crate::{failure::Advice, private_file};

/// Name of the file in the data directory.
const FILE_NAME: &str = "secret.key";

/// Bytes from the operating system's cryptographic random source.
///
/// # Errors
/// The operating system has none.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the operating system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// The key of a store.
pub(crate) struct LoadedKey {
    pub(crate) key: SecretKey,
    /// There was none: nothing that was hashed before can be checked with it.
    pub(crate) is_new: bool,
}

/// Reads the key of the store in `directory`; makes one if there is none. Two processes that start at once end up with the same key.
///
/// # Errors
/// The file cannot be read or written, or does not hold exactly [`SecretKey::BYTES`] bytes.
pub(crate) fn load_or_create(directory: &Path) -> Result<LoadedKey> {
    let path = directory.join(FILE_NAME);
    let is_new = !fs::exists(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    if is_new {
        private_file::create(directory, FILE_NAME, &random_bytes::<{ SecretKey::BYTES }>()?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(LoadedKey { key: read(&path)?, is_new })
}

/// Reads the key of the store in `directory`; `None` if there is none.
///
/// # Errors
/// As [`load_or_create`].
pub(crate) fn load(directory: &Path) -> Result<Option<SecretKey>> {
    let path = directory.join(FILE_NAME);
    let is_there = fs::exists(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    is_there.then(|| read(&path)).transpose()
}

fn read(path: &Path) -> Result<SecretKey> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let length = bytes.len();
    let key: [u8; SecretKey::BYTES] = bytes.try_into().map_err(|_| {
        Advice::new(
            format!("{} has {length} bytes, and a key has {}", path.display(), SecretKey::BYTES),
            "restore it from a backup; if there is none, remove the file and give every client a new secret with lethe client rotate",
        )
    })?;
    Ok(SecretKey::new(key))
}

#[cfg(test)]
mod tests {
    use lethe_auth::SecretKind;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_private_to_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let hash = || load_or_create(directory.path()).unwrap().key.hash(SecretKind::ClientSecret, "x");
        assert_eq!(hash(), hash());
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FILE_NAME], "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(directory.path().join(FILE_NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn many_who_start_at_once_agree_on_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let hashes: Vec<_> = std::thread::scope(|scope| {
            let start = || load_or_create(directory.path()).unwrap().key.hash(SecretKind::ClientSecret, "x");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    }

    #[test]
    fn a_key_of_another_length_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE_NAME), b"short").unwrap();
        let message = load_or_create(directory.path()).err().unwrap().to_string();
        assert!(message.contains("has 5 bytes, and a key has 32"), "{message}");
        assert_eq!(fs::read(directory.path().join(FILE_NAME)).unwrap(), b"short");
    }
}
