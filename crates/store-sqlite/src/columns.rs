//! How the words of the ports are written into columns and read back. What this version does not know is an error (INV-9).

use lethe_fhir::{Body, Instant, LogicalId, ResourceType, limits};
use lethe_purge::Seq;
use lethe_store::{ChangeKind, StoreError};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Value, ValueRef},
};
use uuid::Uuid;

/// A logical id: 16 bytes if it is a lower-case UUID, else text. Lossless, and half the size for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdColumn(pub LogicalId);

impl ToSql for IdColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = self.0.as_str();
        Ok(match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => ToSqlOutput::Owned(Value::Blob(uuid.as_bytes().to_vec())),
            _ => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl FromSql for IdColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(|uuid| Self(uuid.into())).map_err(|_| FromSqlError::InvalidType),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|_| FromSqlError::InvalidType)?;
                text.parse().map(Self).map_err(|_| FromSqlError::InvalidType)
            }
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// A resource type by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeColumn(pub ResourceType);

impl ToSql for TypeColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.code()))
    }
}

impl FromSql for TypeColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let code = u8::column_result(value)?;
        ResourceType::from_code(code).map(Self).ok_or(FromSqlError::OutOfRange(i64::from(code)))
    }
}

/// A place in the order of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeqColumn(pub Seq);

impl ToSql for SeqColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        i64::try_from(self.0.0).map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl FromSql for SeqColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u64::column_result(value).map(|seq| Self(Seq(seq)))
    }
}

/// An instant in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstantColumn(pub Instant);

impl ToSql for InstantColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_unix_ms()))
    }
}

impl FromSql for InstantColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|unix_ms| Self(Instant::from_unix_ms(unix_ms)))
    }
}

/// Code of a FHIR delete in `version.kind`.
pub(crate) const KIND_DELETE: u8 = 3;

pub(crate) fn kind_code(kind: ChangeKind) -> u8 {
    match kind {
        ChangeKind::Create => 1,
        ChangeKind::Update => 2,
        ChangeKind::Delete => KIND_DELETE,
    }
}

pub(crate) fn kind_from_code(code: u8) -> Result<ChangeKind, StoreError> {
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
pub(crate) fn decode_body(stored: &[u8]) -> Result<Body, &'static str> {
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
    fn ids_come_back_as_they_were_and_uuids_take_sixteen_bytes() {
        for (id, is_packed) in [
            ("0190a6e2-7c1b-7000-8000-00000000abcd", true),
            ("0190A6E2-7C1B-7000-8000-00000000ABCD", false),
            ("0190a6e27c1b70008000000000000000", false),
            ("p1", false),
        ] {
            let column = IdColumn(id.parse().unwrap());
            let stored = match column.to_sql().unwrap() {
                ToSqlOutput::Owned(value) => value,
                ToSqlOutput::Borrowed(value) => value.try_into().unwrap(),
                _ => panic!("another form"),
            };
            assert_eq!(matches!(stored, Value::Blob(_)), is_packed, "{id}");
            assert_eq!(IdColumn::column_result(ValueRef::from(&stored)).unwrap(), column);
        }
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

    #[test]
    fn what_does_not_repeat_is_found_in_a_stored_body() {
        let marker = "QZ7RK3MWXP5TNVHB29LD";
        let body =
            Body::from_stored(format!(",\"text\":{{\"div\":\"<div>{marker}</div>\"}},\"name\":\"{}\"}}", "x".repeat(500)).into_bytes());
        let stored = encode_body(&body);
        assert_eq!(stored[0], BODY_LZ4);
        assert!(stored.windows(marker.len()).any(|window| window == marker.as_bytes()));
    }
}
