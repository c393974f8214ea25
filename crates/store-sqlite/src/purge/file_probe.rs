//! The probe of bytes: whatever in the database file belongs to no row must be zeros.
//!
//! Rows are looked for by the probe of residences. What is left of a file beside its rows are free pages and the unused middle of the others; with
//! an empty write-ahead log, which `erase` has seen to, there is nothing else in which an old byte could be.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use lethe_store::StoreError;
use rusqlite::Connection;

use super::{Result, erase::truncate_log};
use crate::{
    SqliteStore,
    error::Error,
    page::{PAGE_BYTES, unused},
};

/// What the probe calls this place.
pub(super) const UNUSED_BYTES: &str = "unused bytes of the file";

/// Pages read at once: 1 MiB.
const BLOCK_PAGES: u64 = 128;
/// Blocks looked at by one probe, spread evenly: 4 GiB. A larger file takes several probes to be seen whole.
const BLOCKS_MAX: u64 = 4_096;
/// Tries to look while the write-ahead log is empty: a reader, or another copy of the log, can stand in the way for a while.
const LOOKS_MAX: u32 = 200;
/// Wait between two of them.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Where the file's header says which page lists free pages, and the first bytes of a page of that list.
const FIRST_LIST_AT: usize = 32;
/// No page's number begins with a larger byte (`PAGES_MAX`).
const LARGEST_NUMBER: u8 = 1;
/// A list of free pages begins with the next list's number and how many follow.
const LIST_HEAD_BYTES: usize = 8;

