//! How PostgreSQL says what SQL has no word for: over the arrays that stand beside a version's body (`version.index_values`, `version.words`), with a
//! few functions of the schema.
//!
//! An element of `index_values` is the two bytes of a path and a value behind them, so that a range of values of a path is a range of bytes.

use lethe_fhir::ResourceType;
use lethe_search::{Facet, PathId, SortPath, SortWidth, Span, SpanEnd, ValueCheck, WordPlace, after_prefix, value};
use lethe_search_sql::{Builder, Dialect, Index, Joins, Param};

use crate::{
    index_columns::{element, of_narrative},
    index_keys::{head, keys_for},
};

/// PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Postgres;

/// The value of an element, which its path stands before.
fn value_of(element: &str) -> String {
    format!("substr({element}, 3)")
}

/// Where the value begins in an element, counted from 0.
const VALUE_AT: usize = 2;

impl Postgres {
    /// That an element begins with `prefix`.
    fn begins(builder: &mut Builder<'_, Self>, name: &str, prefix: Vec<u8>) -> String {
        let after = after_prefix(&prefix);
        let low = builder.bind(Param::Bytes(prefix));
        match after {
            Some(after) => format!("({name} >= {low} and {name} < {})", builder.bind(Param::Bytes(after))),
            None => format!("{name} >= {low}"),
        }
    }

    /// That an element lies in a span.
    fn in_span(builder: &mut Builder<'_, Self>, name: &str, span: &Span) -> String {
        let low = builder.bind(Param::Bytes(element(span.path, &span.low)));
        let end = match &span.end {
            SpanEnd::Single => None,
            SpanEnd::Before(end) => Some(element(span.path, end)),
            // OK because no path has the greatest number there is.
            SpanEnd::Open => after_prefix(&span.path.0.to_be_bytes()),
        };
        let mut rule = match end {
            Some(end) => format!("{name} >= {low} and {name} < {}", builder.bind(Param::Bytes(end))),
            None => format!("{name} = {low}"),
        };
        for check in &span.checks {
            rule.push_str(" and ");
            rule.push_str(&Self::passes_one(builder, &value_of(name), check));
        }
        rule
    }

    fn passes_one(builder: &mut Builder<'_, Self>, value: &str, check: &ValueCheck) -> String {
        let part = |at: &usize, bytes: &str| format!("substr({value}, {}, length({bytes}))", at + 1);
        match check {
            ValueCheck::HasAt { at, bytes } if bytes.is_empty() => format!("length({value}) >= {at}"),
            ValueCheck::HasAt { at, bytes } => {
                let bytes = builder.bind(Param::Bytes(bytes.clone()));
                format!("{} = {bytes}", part(at, &bytes))
            }
            ValueCheck::LessAt { at, bytes } => {
                let bytes = builder.bind(Param::Bytes(bytes.clone()));
                format!("length({value}) >= {at} + length({bytes}) and {} < {bytes}", part(at, &bytes))
            }
            ValueCheck::NotLessAt { at, bytes } => {
                let bytes = builder.bind(Param::Bytes(bytes.clone()));
                format!("length({value}) >= {at} + length({bytes}) and {} >= {bytes}", part(at, &bytes))
            }
            ValueCheck::Contains(bytes) => format!("position({} in {value}) > 0", builder.bind(Param::Bytes(bytes.clone()))),
            ValueCheck::TextHas(bytes) => format!("text_has({value}, {})", builder.bind(Param::Bytes(bytes.clone()))),
            ValueCheck::TextMayHave(bytes) => format!("text_may_have({value}, {})", builder.bind(Param::Bytes(bytes.clone()))),
            ValueCheck::Behind { at, checks } => {
                let behind = format!("behind({value}, {at})");
                let all = checks.iter().map(|check| format!(" and {}", Self::passes_one(builder, &behind, check))).collect::<String>();
                format!("({behind} is not null{all})")
            }
            ValueCheck::EndsWith(bytes) => {
                let bytes = builder.bind(Param::Bytes(bytes.clone()));
                format!("substr({value}, greatest(length({value}) - length({bytes}), 0) + 1) = {bytes}")
            }
            ValueCheck::Near { latitude, longitude, metres_max } => {
                let [latitude, longitude, metres_max] = [latitude, longitude, metres_max].map(|number| Self::number(builder, *number));
                format!("metres_from({latitude}, {longitude}, {value}) <= {metres_max}")
            }
        }
    }

    /// A number with a fraction, bound as it is written into an index.
    fn number(builder: &mut Builder<'_, Self>, number: f64) -> String {
        format!("number_of({}, 0)", builder.bind(Param::Bytes(value::number(number).to_vec())))
    }
}

impl Dialect for Postgres {
    fn placeholder(&self, number: usize) -> String {
        format!("${number}")
    }

    fn joins(&self) -> Joins {
        Joins::Lateral
    }

    fn index(&self) -> Index {
        Index::Keys
    }

    fn may_have_value(&self, builder: &mut Builder<'_, Self>, row: &str, resource_type: ResourceType, spans: &[Span]) -> Option<String> {
        let keys = keys_for(builder.account_id(), resource_type, spans);
        Some(format!("{row}.index_keys && {}", builder.bind(Param::Keys(keys))))
    }

