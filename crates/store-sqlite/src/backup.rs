//! Copies of the database, taken while it is served, and looked at before they take its place.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use thiserror::Error;
use uuid::Uuid;

use crate::{clean_writes::clean_pages, connections::open_reader, open::DATABASE_FILE, page::PAGE_BYTES};

/// Pages copied between two reports: 8 MiB.
const STEP_PAGES: i32 = 1024;

/// Why a copy could not be made or is none.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The file is there already.
    #[error("{0} is there already, and a backup overwrites nothing")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{path} cannot be written or read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite gives up.
    #[error("{path} could not be copied or read")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It is a database, but a damaged one.
    #[error("{path} is damaged: {found}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says of it.
        found: String,
    },
}

/// Copies the database in `directory` to the file `to`, as it is at one moment, also while a server writes; returns the bytes. `told` hears how
/// many are done, and of how many.
///
/// Writers are not kept waiting. What they write meanwhile stays in the write-ahead log until the copy is done.
///
/// # Errors
/// [`CopyError`]; then there is no file `to` that was not there before.
pub fn back_up(directory: &Path, to: &Path, mut told: impl FnMut(u64, u64)) -> Result<u64, CopyError> {
    if fs::exists(to).map_err(|source| CopyError::File { path: to.to_owned(), source })? {
        return Err(CopyError::Exists(to.to_owned()));
    }
    let draft = Draft::create(to)?;
    let failed = |source| CopyError::Database { path: directory.join(DATABASE_FILE), source };
    copy_pages(&directory.join(DATABASE_FILE), &draft.path, &mut told).map_err(failed)?;
    draft.finish(to)
}

fn copy_pages(from: &Path, to: &Path, told: &mut impl FnMut(u64, u64)) -> rusqlite::Result<()> {
    let source = open_reader(from)?;
    // One view for all of it: otherwise each commit of another process would begin the copy anew.
    let view = source.unchecked_transaction()?;
    view.query_row("select count(*) from lineage", [], |_| Ok(()))?;
    let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // A copy that breaks off is thrown away, and one that is whole is brought to the disk at its end.
    copy.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    copy.pragma_update(None, "synchronous", "off")?;
    // What the log holds of a page has not been cleaned yet.
    clean_pages(&copy)?;
    let backup = Backup::new(&view, &mut copy)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let progress = backup.progress();
        let bytes = |pages: i32| u64::try_from(pages).unwrap_or_default() * PAGE_BYTES as u64;
        told(bytes(progress.pagecount - progress.remaining), bytes(progress.pagecount));
        if step == StepResult::Done {
            return Ok(());
        }
    }
}

/// Looks whether a file is a sound database, as fast as it can be read.
///
/// # Errors
/// It is not.
pub fn verify_copy(path: &Path) -> Result<(), CopyError> {
    let failed = |source| CopyError::Database { path: path.to_owned(), source };
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    let found: String = connection.query_row("pragma quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(CopyError::Damaged { path: path.to_owned(), found });
    }
    connection
        .query_row("select count(*) from sqlite_schema where name = 'lineage'", [], |row| row.get::<_, bool>(0))
        .map_err(failed)?
        .then_some(())
        .ok_or_else(|| CopyError::Damaged { path: path.to_owned(), found: "it is a database, but none of lethe's".to_owned() })
}

/// A file under another name, which goes if it is not finished.
struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Only its owner may read it: it will hold patients' data.
    fn create(to: &Path) -> Result<Self, CopyError> {
        let mut name = to.as_os_str().to_owned();
        name.push(format!(".{}", Uuid::new_v4().simple()));
        let path = PathBuf::from(name);
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(_) => Ok(Self { path }),
            Err(source) => Err(CopyError::File { path, source }),
        }
    }

    fn finish(self, to: &Path) -> Result<u64, CopyError> {
        let bytes = self.put(to).map_err(|source| CopyError::File { path: to.to_owned(), source })?;
        bytes.ok_or_else(|| CopyError::Exists(to.to_owned()))
    }

    fn put(&self, to: &Path) -> io::Result<Option<u64>> {
        let file = File::open(&self.path)?;
        file.sync_all()?;
        if fs::exists(to)? {
            return Ok(None);
        }
        fs::rename(&self.path, to)?;
        let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        Ok(Some(file.metadata()?.len()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // OK because a finished draft has its name no more.
        let _ = fs::remove_file(&self.path);
    }
}
