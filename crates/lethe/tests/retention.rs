//! Standing rules, from the command line and the configuration.

mod support;

use serde_json::{Value, json};
use support::{Workplace, serve};

#[test]
fn a_rule_that_has_nothing_to_do_starts_nothing_and_one_that_is_misspelt_is_refused() {
    let workplace = Workplace::new();
    let (client_id, _, user) = workplace.add_user();
    let other = workplace.json(&["user", "add", "--client", &client_id, "bob", "--json"])["oneup_user_id"].to_string();
    let lines = r#"{"resourceType":"Basic","id":"b"}
{"resourceType":"Patient","id":"p"}"#;
    workplace.write("in.ndjson", lines);
    for user in [&user, &other] {
        workplace.json(&["import", "--user", user, "in.ndjson", "--json"]);
    }
    let mine = format!("Basic older than 1 days of user {user}");
    workplace.write("lethe.toml", format!("retention = [\"{mine}\", \"Basic,Patient older than 2 days\"]"));
    let shown = workplace.json(&["retention", "--json"]);
    let rules: Vec<(&Value, &Value, &Value)> =
        shown["rules"].as_array().unwrap().iter().map(|rule| (&rule["rule"], &rule["removed"], &rule["job"])).collect();
    assert_eq!(rules, [(&json!(mine), &json!(0), &json!(null)), (&json!("Basic,Patient older than 2 days"), &json!(0), &json!(null))]);
    let (_running, _) = serve(&workplace);
    let started = workplace.json(&["retention", "--start", "--json"]);
    assert!(started["rules"].as_array().unwrap().iter().all(|rule| rule["job"].is_null()), "nothing is old enough: {started}");

    for (rule, said) in [("Basic older than 0 days", "no number of days"), ("Basic older than 1 days of user 999", "does not exist")] {
        let done = workplace.run(&["retention", "--retention", rule]);
        assert!(done.code != Some(0) && done.stderr.contains(said), "{rule}: {done:?}");
        let done = workplace.run(&["serve", "--listen", "127.0.0.1:0", "--data", "other", "--retention", rule]);
        assert!(done.code != Some(0) && done.stderr.contains(said), "{rule}: {done:?}");
    }
}
