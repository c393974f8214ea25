//! Reading a whole journal: is it what was written, and what of it does a database not know yet.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use lethe_purge::Seq;
use lethe_store::{JobId, JournalMark, Lineage};
use thiserror::Error;
use uuid::Uuid;

use super::{
    entry::{BadLine, Entry, FORMAT, LINE_BYTES_MAX, PurgeEnd, read_line},
    lines::Lines,
};

const READ_BYTES: usize = 1 << 18;

/// Why a journal cannot be used with a database.
#[derive(Debug, Error)]
pub(crate) enum JournalError {
    /// It is not where it should be, and the database knows one.
    #[error("the purge journal {0} is missing")]
    Missing(PathBuf),
    /// The file cannot be read or written.
    #[error("the purge journal {path} cannot be used")]
    File { path: PathBuf, source: io::Error },
    /// Another process has it.
    #[error("the purge journal {0} is in use by another lethe")]
    InUse(PathBuf),
    /// A line is not what was written.
    #[error("the purge journal {path} is damaged: record {record} {what}")]
    Damaged { path: PathBuf, record: u64, what: String },
    /// Its end is missing.
    #[error(
        "the purge journal {path} ends with record {last}, and the database knows {known}: its end was cut off, or it is an older copy"
    )]
    CutOff { path: PathBuf, last: u64, known: u64 },
    /// It is sound, but not the one that the database knows.
    #[error("the purge journal {path} is not the one that the database knows: {what}")]
    Foreign { path: PathBuf, what: String },
}

/// A purge on record.
#[derive(Clone, Debug)]
pub(crate) struct RecordedEnd {
    pub(crate) end: PurgeEnd,
    /// How far the journal goes with it.
    pub(crate) mark: JournalMark,
    /// Where the lines of its parts begin, and the mark before them.
    pub(super) parts_at: u64,
    pub(super) before_parts: Option<JournalMark>,
}

/// What a journal says.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The last record that is whole.
    pub(crate) last: Option<JournalMark>,
    /// Bytes up to its end; what lies behind was being written when the server died.
    pub(crate) whole_bytes: u64,
    /// Bytes behind.
    pub(crate) torn_bytes: u64,
    pub(crate) lines: Lines,
    /// Every job on record.
    pub(crate) recorded: HashSet<JobId>,
    /// The purges of which the database does not know, in order.
    pub(crate) unknown: Vec<RecordedEnd>,
    /// How far the journal goes with each record that is no part of a purge: what a database may know.
    marks: HashMap<u64, [u8; 32]>,
    /// Where the last record begins, and the mark before it.
    last_at: u64,
    before_last: Option<JournalMark>,
    /// Whose it is.
    store: Option<Uuid>,
}

/// Reads the journal at `path` to its end, and compares it with what a database knows of it. `None` if there is no journal.
///
/// # Errors
/// It is not what was written, or not the database's.
pub(crate) fn scan(path: &Path, lineage: &Lineage) -> Result<Option<Scan>, JournalError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalError::File { path: path.to_owned(), source }),
    };
    let reader = Reader { path, lineage, scan: Scan::default(), before: None, read_bytes: 0, run: None, has_met_mark: false };
    reader.read(BufReader::with_capacity(READ_BYTES, file)).map(Some)
}

/// The same, for somebody who has read it earlier: goes on behind the last record that he knows. From the beginning if that is not where it was: the file
/// was cut off, or is another.
///
/// # Errors
/// As [`scan`].
pub(crate) fn scan_on(path: &Path, lineage: &Lineage, earlier: Scan) -> Result<Option<Scan>, JournalError> {
    match Reader::behind(path, lineage, earlier) {
        Some((reader, input)) => reader.read(input).map(Some),
        None => scan(path, lineage),
    }
}

/// The next line with its end, or what there is of one.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    Ok(input.take(LINE_BYTES_MAX).read_until(b'\n', line)? as u64)
}

struct Reader<'a> {
    path: &'a Path,
    lineage: &'a Lineage,
    scan: Scan,
    /// The last record that was read, parts included.
    before: Option<JournalMark>,
    read_bytes: u64,
    /// The parts that were read since the last end: whose, how many, where they begin, and the mark before them.
    run: Option<(JobId, u64, u64, Option<JournalMark>)>,
    has_met_mark: bool,
}

impl<'a> Reader<'a> {
    /// One that has read as far as `earlier`, and the file from there on; `None` if the record that was the last does not end there, or if the database
    /// knows another record before it than was read.
    fn behind(path: &'a Path, lineage: &'a Lineage, mut earlier: Scan) -> Option<(Self, BufReader<File>)> {
        let last = earlier.last?;
        let known = lineage.mark.filter(|known| known.record <= last.record);
        if earlier.store != Some(lineage.store_id) || known.is_some_and(|known| earlier.marks.get(&known.record) != Some(&known.hash)) {
            return None;
        }
        let mut file = File::open(path).ok()?;
        file.seek(SeekFrom::Start(earlier.last_at)).ok()?;
        let (mut input, mut line) = (BufReader::with_capacity(READ_BYTES, file), Vec::new());
        let read = next_line(&mut input, &mut line).ok()?;
        let (mark, _) = read_line(earlier.before_last, line.strip_suffix(b"\n")?).ok()?;
        if mark != last || earlier.last_at + read != earlier.whole_bytes {
            return None;
        }
        earlier.unknown.retain(|recorded| lineage.mark.is_none_or(|known| recorded.mark.record > known.record));
        earlier.torn_bytes = 0;
        let read_bytes = earlier.whole_bytes;
        let reader = Self { path, lineage, scan: earlier, before: Some(last), read_bytes, run: None, has_met_mark: known.is_some() };
        Some((reader, input))
    }

