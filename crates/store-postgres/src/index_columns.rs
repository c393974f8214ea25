//! The columns of a version that are arrays of bytes: its index values and its words, which searches read, and the targets of a Provenance.

use std::error::Error as AnyError;

use lethe_fhir::{LocalReference, ResourceType};
use lethe_search::{DistinctWords, IndexValues, PathId, ProvenanceTarget};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, private::BytesMut, to_sql_checked};

use crate::columns::IdColumn;

type Written = Result<IsNull, Box<dyn AnyError + Sync + Send>>;

/// The index values of a version: each behind the two bytes of its path, so that they are in the order of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexValuesColumn(pub IndexValues);

/// A value as an element of the column.
pub(crate) fn element(path: PathId, value: &[u8]) -> Vec<u8> {
    [&path.0.to_be_bytes(), value].concat()
}

impl ToSql for IndexValuesColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        self.0.iter().map(|(path, value)| element(path, value)).collect::<Vec<_>>().to_sql(r#type, out)
    }

    accepts!(BYTEA_ARRAY);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for IndexValuesColumn {
    fn from_sql(r#type: &Type, stored: &'a [u8]) -> Result<Self, Box<dyn AnyError + Sync + Send>> {
        let mut written = Vec::with_capacity(stored.len());
        for element in Vec::<&[u8]>::from_sql(r#type, stored)? {
            let (path, value) = element.split_first_chunk::<2>().ok_or("an index value without a path")?;
            written.extend_from_slice(path);
            written.extend_from_slice(&u16::try_from(value.len())?.to_be_bytes());
            written.extend_from_slice(value);
        }
        Ok(Self(IndexValues::from_stored(written)))
    }

    accepts!(BYTEA_ARRAY);
}

/// The words of a version: all of them, and those of its narrative once more behind a space, which no word has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WordsColumn(pub DistinctWords);

/// A word of a narrative as an element of the column.
pub(crate) fn of_narrative(word: &[u8]) -> Vec<u8> {
    [b" ", word].concat()
}

impl ToSql for WordsColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        let narrative = self.0.narrative.iter().map(|word| of_narrative(word));
        narrative.chain(self.0.everything.iter().cloned()).collect::<Vec<_>>().to_sql(r#type, out)
    }

    accepts!(BYTEA_ARRAY);
    to_sql_checked!();
}

/// The targets of a Provenance: each as the code of its type and its id, or as [`FOREIGN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetsColumn(pub Vec<ProvenanceTarget>);

/// All targets that no purge here removes; no type has this code.
const FOREIGN: &[u8] = &[0];

/// A target as an element of the column, from its stored id.
pub(crate) fn target_element(type_code: u8, id: &[u8]) -> Vec<u8> {
    [&[type_code], id].concat()
}

impl ToSql for TargetsColumn {
    fn to_sql(&self, r#type: &Type, out: &mut BytesMut) -> Written {
        let element = |target: &ProvenanceTarget| match target {
            ProvenanceTarget::Local(local) => target_element(local.resource_type.code(), &IdColumn(local.id.clone()).bytes()),
            ProvenanceTarget::Foreign => FOREIGN.to_vec(),
        };
        self.0.iter().map(element).collect::<Vec<_>>().to_sql(r#type, out)
    }

    accepts!(BYTEA_ARRAY);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for TargetsColumn {
    fn from_sql(r#type: &Type, stored: &'a [u8]) -> Result<Self, Box<dyn AnyError + Sync + Send>> {
        let target = |element: &[u8]| {
            if element == FOREIGN {
                return Ok(ProvenanceTarget::Foreign);
            }
            let (code, id) = element.split_first().ok_or("a target without a type")?;
            let resource_type = ResourceType::from_code(*code).ok_or_else(|| format!("no resource type has the code {code}"))?;
            Ok(ProvenanceTarget::Local(LocalReference { resource_type, id: IdColumn::from_sql(&Type::BYTEA, id)?.0 }))
        };
        Vec::<&[u8]>::from_sql(r#type, stored)?.into_iter().map(target).collect::<Result<_, _>>().map(Self)
    }

    accepts!(BYTEA_ARRAY);
}

#[cfg(test)]
mod tests {
    use lethe_search::IndexValue;

    use super::*;

    #[test]
    fn index_values_come_back_as_they_were() {
        let entry = |path: u16, value: &[u8]| IndexValue { path: PathId(path), value: value.to_vec() };
        for values in [vec![], vec![entry(4, b"x"), entry(4, b""), entry(300, &[0, 255])]] {
            let (column, mut out) = (IndexValuesColumn(IndexValues::of(values)), BytesMut::new());
            assert!(matches!(column.to_sql(&Type::BYTEA_ARRAY, &mut out), Ok(IsNull::No)));
            assert_eq!(IndexValuesColumn::from_sql(&Type::BYTEA_ARRAY, &out).unwrap(), column);
        }
    }

    #[test]
    fn targets_come_back_as_they_were_and_damaged_ones_are_an_error() {
        let target = |id: &str| ProvenanceTarget::Local(LocalReference { resource_type: ResourceType::PATIENT, id: id.parse().unwrap() });
        for targets in [vec![], vec![target("a"), ProvenanceTarget::Foreign, target("0190b6b2-6a3e-7000-8000-000000000001")]] {
            let (column, mut out) = (TargetsColumn(targets), BytesMut::new());
            assert!(matches!(column.to_sql(&Type::BYTEA_ARRAY, &mut out), Ok(IsNull::No)));
            assert_eq!(TargetsColumn::from_sql(&Type::BYTEA_ARRAY, &out).unwrap(), column);
        }
        for damaged in [&b""[..], &[255, b'a'], &[ResourceType::PATIENT.code()], &[ResourceType::PATIENT.code(), b'/']] {
            let mut out = BytesMut::new();
            assert!(matches!(vec![damaged].to_sql(&Type::BYTEA_ARRAY, &mut out), Ok(IsNull::No)));
            assert!(TargetsColumn::from_sql(&Type::BYTEA_ARRAY, &out).is_err(), "{damaged:?}");
        }
    }
}
