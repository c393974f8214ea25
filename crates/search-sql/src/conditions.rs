//! What is asked of each row that a statement looks at.

use lethe_fhir::ResourceType;
use lethe_search::{Branch, Criterion, LastUpdatedFilter, PathId, Span, value};

use crate::{
    Builder, Dialect, Param,
    candidates::{Bounds, referrers_by_key, versions},
    request::best_driver,
    tables::{Tables, by_id},
};

/// The conditions on `row`, a version of this type, each ready to be joined by `and`; `but` is left out.
pub(crate) fn conditions<D: Dialect>(
    builder: &mut Builder<'_, D>,
    row: &str,
    resource_type: ResourceType,
    criteria: &[Criterion],
    but: Option<usize>,
) -> Vec<String> {
    let rest = criteria.iter().enumerate().filter(|(index, _)| Some(*index) != but);
    rest.map(|(_, criterion)| condition(builder, row, resource_type, criterion)).collect()
}

fn condition<D: Dialect>(builder: &mut Builder<'_, D>, row: &str, resource_type: ResourceType, criterion: &Criterion) -> String {
    let dialect = builder.dialect;
    match criterion {
        Criterion::AnyOf(spans) if spans.is_empty() => "1 = 0".to_owned(),
        Criterion::NoneOf(spans) if spans.is_empty() => "1 = 1".to_owned(),
        Criterion::AnyOf(spans) => dialect.has_value(builder, row, resource_type, spans),
        Criterion::NoneOf(spans) => format!("not {}", dialect.has_value(builder, row, resource_type, spans)),
        Criterion::Ids(ids) if ids.is_empty() => "1 = 0".to_owned(),
        Criterion::NotIds(ids) if ids.is_empty() => "1 = 1".to_owned(),
        Criterion::Ids(ids) => format!("{row}.id in ({})", id_list(builder, ids)),
        Criterion::NotIds(ids) => format!("{row}.id not in ({})", id_list(builder, ids)),
        Criterion::LastUpdated(filters) => any(filters.iter().map(|filter| last_updated(builder, row, *filter)).collect()),
        Criterion::Words { place, alternatives } => dialect.has_words(builder, row, *place, alternatives),
        Criterion::Either(alternatives) => {
            let alternatives = alternatives.iter().map(|criteria| all(conditions(builder, row, resource_type, criteria, None))).collect();
            any(alternatives)
        }
        Criterion::RefersTo { paths, branches } => {
            let ways = branches.iter().flat_map(|branch| {
                [refers_to(builder, row, resource_type, paths, branch), contains(builder, row, resource_type, paths, branch)]
            });
            any(ways.collect())
        }
        Criterion::ReferredBy { paths, branch } => referred_by(builder, row, resource_type, paths, branch),
    }
}

pub(crate) fn id_list<D: Dialect>(builder: &mut Builder<'_, D>, ids: &[lethe_fhir::LogicalId]) -> String {
    ids.iter().map(|id| builder.bind(Param::Id(id.clone()))).collect::<Vec<_>>().join(", ")
}

fn last_updated<D: Dialect>(builder: &mut Builder<'_, D>, row: &str, filter: LastUpdatedFilter) -> String {
    let (low, high) = match filter {
        LastUpdatedFilter::Within(low, high) | LastUpdatedFilter::Outside(low, high) => {
            (builder.int(low.as_unix_ms()), builder.int(high.as_unix_ms()))
        }
    };
    match filter {
        LastUpdatedFilter::Within(..) => format!("({row}.last_updated_ms >= {low} and {row}.last_updated_ms < {high})"),
        LastUpdatedFilter::Outside(..) => format!("({row}.last_updated_ms < {low} or {row}.last_updated_ms >= {high})"),
    }
}

/// Whether what `row` refers to fits the branch: from the reference to its target.
fn refers_to<D: Dialect>(builder: &mut Builder<'_, D>, row: &str, source: ResourceType, paths: &[PathId], branch: &Branch) -> String {
    let (account, dialect, name) = (builder.account(), builder.dialect, builder.name());
    let (referred, id) = dialect.referred_ids(builder, row, source, paths, branch.resource_type);
    let target_type = builder.type_id(branch.resource_type);
    let target = format!("v{name}");
    let of_id = format!("r{name}.account_id = {account} and r{name}.type_id = {target_type} and r{name}.id = {id}");
    let of_version = format!("{target}.account_id = {account} and {target}.type_id = {target_type} and {target}.seq = r{name}.seq");
    let tables = Tables::of(referred, Vec::new());
    let (table, is_current_id) = by_id(dialect, &format!("r{name}"));
    let of_id: Vec<String> = std::iter::once(of_id).chain(is_current_id).collect();
    let mut tables = tables.join(dialect, table, &format!("r{name}"), &of_id).join(dialect, "version", &target, &[of_version]);
    tables.rules.push(is_current(&target));
    tables.rules.extend(conditions(builder, &target, branch.resource_type, &branch.criteria, None));
    format!("exists ({})", tables.select("1"))
}