    fn has_reference(
        &self,
        builder: &mut Builder<'_, Self>,
        row: &str,
        resource_type: ResourceType,
        path: PathId,
        value: &str,
    ) -> Option<String> {
        let head = builder.bind(Param::Bytes(head(builder.account_id(), resource_type, path)));
        let path = builder.bind(Param::Bytes(element(path, &[])));
        let key = format!("array[index_key({head}, {value})]");
        // The key is asked for twice: of a value that is not known beforehand PostgreSQL expects in one row of a hundred, and of both in hardly any, so
        // that it looks for the key and not through all of a type that has few.
        Some(format!("{row}.index_keys && {key} and {row}.index_keys @> {key} and {row}.index_values && array[{path} || {value}]"))
    }

    fn has_value(&self, builder: &mut Builder<'_, Self>, row: &str, _: ResourceType, spans: &[Span]) -> String {
        let (singles, ranges): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.is_one_value());
        let mut ways = Vec::new();
        if !singles.is_empty() {
            let values: Vec<String> = singles.iter().map(|span| builder.bind(Param::Bytes(element(span.path, &span.low)))).collect();
            ways.push(format!("{row}.index_values && array[{}]", values.join(", ")));
        }
        if !ranges.is_empty() {
            let name = format!("e{}", builder.name());
            let rules: Vec<String> = ranges.iter().map(|span| format!("({})", Self::in_span(builder, &name, span))).collect();
            ways.push(format!("exists (select 1 from unnest({row}.index_values) {name} where {})", rules.join(" or ")));
        }
        format!("({})", ways.join(" or "))
    }

    fn passes(&self, builder: &mut Builder<'_, Self>, value: &str, checks: &[ValueCheck]) -> String {
        checks.iter().map(|check| Self::passes_one(builder, value, check)).collect::<Vec<_>>().join(" and ")
    }

    fn referred_ids(
        &self,
        builder: &mut Builder<'_, Self>,
        row: &str,
        _: ResourceType,
        paths: &[PathId],
        target: ResourceType,
    ) -> (String, String) {
        let name = builder.name();
        let (references, element_name) = (format!("j{name}"), format!("e{name}"));
        let ways: Vec<String> = paths.iter().map(|path| Self::begins(builder, &element_name, element(*path, &[target.code()]))).collect();
        let table = format!(
            "lateral (select distinct referred_id({element_name}, {VALUE_AT}) as id from unnest({row}.index_values) {element_name} where {}) {references}",
            if ways.is_empty() { "false".to_owned() } else { ways.join(" or ") }
        );
        (table, format!("{references}.id"))
    }

    fn contained(&self, builder: &mut Builder<'_, Self>, row: &str, paths: &[PathId], target: ResourceType) -> String {
        let name = format!("e{}", builder.name());
        let ways: Vec<String> =
            paths.iter().map(|path| Self::begins(builder, &name, element(path.with(Facet::Text), &[0, target.code()]))).collect();
        format!(
            "(select entries_of(substr({name}, {})) as index_values, null::bytea as id, null::bigint as last_updated_ms, null::bytea[] as words \
             from unnest({row}.index_values) {name} where {})",
            VALUE_AT + 3,
            if ways.is_empty() { "false".to_owned() } else { ways.join(" or ") }
        )
    }

    fn reference_value(&self, builder: &mut Builder<'_, Self>, row: &str, resource_type: ResourceType) -> String {
        // What is contained has no id, and is referred to by nobody else.
        format!("reference_value({}, {row}.id)", builder.bind(Param::Bytes(vec![resource_type.code()])))
    }

    fn sort_value(&self, builder: &mut Builder<'_, Self>, row: &str, _: ResourceType, paths: &[SortPath], is_descending: bool) -> String {
        let name = format!("e{}", builder.name());
        let selects: Vec<String> = paths
            .iter()
            .map(|path| {
                let begins = Self::begins(builder, &name, element(path.path, &path.only.map(|byte| vec![byte]).unwrap_or_default()));
                let from = VALUE_AT + 1 + if is_descending { path.descending_at } else { path.ascending_at };
                let key = match path.width {
                    SortWidth::Bytes(count) => format!("substr({name}, {from}, {count})"),
                    SortWidth::Text => format!("text_of(substr({name}, {from}))"),
                    SortWidth::All => format!("substr({name}, {from})"),
                };
                format!("select {key} as k from unnest({row}.index_values) {name} where {begins}")
            })
            .collect();
        if selects.is_empty() {
            return "null::bytea".to_owned();
        }
        let direction = if is_descending { " desc" } else { "" };
        format!("(select k from ({}) keys order by k{direction} limit 1)", selects.join(" union all "))
    }

    fn id_value(&self, row: &str) -> String {
        format!("id_text({row}.id)")
    }

    fn time_value(&self, row: &str) -> String {
        // The sign turned round: what is before 1970 comes first.
        format!("int8send({row}.last_updated_ms # (-9223372036854775808))")
    }

    fn has_words(&self, builder: &mut Builder<'_, Self>, row: &str, place: WordPlace, alternatives: &[Vec<String>]) -> String {
        let ways: Vec<String> = alternatives
            .iter()
            .map(|words| {
                let words: Vec<String> = words
                    .iter()
                    .map(|word| match place {
                        WordPlace::Narrative => of_narrative(&value::word(word)),
                        WordPlace::Everything => value::word(word),
                    })
                    .map(|word| builder.bind(Param::Bytes(word)))
                    .collect();
                format!("{row}.words @> array[{}]::bytea[]", words.join(", "))
            })
            .collect();
        if ways.is_empty() { "false".to_owned() } else { format!("({})", ways.join(" or ")) }
    }
}
