//! The words of a stored body, for `_text` and `_content`: looked for in the JSON text itself, without taking it apart.
//!
//! A word is a run of letters and digits, compared as [`normalise`](crate::value::normalise) writes it.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    WordPlace,
    value::{normalise, word},
};

/// Members whose text nobody reads: addresses, times of the server, encoded bytes.
const UNREAD: [&[u8]; 13] = [
    b"carrierAIDC",
    b"contentType",
    b"data",
    b"fullUrl",
    b"hash",
    b"lastUpdated",
    b"profile",
    b"reference",
    b"resourceType",
    b"system",
    b"url",
    b"valueBase64Binary",
    b"versionId",
];

/// The words of a text, in order.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, &mut |word| words.push(word.to_owned()));
    words
}

/// Whether all words of one of the `alternatives` stand in `body`, the stored form of a resource (`lethe_fhir::Body`). The words are as
/// [`words`] gives them. What is not JSON holds none.
#[must_use]
pub fn has_words(body: &[u8], place: WordPlace, alternatives: &[Vec<String>]) -> bool {
    let mut sought = Sought::of(alternatives);
    if sought.is_found() {
        return true;
    }
    let mut texts = Texts::of(body);
    while let Some(text) = texts.next_text() {
        if text.counts(place, &texts.names)
            && let Some(readable) = text.readable()
        {
            sought.look_at(&readable);
            if sought.is_found() {
                return true;
            }
        }
    }
    false
}

/// The words of a stored body, each once, as [`word`] writes them: for a store that cannot ask [`has_words`] of what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistinctWords {
    /// Those of the narrative.
    pub narrative: BTreeSet<Vec<u8>>,
    /// Those of every text, the narrative included.
    pub everything: BTreeSet<Vec<u8>>,
}

impl DistinctWords {
    /// Of the stored form of a resource.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let mut found = Self::default();
        let mut texts = Texts::of(body);
        while let Some(text) = texts.next_text() {
            let [in_narrative, in_everything] = [WordPlace::Narrative, WordPlace::Everything].map(|place| text.counts(place, &texts.names));
            if (in_narrative || in_everything)
                && let Some(readable) = text.readable()
            {
                each_word(&readable, &mut |text| {
                    let word = word(text);
                    if in_narrative && !found.narrative.contains(&word) {
                        found.narrative.insert(word.clone());
                    }
                    if in_everything {
                        found.everything.insert(word);
                    }
                });
            }
        }
        found
    }
}

/// What is looked for, and what of it was found.
struct Sought<'a> {
    /// Each word, with the number of its alternative.
    words: Vec<(&'a str, usize)>,
    is_found: Vec<bool>,
    /// So many words of each alternative are still missing.
    missing: Vec<usize>,
}

impl<'a> Sought<'a> {
    fn of(alternatives: &'a [Vec<String>]) -> Self {
        let words: Vec<(&str, usize)> =
            alternatives.iter().enumerate().flat_map(|(number, words)| words.iter().map(move |word| (word.as_str(), number))).collect();
        Self { is_found: vec![false; words.len()], missing: alternatives.iter().map(Vec::len).collect(), words }
    }

    fn is_found(&self) -> bool {
        self.missing.contains(&0)
    }

    fn look_at(&mut self, text: &str) {
        if text.is_ascii() {
            // Nearly all texts: nothing has to be written anew to be compared.
            for word in text.split(|letter: char| !letter.is_ascii_alphanumeric()) {
                self.note(word);
            }
        } else {
            each_word(text, &mut |word| self.note(word));
        }
    }

    fn note(&mut self, word: &str) {
        for (place, (sought, number)) in self.words.iter().enumerate() {
            if sought.eq_ignore_ascii_case(word) && !self.is_found[place] {
                self.is_found[place] = true;
                self.missing[*number] -= 1;
            }
        }
    }
}

fn each_word(text: &str, visit: &mut impl FnMut(&str)) {
    if text.is_ascii() {
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            visit(&word.to_ascii_lowercase());
        }
        return;
    }
    let normal = normalise(text);
    for word in normal.split(|letter: char| !letter.is_alphanumeric()) {
        if !word.is_empty() {
            visit(word);
        }
    }
}

/// Reads one text after the other from the stored form of a body, which begins within `meta`.
struct Texts<'a> {
    rest: &'a [u8],
    /// The member that is being read.
    name: &'a [u8],
    /// The members that lead here, the outermost first.
    names: Vec<&'a [u8]>,
}