/// The rows of references by one of `paths` to what is contained and of this type.
pub(crate) fn contained_spans(paths: &[PathId], target: ResourceType) -> Vec<Span> {
    paths.iter().map(|path| Span::single(*path, value::reference_contained(target))).collect()
}

/// Whether `row` contains what fits the branch, and refers to it.
pub(crate) fn contains<D: Dialect>(
    builder: &mut Builder<'_, D>,
    row: &str,
    source: ResourceType,
    paths: &[PathId],
    branch: &Branch,
) -> String {
    let (dialect, target) = (builder.dialect, branch.resource_type);
    // Few resources contain any, and this is told at once.
    let has_some = dialect.has_value(builder, row, source, &contained_spans(paths, target));
    let inner = format!("c{}", builder.name());
    let contained = dialect.contained(builder, row, paths, target);
    let mut rules = conditions(builder, &inner, target, &branch.criteria, None);
    if rules.is_empty() {
        rules.push("1 = 1".to_owned());
    }
    format!("({has_some} and exists (select 1 from {contained} {inner} where {}))", rules.join(" and "))
}

/// Whether something that fits the branch refers to `row`: from the target to its referrers.
fn referred_by<D: Dialect>(builder: &mut Builder<'_, D>, row: &str, target: ResourceType, paths: &[PathId], branch: &Branch) -> String {
    let dialect = builder.dialect;
    let value = dialect.reference_value(builder, row, target);
    let ways = paths
        .iter()
        .map(|path| {
            if let Some((source, own)) = referrers_by_key(builder, branch.resource_type, *path, &value) {
                let mut tables = Tables::first(dialect, "version", &source, &own);
                tables.rules.push(is_current(&source));
                tables.rules.extend(conditions(builder, &source, branch.resource_type, &branch.criteria, None));
                return format!("exists ({})", tables.select("1"));
            }
            let (account, name) = (builder.account(), builder.name());
            let (source_type, path) = (builder.type_id(branch.resource_type), builder.int(i64::from(path.0)));
            let source = format!("v{name}");
            let of_part = format!("p{name}.account_id = {account} and p{name}.type_id = {source_type}");
            let of_row = format!(
                "i{name}.account_id = {account} and i{name}.type_id = {source_type} and i{name}.part = p{name}.first_seq \
                 and i{name}.path_id = {path} and i{name}.value = {value}"
            );
            let of_version = format!("{source}.account_id = {account} and {source}.type_id = {source_type} and {source}.seq = i{name}.seq");
            let tables = Tables::of(format!("index_part p{name}"), vec![of_part]);
            let mut tables =
                tables.join(dialect, "index_value", &format!("i{name}"), &[of_row]).join(dialect, "version", &source, &[of_version]);
            tables.rules.push(is_current(&source));
            tables.rules.extend(conditions(builder, &source, branch.resource_type, &branch.criteria, None));
            format!("exists ({})", tables.select("1"))
        })
        .collect();
    any(ways)
}

/// A version counts as long as nothing has replaced it and it is no deletion.
pub(crate) fn is_current(row: &str) -> String {
    format!("{row}.replaced_by_seq is null and {row}.kind <> 3")
}

/// Conditions of one group: the depth of an expression has a limit, and `a or b or c` is one deeper for each.
const GROUP_MAX: usize = 100;

fn any(conditions: Vec<String>) -> String {
    match conditions.len() {
        0 => "1 = 0".to_owned(),
        1..=GROUP_MAX => format!("({})", conditions.join(" or ")),
        _ => any(conditions.chunks(GROUP_MAX).map(|group| any(group.to_vec())).collect()),
    }
}

fn all(conditions: Vec<String>) -> String {
    if conditions.is_empty() { "1 = 1".to_owned() } else { format!("({})", conditions.join(" and ")) }
}

/// What fits a branch: the tables, and the name of the version among them.
pub(crate) fn branch_versions<D: Dialect>(builder: &mut Builder<'_, D>, branch: &Branch) -> (Tables, String) {
    let found = versions(builder, branch.resource_type, &branch.criteria, best_driver(&branch.criteria), Bounds::NONE);
    (found.tables, found.row)
}
