//! The words and signs of a path (<https://hl7.org/fhirpath/N1/#lexical-elements>).

use super::{PatchError, error::cut};

/// A word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, a keyword, or a name in backticks.
    Name(String),
    /// `$this`
    This,
    /// `'…'`, without its escapes.
    Text(String),
    /// As it is written, without sign.
    Number(String),
    /// What follows `@`.
    Date(String),
    /// Anything else that has a meaning.
    Sign(&'static str),
}

/// Signs, the longer first.
const SIGNS: [&str; 22] =
    ["!=", "!~", "<=", ">=", "(", ")", "[", "]", ".", ",", "=", "~", "<", ">", "|", "+", "-", "*", "/", "&", "{", "}"];

/// The tokens of a path, each with the character it begins at, counted from 1.
pub(super) fn tokens(path: &str) -> Result<Vec<(Token, usize)>, PatchError> {
    let mut reader = Reader { rest: path, position: 1 };
    let mut found = Vec::new();
    loop {
        reader.take_while(char::is_whitespace);
        let position = reader.position;
        match reader.token()? {
            Some(token) => found.push((token, position)),
            None => return Ok(found),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn token(&mut self) -> Result<Option<Token>, PatchError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            'a'..='z' | 'A'..='Z' | '_' => Token::Name(self.take_while(is_of_name).to_owned()),
            '0'..='9' => Token::Number(self.number().to_owned()),
            '`' => Token::Name(self.quoted('`')?),
            '\'' => Token::Text(self.quoted('\'')?),
            '@' => {
                self.advance(1);
                Token::Date(self.take_while(|next| next.is_ascii_alphanumeric() || "-:.+".contains(next)).to_owned())
            }
            '$' => {
                self.advance(1);
                let name = self.take_while(is_of_name);
                if name != "this" {
                    return Err(self.not_understood(&format!("'${}'", cut(name)), "of such names only '$this' is known here"));
                }
                Token::This
            }
            '"' => return Err(self.not_understood("'\"'", "text stands in single quotes")),
            other => match SIGNS.into_iter().find(|sign| self.rest.starts_with(sign)) {
                Some(sign) => {
                    self.advance(sign.len());
                    Token::Sign(sign)
                }
                None => return Err(self.not_understood(&format!("'{}'", other.escape_debug()), "remove it")),
            },
        };
        Ok(Some(token))
    }

    fn number(&mut self) -> &'a str {
        let text = self.rest;
        let whole = self.take_while(|next| next.is_ascii_digit()).len();
        let fraction = self.rest.strip_prefix('.').map_or(0, |rest| rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len()));
        if fraction == 0 {
            return &text[..whole];
        }
        self.advance(1 + fraction);
        &text[..whole + 1 + fraction]
    }

    fn quoted(&mut self, quote: char) -> Result<String, PatchError> {
        let start = self.position;
        let mut text = String::new();
        self.advance(1);
        loop {
            text.push_str(self.take_while(|next| next != quote && next != '\\'));
            let mut next = self.rest.chars();
            match (next.next(), next.next()) {
                (Some('\\'), Some('u')) => {
                    let code = self.rest.get(2..6).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
                    let Some(code) = code else {
                        return Err(self.not_understood("'\\u'", "four digits of a character's code follow it, such as '\\u00e9'"));
                    };
                    text.push(code);
                    self.advance(6);
                }
                (Some('\\'), Some(escaped)) => {
                    text.push(match escaped {
                        '\'' | '"' | '`' | '\\' | '/' => escaped,
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'f' => '\u{c}',
                        _ => return Err(self.not_understood("the escape", r"known are \' \` \\ \/ \n \r \t \f and \u with four digits")),
                    });
                    self.advance(2);
                }
                (Some('\\') | None, _) => {
                    return Err(PatchError::malformed(
                        format!("the path ends within what begins with {quote} at character {start}"),
                        format!("close it with {quote}"),
                    ));
                }
                (Some(_), _) => {
                    self.advance(1);
                    return Ok(text);
                }
            }
        }
    }

    fn take_while(&mut self, is_taken: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|next| !is_taken(next)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.position += taken.chars().count();
        taken
    }

    /// Over so many characters of one byte.
    fn advance(&mut self, ascii: usize) {
        self.rest = self.rest.get(ascii..).unwrap_or_default();
        self.position += ascii;
    }

    fn not_understood(&self, what: &str, remedy: &str) -> PatchError {
        PatchError::malformed(format!("{what} at character {} of the path is not understood", self.position), remedy)
    }
}

fn is_of_name(next: char) -> bool {
    next.is_ascii_alphanumeric() || next == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> String {
        let found = tokens(path).unwrap();
        found.iter().map(|(token, position)| format!("{position}:{token:?}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_and_signs_are_told_apart() {
        assert_eq!(shown("a_1.`b c`[0]"), r#"1:Name("a_1") 4:Sign(".") 5:Name("b c") 10:Sign("[") 11:Number("0") 12:Sign("]")"#);
        assert_eq!(shown("é' \u{e9}\\u00e9\\''".trim_start_matches('é')), r#"1:Text(" éé'")"#);
        assert_eq!(shown("$this != 1.50"), r#"1:This 7:Sign("!=") 10:Number("1.50")"#);
        assert_eq!(shown("1.first"), r#"1:Number("1") 2:Sign(".") 3:Name("first")"#);
        assert_eq!(shown("@2020-01-01T10:00:00.5+01:00 @T10"), r#"1:Date("2020-01-01T10:00:00.5+01:00") 30:Date("T10")"#);
        assert_eq!(shown(" \n"), "");
    }

    #[test]
    fn what_has_no_meaning_is_told_with_its_place() {
        for (path, expected) in [
            ("a.é", "'é' at character 3"),
            ("a 'x", "ends within what begins with ' at character 3"),
            ("'x\\", "ends within"),
            ("`x", "ends within what begins with `"),
            (r"'\q'", "the escape at character 2"),
            (r"'\u12'", "four digits"),
            (r"'\ud800'", "four digits"),
            (r"'\ué€'", "four digits"),
            ("$index", "'$index'"),
            ("a = \"x\"", "text stands in single quotes"),
            ("%resource", "'%'"),
            ("\u{0}", r"'\0'"),
        ] {
            let message = tokens(path).unwrap_err().to_string();
            assert!(message.contains(expected), "{path}: {message}");
        }
    }
}
