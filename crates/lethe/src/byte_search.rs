//! Searches files for byte strings: whether something is on the disk, whatever the database says.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundBytes {
    /// Places of the needles that occur at least once, in the list that was searched for.
    pub needles: BTreeSet<usize>,
    /// Files that were searched.
    pub files: usize,
    /// Bytes that were searched.
    pub bytes: u64,
}

/// Searches every file in `directory` and below for each of `needles`, in one pass over each file.
///
/// # Errors
/// A file cannot be read, or there are too many needles for one automaton.
pub fn search_files(directory: &Path, needles: &[String]) -> io::Result<FoundBytes> {
    let automaton = AhoCorasick::new(needles).map_err(io::Error::other)?;
    let mut found = FoundBytes::default();
    for path in files_below(directory)? {
        let file = match File::open(&path) {
            Ok(file) => file,
            // A journal may vanish between the listing and here; what is not there holds nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        found.files += 1;
        found.bytes += file.metadata()?.len();
        for hit in automaton.stream_find_iter(BufReader::with_capacity(1 << 18, file)) {
            found.needles.insert(hit?.pattern().as_usize());
        }
    }
    Ok(found)
}

fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needles_are_found_wherever_they_lie_and_only_those_that_are_there() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        let mut bytes = vec![0_u8; (1 << 18) - 3];
        bytes.extend_from_slice(b"across the edge of a buffer");
        fs::write(directory.path().join("a"), &bytes).unwrap();
        fs::write(directory.path().join("below/b"), b"\xff\xfethe other one").unwrap();
        let needles = ["the other one", "absent", "across the edge"].map(str::to_owned);
        let found = search_files(directory.path(), &needles).unwrap();
        assert_eq!(found.needles, BTreeSet::from([0, 2]));
        assert_eq!((found.files, found.bytes), (2, bytes.len() as u64 + 15));
    }
}
