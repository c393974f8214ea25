//! Whole queries: what they become, and what is said of wrong ones.

use lethe_fhir::{LocalBases, LocalReference, ResourceType};
use proptest::prelude::*;

use super::*;
use crate::{
    Branch, Criterion, Facet, IndexValue, IndexValues, LastUpdatedFilter, SortBy, Span, WordPlace, definitions, definitions::ParameterKind,
    value,
};

fn named(name: &str) -> ResourceType {
    name.parse().unwrap()
}

fn bases() -> LocalBases {
    LocalBases::new(["http://here.org"])
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect()
}

/// `Patient?name=x`.
fn parse(query: &str) -> Result<Search, QueryErrors> {
    let (resource_type, query) = query.split_once('?').unwrap();
    Search::parse(named(resource_type), &pairs(query), Strictness::Strict, &bases())
}

fn criteria(query: &str) -> Vec<Criterion> {
    parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).criteria
}

fn path(resource_type: &str, code: &str) -> crate::PathId {
    definitions::parameter(named(resource_type), code).unwrap().uses[0].path
}

fn local(text: &str) -> LocalReference {
    let (resource_type, id) = text.split_once('/').unwrap();
    LocalReference { resource_type: named(resource_type), id: id.parse().unwrap() }
}

fn to(resource_type: &str, code: &str, target: &str) -> Span {
    Span::single(path(resource_type, code), value::reference(&local(target)))
}

#[test]
fn parameters_become_spans_on_their_paths() {
    let name = path("Organization", "name");
    let gender = path("Patient", "gender");
    let gender_is = |code: &str| Span::single(gender, value::token_code(code));
    let cases = [
        ("Patient?gender=http://hl7.org/fhir/administrative-gender|male", vec![Criterion::AnyOf(vec![gender_is("male")])]),
        ("Patient?gender=|male,|female", vec![Criterion::AnyOf(vec![gender_is("male"), gender_is("female")])]),
        ("Patient?gender=male", vec![Criterion::AnyOf(vec![Span::prefix(gender, b"male\0".to_vec())])]),
        ("Patient?gender=http://else.org|male", vec![Criterion::AnyOf(vec![])]),
        ("Patient?gender:not=|male", vec![Criterion::NoneOf(vec![gender_is("male")])]),
        ("Patient?gender:missing=true", vec![Criterion::NoneOf(vec![Span::whole(gender), Span::whole(gender.with(Facet::Text))])]),
        ("Patient?birthdate:missing=false", vec![Criterion::AnyOf(vec![Span::whole(path("Patient", "birthdate"))])]),
        ("Organization?partof=1", vec![Criterion::AnyOf(vec![to("Organization", "partof", "Organization/1")])]),
        ("Observation?patient=1", vec![Criterion::AnyOf(vec![to("Observation", "patient", "Patient/1")])]),
        ("Observation?subject:Patient=1", vec![Criterion::AnyOf(vec![to("Observation", "subject", "Patient/1")])]),
        ("Observation?subject=Patient/1/_history/2", vec![Criterion::AnyOf(vec![to("Observation", "subject", "Patient/1")])]),
        (
            "Observation?subject:identifier=urn:x|1",
            vec![Criterion::AnyOf(vec![Span::single(
                path("Observation", "subject").with(Facet::Identifier),
                value::token(Some("urn:x"), "1"),
            )])],
        ),
        (
            "Patient?identifier:of-type=http://t.org|MR|12",
            vec![Criterion::AnyOf(vec![Span::single(
                path("Patient", "identifier").with(Facet::Identifier),
                value::identifier_of_type("http://t.org", "MR", "12"),
            )])],
        ),
        ("Patient?_id=b,a,b", vec![Criterion::Ids(vec!["a".parse().unwrap(), "b".parse().unwrap()])]),
        ("Patient?_id:not=a", vec![Criterion::NotIds(vec!["a".parse().unwrap()])]),
        ("Patient?_id:missing=false", vec![]),
        (
            "Patient?_text=Émile  Zola,x",
            vec![Criterion::Words {
                place: WordPlace::Narrative,
                alternatives: vec![vec!["emile".to_owned(), "zola".to_owned()], vec!["x".to_owned()]],
            }],
        ),
        (
            "Patient?_list=7",
            vec![Criterion::ReferredBy {
                paths: vec![path("List", "item")],
                branch: Branch { resource_type: named("List"), criteria: vec![Criterion::Ids(vec!["7".parse().unwrap()])] },
            }],
        ),
        ("Patient?_contained=false&_format=json&_pretty=true", vec![]),
        ("Patient?_id=a&_id=b", vec![Criterion::Ids(vec!["a".parse().unwrap()]), Criterion::Ids(vec!["b".parse().unwrap()])]),
    ];
    for (query, expected) in cases {
        assert_eq!(criteria(query), expected, "{query}");
    }
    // An Organization is found by its name or an alias, which lie on two paths.
    let [Criterion::AnyOf(spans)] = &criteria("Organization?name=Åcme")[..] else { panic!() };
    assert_eq!(spans[0], Span::prefix(name, b"acme".to_vec()));
    assert_eq!(spans.len(), 2);
}

