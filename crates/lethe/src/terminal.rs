//! How the command line looks: colours where they help, tables, and whether somebody is watching.

use std::io::IsTerminal;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::Value;

/// Whether to colour what goes to `stream`: only for people, and not if they ask for none (<https://no-color.org>).
pub(crate) fn is_colourful(stream: &impl IsTerminal) -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !is_refused && !is_dumb
}

/// Paints text for standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    is_on: bool,
}

impl Paint {
    /// As standard output allows.
    pub(crate) fn for_stdout() -> Self {
        Self { is_on: is_colourful(&std::io::stdout()) }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.is_on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// An aside.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Something that is as it should be.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Something that is not.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }
}

/// An empty table with these headings. It is never narrowed to the terminal: an id that is broken in two cannot be copied.
pub(crate) fn table<const N: usize>(headings: [&str; N]) -> Table {
    let line = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(line)).set_header(headings);
    table
}

/// Lets the columns from `first` on end at the right, as numbers do.
pub(crate) fn align_numbers(table: &mut Table, first: usize) {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Prints the members of an object, one a line.
pub(crate) fn print_members(object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{name:<14} {text}");
    }
}

/// `text` as a shell takes it for one word.
pub(crate) fn pasted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_into_a_shell_is_one_word() {
        for (text, word) in [("/a/b-c.d", "/a/b-c.d"), ("http://h:1", "http://h:1"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(pasted(text), word);
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