    /// Reads to the end.
    fn read(mut self, mut input: impl BufRead) -> Result<Scan, JournalError> {
        let mut line = Vec::new();
        loop {
            let read = next_line(&mut input, &mut line).map_err(|source| JournalError::File { path: self.path.to_owned(), source })?;
            let Some(whole) = line.strip_suffix(b"\n") else {
                self.scan.torn_bytes = self.read_bytes - self.scan.whole_bytes + read;
                if read == LINE_BYTES_MAX {
                    return Err(self.damaged(format!("is longer than {LINE_BYTES_MAX} bytes")));
                }
                return self.finish();
            };
            self.take(whole, read)?;
        }
    }

    fn take(&mut self, line: &[u8], bytes: u64) -> Result<(), JournalError> {
        let (mark, entry) = read_line(self.before, line).map_err(|bad| {
            self.damaged(match bad {
                BadLine::Unreadable => "cannot be read".to_owned(),
                BadLine::OutOfOrder { found } => format!("is missing, and record {found} stands in its place"),
                BadLine::Changed => "was changed, or a record before it".to_owned(),
            })
        })?;
        let (start, before) = (self.read_bytes, self.before);
        self.read_bytes += bytes;
        match &entry {
            Entry::Removed { job, .. } => {
                self.run = match self.run {
                    Some((of, parts, at, mark)) if of == *job => Some((of, parts + 1, at, mark)),
                    Some(_) => return Err(self.damaged("belongs to another purge than the one before it".to_owned())),
                    None => Some((*job, 1, start, before)),
                };
                self.before = Some(mark);
                return Ok(());
            }
            Entry::Journal { format, store, .. } => {
                self.check_journal(mark, *format, *store)?;
                self.scan.store = Some(*store);
            }
            Entry::Line { line, after_line, after_seq, .. } => {
                if !self.scan.lines.add(*line, *after_line, Seq(*after_seq)) {
                    return Err(self.damaged("begins a line that no record explains".to_owned()));
                }
            }
            Entry::Purge(end) => {
                let (of, parts, parts_at, before_parts) = self.run.unwrap_or((end.job, 0, start, before));
                if of != end.job || parts != end.parts {
                    return Err(self.damaged(format!("ends a purge with {} parts, and {parts} stand before it", end.parts)));
                }
                self.scan.recorded.insert(end.job);
                if self.lineage.mark.is_none_or(|known| mark.record > known.record) {
                    self.scan.unknown.push(RecordedEnd { end: end.clone(), mark, parts_at, before_parts });
                }
            }
        }
        if self.run.is_some() && !matches!(entry, Entry::Purge(_)) {
            return Err(self.damaged("stands between the parts of a purge and its end".to_owned()));
        }
        self.run = None;
        self.before = Some(mark);
        self.scan.last = Some(mark);
        self.scan.whole_bytes = self.read_bytes;
        (self.scan.last_at, self.scan.before_last) = (start, before);
        self.scan.marks.insert(mark.record, mark.hash);
        self.check_mark(mark)
    }

    fn check_journal(&self, mark: JournalMark, format: u32, store: Uuid) -> Result<(), JournalError> {
        if mark.record != 1 {
            return Err(self.damaged("begins another journal".to_owned()));
        }
        if store != self.lineage.store_id {
            return Err(self.foreign(format!("it belongs to store {store}, the database to {}", self.lineage.store_id)));
        }
        if format != FORMAT {
            return Err(self.foreign(format!("it has format {format}, and this version of lethe knows {FORMAT}")));
        }
        Ok(())
    }

    fn check_mark(&mut self, mark: JournalMark) -> Result<(), JournalError> {
        match self.lineage.mark {
            Some(known) if known.record == mark.record && known.hash != mark.hash => {
                Err(self.foreign(format!("its record {} is another", mark.record)))
            }
            Some(known) if known.record == mark.record => {
                self.has_met_mark = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Scan, JournalError> {
        if let Some(known) = self.lineage.mark.filter(|_| !self.has_met_mark) {
            let last = self.scan.last.map_or(0, |mark| mark.record);
            return Err(if last < known.record {
                JournalError::CutOff { path: self.path.to_owned(), last, known: known.record }
            } else {
                self.foreign(format!("its record {} is no end of a purge", known.record))
            });
        }
        if !self.scan.lines.knows(self.lineage.line) {
            return Err(self.foreign("it does not know on which line the database was written".to_owned()));
        }
        self.scan.torn_bytes = self.scan.torn_bytes.max(self.read_bytes - self.scan.whole_bytes);
        Ok(self.scan)
    }

    fn damaged(&self, what: String) -> JournalError {
        let record = self.before.map_or(1, |mark| mark.record + 1);
        JournalError::Damaged { path: self.path.to_owned(), record, what }
    }

    fn foreign(&self, what: String) -> JournalError {
        JournalError::Foreign { path: self.path.to_owned(), what }
    }
}
