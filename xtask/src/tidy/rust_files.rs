//! Every Rust file: one idea, named at its head, of a size that can be read.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// A file with more lines needs a reason.
const LINES_MAX: usize = 500;

/// Files that may be longer, each with its reason. Empty is how it should be.
const LONGER_WITH_REASON: &[(&str, &str)] = &[];

/// Checks every Rust file.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in super::files_below(root, "rs")? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let place = super::shown(root, &path);
        findings.extend(check_text(&place, &text));
    }
    for (path, _) in LONGER_WITH_REASON {
        if fs::read_to_string(root.join(path)).map_or(0, |text| text.lines().count()) <= LINES_MAX {
            findings.push(format!("{path}: needs no exception for its length any more"));
        }
    }
    Ok(findings)
}

fn check_text(place: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(format!("{place}:1: begin with //! and what lives here"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX && !LONGER_WITH_REASON.iter().any(|(path, _)| *path == place) {
        findings.push(format!("{place}: has {lines} lines; over {LINES_MAX} it needs a reason, in xtask/src/tidy/rust_files.rs"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_lengths_are_checked() {
        assert!(check_text("a.rs", "//! What lives here.\n").is_empty(), "the control");
        assert!(check_text("a.rs", "use x;\n")[0].contains("begin with //!"));
        let long = format!("//! x\n{}", "\n".repeat(LINES_MAX));
        assert!(check_text("a.rs", &long)[0].contains("has 501 lines"));
    }
}
