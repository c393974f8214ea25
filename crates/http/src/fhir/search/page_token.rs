//! The opaque, signed places at which the next pages of a search begin.
//!
//! A token is bound to the caller's scope, the path and the parameters: it continues the search for which it was given, and no other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lethe_auth::{AccountId, Scope, SecretKey};
use lethe_fhir::IssueType;
use lethe_purge::Seq;
use lethe_store::SearchPlace;

use crate::error::ApiError;

/// Number of the form of tokens. Others are refused: a link is followed soon, or the search is done again.
const FORM: u8 = 1;

/// Bytes of the signature: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// Bytes of the longest token that is read.
const TOKEN_BYTES_MAX: usize = 8_192;

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageStart {
    /// The stage whose turn it is: the place of a type among those searched.
    pub stage: usize,
    /// Behind this place in it; none: with its first.
    pub after: Option<SearchPlace>,
    /// The newest version that existed when the first page was made.
    pub newest: Seq,
    /// The total that the first page told.
    pub total: Option<u64>,
}

/// What a token is bound to.
pub struct Binding(Vec<u8>);

impl Binding {
    /// To a scope, a path, and parameters other than the page.
    pub fn of(scope: &Scope, path: &str, pairs: &[(String, String)]) -> Self {
        let account_id = scope.account_id().map_or_else(|| "client".to_owned(), |account_id| account_id.to_string());
        let mut bytes = Vec::new();
        let mut push = |text: &str| {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        push(&scope.client_id().0);
        push(&account_id);
        push(path);
        for (name, value) in pairs.iter().filter(|(name, _)| !matches!(name.as_str(), "_page" | "_format" | "_pretty")) {
            push(name);
            push(value);
        }
        Self(bytes)
    }

    fn signature(&self, secrets: &SecretKey, payload: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = (payload.len() as u64).to_be_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(&self.0);
        let whole = secrets.sign(&bytes).0;
        std::array::from_fn(|at| whole[at])
    }

    /// The token of a place.
    pub fn seal(&self, secrets: &SecretKey, start: &PageStart) -> String {
        let mut token = start.encode();
        token.extend_from_slice(&self.signature(secrets, &token));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The place of a token.
    ///
    /// # Errors
    /// 400 for what this server did not give, or gave for another search or caller.
    pub fn open(&self, secrets: &SecretKey, token: &str) -> Result<PageStart, ApiError> {
        self.verified(secrets, token).ok_or_else(|| {
            let text = "'_page' is not one that this server gave for this search: follow the 'next' link as it stands, or search anew";
            ApiError::bad(IssueType::Value, text)
        })
    }

    fn verified(&self, secrets: &SecretKey, token: &str) -> Option<PageStart> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (payload, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        // OK to compare byte by byte: all bytes are looked at, whichever differ.
        let differing = self.signature(secrets, payload).iter().zip(signature).fold(0, |all, (own, sent)| all | (own ^ sent));
        if differing == 0 { PageStart::decode(payload) } else { None }
    }
}

impl PageStart {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(&(self.stage as u64).to_be_bytes());
        bytes.extend_from_slice(&self.newest.0.to_be_bytes());
        bytes.extend_from_slice(&self.total.map_or(u64::MAX, |total| total.min(u64::MAX - 1)).to_be_bytes());
        if let Some(place) = &self.after {
            bytes.extend_from_slice(&place.account_id.0.to_be_bytes());
            bytes.extend_from_slice(&place.seq.0.to_be_bytes());
            for key in &place.keys {
                // A length that no key has stands for a key without value.
                let length = key.as_ref().map_or(u32::MAX, |key| key.len() as u32);
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(key.as_deref().unwrap_or_default());
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.take::<1>()? != [FORM] {
            return None;
        }
        let stage = usize::try_from(u64::from_be_bytes(reader.take()?)).ok()?;
        let newest = Seq(u64::from_be_bytes(reader.take()?));
        let total = Some(u64::from_be_bytes(reader.take()?)).filter(|total| *total != u64::MAX);
        if reader.0.is_empty() {
            return Some(Self { stage, after: None, newest, total });
        }
        let account_id = AccountId(i64::from_be_bytes(reader.take()?));
        let seq = Seq(u64::from_be_bytes(reader.take()?));
        let mut keys = Vec::new();
        while !reader.0.is_empty() {
            let length = u32::from_be_bytes(reader.take()?);
            keys.push(if length == u32::MAX { None } else { Some(reader.slice(length as usize)?.to_vec()) });
        }
        Some(Self { stage, after: Some(SearchPlace { keys, account_id, seq }), newest, total })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use lethe_auth::ClientId;

    use super::*;

    fn scope(account_id: i64) -> Scope {
        Scope::Account { client_id: ClientId("c1".to_owned()), account_id: AccountId(account_id) }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn starts() -> Vec<PageStart> {
        let place = |keys| Some(SearchPlace { keys, account_id: AccountId(251), seq: Seq(99_000) });
        [None, place(vec![]), place(vec![Some(b"smith".to_vec()), None, Some(Vec::new())])]
            .into_iter()
            .map(|after| PageStart { stage: 3, after, newest: Seq(7), total: Some(12) })
            .chain([PageStart { stage: 0, after: None, newest: Seq(0), total: None }])
            .collect()
    }

    #[test]
    fn a_place_comes_back_to_the_search_that_it_was_given_for() {
        let key = SecretKey::new([1; 32]);
        for start in starts() {
            let given = pairs(&[("name", "x"), ("_page", "old"), ("_pretty", "true")]);
            let token = Binding::of(&scope(1), "/r4/Patient", &given).seal(&key, &start);
            let again = Binding::of(&scope(1), "/r4/Patient", &pairs(&[("name", "x"), ("_page", &token)]));
            assert_eq!(again.open(&key, &token).ok(), Some(start));
        }
    }

    #[test]
    fn another_search_caller_or_key_refuses_it() {
        let key = SecretKey::new([1; 32]);
        let start = &starts()[2];
        let token = Binding::of(&scope(1), "/r4/Patient", &pairs(&[("name", "x")])).seal(&key, start);
        let client = Scope::Client { client_id: ClientId("c1".to_owned()) };
        for (scope, path, given) in [
            (scope(2), "/r4/Patient", &[("name", "x")][..]),
            (client, "/r4/Patient", &[("name", "x")]),
            (scope(1), "/r4/Person", &[("name", "x")]),
            (scope(1), "/r4/Patient", &[("name", "y")]),
            (scope(1), "/r4/Patient", &[]),
            (scope(1), "/r4/Patient", &[("name", "x"), ("name", "x")]),
        ] {
            assert!(Binding::of(&scope, path, &pairs(given)).open(&key, &token).is_err(), "{path} {given:?}");
        }
        assert!(Binding::of(&scope(1), "/r4/Patient", &pairs(&[("name", "x")])).open(&SecretKey::new([2; 32]), &token).is_err());
    }

    #[test]
    fn every_change_of_a_token_is_noticed() {
        let key = SecretKey::new([1; 32]);
        let binding = Binding::of(&scope(1), "/r4/Patient", &[]);
        let token = binding.seal(&key, &starts()[2]);
        assert!(binding.open(&key, &token).is_ok(), "the control");
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(binding.open(&key, &URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {at}");
        }
        let long = "A".repeat(100_000);
        for bad in ["", "h7", "l1.2", "ä", &token[1..], &token[..token.len() - 2], long.as_str()] {
            assert!(binding.open(&key, bad).is_err(), "{bad}");
        }
    }
}
