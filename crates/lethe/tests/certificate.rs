//! Certificates, from the command line: fetched, verified without a server, tampered with.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::Value;
use support::{Done, Workplace, serve};

/// Runs `lethe purge …` with the credentials of a user.
struct Caller<'a> {
    workplace: &'a Workplace,
    url: String,
    client_id: String,
    client_secret: String,
}

impl Caller<'_> {
    fn purge(&self, arguments: &[&str]) -> Done {
        let credentials = ["--server", &self.url, "--client-id", &self.client_id, "--client-secret", &self.client_secret, "--user", "1"];
        self.workplace.run(&[&["purge"], arguments, &credentials].concat())
    }

    /// Purges everything and returns the id of the job.
    fn purged(&self) -> String {
        self.workplace.write("p.ndjson", "{\"resourceType\":\"Patient\",\"id\":\"a\"}\n");
        assert_eq!(self.workplace.run(&["import", "--user", "1", "p.ndjson"]).code, Some(0));
        let done = self.purge(&["start", "--yes", "--watch", "--json"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        serde_json::from_str::<Value>(&done.stdout).unwrap()["job"]["id"].as_str().unwrap().to_owned()
    }

    /// Writes what a command prints to a file.
    fn saved(&self, name: &str, arguments: &[&str]) -> String {
        let done = self.purge(arguments);
        assert_eq!(done.code, Some(0), "{done:?}");
        self.workplace.write(name, &done.stdout);
        done.stdout
    }
}

#[test]
fn a_patient_and_what_fits_conditions_are_purged_from_a_terminal() {
    let workplace = Workplace::new();
    let (client_id, client_secret, _) = workplace.add_user();
    let (_server, url) = serve(&workplace);
    let caller = Caller { workplace: &workplace, url, client_id, client_secret };
    let lines = [
        r#"{"resourceType":"Patient","id":"a"}"#,
        r#"{"resourceType":"Device","id":"d"}"#,
        r#"{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/a"}}"#,
        r#"{"resourceType":"Observation","id":"e","status":"entered-in-error","subject":{"reference":"Patient/a"}}"#,
        r#"{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/nobody"}}]}"#,
    ];
    workplace.write("all.ndjson", lines.join("\n"));
    assert_eq!(workplace.run(&["import", "--user", "1", "all.ndjson"]).code, Some(0));
    let deleted = |done: &Done| {
        assert_eq!(done.code, Some(0), "{done:?}");
        serde_json::from_str::<Value>(&done.stdout).unwrap()["job"]["deletedCount"].as_u64().unwrap()
    };
    let errors = ["--type", "Observation", "--type-filter", "Observation?status=entered-in-error"];
    let preview = caller.purge(&[&["preview"], &errors[..]].concat());
    assert!(preview.stdout.contains("1 resources with 1 versions would go"), "{preview:?}");
    let start = ["start", "--yes", "--watch", "--json"];
    let done = caller.purge(&[&start[..], &errors].concat());
    assert!(deleted(&done) == 1 && done.stderr.contains("every Observation that fits its conditions"), "{done:?}");
    let refused = caller.purge(&[&start[..], &errors[2..]].concat());
    assert!(refused.code == Some(1) && refused.stderr.contains("'_type'"), "{refused:?}");
    let preview = caller.purge(&["preview", "--patient", "a"]);
    assert!(preview.stdout.contains("1 Device stay because they are in no patient's compartment"), "{preview:?}");
    let group = caller.purge(&[&start[..], &["--group", "Group/g"]].concat());
    assert!(deleted(&group) == 0 && group.stderr.contains("Patient/nobody, a member of the Group, is not here"), "{group:?}");
    let done = caller.purge(&[&start[..], &["--patient", "a"]].concat());
    assert!(deleted(&done) == 2 && done.stderr.contains("stays: 1 Device"), "{done:?}");
    assert_eq!(caller.purge(&["start", "--yes", "--patient", "a", "--group", "g"]).code, Some(2));
}

#[test]
fn a_certificate_is_fetched_verified_without_a_server_and_every_tampering_is_told() {
    let workplace = Workplace::new();
    let (client_id, client_secret, _) = workplace.add_user();
    let (mut server, url) = serve(&workplace);
    let caller = Caller { workplace: &workplace, url, client_id: client_id.clone(), client_secret };
    let first = caller.purged();
    let text = caller.saved("first.json", &["certificate", &first]);
    caller.saved("proof.json", &["proof", &first, "Patient/a"]);
    assert!(caller.purge(&["proof", &first, "Patient/b"]).stderr.contains("among the deleted"));
    // A rotation beside the running server counts at once, and both certificates are sound.
    workplace.write("keys.json", workplace.run(&["certificate", "keys"]).stdout);
    let rotated = workplace.json(&["certificate", "rotate-key", "--json"]);
    let second = caller.purged();
    caller.saved("second.json", &["certificate", &second]);
    workplace.write("all-keys.json", workplace.run(&["certificate", "keys"]).stdout);
    server.signal("TERM");
    server.wait();

    let verify = |arguments: &[&str]| workplace.run(&[&["certificate", "verify", "--keys", "all-keys.json"], arguments].concat());
    let both = verify(&["first.json", "second.json", "--proof", "proof.json", "--resource", "Patient/a"]);
    assert_eq!(both.code, Some(0), "{both:?}");
    for expected in
        ["number 1, job", "number 2, job", "1 of 1 resources destroyed", "Patient/a of user 1 was among the deleted of number 1"]
    {
        assert!(both.stdout.contains(expected), "{expected}: {both:?}");
    }
    let stale = workplace.run(&["certificate", "verify", "--keys", "keys.json", "second.json"]);
    let kid = rotated["kid"].as_str().unwrap();
    assert!(stale.code == Some(1) && stale.stdout.contains(&format!("its key '{kid}' is not among the given keys")), "{stale:?}");

    let json: Value = serde_json::from_str(&text).unwrap();
    let jws = json["jws"].as_str().unwrap();
    let dot = jws.rfind('.').unwrap();
    let mut copy = json.clone();
    copy["certificate"]["counts"]["total"]["deleted"] = 0.into();
    workplace.write("copy.json", copy.to_string());
    let letter = if &jws[dot + 5..dot + 6] == "A" { "B" } else { "A" };
    workplace.write("forged.jws", format!("{}{letter}{}", &jws[..dot + 5], &jws[dot + 6..]));
    workplace.write("cut.json", &text[..text.len() / 2]);
    workplace.write("no.json", "{\"resourceType\":\"Patient\"}");
    let exported = workplace.run(&["certificate", "export"]).stdout;
    let lines: Vec<&str> = exported.lines().collect();
    assert_eq!(lines.len(), 2);
    workplace.write("chain.ndjson", &exported);
    workplace.write("turned.ndjson", format!("{}\n{}\n", lines[1], lines[0]));
    for (files, expected) in [
        (&["copy.json"][..], "differs from what is signed, at counts.total.deleted"),
        (&["forged.jws"], "the signature is wrong"),
        (&["cut.json"], "it is truncated"),
        (&["no.json"], "this is no certificate: it has no 'jws'"),
        (&["turned.ndjson"], "turned.ndjson, certificate 2: number 1 stands after number 2"),
        (&["first.json", "chain.ndjson"], "number 1 is there twice"),
        (&["first.json", "--previous", "second.json"], "number 1 stands after number 2"),
        (&["first.json", "--proof", "proof.json", "--resource", "Patient/b"], "the proof is of Patient/a"),
        (&["second.json", "--proof", "proof.json"], "the proof is of job"),
    ] {
        let done = verify(files);
        assert!(done.code == Some(1) && done.stdout.contains(expected), "{files:?}: {done:?}");
    }
    let later = verify(&["second.json"]);
    assert!(later.code == Some(0) && later.stdout.contains("from number 2 on"), "{later:?}");
    assert_eq!(verify(&["second.json", "--previous", "first.json"]).code, Some(0));
    // The chain of the store itself, with its own keys.
    let own = workplace.run(&["certificate", "verify", "chain.ndjson", "--json"]);
    let report: Value = serde_json::from_str(&own.stdout).unwrap();
    assert_eq!((own.code, &report["isSound"], report["certificates"].as_array().map(Vec::len)), (Some(0), &Value::Bool(true), Some(2)));
    let listed = workplace.json(&["certificate", "list", "--json"]);
    assert_eq!(listed["certificates"][1]["destruction"]["clientId"], client_id.as_str());

    // The audit trail of both, as FHIR has it.
    let trail = workplace.run(&["audit", "export", "--public-url", "https://fhir.example.org"]);
    let events: Vec<Value> = trail.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["E", "D", "E", "D"]);
    assert!(!trail.stdout.contains("Patient/a"), "no id of a resource");
}

#[test]
fn a_key_is_forgotten_only_when_somebody_means_it() {
    let workplace = Workplace::new();
    let (client_id, client_secret, _) = workplace.add_user();
    let (_server, url) = serve(&workplace);
    let caller = Caller { workplace: &workplace, url, client_id, client_secret };
    let job = caller.purged();
    let refused = caller.purge(&["forget-key", &job]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--yes"), "{refused:?}");
    assert_eq!(caller.purge(&["proof", &job, "Patient/a"]).code, Some(0));
    assert_eq!(caller.purge(&["forget-key", &job, "--yes"]).code, Some(0));
    let gone = caller.purge(&["proof", &job, "Patient/a"]);
    assert!(gone.code == Some(1) && gone.stderr.contains("was destroyed"), "{gone:?}");
    caller.saved("c.json", &["certificate", &job]);
    assert_eq!(workplace.run(&["certificate", "verify", "c.json"]).code, Some(0));
    let nobodys = workplace.run(&["certificate", "verify", "c.json", "--data", "nowhere"]);
    assert!(nobodys.code == Some(2) && nobodys.stderr.contains("--keys FILE"), "{nobodys:?}");
}