#[test]
fn last_updated_takes_several_values() {
    let [Criterion::LastUpdated(filters)] = &criteria("Patient?_lastUpdated=lt2020,ge2024-01-01")[..] else { panic!() };
    assert!(matches!(filters[..], [LastUpdatedFilter::Within(..), LastUpdatedFilter::Within(..)]));
    let at = |text: &str| text.parse::<lethe_fhir::FhirDate>().unwrap().low;
    let found = ["2019-05-05", "2022", "2024"].map(|text| filters.iter().any(|filter| filter.admits(at(text))));
    assert_eq!(found, [true, false, true]);
}

#[test]
fn chains_lead_to_branches() {
    let name = |family: &str| Criterion::AnyOf(vec![Span::prefix(path("Patient", "family"), family.as_bytes().to_vec())]);
    let patient = |criteria| Branch { resource_type: named("Patient"), criteria };
    let subject = path("Observation", "subject");
    let one = |branch| Criterion::RefersTo { paths: vec![subject], branches: vec![branch] };
    assert_eq!(criteria("Observation?subject:Patient.family=x"), [one(patient(vec![name("x")]))]);
    // Of the types of a subject only Patient has a family.
    assert_eq!(criteria("Observation?subject.family=x"), [one(patient(vec![name("x")]))]);
    // `patient` lies on the path of `subject`, and leads to nothing else.
    assert_eq!(criteria("Observation?patient.family=x"), [one(patient(vec![name("x")]))]);
    let inner = Criterion::RefersTo {
        paths: vec![path("Patient", "organization")],
        branches: vec![Branch { resource_type: named("Organization"), criteria: criteria("Organization?name=y") }],
    };
    assert_eq!(criteria("Observation?patient.organization.name=y"), [one(patient(vec![inner]))]);
    let [Criterion::RefersTo { branches, .. }] = &criteria("Observation?subject._id=5")[..] else { panic!() };
    assert_eq!(branches.iter().map(|branch| branch.resource_type.name()).collect::<Vec<_>>(), ["Device", "Group", "Location", "Patient"]);
}

#[test]
fn has_asks_who_refers_here() {
    let code = |code: &str| criteria(&format!("Observation?code={code}"));
    let has = |criteria| Criterion::ReferredBy {
        paths: vec![path("Observation", "patient")],
        branch: Branch { resource_type: named("Observation"), criteria },
    };
    assert_eq!(criteria("Patient?_has:Observation:patient:code=1"), [has(code("1"))]);
    assert_eq!(criteria("Patient?_has:Observation:patient:code:not=1"), [has(criteria("Observation?code:not=1"))]);
    assert_eq!(criteria("Patient?_has:Observation:patient:encounter.class=1"), [has(criteria("Observation?encounter.class=1"))]);
    let nested = Criterion::ReferredBy {
        paths: vec![path("AuditEvent", "entity")],
        branch: Branch { resource_type: named("AuditEvent"), criteria: criteria("AuditEvent?agent=Device/1") },
    };
    assert_eq!(criteria("Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=Device/1"), [has(vec![nested])]);
    let [Criterion::RefersTo { branches, .. }] = &criteria("Encounter?patient._has:Group:member:_id=1")[..] else { panic!() };
    assert!(matches!(branches[0].criteria[..], [Criterion::ReferredBy { .. }]));
}

