//! What a purge would remove, told before it is started; and a digest by which a kick-off is held to it.

use std::{fmt, str::FromStr};

use lethe_fhir::ResourceType;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{PurgeLevel, Selection, Seq};

/// Numbers of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreviewCounts {
    /// Resources that are selected, on hold or not; and, of Provenance and Binary, those that go along.
    pub planned: u64,
    /// Of these: on hold, and therefore left alone.
    pub held: u64,
    /// Of these: not selected; they go along.
    pub along: u64,
    /// Versions that would go.
    pub versions: u64,
    /// Stored bytes of their content.
    pub bytes: u64,
}

impl PreviewCounts {
    /// Resources that would go.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.planned - self.held
    }
}

/// What stays though somebody might expect it to go, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stays {
    /// Resources of the selected types that were not last updated before the cut-off.
    pub not_before: u64,
    /// Resources that were deleted the FHIR way, and whose history stays, since it was not asked for.
    pub deleted: u64,
    /// Provenances of something that goes that are also about something that stays.
    pub needed_provenance: u64,
    /// Binaries to which something that goes refers, and also something that stays.
    pub needed_binary: u64,
}

/// A fingerprint of what a purge would remove: it differs if anything of that differs, in which resources, how many versions or how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviewDigest([u8; 32]);

/// The text is no digest of a preview.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("it is not the digest of a preview: that has 64 characters, 0-9 and a-f")]
pub struct NotADigest;

impl fmt::Display for PreviewDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PreviewDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_digest {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

/// Makes a [`PreviewDigest`] of what goes, told in order. Holds no more of it than a hash does.
///
/// Places in the order of commits stand for the resources: whatever changes a resource gives it another. They name nobody.
#[derive(Clone)]
pub struct PreviewHasher(Sha256);

impl PreviewHasher {
    /// For a purge of these accounts by this selection.
    #[must_use]
    pub fn new(selection: &Selection) -> Self {
        let mut hasher = Self(Sha256::new());
        let mut types: Option<Vec<u8>> =
            selection.types.as_ref().map(|types| types.iter().map(|resource_type| resource_type.code()).collect());
        if let Some(types) = &mut types {
            // The order in which types are named selects nothing.
            types.sort_unstable();
        }
        hasher.0.update([1, u8::from(types.is_some())]);
        hasher.number(types.as_ref().map_or(0, Vec::len) as u64);
        hasher.0.update(types.unwrap_or_default());
        hasher.0.update([u8::from(selection.before.is_some()), u8::from(selection.include_deleted)]);
        hasher.number(selection.before.map_or(0, |before| before.as_unix_ms().cast_unsigned()));
        hasher.listed(selection);
        hasher
    }

    /// Whose resources, and which types have conditions. The patient, the Group and the conditions themselves are not told: what they select is.
    fn listed(&mut self, selection: &Selection) {
        let mut filtered: Vec<u8> = selection.filtered_types.iter().map(|resource_type| resource_type.code()).collect();
        filtered.sort_unstable();
        filtered.dedup();
        if selection.level == PurgeLevel::System && filtered.is_empty() {
            return;
        }
        self.0.update([4, selection.level as u8]);
        self.number(filtered.len() as u64);
        self.0.update(filtered);
    }

    /// Some resources of one account and type follow, with so many versions and bytes in all.
    pub fn part(&mut self, account: i64, resource_type: ResourceType, versions: u64, bytes: u64) {
        self.0.update([2, resource_type.code()]);
        self.number(account.cast_unsigned());
        self.number(versions);
        self.number(bytes);
    }

    /// One resource of the part, by the place of its current version.
    pub fn resource(&mut self, seq: Seq) {
        self.0.update([3]);
        self.number(seq.0);
    }

    /// The digest of all that was told.
    #[must_use]
    pub fn finish(self) -> PreviewDigest {
        PreviewDigest(self.0.finalize().into())
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use lethe_fhir::Instant;

    use super::*;

    fn digest(selection: &Selection, parts: &[(i64, ResourceType, u64, u64, &[u64])]) -> PreviewDigest {
        let mut hasher = PreviewHasher::new(selection);
        for (account, resource_type, versions, bytes, seqs) in parts {
            hasher.part(*account, *resource_type, *versions, *bytes);
            seqs.iter().for_each(|seq| hasher.resource(Seq(*seq)));
        }
        hasher.finish()
    }

    #[test]
    fn whatever_differs_shows() {
        let (binary, patient) = (ResourceType::BINARY, ResourceType::PATIENT);
        let all = Selection::default();
        let named = |types: &[ResourceType]| Selection { types: Some(types.to_vec()), ..all.clone() };
        let digests = [
            digest(&all, &[]),
            digest(&all, &[(1, binary, 2, 9, &[3, 4])]),
            digest(&all, &[(1, binary, 2, 9, &[3, 5])]),
            digest(&all, &[(1, binary, 2, 9, &[3])]),
            digest(&all, &[(1, binary, 3, 9, &[3, 4])]),
            digest(&all, &[(1, binary, 2, 8, &[3, 4])]),
            digest(&all, &[(1, patient, 2, 9, &[3, 4])]),
            digest(&all, &[(2, binary, 2, 9, &[3, 4])]),
            digest(&named(&[]), &[]),
            digest(&named(&[binary]), &[]),
            digest(&named(&[binary, patient]), &[]),
            digest(&Selection { include_deleted: true, ..all.clone() }, &[]),
            digest(&Selection { before: Some(Instant::from_unix_ms(0)), ..all.clone() }, &[]),
            digest(&Selection { filtered_types: vec![binary], ..all.clone() }, &[]),
            digest(&Selection { filtered_types: vec![patient], ..all.clone() }, &[]),
            digest(&Selection { level: PurgeLevel::Patient, ..all.clone() }, &[]),
            digest(&Selection { level: PurgeLevel::Group, ..all.clone() }, &[]),
        ];
        for (one, first) in digests.iter().enumerate() {
            for (other, second) in digests.iter().enumerate() {
                assert_eq!(one == other, first == second, "{one} {other}");
            }
        }
        assert_eq!(digest(&named(&[patient, binary]), &[]), digests[10], "their order says nothing");
    }

    #[test]
    fn a_digest_is_read_back_and_nothing_else_is() {
        let digest = digest(&Selection::default(), &[]);
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        for other in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(other.parse::<PreviewDigest>(), Err(NotADigest), "{other}");
        }
    }
}
