//! SQL files: lower case, one statement a file.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Checks the SQL of every crate.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in super::files_below(&root.join("crates"), "sql")? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let place = super::shown(root, &path);
        let is_migration = path.components().any(|part| part.as_os_str() == "migrations");
        findings.extend(check_text(&place, &text, is_migration));
    }
    Ok(findings)
}

fn check_text(place: &str, text: &str, is_migration: bool) -> Vec<String> {
    let mut findings = Vec::new();
    let bare = without_quotes_and_comments(text);
    if let Some(number) = bare.lines().position(|line| line.chars().any(char::is_uppercase)) {
        findings.push(format!("{place}:{}: SQL is written in lower case", number + 1));
    }
    let statements = bare.split(';').filter(|statement| !statement.trim().is_empty()).count();
    if statements != 1 && !is_migration {
        findings.push(format!("{place}: holds {statements} statements; one a file"));
    }
    findings
}

/// The text with strings, quoted names and comments blanked out, line by line as it was.
fn without_quotes_and_comments(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let end: &[char] = match character {
            '\'' => &['\''],
            '"' => &['"'],
            '-' if characters.peek() == Some(&'-') => &['\n'],
            '/' if characters.peek() == Some(&'*') => &['*', '/'],
            _ => {
                bare.push(character);
                continue;
            }
        };
        let mut last = None;
        for inner in characters.by_ref() {
            if inner == '\n' {
                bare.push('\n');
            }
            let is_end = if let [first, second] = end { last == Some(*first) && inner == *second } else { end == [inner] };
            if is_end {
                break;
            }
            last = Some(inner);
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lower_case_statement_a_file() {
        let ok = "-- Why, with Capitals; and more.\n/* Here; too */\nselect 'Text; x' from \"Name\"\nwhere id = ?1;\n";
        assert!(check_text("a.sql", ok, false).is_empty(), "the control: {:?}", check_text("a.sql", ok, false));
        assert!(check_text("a.sql", "select 1;\nSELECT 2", true)[0].starts_with("a.sql:2:"));
        assert!(check_text("a.sql", "select 1; select 2", false)[0].contains("holds 2 statements"));
        assert!(check_text("a.sql", "-- nothing", false)[0].contains("holds 0 statements"));
        assert!(check_text("a.sql", "create table a (b); create table c (d);", true).is_empty());
    }
}
