//! Lines of NDJSON: one resource each (<https://github.com/ndjson/ndjson-spec>). Opens nothing; reads what it is given.

use std::io::{self, BufRead};

use crate::limits;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// What may be a resource, without the end of the line.
    Text(Vec<u8>),
    /// White space alone.
    Blank,
    /// Longer than [`limits::RESOURCE_BYTES_MAX`]; it has been read past, but not kept.
    TooLong,
}

/// The next line; `None` at the end. Memory does not grow with the length of a line.
///
/// # Errors
/// The reader's.
pub fn read_line(reader: &mut dyn BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut is_too_long = false;
    let mut is_empty = true;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        is_empty = false;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        if line.len() + part.len() > limits::RESOURCE_BYTES_MAX {
            is_too_long = true;
            line = Vec::new();
        }
        if !is_too_long {
            line.extend_from_slice(part);
        }
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (is_empty, is_too_long) {
        (true, _) => None,
        (false, true) => Some(Line::TooLong),
        (false, false) if line.iter().all(u8::is_ascii_whitespace) => Some(Line::Blank),
        (false, false) => Some(Line::Text(line)),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    #[test]
    fn lines_end_at_newlines_and_at_the_end_of_the_file() {
        let mut reader = BufReader::with_capacity(3, &b"first line\n \r\nlast"[..]);
        let mut next = || match read_line(&mut reader).unwrap() {
            Some(Line::Text(text)) => String::from_utf8(text).unwrap(),
            Some(Line::Blank) => "(blank)".to_owned(),
            Some(Line::TooLong) => "(too long)".to_owned(),
            None => "(end)".to_owned(),
        };
        assert_eq!([next(), next(), next(), next()], ["first line", "(blank)", "last", "(end)"]);
    }

    #[test]
    fn a_line_without_end_is_not_kept_in_memory_and_the_next_one_is_read() {
        let endless = io::repeat(b'x').take(limits::RESOURCE_BYTES_MAX as u64 + 1).chain(&b"\n{}\n"[..]);
        let mut reader = BufReader::new(endless);
        assert!(matches!(read_line(&mut reader).unwrap(), Some(Line::TooLong)));
        assert!(matches!(read_line(&mut reader).unwrap(), Some(Line::Text(text)) if text == b"{}"));
    }
}
