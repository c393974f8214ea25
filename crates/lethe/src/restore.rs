//! A copy of the database takes the place of the one in the data directory: looked at, brought up to its journal, and only then put there.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use lethe_store::{Clock, SharedIssuer, SystemClock};
use lethe_store_sqlite::{ServeLock, SqliteStore, verify_copy};
use uuid::Uuid;

use crate::{
    certificate_keys::FileIssuer,
    failure::Advice,
    open_store::{AnyStore, DATABASE_FILE, StoreOptions},
    recovery::{Recovered, apply_younger, check_journal},
    restore_leftovers::{COMPANION_FILES, DRAFT_DIRECTORY, REPLACED_DIRECTORY, beside, clear, remove_all},
    secret_key,
};

/// What is to be restored, and how.
pub(crate) struct Restoring<'a> {
    pub(crate) store: &'a StoreOptions,
    pub(crate) journal: PathBuf,
    /// Whether a database that is there may go.
    pub(crate) is_replacing: bool,
    /// Whether the journal is given up.
    pub(crate) is_new_journal: bool,
    /// Who operates the server.
    pub(crate) organization: Option<&'a str>,
}

/// Applies younger purges to the database that is in place.
///
/// # Errors
/// It is served, or there is none, or its journal cannot be used.
pub(crate) async fn reapply(restoring: &Restoring<'_>) -> Result<Recovered> {
    let opened = restoring.store.open_alone().await?;
    restoring.recover(&opened.store, &opened.clock).await
}

/// Puts the copy `file` in place.
///
/// # Errors
/// A server runs, the copy is damaged or another store's, or a younger purge could not be applied. Then what was in place is there still.
pub(crate) async fn restore(restoring: &Restoring<'_>, file: &Path) -> Result<Recovered> {
    restoring.store.refuse_database(
        "lethe restore FILE",
        "restore the database with PostgreSQL's own tools (pg_restore of a dump of pg_dump, or a base backup), while no server runs; then lethe restore \
         --reapply removes what was purged since",
    )?;
    let data = &restoring.store.data;
    let _lock = ServeLock::take(data).map_err(|error| restoring.store.advise(error))?;
    clear(data)?;
    restoring.refuse_to_replace().await?;
    refuse_open_copy(file)?;
    let draft = Draft::begin(data.join(DRAFT_DIRECTORY))?;
    let copy = draft.0.join(DATABASE_FILE);
    copy_private(file, &copy).with_context(|| {
        Advice::new(
            format!("{} could not be copied into {}", file.display(), data.display()),
            "it needs room for the copy beside what is there",
        )
    })?;
    verify_copy(&copy).map_err(|error| {
        anyhow::Error::from(error).context(Advice::new(format!("{} cannot be restored", file.display()), "use another backup"))
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = SqliteStore::open_for_serving(&draft.0, Arc::clone(&clock)).await.map_err(|error| restoring.store.advise(error))?;
    let store: Arc<dyn AnyStore> = Arc::new(store);
    let recovered = restoring.recover(&store, &clock).await?;
    // The last to close copies the log into the database: after that the copy is one file.
    drop(store);
    put_in_place(data, &copy)?;
    if secret_key::load(data)?.is_none() {
        eprintln!(
            "warning: there is no secret.key in {}: put it there before you start the server, or every secret and token is refused",
            data.display()
        );
    }
    Ok(recovered)
}

impl Restoring<'_> {
    async fn recover(&self, store: &Arc<dyn AnyStore>, clock: &Arc<dyn Clock>) -> Result<Recovered> {
        if self.is_new_journal {
            set_aside(&self.journal)?;
            store.forget_journal().await?;
        }
        // What is removed again has its certificate, too.
        let issuer: SharedIssuer = Arc::new(FileIssuer::open(self.store.key_directory(), self.organization, "lethe restore")?);
        apply_younger(store, clock, &issuer, &self.journal, &self.store.flag()).await
    }

    /// A database that is there may be newer, and the journal must have what it knows.
    async fn refuse_to_replace(&self) -> Result<()> {
        let data = &self.store.data;
        if !fs::exists(data.join(DATABASE_FILE))? {
            return Ok(());
        }
        if !self.is_replacing {
            bail!(Advice::new(
                format!("there is a database in {}", data.display()),
                "--replace puts the copy in its place: what was written since the copy was made is lost. Or restore into another directory (--data)",
            ));
        }
        if self.is_new_journal {
            return Ok(());
        }
        match self.store.open().await {
            Ok(replaced) => check_journal(&replaced.store.lineage().await?, &self.journal, &self.store.flag()),
            Err(error) => {
                eprintln!(
                    "warning: the database that is replaced cannot be read ({error}), so that nobody can tell whether the journal is complete"
                );
                Ok(())
            }
        }
    }
}

/// A file with a log beside it is a database in use, or was copied while it was: the log belongs to it.
fn refuse_open_copy(file: &Path) -> Result<()> {
    let is_there = fs::exists(file).with_context(|| format!("{} cannot be read", file.display()))?;
    if !is_there {
        bail!(Advice::new(format!("there is no file {}", file.display()), "name a file that lethe backup has made"));
    }
    let has_log = fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() > 0);
    if has_log {
        bail!(Advice::new(
            format!("{} has a write-ahead log beside it, so it is a database in use and no backup", file.display()),
            "restore a file that lethe backup has made",
        ));
    }
    Ok(())
}

/// Readable by its owner alone, and on the disk.
fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}

/// The old database steps aside, then its log; the copy takes its name; the old one goes. At no time is one database beside the other's log, and
/// wherever this is cut off, [`clear`] can tell which of the two it is to be.
fn put_in_place(data: &Path, copy: &Path) -> Result<()> {
    let failed = || Advice::new("the copy could not be put in place", "nothing is served yet; run the same command again");
    let put = || -> io::Result<()> {
        for suffix in COMPANION_FILES {
            if fs::metadata(beside(copy, suffix)).is_ok_and(|file| file.len() > 0) {
                return Err(io::Error::other("the copy is still open"));
            }
        }
        File::open(copy)?.sync_all()?;
        let replaced = data.join(REPLACED_DIRECTORY);
        remove_all(&replaced)?;
        create_private(&replaced)?;
        let place = data.join(DATABASE_FILE);
        for suffix in [""].into_iter().chain(COMPANION_FILES) {
            let file = beside(&place, suffix);
            if fs::exists(&file)? {
                fs::rename(&file, replaced.join(format!("{DATABASE_FILE}{suffix}")))?;
            }
        }
        fs::rename(copy, &place)?;
        File::open(data)?.sync_all()?;
        remove_all(&replaced)
    };
    put().with_context(failed)
}

/// The journal that is given up stays, under another name.
fn set_aside(journal: &Path) -> Result<()> {
    if fs::exists(journal)? {
        let aside = beside(journal, &format!(".{}", Uuid::now_v7().simple()));
        fs::rename(journal, &aside).with_context(|| format!("{} cannot be renamed", journal.display()))?;
        eprintln!("{} is given up, and kept as {}", journal.display(), aside.display());
    }
    Ok(())
}

fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// A directory that goes, whatever happens. OK to remove what is there: only whoever has the lock of the store makes one.
struct Draft(PathBuf);

impl Draft {
    fn begin(path: PathBuf) -> Result<Self> {
        let begun = remove_all(&path).and_then(|()| create_private(&path));
        begun.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.0) {
            eprintln!("warning: {} could not be removed, and holds a copy of the store: {error}", self.0.display());
        }
    }
}
