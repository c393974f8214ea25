//! What can be wrong.

use thiserror::Error;

use crate::document::FORMAT;

use super::CERTIFICATE_BYTES_MAX;

/// One fault. The text says what is wrong, and what it may mean.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// It ends in the middle.
    #[error("it is truncated: the end of it is missing")]
    Truncated,
    /// Over [`CERTIFICATE_BYTES_MAX`].
    #[error("it has {0} bytes, and no certificate has more than {CERTIFICATE_BYTES_MAX}")]
    TooLarge(usize),
    /// There is nothing in the file.
    #[error("there is no certificate in it")]
    Empty,
    /// Something else.
    #[error("this is no certificate: {0}")]
    NotACertificate(String),
    /// The protected header cannot be read.
    #[error("the protected header was changed: it cannot be read")]
    HeaderUnreadable,
    /// Another algorithm.
    #[error("it says that it is signed with '{0}'; certificates are signed with EdDSA, and nothing else is believed")]
    Algorithm(String),
    /// A JWS of another kind.
    #[error("it is signed, but as '{0}', which is no certificate")]
    OtherType(String),
    /// None of the keys.
    #[error("its key '{0}' is not among the given keys: it is another server's, or forged, or the set of keys is out of date")]
    UnknownKey(String),
    /// The signature is no signature.
    #[error("the signature was changed: it cannot be read")]
    SignatureUnreadable,
    /// The signature is another's, or of something else.
    #[error("the signature is wrong: what is signed with the key '{0}' is not what stands here; it was changed or forged")]
    SignatureWrong(String),
    /// Signed, but of another version.
    #[error("it is signed, and has the format '{0}'; this version reads {FORMAT}")]
    UnknownFormat(String),
    /// Signed, but not as this version knows it.
    #[error("it is signed, but its content is not understood: {0}")]
    NotUnderstood(String),
    /// The copy for reading says something else than what is signed.
    #[error("the readable copy differs from what is signed, at {0}: believe what is signed")]
    CopyDiffers(String),
    /// Signed outside the time of its key.
    #[error("it was made at {issued_on}, when its key was not in use ({from} to {until})")]
    KeyNotInUse {
        /// When it says it was made.
        issued_on: String,
        /// Since when the key signs.
        from: String,
        /// Until when it did.
        until: String,
    },
    /// INV-4 does not hold for a type, or for the sum.
    #[error("the counts of {of} do not add up: {planned} planned, but {settled} deleted, spared, held or failed")]
    CountsDoNotAddUp {
        /// A type, or `the job`.
        of: String,
        /// Planned.
        planned: u64,
        /// With an outcome.
        settled: String,
    },
    /// The total is not the sum of the types.
    #[error("the total is not the sum of the types")]
    TotalDiffers,
    /// Fewer versions than resources.
    #[error("{of}: {versions} versions deleted of {deleted} resources, and each has at least one")]
    TooFewVersions {
        /// A type.
        of: String,
        /// Versions.
        versions: u64,
        /// Resources.
        deleted: u64,
    },
    /// The tree has another number of resources than were deleted.
    #[error("{deleted} resources deleted, but {in_tree} in the tree of deleted names")]
    TreeDiffers {
        /// By the counts.
        deleted: u64,
        /// By the tree.
        in_tree: u64,
    },
    /// It calls itself successful and contradicts itself.
    #[error("it says successful, but {0}")]
    NotSuccessful(String),
    /// A first certificate with a predecessor, or another without one.
    #[error("number {0}: the first of a chain, and only the first, has no certificate before it")]
    WrongBeginning(u64),
    /// It replaces one that came later.
    #[error("number {number}: it replaces number {replaces}, which was not before it")]
    ReplacesLater {
        /// Its number.
        number: u64,
        /// The other.
        replaces: u64,
    },
    /// Of another store than the others.
    #[error("number {number}: it belongs to store {store}, the others to store {expected}")]
    ForeignStore {
        /// Its number.
        number: u64,
        /// Its store.
        store: String,
        /// Theirs.
        expected: String,
    },
    /// After one with a higher number.
    #[error("number {number} stands after number {after}: the order was changed")]
    OutOfOrder {
        /// Its number.
        number: u64,
        /// The one before it in the file.
        after: u64,
    },
    /// The same twice.
    #[error("number {0} is there twice")]
    Twice(u64),
    /// Two of one number.
    #[error("there are two different certificates of number {0}: the chain forks there; an older copy of the store went on beside it")]
    Fork(u64),
    /// Numbers that are not there.
    #[error("numbers {from} to {to} are missing")]
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Its predecessor is not the one that it names.
    #[error("the chain is broken at number {0}: the certificate before it is not the one that it names")]
    ChainBroken(u64),
}
