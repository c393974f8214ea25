//! What a restore that was killed leaves in the data directory: a copy of the store that no purge reaches. Whoever has the lock of the store takes it
//! away, so that nothing is served beside it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{failure::Advice, open_store::DATABASE_FILE};

/// Where the copy is prepared, in the data directory: on the same disk, so that it can be put in place at once.
pub(crate) const DRAFT_DIRECTORY: &str = "restore.draft";
/// Where the database that is replaced is put until the copy is in its place.
pub(crate) const REPLACED_DIRECTORY: &str = "restore.replaced";
/// What SQLite keeps beside a database.
pub(crate) const COMPANION_FILES: [&str; 2] = ["-wal", "-shm"];

/// How many there are; a restore that runs has its own.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn count(data: &Path) -> io::Result<u64> {
    let mut found = 0;
    for name in [DRAFT_DIRECTORY, REPLACED_DIRECTORY] {
        found += u64::from(fs::exists(data.join(name))?);
    }
    Ok(found)
}

/// Takes them away. A database that had stepped aside comes back, if the copy had not yet taken its place. Only for whoever has the lock of the
/// store: a draft that no restore holds is worth nothing.
///
/// # Errors
/// Something could not be moved or removed; the next call goes on.
pub(crate) fn clear(data: &Path) -> Result<()> {
    clear_files(data).with_context(|| {
        Advice::new(
            format!("a restore that was interrupted has left copies of the store in {}, which could not be removed", data.display()),
            format!("see that this user may write there, or remove {DRAFT_DIRECTORY}; nothing is served beside it"),
        )
    })
}

fn clear_files(data: &Path) -> io::Result<()> {
    if is_swap_open(data)? {
        let (replaced, place) = (data.join(REPLACED_DIRECTORY).join(DATABASE_FILE), data.join(DATABASE_FILE));
        // The database last: until it is back, everybody can tell that it is not.
        for suffix in COMPANION_FILES.into_iter().chain([""]) {
            let file = beside(&replaced, suffix);
            if fs::exists(&file)? {
                fs::rename(&file, beside(&place, suffix))?;
            }
        }
        File::open(data)?.sync_all()?;
        eprintln!("a restore was interrupted before its copy was in place: the database that it had moved aside is back");
    }
    for name in [DRAFT_DIRECTORY, REPLACED_DIRECTORY] {
        let directory = data.join(name);
        if fs::exists(&directory)? {
            remove_all(&directory)?;
            eprintln!(
                "{} is removed: it was left by a restore that was interrupted, and may have held what was purged since",
                directory.display()
            );
        }
    }
    Ok(())
}

/// Keeps everybody who has no lock from a data directory whose database has stepped aside: another one made there would be taken for the copy.
///
/// # Errors
/// It has.
pub(crate) fn refuse_open_swap(data: &Path, flag: &str) -> Result<()> {
    if is_swap_open(data).with_context(|| format!("{} cannot be read", data.display()))? {
        bail!(Advice::new(
            format!("a restore was interrupted, and the database of {} is still in {REPLACED_DIRECTORY}", data.display()),
            format!("lethe serve{flag} puts it back; so does the same lethe restore, run again"),
        ));
    }
    Ok(())
}

/// The database steps aside before its log, and comes back after it: so it alone tells how far the swap has come.
fn is_swap_open(data: &Path) -> io::Result<bool> {
    Ok(fs::exists(data.join(REPLACED_DIRECTORY).join(DATABASE_FILE))? && !fs::exists(data.join(DATABASE_FILE))?)
}

pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) fn remove_all(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// File names below a directory with what is in them.
    fn files(data: &Path) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(data)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn wherever_a_restore_dies_one_database_is_left_with_its_own_log_and_nothing_else() {
        let old = &["lethe.db=old", "lethe.db-shm=old", "lethe.db-wal=old"][..];
        // As the steps of a swap follow each other, then those of its undoing, then a copy in place.
        for (there, left) in [
            (&["lethe.db=old", "lethe.db-shm=old", "lethe.db-wal=old", "restore.draft/lethe.db=new"][..], old),
            (&["restore.replaced/lethe.db=old", "lethe.db-shm=old", "lethe.db-wal=old", "restore.draft/lethe.db=new"], old),
            (
                &["restore.replaced/lethe.db=old", "restore.replaced/lethe.db-wal=old", "lethe.db-shm=old", "restore.draft/lethe.db=new"],
                old,
            ),
            (&["restore.replaced/lethe.db=old", "restore.replaced/lethe.db-wal=old", "restore.replaced/lethe.db-shm=old"], old),
            (&["restore.replaced/lethe.db=old", "restore.replaced/lethe.db-wal=old", "lethe.db=new"], &["lethe.db=new"]),
            (&["restore.replaced/lethe.db-wal=old", "lethe.db=new", "restore.draft/serve.lock="], &["lethe.db=new"]),
            (&["restore.draft/lethe.db=new", "restore.draft/lethe.db-wal=new"], &[]),
        ] {
            let data = tempfile::tempdir().unwrap();
            for file in there {
                let (path, content) = file.split_once('=').unwrap();
                let path = data.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            assert!(count(data.path()).unwrap() > 0, "the control");
            let is_away = there.iter().any(|file| file.starts_with("restore.replaced/lethe.db=")) && !there.contains(&"lethe.db=new");
            assert_eq!(refuse_open_swap(data.path(), "").is_err(), is_away, "{there:?}");
            clear(data.path()).unwrap();
            let left: Vec<(String, String)> =
                left.iter().map(|file| file.split_once('=').unwrap()).map(|(a, b)| (a.into(), b.into())).collect();
            assert_eq!(files(data.path()), left, "{there:?}");
            assert_eq!(count(data.path()).unwrap(), 0);
            refuse_open_swap(data.path(), "").unwrap();
        }
    }
}