#[test]
fn references_are_local_elsewhere_or_canonical() {
    let spans = |query: &str| match &criteria(query)[..] {
        [Criterion::AnyOf(spans)] => spans.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(spans("Observation?subject=5").len(), 4);
    assert_eq!(spans("Observation?subject=http://here.org/r4/Patient/1")[0], to("Observation", "subject", "Patient/1"));
    let elsewhere = Span::single(path("Observation", "subject"), value::reference_elsewhere("http://else.org/Patient/1"));
    assert_eq!(spans("Observation?subject=http://else.org/Patient/1")[0], elsewhere);
    assert!(spans("Observation?patient=http://else.org/Patient/1").contains(&elsewhere));
    assert!(spans("Observation?patient=http://else.org/Group/1").is_empty(), "no patient");
    let questionnaire = path("QuestionnaireResponse", "questionnaire");
    let version = value::reference_elsewhere("http://q.org/a|1");
    assert_eq!(spans("QuestionnaireResponse?questionnaire=http://q.org/a|1"), [Span::single(questionnaire, version.clone())]);
    assert!(spans("QuestionnaireResponse?questionnaire=http://q.org/a")[1].admits(&version));
}

#[test]
fn composites_are_compared_part_by_part() {
    let stored = |system: &str, code: &str, further: &[u8]| value::composite(code, Some(system), &[further]);
    let quantity = value::quantity(120.0, Some("http://unitsofmeasure.org"), Some("mm[Hg]"), None);
    let pressure = stored("http://loinc.org", "8480-6", &quantity);
    let date = "2024-01-15".parse::<lethe_fhir::FhirDate>().unwrap();
    let dated = stored("http://loinc.org", "8480-6", &value::date(Some(date.low), Some(date.high)));
    let coded = stored("http://loinc.org", "8480-6", &value::composite_token(None, "pos"));
    let cases = [
        ("code-value-quantity", &pressure, "8480-6$120", true),
        ("code-value-quantity", &pressure, "http://loinc.org|8480-6$gt119", true),
        ("code-value-quantity", &pressure, "http://else.org|8480-6$gt119", false),
        ("code-value-quantity", &pressure, "|8480-6$gt119", false),
        ("code-value-quantity", &pressure, "8480$gt119", false),
        ("code-value-quantity", &pressure, "8480-6$gt120", false),
        ("code-value-quantity", &pressure, "8480-6$120||mm[Hg]", true),
        ("code-value-quantity", &pressure, "8480-6$120||mm", false),
        ("code-value-quantity", &pressure, "8480-6$le120,x$1", true),
        ("code-value-date", &dated, "8480-6$2024-01", true),
        ("code-value-date", &dated, "http://loinc.org|8480-6$gt2024-01-15", false),
        ("code-value-date", &dated, "8480-6$ne2024-01-15", false),
        ("code-value-date", &dated, "8480-6$ge2024-01-15", true),
        ("code-value-concept", &coded, "8480-6$pos", true),
        ("code-value-concept", &coded, "8480-6$|pos", true),
        ("code-value-concept", &coded, "8480-6$http://loinc.org|pos", false),
        ("code-value-concept", &coded, "http://loinc.org|8480-6$|pos", true),
    ];
    for (code, value, text, expected) in cases {
        let [Criterion::AnyOf(spans)] = &criteria(&format!("Observation?{code}={text}"))[..] else { panic!() };
        assert_eq!(spans.iter().any(|span| span.admits(value)), expected, "{code}={text}");
    }
    let window = value::composite("NC_1", None, &[&value::number(100.0), &value::number(200.0)]);
    for (text, expected) in [("NC_1$100$200", true), ("NC_1$ge50$le200", true), ("NC_1$ge50$lt200", false), ("NC_1$gt100$200", false)] {
        let query = format!("MolecularSequence?chromosome-window-coordinate={text}");
        let [Criterion::AnyOf(spans)] = &criteria(&query)[..] else { panic!() };
        assert_eq!(spans.iter().any(|span| span.admits(&window)), expected, "{text}");
    }
}

#[test]
fn what_steers_a_search_is_read_beside_its_criteria() {
    let search = parse("Patient?_count=3&_sort=-birthdate,_id,family&_summary=data&_elements=id&_total=none&_page=abc").unwrap();
    assert_eq!((search.count, search.summary, search.total, search.page.as_deref()), (3, Summary::Data, TotalMode::None, Some("abc")));
    assert_eq!(search.elements, ["id"]);
    assert!(matches!(&search.sort[0].by, SortBy::Paths(paths) if paths[0].path == path("Patient", "birthdate")));
    assert!(search.sort[0].is_descending);
    assert_eq!(search.sort[1].by, SortBy::Id);
    assert_eq!(search.sort.len(), 3);
}

#[test]
fn includes_say_who_refers_by_which_path() {
    let include = |query: &str| parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).includes.remove(0);
    let patient = include("Observation?_include=Observation:patient");
    assert_eq!((patient.source, patient.target, patient.is_reverse, patient.is_iterated), (named("Observation"), None, false, false));
    assert_eq!(patient.paths[0].only_target, Some(named("Patient")));
    assert_eq!(include("Observation?_include=Observation:subject:Patient").target, Some(named("Patient")));
    assert!(include("Observation?_include=Observation:*").paths.len() > 5);
    assert_eq!(include("Observation?_include=*").paths, include("Observation?_include=Observation:*").paths);
    assert!(include("Observation?_include:iterate=Patient:organization").is_iterated);
    let reverse = include("Patient?_revinclude=Observation:subject");
    assert_eq!((reverse.source, reverse.target, reverse.is_reverse), (named("Observation"), Some(named("Patient")), true));

    let values = IndexValues::of(vec![
        IndexValue { path: path("Observation", "subject"), value: value::reference(&local("Group/1")) },
        IndexValue { path: path("Observation", "encounter"), value: value::reference(&local("Encounter/1")) },
    ]);
    assert!(patient.brought_by(&values).is_empty(), "a Group is no patient");
    let subject = include("Observation?_include=Observation:subject");
    assert_eq!(subject.brought_by(&values).into_iter().collect::<Vec<_>>(), [local("Group/1")]);
    let found = [local("Patient/1"), local("Group/1")];
    assert_eq!(reverse.referring_to(&found), Some(Criterion::AnyOf(vec![to("Observation", "subject", "Patient/1")])));
    assert_eq!(reverse.referring_to(&found[1..]), None);
}