/// A text as JSON writes it, without its quotation marks.
struct Text<'a> {
    name: &'a [u8],
    escaped: &'a [u8],
}

impl<'a> Texts<'a> {
    fn of(body: &'a [u8]) -> Self {
        Self { rest: body, name: b"", names: vec![b"", b"meta"] }
    }

    fn next_text(&mut self) -> Option<Text<'a>> {
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'{' | b'[' => self.names.push(self.name),
                b'}' | b']' => self.name = self.names.pop()?,
                b'"' => {
                    let escaped = self.until_quote()?;
                    let behind = self.rest.iter().position(|byte| !byte.is_ascii_whitespace());
                    if behind.is_some_and(|at| self.rest[at] == b':') {
                        self.name = escaped;
                    } else {
                        return Some(Text { name: self.name, escaped });
                    }
                }
                _ => {}
            }
        }
    }

    /// To the end of the text that has begun, and past it.
    fn until_quote(&mut self) -> Option<&'a [u8]> {
        let mut at = 0;
        loop {
            at += self.rest.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            if self.rest[at] == b'"' {
                break;
            }
            at += 2;
        }
        let escaped = &self.rest[..at];
        self.rest = &self.rest[at + 1..];
        Some(escaped)
    }
}

impl<'a> Text<'a> {
    fn is_markup(&self) -> bool {
        self.name == b"div"
    }

    /// Whether its words are looked for there; `names` are the members that lead to it.
    fn counts(&self, place: WordPlace, names: &[&[u8]]) -> bool {
        match place {
            WordPlace::Narrative => self.is_markup() && names == [b"".as_slice(), b"text"],
            WordPlace::Everything => !UNREAD.contains(&self.name),
        }
    }

    /// Without what JSON and XHTML wrap it in.
    fn readable(&self) -> Option<Cow<'a, str>> {
        let plain = self.plain()?;
        Some(if self.is_markup() { Cow::Owned(without_tags(&plain)) } else { plain })
    }

    fn plain(&self) -> Option<Cow<'a, str>> {
        let escaped = std::str::from_utf8(self.escaped).ok()?;
        if !self.escaped.contains(&b'\\') {
            return Some(Cow::Borrowed(escaped));
        }
        serde_json::from_str(&format!("\"{escaped}\"")).ok().map(Cow::Owned)
    }
}

/// The text of XHTML. A tag ends a word.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('<') {
            text.push(' ');
            rest = &rest[end_of_tag(rest)..];
        } else {
            let (letter, length) = entity(rest);
            text.push(letter);
            rest = &rest[length..];
        }
    }
    text.push_str(rest);
    text
}

/// Where the tag or comment ends with which `html` begins.
fn end_of_tag(html: &str) -> usize {
    if html.starts_with("<!--") {
        return html.find("-->").map_or(html.len(), |at| at + 3);
    }
    let mut quote = None;
    for (at, byte) in html.bytes().enumerate() {
        match (byte, quote) {
            (b'>', None) => return at + 1,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    html.len()
}

/// The character that the reference at the beginning of `html` stands for, and the length of the reference. Letters with accents are
/// given without, for words are compared so; what else has a name ends a word.
fn entity(html: &str) -> (char, usize) {
    const NAME_BYTES_MAX: usize = 10;
    let Some(end) = html.bytes().take(NAME_BYTES_MAX).position(|byte| byte == b';') else { return ('&', 1) };
    let name = &html[1..end];
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#') {
        return ('&', 1);
    }
    let letter = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32).unwrap_or(' ')
        }
        None if name == "szlig" => 'ß',
        None => {
            let mut letters = name.chars();
            let first = letters.next().unwrap_or(' ');
            if ["acute", "grave", "circ", "uml", "tilde", "cedil", "ring"].contains(&letters.as_str()) { first } else { ' ' }
        }
    };
    (letter, end + 1)
}

#[cfg(test)]
mod tests {
    use lethe_fhir::Resource;

