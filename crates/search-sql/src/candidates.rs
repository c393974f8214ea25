//! Where a statement begins: with the values of an index, with ids, with other resources, or with all of a type.

use lethe_fhir::ResourceType;
use lethe_search::{Branch, Criterion, PathId, Span, SpanEnd};

use crate::{
    Builder, Dialect, Direction, Driver, Index, Joins, Param,
    conditions::{branch_versions, conditions, contained_spans, contains, id_list, is_current},
    request::best_driver,
    tables::{Tables, by_id},
};

/// Which places in the order of commits count, both ends left out if there is none, and in which order they are to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Only behind this place.
    pub(crate) after: Option<i64>,
    /// Only before this place.
    pub(crate) before: Option<i64>,
    /// None: in any.
    pub(crate) direction: Option<Direction>,
}

impl Bounds {
    pub(crate) const NONE: Self = Self { after: None, before: None, direction: None };

    fn rules<D: Dialect>(self, builder: &mut Builder<'_, D>, seq: &str) -> Vec<String> {
        let after = self.after.map(|after| format!("{seq} > {}", builder.int(after)));
        let before = self.before.map(|before| format!("{seq} < {}", builder.int(before)));
        after.into_iter().chain(before).collect()
    }
}

/// The current versions that fit.
pub(crate) struct Versions {
    /// Where they are.
    pub(crate) tables: Tables,
    /// The name of the version among the tables.
    pub(crate) row: String,
    /// What to order by for the order of commits, without a sort if the tables come so.
    pub(crate) order: Vec<String>,
}

/// The current versions of a type that fit all of `criteria`, beginning with the driver.
pub(crate) fn versions<D: Dialect>(
    builder: &mut Builder<'_, D>,
    resource_type: ResourceType,
    criteria: &[Criterion],
    driver: Driver,
    bounds: Bounds,
) -> Versions {
    let (account, type_id, name, dialect) = (builder.account(), builder.type_id(resource_type), builder.name(), builder.dialect);
    let row = format!("v{name}");
    let own = format!("{row}.account_id = {account} and {row}.type_id = {type_id}");
    let own_at = |seq: String| [own.clone(), format!("{row}.seq = {seq}")];
    let index = match driver {
        Driver::Criterion(index) if index < criteria.len() => Some(index),
        Driver::Criterion(_) | Driver::Type => None,
    };
    let begun = index.and_then(|index| criteria.get(index));
    if let Some(found) = begun.and_then(|begun| by_keys(builder, resource_type, &row, begun, bounds)) {
        let mut tables = found;
        tables.rules.push(is_current(&row));
        // Keys tell what may fit: the criterion itself is asked as well.
        tables.rules.extend(conditions(builder, &row, resource_type, criteria, None));
        return Versions { tables, order: vec![format!("{row}.seq")], row };
    }
    let (mut tables, order) = match begun {
        None => {
            let mut rules = vec![own];
            rules.extend(bounds.rules(builder, &format!("{row}.seq")));
            (Tables::of(format!("version {row}"), rules), vec![format!("{row}.seq")])
        }
        Some(Criterion::Ids(ids)) if !ids.is_empty() => {
            let ids = id_list(builder, ids);
            let mut rules = vec![format!("r{name}.account_id = {account} and r{name}.type_id = {type_id} and r{name}.id in ({ids})")];
            rules.extend(bounds.rules(builder, &format!("r{name}.seq")));
            let (table, is_current) = by_id(dialect, &format!("r{name}"));
            rules.extend(is_current);
            let tables = Tables::of(format!("{table} r{name}"), rules).join(dialect, "version", &row, &own_at(format!("r{name}.seq")));
            (tables, vec![format!("{row}.seq")])
        }
        // One value: its rows stand in the order of commits, part by part, so a page ends when it is full.
        Some(Criterion::AnyOf(spans)) if matches!(spans.as_slice(), [span] if span.is_one_value()) => {
            let (span, index) = (&spans[0], format!("i{name}"));
            let (parts, mut rules) = index_tables(builder, name, resource_type);
            rules.push(format!(
                "{index}.path_id = {} and {index}.value = {}",
                builder.int(i64::from(span.path.0)),
                builder.bind(Param::Bytes(span.low.clone()))
            ));
            rules.extend(bounds.rules(builder, &format!("{index}.seq")));
            let version = own_at(format!("{index}.seq"));
            let tables = parts.join(dialect, "index_value", &index, &rules).join(dialect, "version", &row, &version);
            (tables, vec![format!("p{name}.first_seq"), format!("{index}.seq")])
        }
        Some(criterion) => {
            let mut places = places(builder, resource_type, criterion, Bounds { direction: None, ..bounds });
            let mut order = format!("{row}.seq");
            if let (Some(direction), Joins::Lateral) = (bounds.direction, dialect.joins()) {
                places.push_str(&format!(" order by seq{}", direction.word()));
                order = format!("d{name}.seq");
            }
            let tables =
                Tables::of(format!("({places}) d{name}"), Vec::new()).join(dialect, "version", &row, &own_at(format!("d{name}.seq")));
            (tables, vec![order])
        }
    };
    let mut asked = vec![is_current(&row)];
    asked.extend(conditions(builder, &row, resource_type, criteria, index));
    tables.rules.extend(asked);
    Versions { tables, row, order }
}