#[test]
fn errors_say_what_would_be_right() {
    let long = format!("Patient?name={}", "x".repeat(5_000));
    let many = format!("Patient?_id={}", vec!["x"; 1_001].join(","));
    let repeated = format!("Patient?{}", vec!["name=x"; 101].join("&"));
    let includes = format!("Patient?{}", vec!["_revinclude=Observation:patient"; 21].join("&"));
    let cases = [
        ("Patient?birthDate=2020", QueryErrorKind::UnknownParameter, "did you mean 'birthdate'"),
        ("Patient?_cuont=1", QueryErrorKind::UnknownParameter, "did you mean '_count'"),
        ("Patient?_count:exact=1", QueryErrorKind::NotSupported, "no modifier"),
        ("Patient?_sort:desc=name", QueryErrorKind::NotSupported, "_sort=-date"),
        ("Patient?=1", QueryErrorKind::UnknownParameter, "no search parameter"),
        ("Patient?.name=1", QueryErrorKind::UnknownParameter, "no search parameter"),
        ("Patient?zzzzzzzzzz=1", QueryErrorKind::UnknownParameter, "there are active, address"),
        ("Patient?name=", QueryErrorKind::Invalid, "has no value"),
        ("Patient?name=a,,b", QueryErrorKind::Invalid, "comma"),
        ("Patient?name:exakt=x", QueryErrorKind::NotSupported, "did you mean ':exact'"),
        ("Patient?birthdate:exact=2020", QueryErrorKind::NotSupported, "it can have :missing"),
        ("Patient?name:missing=yes", QueryErrorKind::Value, "true or false"),
        ("Patient?birthdate=xx2020", QueryErrorKind::Value, "eq, ne"),
        ("Patient?birthdate=2020-13", QueryErrorKind::Value, "YYYY-MM"),
        ("Patient?birthdate=2020-01-01T10:00:00 02:00", QueryErrorKind::Value, "%2B"),
        ("Observation?code:in=http://v.org", QueryErrorKind::NotSupported, "terminology"),
        ("Observation?code=a|b|c", QueryErrorKind::Value, "system|code"),
        ("Observation?patient=Group/1", QueryErrorKind::Value, "leads to Patient"),
        ("Observation?subject:Patient=Group/1", QueryErrorKind::Value, "modifier names"),
        ("Observation?subject:Medication=1", QueryErrorKind::Invalid, "not to Medication"),
        ("Observation?subject=a/b/c", QueryErrorKind::Value, "Type/id"),
        ("Observation?subject.zzz=1", QueryErrorKind::UnknownParameter, "of which none"),
        ("Observation?subject.birthdate=x", QueryErrorKind::Value, "prefixes"),
        ("Observation?code.name=1", QueryErrorKind::Invalid, "no reference"),
        ("Observation?code-value-quantity=a", QueryErrorKind::Value, "2 parts"),
        ("Observation?code-value-quantity=a$b$c", QueryErrorKind::Value, "2 parts"),
        ("Observation?value-quantity=5|mg", QueryErrorKind::Value, "5.4||mg"),
        ("Location?near=1", QueryErrorKind::Value, "latitude"),
        ("Patient?_has:Observation:code=1", QueryErrorKind::Invalid, "_has:Observation:patient:code"),
        ("Patient?_has:Observatoin:patient:code=1", QueryErrorKind::Invalid, "did you mean 'Observation'"),
        ("Patient?_has:Observation:encounter:code=1", QueryErrorKind::Invalid, "leads to Encounter, not to Patient"),
        ("Patient?_list=$current-allergies", QueryErrorKind::NotSupported, "functional lists"),
        ("Patient?_filter=name eq x", QueryErrorKind::UnknownParameter, "filter expressions"),
        ("Patient?_query=x", QueryErrorKind::UnknownParameter, "named queries"),
        ("Patient?_contained=true", QueryErrorKind::UnknownParameter, "contained"),
        ("Patient?_type=Patient", QueryErrorKind::UnknownParameter, "in the path"),
        ("Patient?_sort=nmae", QueryErrorKind::Value, "did you mean 'name'"),
        ("Patient?_sort=_score", QueryErrorKind::NotSupported, "no score"),
        ("Observation?_sort=code-value-quantity", QueryErrorKind::NotSupported, "no order"),
        ("Patient?_include=Patient", QueryErrorKind::Value, "Type:reference"),
        ("Patient?_include=Patient:nmae", QueryErrorKind::Value, "did you mean 'name'"),
        ("Patient?_include=Observation:patient", QueryErrorKind::Invalid, ":iterate"),
        ("Patient?_revinclude=Observation:encounter", QueryErrorKind::Invalid, "not to Patient"),
        ("Patient?_revinclude=*", QueryErrorKind::TooCostly, "Observation:*"),
        ("Patient?_include:all=Patient:organization", QueryErrorKind::NotSupported, ":iterate"),
        ("Patient?_summary=text&_include=Patient:organization", QueryErrorKind::Invalid, "combined"),
        ("Patient?link.link.link.link.link.link.name=x", QueryErrorKind::TooCostly, "5 links"),
        ("AuditEvent?entity.focus.focus.focus.focus.code=x", QueryErrorKind::TooCostly, "name the type"),
        (&long, QueryErrorKind::TooCostly, "4096"),
        (&many, QueryErrorKind::TooCostly, "1000"),
        (&repeated, QueryErrorKind::TooCostly, "at most 100"),
        (&includes, QueryErrorKind::TooCostly, "over 20"),
    ];
    for (query, kind, expected) in cases {
        let errors = parse(query).err().unwrap_or_else(|| panic!("{query} is understood"));
        let shown: String = query.chars().take(60).collect();
        assert_eq!((errors.0.len(), errors.0[0].kind), (1, kind), "{shown}: {errors}");
        assert!(errors.to_string().contains(expected), "{shown}: {errors}");
        assert!(errors.to_string().len() < 1_000, "{shown}: {errors}");
    }
}

