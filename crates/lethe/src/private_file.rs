//! Files that only their owner may read, and that nobody ever reads half-written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Makes a directory for such files, unless there is one.
///
/// # Errors
/// It cannot be made.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Makes a file unless there is one. Written whole under another name and then linked, so that the first of two writers wins.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn create(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = draft(directory, name, bytes)?;
    let linked = fs::hard_link(&draft, directory.join(name));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(directory)?.sync_all(),
    }
}

/// Puts a file in the place of another.
///
/// # Errors
/// The directory cannot be written; the file is as it was.
pub(crate) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = draft(directory, name, bytes)?;
    fs::rename(&draft, directory.join(name))?;
    File::open(directory)?.sync_all()
}

fn draft(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let draft = directory.join(format!("{name}.{}", uuid::Uuid::new_v4().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}
