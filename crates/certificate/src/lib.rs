//! Certificates of purges: what they say, how they are signed and chained, and what can be wrong with one.
//!
//! - [`document`]: the certificate, field by field (docs/certificate.md maps them to HL7's and NIST's).
//! - [`digest`], [`tree`], [`proof`]: whoever knows an id can check that it was among the deleted; nobody else learns one.
//! - [`jws`], [`keys`]: signatures, and the public keys with which they are verified.
//! - [`issue`]: from what a store knows to a signed certificate.
//! - [`verify`]: every fault by its name, without a server.
//!
//! No input or output, no clock, no randomness: key bytes and times are handed in.

pub mod digest;
pub mod document;
pub mod issue;
pub mod jws;
pub mod keys;
pub mod proof;
pub mod tree;
pub mod verify;

mod text;