/// The versions that may have one of the values that a criterion asks for, where each has keys of them; `None` where values have rows.
fn by_keys<D: Dialect>(
    builder: &mut Builder<'_, D>,
    resource_type: ResourceType,
    row: &str,
    criterion: &Criterion,
    bounds: Bounds,
) -> Option<Tables> {
    let Criterion::AnyOf(spans) = criterion else { return None };
    if spans.is_empty() {
        return None;
    }
    let may_have = builder.dialect.may_have_value(builder, row, resource_type, spans)?;
    let (account, type_id) = (builder.account(), builder.type_id(resource_type));
    let mut rules = vec![format!("{row}.account_id = {account} and {row}.type_id = {type_id} and {may_have}")];
    rules.extend(bounds.rules(builder, &format!("{row}.seq")));
    Some(Tables::first(builder.dialect, "version", row, &rules))
}

/// The versions of a type that refer by `path` to `target`, behind which they are to be joined: under which name, and by which rules; `None` where
/// values have rows.
pub(crate) fn referrers_by_key<D: Dialect>(
    builder: &mut Builder<'_, D>,
    source: ResourceType,
    path: PathId,
    value: &str,
) -> Option<(String, Vec<String>)> {
    let row = format!("v{}", builder.name());
    let refers = builder.dialect.has_reference(builder, &row, source, path, value)?;
    let (account, type_id) = (builder.account(), builder.type_id(source));
    Some((row.clone(), vec![format!("{row}.account_id = {account} and {row}.type_id = {type_id} and {refers}")]))
}

/// The parts of the index, and the rules by which a row of the index is in one of them.
fn index_rules<D: Dialect>(builder: &mut Builder<'_, D>, name: usize, resource_type: ResourceType) -> (String, String) {
    let (account, type_id) = (builder.account(), builder.type_id(resource_type));
    (
        format!("p{name}.account_id = {account} and p{name}.type_id = {type_id}"),
        format!("i{name}.account_id = {account} and i{name}.type_id = {type_id} and i{name}.part = p{name}.first_seq"),
    )
}

/// The parts of the index and, to be joined behind them, the rules of its rows.
fn index_tables<D: Dialect>(builder: &mut Builder<'_, D>, name: usize, resource_type: ResourceType) -> (Tables, Vec<String>) {
    let (of_part, of_row) = index_rules(builder, name, resource_type);
    (Tables::of(format!("index_part p{name}"), vec![of_part]), vec![of_row])
}

