//! Finds what a path leads to in a resource (<https://hl7.org/fhirpath/N1/>).

use std::cell::Cell;

use serde_json::Value;

use super::{
    PatchError,
    draft::too_much_work,
    equality::{is_same, is_same_number},
    error::cut,
    kind::is_type,
    measure::{Measures, measure},
    node::Node,
    path::{Expression, Literal, PathStep, Start},
};
use crate::limits;

/// What the visit of one element costs.
const WORK_FOR_ELEMENT: usize = 32;

/// Something that an expression yields.
#[derive(Clone, Debug)]
enum Item<'a> {
    Element(Node<'a>),
    Literal(&'a Literal),
    Boolean(bool),
    Count(usize),
}

/// What can be compared of an item.
enum Scalar<'a> {
    Text(&'a str),
    Number(&'a str),
    Count(usize),
    Boolean(bool),
    Complex(&'a Value),
    /// A primitive without value.
    Nothing,
}

/// Finds paths in one resource, with a limit to the work.
pub(super) struct Evaluator {
    work_left: Cell<usize>,
}

type Items<'a> = Vec<Item<'a>>;

impl Evaluator {
    pub(super) fn new(work_left: usize) -> Self {
        Self { work_left: Cell::new(work_left) }
    }

    pub(super) fn work_left(&self) -> usize {
        self.work_left.get()
    }

    /// The children of an element.
    pub(super) fn children<'a>(&self, node: &Node<'a>, name: &str) -> Result<Vec<Node<'a>>, PatchError> {
        node.children(name, |count| self.spend(count.saturating_mul(WORK_FOR_ELEMENT)).and_then(|()| check_count(count)))
    }

    /// The elements of the resource that the path leads to.
    pub(super) fn find<'a>(&self, resource: &'a Value, path: &'a Expression) -> Result<Vec<Node<'a>>, PatchError> {
        let root = Item::Element(Node::root(resource));
        let element = |item| match item {
            Item::Element(node) => Ok(node),
            _ => {
                Err(PatchError::malformed("the path yields a value, not an element", "let it lead to an element, like 'Patient.birthDate'"))
            }
        };
        self.evaluate(path, &root)?.into_iter().map(element).collect()
    }

    fn spend(&self, work: usize) -> Result<(), PatchError> {
        self.work_left.set(self.work_left.get().checked_sub(work).ok_or_else(too_much_work)?);
        Ok(())
    }

    fn evaluate<'a>(&self, expression: &'a Expression, context: &Item<'a>) -> Result<Items<'a>, PatchError> {
        self.spend(WORK_FOR_ELEMENT)?;
        match expression {
            Expression::Chain(start, steps) => self.chain(start, steps, context),
            Expression::Equal(left, right) => Ok(boolean(self.is_equal(left, right, context)?)),
            Expression::NotEqual(left, right) => Ok(boolean(self.is_equal(left, right, context)?.map(|is_equal| !is_equal))),
            Expression::Is(of, type_name) => is_of_type(&self.evaluate(of, context)?, type_name),
            Expression::All(parts) => self.first_or_unknown(parts, context, false),
            Expression::Any(parts) => self.first_or_unknown(parts, context, true),
        }
    }

    /// `or` ends with the first that is true, `and` with the first that is false; otherwise an empty one decides.
    fn first_or_unknown<'a>(&self, parts: &'a [Expression], context: &Item<'a>, wanted: bool) -> Result<Items<'a>, PatchError> {
        let mut outcome = Some(!wanted);
        for part in parts {
            match truth(&self.evaluate(part, context)?)? {
                Some(found) if found == wanted => return Ok(boolean(Some(wanted))),
                Some(_) => {}
                None => outcome = None,
            }
        }
        Ok(boolean(outcome))
    }

    fn chain<'a>(&self, start: &'a Start, steps: &'a [PathStep], context: &Item<'a>) -> Result<Items<'a>, PatchError> {
        let mut steps = steps;
        let mut items = match start {
            Start::Literal(literal) => vec![Item::Literal(literal)],
            Start::Nested(expression) => self.evaluate(expression, context)?,
            Start::Context => {
                if let (Some((PathStep::Member(name), rest)), Item::Element(node)) = (steps.split_first(), context)
                    && is_type_of(node, name)?
                {
                    steps = rest;
                }
                vec![context.clone()]
            }
        };
        for step in steps {
            items = self.step(step, items)?;
        }
        Ok(items)
    }

    fn step<'a>(&self, step: &'a PathStep, mut items: Items<'a>) -> Result<Items<'a>, PatchError> {
        self.spend(WORK_FOR_ELEMENT)?;
        Ok(match step {
            PathStep::Member(name) => self.members(&items, name)?,
            PathStep::Index(index) if *index < items.len() => vec![items.swap_remove(*index)],
            PathStep::Index(_) => Vec::new(),
            PathStep::First => items.into_iter().next().into_iter().collect(),
            PathStep::Last => items.pop().into_iter().collect(),
            PathStep::Single if items.len() > 1 => return Err(several("single()", items.len())),
            PathStep::Single => items,
            PathStep::Where(criteria) => {
                let mut kept = Vec::new();
                for item in items {
                    if truth(&self.evaluate(criteria, &item)?)? == Some(true) {
                        kept.push(item);
                    }
                }
                kept
            }
            PathStep::Exists(None) => boolean(Some(!items.is_empty())),
            PathStep::Exists(Some(criteria)) => {
                for item in items {
                    if truth(&self.evaluate(criteria, &item)?)? == Some(true) {
                        return Ok(boolean(Some(true)));
                    }
                }
                boolean(Some(false))
            }
            PathStep::Empty => boolean(Some(items.is_empty())),
            PathStep::Not => boolean(truth(&items)?.map(|is_true| !is_true)),
            PathStep::Count => vec![Item::Count(items.len())],
            PathStep::OfType(type_name) => {
                check_type(type_name)?;
                items.retain(|item| item.is(type_name));
                items
            }
            PathStep::Is(type_name) => is_of_type(&items, type_name)?,
            PathStep::Extension(url) => {
                let has_url = |item: &Item| matches!(item, Item::Element(node) if node.value.and_then(|value| value.get("url")).and_then(Value::as_str) == Some(url));
                let mut extensions = self.members(&items, "extension")?;
                extensions.retain(has_url);
                extensions
            }
            PathStep::StartsWith(part) => self.of_text(&items, "startsWith", |text| text.starts_with(part.as_str()))?,
            PathStep::EndsWith(part) => self.of_text(&items, "endsWith", |text| text.ends_with(part.as_str()))?,
            PathStep::Contains(part) => self.of_text(&items, "contains", |text| text.contains(part.as_str()))?,
        })
    }

    fn members<'a>(&self, items: &[Item<'a>], name: &str) -> Result<Items<'a>, PatchError> {
        let mut found = Vec::new();
        for item in items {
            if let Item::Element(node) = item {
                found.extend(self.children(node, name)?.into_iter().map(Item::Element));
                check_count(found.len())?;
            }
        }
        Ok(found)
    }

    fn of_text<'a>(&self, items: &[Item<'a>], function: &str, ask: impl Fn(&str) -> bool) -> Result<Items<'a>, PatchError> {
        match items {
            [] => Ok(Vec::new()),
            [item] => match item.scalar() {
                Scalar::Text(text) => {
                    self.spend(text.len())?;
                    Ok(boolean(Some(ask(text))))
                }
                _ => Ok(Vec::new()),
            },
            _ => Err(several(function, items.len())),
        }
    }

    fn is_equal<'a>(&self, left: &'a Expression, right: &'a Expression, context: &Item<'a>) -> Result<Option<bool>, PatchError> {
        let (left, right) = (self.evaluate(left, context)?, self.evaluate(right, context)?);
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        for (left, right) in left.iter().zip(&right) {
            if !self.is_equal_item(left, right)? {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    fn is_equal_item(&self, left: &Item, right: &Item) -> Result<bool, PatchError> {
        Ok(match (left.scalar(), right.scalar()) {
            (Scalar::Text(one), Scalar::Text(other)) => {
                self.spend(one.len().min(other.len()))?;
                one == other || (left.is_date() || right.is_date()) && is_same_instant(one, other)
            }
            (Scalar::Number(one), Scalar::Number(other)) => {
                self.spend(one.len() + other.len())?;
                is_same_number(one, other)
            }
            (Scalar::Count(count), Scalar::Number(number)) | (Scalar::Number(number), Scalar::Count(count)) => {
                is_same_number(&count.to_string(), number)
            }
            (Scalar::Count(one), Scalar::Count(other)) => one == other,
            (Scalar::Boolean(one), Scalar::Boolean(other)) => one == other,
            (Scalar::Complex(one), Scalar::Complex(other)) => {
                self.spend(measure(one, limits::JSON_DEPTH_MAX).map_or(usize::MAX, Measures::work))?;
                is_same(one, other)
            }
            _ => false,
        })
    }
}

impl<'a> Item<'a> {
    fn scalar(&self) -> Scalar<'a> {
        match self {
            Item::Boolean(is_true) => Scalar::Boolean(*is_true),
            Item::Count(count) => Scalar::Count(*count),
            Item::Literal(Literal::Text(text) | Literal::Date(text)) => Scalar::Text(text),
            Item::Literal(Literal::Number(number)) => Scalar::Number(number),
            Item::Literal(Literal::Boolean(is_true)) => Scalar::Boolean(*is_true),
            Item::Element(node) => match node.value {
                Some(Value::String(text)) => Scalar::Text(text),
                Some(Value::Number(number)) => Scalar::Number(number.as_str()),
                Some(Value::Bool(is_true)) => Scalar::Boolean(*is_true),
                Some(complex @ (Value::Object(_) | Value::Array(_))) => Scalar::Complex(complex),
                Some(Value::Null) | None => Scalar::Nothing,
            },
        }
    }

    fn is_date(&self) -> bool {
        matches!(self, Item::Literal(Literal::Date(_)))
    }

    fn is(&self, type_name: &str) -> bool {
        match self {
            Item::Element(node) => node.kind.is(type_name),
            Item::Boolean(_) | Item::Literal(Literal::Boolean(_)) => type_name == "Boolean",
            Item::Count(_) => type_name == "Integer",
            Item::Literal(Literal::Text(_)) => type_name == "String",
            Item::Literal(Literal::Number(number)) => type_name == if number.contains('.') { "Decimal" } else { "Integer" },
            Item::Literal(Literal::Date(date)) => type_name == if date.contains('T') { "DateTime" } else { "Date" },
        }
    }
}

fn check_count(elements: usize) -> Result<(), PatchError> {
    if elements <= limits::PATCH_ELEMENTS_MAX {
        return Ok(());
    }
    Err(PatchError::over_limit(
        format!("the path leads over {elements} elements at a time; at most {} are accepted", limits::PATCH_ELEMENTS_MAX),
        "use JSON Patch, or update the resource with PUT",
    ))
}

/// Whether a path that begins with this name begins with the type of the resource.
fn is_type_of(node: &Node, name: &str) -> Result<bool, PatchError> {
    let resource_type = node.value.and_then(|value| value.get("resourceType")).and_then(Value::as_str);
    match resource_type {
        Some(resource_type) if name == resource_type || node.kind.is(name) => Ok(true),
        Some(resource_type) if node.is_root() && name.starts_with(|first: char| first.is_ascii_uppercase()) => {
            Err(PatchError::does_not_apply(
                format!("the path begins with '{}', and this is a {}", cut(name), cut(resource_type)),
                format!("let it begin with '{}'", cut(resource_type)),
            ))
        }
        _ => Ok(false),
    }
}

fn is_of_type<'a>(items: &[Item], type_name: &str) -> Result<Items<'a>, PatchError> {
    check_type(type_name)?;
    match items {
        [] => Ok(Vec::new()),
        [item] => Ok(boolean(Some(item.is(type_name)))),
        _ => Err(several("is", items.len())),
    }
}

fn check_type(name: &str) -> Result<(), PatchError> {
    if is_type(name) {
        return Ok(());
    }
    Err(PatchError::malformed(format!("'{}' is no type of R4", cut(name)), "write it like 'Quantity', 'string' or 'Patient'"))
}

/// What a collection means where a condition is expected.
fn truth(items: &[Item]) -> Result<Option<bool>, PatchError> {
    match items {
        [] => Ok(None),
        [item] => match item.scalar() {
            Scalar::Boolean(is_true) => Ok(Some(is_true)),
            _ => Ok(Some(true)),
        },
        _ => Err(several("a condition", items.len())),
    }
}

fn boolean<'a>(is_true: Option<bool>) -> Items<'a> {
    is_true.map(Item::Boolean).into_iter().collect()
}

fn several(what: &str, count: usize) -> PatchError {
    PatchError::does_not_apply(
        format!("{what} in the path takes one element, and there are {count}"),
        "say which, with '[n]', 'first()' or 'where(…)', or ask 'exists()'",
    )
}

fn is_same_instant(left: &str, right: &str) -> bool {
    match (left.parse::<jiff::Timestamp>(), right.parse::<jiff::Timestamp>()) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{json_pointer::shown, path::parse},
        *,
    };

    fn resource() -> Value {
        json!({
            "resourceType": "Patient",
            "active": true,
            "birthDate": "1970-01-01",
            "_birthDate": {"extension": [{"url": "t", "valueDateTime": "1970-01-01T10:00:00+01:00"}]},
            "identifier": [
                {"system": "s", "value": "1", "type": {"text": "a"}},
                {"system": "s", "value": "2", "period": {"start": "2020"}},
                {"system": "t", "value": "2"},
            ],
            "name": [{"given": ["A", "B"]}, {"given": ["C"], "use": "old"}],
            "multipleBirthInteger": 2,
            "extension": [{"url": "u", "valueDecimal": 1.50}, {"url": "v", "valueString": "x"}],
            "contained": [{"resourceType": "Observation", "status": "final"}, {"resourceType": "Patient", "gender": "male"}],
        })
    }

    fn found(path: &str) -> Result<String, PatchError> {
        let (resource, path) = (resource(), parse(path)?);
        let nodes = Evaluator::new(1_000_000).find(&resource, &path)?;
        let place = |node: &Node| match node.location() {
            Some(at) => format!("{}/{}{}", shown(&at.object), at.name, at.index.map_or(String::new(), |index| format!("/{index}"))),
            None => "root".to_owned(),
        };
        Ok(nodes.iter().map(place).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn paths_lead_to_elements() {
        let cases = [
            ("Patient", "root"),
            ("Resource", "root"),
            ("$this", "root"),
            ("Patient.active", "/active"),
            ("birthDate", "/birthDate"),
            ("Patient.gender", ""),
            ("Patient.name[1].given[0]", "/name/1/given/0"),
            ("Patient.name.given", "/name/0/given/0 /name/0/given/1 /name/1/given/0"),
            ("Patient.name.given[2]", "/name/1/given/0"),
            ("Patient.name[9].given", ""),
            ("Patient.name.given.last()", "/name/1/given/0"),
            ("Patient.name.first().given.first()", "/name/0/given/0"),
            ("Patient.active[0]", "/active"),
            ("Patient.identifier.where(system = 's' and value = '2')", "/identifier/1"),
            ("Patient.identifier.where(system = 't' or value = '1')", "/identifier/0 /identifier/2"),
            ("Patient.identifier.where(system != 's').value", "/identifier/2/value"),
            ("Patient.identifier.where(period.exists())", "/identifier/1"),
            ("Patient.identifier.where(period.exists().not() and type.empty())", "/identifier/2"),
            ("Patient.identifier.where(type.text = 'a').type", "/identifier/0/type"),
            ("Patient.identifier.where(period.start = @2020)", "/identifier/1"),
            ("Patient.identifier.where(period = 'x')", ""),
            ("Patient.identifier.where(nothing.exists() or true)", "ERROR has no element 'nothing'"),
            ("Patient.identifier.where($this.value = '1')", "/identifier/0"),
            ("Patient.identifier.where((value = '2') = (system = 't')).value", "/identifier/0/value /identifier/2/value"),
            ("Patient.name.where(given.count() = 2)", "/name/0"),
            ("Patient.name.where(given = 'C')", "/name/1"),
            ("Patient.name.where(given)", "ERROR a condition in the path takes one element, and there are 2"),
            ("Patient.name.where(given.exists($this = 'B'))", "/name/0"),
            ("Patient.name.given.where($this = 'B')", "/name/0/given/1"),
            ("Patient.name.given.where(startsWith('A') or endsWith('C') or contains('x'))", "/name/0/given/0 /name/1/given/0"),
            ("Patient.name.single()", "ERROR single() in the path takes one element, and there are 2"),
            ("Patient.name[0].single()", "/name/0"),
            ("Patient.name.where(use = 'old' and nothing = 1)", "ERROR has no element 'nothing'"),
            ("Patient.multipleBirth", "/multipleBirthInteger"),
            ("Patient.multipleBirth.ofType(integer)", "/multipleBirthInteger"),
            ("(Patient.multipleBirth as boolean)", ""),
            ("Patient.multipleBirthInteger", "/multipleBirthInteger"),
            ("Patient.where(multipleBirth = 2.0)", "root"),
            ("Patient.where(multipleBirth is Integer)", "root"),
            ("Patient.where(active).active", "/active"),
            ("Patient.where(active = true and active = false)", ""),
            ("Patient.where(gender = 'male' or active)", "root"),
            ("Patient.where((gender = 'male').not())", ""),
            ("Patient.extension('u').value", "/extension/0/valueDecimal"),
            ("Patient.extension.where(url = 'v').value", "/extension/1/valueString"),
            ("Patient.extension.where(value = 1.5)", "/extension/0"),
            ("Patient.extension.value.ofType(FHIR.string)", "/extension/1/valueString"),
            ("Patient.birthDate.extension('t').value", "/_birthDate/extension/0/valueDateTime"),
            ("Patient.birthDate.extension.where(value = @1970-01-01T09:00:00Z)", "/_birthDate/extension/0"),
            ("Patient.contained.where(status = 'final')", "/contained/0"),
            ("Patient.contained.ofType(Patient).gender", "/contained/1/gender"),
            ("Patient.contained.where($this is Observation)", "/contained/0"),
            ("Patient.contained[1].where(Patient.gender = 'male')", "/contained/1"),
            ("Observation.status", "ERROR the path begins with 'Observation', and this is a Patient"),
            ("Patient.adress", "ERROR Patient has no element 'adress'"),
            ("Patient.birthDate.year", "ERROR date has no element 'year'"),
            ("Patient.name.ofType(Foo)", "ERROR 'Foo' is no type of R4"),
            ("Patient.active.not()", "ERROR the path yields a value"),
            ("'x'", "ERROR the path yields a value"),
        ];
        for (path, expected) in cases {
            match (found(path), expected.strip_prefix("ERROR ")) {
                (Ok(found), None) => assert_eq!(found, expected, "{path}"),
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{path}: {error}"),
                (found, _) => panic!("{path}: {found:?}, not {expected}"),
            }
        }
    }

    #[test]
    fn work_that_multiplies_is_stopped() {
        let resource = json!({"resourceType": "Patient", "name": vec![json!({"given": vec!["x"; 100]}); 100]});
        let path =
            parse(&format!("Patient{}", ".where(name.where(%).exists())".replace('%', "given.where($this = 'y').exists()"))).unwrap();
        let evaluator = Evaluator::new(limits::PATCH_WORK_MAX);
        assert!(evaluator.find(&resource, &path).is_ok());
        assert!(evaluator.work_left() < limits::PATCH_WORK_MAX - 10_000 * WORK_FOR_ELEMENT);
        let error = Evaluator::new(100_000).find(&resource, &path).unwrap_err();
        assert!(error.to_string().contains("in all"), "{error}");
    }
}