#[test]
fn every_parameter_of_r4_can_be_asked_for() {
    let part = |kind: ParameterKind| match kind {
        ParameterKind::Number => "5",
        ParameterKind::Date => "2024",
        ParameterKind::String | ParameterKind::Token => "x",
        ParameterKind::Reference => "http://x.org/a",
        ParameterKind::Quantity => "5||mg",
        ParameterKind::Uri => "urn:x",
        ParameterKind::Position => "1|1",
        ParameterKind::Composite => "",
    };
    for own in ResourceType::all() {
        for parameter in definitions::parameters(own) {
            let value = match parameter.kind {
                ParameterKind::Composite => parameter.components.iter().map(|kind| part(*kind)).collect::<Vec<_>>().join("$"),
                ParameterKind::Reference => {
                    parameter.targets.iter().map(|target| format!("http://x.org/{target}/a")).collect::<Vec<_>>().join(",")
                }
                kind => part(kind).to_owned(),
            };
            for query in [format!("{own}?{}={value}", parameter.code), format!("{own}?{}:missing=false", parameter.code)] {
                let found = criteria(&query);
                assert!(matches!(&found[..], [Criterion::AnyOf(spans)] if !spans.is_empty()), "{query}: {found:?}");
            }
        }
    }
}

#[test]
fn all_errors_of_a_query_are_told_at_once() {
    let errors = parse("Patient?zzz=1&birthdate=x&_count=x").unwrap_err();
    assert_eq!(errors.0.iter().map(|error| error.parameter.as_str()).collect::<Vec<_>>(), ["zzz", "birthdate", "_count"]);
    assert_eq!(errors.to_outcome().issues.len(), 3);
}