/// The places of what fits one criterion, each once: a statement with the column `seq`.
fn places<D: Dialect>(builder: &mut Builder<'_, D>, resource_type: ResourceType, criterion: &Criterion, bounds: Bounds) -> String {
    let parts: Vec<String> = match criterion {
        // Nothing may be bound that no part uses.
        Criterion::AnyOf(spans) if spans.is_empty() => Vec::new(),
        Criterion::AnyOf(_) if builder.dialect.index() == Index::Keys => {
            let found = versions(builder, resource_type, std::slice::from_ref(criterion), Driver::Criterion(0), bounds);
            vec![found.tables.select(&format!("{}.seq as seq", found.row))]
        }
        Criterion::AnyOf(spans) => {
            let name = builder.name();
            let (parts, mut common) = index_tables(builder, name, resource_type);
            common.extend(bounds.rules(builder, &format!("i{name}.seq")));
            let rules = value_rules(builder, name, spans);
            let dialect = builder.dialect;
            rules.into_iter().map(|rule| select_rows(dialect, &format!("i{name}.seq as seq"), &parts, name, &common, rule)).collect()
        }
        Criterion::RefersTo { paths, branches } => {
            let mut parts = Vec::new();
            for branch in branches {
                for path in paths {
                    parts.push(referrers(builder, resource_type, *path, branch, bounds));
                }
                parts.push(containers(builder, resource_type, paths, branch, bounds));
            }
            parts
        }
        Criterion::ReferredBy { paths, branch } => {
            let (account, type_id, name) = (builder.account(), builder.type_id(resource_type), builder.name());
            let (mut tables, source) = branch_versions(builder, branch);
            let dialect = builder.dialect;
            let (referred, id) = dialect.referred_ids(builder, &source, branch.resource_type, paths, resource_type);
            tables.from.push_str(&format!(" cross join {referred}"));
            let mut own = vec![format!("r{name}.account_id = {account} and r{name}.type_id = {type_id} and r{name}.id = {id}")];
            own.extend(bounds.rules(builder, &format!("r{name}.seq")));
            let (table, is_current) = by_id(dialect, &format!("r{name}"));
            own.extend(is_current);
            vec![tables.join(dialect, table, &format!("r{name}"), &own).select(&format!("r{name}.seq as seq"))]
        }
        Criterion::Either(alternatives) => alternatives
            .iter()
            .map(|criteria| {
                let found = versions(builder, resource_type, criteria, best_driver(criteria), bounds);
                found.tables.select(&format!("{}.seq as seq", found.row))
            })
            .collect(),
        Criterion::Ids(_) | Criterion::NotIds(_) | Criterion::NoneOf(_) | Criterion::LastUpdated(_) | Criterion::Words { .. } => Vec::new(),
    };
    match parts.as_slice() {
        [] => "select 0 as seq where 1 = 0".to_owned(),
        // A union drops what comes twice; so does `distinct`.
        [one] => one.replacen("select ", "select distinct ", 1),
        many => compound(many, " union ", "seq"),
    }
}

/// A select of `columns` of the rows of the index, behind its parts, that fit `common` and `rule`.
fn select_rows<D: Dialect>(dialect: &D, columns: &str, parts: &Tables, name: usize, common: &[String], rule: String) -> String {
    let on = [common, &[rule]].concat();
    parts.clone().join(dialect, "index_value", &format!("i{name}"), &on).select(columns)
}

/// Selects of one compound. SQLite takes up to 500.
const COMPOUND_MAX: usize = 200;

/// `selects` with `operator` between them, in groups where they are many; each has one column, named so.
fn compound(selects: &[String], operator: &str, column: &str) -> String {
    if selects.len() <= COMPOUND_MAX {
        return selects.join(operator);
    }
    let groups: Vec<String> =
        selects.chunks(COMPOUND_MAX).map(|group| format!("select {column} from ({}) one_group", group.join(operator))).collect();
    compound(&groups, operator, column)
}

/// The versions that refer by `path` to something that fits `branch`.
fn referrers<D: Dialect>(
    builder: &mut Builder<'_, D>,
    resource_type: ResourceType,
    path: PathId,
    branch: &Branch,
    bounds: Bounds,
) -> String {
    let (tables, target) = branch_versions(builder, branch);
    let dialect = builder.dialect;
    let value = dialect.reference_value(builder, &target, branch.resource_type);
    if let Some((row, mut own)) = referrers_by_key(builder, resource_type, path, &value) {
        own.extend(bounds.rules(builder, &format!("{row}.seq")));
        return tables.join(dialect, "version", &row, &own).select(&format!("{row}.seq as seq"));
    }
    let name = builder.name();
    let (of_part, of_row) = index_rules(builder, name, resource_type);
    let mut own = vec![of_row, format!("i{name}.path_id = {} and i{name}.value = {value}", builder.int(i64::from(path.0)))];
    own.extend(bounds.rules(builder, &format!("i{name}.seq")));
    let tables =
        tables.join(dialect, "index_part", &format!("p{name}"), &[of_part]).join(dialect, "index_value", &format!("i{name}"), &own);
    tables.select(&format!("i{name}.seq as seq"))
}