/// Pages that hold bytes which belong to no row. `turn` chooses which part of a very large file is looked at.
pub(super) async fn dirty_pages(store: &SqliteStore, turn: u64) -> Result<u64> {
    let (path, suspects) = store
        .connections
        .read(move |tx| {
            let path = path_of(tx)?;
            let suspects = look(&path, Which::Spread { turn }).map_err(io_failed)?;
            Ok((path, suspects))
        })
        .await?;
    if suspects.is_empty() {
        return Ok(0);
    }
    // The file was being written meanwhile, so that the list of free pages and the pages need not have belonged together. Now nobody writes.
    for _ in 0..LOOKS_MAX {
        store.checkpointer.checkpoint().await?;
        let (path, suspects) = (path.clone(), suspects.clone());
        let look_alone = move |writer: &Connection| {
            let is_whole = truncate_log(writer)?;
            is_whole.then(|| look(&path, Which::Only(&suspects))).transpose().map_err(io_failed)
        };
        if let Some(dirty) = store.connections.with_writer(look_alone).await? {
            return Ok(dirty.len() as u64);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Err(StoreError::Unavailable("a long read keeps the file from being looked at as a whole".into()))
}

fn path_of(connection: &Connection) -> crate::error::Result<PathBuf> {
    connection.path().map(PathBuf::from).ok_or_else(|| io_failed(io::Error::other("the database has no file")))
}

fn io_failed(error: io::Error) -> Error {
    StoreError::Failed(Box::new(error)).into()
}

/// Which pages to look at.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// All, or as many blocks as are allowed.
    Spread { turn: u64 },
    /// These.
    Only(&'a [u64]),
}

/// The numbers of the pages that hold what belongs to no row.
fn look(path: &Path, which: Which<'_>) -> io::Result<Vec<u64>> {
    let mut file = File::open(path)?;
    let pages = file.metadata()?.len() / PAGE_BYTES as u64;
    let free = FreePages::read(&mut file, pages)?;
    let mut dirty = Vec::new();
    let mut block = vec![0; PAGE_BYTES * BLOCK_PAGES as usize];
    match which {
        Which::Only(numbers) => {
            let page = &mut block[..PAGE_BYTES];
            for number in numbers.iter().filter(|number| **number <= pages) {
                read_page(&mut file, *number, page)?;
                if !is_clean(page, *number, &free) {
                    dirty.push(*number);
                }
            }
        }
        Which::Spread { turn } => {
            let blocks = pages.div_ceil(BLOCK_PAGES);
            let step = blocks.div_ceil(BLOCKS_MAX).max(1);
            for first in (turn % step..blocks).step_by(step as usize).map(|block| block * BLOCK_PAGES + 1) {
                let count = BLOCK_PAGES.min(pages + 1 - first);
                let bytes = &mut block[..PAGE_BYTES * count as usize];
                file.seek(SeekFrom::Start((first - 1) * PAGE_BYTES as u64))?;
                // A file that became shorter meanwhile has no such pages.
                match file.read_exact(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    read => read?,
                }
                dirty.extend(
                    (first..).zip(bytes.chunks(PAGE_BYTES)).filter(|(number, page)| !is_clean(page, *number, &free)).map(|(n, _)| n),
                );
            }
        }
    }
    Ok(dirty)
}

fn read_page(file: &mut File, number: u64, page: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start((number - 1) * PAGE_BYTES as u64))?;
    file.read_exact(page)
}

fn is_clean(page: &[u8], number: u64, free: &FreePages) -> bool {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    match free.used_of(number) {
        // A list shrinks from its end and leaves the numbers there. It was zeros before, and no word of text is as small as a page number.
        Some(used) if used > 0 => {
            page.get(used..).is_some_and(|bytes| bytes.chunks(4).all(|number| number.first().is_some_and(|byte| *byte <= LARGEST_NUMBER)))
        }
        Some(_) => is_zero(page),
        None => unused(page, number).and_then(|unused| page.get(unused)).is_none_or(is_zero),
    }
}

/// The list of free pages: a bit each, and how many bytes the pages use that are the list.
struct FreePages {
    bits: Vec<u8>,
    lists: std::collections::HashMap<u64, usize>,
}

impl FreePages {
    fn read(file: &mut File, pages: u64) -> io::Result<Self> {
        let mut free = Self { bits: vec![0; (pages / 8 + 1) as usize], lists: std::collections::HashMap::new() };
        if pages == 0 {
            return Ok(free);
        }
        let mut page = vec![0; PAGE_BYTES];
        read_page(file, 1, &mut page)?;
        let mut list = number_at(&page, FIRST_LIST_AT);
        // A list that leads in a circle was read while it was written.
        while list > 0 && list <= pages && !free.lists.contains_key(&list) {
            read_page(file, list, &mut page)?;
            let count = (number_at(&page, 4) as usize).min((PAGE_BYTES - LIST_HEAD_BYTES) / 4);
            free.lists.insert(list, LIST_HEAD_BYTES + 4 * count);
            for entry in 0..count {
                let leaf = number_at(&page, LIST_HEAD_BYTES + 4 * entry);
                if let Some(byte) = free.bits.get_mut((leaf / 8) as usize) {
                    *byte |= 1 << (leaf % 8);
                }
            }
            list = number_at(&page, 0);
        }
        Ok(free)
    }

    /// How many bytes of a free page are used; `None` if it is not free.
    fn used_of(&self, number: u64) -> Option<usize> {
        let is_leaf = self.bits.get((number / 8) as usize).is_some_and(|byte| byte & (1 << (number % 8)) != 0);
        if is_leaf { Some(0) } else { self.lists.get(&number).copied() }
    }
}

fn number_at(page: &[u8], at: usize) -> u64 {
    page.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, |bytes| u64::from(u32::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::connections::open_writer;

    /// A database with pages of every kind: full ones, half empty ones, free ones.
    fn database() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lethe.db");
        let connection = open_writer(&path).unwrap();
        connection
            .execute_batch(
                "create table t (id integer primary key, text text, bytes blob);
                with recursive n (i) as (select 1 union all select i + 1 from n where i < 9000)
                insert into t select i, hex(randomblob(i % 200)), zeroblob(i % 7 * 3000) from n;
                delete from t where id % 3 = 0;
                delete from t where id < 3000;
                insert into t select i + 9000, 'again', zeroblob(20000) from (select id as i from t limit 50)",
            )
            .unwrap();
        assert!(truncate_log(&connection).unwrap());
        (directory, path)
    }

    #[test]
    fn what_sqlite_and_we_leave_behind_is_clean_whatever_was_moved_and_freed() {
        let (_directory, path) = database();
        let free = FreePages::read(&mut File::open(&path).unwrap(), 1 << 20).unwrap();
        assert!(!free.lists.is_empty() && free.bits.iter().any(|byte| *byte != 0), "the control: there are free pages");
        assert_eq!(look(&path, Which::Spread { turn: 0 }).unwrap(), Vec::<u64>::new());
    }

    struct NoClock;

    impl lethe_store::Clock for NoClock {
        fn now(&self) -> lethe_fhir::Instant {
            lethe_fhir::Instant::from_unix_ms(0)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_suspicion_is_judged_when_nobody_stands_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path(), std::sync::Arc::new(NoClock)).unwrap();
        let connections = &store.connections;
        let write = |sql: &'static str| connections.with_writer(move |writer| Ok(writer.execute_batch(sql)?));
        write("create table t (bytes blob); insert into t values (zeroblob(100000)); delete from t").await.unwrap();
        assert!(connections.with_writer(|writer| Ok(truncate_log(writer)?)).await.unwrap());
        assert_eq!(dirty_pages(&store, 0).await.unwrap(), 0, "the control");
        let path = directory.path().join("lethe.db");
        let free = FreePages::read(&mut File::open(&path).unwrap(), 1 << 20).unwrap();
        let page = (1..).find(|page| free.used_of(*page) == Some(0)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"x", (page - 1) * PAGE_BYTES as u64 + 9).unwrap();

        // Somebody reads what was there before a write, which can then not leave the log.
        let reader = crate::connections::open_reader(&path).unwrap();
        reader.execute_batch("begin; select count(*) from t").unwrap();
        write("insert into t values (1)").await.unwrap();
        let looked = tokio::time::timeout(5 * LOOK_PAUSE, dirty_pages(&store, 0)).await;
        assert!(looked.is_err(), "it says nothing while the file is not whole: {looked:?}");
        reader.execute_batch("rollback").unwrap();
        assert_eq!(dirty_pages(&store, 0).await.unwrap(), 1);
    }

    #[test]
    fn a_byte_in_any_unused_place_is_found() {
        let (_directory, path) = database();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let free = FreePages::read(&mut File::open(&path).unwrap(), 1 << 20).unwrap();
        let pages = file.metadata().unwrap().len() / PAGE_BYTES as u64;
        let mut tried = [0; 3];
        for number in 1..=pages {
            let mut page = vec![0; PAGE_BYTES];
            let start = (number - 1) * PAGE_BYTES as u64;
            file.read_exact_at(&mut page, start).unwrap();
            let (kind, at) = match (free.used_of(number), unused(&page, number)) {
                (Some(0), _) => (0, PAGE_BYTES / 2),
                (Some(_), _) => (1, PAGE_BYTES - 4),
                (None, Some(unused)) if !unused.is_empty() => (2, unused.end - 1),
                _ => continue,
            };
            if tried[kind] == 2 {
                continue;
            }
            tried[kind] += 1;
            file.write_all_at(b"x", start + at as u64).unwrap();
            assert_eq!(look(&path, Which::Spread { turn: 0 }).unwrap(), [number]);
            assert_eq!(look(&path, Which::Only(&[2, number])).unwrap(), [number]);
            file.write_all_at(&[0], start + at as u64).unwrap();
        }
        assert!(tried.iter().all(|tried| *tried > 0), "{tried:?}");
    }
}
