//! How the words of the ports are written into columns and read back. What this version does not know is an error (INV-9).

use std::error::Error as AnyError;

use lethe_fhir::{Body, Instant, LogicalId, ResourceType, limits};
use lethe_purge::Seq;
use lethe_store::{ChangeKind, StoreError};
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, accepts, private::BytesMut, to_sql_checked},
};
use uuid::Uuid;

use crate::error::Result;

type Written = std::result::Result<IsNull, Box<dyn AnyError + Sync + Send>>;
type Read<T> = std::result::Result<T, Box<dyn AnyError + Sync + Send>>;

/// First byte of a logical id that is kept as a UUID: greater than any that a text can begin with, so that texts come first, as in SQLite.
const UUID_MARK: u8 = 0xFF;

/// A logical id: a mark and 16 bytes if it is a lower-case UUID, else its text. Lossless, and half the size for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdColumn(pub LogicalId);

impl IdColumn {
    /// As it is stored.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let text = self.0.as_str();
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => [&[UUID_MARK], uuid.as_bytes().as_slice()].concat(),
            _ => text.as_bytes().to_vec(),
        }
    }
}

impl ToSql for IdColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        self.bytes().to_sql(r#type, out)
    }

    accepts!(BYTEA);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for IdColumn {
    fn from_sql(_: &Type, stored: &'a [u8]) -> Read<Self> {
        match stored.split_first() {
            Some((&UUID_MARK, uuid)) => Ok(Self(Uuid::from_slice(uuid)?.into())),
            _ => Ok(Self(std::str::from_utf8(stored)?.parse()?)),
        }
    }

    accepts!(BYTEA);
}

/// A resource type by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeColumn(pub ResourceType);