/// The versions that contain what fits `branch` and refer to it by one of `paths`.
fn containers<D: Dialect>(
    builder: &mut Builder<'_, D>,
    resource_type: ResourceType,
    paths: &[PathId],
    branch: &Branch,
    bounds: Bounds,
) -> String {
    let refer = [Criterion::AnyOf(contained_spans(paths, branch.resource_type))];
    let mut found = versions(builder, resource_type, &refer, Driver::Criterion(0), bounds);
    found.tables.rules.push(contains(builder, &found.row, resource_type, paths, branch));
    found.tables.select(&format!("{}.seq as seq", found.row))
}

/// One rule for each range of values, and one for all single values of a path, on the row of the index with this name.
fn value_rules<D: Dialect>(builder: &mut Builder<'_, D>, name: usize, spans: &[Span]) -> Vec<String> {
    let (dialect, row) = (builder.dialect, format!("i{name}"));
    let mut rules = Vec::new();
    let mut singles: Vec<(PathId, Vec<String>)> = Vec::new();
    for span in spans {
        if span.is_one_value() {
            let value = builder.bind(Param::Bytes(span.low.clone()));
            match singles.iter_mut().find(|(path, _)| *path == span.path) {
                Some((_, values)) => values.push(value),
                None => singles.push((span.path, vec![value])),
            }
            continue;
        }
        let path = builder.int(i64::from(span.path.0));
        let low = builder.bind(Param::Bytes(span.low.clone()));
        let mut rule = match &span.end {
            SpanEnd::Single => format!("{row}.path_id = {path} and {row}.value = {low}"),
            SpanEnd::Before(end) => {
                format!("{row}.path_id = {path} and {row}.value >= {low} and {row}.value < {}", builder.bind(Param::Bytes(end.clone())))
            }
            SpanEnd::Open => format!("{row}.path_id = {path} and {row}.value >= {low}"),
        };
        if !span.checks.is_empty() {
            rule.push_str(" and ");
            rule.push_str(&dialect.passes(builder, &format!("{row}.value"), &span.checks));
        }
        rules.push(rule);
    }
    for (path, values) in singles {
        rules.push(format!("{row}.path_id = {} and {row}.value in ({})", builder.int(i64::from(path.0)), values.join(", ")));
    }
    rules
}

/// Counts the versions that have rows of the index in `spans`.
pub(crate) fn rows<D: Dialect>(builder: &mut Builder<'_, D>, resource_type: ResourceType, spans: &[Span]) -> String {
    match spans {
        [] => return estimate_rows(builder, resource_type, spans, 0),
        // Rows of one value are of as many versions.
        [span] if span.is_one_value() => return estimate_rows(builder, resource_type, spans, i64::MAX),
        _ => {}
    }
    format!("select count(*) from ({}) found", places(builder, resource_type, &Criterion::AnyOf(spans.to_vec()), Bounds::NONE))
}

/// Counts rows of the index that lie in `spans`, and stops at `rows_max`.
pub(crate) fn estimate_rows<D: Dialect>(
    builder: &mut Builder<'_, D>,
    resource_type: ResourceType,
    spans: &[Span],
    rows_max: i64,
) -> String {
    if spans.is_empty() {
        // OK because it is never null: a statement must use whatever is bound.
        return format!("select 0 where {} is not null", builder.account());
    }
    let dialect = builder.dialect;
    let row = format!("v{}", builder.name());
    if let Some(tables) = by_keys(builder, resource_type, &row, &Criterion::AnyOf(spans.to_vec()), Bounds::NONE) {
        let limit = builder.int(rows_max);
        return format!("select count(*) from ({} limit {limit}) found", tables.select("1 as one"));
    }
    let name = builder.name();
    let (parts, common) = index_tables(builder, name, resource_type);
    let rules = value_rules(builder, name, spans);
    let selects: Vec<String> = rules.into_iter().map(|rule| select_rows(dialect, "1 as one", &parts, name, &common, rule)).collect();
    let limit = builder.int(rows_max);
    // As one compound or as several: rows of the latter are counted up to the limit by the outer one.
    format!("select count(*) from ({} limit {limit}) found", compound(&selects, " union all ", "one"))
}
