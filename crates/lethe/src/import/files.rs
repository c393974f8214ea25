//! Which files are imported, and what their names say about their form.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::failure::{Advice, UsageError};

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileForm {
    pub(super) is_ndjson: bool,
    pub(super) is_gzip: bool,
}

impl FileForm {
    /// By the end of the name; `None` for anything else than `.ndjson` and `.json`, with or without `.gz`.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, is_gzip) = name.strip_suffix(".gz").map_or((name.as_str(), false), |inner| (inner, true));
        let is_ndjson = name.ends_with(".ndjson") || name.ends_with(".jsonl");
        (is_ndjson || name.ends_with(".json")).then_some(Self { is_ndjson, is_gzip })
    }
}

/// The files that `paths` mean, folders looked through recursively in order of name.
///
/// # Errors
/// A path does not exist, a file that is named has no form that can be read, or nothing is found.
pub(crate) fn find_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).with_context(|| {
            Advice::new(format!("{} cannot be read", path.display()), "name files or folders that exist and that this user may read")
        })?;
        if metadata.is_dir() {
            add_folder(path, &mut files)?;
        } else if FileForm::of(path).is_some() {
            files.push(path.clone());
        } else {
            bail!(UsageError(format!("{} is none of .ndjson, .json, .ndjson.gz, .json.gz", path.display())));
        }
    }
    if files.is_empty() {
        let folders = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        bail!(Advice::new(
            format!("there is no .ndjson or .json file in {folders}"),
            "only .ndjson, .json, .ndjson.gz and .json.gz are read"
        ));
    }
    Ok(files)
}

fn add_folder(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>())
        .with_context(unreadable)?;
    paths.sort();
    for path in paths {
        // Links are not followed: they could lead in a circle.
        let kind = fs::symlink_metadata(&path).with_context(unreadable)?.file_type();
        if kind.is_dir() {
            add_folder(&path, files)?;
        } else if kind.is_file() && FileForm::of(&path).is_some() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_form() {
        let form = |name: &str| FileForm::of(Path::new(name)).map(|form| (form.is_ndjson, form.is_gzip));
        assert_eq!(form("a/Patient.ndjson"), Some((true, false)));
        assert_eq!(form("Patient.NDJSON.GZ"), Some((true, true)));
        assert_eq!(form("bundle.json"), Some((false, false)));
        assert_eq!(form("bundle.json.gz"), Some((false, true)));
        assert_eq!((form("notes.txt"), form("x.gz"), form("json")), (None, None, None));
    }

    #[test]
    fn folders_are_searched_in_order_and_other_files_left_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        for name in ["c.ndjson", "b/z.json", "a.ndjson.gz", "README.md"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let found = find_files(&[root.path().to_owned()]).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.ndjson.gz", "b/z.json", "c.ndjson"]);
        assert!(find_files(&[root.path().join("README.md")]).unwrap_err().is::<UsageError>());
        assert!(find_files(&[root.path().join("missing.json")]).is_err());
    }
}
