//! The parts of one purge on record, read one at a time: a purge may have removed more than fits into memory.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use lethe_store::{JournalMark, RemovedPart};

use super::{
    Digested, RecordedEnd,
    entry::{LINE_BYTES_MAX, read_line, read_part},
    scan::JournalError,
};

/// Reads the parts of `recorded` from the journal that was scanned.
pub(crate) fn parts_of(
    path: &Path,
    recorded: &RecordedEnd,
) -> Result<impl Iterator<Item = Result<RemovedPart, JournalError>>, JournalError> {
    let failed = |source| JournalError::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(recorded.parts_at)).map_err(failed)?;
    let (mut input, mut before, path) = (BufReader::new(file), recorded.before_parts, path.to_owned());
    Ok((1..=recorded.end.parts).map(move |number| {
        let record = before.map_or(1, |mark: JournalMark| mark.record + 1);
        let damaged = |what: &str| JournalError::Damaged { path: path.clone(), record, what: what.to_owned() };
        let mut line = Vec::new();
        let read = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(|source| JournalError::File { path: path.clone(), source })?;
        let line = line.strip_suffix(b"\n").ok_or_else(|| damaged("has gone since the journal was read"))?;
        let (mark, entry) = read_line(before, line).map_err(|_| damaged("was changed since the journal was read"))?;
        before = Some(mark);
        read_part(&entry, number).ok_or_else(|| damaged("names a type or places that this version of lethe does not know"))
    }))
}

/// What tells the parts of `recorded` from others.
pub(super) fn digest_of(path: &Path, recorded: &RecordedEnd) -> Result<[u8; 32], JournalError> {
    let mut digested = Digested::new();
    for part in parts_of(path, recorded)? {
        digested.add(&part?);
    }
    Ok(digested.finish())
}
