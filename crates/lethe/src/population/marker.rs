//! Strings planted in a population, so that a search of the store's files shows whether its content is there.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{random::Random, vocabulary::SENTENCES};

/// Where a [`Marker`] is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MarkerPlace {
    /// `text.div` of a Condition.
    Narrative,
    /// `identifier.value` of an Encounter.
    Identifier,
    /// `Patient.name.given`.
    Name,
    /// `Binary.data`, so in base64.
    BinaryContent,
    /// A version of a Patient that has been updated since; no current version holds it.
    OldVersion,
}

impl MarkerPlace {
    /// Every place.
    pub const ALL: [Self; 5] = [Self::Narrative, Self::Identifier, Self::Name, Self::BinaryContent, Self::OldVersion];

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Narrative => "narrative",
            Self::Identifier => "identifiers",
            Self::Name => "names",
            Self::BinaryContent => "Binary content",
            Self::OldVersion => "earlier versions",
        }
    }
}

/// A string that occurs nowhere else.
///
/// What is planted is longer than what is searched for: a compressor that finds the text before it, or the text behind it, somewhere
/// earlier may replace a few characters at either end, but never the random middle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    place: MarkerPlace,
    text: String,
}

/// A multiple of 3, so that base64 of the middle is a part of base64 of the whole.
const MARGIN_CHARS: usize = 6;
const MIDDLE_CHARS: usize = 24;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

impl Marker {
    /// `count` markers, spread evenly over all places. Another seed gives others.
    #[must_use]
    pub fn series(seed: u64, count: usize) -> Vec<Self> {
        let mut random = Random::new(seed, u64::MAX);
        let mut seen = MarkerPlace::ALL.map(SeenWindows::new);
        (0..count)
            .map(|index| {
                let seen = &mut seen[index % MarkerPlace::ALL.len()];
                Self { place: seen.place, text: seen.fresh_text(&mut random) }
            })
            .collect()
    }

    /// Where it is planted.
    #[must_use]
    pub fn place(&self) -> MarkerPlace {
        self.place
    }

    /// What is planted.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes to search for: as planted, and as base64 writes them.
    #[must_use]
    pub fn needles(&self) -> [String; 2] {
        let middle = &self.text[MARGIN_CHARS..MARGIN_CHARS + MIDDLE_CHARS];
        [middle.to_owned(), BASE64_STANDARD.encode(middle)]
    }
}

/// Every four bytes in a row that the markers of one place have, as they are stored. Four are what a compressor of the LZ77 family replaces
/// by a reference to an earlier place, so markers that share none stay literal even side by side in one resource.
struct SeenWindows {
    place: MarkerPlace,
    windows: HashSet<[u8; 4]>,
}

impl SeenWindows {
    /// How often to try for a text that shares nothing; only series of many thousands come near.
    const TRIES_MAX: usize = 100;

    /// Knows the prose of documents already, as base64 writes it at each of its three alignments; no other place holds capitals in a row.
    fn new(place: MarkerPlace) -> Self {
        let prose = ["", " ", "  "].map(|shift| BASE64_STANDARD.encode(format!("{shift}{}", SENTENCES.join(" "))));
        Self { place, windows: prose.iter().flat_map(|text| text.as_bytes().array_windows().copied()).collect() }
    }

    fn fresh_text(&mut self, random: &mut Random) -> String {
        let mut text = String::new();
        for _ in 0..Self::TRIES_MAX {
            text = (0..MARGIN_CHARS + MIDDLE_CHARS + MARGIN_CHARS).map(|_| char::from(*random.pick(BASE32))).collect();
            if self.insert_all_or_none(&text) {
                break;
            }
        }
        text
    }

    fn insert_all_or_none(&mut self, text: &str) -> bool {
        let stored = match self.place {
            MarkerPlace::BinaryContent => BASE64_STANDARD.encode(text),
            _ => text.to_owned(),
        };
        let windows: Vec<[u8; 4]> = stored.as_bytes().array_windows::<4>().copied().collect();
        let distinct: HashSet<[u8; 4]> = windows.iter().copied().collect();
        let is_fresh = distinct.len() == windows.len() && distinct.is_disjoint(&self.windows);
        if is_fresh {
            self.windows.extend(distinct);
        }
        is_fresh
    }
}

/// Base64 of a text in which every marker begins at a multiple of three bytes, so that its needle survives.
pub(super) fn encode_with_markers<'a>(prose: &str, markers: impl Iterator<Item = &'a Marker>) -> String {
    let mut text = prose.to_owned();
    for marker in markers {
        text.push('\n');
        while !text.len().is_multiple_of(3) {
            text.push(' ');
        }
        text.push_str(&marker.text);
    }
    BASE64_STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_a_document_holds_the_base64_of_its_markers() {
        let markers = Marker::series(3, 50);
        for prose in ["", "a", "ab", "abc"] {
            let encoded = encode_with_markers(prose, markers.iter());
            assert!(markers.iter().all(|marker| encoded.contains(&marker.needles()[1])), "{prose}");
        }
    }

    #[test]
    fn markers_differ_within_and_between_series() {
        let mut needles: Vec<_> =
            Marker::series(1, 1_000).iter().chain(&Marker::series(2, 1_000)).map(|m| m.needles()[0].clone()).collect();
        needles.sort();
        needles.dedup();
        assert_eq!(needles.len(), 2_000);
    }
}