    use super::*;

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"secret","meta":{"profile":["http://profiled"],"tag":[{"code":"tagged"}]},
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p title=\"a>b\">M&uuml;ller, Jos\u00e9 <b>b</b>one</p><!-- hidden > --><br/>&#x41;nna&nbsp;Bell</div>"},
        "contained":[{"resourceType":"Basic","text":{"div":"<div>inner</div>"}}],
        "name":[{"family":"O'Neill","given":["Zo\u0065","\"Quoted\" \\ back"]}],"multipleBirthInteger":42,"active":true,
        "photo":[{"data":"aGFsbG8","contentType":"image/png","title":"Portrait"}],
        "generalPractitioner":[{"reference":"Practitioner/referred","display":"Dr Who"}]}"#;

    fn holds(json: &str, place: WordPlace, alternatives: &[&str]) -> bool {
        let body = Resource::parse(json.as_bytes()).unwrap().body();
        let alternatives: Vec<Vec<String>> = alternatives.iter().map(|text| words(text)).collect();
        has_words(body.as_bytes(), place, &alternatives)
    }

    #[test]
    fn the_narrative_is_read_without_its_tags() {
        for text in ["Müller", "muller", "JOSE", "b one", "Anna", "bell", "one Muller", "anna"] {
            assert!(holds(PATIENT, WordPlace::Narrative, &[text]), "{text}");
        }
        for text in ["mull", "div", "xmlns", "title", "hidden", "nbsp", "inner", "Neill", "bone", "generated", "muller absent"] {
            assert!(!holds(PATIENT, WordPlace::Narrative, &[text]), "{text}");
        }
    }

    #[test]
    fn every_text_counts_but_addresses_and_bytes() {
        for text in ["O'Neill", "neill o", "zoe", "quoted", "back", "tagged", "portrait", "inner", "muller", "Dr. Who", "generated"] {
            assert!(holds(PATIENT, WordPlace::Everything, &[text]), "{text}");
        }
        for text in ["profiled", "aGFsbG8", "png", "referred", "42", "true", "family", "secret", "Patient", "xhtml"] {
            assert!(!holds(PATIENT, WordPlace::Everything, &[text]), "{text}");
        }
    }

    #[test]
    fn the_distinct_words_are_those_that_are_found() {
        let body = Resource::parse(PATIENT.as_bytes()).unwrap().body();
        let found = DistinctWords::of(body.as_bytes());
        assert!(found.narrative.len() > 4 && found.everything.len() > 10, "the control: {found:?}");
        let asked: BTreeSet<String> = words(PATIENT).into_iter().chain(["muller", "anna", "jose", "zoe"].map(str::to_owned)).collect();
        for (place, found) in [(WordPlace::Narrative, &found.narrative), (WordPlace::Everything, &found.everything)] {
            for word in &asked {
                let is_found = has_words(body.as_bytes(), place, &[vec![word.clone()]]);
                assert_eq!(found.contains(&super::word(word)), is_found, "{place:?} {word}");
            }
            assert!(found.iter().all(|found| asked.iter().any(|word| super::word(word) == *found)), "{place:?}: {found:?}");
        }
        let long = Resource::parse(format!(r#"{{"resourceType":"Basic","language":"{}"}}"#, "x".repeat(100_000)).as_bytes()).unwrap();
        let found = DistinctWords::of(long.body().as_bytes()).everything;
        assert!(found.len() == 1 && found.iter().all(|word| word.len() < 300), "however long a word is");
    }

    #[test]
    fn all_words_of_one_alternative_are_enough() {
        assert!(holds(PATIENT, WordPlace::Everything, &["absent", "zoe quoted zoe"]));
        assert!(!holds(PATIENT, WordPlace::Everything, &["absent zoe", "quoted missing"]));
        assert!(!holds(PATIENT, WordPlace::Everything, &[]));
    }

    #[test]
    fn damage_holds_no_words_and_does_no_harm() {
        let sought = [vec!["a".to_owned()]];
        for body in [r#""#, r#"""#, r#""\"#, r#","x":"\"#, "}}}}", "[[[[", r#"},"x":"\ud800"}"#, "\u{0}", r#"},"x":"#] {
            assert!(!has_words(body.as_bytes(), WordPlace::Everything, &sought), "{body}");
        }
        assert!(!has_words(b"},\"x\":\"a\xff\"}", WordPlace::Everything, &sought));
        assert!(has_words(br#"},"x":"a"}"#, WordPlace::Everything, &sought), "the control");
    }

    #[test]
    fn broken_markup_is_read_as_far_as_it_goes() {
        let cases = [
            ("a<b", "a "),
            ("a<!-- b", "a "),
            ("a & b &amp; c", "a & b   c"),
            ("&#xD800;a", " a"),
            ("&#99999999;a", "&#99999999;a"),
            ("&", "&"),
            ("<a href='>'>x", " x"),
            ("&é;", "&é;"),
        ];
        for (html, text) in cases {
            assert_eq!(without_tags(html), text, "{html}");
        }
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(words("Être, 5mg/dL—naïve  x_y"), ["etre", "5mg", "dl", "naive", "x", "y"]);
        assert!(words(" .,- ").is_empty());
    }
}