#[test]
fn lenient_handling_leaves_out_unknown_parameters_and_nothing_else() {
    let lenient = |query: &str| Search::parse(named("Patient"), &pairs(query), Strictness::Lenient, &bases());
    let search = lenient("zzz=1&name=x&_filter=y&_count=5000").unwrap();
    assert_eq!((search.criteria.len(), search.ignored.len()), (1, 2));
    assert_eq!(search.self_link(&pairs("zzz=1&name=x|ä&_filter=y&_count=5000")), "name=x%7C%C3%A4&_count=1000");
    for query in ["birthdate=x", "name:zzz=x", "name=", "_count=x"] {
        assert!(lenient(query).is_err(), "{query}");
    }
}

#[test]
fn a_search_over_several_types_is_one_search_each() {
    let system = |query: &str| Search::parse_system(&pairs(query), Strictness::Strict, &bases());
    let both = system("_type=Patient,Observation&identifier=x&_include=Observation:subject").unwrap();
    assert_eq!(
        both.iter().map(|(own, search)| (own.name(), search.includes.len())).collect::<Vec<_>>(),
        [("Observation", 1), ("Patient", 0)]
    );
    assert_ne!(both[0].1.criteria, both[1].1.criteria);
    assert_eq!(system("_tag=x&_lastUpdated=gt2020").unwrap().len(), ResourceType::all().count());
    let cases = [
        ("name=x", "_type=Patient,Observation"),
        ("_type=Patient,Observation&name=x", "Observation has no search parameter 'name'"),
        ("_type=Patint", "did you mean 'Patient'"),
        ("_has:Observation:patient:code=1", "name the types"),
        ("_tag=a|b|c", "system|code"),
    ];
    for (query, expected) in cases {
        let errors = system(query).unwrap_err();
        assert_eq!(errors.0.len(), 1, "{query}: {errors}");
        assert!(errors.to_string().contains(expected), "{query}: {errors}");
    }
    let lenient = Search::parse_system(&pairs("_type=Patient,Observation&name=x&_id=1"), Strictness::Lenient, &bases()).unwrap();
    assert!(lenient.iter().all(|(_, search)| search.criteria.len() == 1 && search.ignored.len() == 1));
    let compartment = Search::parse_types(&compartment_types(named("Patient")), &pairs("_type=Medication"), Strictness::Strict, &bases());
    assert!(compartment.unwrap_err().to_string().contains("not among the types"));
}

proptest! {
    #[test]
    fn nothing_that_is_sent_breaks_the_reading(
        resource_type in 1_u8..140,
        pairs in prop::collection::vec((name(), any_value()), 0..6),
    ) {
        let own = ResourceType::from_code(resource_type).unwrap();
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            if let Ok(search) = Search::parse(own, &pairs, strictness, &bases()) {
                prop_assert!(search.self_link(&pairs).is_ascii());
            }
            let _ = Search::parse_system(&pairs, strictness, &bases());
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    let codes: Vec<String> = ["Observation", "Patient", "Location", "MolecularSequence"]
        .iter()
        .flat_map(|name| definitions::parameters(named(name)).iter().map(|parameter| parameter.code.to_owned()))
        .chain(
            ["_id", "_lastUpdated", "_has:Observation:patient:code", "subject:Patient.name", "subject.", "_include", "_sort", "_type"]
                .map(str::to_owned),
        )
        .collect();
    let modifier =
        prop::sample::select(vec!["", ":missing", ":exact", ":not", ":of-type", ":Patient", ":identifier", ":below", ".name", ":"]);
    prop_oneof![4 => (prop::sample::select(codes), modifier).prop_map(|(code, modifier)| format!("{code}{modifier}")), 1 => ".{0,20}"]
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,30}",
        "[a-z]{0,2}-?[0-9]{0,5}(\\.[0-9]{0,3})?(e-?[0-9]{1,4})?([|$,\\\\]{0,2}[a-z0-9/:|]{0,10}){0,3}",
        "(eq|ne|gt|lt|ge|le|sa|eb|ap)?[0-9]{4}(-[0-9]{2}){0,2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{0,10})?)?(Z|[+ -][0-9]{2}:[0-9]{2})?)?",
    ]
}