impl ToSql for TypeColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        i16::from(self.0.code()).to_sql(r#type, out)
    }

    accepts!(INT2);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for TypeColumn {
    fn from_sql(r#type: &Type, stored: &'a [u8]) -> Read<Self> {
        let code = i16::from_sql(r#type, stored)?;
        let known = u8::try_from(code).ok().and_then(ResourceType::from_code);
        known.map(Self).ok_or_else(|| format!("no resource type has the code {code}").into())
    }

    accepts!(INT2);
}

/// A place in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeqColumn(pub Seq);

impl ToSql for SeqColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        i64::try_from(self.0.0)?.to_sql(r#type, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for SeqColumn {
    fn from_sql(r#type: &Type, stored: &'a [u8]) -> Read<Self> {
        Ok(Self(Seq(u64::try_from(i64::from_sql(r#type, stored)?)?)))
    }

    accepts!(INT8);
}

/// A number that is never negative: a count, a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberColumn(pub u64);

impl ToSql for NumberColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        i64::try_from(self.0)?.to_sql(r#type, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for NumberColumn {
    fn from_sql(r#type: &Type, stored: &'a [u8]) -> Read<Self> {
        Ok(Self(u64::try_from(i64::from_sql(r#type, stored)?)?))
    }

    accepts!(INT8);
}

/// Reads a number that is never negative.
pub(crate) fn number(row: &Row, column: usize) -> Result<u64> {
    Ok(row.try_get::<_, NumberColumn>(column)?.0)
}

/// Reads a number that is small: how often something was tried.
pub(crate) fn small_number(row: &Row, column: usize) -> Result<u32> {
    let stored = number(row, column)?;
    Ok(u32::try_from(stored).map_err(|_| StoreError::NotUnderstood(format!("column {column}: {stored}")))?)
}

/// Reads a place.
pub(crate) fn seq(row: &Row, column: usize) -> Result<Seq> {
    Ok(row.try_get::<_, SeqColumn>(column)?.0)
}

/// A limit of a list, as PostgreSQL takes it.
pub(crate) fn at_most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// An instant in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstantColumn(pub Instant);

impl ToSql for InstantColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        self.0.as_unix_ms().to_sql(r#type, out)
    }

    accepts!(INT8);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for InstantColumn {
    fn from_sql(r#type: &Type, stored: &'a [u8]) -> Read<Self> {
        Ok(Self(Instant::from_unix_ms(i64::from_sql(r#type, stored)?)))
    }

    accepts!(INT8);
}

/// Code of a FHIR delete in `version.kind`.
pub(crate) const KIND_DELETE: i16 = 3;

pub(crate) fn kind_code(kind: ChangeKind) -> i16 {
    match kind {
        ChangeKind::Create => 1,
        ChangeKind::Update => 2,
        ChangeKind::Delete => KIND_DELETE,
    }
}

pub(crate) fn kind_from_code(code: i16) -> std::result::Result<ChangeKind, StoreError> {
    match code {
        1 => Ok(ChangeKind::Create),
        2 => Ok(ChangeKind::Update),
        KIND_DELETE => Ok(ChangeKind::Delete),
        _ => Err(StoreError::NotUnderstood(format!("version.kind = {code}"))),
    }
}

/// First byte of a stored body: how the rest is written.
const BODY_PLAIN: u8 = 0;
/// LZ4 block with its length in front. LZ4 keeps text that does not repeat as it is, so a plain byte search of the database file can
/// prove that something is there, and that it is gone (docs/adr/0005).
const BODY_LZ4: u8 = 1;

pub(crate) fn encode_body(body: &Body) -> Vec<u8> {
    let plain = body.as_bytes();
    let packed = lz4_flex::compress_prepend_size(plain);
    let (form, bytes) = if packed.len() < plain.len() { (BODY_LZ4, packed.as_slice()) } else { (BODY_PLAIN, plain) };
    let mut stored = Vec::with_capacity(bytes.len() + 1);
    stored.push(form);
    stored.extend_from_slice(bytes);
    stored
}

/// What is wrong with a body that cannot be read is said without anything of it.
pub(crate) fn decode_body(stored: &[u8]) -> std::result::Result<Body, &'static str> {
    match stored.split_first() {
        Some((&BODY_PLAIN, plain)) => Ok(Body::from_stored(plain.to_vec())),
        Some((&BODY_LZ4, packed)) => {
            let length = packed.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize).unwrap_or(usize::MAX);
            if length > limits::RESOURCE_BYTES_MAX * 2 {
                return Err("its length cannot be");
            }
            lz4_flex::decompress_size_prepended(packed).map(Body::from_stored).map_err(|_| "it cannot be unpacked")
        }
        _ => Err("it has no form that is known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_and_texts_come_before_uuids() {
        let mut all = Vec::new();
        for (id, is_packed) in [
            ("0190a6e2-7c1b-7000-8000-00000000abcd", true),
            ("0190A6E2-7C1B-7000-8000-00000000ABCD", false),
            ("0190a6e27c1b70008000000000000000", false),
            ("p1", false),
            ("zzzzzzzzzzzzzzzz", false),
        ] {
            let column = IdColumn(id.parse().unwrap());
            let stored = column.bytes();
            assert_eq!(stored.len() == 17, is_packed, "{id}");
            assert_eq!(IdColumn::from_sql(&Type::BYTEA, &stored).unwrap(), column);
            all.push((stored, is_packed));
        }
        all.sort();
        assert!(all.is_sorted_by_key(|(_, is_packed)| *is_packed), "texts first");
    }

    #[test]
    fn bodies_come_back_and_damage_is_an_error() {
        for text in ["}}".to_owned(), format!(",\"text\":\"{}\"}}", "abc ".repeat(1_000))] {
            let body = Body::from_stored(text.into_bytes());
            let stored = encode_body(&body);
            assert!(stored.len() <= body.as_bytes().len() + 1);
            assert_eq!(decode_body(&stored).unwrap(), body);
        }
        for damaged in [&[][..], &[7, 1], &[BODY_LZ4, 1], &[BODY_LZ4, 255, 255, 255, 255, 0], &[BODY_LZ4, 9, 0, 0, 0, 0xf0]] {
            assert!(decode_body(damaged).is_err(), "{damaged:?}");
        }
    }
}
